"""The doctor's checks: each looks at a case and has a finding or none. Thresholds stand here with their reasons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from ddpg_core.doctor.case import LONGEST_HORIZON, RECENT, Case
from ddpg_core.doctor.findings import Finding, Knob, number, share
from ddpg_core.doctor.knobs import (
    CALM_RATE,
    COVERED_STEPS,
    calmer,
    critic_rate,
    lower,
    more_noise,
    trustier,
    unsaturating,
)
from ddpg_core.environment import Array, pendulum_angles
from ddpg_core.learner import SATURATED
from ddpg_core.oracle import EPISODE_STEPS

JUDGED: Final = 5
"""Episodes before a policy is called good: single returns say little."""
SO_SO_REGRET: Final = 150.0
"""A mean regret above this is not good yet; `fast` gets below it by episode 30."""
SETTLED_UPDATES: Final = 4000
"""Updates before Q is judged: it starts near 0 and needs 20 episodes to grow to its size."""
SATURATED_SHARE: Final = 0.85
"""Share of saturated outputs that is too much in a poor policy; swinging up well is bang-bang too, up to 0.83."""
FULL_SHARE: Final = 0.97
"""Share of saturated outputs that is too much in any policy but a good one: no gradient is left anywhere."""
STUCK_SHARE: Final = 0.98
"""Share of saturated outputs of one sign at which the actor is a constant; good ones push both ways (at most 0.75)."""
OPTIMISM: Final = 0.125
"""First Q above the realised return, over the range of values: `fast` stays below 0.06, `no_replay` above 0.18."""
STILL_OPEN: Final = 0.75
"""Shrinking of that gap within ten episodes below which the critic is catching up by itself."""
WEAK_NOISE: Final = 0.05
"""Noise as a share of the actuator's half range that hardly changes an action; OU at scale 1 has 0.34."""
UPRIGHT_RAD: Final = math.radians(30)
SLOW_RAD_S: Final = 2.0
UPRIGHT_SHARE: Final = 0.05
"""Share of upright states that random starts alone nearly give (0.005 to 0.055); `fast` has 0.3 at episode 20."""
LAG: Final = 0.3
GROWN: Final = 10.0
"""Growth of the TD error over its lowest that is too much once it is larger than all that a reward can differ.

A healthy critic's loss grows 20 to 100 times with Q itself, but its TD error stays within half the rewards' range.
"""
HUGE: Final = 4.0
"""TD error over the rewards' range that is too much even if it never was small."""
RETURNS_APART: Final = 50.0
"""Two ten-episode means this far apart catch the eye; their standard error at the optimum is 24·√2 = 34."""
REGRETS_ALIKE: Final = 15.0
"""Mean regrets this near are the same: their standard error is 16/√10·√2 = 7."""


def diverged(case: Case) -> Finding | None:
    """A number is no longer finite: the run has stopped."""
    divergence = case.run.divergence
    if divergence is None or case.moment.env_steps <= divergence.step:
        return None
    return Finding(
        "diverged",
        "bad",
        "Training has blown up: a number stopped being finite, and the run can't go on.",
        f"At step {divergence.step:,}: {divergence.cause}.",
        "Go back to an episode before it and go on from there with a calmer setting.",
        calmer(case.config),
    )


def forgotten(case: Case) -> Finding | None:
    """A moment so long ago that its steps or updates are no longer in the log."""
    logs, moment = case.run.logs, case.moment
    if moment.env_steps > logs.steps.first and (moment.updates > logs.updates.first or not moment.updates):
        return None
    if not moment.env_steps:
        return None
    return Finding(
        "forgotten",
        "info",
        "That moment is too long ago to be examined.",
        f"The log begins at step {logs.steps.first:,} and update {logs.updates.first:,}; the cursor is at step "
        f"{moment.env_steps:,} and update {moment.updates:,}.",
        "Move the cursor to a later episode.",
    )


