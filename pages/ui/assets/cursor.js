// The cursor: which moment all pages show. Live, or when so many episodes were finished; with arrow keys and play.
import {mount} from './shared.js'

const STYLE = `
.cursor { display: flex; gap: 10px; align-items: center; font-family: var(--st-font); font-size: 0.933rem; min-height: 34px;
  color: var(--st-text-color); font-variant-numeric: tabular-nums; }
.cursor input { flex: 1; min-width: 80px; accent-color: var(--st-primary-color); height: 26px; }
.cursor button { font: inherit; color: inherit; background: var(--st-background-color); height: 32px; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: 0 12px; white-space: nowrap; }
.cursor button:disabled { opacity: .45; cursor: default; }
.cursor .play { width: 36px; padding: 0; }
.cursor .play svg { width: 12px; height: 12px; vertical-align: middle; fill: currentColor; }
.cursor .when { min-width: 128px; white-space: nowrap; }
.cursor .live[aria-pressed=true] { border-color: var(--st-primary-color); color: var(--st-primary-color); font-weight: 600; }
.cursor .branch { display: none; }
.cursor.past .branch { display: block; }
.cursor.past .when { font-weight: 600; }
@media (max-width: 640px) {
  .cursor { flex-wrap: wrap; row-gap: 4px } .cursor input { flex-basis: 40% }
  .cursor .when { order: 1; flex: 1 0 50%; min-width: 0 } .cursor .branch { order: 2 }
}`

const PLAY = 'M2 1l9 5-9 5z', PAUSE = 'M2 1h3v10H2zM7 1h3v10H7z'
const EVERY_MS = 120, PLAY_MS = 450, ANSWER_MS = 2500

const episodes = n => n === 1 ? 'after 1 episode' : `after ${n.toLocaleString('en')} episodes`

function show(root) {
  const {data, wanted, playing} = root.state
  const find = selector => root.querySelector(selector)
  const past = wanted !== null, slider = find('input')
  slider.min = data.first
  slider.max = data.last
  slider.disabled = find('.play').disabled = data.last <= data.first
  slider.value = past ? wanted : data.last
  slider.setAttribute('aria-valuetext', past ? episodes(wanted) : 'live')
  root.classList.toggle('past', past)
  find('.when').textContent = past ? episodes(wanted) : `now, ${episodes(data.last)}`
  find('.live').setAttribute('aria-pressed', !past)
  find('.play path').setAttribute('d', playing ? PAUSE : PLAY)
  find('.play').setAttribute('aria-label', playing ? 'Stop going through the episodes' : 'Go through the episodes')
}

// Tell the server at most every EVERY_MS where the cursor is; the last move always arrives.
function tell(root) {
  const state = root.state
  state.told = performance.now()
  if (state.timer) return
  state.timer = setTimeout(() => {
    state.timer = null
    state.set('action', {kind: 'move', episode: state.wanted})
  }, Math.max(0, EVERY_MS - (performance.now() - (state.sent ?? 0))))
  state.sent = performance.now()
}

function move(root, episode) {
  const {state} = root, {first, last} = state.data
  state.wanted = episode === null ? null : Math.min(Math.max(episode, first), last)
  show(root)
  tell(root)
}

function play(root, on) {
  const {state} = root
  state.playing = on
  clearInterval(state.clock)
  if (on) {
    if (state.wanted === null || state.wanted >= state.data.last) move(root, state.data.first)
    state.clock = setInterval(() => {
      if (!root.isConnected) clearInterval(state.clock)
      else if (state.wanted === null || state.wanted >= state.data.last) {
        if (state.wanted > state.data.last) state.wanted = state.data.episode
        play(root, false)
      }
      else move(root, state.wanted + 1)
    }, PLAY_MS)
  }
  show(root)
}

function build(host) {
  const root = mount(host, STYLE, `<div class="cursor" role="group" aria-label="Time machine">
    <button type="button" class="play"><svg viewBox="0 0 12 12" aria-hidden="true"><path/></svg></button>
    <input type="range" step="1" aria-label="Episode shown on all pages">
    <span class="when"></span><button type="button" class="live">Live</button>
    <button type="button" class="branch" title="A new run that shares this past and trains on from this episode">Go on from here</button>
    </div>`, '.cursor')
  root.state = {wanted: null, playing: false}
  const go = episode => {
    play(root, false)
    move(root, episode)
  }
  root.querySelector('input').oninput = event => go(Number(event.target.value))
  root.querySelector('.play').onclick = () => play(root, !root.state.playing)
  root.querySelector('.live').onclick = () => go(null)
  root.querySelector('.branch').onclick = () => {
    play(root, false)
    root.state.set('action', {kind: 'branch', episode: root.state.wanted})
  }
  // Arrow keys move the cursor wherever nothing else has the focus.
  const keys = event => {
    if (!root.isConnected) return removeEventListener('keydown', keys)
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key], {data, wanted} = root.state
    if (!step || event.ctrlKey || event.metaKey || event.altKey || document.activeElement !== document.body) return
    if (wanted !== null || step < 0) go((wanted ?? data.last) + step)
  }
  addEventListener('keydown', keys)
  return root
}

export default function ({data, parentElement, setTriggerValue}) {
  const root = parentElement.querySelector('.cursor') ?? build(parentElement)
  const {state} = root
  state.data = data
  state.set = setTriggerValue
  // What the server says is older than what the user just did, until it has answered.
  const answered = data.episode === state.wanted || performance.now() - (state.told ?? -Infinity) > ANSWER_MS
  if (answered && !state.playing) state.wanted = data.episode
  show(root)
}
