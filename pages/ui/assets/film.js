// The film: plays one or two episodes from their logged states on one clock, as frames that pygame rendered, with
// traces that share its time.
import {css, fit, floats, legible, mount, signed} from './shared.js'
import {drawPendulum} from './pendulum.js'

const STYLE = `
:host { display: block; container-type: inline-size; }
.film { display: grid; grid-template: "screen traces" / minmax(280px, 470px) minmax(260px, 1fr); gap: 22px;
  font-family: var(--st-font); color: var(--st-text-color); font-variant-numeric: tabular-nums; }
.film.two { grid-template: "screen" "traces" / minmax(0, 1fr); }
.screen { grid-area: screen; }
.stages { display: flex; gap: 14px; }
.stage { position: relative; flex: 1; min-width: 0; }
.two .stage { max-width: 420px; }
.two .bar { max-width: 854px; }
canvas { display: block; width: 100%; }
.stage canvas { aspect-ratio: 1; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); box-sizing: border-box;
  background: var(--st-secondary-background-color); }
.wide .stage canvas { aspect-ratio: 3 / 2; }
.two .stage canvas { border-top: 5px solid var(--run); }
.caption { position: absolute; left: 14px; top: 10px; right: 14px; display: flex; justify-content: space-between; gap: 8px;
  font-size: 14px; }
.two .caption { top: 14px; }
.wide .caption { justify-content: start; gap: 14px; color: #1c2029; }
.bar { display: flex; gap: 10px; align-items: center; margin-top: 10px; }
.bar button, .bar select { font: inherit; font-size: 14px; color: inherit; background: var(--st-background-color); height: 36px;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: 0 12px; cursor: pointer; }
.bar button { min-width: 78px; }
.bar select { padding: 0 4px; }
.bar select:disabled { cursor: default; opacity: .6; }
.bar input { flex: 1; min-width: 50px; height: 36px; margin: 0; accent-color: var(--st-primary-color); }
.bar output { font-size: 14px; min-width: 46px; text-align: right; }
.traces { grid-area: traces; display: flex; flex-direction: column; justify-content: space-between; gap: 6px; }
.trace .line { display: flex; justify-content: space-between; align-items: baseline; gap: 10px; font-size: 14px; }
.trace .line > span { white-space: nowrap; }
.trace .numbers { display: flex; align-items: baseline; gap: 10px; font-size: 15px; white-space: nowrap; }
.trace b { font-weight: 600; }
.trace i { display: inline-block; width: 14px; margin-right: 5px; border-top: 3px solid var(--run); vertical-align: middle; }
.two .trace b + b i { border-top-style: dashed; }
.trace small { font-size: 13px; opacity: .8; }
.trace canvas { height: 62px; }
.trace.main .line > span { font-weight: 600; }
.trace.main .numbers { font-size: 20px; }
.trace.main canvas { height: 116px; }
.axis { display: flex; justify-content: space-between; margin-left: 38px; font-size: 12px; opacity: .85; }
.axis + .axis { display: none; }
@media (min-width: 821px) {
  .two .traces { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 8px 22px; }
  .two .axis + .axis { display: flex; }
}
@media (max-width: 820px) {
  .film { grid-template: "screen" "traces" / minmax(0, 1fr); gap: 14px; }
  .film.two .stages { flex-direction: column; align-items: center; gap: 8px; }
  .two .stage { width: min(100%, 270px); flex: none; }
  .two.wide .stage { width: 100%; }
}
@container (max-width: 640px) {
  .film { grid-template: "screen" "traces" / minmax(0, 1fr); gap: 14px; }
  .two .trace { display: flex; flex-direction: column; justify-content: end; }
  .two .trace .line { flex-wrap: wrap; row-gap: 0; }
  .two .trace .line > :first-child { flex-basis: 100%; }
  .two .total { white-space: nowrap; }
}
@container (min-width: 420px) and (max-width: 640px) { .film:not(.two) .stage { max-width: 320px; } }`
const MARKUP = `<div class="screen"><div class="stages"></div>
  <div class="bar"><button type="button">Pause</button><input type="range" min="0" step="any" aria-label="Time in the episode">
    <output aria-label="Time">0.0 s</output>
    <select aria-label="Playing speed"><option value="0.25">¼×</option><option value="0.5">½×</option>
    <option value="1" selected>1×</option><option value="2">2×</option><option value="4">4×</option></select></div></div>
  <div class="traces"></div>`
