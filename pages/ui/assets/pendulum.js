// The pendulum in a browser: Gymnasium's physics, and pictures of its states from the sheet of frames.
import {css, fit, legible} from './shared.js'

export const DT_S = 0.05, MAX_SPEED_RAD_S = 8
const ROD = '#cc4d4d', TRAIL_STEPS = 16
const clip = (value, limit) => Math.max(-limit, Math.min(limit, value))

// The same angle in [−π, π), rounded as Python rounds it.
export const wrap = angle => {
  const rest = (angle + Math.PI) % (2 * Math.PI)
  return (rest < 0 ? rest + 2 * Math.PI : rest) - Math.PI
}

// Pendulum-v1's step: angle in rad (0 = upright, counter-clockwise positive), velocity in rad/s, torque in N·m.
export const step = ([angle, velocity], torque, [g, m, l], limit = 2) => {
  const u = clip(torque, limit)
  const reward = -(wrap(angle) ** 2 + 0.1 * velocity ** 2 + 0.001 * u ** 2)
  const acceleration = 3 * g / (2 * l) * Math.sin(angle) + 3 / (m * l ** 2) * u
  const next = clip(velocity + acceleration * DT_S, MAX_SPEED_RAD_S)
  return [angle + next * DT_S, next, reward]
}

// An angle between two steps, the short way round.
const between = (angles, time) => {
  const i = Math.min(Math.floor(time), angles.length - 1), j = Math.min(i + 1, angles.length - 1)
  return angles[i] + wrap(angles[j] - angles[i]) * (time - i)
}

// The picture at `time` in steps, with trail and torque arrow; `look` says how the sheet is cut, see film_settings.
export function drawPendulum(canvas, sheet, look, angles, torques, time) {
  const [c, w] = fit(canvas), m = w / 2, reach = w * look.reach
  const angle = between(angles, time)
  c.save()
  c.strokeStyle = css(canvas, '--st-text-color')
  c.lineWidth = 1.5
  c.globalAlpha = 0.3
  c.setLineDash([5, 6])
  c.beginPath(); c.moveTo(m, m); c.lineTo(m, m - reach * 1.25); c.stroke()
  c.restore()
  drawTrail(c, m, reach, angles, time)
  if (sheet.complete && sheet.naturalWidth) {
    const turn = 2 * Math.PI / look.frames
    const index = Math.round(angle / turn), frame = ((index % look.frames) + look.frames) % look.frames
    const columns = Math.round(sheet.naturalWidth / look.cell), size = w * look.share
    c.save()
    c.translate(m, m)
    c.rotate(-(angle - index * turn))
    c.drawImage(sheet, (frame % columns) * look.cell, Math.floor(frame / columns) * look.cell, look.cell, look.cell,
                -size / 2, -size / 2, size, size)
    c.restore()
  }
  const torque = torques.length ? torques[Math.min(Math.floor(time), torques.length - 1)] : 0
  drawTorque(c, m, torque / look.limit, legible(canvas, look.actor))
}

function drawTrail(c, m, reach, angles, time) {
  c.fillStyle = ROD
  for (let back = Math.min(TRAIL_STEPS, Math.floor(time)); back > 0; back--) {
    const angle = between(angles, time - back)
    c.globalAlpha = 0.5 * (1 - back / (TRAIL_STEPS + 1))
    c.beginPath(); c.arc(m - Math.sin(angle) * reach, m - Math.cos(angle) * reach, 3.4, 0, 7); c.fill()
  }
  c.globalAlpha = 1
}

// An arrow around the pivot, as long and wide as the share of the largest torque.
function drawTorque(c, m, signedShare, colour) {
  const share = Math.min(1, Math.abs(signedShare)), sign = signedShare > 0 ? -1 : 1
  if (share < 0.01) return
  const radius = m * 0.17, sweep = 2.6 * share, from = -Math.PI / 2 - sign * sweep / 2, to = from + sign * sweep
  c.strokeStyle = c.fillStyle = colour
  c.lineWidth = 2 + 4 * share
  c.beginPath(); c.arc(m, m, radius, from, to, sign < 0); c.stroke()
  const x = m + radius * Math.cos(to), y = m + radius * Math.sin(to), ahead = to + sign * Math.PI / 2, head = 5 + 8 * share
  c.beginPath()
  c.moveTo(x + head * Math.cos(ahead), y + head * Math.sin(ahead))
  c.lineTo(x + head * 0.7 * Math.cos(to), y + head * 0.7 * Math.sin(to))
  c.lineTo(x - head * 0.7 * Math.cos(to), y - head * 0.7 * Math.sin(to))
  c.fill()
}
