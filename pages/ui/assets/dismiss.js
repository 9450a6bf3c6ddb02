// Closes Streamlit's "Page not found" box, which a server shows on its very first visit to a page that does exist.
export default function () {
  const look = setInterval(() => document.querySelector('[role=dialog] [aria-label=Close]')?.click(), 30)
  const stop = setTimeout(() => clearInterval(look), 3000)
  return () => (clearInterval(look), clearTimeout(stop))
}