const STAGE = '<canvas role="img"></canvas><div class="caption"><span class="episode"></span><span class="total"></span></div>'
const TRACE = '<div class="line"><span></span><span class="numbers"></span></div><canvas></canvas>'

const GUTTER_PX = 38, REST_S = 1.2
const STEP_OF = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}

const add = (parent, name, markup) => {
  const element = parent.appendChild(document.createElement('div'))
  element.className = name
  element.innerHTML = markup
  return element
}

const decode = clip => ({...clip, traces: clip.traces.map(trace => ({...trace, values: floats(trace.values)})),
                         length: clip.traces[0].length,
                         images: (clip.frames ?? []).map(source => Object.assign(new Image(), {src: source}))})

const at = (values, time) => values[Math.min(Math.floor(time), values.length - 1)]
const last = clips => Math.max(...clips.map(clip => clip.length)) - 1
const total = clips => Math.max(...clips.map(clip => Math.max(clip.steps, clip.length)))
const colour = (state, canvas, index, trace) => legible(canvas, state.clips.length > 1 ? state.clips[index].colour : trace.colour)

// --- the clock --------------------------------------------------------------------------------------------------------

// How many steps a film that follows a run stays behind it, so that it need not wait for the next refresh.
const behind = state => 0.5 + state.pace * state.every

// Steps a second. A run that is followed sets the pace itself; a film far behind it catches up at the usual one.
function rate(state, speed) {
  if (!state.pace) return state.film.rate * speed
  if (state.pending || state.clips.every(clip => clip.finished)) return state.pace
  const lag = last(state.clips) - state.time, wanted = behind(state)
  if (lag <= 0) state.waiting = true
  if (lag >= wanted) state.waiting = false
  if (state.waiting) return 0
  if (lag > 3 * wanted) return Math.max(state.film.rate, 1.1 * state.pace)
  return state.pace * Math.min(1.3, 0.7 + 0.3 * lag / wanted)
}

function advance(state, seconds, speed) {
  const end = last(state.clips)
  state.time = Math.min(end, state.time + seconds * rate(state, speed))
  state.rested = state.time >= end ? state.rested + seconds : 0
  if (state.time < end) return
  if (state.pending) show(state, state.pending)
  else if (!state.pace && state.rested > REST_S && state.clips.every(clip => clip.finished)) state.time = state.rested = 0
}

// Turns to other episodes: from their start, or close to the newest step where a run is followed.
function show(state, clips) {
  state.clips = clips
  state.pending = null
  state.time = state.rested = 0
  state.waiting = false
  const end = last(clips)
  if (state.pace && !clips.every(clip => clip.finished) && end > 3 * behind(state)) state.time = end - behind(state)
}

function take(state, clips, live) {
  const same = (one, other, key) => one.length === other.length && one.every((clip, index) => clip[key] === other[index][key])
  const followed = live && state.live && same(state.clips, clips, 'run')
  if (same(state.clips, clips, 'id')) Object.assign(state, {clips, pending: null})
  else if (followed && state.time < last(state.clips)) state.pending = clips
  else show(state, clips)
  state.live = live
}

// --- pictures ---------------------------------------------------------------------------------------------------------

function drawFrame(canvas, {frames, every, images}, time) {
  const [c, w, h] = fit(canvas)
  const image = images[Math.min(Math.floor(time / every), frames.length - 1)]
  if (image?.complete && image.naturalWidth) c.drawImage(image, 0, 0, w, h)
}

