"""The training doctor: what goes wrong in a run, in plain words, with the numbers that show it and a knob to turn.

A pure function of the logs up to a moment and of the networks then. Thresholds were set on runs of the presets and of
`fast` with one setting spoilt: healthy `fast` runs get no complaint after episode 20.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array, pendulum_angles
from ddpg_core.learner import SATURATED
from ddpg_core.oracle import EPISODE_STEPS, optimal_returns
from ddpg_core.run import Moment, Run

RECENT: Final = 10
"""Episodes that "now" means: the mean return of ten is what the dashboard judges a policy by."""
JUDGED: Final = 5
"""Episodes before a policy is called good: single returns say little."""
SEVERITIES: Final = ("bad", "warning", "good", "info")
"""The order of the findings."""

POOR_REGRET: Final = 400.0
"""A mean regret above this is failing to swing up: untrained 1,000 to 1,400, `fast` at episode 20 mostly under 320."""
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
COVERED_STEPS: Final = 3000
"""Steps before the buffer's coverage is judged: `fast` is seldom upright before."""
LAG: Final = 0.3
LAG_UPDATES: Final = 2000
"""|Q − Q′| over |Q| above which targets lag, and updates before that is judged: τ = 0.01 has 0.06, 1e-4 has 0.9."""
GROWN: Final = 10.0
"""Growth of the TD error over its lowest that is too much once it is larger than all that a reward can differ.

A healthy critic's loss grows 20 to 100 times with Q itself, but its TD error stays within half the rewards' range.
"""
HUGE: Final = 4.0
"""TD error over the rewards' range that is too much even if it never was small."""
LONGEST_HORIZON: Final = 1000
"""Steps that a discount near 1 is taken to look ahead, so that values keep a bound."""
RETURNS_APART: Final = 50.0
"""Two ten-episode means this far apart catch the eye; their standard error at the optimum is 24·√2 = 34."""
REGRETS_ALIKE: Final = 15.0
"""Mean regrets this near are the same: their standard error is 16/√10·√2 = 7."""
CALM_RATE: Final = 1e-3
"""The presets' learning rate."""
SAMPLED_STATES: Final = 1000
"""States of the window on which the networks are asked."""


class Knob(NamedTuple):
    """A setting of `Config` to change, and the value to try."""

    name: str
    value: Any


@dataclass(frozen=True)
class Finding:
    """What the doctor says about a run.

    Attributes:
        kind: Which check: stable, for tests and icons.
        severity: One of `SEVERITIES`.
        title: One plain sentence.
        evidence: What was measured, and when.
        advice: What to do, and why it helps.
        knob: The setting that the advice is about, or None.
    """

    kind: str
    severity: str
    title: str
    evidence: str
    advice: str
    knob: Knob | None = None


def diagnose(run: Run, moment: Moment, episode_regrets: Array | None = None) -> list[Finding]:
    """All findings about `run` at `moment` (from `run.at`), the worst first. Changes nothing.

    Args:
        run: Its logs beyond the moment are not looked at.
        moment: When.
        episode_regrets: `regrets` of episodes up to the moment, the last 20 at least, if they are at hand;
            computed otherwise, which takes the oracle (a third of a second, once) and some 20 ms.
    """
    case = _Case(run, moment, episode_regrets)
    alone = _diverged(case) or _forgotten(case)
    if alone:
        return [alone]
    with np.errstate(over="ignore", invalid="ignore"):  # networks about to blow up are a finding, not an accident
        findings = [finding for check in _CHECKS if (finding := check(case))]
        if all(finding.kind == "luck" for finding in findings):
            findings.append(_no_complaint(case))
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def regrets(run: Run, start: int = 0, stop: int | None = None) -> Array | None:
    """What a near-optimal policy would have got more than each episode did, from the same start state.

    The return holds the exploration noise, so the regret does too.

    Args:
        run: Any run.
        start, stop: Episodes start … stop − 1 (0-based, as in the log; default: all).

    Returns:
        [episodes kept in the log], NaN where the start state is no longer in it; None for other environments.
    """
    if run.config.env_id != "Pendulum-v1":
        return None
    steps, episodes = run.logs.steps, run.logs.episodes
    first_steps = episodes.read("first_step", start, stop).astype(int)
    kept = first_steps >= steps.first
    obs = steps.gather(steps.total - 1 - first_steps[kept])[:, steps.slices["obs"]].astype(float)
    best = optimal_returns(run.config, np.stack([pendulum_angles(obs), obs[:, 2]], axis=1))
    assert best is not None
    missed = np.full(len(first_steps), np.nan)
    missed[kept] = best - episodes.read("episode_return", start, stop)[kept]
    return missed


