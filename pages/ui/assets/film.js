// The film: plays an episode from its logged states, as frames that pygame rendered, with traces that share its time.
import {css, mount} from './shared.js'

const STYLE = `
.film { display: grid; grid-template-columns: minmax(280px, 470px) minmax(260px, 1fr); gap: 22px; font-family: var(--st-font);
  color: var(--st-text-color); font-variant-numeric: tabular-nums; }
@media (max-width: 820px) { .film { grid-template-columns: 1fr; } }
.stage { position: relative; }
canvas { display: block; width: 100%; }
.stage canvas { aspect-ratio: 1; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: var(--st-secondary-background-color); }
.stage.wide canvas { aspect-ratio: 3 / 2; }
.caption { position: absolute; left: 14px; top: 10px; right: 14px; display: flex; justify-content: space-between; font-size: 14px; }
.bar { display: flex; gap: 10px; align-items: center; margin-top: 10px; }
.bar button, .bar select { font: inherit; font-size: 14px; color: inherit; background: var(--st-background-color); height: 36px;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: 0 12px; cursor: pointer; }
.bar button { min-width: 78px; }
.bar input { flex: 1; min-width: 60px; accent-color: var(--st-primary-color); }
.traces { display: flex; flex-direction: column; justify-content: space-between; gap: 6px; }
.trace .line { display: flex; justify-content: space-between; align-items: baseline; font-size: 14px; }
.trace b { font-size: 20px; font-weight: 600; }
.trace b small { font-weight: 400; font-size: 13px; opacity: .75; }
.trace canvas { height: 76px; }`

const ROD = '#cc4d4d'
const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer)

const decode = clip => ({...clip, traces: clip.traces.map(trace => ({...trace, values: floats(trace.values)})),
                         length: clip.traces[0].length})

function fit(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale)
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale)
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return [context, width, height]
}

// The angle between two logged steps, the short way round.
const between = (values, time, around) => {
  const i = Math.min(Math.floor(time), values.length - 1), j = Math.min(i + 1, values.length - 1)
  let step = values[j] - values[i]
  if (around) step -= 2 * Math.PI * Math.round(step / (2 * Math.PI))
  return values[i] + step * (time - i)
}

function drawPendulum(state, canvas) {
  const {clip, time, film} = state
  const [c, w] = fit(canvas)
  const [angles, , torques] = clip.traces.map(trace => trace.values)
  const angle = between(angles, time, true), torque = torques[Math.min(Math.floor(time), torques.length - 1)]
  const m = w / 2, reach = w * film.reach, ink = css(canvas, '--st-text-color')
  c.strokeStyle = ink
  c.lineWidth = 1.5
  c.globalAlpha = 0.3
  c.setLineDash([5, 6])
  c.beginPath(); c.moveTo(m, m); c.lineTo(m, m - reach * 1.25); c.stroke()
  c.setLineDash([])
  c.globalAlpha = 1
  const tip = a => [m - Math.sin(a) * reach, m - Math.cos(a) * reach]
  for (let back = 16; back > 0; back--) {
    if (time - back < 0) continue
    const [x, y] = tip(between(angles, time - back, true))
    c.globalAlpha = 0.5 * (1 - back / 17)
    c.fillStyle = ROD
    c.beginPath(); c.arc(x, y, 3.4, 0, 7); c.fill()
  }
  c.globalAlpha = 1
  if (state.sheet.complete && state.sheet.naturalWidth) {
    const turn = 2 * Math.PI / film.frames
    const index = Math.round(angle / turn), frame = ((index % film.frames) + film.frames) % film.frames
    const columns = Math.round(state.sheet.naturalWidth / film.cell), size = w * film.share
    c.save()
    c.translate(m, m)
    c.rotate(-(angle - index * turn))
    c.drawImage(state.sheet, (frame % columns) * film.cell, Math.floor(frame / columns) * film.cell, film.cell, film.cell,
                -size / 2, -size / 2, size, size)
    c.restore()
  }
  if (Math.abs(torque) > 0.02) {
    const share = Math.min(1, Math.abs(torque) / film.limit), radius = w * 0.085, sweep = 2.6 * share, sign = torque > 0 ? -1 : 1
    const from = -Math.PI / 2 - sign * sweep / 2, to = from + sign * sweep
    c.strokeStyle = c.fillStyle = film.actor
    c.lineWidth = 2 + 4 * share
    c.beginPath(); c.arc(m, m, radius, from, to, sign < 0); c.stroke()
    const x = m + radius * Math.cos(to), y = m + radius * Math.sin(to), ahead = to + sign * Math.PI / 2, head = 5 + 8 * share
    c.beginPath()
    c.moveTo(x + head * Math.cos(ahead), y + head * Math.sin(ahead))
    c.lineTo(x + head * 0.7 * Math.cos(to), y + head * 0.7 * Math.sin(to))
    c.lineTo(x - head * 0.7 * Math.cos(to), y - head * 0.7 * Math.sin(to))
    c.fill()
  }
}

function drawFrames(state, canvas) {
  const [c, w, h] = fit(canvas)
  const {frames, every} = state.clip
  const image = state.images[Math.min(Math.floor(state.time / every), frames.length - 1)]
  if (image?.complete && image.naturalWidth) c.drawImage(image, 0, 0, w, h)
}