function drawStage(state, stage, clip) {
  const canvas = stage.querySelector('canvas'), time = Math.min(state.time, clip.length - 1)
  const values = key => clip.traces.find(trace => trace.key === key).values
  if (state.film.sheet) drawPendulum(canvas, state.sheet, state.film, values('angle'), values('torque'), time)
  else drawFrame(canvas, clip, time)
  canvas.setAttribute('aria-label', `${clip.title} in motion`)
  stage.style.setProperty('--run', legible(canvas, clip.colour))
  stage.querySelector('.episode').textContent = clip.title
  stage.querySelector('.total').textContent = clip.note
}

function drawTrace(state, index, canvas) {
  const [c, w, h] = fit(canvas), steps = Math.max(total(state.clips), 2)
  const {low, high, ticks} = state.clips[0].traces[index]
  const x = i => GUTTER_PX + (w - GUTTER_PX - 6) * i / (steps - 1), y = v => 4 + (h - 8) * (1 - (v - low) / (high - low))
  const upright = i => { c.beginPath(); c.moveTo(x(i), 0); c.lineTo(x(i), h); c.stroke() }
  c.strokeStyle = css(canvas, '--st-border-color')
  c.fillStyle = css(canvas, '--st-text-color')
  c.font = `12px ${css(canvas, '--st-font')}`
  c.textAlign = 'right'
  c.strokeRect(GUTTER_PX - 0.5, 0.5, w - GUTTER_PX, h - 1)
  for (const [value, text] of ticks) {
    c.textBaseline = y(value) < 10 ? 'top' : y(value) > h - 10 ? 'bottom' : 'middle'
    c.fillText(text, GUTTER_PX - 6, y(value))
    c.beginPath(); c.moveTo(GUTTER_PX, y(value)); c.lineTo(w, y(value)); c.stroke()
  }
  c.setLineDash([3, 3])
  for (const clip of state.clips) {
    c.strokeStyle = legible(canvas, state.clips.length > 1 ? clip.colour : state.film.mark)
    clip.marks.forEach(upright)
  }
  c.lineWidth = 2
  state.clips.forEach(({traces}, number) => {
    c.strokeStyle = colour(state, canvas, number, traces[index])
    c.setLineDash(number ? [7, 4] : [])
    drawLine(c, traces[index], x, y)
  })
  c.setLineDash([])
  c.strokeStyle = css(canvas, '--st-text-color')
  c.lineWidth = 1
  upright(state.time)
  state.clips.forEach(({traces}, number) => {
    const time = Math.min(state.time, traces[index].length - 1)
    c.fillStyle = colour(state, canvas, number, traces[index])
    c.beginPath(); c.arc(x(time), y(at(traces[index].values, time)), 4.5, 0, 7); c.fill()
  })
}

function drawLine(c, {values, around}, x, y) {
  c.beginPath()
  values.forEach((v, i) => {
    const jump = i && around && Math.abs(v - values[i - 1]) > Math.PI
    i && !jump ? c.lineTo(x(i), y(v)) : c.moveTo(x(i), y(v))
  })
  c.stroke()
}

function draw(root) {
  const state = root.state, seconds = time => `${(time / state.film.rate).toFixed(1)} s`
  root.querySelectorAll('.stage').forEach((stage, index) => drawStage(state, stage, state.clips[index]))
  root.querySelectorAll('.trace').forEach((row, index) => {
    const canvas = row.querySelector('canvas')
    drawTrace(state, index, canvas)
    row.querySelectorAll('b').forEach((number, which) => {
      const trace = state.clips[which].traces[index]
      number.style.setProperty('--run', colour(state, canvas, which, trace))
      number.lastChild.textContent = signed(at(trace.values, state.time), trace.digits)
    })
  })
  const end = total(state.clips) - 1, slider = root.querySelector('input')
  for (const axis of root.querySelectorAll('.axis'))
    [0, end / 2, end].forEach((time, index) => { axis.children[index].textContent = seconds(time) })
  slider.max = end
  if (!state.dragging) slider.value = state.time
  slider.setAttribute('aria-valuetext', `step ${Math.floor(state.time) + 1} of ${end + 1}, ${seconds(state.time)}`)
  root.querySelector('output').textContent = seconds(state.time)
  root.dataset.time = state.time.toFixed(2)
}

