"""What the Replay page shows of the window, as arrays: copied out of a run's logs at a moment, then computed on."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.environment import MAX_SPEED_RAD_S, Array, Physics, pendulum_angles
from ddpg_core.moments import Moment, Snapshot
from ddpg_core.networks import MLP
from ddpg_core.recipe import Recipe
from ddpg_core.recount import Recount, start_of
from ddpg_core.replay import transitions
from ddpg_core.replay_stats import cell_counts, reachable_cells, td_errors
from ddpg_core.run import Run
from pages.ui.lab import Lab
from pages.ui.player import Player

COPIED_ROWS: Final = 1 << 17
COUNTING_S: Final = 0.03
"""How long one refresh goes on counting draws; what is left is counted at the next."""


class Space(NamedTuple):
    """What the page must know of an environment.

    Attributes:
        across, up: The two quantities that a map of its states has as axes, with units.
        low, high: Ends of the axes.
        rewards: The range that rewards are drawn on.
        push: What an action is, with its unit.
    """

    across: str
    up: str
    low: tuple[float, float]
    high: tuple[float, float]
    rewards: tuple[float, float]
    push: str


SPACES: Final = {
    "Pendulum-v1": Space(
        "angle θ in rad (0 = upright)",
        "angular velocity θ̇ in rad/s",
        (-np.pi, -MAX_SPEED_RAD_S),
        (np.pi, MAX_SPEED_RAD_S),
        (-16.5, 0.0),
        "torque in N·m",
    ),
    "MountainCarContinuous-v0": Space(
        "position", "velocity per step", (-1.2, -0.07), (0.6, 0.07), (-0.1, 0.0), "force"
    ),
}


@dataclass(frozen=True)
class Memory:
    """The replay window of a run at a moment, copied out of its step log.

    Attributes:
        run: Whose it is; only `steps_of` reads it.
        moment: When.
        recipe, start: What a recount of the draws needs.
        actor, critic: Shapes of the networks.
        first, stop: Its rows that the log still holds.
        every: One in so many of them was copied.
        numbers, rows: Of the copied ones [N] and [N, widths].
        columns: Where each column stands in `rows`.
        starts: First rows of the episodes in the log, the one going on included.
        first_episode: Number of the first of them.
    """

    run: Run
    moment: Moment
    recipe: Recipe
    start: Snapshot
    actor: MLP
    critic: MLP
    first: int
    stop: int
    every: int
    numbers: Array
    rows: Array
    columns: Mapping[str, slice]
    starts: Array
    first_episode: int

    @property
    def space(self) -> Space:
        """The axes of its map."""
        return SPACES[self.moment.config.env_id]

    def episodes(self, numbers: Array) -> Array:
        """The episode, counted from 1, in which rows were made [N]."""
        return self.first_episode + np.searchsorted(self.starts, numbers, side="right")


class Draws(NamedTuple):
    """Which rows were drawn: `recount` to ask for counts, the last batch [B] if known, the share counted so far."""

    recount: Recount
    batch: Array
    rows: Array
    share: float


class Seen(NamedTuple):
    """Which cells of the map [16, 24] hold a transition, which can hold one, and the share of these that do."""

    visited: Array
    reachable: Array
    share: float


_RECOUNTS: Final[weakref.WeakKeyDictionary[Run, Recount]] = weakref.WeakKeyDictionary()
"""One count a run, which goes on from refresh to refresh."""


def memory_of(run: Run, moment: Moment) -> Memory:
    """Copy the replay window out of a run's log; call it while `Lab.reading()`."""
    first, stop = max(moment.window_first, run.logs.steps.first), moment.env_steps
    every = thinning(stop - first, COPIED_ROWS)
    numbers = np.arange(first + -first % every, max(stop, first), every)
    rows = run.logs.steps.rows(first, stop) if every == 1 else steps_of(run, numbers)
    starts = np.append(run.logs.episodes.read("first_step"), run.env_steps - run.episode_steps)
    return Memory(
        run,
        moment,
        run.recipe,
        start_of(run, moment),
        run.learner.actor_net,
        run.learner.critic_net,
        first,
        max(stop, first),
        every,
        numbers,
        rows,
        run.logs.steps.slices,
        starts,
        run.logs.episodes.first,
    )


def thinning(count: int, most: int) -> int:
    """Take every so manieth of `count` things to have at most `most`: a power of 2, so that it seldom changes."""
    every = 1
    while count > every * most:
        every *= 2
    return every


def steps_of(run: Run, numbers: Array) -> Array:
    """Copies of these rows of the step log [N, widths], which must still be in it; call it while `Lab.reading()`."""
    return run.logs.steps.gather(run.env_steps - 1 - numbers)


def draws_of(lab: Lab, memory: Memory) -> Draws:
    """Count the draws up to the memory's moment, for `COUNTING_S` at most; training goes on meanwhile."""
    recount = _RECOUNTS.get(memory.run) or _RECOUNTS.setdefault(memory.run, Recount(memory.recipe, memory.start))
    deadline = time.perf_counter() + COUNTING_S
    # Two refreshes of a session may overlap: what the other has counted of a live run beyond this moment may stay.
    ahead = lab.cursor is None and recount.env_steps > memory.moment.env_steps
    done = ahead or recount.advance(memory.recipe, memory.start, memory.moment, lambda: time.perf_counter() > deadline)
    batch = recount.last_batch if done else np.empty(0, np.int64)
    batch = batch[batch >= memory.first]
    with lab.reading():
        batch = batch[batch >= memory.run.logs.steps.first]
        rows = steps_of(memory.run, batch)
    return Draws(recount, batch, rows, 1.0 if done else recount.updates / max(memory.moment.updates, 1))


def on_screen(lab: Lab, player: Player) -> Memory:
    """The memory of a run at the moment on screen; takes the Lab's lock."""
    with lab.reading():
        return memory_of(player.run, lab.moment(player))


def counting(lab: Lab, player: Player) -> bool:
    """Whether draws up to the moment on screen are still to be counted after a refresh's share of the work."""
    return draws_of(lab, on_screen(lab, player)).share < 1


def states(rows: Array, columns: Mapping[str, slice], name: str = "obs") -> Array:
    """Rows' observations as points on the map [N, 2]: angle and velocity, or a car's position and velocity."""
    obs = rows[:, columns[name]]
    return obs if obs.shape[1] == 2 else np.stack([pendulum_angles(obs), obs[:, 2]], axis=1)


def seen(memory: Memory) -> Seen:
    """How much of the state space the window covers."""
    low, high, config = memory.space.low, memory.space.high, memory.moment.config
    visited = cell_counts(states(memory.rows, memory.columns), low, high) > 0
    if config.env_id == "Pendulum-v1":
        reachable = reachable_cells(Physics.of(config)) | visited
    else:
        reachable = np.ones_like(visited)
    return Seen(visited, reachable, float(visited.sum() / reachable.sum()))


def surprise(memory: Memory, rows: Array) -> Array:
    """|TD error| of rows [N] by the networks of the moment."""
    batch = transitions(rows, memory.columns, memory.moment.config)
    with np.errstate(all="ignore"):
        return np.abs(td_errors(batch, memory.moment, memory.actor, memory.critic))
