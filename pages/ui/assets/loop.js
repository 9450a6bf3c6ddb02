// The DDPG loop: five parts joined by arrows, each with a live number and a link to the page that explains it.
import {mount, spark, typeScale} from './shared.js'

const STYLE = `
.loop { position: relative; font-family: var(--st-font); color: var(--st-text-color); }
.loop > svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.arrow { fill: none; stroke: var(--st-text-color); stroke-opacity: .45; stroke-width: 2; }
.live .arrow { stroke-dasharray: 7 6; animation: flow 1s linear infinite; stroke-opacity: .7; }
@keyframes flow { to { stroke-dashoffset: -26; } }
@media (prefers-reduced-motion: reduce) { .live .arrow { animation: none; } }
.head { fill: var(--st-text-color); opacity: .7; }
.tag { position: absolute; transform: translate(-50%, -50%); background: var(--st-background-color); padding: 1px 7px;
  font-size: 0.867rem; white-space: nowrap; border-radius: 6px; }
.box { all: unset; position: absolute; box-sizing: border-box; padding: 10px 14px; border-radius: 10px; cursor: pointer;
  border: 1px solid var(--st-border-color); border-top: 5px solid var(--role);
  background: var(--st-secondary-background-color); display: flex; flex-direction: column; overflow: hidden; }
.box:hover { border-color: var(--role); }
.box:focus-visible { outline: 2px solid var(--st-primary-color); }
.name { font-weight: 600; font-size: 1.067rem; display: flex; justify-content: space-between; }
.go { font-size: 0.8rem; font-weight: 400; opacity: .7; }
.number { font-size: 1.533rem; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; margin-top: 2px; }
.note { font-size: 0.867rem; line-height: 1.3; opacity: .82; }
.box svg.spark { position: absolute; right: 12px; bottom: 10px; width: 88px; height: 30px; overflow: visible; }
.spark path { fill: none; stroke: var(--role); stroke-width: 2; stroke-linejoin: round; }
.rod { position: absolute; right: 14px; bottom: 8px; width: 66px; height: 66px; }
.rod line { stroke: #cc4d4d; stroke-width: 8; stroke-linecap: round; }
.rod circle { fill: var(--st-text-color); }`

// Box centres and sizes as shares of the drawing, for a wide and for a narrow page.
const WIDE = {height: 410, box: [0.245, 118], at: {environment: [0.1275, 0.5], replay: [0.5, 0.155], critic: [0.8725, 0.155],
  actor: [0.5, 0.845], targets: [0.8725, 0.845]}}
const NARROW = {height: 780, box: [0.84, 104], at: {environment: [0.42, 0.07], replay: [0.42, 0.285], critic: [0.42, 0.5],
  targets: [0.42, 0.715], actor: [0.42, 0.93]}}
// From a side of one box to a side of another, each with a shift along that side (−1 to 1), and what flows there.
const WIDE_ARROWS = [
  ['environment', 'top', 0, 'replay', 'left', 0, '(s, a, r, s′)'], ['replay', 'right', 0, 'critic', 'left', -0.3, 'batch'],
  ['critic', 'left', 0.55, 'actor', 'top', 0.5, '∂Q/∂a'], ['actor', 'left', 0, 'environment', 'bottom', 0, 'action + noise'],
  ['critic', 'bottom', 0.5, 'targets', 'top', 0.5, 'τ'], ['targets', 'top', -0.4, 'critic', 'bottom', -0.4, 'y'],
  ['actor', 'right', 0, 'targets', 'left', 0, 'τ']]
const NARROW_ARROWS = [
  ['environment', 'bottom', 0, 'replay', 'top', 0, '(s, a, r, s′)'], ['replay', 'bottom', 0, 'critic', 'top', 0, 'batch'],
  ['critic', 'bottom', 0.5, 'targets', 'top', 0.5, 'τ'], ['targets', 'top', -0.5, 'critic', 'bottom', -0.5, 'y'],
  ['actor', 'top', 0, 'targets', 'bottom', 0, 'τ'], ['critic', 'right', 0, 'actor', 'right', -0.4, '∂Q/∂a'],
  ['actor', 'right', 0.4, 'environment', 'right', 0, 'action']]

