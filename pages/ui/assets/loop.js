// The DDPG loop: five parts joined by arrows, each with a live number and a link to the page that explains it.
const STYLE = `
.loop { position: relative; font-family: var(--st-font); color: var(--st-text-color); }
.loop > svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.arrow { fill: none; stroke: var(--st-text-color); stroke-opacity: .45; stroke-width: 2; }
.live .arrow { stroke-dasharray: 7 6; animation: flow 1s linear infinite; stroke-opacity: .7; }
@keyframes flow { to { stroke-dashoffset: -26; } }
@media (prefers-reduced-motion: reduce) { .live .arrow { animation: none; } }
.head { fill: var(--st-text-color); opacity: .7; }
.tag { position: absolute; transform: translate(-50%, -50%); background: var(--st-background-color); padding: 1px 7px;
  font-size: 13px; white-space: nowrap; border-radius: 6px; }
.box { all: unset; position: absolute; box-sizing: border-box; padding: 10px 14px; border-radius: 10px; cursor: pointer;
  border: 1px solid var(--st-border-color); border-top: 5px solid var(--role);
  background: var(--st-secondary-background-color); display: flex; flex-direction: column; overflow: hidden; }
.box:hover { border-color: var(--role); }
.box:focus-visible { outline: 2px solid var(--st-primary-color); }
.name { font-weight: 600; font-size: 16px; display: flex; justify-content: space-between; }
.go { font-size: 12px; font-weight: 400; opacity: .7; }
.number { font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; margin-top: 2px; }
.note { font-size: 13px; line-height: 1.3; opacity: .82; }
.box svg.spark { position: absolute; right: 12px; bottom: 10px; width: 88px; height: 30px; overflow: visible; }
.spark path { fill: none; stroke: var(--role); stroke-width: 2; stroke-linejoin: round; }
.rod { position: absolute; right: 14px; bottom: 8px; width: 66px; height: 66px; }
.rod line { stroke: #cc4d4d; stroke-width: 8; stroke-linecap: round; }
.rod circle { fill: var(--st-text-color); }`

// Box centres and sizes as shares of the drawing, for a wide and for a narrow page.
const WIDE = {height: 410, box: [0.245, 118], at: {environment: [0.1275, 0.5], replay: [0.5, 0.155], critic: [0.8725, 0.155],
  actor: [0.5, 0.845], targets: [0.8725, 0.845]}}
const NARROW = {height: 780, box: [0.86, 104], at: {environment: [0.43, 0.07], replay: [0.43, 0.285], critic: [0.43, 0.5],
  targets: [0.43, 0.715], actor: [0.43, 0.93]}}
const WIDE_ARROWS = [
  ['environment', 'top', 'replay', 'left', '(s, a, r, s′)'], ['replay', 'right', 'critic', 'left', 'batch'],
  ['critic', 'bottom', 'actor', 'right', '∂Q/∂a'], ['actor', 'left', 'environment', 'bottom', 'action + noise'],
  ['critic', 'bottom+', 'targets', 'top+', 'τ'], ['targets', 'top', 'critic', 'bottom', ''],
  ['actor', 'right+', 'targets', 'left+', 'τ']]
const NARROW_ARROWS = [
  ['environment', 'bottom', 'replay', 'top', '(s, a, r, s′)'], ['replay', 'bottom', 'critic', 'top', 'batch'],
  ['critic', 'bottom', 'targets', 'top', 'τ'], ['targets', 'bottom', 'actor', 'top', '∂Q/∂a, τ'],
  ['actor', 'side', 'environment', 'side', 'action + noise']]

const anchor = ([x, y], [w, h], side) => {
  const shift = side.endsWith('+') ? 1 : 0
  return {top: [x + shift * w * 0.3, y - h / 2], bottom: [x + shift * w * 0.3, y + h / 2],
          left: [x - w / 2, y + shift * h * 0.28], right: [x + w / 2, y + shift * h * 0.28],
          side: [x + w / 2, y]}[side.replace('+', '')]
}
const route = ([x1, y1], from, [x2, y2], to, width) => {
  if (from === 'side') return `M${x1} ${y1}C${width + 6} ${y1} ${width + 6} ${y2} ${x2} ${y2}`
  const bend = (side, x, y, d) => ({top: [x, y - d], bottom: [x, y + d], left: [x - d, y], right: [x + d, y]}[side.replace('+', '')])
  const d = Math.max(24, Math.hypot(x2 - x1, y2 - y1) * 0.42)
  const [a, b] = bend(from, x1, y1, d), [c, e] = bend(to, x2, y2, d)
  return `M${x1} ${y1}C${a} ${b} ${c} ${e} ${x2} ${y2}`
}

