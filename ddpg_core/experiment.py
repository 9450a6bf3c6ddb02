"""Cells of a comparison, one condition with one seed each, computed by any `concurrent.futures.Executor`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.config import Config, shown
from ddpg_core.environment import Environment, start_states
from ddpg_core.metrics import evaluate_policy
from ddpg_core.oracle import optimal_returns
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run

FORMAT: Final = "ddpg-lab cell 1"
STARTS_SEED: Final = 0
"""Of the start states of all evaluations."""
_POLL_S: Final = 0.2
"""How often a wait for cells looks whether it should end."""

Watch = Callable[["Cell", int], None]
"""Told a cell and the episodes it has finished, after each; what it raises ends the cell."""


@dataclass(frozen=True)
class Cell:
    """One run of a comparison: everything needed to compute it on any machine.

    Attributes:
        condition: How to train.
        seed: Of the run.
        episodes: How long.
        evaluate_at: Episodes after which the policy is evaluated.
        starts: Start states of an evaluation.
    """

    condition: Condition
    seed: int
    episodes: int
    evaluate_at: tuple[int, ...]
    starts: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the others of its comparison."""
        return self.condition.name, self.seed


@dataclass(frozen=True)
class Evaluated:
    """A policy without noise on the fixed starts, after `episode` episodes of training.

    Attributes:
        episode: Episodes finished.
        returns: Of each start.
    """

    episode: int
    returns: list[float]


@dataclass(frozen=True)
class Result:
    """What a cell gave. Equal cells give equal results, whoever computed them: there is nothing of time in it.

    Attributes:
        condition, seed: Its cell's.
        recipe: Of the run, every change at its env step: a `Run` of it is the cell's, bit for bit.
        returns, lengths: Of each episode finished, in order.
        evaluations: In the order of their episodes; none after a divergence.
        optimal_returns: Of a near-optimal policy from each start; None where no oracle is known.
        random_return: Mean return of random actions from the same starts.
        diverged: Why the run stopped early, or None.
    """

    condition: str
    seed: int
    recipe: Recipe
    returns: list[float]
    lengths: list[int]
    evaluations: list[Evaluated]
    optimal_returns: list[float] | None
    random_return: float
    diverged: str | None

    @property
    def key(self) -> tuple[str, int]:
        """Its cell's."""
        return self.condition, self.seed

    def to_json(self) -> str:
        """The result as JSON text; `from_json` reads it back exactly."""
        data = {"format": FORMAT, **vars(self), "recipe": self.recipe.to_dict()}
        data["evaluations"] = [asdict(evaluated) for evaluated in self.evaluations]
        return json.dumps(data, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """The result that `to_json` wrote.

        Raises:
            ValueError: The text is something else.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                raise ValueError("its format is another")
            data["recipe"] = Recipe.from_dict(data["recipe"])
            data["evaluations"] = [Evaluated(**item) for item in data["evaluations"]]
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"a result must be a whole file of this project: {shown(str(error))}") from None


Results = Mapping[tuple[str, int], Result]
"""By condition and seed, as many as there are."""


def cells(comparison: Comparison) -> list[Cell]:
    """All cells, seed by seed, so that a comparison that is interrupted has compared its first seeds."""
    common = (comparison.episodes, comparison.evaluate_at, comparison.starts)
    return [Cell(condition, seed, *common) for seed in comparison.seeds for condition in comparison.conditions]


def compute_cell(cell: Cell, watch: Watch | None = None) -> Result:
    """Train and evaluate as `cell` says: a pure function of it."""
    config, run = cell.condition.config, Run(cell.condition.recipe(cell.seed))
    starts, evaluations = start_states(config, cell.starts, STARTS_SEED), []
    while True:
        if run.episode in cell.evaluate_at:
            evaluations.append(Evaluated(run.episode, evaluate_policy(run.act, config, starts).tolist()))
        for change in cell.condition.changes_at(run.episode):
            run.intervene(change.changes)
        if run.episode == cell.episodes:
            break
        run.advance(episodes=1)
        if run.divergence:
            break
        if watch:
            watch(cell, run.episode)
    episodes, best = run.logs.episodes, optimal_returns(config, starts)
    return Result(
        condition=cell.condition.name,
        seed=cell.seed,
        recipe=run.recipe,
        returns=episodes.read("episode_return").tolist(),
        lengths=episodes.read("length").astype(int).tolist(),
        evaluations=evaluations,
        optimal_returns=None if best is None else best.tolist(),
        random_return=random_return(config, cell.starts),
        diverged=f"at step {run.divergence.step}: {run.divergence.cause}" if run.divergence else None,
    )


def random_return(config: Config, starts: int) -> float:
    """Mean return of uniformly random actions from the fixed starts of evaluations, one episode each."""
    return _random_return(config.env_id, config.gravity, config.mass, config.length, starts)


@lru_cache(maxsize=64)
def _random_return(env_id: str, gravity: float, mass: float, length: float, starts: int) -> float:
    config, rng = Config(env_id=env_id, gravity=gravity, mass=mass, length=length), np.random.default_rng(STARTS_SEED)
    env = Environment(config, rng)
    states = start_states(config, starts, STARTS_SEED)
    return float(evaluate_policy(lambda _: rng.uniform(env.action_low, env.action_high), config, states).mean())


def compute_cells(
    cells: Iterable[Cell], executor: Executor, watch: Watch | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Result]:
    """Results as they come, in any order, until all are there or `stop()` is true; those not begun are cancelled then.

    Args:
        cells: What to compute.
        executor: Any; a cell is one task of it.
        watch: For executors that work in this process only.
        stop: Asked five times a second.

    Raises:
        ValueError: Cells failed; raised when all others have been given.
    """
    extra = () if watch is None else (watch,)
    owners = {executor.submit(compute_cell, cell, *extra): cell for cell in cells}
    failures: list[str] = []
    waiting = set(owners)
    try:
        while waiting and not stop():
            done, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                cell = owners.pop(future)  # lets go of the result: with Dask, a worker keeps it as long as we do
                if future.cancelled() or future.exception():
                    failures.append(_failure(cell, None if future.cancelled() else future.exception()))
                else:
                    yield future.result()
    finally:
        for future in waiting:
            future.cancel()
    if failures and not stop():
        raise ValueError(f"{len(failures)} of the runs failed, first {failures[0]}; run it again to compute only these")


def _failure(cell: Cell, error: BaseException | None) -> str:
    cancelled = "it was cancelled, as when a cluster goes away"
    reason = cancelled if error is None else f"{type(error).__name__}: {shown(str(error))}"
    return f"{cell.condition.name!r} with seed {cell.seed}: {reason}"
