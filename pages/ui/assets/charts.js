// Live charts: a responsive grid of Plotly figures that keep zoom and legend and never remount.
import {css, mount, typeScale} from './shared.js'

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

// A layout made for type of the usual size at the size that the page's type has: larger for a presenter.
const sized = (value, scale, name) => {
  if (typeof value === 'number') return ['size', 'l', 'r', 't', 'b'].includes(name) ? value * scale : value
  if (!value || typeof value !== 'object' || name === 'range') return value
  if (Array.isArray(value)) return value.map(item => sized(item, scale))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sized(item, scale, key)]))
}

const heightOf = layout => layout.height * (0.6 + 0.4 * typeScale())

// The page's theme, under what the figure itself decides.
const themed = (element, layout) => {
  const [text, grid, back, font] = ['text-color', 'border-color', 'background-color', 'font'].map(name => css(element, `--st-${name}`))
  const axis = {gridcolor: grid, linecolor: grid, tickfont: {size: 11}, title: {font: {size: 12}}}
  const base = {font: {color: text, family: font, size: 12}, paper_bgcolor: '#0000', plot_bgcolor: '#0000',
                xaxis: axis, yaxis: axis, modebar: {bgcolor: '#0000', color: grid, activecolor: text}, hoverlabel: {bgcolor: back, bordercolor: grid, font: {color: text}}}
  const all = merge(base, layout)
  all.annotations = (all.annotations ?? []).map(note => ({bgcolor: `${back}c0`, ...note, font: {color: text, size: 11, ...note.font}}))
  return {...sized(all, typeScale()), height: heightOf(layout)}
}

// What the viewer did to a chart outlives updates and the page it stands on: zoom, camera, hidden runs.
const views = (window.ddpgViews ??= {})

function remember(cell, root) {
  const view = (views[cell.id] ??= {ranges: {}, hidden: {}})
  cell.on('plotly_relayout', change => {
    for (const axis of new Set(Object.keys(change).map(name => name.match(/^[xy]axis\d*/)?.[0]).filter(Boolean))) {
      const {range, autorange, _rangeInitial0: low, _rangeInitial1: high} = cell._fullLayout[axis]
      const reset = autorange || (range[0] === low && range[1] === high)
      if (!reset) view.ranges[axis] = [...range]
      else if (delete view.ranges[axis]) cell.next ??= cell.figure
    }
    if (change['scene.camera']) view.camera = change['scene.camera']
    draw(root)
  })
  cell.on('plotly_restyle', () => {
    for (const trace of cell.data) if (trace.uid) view.hidden[trace.uid] = trace.visible === 'legendonly'
  })
  cell.on('plotly_click', ({points: [{x, y, curveNumber, pointNumber, customdata}]}) => {
    const chart = [...root.children].indexOf(cell)
    cell.choose?.({chart, x, y, trace: curveNumber, point: pointNumber, data: customdata ?? null})
  })
}

// A figure as the viewer left it.
const viewed = ({id}, {data, layout}) => {
  const {ranges, hidden, camera} = views[id] ?? {ranges: {}, hidden: {}}
  const axes = Object.entries(ranges).map(([name, range]) => [name, {...layout[name], range, autorange: false}])
  return {data: data.map(trace => hidden[trace.uid] ? {...trace, visible: 'legendonly'} : trace),
          layout: {...layout, ...Object.fromEntries(axes), ...(camera && {scene: {...layout.scene, camera}})}}
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
        const figure = viewed(cell, cell.next)
        cell.figure = cell.next
        cell.next = null
        again = true
        await Plotly.react(cell, figure.data, themed(cell, figure.layout),
          {responsive: true, scrollZoom: false, displaylogo: false, showSendToCloud: false, displayModeBar: matchMedia('(hover: none)').matches ? false : 'hover',
           modeBarButtonsToRemove: ['lasso2d', 'select2d', 'autoScale2d', 'sendChartToCloud']})
        if (!cell.dataset.drawn) remember(cell, root)
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

export default function ({data, parentElement, setTriggerValue}) {
  let root = parentElement.querySelector('.ddpg-charts')
  if (!root) {
    root = mount(parentElement, STYLE, '<div class="ddpg-charts"></div>', '.ddpg-charts')
    root.watch = new IntersectionObserver(entries => {
      for (const entry of entries) entry.target.seen = entry.isIntersecting
      draw(root)
    }, {rootMargin: '120px'})
    root.sizes = new ResizeObserver(entries => {
      for (const {target} of entries) if (target.dataset.drawn && target.isConnected) window.Plotly.Plots.resize(target)
    })
  }
  const theme = css(root, '--st-background-color') + typeScale()
  root.plotlyUrl = new URL(data.plotly, document.baseURI).href
  root.style.gridTemplateColumns = `repeat(auto-fit, minmax(min(100%, ${data.min_width}px), 1fr))`
  data.figures.forEach((figure, index) => {
    let cell = root.children[index]
    if (!cell) {
      cell = root.appendChild(document.createElement('div'))
      cell.className = 'ddpg-chart'
      cell.id = `chart-${data.name}-${index}`
      root.watch.observe(cell)
      root.sizes.observe(cell)
      hold(cell, root)
    }
    cell.choose = data.clicks ? point => setTriggerValue('click', point) : null
    const content = JSON.stringify(figure)
    if (cell.content === content && cell.theme === theme) return
    Object.assign(cell, {content, theme, next: figure})
    cell.style.height = `${heightOf(figure.layout)}px`
  })
  while (root.children.length > data.figures.length) {
    window.Plotly?.purge(root.lastChild)
    root.lastChild.remove()
  }
  draw(root)
  return () => setTimeout(() => {
    if (root.isConnected) return
    root.watch.disconnect()
    root.sizes.disconnect()
    for (const cell of root.children) window.Plotly?.purge(cell)
  })
}
