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

// The numbers in base64 of little-endian float32.
export const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer)

// A number with a real minus sign.
export const signed = (value, digits) => value.toFixed(digits).replace(/^-(?=[0.]*$)/, '').replace('-', '−')

// The context of a canvas as large as it is shown, cleared, and its size in CSS pixels.
export function fit(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale)
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale)
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return [context, width, height]
}

const channels = colour => {
  const context = new OffscreenCanvas(1, 1).getContext('2d')
  context.fillStyle = colour
  return [1, 3, 5].map(i => parseInt(context.fillStyle.slice(i, i + 2), 16))
}
const luminance = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
const known = new Map()

// `colour`, darkened or lightened until lines of it stand out from the page: contrast 3.5, where WCAG 2 AA wants 3.
export function legible(element, colour) {
  const ground = css(element, '--st-background-color'), key = colour + ground
  if (!known.has(key)) {
    const below = luminance(channels(ground)), goal = below > 0.18 ? 0 : 255
    let rgb = channels(colour)
    const contrast = () => (Math.max(luminance(rgb), below) + 0.05) / (Math.min(luminance(rgb), below) + 0.05)
    for (let tries = 0; contrast() < 3.5 && tries < 40; tries++) rgb = rgb.map(v => v + (goal - v) * 0.05)
    known.set(key, `rgb(${rgb.map(Math.round)})`)
  }
  return known.get(key)
}

// How large the page's type is beside its usual size: more than 1 for a presenter.
const BASE_PX = 15
export const typeScale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / BASE_PX
