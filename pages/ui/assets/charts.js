// Live charts: a responsive grid of Plotly figures that keep zoom and legend and never remount.
import {css, mount} from './shared.js'

const STYLE = `
.ddpg-charts { display: grid; gap: 14px; width: 100%; }
.ddpg-chart { min-width: 0; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: var(--st-background-color); overflow: hidden; }`

const plotly = url => (window.ddpgPlotly ??= new Promise((resolve, reject) => {
  const script = document.createElement('script')
  Object.assign(script, {src: url, onload: () => resolve(window.Plotly), onerror: () => { window.ddpgPlotly = null; reject(new Error('plotly.js did not load')) }})
  document.head.appendChild(script)
}))

const merge = (base, over) => {
  const out = {...base}
  for (const [key, value] of Object.entries(over))
    out[key] = value && typeof value === 'object' && !Array.isArray(value) ? merge(base[key] ?? {}, value) : value
  return out
}

// The page's theme, under what the figure itself decides.
const themed = (element, layout) => {
  const [text, grid, back, font] = ['text-color', 'border-color', 'background-color', 'font'].map(name => css(element, `--st-${name}`))
  const axis = {gridcolor: grid, linecolor: grid, tickfont: {size: 11}, title: {font: {size: 12}}}
  const base = {font: {color: text, family: font, size: 12}, paper_bgcolor: '#0000', plot_bgcolor: '#0000',
                xaxis: axis, yaxis: axis, hoverlabel: {bgcolor: back, bordercolor: grid, font: {color: text}}}
  const all = merge(base, layout)
  for (const note of all.annotations ?? []) note.font = {color: text, size: 11, ...note.font}
  return all
}

async function draw(root) {
  if (root.busy) return
  root.busy = true
  try {
    const Plotly = await plotly(root.plotlyUrl)
    for (let again = true; again && root.isConnected;) {
      again = false
      for (const cell of root.children) {
        if (!cell.next || !cell.seen || cell.held) continue
        const figure = cell.next
        cell.next = null
        again = true
        await Plotly.react(cell, figure.data, themed(cell, figure.layout),
          {responsive: true, displaylogo: false, showSendToCloud: false, displayModeBar: matchMedia('(hover: none)').matches ? false : 'hover',
           modeBarButtonsToRemove: ['lasso2d', 'select2d', 'autoScale2d', 'sendChartToCloud']})
        cell.dataset.drawn = Number(cell.dataset.drawn ?? 0) + 1
      }
    }
  } finally { root.busy = false }
}

// A redraw under the pointer would swallow a click on the legend or break a zoom: wait until the gesture is over.
function hold(cell, root) {
  cell.addEventListener('pointerdown', () => {
    cell.held = true
    addEventListener('pointerup', () => setTimeout(() => { cell.held = false; draw(root) }, 400), {once: true})
  }, true)
}

export default function ({data, parentElement}) {
  let root = parentElement.querySelector('.ddpg-charts')
  if (!root) {
    root = mount(parentElement, STYLE, '<div class="ddpg-charts"></div>', '.ddpg-charts')
    root.watch = new IntersectionObserver(entries => {
      for (const entry of entries) entry.target.seen = entry.isIntersecting
      draw(root)
    }, {rootMargin: '120px'})
  }
  const theme = css(root, '--st-background-color')
  root.plotlyUrl = new URL(data.plotly, document.baseURI).href
  root.style.gridTemplateColumns = `repeat(auto-fit, minmax(min(100%, ${data.min_width}px), 1fr))`
  data.figures.forEach((figure, index) => {
    let cell = root.children[index]
    if (!cell) {
      cell = root.appendChild(document.createElement('div'))
      cell.className = 'ddpg-chart'
      root.watch.observe(cell)
      hold(cell, root)
    }
    const content = JSON.stringify(figure)
    if (cell.content === content && cell.theme === theme) return
    Object.assign(cell, {content, theme, next: figure})
    cell.style.height = `${figure.layout.height}px`
  })
  while (root.children.length > data.figures.length) {
    window.Plotly?.purge(root.lastChild)
    root.lastChild.remove()
  }
  draw(root)
  return () => setTimeout(() => {
    if (root.isConnected) return
    root.watch.disconnect()
    for (const cell of root.children) window.Plotly?.purge(cell)
  })
}
