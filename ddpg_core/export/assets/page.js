// A trained policy and its pendulum in one page: the network, Gymnasium's physics at 20 steps a second, and pictures at
// the screen's own rate. Angles in rad, 0 = upright, counter-clockwise positive. Nothing is loaded from anywhere.
'use strict'

const DATA = JSON.parse(document.getElementById('policy').textContent)
const DT_S = 0.05, MAX_SPEED_RAD_S = 8, WINDOW_STEPS = 200, TRAIL_STEPS = 14, PUSH_RAD_S = 5, GUTTER_REM = 3
const $ = id => document.getElementById(id)
const clip = (value, low, high) => Math.max(low, Math.min(high, value))
const sum = values => values.reduce((total, value) => total + value, 0)
const signed = (value, digits) => value.toFixed(digits).replace(/^-(?=[0.]*$)/, '').replace('-', '−')

// --- the agent --------------------------------------------------------------------------------------------------------

const layersOf = ({sizes, parameters}) => {
  const numbers = new Float32Array(Uint8Array.from(atob(parameters), c => c.charCodeAt(0)).buffer)
  let at = 0
  const next = count => numbers.subarray(at, at += count)
  return sizes.slice(1).map((units, layer) => ({kernel: next(units * sizes[layer]), bias: next(units)}))
}
const LAYERS = layersOf(DATA)

// The action for an observation (cos θ, sin θ, θ̇): ReLU layers, tanh, scale, and the limits of the actuator.
const policy = obs => {
  let x = Float32Array.from(obs)
  LAYERS.forEach(({kernel, bias}, layer) => {
    const hidden = layer < LAYERS.length - 1
    x = Float32Array.from(bias, (total, unit) => {
      for (let i = 0; i < x.length; i++) total += kernel[unit * x.length + i] * x[i]
      return hidden ? Math.max(0, total) : Math.tanh(total)
    })
  })
  return Array.from(x, (y, i) => clip(Math.fround(y * DATA.action_scale[i]), DATA.action_low[i], DATA.action_high[i]))
}

// --- the pendulum -----------------------------------------------------------------------------------------------------

// The same angle in [−π, π).
const wrap = angle => {
  const rest = (angle + Math.PI) % (2 * Math.PI)
  return (rest < 0 ? rest + 2 * Math.PI : rest) - Math.PI
}

// Pendulum-v1's step: next angle, next velocity, reward.
const pendulumStep = ([angle, velocity], torque, {gravity: g, mass: m, length: l}) => {
  const u = clip(torque, -2, 2)
  const reward = -(wrap(angle) ** 2 + 0.1 * velocity ** 2 + 0.001 * u ** 2)
  const acceleration = 3 * g / (2 * l) * Math.sin(angle) + 3 / (m * l ** 2) * u
  const next = clip(velocity + acceleration * DT_S, -MAX_SPEED_RAD_S, MAX_SPEED_RAD_S)
  return [angle + next * DT_S, next, reward]
}

// What is simulated: the state at the next step, the angle at the last one, and how far between the two the clock is.
const sim = {}
const physics = {}

const restart = () => {
  Object.assign(sim, {angle: Math.PI, from: Math.PI, velocity: 0, torque: 0, due: DT_S, angles: [], torques: [], rewards: []})
  Object.assign(physics, DATA.physics)
}

const shownAngle = () => sim.from + (sim.angle - sim.from) * clip(sim.due / DT_S, 0, 1)
const remember = (list, value) => { list.push(value); if (list.length > WINDOW_STEPS) list.shift() }

// One step of the agent's: it looks, chooses a torque, and the pendulum moves, unless a hand holds it.
const stepOnce = () => {
  const obs = [Math.cos(sim.angle), Math.sin(sim.angle), sim.velocity]
  sim.torque = policy(obs)[0]
  const [angle, velocity, reward] = pendulumStep([sim.angle, sim.velocity], sim.torque, physics)
  remember(sim.angles, wrap(sim.angle)); remember(sim.torques, sim.torque); remember(sim.rewards, reward)
  sim.from = sim.angle
  if (!hand) Object.assign(sim, {angle, velocity})
}

const advance = seconds => {
  for (sim.due += seconds; sim.due >= DT_S; sim.due -= DT_S) stepOnce()
}

// --- the visitor ------------------------------------------------------------------------------------------------------

let hand = null, playing = !matchMedia('(prefers-reduced-motion: reduce)').matches

// The pole follows the pointer as fast as the environment lets it move, and keeps that speed when let go.
const drag = seconds => {
  const speed = clip(wrap(hand.target - sim.angle) / seconds, -MAX_SPEED_RAD_S, MAX_SPEED_RAD_S)
  sim.angle += speed * seconds
  sim.from = sim.angle
  sim.velocity += (speed - sim.velocity) * Math.min(1, seconds / 0.05)
}

