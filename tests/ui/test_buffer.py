from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core import logs
from ddpg_core.environment import pendulum_angles
from ddpg_core.run import Run
from pages.ui import buffer
from pages.ui.buffer import Memory, draws_of, on_screen, seen, states, steps_of, surprise, thinning
from pages.ui.buffer_charts import COLOURS, POINTS, content_charts, map_chart, points_shown, sketch, stepped
from pages.ui.buffer_words import cover_word, held, in_words, map_caption, next_step
from pages.ui.contrast import contrast, contrast_charts, quantities
from pages.ui.lab import Lab
from pages.ui.theme import nice
from pages.ui.transitions import FRAME_PX, ORDERS, chosen_rows, frame, point_number, table
from tests.helpers import CAR, IDLE, SMALL, spy_on_updates, started, step_by_step, trained
from tests.ui.helpers import components, diverged, on_stage, opened, strict_json, unpacked


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {
        "trained": trained(450, SMALL.changed({"warmup_steps": 380})),
        "fresh": started(),
        "one step": trained(1),
        "no batch yet": trained(50, SMALL.changed({"warmup_steps": 60})),
        "latest": trained(300, SMALL.changed({"warmup_steps": 280, "replay": "latest", "batch_size": 1})),
        "small": trained(320, SMALL.changed({"warmup_steps": 280, "capacity": 70})),
        "diverged": diverged(),
        "car": trained(1050, SMALL.changed({**CAR, "warmup_steps": 1000})),
        "moon": trained(250, IDLE.changed({"gravity": 1.6})),
    }


def put(lab: Lab, run: Run) -> Any:
    """A player of this run in the Lab."""
    player = on_stage(lab, IDLE)
    player.run = run
    return player


def memory(lab: Lab, run: Run) -> Memory:
    return on_screen(lab, put(lab, run))


def figures(lab: Lab, held: Memory) -> list[dict[str, Any]]:
    """Every figure of the page."""
    draws, cover = draws_of(lab, held), seen(held)
    maps = [map_chart(held, draws, cover, colour, held.rows[:1]) for colour in COLOURS]
    (quantity, *_), names = quantities(held.moment.config.env_id), quantities(held.moment.config.env_id)
    return [*maps, *content_charts(held, draws), *contrast_charts(contrast(lab, held, quantity), names[quantity])]


SCENES = ["trained", "fresh", "one step", "no batch yet", "latest", "small", "diverged", "car", "moon"]


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", [None, 0, 1])
@pytest.mark.parametrize("scene", SCENES)
def test_every_figure_is_one_that_plotly_accepts_and_a_browser_reads(
    lab: Lab, runs: dict[str, Run], scene: str, cursor: int | None
) -> None:
    player = put(lab, runs[scene])
    lab.cursor = cursor
    for figure in [*figures(lab, on_screen(lab, player)), sketch()]:
        go.Figure(figure)
        strict_json(json.dumps(figure))
        assert figure["layout"]["height"]


def test_points_of_the_map_are_the_states_of_the_window(lab: Lab, runs: dict[str, Run]) -> None:
    run = runs["small"]
    held = memory(lab, run)
    _, points, *_ = map_chart(held, draws_of(lab, held), seen(held), "reward")["data"]
    obs = run.logs.steps.read("obs", run.env_steps - 70)
    np.testing.assert_allclose(unpacked(points["x"]["bdata"]), pendulum_angles(obs))
    np.testing.assert_array_equal(unpacked(points["y"]["bdata"]), obs[:, 2])
    np.testing.assert_array_equal(unpacked(points["customdata"]["bdata"]), np.arange(250, 320))
    np.testing.assert_array_equal(
        unpacked(points["marker"]["color"]["bdata"]), run.logs.steps.read("reward", run.env_steps - 70)
    )


def test_points_can_be_coloured_by_age_episode_and_td_error(lab: Lab, runs: dict[str, Run]) -> None:
    run = runs["trained"]
    held = memory(lab, run)
    draws, cover = draws_of(lab, held), seen(held)

    def colours(name: str) -> Any:
        marker = map_chart(held, draws, cover, name)["data"][1]["marker"]
        assert marker["cmin"] < marker["cmax"]
        return unpacked(marker["color"]["bdata"])

    np.testing.assert_array_equal(colours("age"), 449 - np.arange(450))
    np.testing.assert_array_equal(colours("episode"), np.repeat([1, 2, 3], [200, 200, 50]))
    np.testing.assert_allclose(colours("surprise"), surprise(held, held.rows))
    assert colours("times").sum() == 71 * 16


