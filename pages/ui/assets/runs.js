// The sidebar's list of runs: colour, label, difference from the preset, episode, mean return and its curve; branches
// stand under the run that they left.
import {mount, spark} from './shared.js'

const STYLE = `
.runs { display: flex; flex-direction: column; gap: 8px; font-family: var(--st-font); color: var(--st-text-color); }
.run { position: relative; border: 1px solid var(--st-border-color); border-left: 5px solid var(--run);
  border-radius: var(--st-base-radius); background: var(--st-background-color); }
.run.selected { outline: 2px solid var(--st-primary-color); outline-offset: -1px; }
button { all: unset; cursor: pointer; box-sizing: border-box; }
button:focus-visible { outline: 2px solid var(--st-primary-color); border-radius: 6px; }
.pick { display: block; width: 100%; padding: 9px 10px 8px; }
.top { display: flex; gap: 8px; align-items: baseline; padding-right: 54px; }
.top b { font-weight: 600; font-size: 1rem; white-space: nowrap; }
.difference { font-size: 0.8rem; opacity: .75; overflow-wrap: anywhere; }
.numbers { display: flex; justify-content: space-between; align-items: end; font-size: 0.867rem; gap: 8px;
  font-variant-numeric: tabular-nums; }
.numbers span:first-child { white-space: pre-line; line-height: 1.35; }
svg { width: 62px; height: 30px; overflow: visible; flex: none; }
path { fill: none; stroke: var(--run); stroke-width: 1.8; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.tools { position: absolute; top: 5px; right: 5px; display: flex; gap: 2px; }
.tools button { width: 25px; height: 25px; text-align: center; border-radius: 6px; font-size: 1rem; line-height: 25px; opacity: .8; }
.tools button:hover { background: var(--st-secondary-background-color); opacity: 1; }
.tools svg { width: 13px; height: 13px; vertical-align: middle; }
.tools path { fill: var(--st-text-color); stroke: var(--st-text-color); stroke-width: 1; }
.tools .cross path { fill: none; stroke-width: 1.8; }`

const ICONS = {pause: 'M2 1h3v10H2zM7 1h3v10H7z', play: 'M2 1l9 5-9 5z', remove: 'M2 2l8 8M10 2l-8 8'}
const icon = name => `<svg viewBox="0 0 12 12" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`

const blank = () => {
  const card = document.createElement('div')
  card.innerHTML = `<button class="pick"><div class="top"><b></b></div><div class="difference"></div>
    <div class="numbers"><span></span><svg aria-hidden="true"><path/></svg></div></button>
    <div class="tools"><button class="toggle"></button><button class="cross" title="Remove this run">${icon('remove')}</button></div>`
  return card
}

export default function ({data, parentElement, setTriggerValue}) {
  let list = parentElement.querySelector('.runs')
  if (!list) {
    list = mount(parentElement, STYLE, '<div class="runs"></div>', '.runs')
  }
  data.runs.forEach((run, index) => {
    const card = list.children[index] ?? list.appendChild(blank())
    const find = selector => card.querySelector(selector)
    card.className = run.selected ? 'run selected' : 'run'
    card.style.setProperty('--run', run.colour)
    card.style.marginLeft = `${12 * run.generation}px`
    find('b').textContent = run.label
    find('.difference').textContent = run.difference
    find('.numbers span').textContent = `${run.state}\n${run.result}`
    find('.numbers path').setAttribute('d', spark(run.curve, 62))
    find('.pick').setAttribute('aria-pressed', run.selected)
    find('.pick').onclick = () => setTriggerValue('action', {kind: 'select', id: run.id})
    const toggle = find('.toggle'), kind = run.playing ? 'pause' : 'play'
    if (toggle.dataset.kind !== kind) {
      toggle.innerHTML = icon(kind)
      toggle.dataset.kind = kind
    }
    toggle.title = run.playing ? 'Pause this run' : 'Train this run'
    toggle.onclick = () => setTriggerValue('action', {kind, id: run.id})
    find('.cross').onclick = () => setTriggerValue('action', {kind: 'remove', id: run.id})
  })
  while (list.children.length > data.runs.length) list.lastChild.remove()
}
