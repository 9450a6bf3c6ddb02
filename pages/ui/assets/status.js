// One line under the transport: what the selected run is doing right now, in large tabular figures.
import {mount} from './shared.js'

const STYLE = `
.status { display: flex; flex-wrap: wrap; gap: 4px 26px; align-items: baseline; font-family: var(--st-font);
  color: var(--st-text-color); font-variant-numeric: tabular-nums; padding: 2px 0 6px; min-height: 46px; }
.item { display: flex; flex-direction: column; min-width: 86px; }
.item.name { min-width: 150px; max-width: 100%; }
.item.name span { white-space: normal; overflow-wrap: anywhere; max-width: 46ch; }
.item b { font-size: 1.333rem; font-weight: 600; line-height: 1.25; white-space: nowrap; }
.item span { font-size: 0.8rem; opacity: .72; white-space: nowrap; }
.dot { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 7px; }
@media (max-width: 640px) {
  .status { gap: 4px 16px; flex-wrap: nowrap; overflow-x: auto; }
  .item { min-width: max-content } .item b { font-size: 1.133rem }
}`

export default function ({data, parentElement}) {
  let line = parentElement.querySelector('.status')
  if (!line) {
    line = mount(parentElement, STYLE, '<div class="status" role="status" aria-live="off"></div>', '.status')
  }
  data.items.forEach(({value, label, colour}, index) => {
    let item = line.children[index]
    if (!item) {
      item = line.appendChild(document.createElement('div'))
      item.className = index ? 'item' : 'item name'
      item.append(document.createElement('b'), document.createElement('span'))
    }
    item.firstChild.textContent = value
    item.lastChild.textContent = label
    if (colour) {
      const dot = document.createElement('i')
      dot.className = 'dot'
      dot.style.background = colour
      item.firstChild.prepend(dot)
    }
  })
  while (line.children.length > data.items.length) line.lastChild.remove()
}
