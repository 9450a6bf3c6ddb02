"""What the Compare page says of a summary: the table with intervals, and the verdicts in a sentence."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Final

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.recipe import preset_of
from ddpg_core.summary import BETTER, MIN_SEEDS, NO_EFFECT, TOO_FEW, WORSE
from pages.ui.compare_charts import colour_of
from pages.ui.theme import minus
from pages.ui.words import plain, settings_in_words

EXPLAINED: Final = {
    "return after training": "Without noise, from the same start states for every run; near −140 is as good as it "
    "gets, −1231 is random. The mean of the middle half of the seeds (interquartile mean, IQM); in brackets its 95 % "
    "bootstrap interval: where 95 of 100 such means lie when the seeds are drawn anew.",
    "regret": "How much more a near-optimal policy gets from the same start states: 0 is perfect.",
    "−250 at episode": "After how many episodes the mean of ten returns, with noise, first reached −250: the median of "
    "the seeds, and how many got there if not all did.",
    "beats the first": "Probability of improvement: how often a run of this condition ends better than a run of the "
    "first. 0.5 is a coin.",
    "in the end": "Whether the return after training differs from the first condition's: better or worse only where "
    "both intervals say so, that of the difference and that of the probability.",
    "while learning": "The same of the mean return of all episodes of training, exploration included.",
}
"""Every column of numbers, in plain words."""
_STYLE: Final = """<style>
.compare { overflow-x: auto; } .compare table { border-collapse: collapse; width: 100%; font-size: .93rem; }
.compare th, .compare td { text-align: left; padding: .34rem .8rem .34rem 0; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, currentColor 16%, transparent); font-variant-numeric: tabular-nums; }
.compare th { font-weight: 600; font-size: .85rem; opacity: .75; cursor: help; }
.compare td small { display: block; opacity: .7; min-width: 11rem; } .compare td span { white-space: nowrap; }
.compare i { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; }
.compare .better, .compare .worse { font-weight: 650; } .compare .better::before { content: "▲ "; }
.compare .worse::before { content: "▼ "; }
</style>"""


def table(comparison: Comparison, summary: Mapping[str, Any] | None) -> str:
    """A row a condition as HTML, everything that a user wrote escaped; dashes while there is nothing."""
    found = {each["name"]: each for each in summary["conditions"]} if summary else {}
    later = _last_index(found)
    columns = [*EXPLAINED.items(), *([(f"F at {later}", _FORGOT)] if later else [])]
    head = "".join(f'<th title="{html.escape(meaning)}">{name}</th>' for name, meaning in columns)
    rows = "".join(
        _row(condition, place, comparison, found.get(condition.name, {}), later)
        for place, condition in enumerate(comparison.conditions)
    )
    return f'{_STYLE}<div class="compare"><table><tr><th>condition</th>{head}</tr>{rows}</table></div>'


_FORGOT: Final = (
    "Forgetting index since the change: 0 is nothing forgotten, 1 as bad as random actions. The median of the seeds."
)


def _last_index(found: Mapping[str, Any]) -> str:
    """The last episode at which forgetting was measured, or ""."""
    return next((list(each["forgetting"])[-1] for each in found.values() if each.get("forgetting")), "")


def _row(condition: Condition, place: int, comparison: Comparison, found: Mapping[str, Any], later: str) -> str:
    dot = f'<i style="background:{colour_of(place, len(comparison.conditions))}"></i>'
    name = f"{dot}{html.escape(condition.name)}<small>{html.escape(what(condition))}</small>"
    beats = found.get("final_return_effect", {}).get("probability_of_improvement")
    alone = len(found.get("seeds", [])) < 2
    cells = [
        name,
        _span(_interval(found.get("final_return"), "iqm", 0, alone)),
        _span(_interval(found.get("final_regret"), "iqm", 0, alone)),
        _span(_time(found.get("episodes_to_-250"))),
        _span(_interval(beats, "value", 2, alone)),
        _verdict(found.get("final_return_effect"), place),
        _verdict(found.get("training_return_effect"), place),
    ]
    if later:
        cells.append(_span(_interval((found.get("forgetting") or {}).get(later), "median", 2, alone)))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def what(condition: Condition) -> str:
    """How a condition differs from the nearest preset, and what changes while it is trained."""
    preset, changed = preset_of(condition.config)
    changed.pop("engine", None)
    words = [", ".join([f"preset {preset}", *settings_in_words(changed)])]
    for item in condition.changes:
        when = f"step {item.step:,}" if item.episode is None else f"episode {item.episode}"
        words.append(f"after {when}: {', '.join(settings_in_words(item.changes))}")
    return "; ".join(words)


def _span(text: str) -> str:
    return f"<span>{text}</span>"


def _interval(found: Mapping[str, Any] | None, name: str, digits: int, alone: bool) -> str:
    """A value with its interval; of one seed `alone` there is none."""
    if not found:
        return "–"
    value, low, high = (minus(f"{round(found[key], digits) + 0.0:.{digits}f}") for key in (name, "low", "high"))
    return f"<b>{value}</b>" if alone else f"<b>{value}</b> [{low}, {high}]"


def _time(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "–"
    runs = len(found["per_seed"])
    median = "never" if found["median"] is None else f"{found['median']:g}"
    return median if found["reached"] in (0, runs) else f"{median} ({found['reached']} of {runs})"


def _verdict(found: Mapping[str, Any] | None, place: int) -> str:
    if not found:
        return "–" if place else "reference"
    return f'<span class="{found["verdict"]}">{found["verdict"]}</span>'


def conclusion(summary: Mapping[str, Any]) -> str:
    """What came out, in Markdown: which conditions end better or worse than the first, and which don't visibly."""
    verdicts: dict[str, list[str]] = {}
    for each in summary["conditions"]:
        if "final_return_effect" in each:
            verdicts.setdefault(each["final_return_effect"]["verdict"], []).append(each["name"])
    if not verdicts:
        return ""
    first = plain(summary["compared_with"])
    parts = [
        f"**{verdict}**: {', '.join(map(plain, verdicts[verdict]))}"
        for verdict in (BETTER, WORSE, NO_EFFECT)
        if verdict in verdicts
    ]
    if TOO_FEW in verdicts:
        parts.append(
            f"fewer than {MIN_SEEDS} seeds are **too few to tell**: {', '.join(map(plain, verdicts[TOO_FEW]))}"
        )
    return f"In the end, against *{first}*: {'; '.join(parts)}."


def about(summary: Mapping[str, Any]) -> str:
    """What the numbers are of: seeds, episodes, start states."""
    seeds = sorted({seed for each in summary["conditions"] for seed in each["seeds"]})
    lost = sum(len(each["diverged"]) for each in summary["conditions"])
    words = (
        f"Seeds {', '.join(map(str, seeds))}; {summary['episodes']} episodes; {summary['starts']} fixed start states; "
    )
    words += "95 % bootstrap intervals in brackets."
    if lost:
        words += (
            f" {lost} run{'s' if lost > 1 else ''} diverged and count{'' if lost > 1 else 's'} as random from then on."
        )
    return words


def duration(seconds: float) -> str:
    """About how long, in words."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} seconds"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