class _Case:
    """What the checks look at: the run up to the moment, and what is measured of it."""

    def __init__(self, run: Run, moment: Moment, episode_regrets: Array | None) -> None:
        self.run, self.moment, self.config = run, moment, moment.config
        self.pendulum = moment.config.env_id == "Pendulum-v1"
        self._given_regrets = episode_regrets

    def episodes(self, column: str, count: int = RECENT) -> Array:
        """A column of the last `count` finished episodes."""
        return self.run.logs.episodes.read(column, max(0, self.moment.episode - count), self.moment.episode)

    def updates(self, column: str, count: int = EPISODE_STEPS) -> Array:
        """A column of the last `count` updates."""
        return self.run.logs.updates.read(column, max(0, self.moment.updates - count), self.moment.updates)

    def window(self, column: str) -> Array:
        """A column of what can be drawn from the buffer."""
        return self.run.logs.steps.read(column, self.moment.window_first, self.moment.env_steps)

    @property
    def span(self) -> str:
        """The recent episodes in words, counted from 1 as on the charts."""
        last = self.moment.episode
        return f"episodes {max(1, last - RECENT + 1)} to {last}" if last > 1 else "episode 1"

    @cached_property
    def regrets(self) -> Array | None:
        """Regrets of the last 2·RECENT episodes that are known."""
        known = self._given_regrets
        if known is None:
            known = regrets(self.run, max(0, self.moment.episode - 2 * RECENT), self.moment.episode)
        return None if known is None else known[-2 * RECENT :]

    @cached_property
    def regret(self) -> float:
        """Mean regret of the recent episodes; NaN where none is known."""
        recent = self.regrets[-RECENT:] if self.regrets is not None else np.empty(0)
        recent = recent[np.isfinite(recent)]
        return float(recent.mean()) if recent.size else math.nan

    @property
    def poor(self) -> bool:
        """Whether the policy fails at its task: a high regret, or, elsewhere, a goal never reached."""
        if not self.moment.episode:
            return False
        if self.pendulum:
            return self.regret > POOR_REGRET
        return not self.episodes("terminated").any()

    @property
    def result(self) -> str:
        """How good the policy is, as evidence."""
        if self.pendulum:
            return f"regret to the oracle in {self.span}: {_number(self.regret)} on average"
        reached = self.episodes("terminated")
        return f"goal reached in {int(reached.sum())} of {len(reached)} episodes up to {self.moment.episode}"

    @cached_property
    def reward_range(self) -> tuple[float, float]:
        """Lowest and highest reward in the buffer."""
        rewards = self.window("reward")
        return (float(rewards.min()), float(rewards.max())) if rewards.size else (0.0, 0.0)

    @property
    def horizon(self) -> float:
        """Steps that the discount looks ahead, 1/(1 − γ)."""
        gamma = self.config.gamma
        return min(1 / (1 - gamma), LONGEST_HORIZON) if gamma < 1 else LONGEST_HORIZON

    @cached_property
    def sample(self) -> tuple[Array, Array]:
        """obs [N, O] and executed action [N, A] evenly spread over the buffer."""
        obs, action = self.window("obs"), self.window("action")
        action = action.reshape(len(obs), -1)
        rows = np.linspace(0, len(obs) - 1, min(len(obs), SAMPLED_STATES)).astype(int)
        return obs[rows], action[rows]

    @cached_property
    def outputs(self) -> Array:
        """The actor's outputs in [−1, 1] on the sample [N, A]."""
        return self.run.learner.actor_net.numpy(self.moment.actor, self.sample[0])

    def values(self, critic: Array) -> Array:
        """What critic parameters say of the sample [N]."""
        return self.run.learner.critic_net.numpy(critic, np.concatenate(self.sample, axis=1))[:, 0]

    @cached_property
    def lag(self) -> float:
        """Mean |Q − Q′| over mean |Q| on the sample; 0 before it can be judged."""
        if self.moment.updates < LAG_UPDATES:
            return 0.0
        online, target = self.values(self.moment.critic), self.values(self.moment.critic_target)
        return float(np.abs(online - target).mean() / max(float(np.abs(online).mean()), 1e-9))