def test_rings_and_counts_are_the_batches_that_the_run_really_drew(lab: Lab) -> None:
    run = started(SMALL.changed({"warmup_steps": 60}))
    batches, player = spy_on_updates(run), put(lab, run)
    run.advance(steps=90)
    held = on_screen(lab, player)
    draws = draws_of(lab, held)
    rings = map_chart(held, draws, seen(held), "age")["data"][2]
    np.testing.assert_array_equal(unpacked(rings["y"]["bdata"]), batches[-1][0].obs[:, 2])
    assert rings["name"] == "last batch (16 drawn)"
    drawn = [tuple(row) for batch, _, _ in batches for row in batch.obs.tolist()]
    times = [drawn.count(tuple(row)) for row in run.logs.steps.read("obs").tolist()]
    assert draws.recount.counts(held.numbers).tolist() == times


def test_counting_that_takes_long_is_spread_over_refreshes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    run = step_by_step(started(SMALL.changed({"hidden": (1,), "warmup_steps": 1})))
    run._engine.update = lambda *_: np.zeros(8)  # type: ignore[method-assign]
    run.advance(steps=700)
    held = memory(lab, run)
    monkeypatch.setattr(buffer, "COUNTING_S", -1.0)
    assert draws_of(lab, held).share == 0
    monkeypatch.setattr(buffer, "COUNTING_S", 60.0)
    draws = draws_of(lab, held)
    assert draws.share == 1
    assert "Counting" not in map_caption(held, draws, "", 1)
    assert "Counting the draws: 40%." in map_caption(held, draws._replace(share=0.4), "", 1)


def test_a_refresh_that_comes_late_does_not_throw_away_what_another_has_counted(lab: Lab) -> None:
    run = trained(300, SMALL.changed({"warmup_steps": 280}))
    player = put(lab, run)
    late = on_screen(lab, player)
    run.advance(steps=10)
    newer = draws_of(lab, on_screen(lab, player))
    assert draws_of(lab, late).share == 1
    assert newer.recount.env_steps == 310
    lab.cursor = 1
    draws_of(lab, on_screen(lab, player))
    assert newer.recount.env_steps == 200


def test_a_large_window_is_thinned_evenly_and_stays_small_to_send(lab: Lab) -> None:
    run = trained(300, IDLE.changed({"capacity": 300_000}))
    rows = np.resize(run.logs.steps.rows(), (200_001, 12))
    run.logs.steps.load(rows, 200_001)
    held = memory(lab, run)
    assert held.every == 2
    assert len(held.numbers) == 100_001
    figure = map_chart(held, draws_of(lab, held), seen(held), "surprise")
    numbers = unpacked(figure["data"][1]["customdata"]["bdata"])
    assert POINTS / 2 < len(numbers) <= POINTS
    assert set(np.diff(numbers)) == {points_shown(held)}
    assert len(json.dumps(figure)) < 100_000
    np.testing.assert_array_equal(held.rows, rows[held.numbers])


def test_histograms_are_shares_of_the_window_and_of_the_last_batch(lab: Lab, runs: dict[str, Run]) -> None:
    held = memory(lab, runs["latest"])
    ages, rewards, _ = content_charts(held, draws_of(lab, held))
    for figure in (ages, rewards):
        for trace in figure["data"]:
            assert unpacked(trace["y"]["bdata"]).sum() == pytest.approx(1)
    batch, window = (unpacked(trace["y"]["bdata"]) for trace in ages["data"])
    assert batch[0] == 1, "the newest transition alone"
    assert window[0] == pytest.approx(1 / 25, abs=0.01)


def test_times_drawn_by_age_are_means_over_the_transitions_of_that_age(lab: Lab, runs: dict[str, Run]) -> None:
    held = memory(lab, runs["trained"])
    (bars,) = content_charts(held, draws_of(lab, held))[2]["data"]
    counts = draws_of(lab, held).recount.counts(np.arange(450))[::-1]
    means = [group.mean() for group in np.split(counts, np.arange(18, 450, 18))]
    np.testing.assert_allclose(unpacked(bars["y"]["bdata"]), means, rtol=1e-6)


def test_scales_grow_in_round_steps() -> None:
    assert [nice(value) for value in (0.3, 1.0, 1.1, 4.9, 51, 0, float("nan"))] == [0.5, 1, 2, 5, 100, 1, 1]
    assert [stepped(value) for value in (0, 3, 450, 1001, 99_000)] == [1, 3, 450, 1200, 100_000]
    assert [thinning(count, 100) for count in (0, 100, 101, 200, 201, 1600)] == [1, 1, 2, 2, 4, 16]


