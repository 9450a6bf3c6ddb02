"""One update of a run: taking the look that the page shows, its batch as a table, and its numbers in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ddpg_core.environment import Array, pendulum_angles
from ddpg_core.learner import STATISTICS
from ddpg_core.microscope import NoUpdateError, UpdateView, next_update
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.theme import minus
from pages.ui.words import raised

LISTED: Final = 1024
"""Rows of a batch that the table lists at most."""
CAR_AXES: Final = (("position", (-1.25, 0.65)), ("velocity per step", (-0.075, 0.075)))
"""What a mountain car's observations are, and the axes that hold them."""


@dataclass(frozen=True)
class Look:
    """What a look at the next update of a run found.

    Attributes:
        run, recipe, env_steps: Which run it was, its recipe and where it stood: they determine the update.
        view: The update; None where there is none to be seen.
        reason: Why there is none, or "".
        missing_steps: Env steps until there will be one; None if it isn't a matter of waiting.
    """

    run: Run
    recipe: Recipe
    env_steps: int
    view: UpdateView | None = None
    reason: str = ""
    missing_steps: int | None = None


def take_look(lab: Lab, player: Player, last: Look | None = None) -> Look:
    """The next update of the run, or the first one after the episode at the cursor; the run stays as it is.

    Where weights of that episode are not kept, it is the first one after the nearest earlier episode that has them.
    Of a run that diverged and is looked at live, it is the update at which it stopped. Training is held only while a
    twin is made; `last` is returned if it shows this very update.
    """
    with lab.reading():
        run, moment = player.run, lab.moment(player)
        live = lab.cursor is None
        first = moment.env_steps if live else run.at(moment.weights_of).env_steps
        if live and run.divergence:
            first = run.divergence.step
        if last and last.run is run and last.recipe == run.recipe and last.env_steps == first:
            return last
        recipe = run.recipe
        kept = moment.weights_of if not live else run.at(run.episode).weights_of if run.divergence else None
        try:
            twin = run.fork(kept)
        except ValueError:
            return Look(run, recipe, first, reason="the transitions of that time are no longer in the log")
    twin.advance(steps=first - twin.env_steps)
    try:
        return Look(run, recipe, first, next_update(twin))
    except NoUpdateError as error:
        return Look(run, recipe, first, reason=str(error), missing_steps=error.missing_steps)


def in_log(run: Run, view: UpdateView) -> bool | None:
    """Whether the run's log has the very statistics of this update, bit for bit; None if it has no such row.

    Call it while `Lab.reading()`.
    """
    rows = run.logs.updates.rows(view.update, view.update + 1)
    if not len(rows):
        return None
    return np.array_equal(rows[0], np.array([view.env_step, *view.statistics], np.float32), equal_nan=True)


# --- the batch --------------------------------------------------------------------------------------------------------


def is_pendulum(view: UpdateView) -> bool:
    """Whether the batch holds pendulum states (cos θ, sin θ, θ̇)."""
    return view.obs.shape[1] == 3


def batch_table(view: UpdateView) -> dict[str, Array]:
    """The first `LISTED` rows of the batch by column, in the order in which an update computes them."""
    states = (
        {"θ": pendulum_angles(view.obs), "θ̇": view.obs[:, 2]}
        if is_pendulum(view)
        else {name: view.obs[:, axis] for axis, (name, _) in enumerate(CAR_AXES)}
    )
    columns = {
        "step": view.rows.astype(np.int32),
        **states,
        "a": view.action[:, 0],
        "r": view.reward,
        "d": view.terminal,
        "a′": view.next_action[:, 0],
        "Q′": view.next_q,
        "y": view.target,
        "Q": view.q,
        "δ": view.td_error,
        "Q after": view.q_after,
        "μ(s)": view.policy_action[:, 0],
        "∂Q/∂a": view.action_gradient[:, 0],
        "Δμ": view.policy_action_after[:, 0] - view.policy_action[:, 0],
    }
    return {name: column[:LISTED] for name, column in columns.items()}


def most_surprising(view: UpdateView) -> int:
    """The listed row with the largest |δ|, the first of them where several are."""
    return int(np.nan_to_num(np.abs(view.td_error[:LISTED]), nan=-1.0, posinf=-1.0).argmax())


# --- words ------------------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 4) -> str:
    """A number for a line of text: so many digits, a real minus sign, powers of ten written out."""
    if not np.isfinite(value):
        return "not finite"
    mantissa, _, power = f"{value + 0.0:.{digits}g}".partition("e")
    return minus(mantissa) + (f"·10{raised(int(power))}" if power else "")