function arrange(root) {
  const width = root.clientWidth
  if (!width || root.dataset.width === String(width)) return
  root.dataset.width = width
  const plan = width > 640 ? WIDE : NARROW, arrows = width > 640 ? WIDE_ARROWS : NARROW_ARROWS
  root.style.height = `${plan.height}px`
  const size = [plan.box[0] * width, plan.box[1]]
  const centre = key => [plan.at[key][0] * width, plan.at[key][1] * plan.height]
  for (const box of root.querySelectorAll('.box')) {
    const [x, y] = centre(box.dataset.part)
    Object.assign(box.style, {left: `${x - size[0] / 2}px`, top: `${y - size[1] / 2}px`, width: `${size[0]}px`, height: `${size[1]}px`})
  }
  const svg = root.querySelector(':scope > svg')
  svg.innerHTML = '<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
  root.querySelectorAll('.tag').forEach(tag => tag.remove())
  for (const [from, out, to, into, label] of arrows) {
    const path = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'path'))
    path.setAttribute('class', 'arrow')
    path.setAttribute('marker-end', 'url(#head)')
    path.setAttribute('d', route(anchor(centre(from), size, out), out, anchor(centre(to), size, into), into, width))
    if (!label) continue
    const middle = path.getPointAtLength(path.getTotalLength() * (out === 'side' ? 0.3 : 0.5))
    const tag = root.appendChild(document.createElement('div'))
    tag.className = 'tag'
    tag.textContent = label
    tag.style.left = `${out === 'side' ? Math.min(middle.x, width - 54) : middle.x}px`
    tag.style.top = `${middle.y}px`
  }
}

const curve = values => {
  if (values.length < 2) return ''
  const low = Math.min(...values), span = Math.max(...values) - low || 1
  return values.map((v, i) => `${i ? 'L' : 'M'}${(88 * i / (values.length - 1)).toFixed(1)} ${(28 - 26 * (v - low) / span).toFixed(1)}`).join('')
}

export default function ({data, parentElement, setTriggerValue}) {
  let root = parentElement.querySelector('.loop')
  if (!root) {
    parentElement.insertAdjacentHTML('beforeend', `<style>${STYLE}</style><div class="loop"><svg aria-hidden="true"></svg></div>`)
    root = parentElement.querySelector('.loop')
    for (const {part} of data.parts) {
      const box = root.appendChild(document.createElement('button'))
      box.className = 'box'
      box.dataset.part = part
      box.innerHTML = `<div class="name"><span></span><span class="go"></span></div><div class="number"></div><div class="note"></div>` +
        (part === 'environment' ? '<svg class="rod" viewBox="-33 -33 66 66" aria-hidden="true"><line/><circle r="3.4"/></svg>'
                                : '<svg class="spark" aria-hidden="true"><path/></svg>')
    }
    root.watch = new ResizeObserver(() => arrange(root))
    root.watch.observe(root)
  }
  root.classList.toggle('live', data.live)
  for (const {part, name, number, note, colour, spark, page, angle} of data.parts) {
    const box = root.querySelector(`[data-part=${part}]`)
    box.style.setProperty('--role', colour)
    box.querySelector('.name span').textContent = name
    box.querySelector('.go').textContent = `${page} ›`
    box.querySelector('.number').textContent = number
    box.querySelector('.note').textContent = note
    box.querySelector('.spark path')?.setAttribute('d', curve(spark))
    const rod = box.querySelector('.rod')
    if (rod) {
      rod.style.display = angle === null ? 'none' : ''
      rod.querySelector('line').setAttribute('x2', (-26 * Math.sin(angle)).toFixed(2))
      rod.querySelector('line').setAttribute('y2', (-26 * Math.cos(angle)).toFixed(2))
    }
    box.onclick = () => setTriggerValue('page', page.toLowerCase())
  }
  arrange(root)
  return () => setTimeout(() => root.isConnected || root.watch.disconnect())
}