# --- coverage and batches ---------------------------------------------------------------------------------------------


def test_coverage_grows_with_what_is_seen_and_never_exceeds_everything(lab: Lab, runs: dict[str, Run]) -> None:
    shares = {name: seen(memory(Lab(), runs[name])).share for name in SCENES}
    assert shares["fresh"] == 0 < shares["one step"] < shares["no batch yet"] < shares["trained"] < 1
    cover = seen(memory(lab, runs["trained"]))
    assert cover.share == cover.visited.sum() / cover.reachable.sum()
    assert not (cover.visited & ~cover.reachable).any()
    assert [cover_word(share) for share in (0, 0.1, 0.5, 1)] == [
        "nothing yet",
        "a small corner",
        "a good part",
        "everything within reach",
    ]


def test_neighbours_are_alike_and_batches_of_them_see_less(lab: Lab) -> None:
    held = memory(lab, trained(2_000, IDLE.changed({"hidden": [16], "batch_size": 32, "warmup_steps": 1})))
    found = contrast(lab, held, "velocity")
    assert found
    assert found.size == 32
    ordered, mixed = found.correlation
    speeds = held.rows[:, 2] - held.rows[:, 2].mean()
    within = np.arange(1_970) % 200 < 170
    assert ordered[30] == pytest.approx((speeds[:1_970] * speeds[30:])[within].mean() / speeds.var(), rel=1e-4)
    assert (ordered[0], mixed[0]) == pytest.approx((1, 1))
    assert ordered[1] > 0.9
    assert np.abs(mixed[1:]).max() < 0.15
    for as_it_happened, at_random in (found.cells, found.cosines):
        assert as_it_happened.mean() < at_random.mean()
    assert np.abs(found.cosines).max() <= 1 + 1e-6


def test_a_batch_as_large_as_the_window_points_the_same_way(lab: Lab, runs: dict[str, Run]) -> None:
    held = memory(lab, trained(100, SMALL.changed({"batch_size": 100, "warmup_steps": 90})))
    found = contrast(lab, held, "reward")
    assert found
    np.testing.assert_allclose(found.cosines[0], 1, rtol=1e-5)
    assert len(set(found.cells[0])) == 1


def test_looking_at_a_run_does_not_change_it(lab: Lab) -> None:
    run = trained(300, SMALL.changed({"warmup_steps": 280}))
    before = run.snapshot()
    figures(lab, memory(lab, run))
    after = run.snapshot()
    np.testing.assert_array_equal(before.learner, after.learner)
    assert (before.totals, before.counters) == (after.totals, after.counters)


# --- the log's end, and words -----------------------------------------------------------------------------------------


def test_what_the_log_has_dropped_is_left_out_and_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_ROWS", 300)
    run = started(IDLE.changed({"capacity": 250}))
    run.advance(steps=650)
    player = put(lab, run)
    assert (on_screen(lab, player).first, on_screen(lab, player).stop) == (400, 650)
    lab.cursor = 2
    held = on_screen(lab, player)
    assert (held.moment.window_first, held.first, held.stop) == (150, 350, 400)
    assert "no longer holds the oldest 200." in map_caption(held, draws_of(lab, held), "", 1)
    lab.cursor = 1
    held = on_screen(lab, player)
    assert (held.first, held.stop, len(held.rows)) == (350, 350, 0)
    assert "later episode" in next_step(held)
    for figure in figures(lab, held):
        go.Figure(figure)


@pytest.mark.parametrize(
    ("scene", "words"),
    [("fresh", "Press Play"), ("no batch yet", "once 60 steps"), ("moon", "raise it"), ("trained", ""), ("car", "")],
)
def test_what_to_do_next_is_said_where_something_is_missing(
    lab: Lab, runs: dict[str, Run], scene: str, words: str
) -> None:
    text = next_step(memory(lab, runs[scene]))
    assert words in text
    assert bool(words) == bool(text)