def _diverged(case: _Case) -> Finding | None:
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
        _calmer(case.config),
    )


def _forgotten(case: _Case) -> Finding | None:
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


def _diverging(case: _Case) -> Finding | None:
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
        f"|TD error| in the last {EPISODE_STEPS} updates: {_number(chunks[-1])} (median); its lowest was "
        f"{_number(lowest)}, and one reward lies between {_number(low)} and {_number(high)}. Gradient norm of "
        f"the critic: {_number(case.updates('critic_grad_norm').mean())}.",
        "Take smaller steps, so that the critic can settle before its own targets move away.",
        _calmer(case.config),
    )


def _optimistic(case: _Case) -> Finding | None:
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
    knob = _trustier(case.config)
    impossible = not bottom - slack <= q_mean <= top + slack
    if (gap.mean() <= slack or closing) and not impossible:
        return None
    return Finding(
        "overestimation",
        "bad" if impossible else "warning",
        "Q runs away: it is beyond anything that rewards allow."
        if impossible
        else "The critic promises much more than the agent gets.",
        f"At the start of {case.span} the critic promised {_number(first_q.mean())} and {_number(realised.mean())} "
        f"came (discounted, on average). Mean Q in the last batches: {_number(q_mean)}; rewards allow "
        f"{_number(bottom)} to {_number(top)}.",
        "The critic hardly moves: let it learn faster."
        if knob == Knob(_critic_rate(case.config), CALM_RATE)
        else "The actor follows the critic's mistakes. A critic that learns from more data, and an actor and targets "
        "that move in smaller steps, give it time to correct them.",
        knob,
    )


def _target_lag(case: _Case) -> Finding | None:
    """How far the target critic's values are from the critic's own."""
    if case.lag <= LAG:
        return None
    slow = case.config.tau < 0.005
    return Finding(
        "target_lag",
        "warning",
        "The target networks are far behind: the critic learns from old opinions.",
        f"Q and target Q differ by {_share(case.lag)} of Q on {len(case.sample[0]):,} states of the buffer. At τ = "
        f"{case.config.tau:g} targets need {1 / case.config.tau:,.0f} updates; {case.moment.updates:,} were made.",
        "Let the targets follow faster." if slow else "Take smaller critic steps, so that the targets can keep up.",
        Knob("tau", 0.01) if slow else _lower(case.config, _critic_rate(case.config)),
    )


def _no_replay(case: _Case) -> Finding | None:
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


def _saturated(case: _Case) -> Finding | None:
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
        f"Outputs beyond ±{SATURATED} on {_share(at_top + at_bottom)} of {len(case.outputs):,} states of the buffer "
        f"({_share(at_top)} at the upper limit, {_share(at_bottom)} at the lower). Actor gradient norm: "
        f"{_number(gradient)}; {case.result}.",
        "Out there tanh is flat and passes almost no gradient, so the actor can hardly change its mind. "
        + (
            "Smaller steps keep it from getting there; to get it back, go on from an earlier episode."
            if case.config.actor_lr > CALM_RATE
            else "A weight penalty pulls it back."
        ),
        _unsaturating(case.config),
    )


def _no_exploration(case: _Case) -> Finding | None:
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
        f"Noise in {case.span}: {_share(strength)} of the actuator's half range (root mean square); {case.result}.",
        "Without noise it only sees what its own policy does, and may never meet anything better.",
        _more_noise(case.config, case.moment.episode),
    )


