"""How fast training is on this machine, for `python -m ddpg_core bench` and the benchmarks of the tests.

Times are CPU seconds, whichever threads spent them, save where several threads work at once.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config, format_value, parse_value, shown
from ddpg_core.environment import Array
from ddpg_core.networks import MLP
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run, stretch_steps
from ddpg_core.timing import Call, Progress, in_turns, number, quartiles, spread, table, threads_gain

ENGINES: Final = ("torch", "fused")
OBS, ACTIONS = 3, 1
"""Of the pendulum."""
UPDATES_A_CALL: Final = 16
MATMUL_WIDTH: Final = 384
"""Wide enough for a core's highest rate, and small enough for its cache."""
MATMUL_OPERATIONS: Final = 2 * MATMUL_WIDTH**3


@dataclass(frozen=True)
class Size:
    """Hidden units of both networks, transitions in a batch, and in the replay window (12,000 are 60 episodes)."""

    hidden: tuple[int, ...]
    batch: int
    buffer: int = 12_000

    @property
    def name(self) -> str:
        """As in `8-8-8, batch 1024`."""
        return f"{format_value(self.hidden)}, batch {self.batch}"

    @property
    def stretch(self) -> int:
        """Env steps taken at once."""
        config = Config(hidden=self.hidden, batch_size=self.batch)
        return stretch_steps(config, sum(net.parameter_count for net in self.nets))

    @property
    def nets(self) -> tuple[MLP, MLP]:
        """Actor and critic."""
        return MLP((OBS, *self.hidden, ACTIONS), True), MLP((OBS + ACTIONS, *self.hidden, 1), False)

    @property
    def operations(self) -> int:
        """Multiplications and additions of one update's matrix products, two for each weight a transition passes."""
        actor, critic = (OBS, *self.hidden, ACTIONS), (OBS + ACTIONS, *self.hidden, 1)
        first_actor, first_critic = actor[0] * actor[1], critic[0] * critic[1]
        weights = {net: sum(a * b for a, b in itertools.pairwise(net)) for net in (actor, critic)}
        passes = 2 * weights[actor] + 3 * weights[critic]  # forward: both, their targets, the critic of μ(s)
        passes += weights[critic] + weights[critic] - first_critic  # critic: by its weights, by its activations
        passes += weights[critic] - first_critic + ACTIONS * critic[1]  # through the critic to the action
        passes += weights[actor] + weights[actor] - first_actor  # actor: by its weights, by its activations
        return 2 * passes * self.batch


SIZES: Final = (Size((8, 8, 8), 1024), Size((64, 64), 128), Size((256, 256), 256))
GROWTH: Final[dict[str, dict[int, Size]]] = {
    "units": {units: Size((units, units), 128) for units in (8, 32, 128, 512)},
    "batch": {batch: Size((64, 64), batch) for batch in (1, 32, 128, 1024, 4096)},
    "buffer": {buffer: Size((64, 64), 128, buffer) for buffer in (1_000, 10_000, 100_000, 1_000_000)},
}
"""What grows while the rest stays: units of two hidden layers, batch, replay window."""
GROWTH_NAMES: Final = {"units": "units in two layers", "batch": "batch", "buffer": "replay window"}


def size_of(text: str) -> Size:
    """The size written as in `64-64/128`.

    Raises:
        ValueError: It is written otherwise, or is none that a run can have.
    """
    hidden, slash, batch = text.partition("/")
    if not slash:
        raise ValueError(f"--size must be units and a batch like 64-64/128, got {shown(text)}")
    values = {name: parse_value(name, value) for name, value in (("hidden", hidden), ("batch_size", batch))}
    config = Config().changed(values)
    return Size(config.hidden, config.batch_size)


# --- what is timed ------------------------------------------------------------------------------------------------


def step_call(engine: str, size: Size) -> Call:
    """`size.stretch` env steps and their updates, with all that a run does besides; its replay window is full."""
    return functools.partial(filled(engine, size).advance, steps=size.stretch)


def update_call(engine: str, size: Size) -> Call:
    """`UPDATES_A_CALL` updates in such a run, drawing and gathering their batches included, after a single env step."""
    return functools.partial(filled(engine, size, updates_per_step=UPDATES_A_CALL).advance, steps=1)


def filled(engine: str, size: Size, updates_per_step: int = 1) -> Run:
    """A run whose replay window is full, before its first update."""
    config = Config(engine=engine, hidden=size.hidden, batch_size=size.batch, capacity=size.buffer, warmup_steps=1)
    past = Run(Recipe(config.changed({"updates_per_step": 0})))
    past.advance(episodes=1)
    steps = past.logs.steps
    steps.raise_bound(size.buffer)
    steps.load(np.resize(steps.rows(), (size.buffer, sum(steps.columns.values()))), size.buffer)
    now = past.snapshot()
    recipe = Recipe(config.changed({"updates_per_step": updates_per_step}))
    return Run.restored(recipe, past.logs, replace(now, counters=now.counters | {"first_step": size.buffer}))


def matmul_call() -> Call:
    """One matrix product of `MATMUL_OPERATIONS`, on one thread."""
    import torch

    torch.set_num_threads(1)
    a, b = (
        torch.from_numpy(x)
        for x in np.random.default_rng(0).normal(size=(2, MATMUL_WIDTH, MATMUL_WIDTH)).astype(np.float32)
    )
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


# --- what is told -------------------------------------------------------------------------------------------------


