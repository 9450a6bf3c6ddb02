from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from ddpg_core.metrics import moving_average
from ddpg_core.run import Run
from pages.ui.charts import inside_charts, return_chart
from pages.ui.curves import MAX_MARKS, POINTS, Curve, binned, curve_of, in_episodes
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES
from tests.helpers import CAR, IDLE, SMALL, started, step_by_step, trained
from tests.ui.helpers import diverged, shown, strict_json, unpacked

LEARNS_LATE = {"warmup_steps": 380}
REFERENCES = 2


def curve(run: Run) -> Curve:
    return curve_of(shown(run), with_updates=True)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    late = SMALL.changed(LEARNS_LATE)
    return {
        "trained": trained(450, late),
        "other": trained(650, late, 1),
        "fresh": started(),
        "no episode finished": trained(50),
        "one step": trained(1),
        "intervened": trained(450, late, 0, (100, {"gamma": 0.9}), (300, {"replay": "latest", "batch_size": 1})),
        "diverged": diverged(),
        "car": trained(1100, late.changed({**CAR, "warmup_steps": 1050}), 0, (333, {"gamma": 0.5})),
        "moon": trained(450, late.changed({"gravity": 1.6})),
    }


SCENES = [
    *[
        [name]
        for name in ("trained", "fresh", "no episode finished", "one step", "intervened", "diverged", "car", "moon")
    ],
    ["trained", "other", "intervened", "diverged", "fresh"],
    ["moon", "car", "trained"],
    ["car", "trained"],
    [],
]


def lines(figure: Figure, **properties: Any) -> list[Any]:
    """The straight lines across a figure that have these properties."""
    shapes = figure["layout"].get("shapes", [])
    return [shape for shape in shapes if properties.items() <= shape.items()]


def marks(figure: Figure) -> list[float]:
    """Where a figure marks interventions on its time axis."""
    return [shape["x0"] for shape in lines(figure, yref="paper")]


@pytest.mark.parametrize("scene", SCENES, ids=" + ".join)
def test_every_figure_is_one_that_plotly_accepts_and_a_browser_reads(runs: dict[str, Run], scene: list[str]) -> None:
    curves = [curve(runs[name]) for name in scene]
    figures = [return_chart(curves), *(figure for each in curves for figure in inside_charts(each))]
    assert len(figures) == 1 + 8 * len(scene)
    for figure in figures:
        go.Figure(figure)
        strict_json(json.dumps(figure))
        assert figure["layout"]["xaxis"]["title"]["text"] == "episode"
        assert figure["layout"]["yaxis"]["title"]["text"]


def test_a_property_that_plotly_does_not_know_would_be_found(runs: dict[str, Run]) -> None:
    figure = return_chart([curve(runs["trained"])])
    figure["layout"]["colour"] = "red"
    with pytest.raises(ValueError, match="colour"):
        go.Figure(figure)


def test_return_chart_shows_every_return_at_its_episode_and_their_mean(runs: dict[str, Run]) -> None:
    names = ["other", "trained"]
    data = return_chart([curve(runs[name]) for name in names])["data"]
    assert len(data) == 2 * len(names)
    for name, dots, line in zip(names, data[::2], data[1::2], strict=True):
        returns = runs[name].logs.episodes.read("episode_return")
        np.testing.assert_array_equal(unpacked(dots["x"]["bdata"]), 1 + np.arange(len(returns)))
        np.testing.assert_array_equal(unpacked(dots["y"]["bdata"]), returns.astype(np.float32))
        np.testing.assert_allclose(unpacked(line["y"]["bdata"]), moving_average(returns, 10), rtol=1e-6)


def test_a_run_keeps_its_colour_in_points_mean_and_marks(runs: dict[str, Run]) -> None:
    figure = return_chart([curve(runs["intervened"])])
    dots, line = figure["data"]
    marked = [shape["line"]["color"] for shape in lines(figure, yref="paper")]
    assert {dots["marker"]["color"], line["line"]["color"], *marked} == {"#0072B2"}


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (["trained"], REFERENCES),
        (["trained", "other"], REFERENCES),
        ([], REFERENCES),
        (["moon"], 0),
        (["trained", "moon"], 0),
        (["car"], 0),
    ],
)
def test_reference_returns_are_drawn_with_default_physics_only(
    runs: dict[str, Run], scene: list[str], expected: int
) -> None:
    figure = return_chart([curve(runs[name]) for name in scene])
    found = lines(figure, xref="paper")
    assert len(found) == expected
    assert [shape["y0"] for shape in found] == [-141.0, -1231.0][:expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("intervened", [100 / 200, 300 / 200]), ("car", [333 / 999]), ("trained", [])],
)
def test_interventions_are_marked_in_episodes_on_every_time_axis(
    runs: dict[str, Run], name: str, expected: list[float]
) -> None:
    figures = [return_chart([curve(runs[name])]), *inside_charts(curve(runs[name]))]
    for figure in figures:
        assert marks(figure) == pytest.approx(expected)


def test_return_chart_says_what_each_intervention_was(runs: dict[str, Run]) -> None:
    notes = [note["text"] for note in return_chart([curve(runs["intervened"])])["layout"]["annotations"]]
    assert "γ → 0.9" in notes
    assert "Replay → latest, B → 1" in notes


def test_interventions_still_to_come_are_not_marked_and_of_many_only_the_newest() -> None:
    run = trained(100, IDLE, 0, *[(step, {"gamma": 0.5 + step / 1000}) for step in range(60, 200)])
    assert marks(return_chart([curve(run)])) == pytest.approx([step / 200 for step in range(60, 101)][-MAX_MARKS:])


