"""Forgetting over several seeds: the ready-made comparison, what it says of forgetting, and its chart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import Comparison
from ddpg_core.environment import Array
from ddpg_core.experiment import Result
from ddpg_core.metrics import bootstrap_interval, forgetting_index, medians
from ddpg_core.summary import MIN_SEEDS, evaluation_means, results_of
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES, RUN_COLOURS, grown, layout, minus

READY_MADE: Final = CONDITION_SETS["forgetting"]
CHART_PX: Final = 330


def comparison_of(seeds: range, *, windows: bool) -> Comparison:
    """The ready-made comparison over `seeds`, or of its two ends only: replay kept, and the newest transition alone."""
    chosen = READY_MADE.conditions if windows else READY_MADE.conditions[:2]
    return replace(READY_MADE, conditions=chosen, seeds=tuple(seeds), evaluate_at=())


@dataclass(frozen=True)
class Forgot:
    """The forgetting index of one condition over its seeds.

    Attributes:
        name: Of the condition.
        seeds: Of the runs that had learned something before [N].
        index: Their F [N].
        median, low, high: Median and its 95 % bootstrap interval; NaN without runs.
        unlearned: Runs that had nothing to forget.
    """

    name: str
    seeds: Array
    index: Array
    median: float
    low: float
    high: float
    unlearned: int


def forgot(comparison: Comparison, results: dict[tuple[str, int], Result]) -> list[Forgot]:
    """F of every condition between the branch and the last episode, over the seeds that are there."""
    found, branch = [], comparison.branch_episode
    assert branch is not None
    for condition in comparison.conditions:
        runs = results_of(condition, comparison, results)
        random = np.array([run.random_return for run in runs])
        means = [evaluation_means(runs, episode) for episode in (branch, comparison.episodes)]
        index = forgetting_index(means[0], means[1], random)
        known = np.isfinite(index)
        seeds, values = np.array([run.seed for run in runs])[known], index[known]
        middle = low = high = np.nan
        if len(values):
            middle, (low, high) = float(medians(values)), map(float, bootstrap_interval(medians, values))
        found.append(Forgot(condition.name, seeds, values, middle, low, high, int((~known).sum())))
    return found


def in_words(found: list[Forgot], comparison: Comparison) -> str:
    """What the seeds say, with their intervals, and whether they are enough to say it."""
    parts = [
        f"{each.name} **{minus(_rounded(each.median))}** [{minus(_rounded(each.low))}, {minus(_rounded(each.high))}]"
        for each in found
        if len(each.index)
    ]
    if not parts:
        return ""
    seeds = sorted({int(seed) for each in found for seed in each.seeds})
    text = f"Median F, {comparison.episodes - (comparison.branch_episode or 0)} episodes after the branch, "
    text += f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {'; '.join(parts)}."
    kept, newest = found[:2]
    if min(len(kept.index), len(newest.index)) < MIN_SEEDS:
        return f"{text} Fewer than {MIN_SEEDS} seeds are too few to tell."
    apart = newest.low > kept.high
    return f"{text} {'The intervals of the first two do not touch.' if apart else 'The intervals overlap.'}"


def _rounded(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"


def seeds_chart(found: list[Forgot]) -> Figure:
    """A dot a seed, a bar from end to end of the interval and a line at the median, a column a condition."""
    values = np.concatenate([each.index for each in found] or [np.empty(0)])
    low, high = float(values.min(initial=0.0)), float(values.max(initial=1.0))
    details = layout(
        "Forgetting index F of each seed",
        "",
        "F",
        height=CHART_PX,
        hovermode="closest",
        xaxis={
            "tickvals": list(range(len(found))),
            "ticktext": [each.name.replace(" only", "<br>only") for each in found],
            "range": [-0.6, len(found) - 0.4],
            "showgrid": False,
        },
        yaxis={"range": [-grown(0.08 - low, 0.1), grown(high + 0.05, 0.1)], "zeroline": True},
    )
    data: list[Figure] = []
    for place, each in enumerate(found):
        if not len(each.index):
            continue
        colour = RUN_COLOURS[place % len(RUN_COLOURS)]
        interval: dict[str, Any] = {"x": [place, place], "y": [each.low, each.high], "hoverinfo": "skip"}
        median: dict[str, Any] = {"x": [place - 0.2, place + 0.2], "y": [each.median] * 2, "hoverinfo": "skip"}
        across = place + (np.linspace(-0.14, 0.14, len(each.index)) if len(each.index) > 1 else np.zeros(1))
        dots: dict[str, Any] = {"x": packed(across), "y": packed(each.index), "text": [f"seed {n}" for n in each.seeds]}
        dots |= {"marker": {"color": colour, "size": 9, "line": {"color": "#ffffff", "width": 1}}}
        shared = {"type": "scatter", "name": each.name}
        data += [
            shared | interval | {"mode": "lines", "line": {"color": ROLES["reference"], "width": 12}, "opacity": 0.45},
            shared | median | {"mode": "lines", "line": {"color": colour, "width": 3}},
            shared | dots | {"mode": "markers", "hovertemplate": "%{text}: F = %{y:.2f}"},
        ]
    return {"data": data, "layout": details}