def _diverging(case: Case) -> Finding | None:
    """TD errors larger than all that a reward can differ, and far above that or above what they were."""
    errors = case.updates("td_error_abs", case.moment.updates)
    if len(errors) < 3 * EPISODE_STEPS:
        return None
    chunks = np.median(errors[len(errors) % EPISODE_STEPS :].reshape(-1, EPISODE_STEPS), axis=1)
    now, lowest = float(chunks[-2:].min()), float(chunks.min())
    low, high = case.reward_range
    spread = max(high - low, 1.0)
    if now <= spread or (now <= GROWN * lowest and now <= HUGE * spread):
        return None
    return Finding(
        "diverging",
        "bad",
        "The critic's errors are out of hand: training is about to blow up.",
        f"|TD error| in the last {EPISODE_STEPS} updates: {number(chunks[-1])} (median); its lowest was "
        f"{number(lowest)}, and one reward lies between {number(low)} and {number(high)}. Gradient norm of "
        f"the critic: {number(case.updates('critic_grad_norm').mean())}.",
        "Take smaller steps, so that the critic can settle before its own targets move away.",
        calmer(case.config),
    )


def _optimistic(case: Case) -> Finding | None:
    """Q at the first step of episodes against the discounted return that followed, and mean Q against its bounds.

    Where targets lag, Q is merely late: that has a finding of its own.
    """
    bounded = (1 - case.config.gamma) * LONGEST_HORIZON > 0.99
    if case.moment.updates < SETTLED_UPDATES or case.moment.episode < RECENT or not bounded or case.lag > LAG:
        return None
    low, high = case.reward_range
    top, bottom = max(high, 0) * case.horizon, min(low, 0) * case.horizon
    slack = OPTIMISM * (top - bottom)
    first_q, realised = case.episodes("first_q"), _realised(case)
    gap = first_q - realised
    closing = gap[RECENT // 2 :].mean() < STILL_OPEN * gap[: RECENT // 2].mean()
    q_mean = float(case.updates("q_mean").mean())
    knob = trustier(case.config)
    impossible = not bottom - slack <= q_mean <= top + slack
    if (gap.mean() <= slack or closing) and not impossible:
        return None
    return Finding(
        "overestimation",
        "bad" if impossible else "warning",
        "Q runs away: it is beyond anything that rewards allow."
        if impossible
        else "The critic promises much more than the agent gets.",
        f"At the start of {case.span} the critic promised {number(first_q.mean())} and {number(realised.mean())} "
        f"came (discounted, on average). Mean Q in the last batches: {number(q_mean)}; rewards allow "
        f"{number(bottom)} to {number(top)}.",
        "The critic hardly moves: let it learn faster."
        if knob == Knob(critic_rate(case.config), CALM_RATE)
        else "The actor follows the critic's mistakes. A critic that learns from more data, and an actor and targets "
        "that move in smaller steps, give it time to correct them.",
        knob,
    )


def _target_lag(case: Case) -> Finding | None:
    """How far the target critic's values are from the critic's own."""
    if case.lag <= LAG:
        return None
    slow = case.config.tau < 0.005
    return Finding(
        "target_lag",
        "warning",
        "The target networks are far behind: the critic learns from old opinions.",
        f"Q and target Q differ by {share(case.lag)} of Q on {len(case.sample[0]):,} states of the buffer. At τ = "
        f"{case.config.tau:g} targets need {1 / case.config.tau:,.0f} updates; {case.moment.updates:,} were made.",
        "Let the targets follow faster." if slow else "Take smaller critic steps, so that the targets can keep up.",
        Knob("tau", 0.01) if slow else lower(case.config, critic_rate(case.config)),
    )


def _no_replay(case: Case) -> Finding | None:
    """Batches drawn from no more than one episode."""
    latest = case.config.replay == "latest"
    reach = min(case.config.capacity, case.config.batch_size) if latest else case.config.capacity
    if reach > EPISODE_STEPS or not case.config.updates_per_step:
        return None
    what = "newest transition" if reach == 1 else f"newest {reach} transitions"
    return Finding(
        "no_replay",
        "bad" if reach < EPISODE_STEPS // 4 else "warning",
        f"The agent learns from the {what} only.",
        f"Each update sees at most {reach} of the {case.moment.env_steps:,} transitions made: the newest.",
        "Neighbouring transitions are nearly the same, and what isn't seen again is forgotten. Draw batches of 128 "
        "from a large buffer.",
        Knob("replay", "uniform") if latest else Knob("capacity", 100_000),
    )


def _saturated(case: Case) -> Finding | None:
    """Outputs at their bounds where it does harm: in a poor policy, or all at the same bound."""
    if not case.moment.updates or not case.moment.episode:
        return None
    at_top, at_bottom = (case.outputs > SATURATED).mean(), (case.outputs < -SATURATED).mean()
    stuck, full = max(at_top, at_bottom) > STUCK_SHARE, at_top + at_bottom > FULL_SHARE
    harmful = case.poor and at_top + at_bottom > SATURATED_SHARE
    if not (stuck or harmful or (full and case.regret > SO_SO_REGRET)):
        return None
    gradient = case.updates("actor_grad_norm").mean()
    return Finding(
        "saturated",
        "bad" if stuck else "warning",
        "The actor always pushes one way, as hard as it can." if stuck else "The actor is stuck at its limits.",
        f"Outputs beyond ±{SATURATED} on {share(at_top + at_bottom)} of {len(case.outputs):,} states of the buffer "
        f"({share(at_top)} at the upper limit, {share(at_bottom)} at the lower). Actor gradient norm: "
        f"{number(gradient)}; {case.result}.",
        "Out there tanh is flat and passes almost no gradient, so the actor can hardly change its mind. "
        + (
            "Smaller steps keep it from getting there; to get it back, go on from an earlier episode."
            if case.config.actor_lr > CALM_RATE
            else "A weight penalty pulls it back."
        ),
        unsaturating(case.config),
    )


def _no_exploration(case: Case) -> Finding | None:
    """Noise too small to find anything new while the policy is still poor."""
    if not case.poor:
        return None
    first = int(case.episodes("first_step")[0])
    noise = case.run.logs.steps.read("noise", first, case.moment.env_steps)
    half_range = (case.run.env.action_high - case.run.env.action_low) / 2
    strength = float(np.sqrt(np.mean(np.square(noise.reshape(len(noise), -1) / half_range))))
    if strength >= WEAK_NOISE:
        return None
    return Finding(
        "no_exploration",
        "warning",
        "The agent hardly explores, and its policy is still poor.",
        f"Noise in {case.span}: {share(strength)} of the actuator's half range (root mean square); {case.result}.",
        "Without noise it only sees what its own policy does, and may never meet anything better.",
        more_noise(case.config, case.moment.episode),
    )


def _not_upright(case: Case) -> Finding | None:
    """A buffer that hardly holds the states where the reward is."""
    if not case.pendulum or case.moment.env_steps < COVERED_STEPS or not case.moment.updates or not case.poor:
        return None
    obs = case.window("obs")
    upright = (np.abs(pendulum_angles(obs)) < UPRIGHT_RAD) & (np.abs(obs[:, 2]) < SLOW_RAD_S)
    if upright.mean() >= UPRIGHT_SHARE:
        return None
    return Finding(
        "not_upright",
        "warning",
        "The replay buffer holds hardly any upright states.",
        f"{share(upright.mean())} of {len(obs):,} transitions are within 30° of upright and slower than 2 rad/s; "
        f"{case.result}.",
        "The critic can't know that upright is good before it has been there. Stronger, smoother noise gets there by "
        "chance; a larger buffer keeps what was found.",
        Knob("capacity", 100_000) if len(obs) < COVERED_STEPS else more_noise(case.config, case.moment.episode),
    )


def _not_learning(case: Case) -> Finding | None:
    """Learning that is switched off or has not begun."""
    if not case.config.updates_per_step:
        return Finding(
            "learning_off",
            "info",
            "Learning is switched off.",
            f"Updates per step: 0. {case.moment.updates:,} updates made in {case.moment.env_steps:,} steps.",
            "The agent acts and fills its buffer, but its networks stay as they are.",
            Knob("updates_per_step", 1),
        )
    left = case.config.warmup_steps - case.moment.env_steps
    if left <= 1:
        return None
    return Finding(
        "warming_up",
        "info",
        "Learning has not begun: the agent is collecting its first transitions.",
        f"{case.moment.env_steps:,} of {case.config.warmup_steps:,} warm-up steps taken.",
        "Wait, or shorten the warm-up." if left > EPISODE_STEPS else "Wait a moment.",
        Knob("warmup_steps", 128) if case.config.warmup_steps > 128 else None,
    )


def _luck(case: Case) -> Finding | None:
    """Returns that changed because the starts did: regret to the oracle from the same starts did not."""
    if case.regrets is None or case.moment.episode < 2 * RECENT or case.poor:
        return None
    returns, missed = case.episodes("episode_return", 2 * RECENT), case.regrets
    if len(missed) < 2 * RECENT or not np.isfinite(missed).all():
        return None
    change = float(returns[RECENT:].mean() - returns[:RECENT].mean())
    regret_change = float(missed[RECENT:].mean() - missed[:RECENT].mean())
    if abs(change) < RETURNS_APART or abs(regret_change) > REGRETS_ALIKE:
        return None
    last = case.moment.episode
    return Finding(
        "luck",
        "info",
        f"The last ten returns look {'better' if change > 0 else 'worse'}, but that is start-state luck.",
        f"Mean return of episodes {last - 19} to {last - 10}: {number(returns[:RECENT].mean())}, of {case.span}: "
        f"{number(returns[RECENT:].mean())}. Regret to the oracle from the same starts: "
        f"{number(missed[:RECENT].mean())}, then {number(missed[RECENT:].mean())}.",
        "An episode that starts upright costs almost nothing, one that starts hanging far more. Judge by the regret, "
        "or evaluate on fixed starts.",
    )


CHECKS: Final[tuple[Callable[[Case], Finding | None], ...]] = (
    _diverging,
    _no_replay,
    _optimistic,
    _saturated,
    _target_lag,
    _no_exploration,
    _not_upright,
    _not_learning,
    _luck,
)


def no_complaint(case: Case) -> Finding:
    """What is said when nothing is wrong, which is not the same as being good."""
    if case.moment.episode < JUDGED or not case.moment.updates:
        return Finding(
            "too_early",
            "info",
            "It is too early to say anything.",
            f"Episodes finished: {case.moment.episode}; updates made: {case.moment.updates:,}.",
            "Let the agent finish a few episodes of learning.",
        )
    q_mean, error = case.updates("q_mean").mean(), case.updates("td_error_abs").mean()
    evidence = (
        f"Mean return of {case.span}: {number(case.episodes('episode_return').mean())}; {case.result}. "
        f"Mean Q {number(q_mean)}, mean |TD error| {number(error)}."
    )
    if case.poor or case.regret > SO_SO_REGRET:
        return Finding(
            "still_learning",
            "info",
            "Nothing looks broken, but the policy is not good yet.",
            evidence,
            "Give it more episodes." + (" Swinging up takes 10 to 30 with the preset fast." if case.pendulum else ""),
        )
    return Finding(
        "healthy",
        "good",
        "Nothing to complain about.",
        evidence,
        "Errors, values and actions are where they should be. Go on, or spoil a setting and see what it does.",
    )


def _realised(case: Case) -> Array:
    """Discounted returns of the recent episodes, with what would have followed had time not run out.

    The rest is γⁿ/(1 − γ) times the mean reward of the last 50 steps; none follows where the critic learns an end.
    """
    columns = ("discounted_return", "first_step", "length", "terminated")
    totals, first_steps, lengths, terminated = (case.episodes(name) for name in columns)
    rest = np.zeros(len(totals))
    if not case.config.time_limit_terminal:
        for row, end in enumerate((first_steps + lengths).astype(int)):
            rewards = case.run.logs.steps.read("reward", max(int(first_steps[row]), end - 50), end)
            if rewards.size and not terminated[row]:
                rest[row] = case.config.gamma ** lengths[row] * case.horizon * rewards.mean()
    realised: Array = totals + rest
    return realised
