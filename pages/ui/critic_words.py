"""What the Critic page says of its maps, in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from ddpg_core.environment import Array
from pages.ui.critic import Belief, Cut, Question, on_path
from pages.ui.critic_study import Look
from pages.ui.theme import minus

CLOSE: Final = 0.05
"""A mean error below this share of the mean true value counts as none."""


def error_words(seen: Look) -> tuple[str, str]:
    """The mean of learned − true, large, and what it means."""
    gap = seen.overestimate if seen.fresh else None
    if gap is None or seen.survey is None:
        return "…", "The policy is being rolled out from every state."
    if not np.isfinite(gap).all():
        return "…", "These networks hold numbers that are not finite."
    mean, size = float(gap.mean()), float(np.abs(seen.survey.true).mean())
    if abs(mean) < CLOSE * size:
        meaning = "On average the critic is about right; the map shows where it is not."
    elif mean > 0:
        meaning = f"On average it promises {mean:,.3g} more than its policy will earn: overestimation."
    else:
        meaning = f"On average it expects {-mean:,.3g} less than its policy will earn: underestimation."
    above = float((seen.survey.learned > 0).mean())
    if above > CLOSE:
        meaning += f" In {above:.0%} of the states it promises more than 0, which nobody can earn."
    return signed(mean), meaning + _along(seen.belief, gap)


def loss_words(seen: Look) -> tuple[str, str]:
    """The mean of true − optimal, large, and what it means."""
    loss = seen.shortfall if seen.fresh else None
    if loss is None or seen.optimal is None:
        return "…", f"The best policy is being solved for: {seen.share:.0%}." if not seen.oracle else "One moment."
    if not np.isfinite(loss).all():
        return "…", "A policy that is not finite earns nothing that could be shown."
    mean, size = float(loss.mean()), float(np.abs(seen.optimal).mean())
    if abs(mean) < CLOSE * size:
        meaning = "Next to nothing is lost: the policy is near optimal."
    else:
        meaning = f"The policy earns {-mean:,.3g} less than could be earned ({signed(float(seen.optimal.mean()))})."
    return signed(mean), meaning + _along(seen.belief, loss)


def _along(belief: Belief, values: Array) -> str:
    """The same along the path that the episode on screen took."""
    here = on_path(belief, values)
    return f" Along the white path: {signed(float(here.mean()))}." if len(here) else ""


def signed(value: float) -> str:
    """A number of three digits with its sign."""
    text = f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}"
    return minus(text.replace("+0", "0") if float(text.replace(",", "")) == 0 else text)


def next_step(belief: Belief) -> str:
    """What to do where the critic has nothing to say yet; "" where it has."""
    moment = belief.moment
    if not all(np.isfinite(each).all() for each in (moment.critic, moment.actor)):
        return "This critic diverged: its weights are no finite numbers. Move the cursor to an earlier episode."
    if moment.updates:
        return ""
    if not moment.config.updates_per_step:
        return "The critic does not learn while updates per step is 0: raise it on the Train page."
    waiting = moment.config.warmup_steps - moment.env_steps
    when = f"learning starts in {waiting:,} steps" if waiting > 0 else "learning starts with the next step"
    return f"These are the critic's random first weights; {when}. Press Play, or move the cursor to a later episode."


def caveats(belief: Belief) -> list[str]:
    """What to know when reading this run's maps."""
    config, moment, found = belief.moment.config, belief.moment, []
    if config.time_limit_terminal:
        found.append(
            "*Time limit is terminal* is on: this critic learns that nothing comes after step 200, the true values go "
            "on for ever. So it should lie **above** them."
        )
    if config.store_action == "raw" and belief.reach > 2:
        found.append(
            f"This critic learns from raw actions, up to ±{belief.reach:g} N·m, of which the actuator does ±2."
        )
    if moment.weights_of != moment.episode:
        found.append(f"Not every episode's weights are kept: these are of episode {moment.weights_of:,}.")
    return found


def cut_words(cut: Cut, question: Question) -> str:
    """Where the actor is being pushed in the state looked at."""
    lean = f"{abs(np.degrees(question.angle)):.0f}° {'left' if question.angle > 0 else 'right'} of upright"
    where = "Upright" if abs(question.angle) < 0.01 else f"At {lean}"
    if not np.isfinite([cut.policy, cut.slope]).all():
        return f"{where}, these networks hold numbers that are not finite."
    asks = f"{where}, turning at {question.velocity:.1f} rad/s, the policy asks for **{cut.policy:+.2f} N·m**. "
    if cut.slope == 0:
        return minus(f"{asks}There ∂Q/∂a = 0: to this critic a little more or less is all the same: **no push**.")
    more = "counter-clockwise" if cut.slope > 0 else "clockwise"
    limit = abs(cut.policy) > 0.99 * cut.torques[-1] and cut.policy * cut.slope > 0
    push = f"so the actor is pushed towards **more {more}** torque"
    return minus(
        f"{asks}There ∂Q/∂a = {cut.slope:+.3g} per N·m, {push}"
        + (", but it is at its limit already." if limit else ", along the arrow.")
    )
