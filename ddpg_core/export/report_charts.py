"""The figures of a report: learning curve, losses, maps and returns from fixed starts, as HTML with charts in SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from ddpg_core.config import SETTINGS, format_value
from ddpg_core.environment import (
    DT_S,
    MAX_SPEED_RAD_S,
    MAX_TORQUE_NM,
    Array,
    reference_returns,
    start_states,
    wrap_angle,
)
from ddpg_core.export.film import Take
from ddpg_core.export.html_page import escaped, with_minus
from ddpg_core.export.svg import TORQUES, VALUES, Plot, heat_map, span
from ddpg_core.metrics import Evaluation, moving_average
from ddpg_core.moments import Moment
from ddpg_core.policy import Card
from ddpg_core.probes import policy_map, q_map, state_grid
from ddpg_core.run import Run

POINTS: Final = 200
"""A line of updates is drawn with at most this many points, each the mean of the updates it stands for."""
MAP_POINTS: Final = 81
_WINDOW: Final = 10
_MAX_MARKS: Final = 12
_ANGLE_TICKS: Final = (-180, -90, 0, 90, 180)


def learning_curve(run: Run, card: Card) -> str:
    """Return of each training episode with its ten-episode mean, references, interventions and this policy."""
    log = run.logs.episodes
    returns = log.read("episode_return")
    numbers = log.first + 1 + np.arange(len(returns))
    references = reference_returns(run.config) or ()
    done = [item for item in run.recipe.interventions if item.step <= run.env_steps][-_MAX_MARKS:]
    y_range = span(returns, np.array(references), np.zeros(1))

    def draw(width: float) -> str:
        plot = Plot("Return of each training episode", "episode", "return", _reach(numbers), y_range, width=width)
        for value, name in zip(references, ("random actions", "near optimal"), strict=False):
            plot.level(value, with_minus(f"{name}, {value:.0f}"))
        for row, item in enumerate(done):
            plot.instant(float(_in_episodes(run, np.array([item.step]))[0]), _short(item.changes.items()), row)
        if card.env_steps < run.env_steps:
            plot.instant(card.episode, "the policy of this report", len(done))
        plot.points(numbers, returns, "environment")
        plot.line(numbers, moving_average(returns, _WINDOW), "primary")
        return plot.svg()

    words = f"{_key('environment')} return of an episode, with noise; {_key('primary', 'dash')} mean of the last ten"
    stopped = f". The run diverged at step {run.divergence.step:,}: {run.divergence.cause}" if run.divergence else ""
    return _figure(_for_both(draw), f"{words}{escaped(stopped)}.")


def _short(changes: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(
        f"{SETTINGS[name].symbol or SETTINGS[name].label} → {format_value(value)}" for name, value in changes
    )


def losses(run: Run) -> str:
    """Losses of both networks, what the critic promised beside what came, and how often the actor is at its limits."""
    updates, episodes = run.logs.updates, run.logs.episodes
    times = _in_episodes(run, updates.read("env_step"))
    width = max(1, math.ceil(len(times) / POINTS))

    def drawn(name: str, ink: str, title: str, axis: str, words: str, y_range: tuple[float, float] | None) -> str:
        values = _binned(updates.read(name), width)
        plot = Plot(title, "episode", axis, _reach(times), y_range or span(values))
        plot.line(_binned(times, width), values, ink)
        return _figure(plot.svg(), f"<b>{title}</b>: {words}.")

    promised, came = episodes.read("first_q"), episodes.read("discounted_return")
    numbers = episodes.first + 1 + np.arange(len(came))
    plot = Plot("What the critic promised and what came", "episode", "value", _reach(numbers), span(promised, came))
    plot.line(numbers, came, "environment", dashed=True)
    plot.line(numbers, promised, "critic")
    keys = f"{_key('critic', 'dash')} Q of the first step, {_key('environment', 'dashed')} discounted return that came"
    figures = (
        drawn("critic_loss", "critic", "Loss of the critic", "loss", "mean squared error of its values", None),
        drawn("actor_loss", "actor", "Loss of the actor", "loss", "minus the critic's mean value of its actions", None),
        _figure(plot.svg(), f"<b>Promise</b>: {keys}."),
        drawn("saturation", "actor", "Saturation", "share", "how many of the actor's outputs are at a limit", (0, 1)),
    )
    return "\n".join(figures)


def maps(run: Run, card: Card) -> str:
    """The critic's values of the policy's own torques, and these torques, over all states."""
    moment = _moment(run, card)
    grid = state_grid(MAP_POINTS)
    actor = (run.learner.actor_net, moment.actor, moment.action_scale)
    torque = policy_map(*actor, grid.obs)
    asked = policy_map(*actor, grid.obs, executed=moment.config.store_action == "executed")
    values = q_map(run.learner.critic_net, moment.critic, grid.obs, asked)
    axes = ("angle from upright, °", "angular velocity, rad/s")
    limits = (180.0, MAX_SPEED_RAD_S)
    words = (
        "<b>Q-surface</b>: the discounted return that the critic expects from each state when the policy acts.",
        "<b>Policy</b>: the torque it chooses; counter-clockwise is positive.",
    )
    figures = (
        _figure(heat_map("Q of the policy's torque in every state", (*axes, "Q"), values, *limits, VALUES), words[0]),
        _figure(heat_map("Torque of the policy in every state", (*axes, "N·m"), torque, *limits, TORQUES), words[1]),
    )
    return f'<div class="row">\n{"".join(figures)}\n</div>'


def starts(result: Evaluation, card: Card) -> str:
    """Return from each fixed start beside the near-optimal one's, over the angle of the start."""
    angles = np.degrees(wrap_angle(start_states(card.config, len(result.returns), result.seed)[:, 0]))
    best = result.returns if result.regrets is None else result.returns + result.regrets
    y_range = span(result.returns, best, np.zeros(1))

    def draw(width: float) -> str:
        title, axis = "Return from each fixed start", "angle of the start from upright, °"
        plot = Plot(title, axis, "return", (-180, 180), y_range, width=width, x_ticks=_ANGLE_TICKS)
        plot.stems(angles, result.returns, best)
        plot.points(angles, best, "optimum", hollow=True)
        plot.points(angles, result.returns, "primary")
        return plot.svg()

    words = (
        f"{_key('primary')} this policy; {_key('optimum', 'hollow')} a near-optimal policy from the same start; "
        "the line between them is the regret."
    )
    return _figure(_for_both(draw), words)