def test_what_goes_on_inside_is_drawn_against_episodes(runs: dict[str, Run]) -> None:
    run = runs["trained"]
    by_title = {figure["layout"]["title"]["text"]: figure["data"] for figure in inside_charts(curve(run))}
    (loss,) = by_title["Critic loss"]
    np.testing.assert_allclose(unpacked(loss["x"]["bdata"]), run.logs.updates.read("env_step") / 200, rtol=1e-6)
    np.testing.assert_array_equal(unpacked(loss["y"]["bdata"]), run.logs.updates.read("critic_loss"))
    mean, promised, realised = by_title["Q against realised return"]
    np.testing.assert_array_equal(unpacked(mean["y"]["bdata"]), run.logs.updates.read("q_mean"))
    ends = (run.logs.episodes.read("first_step") + run.logs.episodes.read("length")) / 200
    np.testing.assert_array_equal(unpacked(promised["x"]["bdata"]), ends)
    np.testing.assert_allclose(unpacked(promised["y"]["bdata"]), run.logs.episodes.read("first_q"), rtol=1e-6)
    np.testing.assert_allclose(unpacked(realised["y"]["bdata"]), run.logs.episodes.read("discounted_return"), rtol=1e-6)


def test_every_line_inside_has_the_colour_of_its_part_and_a_name(runs: dict[str, Run]) -> None:
    for figure in inside_charts(curve(runs["trained"])):
        names = [line["name"] for line in figure["data"]]
        assert len(set(names)) == len(names)
        assert {line["line"]["color"] for line in figure["data"]} <= set(ROLES.values())
        assert len({line["line"]["color"] for line in figure["data"]}) == len(names)


def test_time_counts_episodes_whatever_their_lengths() -> None:
    run, ends = step_by_step(started(IDLE)), {10, 40, 240}
    step = run.env.step
    run.env.step = lambda action: step(action)._replace(terminated=run.env_steps + 1 in ends)  # type: ignore[method-assign]
    run.advance(steps=300)
    assert run.logs.episodes.read("length").tolist() == [10, 30, 200]
    times = in_episodes(run, np.array([0, 5, 10, 25, 40, 140, 240, 290]))
    np.testing.assert_allclose(times, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.25])


# --- bins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "points", "expected"),
    [
        (8, 4, [0, 1, 2, 3, 4, 5, 6, 7]),
        (8, 2, [0.5, 2.5, 4.5, 6.5]),
        (7, 2, [0.5, 2.5, 4.5, 6]),
        (9, 2, [1.5, 5.5, 8]),
        (0, 2, []),
    ],
)
def test_bins_are_means_of_equal_runs_of_rows(length: int, points: int, expected: list[float]) -> None:
    rows = np.arange(length, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(binned(rows * [1, 10], points), np.outer(expected, [1, 10]).reshape(-1, 2))


def test_bins_stay_put_while_rows_are_appended_until_two_become_one() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 2))
    before = binned(rows[:1], 10)
    for length in range(2, len(rows) + 1):
        now = binned(rows[:length], 10)
        assert len(now) <= 20
        if len(now) >= len(before):
            np.testing.assert_array_equal(now[: len(before) - 1], before[:-1])
        else:
            pairs = (before[0::2] + before[1::2]) / 2
            np.testing.assert_allclose(now[: len(pairs)], pairs)
        before = now


def test_bins_stay_put_when_the_oldest_rows_are_dropped() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 1))
    whole = binned(rows, 10)
    for first in range(1, 19):
        kept = binned(rows[first:], 10, first)
        np.testing.assert_array_equal(kept[-(len(whole) - 1 - first // 8) :], whole[1 + first // 8 :])


# --- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.5, -2.25, np.nan, np.inf], dtype=np.float32),
        np.arange(6.0)[::2],
        np.arange(12, dtype=np.float32).reshape(4, 3)[:, 1],
        np.array([], dtype=np.float64),
        np.array([1, 2, 3], dtype=">f4"),
    ],
    ids=["float32", "strided", "column", "empty", "big-endian"],
)
def test_packed_values_are_read_back_as_the_same_floats(values: Any) -> None:
    sent = packed(values)
    assert sent["dtype"] == "f4"
    np.testing.assert_array_equal(unpacked(sent["bdata"]), values.astype(np.float32))


def long_run(updates: int, interventions: int) -> Run:
    """A run whose logs are as long as after so many updates, without the work."""
    changes = [(100 * number, {"gamma": 0.5 + number / 1000}) for number in range(interventions)]
    run, rng = trained(200, IDLE, 0, *changes), np.random.default_rng(0)
    steps, table, episodes = run.logs.steps, run.logs.updates, updates // 200
    rows = np.repeat(run.logs.episodes.rows(), episodes, axis=0)
    rows[:, 0] = 200 * np.arange(episodes)
    run.logs.episodes.load(rows, episodes)
    steps.load(np.resize(steps.rows(), (updates, steps.rows().shape[1])), updates)
    table.load(np.column_stack([np.arange(updates), rng.normal(size=(updates, len(table.columns) - 1))]), updates)
    run._first_step = 200 * episodes
    return run


@pytest.mark.parametrize(("updates", "interventions"), [(20_000, MAX_MARKS), (2 * POINTS * 32, 10)])
def test_train_page_of_a_long_run_sends_less_than_100_kilobytes(updates: int, interventions: int) -> None:
    sent = curve(long_run(updates, interventions))
    assert POINTS <= len(sent.update_times) <= 2 * POINTS
    assert len(sent.returns) == updates // 200
    assert len(sent.marks) == interventions
    assert len(json.dumps([return_chart([sent]), *inside_charts(sent)])) < 100_000