def measure(
    rounds: int, sizes: Sequence[Size] = SIZES, growth: Mapping[str, Mapping[int, Size]] = GROWTH
) -> dict[str, Any]:
    """All that `bench` tells, as JSON-ready data; takes about a minute for 25 rounds."""
    with Progress(rounds * (3 * len(sizes) + len(growth))) as tell:
        tell.say("getting the engines ready")
        return {
            "rounds": rounds,
            "cores": os.cpu_count(),
            "sizes": [compared(size, rounds, tell) for size in sizes],
            "growth": {name: grown(name, cases, rounds, tell) for name, cases in growth.items()},
            "threads": [threaded(size, rounds, tell) for size in sizes],
        }


def compared(size: Size, rounds: int, tell: Progress) -> dict[str, Any]:
    """Both engines, whole steps and updates alone, beside the arithmetic floor."""
    calls: dict[str, Call] = {"matmul": matmul_call()}
    for engine in ENGINES:
        calls |= {f"{engine} step": step_call(engine, size), f"{engine} update": update_call(engine, size)}
    took = in_turns(calls, rounds, tell, size.name)
    for engine in ENGINES:
        took[f"{engine} step"] /= size.stretch
        took[f"{engine} update"] /= UPDATES_A_CALL
    return against_floor(size, took)


def against_floor(size: Size, took: Mapping[str, Array]) -> dict[str, Any]:
    """What timings say of a size.

    Args:
        size: What was timed.
        took: Seconds in every round of a `matmul`, and of a step and an update by each engine (`torch step`).

    Returns:
        The floor, which is the update's operations at the rate of `matmul_call`, and the engines.
    """
    floor = took["matmul"] * size.operations / MATMUL_OPERATIONS
    return {
        "name": size.name,
        "hidden": list(size.hidden),
        "batch": size.batch,
        "buffer": size.buffer,
        "mflop": size.operations / 1e6,
        "matmul_gflop_per_s": quartiles(MATMUL_OPERATIONS / took["matmul"] / 1e9),
        "floor_us": quartiles(1e6 * floor),
        "engines": {
            engine: {
                "steps_per_s": quartiles(1 / took[f"{engine} step"]),
                "update_us": quartiles(1e6 * took[f"{engine} update"]),
                "times_floor": quartiles(took[f"{engine} update"] / floor),
            }
            for engine in ENGINES
        },
    }


def grown(name: str, cases: Mapping[int, Size], rounds: int, tell: Progress) -> list[dict[str, Any]]:
    """What a step costs for each value of what grows, and how many times as much as for the first."""
    sizes = {f"{engine} {value}": (engine, size) for value, size in cases.items() for engine in ENGINES}
    took = in_turns({key: step_call(*case) for key, case in sizes.items()}, rounds, tell, GROWTH_NAMES[name])
    return growing(cases, {key: seconds / sizes[key][1].stretch for key, seconds in took.items()})


def growing(values: Iterable[int], took: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The same from timings: seconds in every round of a step by each engine at each value (`torch 128`)."""
    first, *_ = values = list(values)
    return [
        {
            "value": value,
            "engines": {
                engine: {
                    "step_us": quartiles(1e6 * took[f"{engine} {value}"]),
                    "times_first": quartiles(took[f"{engine} {value}"] / took[f"{engine} {first}"]),
                }
                for engine in ENGINES
            },
        }
        for value in values
    ]


def threaded(size: Size, rounds: int, tell: Progress) -> dict[str, Any]:
    """What two threads do by what one does in the same time, with the fused engine: whole steps, updates alone."""
    gains = {}
    for name, kind in (("steps", step_call), ("updates", update_call)):
        one, other = kind("fused", size), kind("fused", size)
        gains[name] = threads_gain(one, other, rounds, tell, f"{size.name}, two threads")
    return {"name": size.name, "two_threads_by_one": gains}


def report(results: Mapping[str, Any]) -> str:
    """`measure`'s results as three Markdown tables with a sentence before each."""
    parts = [
        "Medians of CPU time on one core. A step is one env step and one update. The floor is the arithmetic of an\n"
        "update at the rate of PyTorch's own matrix products; whose products are faster can come out below 1.",
        _sizes_table(results["sizes"]),
        *(["What a step costs, and how many times as much as in the first row:"] if results["growth"] else []),
        *(_growth_table(GROWTH_NAMES[name], rows) for name, rows in results["growth"].items()),
        f"Two threads by one in the same time, engine fused ({results['cores']} cores), medians (quartiles):",
        _threads_table(results["threads"]),
    ]
    return "\n\n".join(parts)


def _sizes_table(sizes: Iterable[Mapping[str, Any]]) -> str:
    header = ["networks", "engine", "steps/s", "update, µs", "floor, µs", "update / floor (quartiles)"]
    rows = []
    for size in sizes:
        for engine, told in size["engines"].items():
            cells = (told["steps_per_s"], told["update_us"], size["floor_us"])
            rows.append(
                [size["name"], engine, *(number(cell["median"]) for cell in cells), spread(told["times_floor"])]
            )
    return table(header, rows)


def _growth_table(name: str, rows: Iterable[Mapping[str, Any]]) -> str:
    def cell(told: Mapping[str, Any]) -> str:
        return f"{number(told['step_us']['median'])} ({told['times_first']['median']:.1f}×)"

    header = [name, *(f"{engine}, µs a step" for engine in ENGINES)]
    return table(header, ([f"{row['value']:,}", *map(cell, row["engines"].values())] for row in rows))


def _threads_table(rows: Iterable[Mapping[str, Any]]) -> str:
    return table(
        ["networks", "whole steps", "updates alone"],
        ([row["name"], *map(spread, row["two_threads_by_one"].values())] for row in rows),
    )