function drawTrace(state, trace, canvas) {
  const [c, w, h] = fit(canvas)
  const {low, high, values, colour} = trace, steps = Math.max(state.clip.steps, values.length, 2)
  const x = i => w * i / (steps - 1), y = v => 4 + (h - 8) * (1 - (v - low) / (high - low))
  c.strokeStyle = css(canvas, '--st-border-color')
  c.strokeRect(0.5, 0.5, w - 1, h - 1)
  if (low < 0 && high > 0) { c.beginPath(); c.moveTo(0, y(0)); c.lineTo(w, y(0)); c.stroke() }
  c.strokeStyle = colour
  c.lineWidth = 1.8
  c.beginPath()
  values.forEach((v, i) => {
    const jump = i && trace.around && Math.abs(v - values[i - 1]) > Math.PI
    i && !jump ? c.lineTo(x(i), y(v)) : c.moveTo(x(i), y(v))
  })
  c.stroke()
  c.strokeStyle = state.film.mark
  c.setLineDash([3, 3])
  for (const mark of state.clip.marks) { c.beginPath(); c.moveTo(x(mark), 0); c.lineTo(x(mark), h); c.stroke() }
  c.setLineDash([])
  const now = values[Math.min(Math.floor(state.time), values.length - 1)]
  c.strokeStyle = css(canvas, '--st-text-color')
  c.lineWidth = 1
  c.beginPath(); c.moveTo(x(state.time), 0); c.lineTo(x(state.time), h); c.stroke()
  c.fillStyle = colour
  c.beginPath(); c.arc(x(state.time), y(now), 4, 0, 7); c.fill()
  return now
}

function take(root, clip) {
  const state = root.state
  state.clip = clip
  state.images = (clip.frames ?? []).map(source => Object.assign(new Image(), {src: source}))
  root.querySelector('.episode').textContent = clip.title
  root.querySelector('.total').textContent = clip.note
}

function tick(root, now) {
  const state = root.state
  if (!root.isConnected) return
  requestAnimationFrame(next => tick(root, next))
  const seconds = Math.min(0.2, (now - (state.before ?? now)) / 1000)
  state.before = now
  const end = state.clip.length - 1
  if (state.playing && !state.dragging) {
    state.time = Math.min(end, state.time + seconds * state.film.rate * Number(root.querySelector('select').value))
    state.rested = state.time >= end ? (state.rested ?? 0) + seconds : 0
    if (state.time >= end && (state.pending || (state.clip.finished && state.rested > 1.2))) {
      if (state.pending) take(root, state.pending)
      state.pending = null
      state.time = state.rested = 0
    }
  }
  const stage = root.querySelector('.stage canvas')
  state.film.sheet ? drawPendulum(state, stage) : drawFrames(state, stage)
  root.querySelectorAll('.trace').forEach((row, index) => {
    const trace = state.clip.traces[index], value = drawTrace(state, trace, row.querySelector('canvas'))
    row.querySelector('b span').textContent = value.toFixed(trace.digits).replace('-', '−')
  })
  const slider = root.querySelector('input')
  slider.max = Math.max(state.clip.steps, state.clip.length) - 1
  if (!state.dragging) slider.value = state.time
  root.dataset.time = state.time.toFixed(2)
}

function build(parent, data) {
  const root = mount(parent, STYLE, `<div class="film"><div>
    <div class="stage ${data.film.sheet ? '' : 'wide'}"><canvas role="img" aria-label="The pendulum in motion"></canvas>
      <div class="caption"><span class="episode"></span><span class="total"></span></div></div>
    <div class="bar"><button type="button">Pause</button><input type="range" min="0" step="any" aria-label="Time in the episode">
      <select aria-label="Playing speed"><option value="0.25">¼×</option><option value="0.5">½×</option>
      <option value="1" selected>1×</option><option value="2">2×</option><option value="4">4×</option></select></div></div>
    <div class="traces"></div></div>`, '.film')
  const state = root.state = {time: 0, playing: true, film: data.film, sheet: new Image()}
  for (const trace of data.clip.traces) {
    const row = root.querySelector('.traces').appendChild(document.createElement('div'))
    row.className = 'trace'
    row.innerHTML = '<div class="line"><span></span><b><span></span> <small></small></b></div><canvas></canvas>'
    row.querySelector('.line span').textContent = trace.name
    row.querySelector('small').textContent = trace.unit
  }
  const button = root.querySelector('button'), slider = root.querySelector('input')
  button.onclick = () => {
    state.playing = !state.playing
    button.textContent = state.playing ? 'Pause' : 'Play'
  }
  slider.oninput = () => {
    state.dragging = true
    state.time = Math.min(Number(slider.value), state.clip.length - 1)
  }
  slider.onchange = () => { state.dragging = false }
  return root
}

export default function ({data, parentElement}) {
  const clip = decode(data.clip)
  let root = parentElement.querySelector('.film')
  const fresh = !root
  if (fresh) root = build(parentElement, data)
  const state = root.state
  state.film = data.film
  if (data.film.sheet && !state.sheet.src) state.sheet.src = new URL(data.film.sheet, document.baseURI).href
  if (fresh || state.clip.id === clip.id) take(root, clip)
  else if (data.live && state.live && state.clip.run === clip.run && state.time < state.clip.length - 1) state.pending = clip
  else {
    take(root, clip)
    state.pending = null
    state.time = 0
  }
  state.live = data.live
  if (fresh) requestAnimationFrame(now => tick(root, now))
}
