"""The Compare page's desk: what a session wants to compare, what is being computed of it, and what it says so far."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import gymnasium

from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import Comparison, Condition
from ddpg_core.config import Config
from ddpg_core.environment import start_states
from ddpg_core.metrics import evaluate_policy
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from ddpg_core.summary import summarise
from pages.ui.comparing import BREATH_S, WORKERS, Comparing, offered
from pages.ui.jobs import Latest
from pages.ui.lab import Lab

FIRST_SET: Final = "replay"
SEEDS: Final = (3, 10)
"""Fewest and most seeds that the page offers."""
EPISODES: Final = (1, 300)
MOST_CONDITIONS: Final = 16
MOST_STARTS: Final = 100
MOST_EVALUATIONS: Final = 20
MAX_BYTES: Final = 1 << 20
_TIMED_S: Final = 0.06
_TRIES: Final = 3


class Digest(NamedTuple):
    """A summary of the results that were there.

    Attributes:
        of: What they are results of.
        runs: How many there were.
        summary: As `summarise` gives it.
    """

    of: Comparing
    runs: int
    summary: dict[str, Any]


@dataclass(eq=False)
class Desk:
    """What a Lab compares; it outlives a reload of the page.

    Attributes:
        plan: The conditions to choose from, and what comes with them.
        loads: How many plans were put on the desk: widgets of an earlier one are let go of.
        comparing: What is being computed, or was; None before anything is.
        problem: What the user should be told of the file or condition given last, or "".
    """

    plan: Comparison = CONDITION_SETS[FIRST_SET]
    loads: int = 0
    comparing: Comparing | None = None
    problem: str = ""
    _answers: Latest[Digest] = field(default_factory=Latest)

    @property
    def working(self) -> bool:
        """Whether runs are being computed."""
        return self.comparing is not None and self.comparing.working

    def digest(self) -> Digest | None:
        """The newest summary of what is there, or None so far; asks for a newer one where results have come since."""
        comparing, digest = self.comparing, self._answers.answer
        if comparing is None:
            return None
        current = digest if digest and digest.of is comparing else None
        count = len(comparing.results)
        if count and (current is None or current.runs < count):
            self._answers.ask(functools.partial(digested, comparing), urgent=not comparing.working)
        return current

    @property
    def settled(self) -> bool:
        """Whether nothing more will come by itself: no run, and no summary."""
        if self.comparing is None:
            return True
        digest = self.digest()
        return not self.working and (digest.runs if digest else 0) == len(self.comparing.results)


def digested(comparing: Comparing) -> Digest:
    """The summary of what is there now."""
    results = dict(comparing.results)
    return Digest(comparing, len(results), summarise(comparing.comparison, results))


_desks: WeakKeyDictionary[Lab, Desk] = WeakKeyDictionary()


def desk_of(lab: Lab) -> Desk:
    """The desk of a Lab."""
    return _desks.setdefault(lab, Desk())


# --- what is asked ----------------------------------------------------------------------------------------------------


def asked_of(plan: Comparison, names: Sequence[str], seeds: range, episodes: int) -> Comparison:
    """The comparison of some of a plan's conditions, the first of `names` being what others are compared with.

    Raises:
        ValueError: There are none, or one of them changes after the last episode.
    """
    by_name = {condition.name: condition for condition in plan.conditions}
    evaluated = [at for at in plan.evaluate_at if at < episodes and at != plan.episodes]
    chosen = tuple(by_name[name] for name in names)
    return replace(plan, conditions=chosen, seeds=tuple(seeds), episodes=episodes, evaluate_at=tuple(evaluated))


def plan_of(data: bytes) -> Comparison:
    """The comparison that an uploaded file describes.

    Raises:
        ValueError: The file is too large, not a comparison, or more than the page takes.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file of conditions must be at most {MAX_BYTES >> 20} MiB, got {len(data):,} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("conditions must be JSON, got something that is not text") from None
    plan = Comparison.from_json(text)
    for name, value, most in (
        ("conditions", len(plan.conditions), MOST_CONDITIONS),
        ("episodes", plan.episodes, EPISODES[1]),
        ("starts", plan.starts, MOST_STARTS),
        ("evaluate_at", len(plan.evaluate_at), MOST_EVALUATIONS),
    ):
        if value > most:
            raise ValueError(f"{name} must be at most {most} on this page, got {value}; the command line takes more")
    return plan


def with_condition(plan: Comparison, condition: Condition) -> Comparison:
    """The plan with one condition more.

    Raises:
        ValueError: There is one of that name, no room for another, or it changes after the end.
    """
    if any(condition.name == each.name for each in plan.conditions):
        raise ValueError(f"there is a condition named {condition.name!r} already: choose another name")
    if len(plan.conditions) >= MOST_CONDITIONS:
        raise ValueError(f"the page takes at most {MOST_CONDITIONS} conditions; the command line takes more")
    return replace(plan, conditions=(*plan.conditions, condition))


# --- how long it takes ------------------------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """How long a comparison takes here.

    Attributes:
        of: The comparison.
        seconds: A run, on average.
        pace: Env steps a second.
    """

    of: Comparison
    seconds: float
    pace: float


def estimated(comparison: Comparison) -> Estimate:
    """How long a run of a comparison takes, timed with networks and batches of its sizes."""
    seconds, steps, timed = 0.0, 0.0, functools.cache(_timed)
    for condition in offered(comparison).conditions:
        config = condition.config
        names = ("env_id", "engine", "hidden", "batch_size", "updates_per_step", "replay", "replacement")
        step_s, evaluated_s = timed(Config(**{name: getattr(config, name) for name in names}, warmup_steps=1))
        length = gymnasium.spec(config.env_id).max_episode_steps or 0
        seconds += comparison.episodes * (length * step_s + BREATH_S)
        seconds += len(comparison.evaluate_at) * comparison.starts * length * evaluated_s
        steps += comparison.episodes * length
    return Estimate(comparison, seconds / len(comparison.conditions) / WORKERS, steps / seconds * WORKERS)


def _timed(config: Config) -> tuple[float, float]:
    """Seconds of a step of training, and of one of an evaluation: the best of a few tries, while others work too."""
    run = Run(Recipe(config))
    run.advance(steps=5)
    starts, length = start_states(config, 1, 0), gymnasium.spec(config.env_id).max_episode_steps or 1
    steps, evaluations = [], []
    for _ in range(_TRIES):
        began, end = time.perf_counter(), time.perf_counter() + _TIMED_S
        taken = run.advance(steps=1000, stop=functools.partial(_past, end))
        steps.append((time.perf_counter() - began) / max(taken, 1))
        began = time.perf_counter()
        evaluate_policy(run.act, config, starts)
        evaluations.append((time.perf_counter() - began) / length)
    return min(steps), min(evaluations)


def _past(end: float) -> bool:
    return time.perf_counter() > end
