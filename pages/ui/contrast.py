"""Batches of neighbours against batches drawn at random, in arrays and figures: why DDPG replays at all."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.replay import transitions
from ddpg_core.replay_stats import (
    autocorrelation,
    cell_counts,
    cosine,
    critic_gradient,
    critic_inputs,
    td_errors,
)
from pages.ui.buffer import SPACES, Memory, states, steps_of
from pages.ui.buffer_charts import titled
from pages.ui.lab import Lab
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES, minus, nice

LAGS: Final = 60
SEQUENCE: Final = 2_000
MOST_BATCHES: Final = 24
MOST_IN_BATCH: Final = 1_024
MOST_REFERENCE: Final = 2_048
KINDS: Final = (("as it happened", "environment"), ("drawn at random", "replay"))
"""Name and role of the two kinds of batches, in the order of `Contrast`'s pairs."""
_GRADIENT_WORK: Final = 3e7
"""Weights × transitions that the gradients of one refresh may touch."""


class Contrast(NamedTuple):
    """Batches in the order things happened against batches drawn at random: (as it happened, drawn) each time.

    Attributes:
        size: Transitions in a batch.
        correlation: Between values 0 … `LAGS` places apart.
        cells: Cells of the map that each batch covers.
        cosines: Between the critic's gradient of each batch and that of the whole window.
    """

    size: int
    correlation: tuple[Array, Array]
    cells: tuple[Array, Array]
    cosines: tuple[Array, Array]


def quantities(env_id: str) -> dict[str, str]:
    """Of what a correlation can be shown, by the name of its kind."""
    return {"velocity": SPACES[env_id].up, "reward": "reward", "action": SPACES[env_id].push}


def contrast(lab: Lab, memory: Memory, quantity: str) -> Contrast | None:
    """What batches of neighbours and batches drawn at random show the critic; None before there are two rows.

    The draws here are made anew with a generator of their own, so that looking changes nothing.
    """
    count, config = memory.stop - memory.first, memory.moment.config
    if count < 2:
        return None
    size = min(config.batch_size, count, MOST_IN_BATCH)
    batches = int(np.clip(_GRADIENT_WORK / (memory.critic.parameter_count * size), 4, MOST_BATCHES))
    picked = _picks(memory.first, memory.stop, size, batches)
    with lab.reading():
        if memory.first < memory.run.logs.steps.first:
            return None
        stretches, random, newest, shuffled, whole = (steps_of(memory.run, numbers) for numbers in picked)
    ordered = autocorrelation(_values(memory, newest, quantity), LAGS, memory.episodes(picked[2]))
    mixed = autocorrelation(_values(memory, shuffled, quantity), LAGS)
    (gradient,) = _gradients(memory, whole, 1)
    kinds = (stretches, random)
    cells = [np.array([_cells(memory, rows) for rows in np.split(kind, batches)]) for kind in kinds]
    cosines = [np.array([cosine(each, gradient) for each in _gradients(memory, kind, batches)]) for kind in kinds]
    return Contrast(size, (ordered, mixed), (cells[0], cells[1]), (cosines[0], cosines[1]))


def _picks(first: int, stop: int, size: int, batches: int) -> list[Array]:
    """Rows to compare: stretches of neighbours, batches at random, the newest, as many at random, the whole evenly."""
    rng = np.random.default_rng(0)
    ends = np.linspace(first + size, stop, batches).astype(np.int64)
    stretches = ends[:, None] - size + np.arange(size)
    newest = np.arange(max(stop - SEQUENCE, first), stop)
    return [
        stretches.ravel(),
        rng.integers(first, stop, batches * size),
        newest,
        rng.integers(first, stop, len(newest)),
        np.linspace(first, stop - 1, min(stop - first, MOST_REFERENCE)).astype(np.int64),
    ]


def _cells(memory: Memory, rows: Array) -> int:
    """How many cells of the map a batch of rows covers."""
    return int((cell_counts(states(rows, memory.columns), memory.space.low, memory.space.high) > 0).sum())


def _values(memory: Memory, rows: Array, quantity: str) -> Array:
    if quantity == "velocity":
        return states(rows, memory.columns)[:, 1]
    return rows[:, memory.columns[quantity].start]


