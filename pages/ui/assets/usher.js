// Opens the way to the page: closes the sidebar of a phone once a page was chosen in it, and Streamlit's "Page not
// found" box, which a server shows on its very first visit to a page that does exist. Tells the page its own colour.
import {css} from './shared.js'

export default function ({data, parentElement}) {
  document.documentElement.style.setProperty('--paper', css(parentElement.host ?? parentElement, '--st-background-color'))
  const close = document.querySelector('[data-testid=stSidebarCollapseButton] button')
  if ((window.ddpgPage ?? data.page) !== data.page && innerWidth <= 768 && close?.getBoundingClientRect().right > 0) close.click()
  window.ddpgPage = data.page
  if (!data.first_visit) return
  const look = setInterval(() => document.querySelector('[role=dialog] [aria-label=Close]')?.click(), 30)
  const stop = setTimeout(() => clearInterval(look), 3000)
  return () => (clearInterval(look), clearTimeout(stop))
}