def traces(take: Take) -> str:
    """Angle and torque of the film's episode over its time."""
    seconds = np.arange(len(take.rewards)) * DT_S
    angles = np.degrees(wrap_angle(take.states[:, 0]))
    jumps = np.flatnonzero(np.abs(np.diff(angles)) > 180) + 1
    reach = (0.0, max(1.0, math.ceil(len(seconds) * DT_S)))
    angle = Plot("Angle", "", "angle from upright, °", reach, (-180, 180), height=190, y_ticks=_ANGLE_TICKS)
    angle.line(np.insert(seconds, jumps, seconds[jumps]), np.insert(angles, jumps, np.nan), "rod")
    torque = Plot("Torque", "time, s", "torque, N·m", reach, (-MAX_TORQUE_NM, MAX_TORQUE_NM), height=190)
    torque.line(seconds, take.actions, "actor")
    return f'<div class="traces">\n{angle.svg()}\n{torque.svg()}\n</div>'


def _for_both(draw: Callable[[float], str]) -> str:
    """A chart in two widths, of which the page shows the one that suits the screen."""
    return f'<div class="wide">{draw(760)}</div>\n<div class="narrow">{draw(360)}</div>'


def _figure(picture: str, words: str) -> str:
    """A figure of HTML parts."""
    return f"<figure>\n{picture}\n<figcaption>{words}</figcaption>\n</figure>"


def _key(ink: str, kind: str = "") -> str:
    return f'<span class="key {kind}" style="--ink: var(--{ink})"></span>'


# --- arrays -----------------------------------------------------------------------------------------------------------


def _moment(run: Run, card: Card) -> Moment:
    """The run when its weights were those of the policy."""
    return run.at() if card.env_steps == run.env_steps else run.at(card.episode)


def _in_episodes(run: Run, env_steps: Array) -> Array:
    """Times in env steps [N] as times in episodes: 2.5 is half-way through the third."""
    log = run.logs.episodes
    starts = np.append(log.read("first_step"), run.env_steps - run.episode_steps)
    numbers = log.first + np.arange(len(starts))
    ends = np.append(starts, starts[-1] + run.env.max_episode_steps)
    return np.interp(env_steps, ends, np.append(numbers, numbers[-1] + 1))


def _binned(values: Array, width: int) -> Array:
    """Means of each `width` consecutive values; the last bin may have fewer."""
    starts = np.arange(0, len(values), width)
    counts = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(values.astype(float), starts) / counts if len(values) else np.empty(0)


def _reach(times: Array) -> tuple[float, float]:
    """The range of an axis of episodes: from 0 to the last of `times`."""
    return 0.0, max(1.0, math.ceil(float(times[-1]))) if len(times) else 1.0
