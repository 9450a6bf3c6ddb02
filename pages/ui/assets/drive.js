// You drive: the reader's pendulum beside the agent's, both from the same start, in Gymnasium's physics.
import {floats, legible, mount, signed} from './shared.js'
import {DT_S, drawPendulum, step} from './pendulum.js'

export {step}

const STYLE = `
.drive { display: grid; grid-template: "you agent" auto "keys keys" auto "result result" auto / 1fr 1fr; gap: 10px 14px;
  max-width: 900px; font-family: var(--st-font); color: var(--st-text-color); font-variant-numeric: tabular-nums; outline: none; }
.drive.alone { grid-template: "you" auto "keys" auto "result" auto / minmax(0, 450px); }
.alone .agent { display: none; }
.stage { position: relative; min-width: 0; }
.you { grid-area: you; cursor: pointer; }
.agent { grid-area: agent; }
canvas { display: block; width: 100%; aspect-ratio: 1; border: 1px solid var(--st-border-color); border-top: 5px solid var(--run);
  border-radius: var(--st-base-radius); box-sizing: border-box; background: var(--st-secondary-background-color); }
.drive:focus .you canvas, .drive:focus-within .you canvas { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.caption { position: absolute; left: 14px; right: 14px; top: 14px; display: flex; justify-content: space-between; gap: 8px;
  flex-wrap: wrap; font-size: 14px; }
.caption b { font-weight: 600; }
.hint { position: absolute; left: 10%; right: 10%; top: 22%; padding: 8px 12px; text-align: center; font-size: 15px;
  border-radius: var(--st-base-radius); border: 1px solid var(--st-border-color); background: var(--st-background-color); }
.up .hint { top: auto; bottom: 7%; }
.hint:empty { display: none; }
.keys { grid-area: keys; display: flex; gap: 10px; }
button { font: inherit; font-size: 15px; color: inherit; background: var(--st-background-color); cursor: pointer; min-height: 60px;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); touch-action: none; user-select: none;
  -webkit-user-select: none; -webkit-touch-callout: none; }
.push { flex: 1; }
.push small { display: block; font-size: 13px; opacity: .8; }
.push.held { background: var(--st-secondary-background-color); box-shadow: inset 0 0 0 3px var(--st-primary-color); }
.restart { padding: 0 18px; touch-action: manipulation; }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.result { grid-area: result; min-height: 5.2em; font-size: 15px; }
.result p { margin: 0; }
.result .totals { font-size: 24px; font-weight: 600; }
.result .totals small { font-size: 15px; font-weight: 400; }
@media (max-width: 640px) {
  .drive { grid-template-columns: 2fr 1fr; }
  .agent .caption { font-size: 12px; left: 8px; right: 8px; top: 10px; }
  .push { min-height: 84px; }
}`
const MARKUP = `<div class="drive" tabindex="0" role="application" aria-label="Drive the pendulum: left and right arrow keys push it">
  <div class="stage you"><canvas role="img" aria-label="Your pendulum"></canvas>
    <div class="caption"><b>You</b><span class="sum"></span></div><div class="hint"></div></div>
  <div class="stage agent"><canvas role="img" aria-label="The agent's pendulum"></canvas>
    <div class="caption"><b></b><span class="sum"></span></div></div>
  <div class="keys"><button type="button" class="push" data-key="ArrowLeft">← push<small>−2 N·m, clockwise</small></button>
    <button type="button" class="restart">Restart</button>
    <button type="button" class="push" data-key="ArrowRight">push →<small>+2 N·m, counter-clockwise</small></button></div>
  <div class="result" aria-live="polite"></div></div>`
const TORQUE_SIGN = {ArrowLeft: -1, ArrowRight: 1}
const SCROLL_KEYS = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'])
const LEVEL = 10

const sum = values => values.reduce((total, value) => total + value, 0)

// What the reader's return is worth beside the agent's.
const compared = (you, agent) => {
  const ahead = Math.round(you) - Math.round(agent)
  if (Math.abs(ahead) <= LEVEL) return 'Level with the agent.'
  return ahead > 0 ? `You beat the agent by ${ahead}.` : `The agent is better by ${-ahead}.`
}

const called = (words, total) => {
  const word = (words.find(([lowest]) => total >= lowest) ?? words.at(-1))[1]
  return word ? ` (${word})` : ''
}

function readAgent(clip) {
  if (!clip) return null
  const values = key => floats(clip.traces.find(trace => trace.key === key).values)
  return {title: clip.title, colour: clip.colour, finished: clip.finished,
          angles: values('angle'), torques: values('torque'), rewards: values('reward')}
}

// Back to the start, with the newest data; the clock waits for the first push.
function ready(root) {
  const state = root.state, {data} = state
  Object.assign(state, {phase: 'ready', task: data, agent: readAgent(data.agent), at: data.start, time: 0, held: [],
                        angles: [data.start[0]], torques: [], rewards: []})
  root.classList.toggle('alone', !state.agent)
  root.classList.toggle('up', Math.cos(data.start[0]) > 0)
  root.querySelector('.agent b').textContent = state.agent?.title ?? ''
  root.querySelector('.result').innerHTML =
    '<p>Every step adds a reward, never above 0: the return is nearest to 0 if the pole stands upright soon and stays there.</p>'
}

function push(root, key) {
  const state = root.state
  if (state.phase === 'done') return
  state.held = [...state.held.filter(other => other !== key), key]
  if (state.phase === 'ready') Object.assign(state, {phase: 'driving', due: 0})
}

