// What the components share: putting markup into a host, reading the theme, small curves.

// Appends style and markup to a host element or shadow root; the element that matches `selector`.
export const mount = (host, style, markup, selector) => {
  const template = document.createElement('template')
  template.innerHTML = `<style>${style}</style>${markup}`
  host.append(template.content)
  return host.querySelector(selector)
}

// A CSS custom property of the page's theme.
export const css = (element, name) => getComputedStyle(element).getPropertyValue(name).trim()

// SVG path of a small curve without axes, `width` × 30 pixels.
export const spark = (values, width) => {
  if (values.length < 2) return ''
  const low = Math.min(...values), span = Math.max(...values) - low || 1
  const point = (v, i) => `${(width * i / (values.length - 1)).toFixed(1)} ${(28 - 26 * (v - low) / span).toFixed(1)}`
  return 'M' + values.map(point).join('L')
}