def _not_upright(case: _Case) -> Finding | None:
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
        f"{_share(upright.mean())} of {len(obs):,} transitions are within 30° of upright and slower than 2 rad/s; "
        f"{case.result}.",
        "The critic can't know that upright is good before it has been there. Stronger, smoother noise gets there by "
        "chance; a larger buffer keeps what was found.",
        Knob("capacity", 100_000) if len(obs) < COVERED_STEPS else _more_noise(case.config, case.moment.episode),
    )


def _not_learning(case: _Case) -> Finding | None:
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


def _luck(case: _Case) -> Finding | None:
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
        f"Mean return of episodes {last - 19} to {last - 10}: {_number(returns[:RECENT].mean())}, of {case.span}: "
        f"{_number(returns[RECENT:].mean())}. Regret to the oracle from the same starts: "
        f"{_number(missed[:RECENT].mean())}, then {_number(missed[RECENT:].mean())}.",
        "An episode that starts upright costs almost nothing, one that starts hanging far more. Judge by the regret, "
        "or evaluate on fixed starts.",
    )


_CHECKS: Final[tuple[Callable[[_Case], Finding | None], ...]] = (
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


def _no_complaint(case: _Case) -> Finding:
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
        f"Mean return of {case.span}: {_number(case.episodes('episode_return').mean())}; {case.result}. "
        f"Mean Q {_number(q_mean)}, mean |TD error| {_number(error)}."
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


def _realised(case: _Case) -> Array:
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


def _calmer(config: Config) -> Knob | None:
    """The setting most to blame when numbers explode, as `Run` names it."""
    rate = "actor_lr" if config.actor_lr > config.critic_lr else _critic_rate(config)
    if getattr(config, rate) > 3e-3:
        return Knob(rate, CALM_RATE)
    if config.gamma == 1:
        return Knob("gamma", 0.99)
    if config.tau > 0.1:
        return Knob("tau", 0.01)
    return _lower(config, rate)


def _trustier(config: Config) -> Knob | None:
    """What most helps a critic that promises too much."""
    rate = _critic_rate(config)
    if config.replay == "latest":
        return Knob("replay", "uniform")
    if config.capacity <= COVERED_STEPS:
        return Knob("capacity", 100_000)
    if config.tau > 0.01:
        return Knob("tau", 0.01)
    if config.batch_size < 64:
        return Knob("batch_size", 128)
    if getattr(config, rate) < 1e-4:
        return Knob(rate, CALM_RATE)
    return _lower(config, "actor_lr")


def _critic_rate(config: Config) -> str:
    """The setting that holds the critic's learning rate."""
    return "actor_lr" if config.shared_lr else "critic_lr"


def _lower(config: Config, rate: str) -> Knob | None:
    """A tenth of a learning rate, where that is still a rate."""
    value = getattr(config, rate) / 10
    return Knob(rate, value) if value >= 1e-6 else None


def _unsaturating(config: Config) -> Knob | None:
    """What keeps an actor from saturating, or pulls it back: the penalty's gradient doesn't pass through tanh."""
    if config.actor_lr > CALM_RATE:
        return Knob("actor_lr", CALM_RATE)
    return Knob("l2", 1e-3) if config.l2 < 1e-3 else _lower(config, "actor_lr")


def _more_noise(config: Config, episode: int) -> Knob | None:
    """The one setting that brings exploration back."""
    now = config.noise_scale * config.noise_decay**episode
    if config.noise == "none":
        return Knob("noise", "ou")
    if config.ou_sigma < 0.1:
        return Knob("ou_sigma", 0.2)
    if now < 0.5 <= config.noise_scale:
        return Knob("noise_decay", 1.0)
    scale = min(5.0, round(max(1.0, 2 * now), 2))
    return Knob("noise_scale", scale) if scale > config.noise_scale else None


def _number(value: float) -> str:
    """A measured number with a real minus sign: three figures, or whole above 100."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %"