def test_how_full_the_buffer_is_is_told(lab: Lab, runs: dict[str, Run]) -> None:
    assert held(memory(lab, runs["trained"])) == "450 transitions in the buffer; room for 99,550 more."
    assert held(memory(lab, runs["small"])).startswith("70 transitions in the buffer; full")
    assert held(memory(lab, runs["one step"])).startswith("1 transition in")


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_table_holds_the_rows_asked_for(lab: Lab, runs: dict[str, Run], order: str) -> None:
    run = runs["trained"]
    held = memory(lab, run)
    draws = draws_of(lab, held)
    times = draws.recount.counts(held.numbers)
    numbers = chosen_rows(held, order, draws.batch, times)
    columns = table(held, numbers, steps_of(run, numbers), times[numbers])
    assert {len(column) for column in columns.values()} == {len(numbers)}
    np.testing.assert_array_equal(columns["reward"], run.logs.steps.read("reward")[numbers])
    np.testing.assert_array_equal(columns["torque (N·m)"], run.logs.steps.read("action")[numbers])
    assert set(columns["ended"][np.isin(numbers, [199, 399])]) <= {"out of time"}
    assert set(columns["ended"][~np.isin(numbers, [199, 399])]) <= {""}
    if order == "batch":
        assert set(numbers) == set(draws.batch)
    elif order == "newest":
        assert numbers.tolist() == list(range(449, 249, -1))
    else:
        column = columns[{"surprise": "|TD error|", "reward": "reward", "times": "times drawn"}[order]]
        everything = {"surprise": surprise(held, held.rows), "reward": run.logs.steps.read("reward"), "times": times}
        np.testing.assert_allclose(column, np.sort(everything[order])[::-1][:200], rtol=1e-6)


def test_a_transition_is_told_in_words(lab: Lab, runs: dict[str, Run]) -> None:
    held = memory(lab, runs["trained"])
    row = held.rows[:1].copy()
    row[:, held.columns["obs"]] = [np.cos(2), np.sin(2), -3.0]
    row[:, held.columns["next_obs"]] = [-1, 0, 0.0]
    row[:, held.columns["action"]], row[:, held.columns["reward"]] = -1.5, -4.0
    assert in_words(held, 210, row) == (
        "**Episode 2.** 115° to the left of upright, turning clockwise at 3.0 rad/s; a torque of 1.50 N·m clockwise; "
        "1/20 s later hanging, at rest. Reward **−4**."
    )
    assert in_words(held, 199, held.rows[199:200]).endswith("The episode ended here.")
    assert "force" in in_words(memory(Lab(), runs["car"]), 3, runs["car"].logs.steps.rows(3, 4))


def test_frames_differ_with_the_state() -> None:
    import base64
    import io

    from PIL import Image

    pictures = [frame("Pendulum-v1", 0.0, 0.0), frame("Pendulum-v1", 1.0, 0.0), frame("MountainCarContinuous-v0", 0, 0)]
    assert len(set(pictures)) == 3
    for picture in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(picture.removeprefix("data:image/webp;base64,"))))
        assert max(image.size) == FRAME_PX


@pytest.mark.parametrize(("click", "number"), [(None, None), ({"data": 12.0}, 12), ({"data": None}, None), ({}, None)])
def test_a_click_on_a_point_names_its_row(click: dict[str, Any] | None, number: int | None) -> None:
    assert point_number(click) == number


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def visit(lab: Lab) -> Callable[[], AppTest]:
    """Opens the page in a browser session that has `lab`."""
    return lambda: opened(lab, "replay")


def the_map(at: AppTest) -> Any:
    (figure,) = [data["figures"][0] for _, data in components(at) if data.get("name") == "memory"]
    return figure


def numbers_on(at: AppTest) -> Any:
    return unpacked(the_map(at)["data"][1]["customdata"]["bdata"])