const pointerAngle = event => {
  const box = $('grip').getBoundingClientRect()
  return Math.atan2(box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY)
}
const holdAt = event => { hand = {target: pointerAngle(event)} }
const letGo = () => {
  if (!hand) return
  hand = null
  Object.assign(sim, {from: sim.angle, due: 0})
  stepOnce()
  $('grip').classList.remove('held')
}

// A push of the tip to the left (−1) or right (1) of the screen.
const push = side => {
  const turn = -side * (Math.cos(sim.angle) < 0 ? -1 : 1)
  sim.velocity = clip(sim.velocity + turn * PUSH_RAD_S, -MAX_SPEED_RAD_S, MAX_SPEED_RAD_S)
  greeted()
}
const greeted = () => $('hint').classList.add('done')

const setPlaying = on => {
  playing = on
  $('play').textContent = on ? 'Pause' : 'Play'
}

const UNITS = {gravity: 'm/s²', mass: 'kg'}
const short = value => String(Number(value.toFixed(2)))
const showKnobs = () => {
  for (const [name, unit] of Object.entries(UNITS)) {
    const value = `${short(physics[name])} ${unit}`, note = document.createElement('small')
    note.textContent = physics[name] === DATA.physics[name] ? 'as in training' : `trained with ${short(DATA.physics[name])}`
    $(name).value = physics[name]
    $(name).setAttribute('aria-valuetext', `${value}, ${note.textContent}`)
    $(`${name}-now`).replaceChildren(note, ` ${value}`)
  }
}

const listen = () => {
  const grip = $('grip')
  let side = 1
  grip.onpointerdown = event => {
    if (event.button) return
    event.preventDefault()
    grip.focus({preventScroll: true})
    grip.setPointerCapture(event.pointerId)
    grip.classList.add('held')
    Object.assign(sim, {angle: shownAngle()})
    holdAt(event)
    greeted()
  }
  grip.onpointermove = event => { if (hand) holdAt(event) }
  grip.onpointerup = grip.onpointercancel = grip.onlostpointercapture = letGo
  grip.onkeydown = event => {
    const to = {ArrowLeft: -1, ArrowRight: 1}[event.key]
    if (!to || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    push(to)
  }
  $('push').onclick = () => push(side = -side)
  $('play').onclick = () => setPlaying(!playing)
  $('reset').onclick = () => { restart(); showKnobs() }
  for (const name of Object.keys(UNITS)) $(name).oninput = () => { physics[name] = Number($(name).value); showKnobs() }
}

// --- pictures ---------------------------------------------------------------------------------------------------------

let style = null
const colour = name => style.getPropertyValue(`--${name}`).trim()

// The context of a canvas as large as it is shown, cleared, and its size in CSS pixels.
const fit = canvas => {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale)
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale)
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return [context, width, height]
}

const drawPendulum = () => {
  const [c, w] = fit($('pendulum')), middle = w / 2, reach = w * 0.34, angle = shownAngle()
  const tip = (at, radius = reach) => [middle - Math.sin(at) * radius, middle - Math.cos(at) * radius]
  c.strokeStyle = colour('line')
  c.lineWidth = 1.5
  c.beginPath(); c.arc(middle, middle, reach, 0, 7); c.stroke()
  c.strokeStyle = colour('soft')
  c.setLineDash([4, 6])
  c.beginPath(); c.moveTo(middle, middle); c.lineTo(middle, middle - reach * 1.2); c.stroke()
  c.setLineDash([])
  c.fillStyle = c.strokeStyle = colour('rod')
  const past = sim.angles.slice(-TRAIL_STEPS)
  past.forEach((at, i) => {
    c.globalAlpha = 0.4 * (i + 1) / past.length
    c.beginPath(); c.arc(...tip(at), w * 0.008, 0, 7); c.fill()
  })
  c.globalAlpha = 1
  c.lineCap = 'round'
  c.lineWidth = w * 0.042 * Math.sqrt(clip(physics.mass, 0.15, 4))
  c.beginPath(); c.moveTo(middle, middle); c.lineTo(...tip(angle)); c.stroke()
  c.fillStyle = colour('text')
  c.beginPath(); c.arc(middle, middle, w * 0.011, 0, 7); c.fill()
  if (hand) {
    c.strokeStyle = colour('primary')
    c.lineWidth = 2
    c.beginPath(); c.arc(...tip(angle), w * 0.045, 0, 7); c.stroke()
  }
  drawTorque(c, middle, w * 0.115, sim.torque / DATA.action_high[0])
  drawGravity(c, w)
}