const anchor = ([x, y], [w, h], side, shift) => ({
  top: [x + shift * w / 2, y - h / 2], bottom: [x + shift * w / 2, y + h / 2],
  left: [x - w / 2, y + shift * h / 2], right: [x + w / 2, y + shift * h / 2]}[side])

const away = ([x, y], side, d) => ({top: [x, y - d], bottom: [x, y + d], left: [x - d, y], right: [x + d, y]}[side])

const route = (start, out, end, into, roomRight) => {
  const around = out === 'right' && into === 'right'
  const d = around ? Math.min(roomRight, 18 + Math.abs(start[1] - end[1]) / 18) : Math.max(24, Math.hypot(end[0] - start[0], end[1] - start[1]) * 0.42)
  return `M${start}C${away(start, out, d)} ${away(end, into, d)} ${end}`
}

function arrange(root) {
  const width = root.clientWidth, scale = typeScale()
  if (!width || root.dataset.drawn === `${width} ${scale}`) return
  root.dataset.drawn = `${width} ${scale}`
  const plan = width > 640 ? WIDE : NARROW, arrows = width > 640 ? WIDE_ARROWS : NARROW_ARROWS, height = plan.height * scale
  root.style.height = `${height}px`
  const size = [plan.box[0] * width, plan.box[1] * scale]
  const centre = key => [plan.at[key][0] * width, plan.at[key][1] * height]
  for (const box of root.querySelectorAll('.box')) {
    const [x, y] = centre(box.dataset.part)
    Object.assign(box.style, {left: `${x - size[0] / 2}px`, top: `${y - size[1] / 2}px`, width: `${size[0]}px`, height: `${size[1]}px`})
  }
  const svg = root.querySelector(':scope > svg')
  svg.innerHTML = '<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
  root.querySelectorAll('.tag').forEach(tag => tag.remove())
  for (const [from, out, outShift, to, into, intoShift, label] of arrows) {
    const path = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'path'))
    path.setAttribute('class', 'arrow')
    path.setAttribute('marker-end', 'url(#head)')
    path.setAttribute('d', route(anchor(centre(from), size, out, outShift), out,
                                 anchor(centre(to), size, into, intoShift), into, width * 0.2))
    const middle = path.getPointAtLength(path.getTotalLength() / 2)
    const tag = root.appendChild(document.createElement('div'))
    tag.className = 'tag'
    tag.textContent = label
    tag.style.left = `${Math.min(middle.x, width - tag.offsetWidth / 2)}px`
    tag.style.top = `${middle.y}px`
  }
}

export default function ({data, parentElement, setTriggerValue}) {
  let root = parentElement.querySelector('.loop')
  if (!root) {
    root = mount(parentElement, STYLE, '<div class="loop"><svg aria-hidden="true"></svg></div>', '.loop')
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
  for (const {part, name, number, note, colour, course, page, angle} of data.parts) {
    const box = root.querySelector(`[data-part=${part}]`)
    box.style.setProperty('--role', colour)
    box.querySelector('.name span').textContent = name
    box.querySelector('.go').textContent = `${page} ›`
    box.querySelector('.number').textContent = number
    box.querySelector('.note').textContent = note
    box.querySelector('.spark path')?.setAttribute('d', spark(course, 88))
    const rod = box.querySelector('.rod')
    if (rod) {
      rod.style.display = angle === null ? 'none' : ''
      rod.querySelector('line').setAttribute('x2', (-26 * Math.sin(angle)).toFixed(2))
      rod.querySelector('line').setAttribute('y2', (-26 * Math.cos(angle)).toFixed(2))
    }
    box.onclick = () => setTriggerValue('part', part)
  }
  arrange(root)
  return () => setTimeout(() => root.isConnected || root.watch.disconnect())
}