def _gradients(memory: Memory, rows: Array, batches: int) -> Array:
    """The critic's gradient on each of so many batches, one after the other in `rows`, by the moment's networks."""
    batch = transitions(rows, memory.columns, memory.moment.config)
    with np.errstate(all="ignore"):
        errors = td_errors(batch, memory.moment, memory.actor, memory.critic)
        inputs = critic_inputs(batch).reshape(batches, len(rows) // batches, -1)
        return critic_gradient(memory.critic, memory.moment.critic, inputs, errors.reshape(batches, -1))


# --- figures ----------------------------------------------------------------------------------------------------------


def contrast_charts(found: Contrast | None, name: str) -> list[Figure]:
    """Correlation of neighbours, cells covered, and gradients against the whole window's; empty before there are rows.

    Args:
        found: What `contrast` gave.
        name: The quantity whose correlation is shown, in words.
    """
    nothing = (np.empty(0), np.empty(0))
    found = found or Contrast(0, nothing, nothing, nothing)
    return [_correlation_chart(found, name), _cells_chart(found), _gradient_chart(found)]


def _correlation_chart(found: Contrast, name: str) -> Figure:
    details = titled(f"Correlation of {name.split(' in ')[0]}", "places apart in the batch", "correlation")
    details["xaxis"]["range"], details["yaxis"]["range"] = [0, LAGS], [-1, 1.05]
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": kind,
            "x": packed(np.arange(len(values))),
            "y": packed(values),
            "line": {"color": ROLES[role], "width": 2},
            "hovertemplate": "%{y:.2f}",
        }
        for (kind, role), values in zip(KINDS, found.correlation, strict=True)
    ]
    return {"data": lines, "layout": details}


def _cells_chart(found: Contrast) -> Figure:
    """A dot a batch and a line at the mean: how many cells of the map it covers."""
    top = nice(float(max((values.max(initial=0) for values in found.cells), default=0)))
    details = titled(f"Cells of the map in a batch of {found.size:,}", "", "cells", legend=False)
    details["yaxis"]["range"] = [0, 1.08 * top]
    return {"data": _strips(found.cells, ".0f"), "layout": _two_kinds(details)}


def _gradient_chart(found: Contrast) -> Figure:
    """A dot a batch and a line at the mean: where its gradient points."""
    details = titled("Does its gradient point the right way?", "", "cosine with the whole window", legend=False)
    details["yaxis"]["range"] = [-1.1, 1.1]
    return {"data": _strips(found.cosines, ".2f"), "layout": _two_kinds(details)}


def _two_kinds(details: dict[str, Any]) -> dict[str, Any]:
    ticks = {"tickvals": [0, 1], "ticktext": [kind for kind, _ in KINDS], "range": [-0.6, 1.6], "showgrid": False}
    return details | {"xaxis": details["xaxis"] | ticks, "hovermode": "closest"}


def _strips(pairs: tuple[Array, Array], digits: str) -> list[Figure]:
    """Values of the two kinds as dots side by side, with their means as lines and in numbers."""
    traces: list[Figure] = []
    for place, ((kind, role), values) in enumerate(zip(KINDS, pairs, strict=True)):
        values = values[np.isfinite(values)]
        across = place + np.linspace(-0.25, 0.25, len(values))
        dots = {"mode": "markers", "x": packed(across), "y": packed(values), "hovertemplate": f"%{{y:{digits}}}"}
        dots["marker"] = {"color": ROLES[role], "size": 6, "opacity": 0.6}
        traces.append({"type": "scatter", "name": kind, **dots})
        mean = values.mean() if len(values) else np.nan
        text = minus(f" {mean:{digits}}") if len(values) else ""
        line: Figure = {"mode": "lines+text", "x": [place - 0.38, place + 0.38], "y": packed(np.full(2, mean))}
        line |= {"text": ["", text], "textposition": "middle right", "hoverinfo": "skip", "cliponaxis": False}
        traces.append({"type": "scatter", "name": f"mean, {kind}", **line, "line": {"color": ROLES[role], "width": 3}})
    return traces