// An arrow around the pivot, as long and wide as the share of the largest torque.
const drawTorque = (c, middle, radius, signedShare) => {
  const share = Math.min(1, Math.abs(signedShare)), sign = signedShare > 0 ? -1 : 1
  if (share < 0.01) return
  const sweep = 2.6 * share, from = -Math.PI / 2 - sign * sweep / 2, to = from + sign * sweep, head = radius * (0.1 + 0.16 * share)
  c.strokeStyle = c.fillStyle = colour('actor')
  c.lineCap = 'butt'
  c.lineWidth = radius * (0.03 + 0.07 * share)
  c.beginPath(); c.arc(middle, middle, radius, from, to, sign < 0); c.stroke()
  const x = middle + radius * Math.cos(to), y = middle + radius * Math.sin(to), ahead = to + sign * Math.PI / 2
  c.beginPath()
  c.moveTo(x + head * Math.cos(ahead), y + head * Math.sin(ahead))
  c.lineTo(x + head * 0.75 * Math.cos(to), y + head * 0.75 * Math.sin(to))
  c.lineTo(x - head * 0.75 * Math.cos(to), y - head * 0.75 * Math.sin(to))
  c.fill()
}

// How strong gravity is, in the corner.
const drawGravity = (c, w) => {
  const x = w * 0.94, top = w * 0.055, end = top + w * 0.0085 * physics.gravity
  c.strokeStyle = c.fillStyle = colour('environment')
  c.lineWidth = 2
  c.font = `italic ${Math.max(14, w * 0.03)}px ${colour('serif')}`
  c.textAlign = 'right'
  c.textBaseline = 'middle'
  c.fillText('g', x - w * 0.018, top + w * 0.01)
  c.beginPath(); c.moveTo(x, top); c.lineTo(x, end); c.stroke()
  if (end - top > 3) { c.beginPath(); c.moveTo(x, end + 5); c.lineTo(x - 4.5, end - 4); c.lineTo(x + 4.5, end - 4); c.fill() }
}

// The last ten seconds of a quantity, the newest at the right.
const drawTrace = (canvas, values, limit, ticks, ink, jump) => {
  const [c, w, h] = fit(canvas), rem = parseFloat(style.fontSize), left = GUTTER_REM * rem
  const x = i => left + (w - left - 6) * (i + WINDOW_STEPS - values.length) / (WINDOW_STEPS - 1)
  const y = v => h / 2 - (h / 2 - 7) * v / limit
  c.font = `${0.78 * rem}px ${colour('sans')}`
  c.textAlign = 'right'
  c.textBaseline = 'middle'
  c.fillStyle = colour('soft')
  c.strokeStyle = colour('line')
  c.lineWidth = 1
  for (const [value, text] of ticks) {
    c.fillText(text, left - 8, y(value))
    c.beginPath(); c.moveTo(left, Math.round(y(value)) + 0.5); c.lineTo(w, Math.round(y(value)) + 0.5); c.stroke()
  }
  c.strokeStyle = c.fillStyle = colour(ink)
  c.lineWidth = 2
  c.lineJoin = 'round'
  c.beginPath()
  values.forEach((v, i) => i && Math.abs(v - values[i - 1]) < jump ? c.lineTo(x(i), y(v)) : c.moveTo(x(i), y(v)))
  c.stroke()
  if (values.length) { c.beginPath(); c.arc(x(values.length - 1), y(values.at(-1)), 3.5, 0, 7); c.fill() }
}

const ANGLE_TICKS = [[Math.PI, '180°'], [0, '0°'], [-Math.PI, '−180°']]
const draw = () => {
  style = getComputedStyle(document.documentElement)
  const most = DATA.action_high[0]
  drawPendulum()
  drawTrace($('angles'), sim.angles, Math.PI, ANGLE_TICKS, 'rod', Math.PI)
  drawTrace($('torques'), sim.torques, most, [[most, signed(most, 0)], [0, '0'], [-most, signed(-most, 0)]], 'actor', Infinity)
}

const word = () => {
  const angle = Math.abs(wrap(sim.angle)), speed = Math.abs(sim.velocity)
  if (hand) return 'in your hand'
  if (!playing) return 'paused'
  if (angle < 0.25 && speed < 1) return 'balanced'
  return angle < 0.6 ? 'nearly there' : speed < 0.3 && angle > 2.9 ? 'hanging' : 'swinging up'
}
const say = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text }
const tell = () => {
  const seconds = sim.rewards.length * DT_S, total = sum(sim.rewards)
  say('return', signed(total, total > -9.95 ? 1 : 0))
  say('span', sim.rewards.length < WINDOW_STEPS ? `return of the first ${seconds.toFixed(0)} s` : 'return of the last 10 s')
  say('angle', `${signed(wrap(sim.angle) * 180 / Math.PI, 0)}°`)
  say('torque', `${signed(sim.torque, 2)} N·m`)
  say('word', word())
}

let before = null, told = 0
const tick = now => {
  const seconds = clip((now - (before ?? now)) / 1000, 0, 0.1)
  before = now
  if (hand && seconds) drag(seconds)
  if (playing) advance(seconds)
  draw()
  if (now - told > 120) { tell(); told = now }
  requestAnimationFrame(tick)
}

restart()
listen()
showKnobs()
setPlaying(playing)
Object.assign(window, {policy, pendulumStep, pendulum: sim})
requestAnimationFrame(tick)