def row_in_words(view: UpdateView, row: int) -> str:
    """The state that one row of the batch began in, and when that was."""
    when = f"row {row}, env step {view.rows[row]:,}"
    if not is_pendulum(view):
        place, speed = view.obs[row].tolist()
        return minus(f"{when}: position {place:.2f}, velocity {speed:.3f} per step")
    angle, velocity = float(pendulum_angles(view.obs[row])), float(view.obs[row, 2])
    tilt = round(abs(np.degrees(angle)))
    where = "upright" if tilt < 10 else "hanging down" if tilt > 170 else f"{tilt}° from upright"
    turning = "counter-clockwise" if velocity > 0 else "clockwise"
    motion = "almost still" if abs(velocity) < 0.3 else f"turning {turning}"
    return minus(f"{when}: {where}, {motion} (θ = {angle:.2f} rad, θ̇ = {velocity:.2f} rad/s)")


def along(push: Array, move: Array) -> tuple[int, int, int]:
    """How many rows moved the way they were pushed, how many against it, and how many not at all [B]."""
    product = np.sign(push) * np.sign(move)
    return int((product > 0).sum()), int((product < 0).sum()), int((product == 0).sum())


def key_numbers(view: UpdateView) -> dict[str, tuple[str, str]]:
    """The number that says most about each sub-step, and what it is."""
    errors = [float(np.abs(view.target - q).mean()) for q in (view.q, view.q_after)]
    values = [float(q.mean()) for q in (view.policy_q, view.policy_q_after)]
    lags = [_percent(lag) for lag in (view.critic_target.lag_before, view.critic_target.lag_after)]
    drawn = "drawn at random" if view.settings.replay == "uniform" else "the newest"
    return {
        "sample": (f"{len(view.rows):,} of {view.settings.replay_window:,}", f"transitions, {drawn}"),
        "targets": (number(float(view.target.mean())), "mean target y"),
        "critic": (_change(errors), "mean |y − Q(s, a)|"),
        "actor": (_change(values), "mean Q(s, μ(s))"),
        "polyak": (" → ".join(lags), "how far the critic's target lags"),
    }


def findings(view: UpdateView) -> dict[str, str]:
    """What the batch as a whole went through in each sub-step, in a sentence or two."""
    settings, count = view.settings, len(view.rows)
    ended = int(view.terminal.sum())
    towards, away, _ = along(view.td_error, view.q_after - view.q)
    uphill, downhill, still = along(view.action_gradient, view.policy_action_after - view.policy_action)
    ages = f"The oldest one drawn is {view.ages.max():,} steps old, the newest {view.ages.min():,}."
    if settings.replay == "latest":
        ages = "No experience replay: what is older is never learned from again."
    unscaled = "" if settings.target_action_scaled else " The target actor's a′ goes in unscaled, as in the notebook."
    why = "Not all go the right way: Adam follows about its last ten gradients, and all states share the weights."
    return {
        "sample": ages,
        "targets": (f"In {ended:,} of {count:,} rows" if ended else "In no row of this batch")
        + f" the episode ended (d = 1), where y is the reward alone.{unscaled}",
        "critic": f"Moved towards y: {towards:,} of {count:,}; away from it: {away:,}. {why}",
        "actor": f"Moved to where Q rises: {uphill:,} of {count:,}; the other way: {downhill:,}; "
        f"not at all, mostly where tanh is saturated: {still:,}.",
        "polyak": f"Every weight of a target goes {_percent(settings.tau)} of its way. This step knows no rows.",
    }


def not_finite(view: UpdateView) -> str:
    """Which of the numbers in the update log are no longer finite, in words; "" if all are."""
    broken = [name for name, value in zip(STATISTICS, view.statistics, strict=True) if not np.isfinite(value)]
    return ", ".join(broken).replace("grad_", "gradient_").replace("_", " ")


def shown_by(view: UpdateView) -> str:
    """Whose numbers the formulas show, where the run's own engine does not tell them; "" where it does."""
    if view.settings.engine == "torch":
        return ""
    return " The formulas show PyTorch's numbers of it, equal to those of the compiled engine but for rounding."


def _change(pair: list[float]) -> str:
    """Before and after, with as many digits as it takes to tell them apart."""
    before, after = pair
    if not max(map(abs, pair)) < 1e5:
        return f"{number(before, 2)} → {number(after, 2)}"
    gap = abs(after - before) or 1.0
    digits = int(np.clip(1 - np.floor(np.log10(gap)), 1, 4))
    return minus(f"{before:.{digits}f} → {after:.{digits}f}")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if np.isfinite(share) else "not finite"
