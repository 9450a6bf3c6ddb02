"""What the doctor looks at: a run up to a moment, what is measured of it, and its regrets to the oracle."""

from __future__ import annotations

import math
import weakref
from functools import cached_property
from typing import Final

import numpy as np

from ddpg_core.doctor.findings import number
from ddpg_core.environment import Array, pendulum_angles
from ddpg_core.moments import Moment
from ddpg_core.oracle import EPISODE_STEPS, optimal_returns
from ddpg_core.run import Run

RECENT: Final = 10
"""Episodes that "now" means: the mean return of ten is what the dashboard judges a policy by."""
POOR_REGRET: Final = 400.0
"""A mean regret above this is failing to swing up: untrained 1,000 to 1,400, `fast` at episode 20 mostly under 320."""
LAG_UPDATES: Final = 2000
"""|Q − Q′| over |Q| above which targets lag, and updates before that is judged: τ = 0.01 has 0.06, 1e-4 has 0.9."""
LONGEST_HORIZON: Final = 1000
"""Steps that a discount near 1 is taken to look ahead, so that values keep a bound."""
SAMPLED_STATES: Final = 1000
"""States of the window on which the networks are asked."""


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
    numbers = max(start, episodes.first) + np.arange(len(first_steps))
    kept = first_steps >= steps.first
    obs = steps.gather(steps.total - 1 - first_steps[kept])[:, steps.slices["obs"]].astype(float)
    missed = np.full(len(first_steps), np.nan)
    best = _best_returns(run, numbers[kept], np.stack([pendulum_angles(obs), obs[:, 2]], axis=1))
    missed[kept] = best - episodes.read("episode_return", start, stop)[kept]
    return missed


_BEST: Final[weakref.WeakKeyDictionary[Run, dict[int, float]]] = weakref.WeakKeyDictionary()
"""Near-optimal returns by episode, kept as the doctor looks every few seconds and neither start nor physics changes."""


def _best_returns(run: Run, numbers: Array, starts: Array) -> Array:
    """What a near-optimal policy gets in these episodes of a run [N], from their `starts` [N, 2]."""
    known = _BEST.setdefault(run, {})
    new = np.array([number not in known for number in numbers], dtype=bool)
    if new.any():
        best = optimal_returns(run.config, starts[new])
        assert best is not None
        known.update(zip(numbers[new].tolist(), best.tolist(), strict=True))
    return np.array([known[number] for number in numbers])


class Case:
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
            return f"regret to the oracle in {self.span}: {number(self.regret)} on average"
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