def test_cursor_takes_the_whole_page_back(visit: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    put(lab, runs["trained"])
    at = visit()
    assert numbers_on(at).max() == 449
    now = at.metric[0].value
    lab.cursor = 1
    at.run()
    assert numbers_on(at).max() == 199
    assert float(now.strip("%")) > float(at.metric[0].value.strip("%"))
    assert "200 transitions" in " ".join(caption.value for caption in at.caption)
    (hint,) = [info.value for info in at.info if "learning starts" in info.value and "380" in info.value]
    assert "No batch" in hint
    lab.cursor = 0
    at.run()
    assert len(numbers_on(at)) == 0
    assert at.metric[0].value == "0%"


def test_controls_make_interventions_and_the_window_shrinks(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = put(lab, trained(300, IDLE))
    at = visit()
    at.select_slider(key="set-capacity").set_value(100).run()
    at.selectbox(key="set-replay").set_value("latest").run()
    at.select_slider(key="set-batch_size").set_value(1).run()
    changes = [dict(item.changes) for item in player.run.recipe.interventions]
    assert changes == [{"capacity": 100}, {"replay": "latest"}, {"batch_size": 1}]
    player.run.advance(steps=1)
    at.run()
    assert numbers_on(at).tolist() == list(range(201, 301))


@pytest.mark.parametrize("colour", COLOURS)
def test_colour_is_a_choice(visit: Callable[[], AppTest], lab: Lab, runs: dict[str, Run], colour: str) -> None:
    put(lab, runs["trained"])
    at = visit()
    at.selectbox(key="replay-colour").set_value(colour).run()
    assert not at.exception
    assert the_map(at)["data"][1]["marker"]["colorbar"]["title"]["text"] == COLOURS[colour].name
    assert any(COLOURS[colour].reading in caption.value for caption in at.caption)


def test_table_follows_its_order_and_shows_two_frames(
    visit: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    put(lab, runs["trained"])
    at = visit()
    (drawn,) = at.dataframe
    assert len(drawn.value) <= 16
    at.segmented_control(key="transitions-order").set_value("newest").run()
    (newest,) = at.dataframe
    assert newest.value["step"].tolist() == list(range(449, 249, -1))
    assert len(at.get("image")) == 2
    assert any(re.match(r"\*\*Episode 3\.\*\*", text.value) for text in at.markdown)


def test_a_point_looked_at_is_marked_and_told_until_the_cursor_leaves_it(
    visit: Callable[[], AppTest], lab: Lab, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    player = put(lab, runs["trained"])
    at = visit()
    assert len(unpacked(the_map(at)["data"][3]["x"]["bdata"])) == 0
    at.session_state["transition-looked-at"] = (player.run.serial, 210)
    at.run()
    held = on_screen(lab, player)
    np.testing.assert_allclose(unpacked(the_map(at)["data"][3]["y"]["bdata"]), states(held.rows, held.columns)[210, 1:])
    assert any(text.value.startswith("**Episode 2.**") for text in at.markdown)
    lab.cursor = 1
    at.run()
    assert len(unpacked(the_map(at)["data"][3]["x"]["bdata"])) == 0


def test_table_shows_at_once_while_training_and_is_whole_once_the_draws_are_counted(
    visit: Callable[[], AppTest], lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = put(lab, trained(450, SMALL.changed({"warmup_steps": 380})))
    player.playing = True
    monkeypatch.setattr(lab, "renew", lambda: None)
    monkeypatch.setattr(buffer, "COUNTING_S", -1.0)
    at = visit()
    assert at.dataframe[0].value["step"].tolist() == list(range(449, 249, -1))
    assert "times drawn" not in at.dataframe[0].value
    assert any("Counting the draws" in caption.value and "newest" in caption.value for caption in at.caption)
    monkeypatch.setattr(buffer, "COUNTING_S", 60.0)
    at.run()
    drawn = at.dataframe[0].value
    assert set(drawn["step"]) == set(draws_of(lab, on_screen(lab, player)).batch)
    assert (drawn["times drawn"] >= 1).all()
    assert not any("Counting" in caption.value for caption in at.caption)
    player.run.advance(steps=5)
    at.run()
    assert at.dataframe[0].value.equals(drawn), "it stands still while the run trains on"
    player.playing = False
    at.run()
    assert not at.dataframe[0].value.equals(drawn)


def test_before_the_first_batch_the_table_holds_the_newest(visit: Callable[[], AppTest], lab: Lab) -> None:
    put(lab, trained(50, IDLE))
    at = visit()
    assert at.dataframe[0].value["step"].tolist() == list(range(49, -1, -1))
    assert any("No batch has been drawn yet" in caption.value for caption in at.caption)


def test_table_is_taken_anew_when_a_setting_changed(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = put(lab, trained(450, SMALL.changed({"warmup_steps": 380})))
    at = visit()
    before = at.dataframe[0].value
    lab.intervene(player.id, {"gamma": 0.5})
    at.run()
    after = at.dataframe[0].value
    assert before["step"].equals(after["step"])
    assert not np.allclose(before["|TD error|"], after["|TD error|"])


def test_a_step_that_is_not_finite_is_told_and_not_drawn(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = put(lab, diverged())
    at = visit()
    at.session_state["transition-looked-at"] = (player.run.serial, player.run.env_steps - 1)
    at.run()
    assert not at.exception
    assert not at.get("image")
    assert any("not finite" in caption.value for caption in at.caption)
    assert not any(re.search(r"\bnan\b", text.value) for text in [*at.markdown, *at.caption])


def test_knobs_say_that_they_are_of_now_while_the_past_is_shown(
    visit: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    put(lab, runs["trained"])
    at = visit()
    assert not any("as it is now" in caption.value for caption in at.caption)
    lab.cursor = 1
    at.run()
    assert any("as it is now" in caption.value for caption in at.caption)