function tick(root, now) {
  const state = root.state
  if (!root.isConnected) return
  requestAnimationFrame(next => tick(root, next))
  const seconds = Math.min(0.2, (now - (state.before ?? now)) / 1000)
  state.before = now
  if (state.playing && !state.dragging) advance(state, seconds, Number(root.querySelector('select').value))
  const loaded = state.sheet.complete && state.clips.every(clip => clip.images.every(image => image.complete))
  const seen = [state.time, root.clientWidth, window.devicePixelRatio, css(root, '--st-background-color'), loaded].join()
  if (seen === state.seen && state.drawn === state.clips) return
  Object.assign(state, {seen, drawn: state.clips})
  draw(root)
}

// --- putting it up ----------------------------------------------------------------------------------------------------

function build(root, clips, sheet) {
  const state = root.state
  root.className = `film${clips.length > 1 ? ' two' : ''}${sheet ? '' : ' wide'}`
  root.innerHTML = MARKUP
  clips.forEach(() => add(root.querySelector('.stages'), 'stage', STAGE))
  const traces = root.querySelector('.traces')
  for (const trace of clips[0].traces) {
    const row = add(traces, trace.main ? 'trace main' : 'trace', TRACE)
    row.querySelector('.line > span').textContent = trace.name
    row.querySelector('canvas').setAttribute('role', 'img')
    row.querySelector('canvas').setAttribute('aria-label', `${trace.name} over time`)
    row.querySelector('.numbers').innerHTML = clips.map(() => `<b>${clips.length > 1 ? '<i></i>' : ''}<span></span></b>`).join('')
    row.querySelector('.numbers').appendChild(document.createElement('small')).textContent = trace.unit
  }
  clips.forEach(() => add(traces, 'axis', '<span></span><span></span><span></span>'))
  const button = root.querySelector('button'), slider = root.querySelector('input')
  const play = playing => {
    state.playing = playing
    button.textContent = playing ? 'Pause' : 'Play'
  }
  play(state.playing)
  button.onclick = () => play(!state.playing)
  slider.oninput = () => {
    state.dragging = true
    state.time = Math.min(Number(slider.value), last(state.clips))
  }
  slider.onchange = () => { state.dragging = false }
  slider.onkeydown = event => {
    const by = STEP_OF[event.key]
    if (!by || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    play(false)
    const next = by > 0 ? Math.floor(state.time) + 1 : Math.ceil(state.time) - 1
    state.time = Math.max(0, Math.min(last(state.clips), next))
  }
}

export default function ({data, parentElement}) {
  const clips = [data.clip, ...data.beside].map(decode), kind = `${clips.length} ${data.film.sheet}`
  let root = parentElement.querySelector('.film')
  const fresh = !root, now = performance.now() / 1000
  if (fresh) {
    root = mount(parentElement, STYLE, '<div class="film"></div>', '.film')
    root.state = {playing: true, sheet: new Image(), every: 0.5, kind: null}
  }
  const state = root.state
  Object.assign(state, {film: data.film, pace: data.live ? data.pace : null})
  if (data.film.sheet && !state.sheet.src) state.sheet.src = new URL(data.film.sheet, document.baseURI).href
  if (!fresh) state.every += 0.3 * (Math.max(0.25, Math.min(2, now - state.came)) - state.every)
  state.came = now
  if (kind === state.kind) take(state, clips, data.live)
  else {
    Object.assign(state, {kind, live: data.live})
    show(state, clips)
    build(root, clips, data.film.sheet)
  }
  const speed = root.querySelector('select')
  speed.disabled = Boolean(state.pace)
  speed.title = state.pace ? 'The film follows the run at its own pace.' : ''
  state.seen = null
  if (fresh) requestAnimationFrame(next => tick(root, next))
}
