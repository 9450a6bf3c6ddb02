"""The Compare page's results as they come: learning curves, the grid of runs, the table, and runs to be opened."""

from __future__ import annotations

import json

import streamlit as st

from ddpg_core.conditions import Comparison
from ddpg_core.experiment import Result, Results
from ddpg_core.results import results_csv
from pages.ui import live
from pages.ui.compare import Desk
from pages.ui.compare_charts import curve_charts, grid_chart
from pages.ui.compare_setup import planned
from pages.ui.compare_words import EXPLAINED, about, conclusion, duration, table
from pages.ui.comparing import Presence
from pages.ui.kernel import KERNEL
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.words import plain

_NAME, _SEED = "compare-open-name", "compare-open-seed"


def draw_curves(desk: Desk, settled: bool) -> None:
    """The hero: learning curves with their bands, growing as runs finish.

    Args:
        desk: What is compared.
        settled: Whether nothing more was to come when the page was drawn.
    """
    if desk.settled != settled:
        st.rerun()
    comparing, digest = desk.comparing, desk.digest()
    comparison = comparing.comparison if comparing else planned(desk)
    figures = curve_charts(comparison, digest.summary["conditions"] if digest else [])
    small = len(figures) > 1
    live.charts(figures, key=f"compare-curves-{'small' if small else 'one'}", min_width=210 if small else 300)
    if digest:
        st.caption(
            "Line: the mean of the middle half of the seeds. Band: its 95 % bootstrap interval. "
            + ("Grey in every chart: the first condition." if small else "")
        )
    else:
        st.caption("Press *Compare*: a line and a band of uncertainty for each condition grow here as its runs finish.")


def draw_progress(desk: Desk) -> None:
    """How far the runs are, and what went wrong."""
    comparing = desk.comparing
    if comparing is None:
        return
    done = len(comparing.results)
    if comparing.working:
        comparing.wanted = Presence()
        left = comparing.seconds_left
        time = "" if left is None else f", {duration(left)} left"
        slow = "" if KERNEL.state == "ready" else " PyTorch computes them, which takes longer."
        st.progress(comparing.share, f"{done} of {comparing.total} runs finished{time}.{slow}")
    elif comparing.problem:
        st.error(f"{comparing.problem}.", icon=":material/error:")
    elif done < comparing.total:
        st.caption("Stopped. What is finished is kept; *Go on* computes the others.")


def draw_runs(lab: Lab, desk: Desk) -> None:
    """A cell a run, and the one chosen, which can be opened."""
    comparing, state = desk.comparing, st.session_state
    comparison = comparing.comparison if comparing else planned(desk)
    results = dict(comparing.results) if comparing else {}
    episodes = dict(comparing.episodes) if comparing else {}
    grid, side = st.columns([1.9, 1], gap="medium")
    with grid:
        chosen = (state.get(_NAME, ""), state.get(_SEED, -1))
        click = live.charts([grid_chart(comparison, results, episodes, chosen)], key="compare-grid", clicks=True)
    if click and results:
        row, column = round(click["y"]), round(click["x"])
        state[_NAME], state[_SEED] = comparison.conditions[row].name, comparison.seeds[column]
        st.rerun()
    with side:
        if results:
            _draw_open(lab, comparison, results)
        else:
            st.caption("Each run will fill its cell with the return of its policy. A click then opens it on all pages.")


def draw_table(desk: Desk) -> None:
    """What came out: in a sentence, in numbers, and beside the literature."""
    comparing, digest = desk.comparing, desk.digest()
    comparison = comparing.comparison if comparing else planned(desk)
    summary = digest.summary if digest else None
    if summary:
        st.markdown(conclusion(summary) or "The first runs are finished.")
    st.html(table(comparison, summary))
    if summary:
        st.caption(about(summary))
    if comparison.note:
        st.caption(f"From the literature, for comparison: {plain(comparison.note)}")
    with st.expander("What do these columns mean?", icon=":material/help:"):
        st.markdown("\n".join(f"- **{name}**: {meaning}" for name, meaning in EXPLAINED.items()))


def draw_downloads(desk: Desk) -> None:
    """The results as the files that the command line writes."""
    comparing = desk.comparing
    if comparing is None or not comparing.results:
        return

    def csv() -> str:
        return results_csv(comparing.comparison, dict(comparing.results))

    def summary() -> str:
        digest = desk.digest()
        data = digest.summary if digest else {}
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    with st.container(horizontal=True):
        st.download_button(
            "results.csv", csv, "results.csv", "text/csv", key="compare-csv", on_click="ignore",
            icon=":material/download:", help="A row a condition, seed and episode.",
        )  # fmt: skip
        st.download_button(
            "summary.json", summary, "summary.json", "application/json", key="compare-summary", on_click="ignore",
            icon=":material/download:", help="All statistics, as the command line writes them.",
        )  # fmt: skip


def _draw_open(lab: Lab, comparison: Comparison, results: Results) -> None:
    """Put one of the finished runs on the stage, where all pages show it."""
    state = st.session_state
    names = [condition.name for condition in comparison.conditions]
    if state.get(_NAME) not in names or state.get(_SEED) not in comparison.seeds:
        state[_NAME], state[_SEED] = next(iter(results))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Condition", names, key=_NAME, width=250)
        st.selectbox("seed", comparison.seeds, key=_SEED, width=90)
    result = results.get((state[_NAME], state[_SEED]))
    full = len(lab.players) >= MAX_RUNS
    wanted = st.button("Open this run", key="compare-open", icon=":material/open_in_new:", disabled=full or not result)
    if full:
        st.caption(f"A lab holds {MAX_RUNS} runs: remove one in the sidebar to open this one.")
    elif not result:
        st.caption("This run is not finished yet.")
    elif result.diverged:
        st.caption(f"It diverged {result.diverged}.")
    else:
        st.caption("It is trained again from its recipe, to the same numbers, and then all pages show it.")
    if wanted and result:
        open_run(lab, result)
        st.rerun()


def open_run(lab: Lab, result: Result) -> None:
    """Train the run of a cell again, as far as it went; its recipe gives the same numbers."""
    player = lab.add(result.recipe)
    if player:
        lab.hurry(player.id, max(len(result.returns), 1))