const release = (root, key) => { root.state.held = root.state.held.filter(other => other !== key) }

// As many steps as are due; the picture runs from the last state but one to the last.
function move(state, seconds) {
  const {task} = state
  state.due += seconds / DT_S
  while (state.angles.length - 1 <= state.due && state.rewards.length < task.steps) {
    const torque = state.held.length ? TORQUE_SIGN[state.held.at(-1)] * task.film.limit : 0
    const [angle, velocity, reward] = step(state.at, torque, task.physics, task.film.limit)
    state.at = [angle, velocity]
    state.angles.push(angle)
    state.torques.push(torque)
    state.rewards.push(reward)
  }
  state.time = Math.min(state.due, task.steps)
}

function finish(root) {
  const state = root.state, {agent, task} = state, you = sum(state.rewards)
  Object.assign(state, {phase: 'done', held: []})
  const line = document.createElement('p'), words = document.createElement('p')
  const whole = agent?.finished && agent.rewards.length === task.steps, other = whole ? sum(agent.rewards) : 0
  const part = (name, total) => {
    line.append(`${name} ${signed(total, 0)}`)
    line.appendChild(document.createElement('small')).textContent = called(task.words, total)
  }
  line.className = 'totals'
  part('You', you)
  if (whole) { line.append(', '); part('agent', other) }
  words.textContent = (whole ? `${compared(you, other)} ` : '') + 'Restart to try again.'
  root.querySelector('.result').replaceChildren(line, words)
  root.report(you)
}

function draw(root) {
  const state = root.state, {task, agent, phase} = state, stage = name => root.querySelector(`.${name}.stage`)
  const you = stage('you').querySelector('canvas'), done = Math.floor(state.time)
  const pushing = state.phase === 'driving' && state.torques.length ? state.torques : []
  drawPendulum(you, state.sheet, task.film, state.angles, pushing, state.time)
  you.parentElement.style.setProperty('--run', 'var(--st-primary-color)')
  const left = `${((task.steps - state.time) * DT_S).toFixed(1)} s left`
  stage('you').querySelector('.sum').textContent = `return ${signed(sum(state.rewards.slice(0, done)), 0)} · ${left}`
  if (agent) {
    const canvas = stage('agent').querySelector('canvas'), time = Math.min(state.time, agent.angles.length - 1)
    drawPendulum(canvas, state.sheet, task.film, agent.angles, phase === 'driving' ? agent.torques : [], time)
    canvas.parentElement.style.setProperty('--run', legible(canvas, agent.colour))
    stage('agent').querySelector('.sum').textContent = signed(sum(agent.rewards.subarray(0, done)), 0)
  }
  const focused = root.getRootNode().activeElement
  const hint = phase !== 'ready' ? '' : root.contains(focused) ? 'Hold ← or →: the clock starts with your first push'
                                                                : 'Click here and use ← →, or hold a button below'
  if (root.querySelector('.hint').textContent !== hint) root.querySelector('.hint').textContent = hint
  for (const button of root.querySelectorAll('.push')) button.classList.toggle('held', state.held.includes(button.dataset.key))
  Object.assign(root.dataset, {phase, steps: state.rewards.length})
}

function tick(root, now) {
  const state = root.state
  if (!root.isConnected) return
  requestAnimationFrame(next => tick(root, next))
  const seconds = Math.min(0.2, (now - (state.before ?? now)) / 1000)
  state.before = now
  if (state.phase === 'driving') move(state, seconds)
  if (state.phase === 'driving' && state.time >= state.task.steps) finish(root)
  draw(root)
}

function listen(root) {
  const plain = event => !event.altKey && !event.ctrlKey && !event.metaKey
  root.onkeydown = event => {
    if (!plain(event) || !SCROLL_KEYS.has(event.key)) return
    event.preventDefault()
    if (TORQUE_SIGN[event.key] && !event.repeat) push(root, event.key)
  }
  root.onkeyup = event => release(root, event.key)
  root.addEventListener('focusout', event => { if (!root.contains(event.relatedTarget)) root.state.held = [] })
  root.querySelector('.you').onclick = () => root.focus({preventScroll: true})
  root.querySelector('.restart').onclick = () => {
    ready(root)
    root.focus({preventScroll: true})
  }
  for (const button of root.querySelectorAll('.push')) {
    const {key} = button.dataset
    button.oncontextmenu = event => event.preventDefault()
    button.onpointerdown = event => {
      button.setPointerCapture(event.pointerId)
      push(root, key)
    }
    button.onpointerup = button.onpointercancel = button.onlostpointercapture = () => release(root, key)
    button.onkeydown = event => { if (event.key === ' ' || event.key === 'Enter') { event.preventDefault(); push(root, key) } }
    button.onkeyup = event => { if (event.key === ' ' || event.key === 'Enter') release(root, key) }
  }
}

export default function ({data, parentElement, setTriggerValue}) {
  let root = parentElement.querySelector('.drive')
  const fresh = !root
  if (fresh) {
    root = mount(parentElement, STYLE, MARKUP, '.drive')
    root.state = {sheet: Object.assign(new Image(), {src: new URL(data.film.sheet, document.baseURI).href})}
    listen(root)
  }
  root.report = total => setTriggerValue('total', total)
  root.state.data = data
  if (fresh || (root.state.phase === 'ready' && !root.state.held.length)) ready(root)
  if (fresh) requestAnimationFrame(now => tick(root, now))
}
