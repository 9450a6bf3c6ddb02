from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.config import PRESETS
from ddpg_core.experiment import Evaluated, Result
from ddpg_core.results import results_csv
from ddpg_core.run import Run
from ddpg_core.summary import summarise
from pages.ui import compare_setup, compare_view, comparing
from pages.ui.compare import (
    MAX_BYTES,
    MOST_CONDITIONS,
    Desk,
    asked_of,
    desk_of,
    digested,
    estimated,
    plan_of,
    with_condition,
)
from pages.ui.compare_charts import curve_charts, grid_chart, shortened
from pages.ui.compare_view import open_run
from pages.ui.compare_words import about, conclusion, duration, table, what
from pages.ui.comparing import Comparing
from pages.ui.kernel import Kernel
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.words import plain
from tests.helpers import CAR, IDLE, SMALL
from tests.ui.helpers import components, eventually, on_stage, opened, press, unpacked

PULLED = Change({"replay": "latest", "batch_size": 1}, episode=1)
TWO = Comparison((Condition("kept", IDLE), Condition("<b>pulled</b>", IDLE, (PULLED,))), 2, (0, 1, 2), starts=1)


@pytest.fixture(autouse=True)
def engine(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own engine, which never comes, and nothing kept from before."""
    kernel.state = "missing"
    for module in (comparing, compare_setup, compare_view):
        monkeypatch.setattr(module, "KERNEL", kernel)
    monkeypatch.setattr(comparing, "_kept", type(comparing._kept)())


def made(condition: Condition, seed: int, final: float, **changes: Any) -> Result:
    evaluations = [Evaluated(1, [final]), Evaluated(2, [final])]
    returns, recipe = [-1000.0, final], condition.recipe(seed)
    whole = Result(condition.name, seed, recipe, returns, [200, 200], evaluations, [-140.0], -1230.0, None)
    return replace(whole, **changes)


def results(comparison: Comparison, *finals: float) -> dict[tuple[str, int], Result]:
    """Of each condition the same return but for the seed."""
    return {
        (condition.name, seed): made(condition, seed, final - seed)
        for condition, final in zip(comparison.conditions, finals, strict=True)
        for seed in comparison.seeds
    }


def finished(comparison: Comparison) -> Comparing:
    found = Comparing(comparison, lambda: True)
    assert eventually(lambda: not found.working)
    return found


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_asked_is_some_of_the_plan_over_other_seeds_and_episodes() -> None:
    plan = CONDITION_SETS["forgetting"]
    names = [plan.conditions[1].name, plan.conditions[0].name]
    asked = asked_of(plan, names, range(7, 10), 52)
    assert [condition.name for condition in asked.conditions] == names
    assert (asked.seeds, asked.episodes, asked.evaluate_at) == ((7, 8, 9), 52, (40, 45, 50, 52))
    assert asked_of(plan, names, range(3), 60).evaluate_at == plan.evaluate_at
    assert asked_of(CONDITION_SETS["replay"], ["buffer 64"], range(3), 80).evaluate_at == (80,)
    with pytest.raises(ValueError, match="must come before the end at episode 30"):
        asked_of(plan, names, range(3), 30)


def test_a_file_gives_a_plan_or_one_sentence() -> None:
    assert plan_of(json.dumps(TWO.to_dict()).encode()) == TWO
    many = [{"name": str(number)} for number in range(MOST_CONDITIONS + 1)]
    for data, words in (
        (b"\xff\xfe", "not text"),
        (b"{", "conditions must be JSON"),
        (b"[" * 100_000, "conditions must be JSON"),
        (b'[{"name": "a", "set": {"tau": 7}}]', "tau must be in"),
        (b" " * (MAX_BYTES + 1), "at most 1 MiB"),
        (json.dumps(many).encode(), f"conditions must be at most {MOST_CONDITIONS} on this page"),
        (json.dumps({"conditions": many[:2], "episodes": 5000}).encode(), "episodes must be at most 300"),
        (json.dumps({"conditions": many[:2], "starts": 101}).encode(), "starts must be at most 100"),
        (
            json.dumps({"conditions": many[:2], "evaluate_at": list(range(30))}).encode(),
            "evaluate_at must be at most 20",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            plan_of(data)


def test_a_condition_is_added_once() -> None:
    more = with_condition(TWO, Condition("third", SMALL))
    assert [condition.name for condition in more.conditions] == ["kept", "<b>pulled</b>", "third"]
    with pytest.raises(ValueError, match="named 'kept' already"):
        with_condition(TWO, Condition("kept", SMALL))
    full = replace(TWO, conditions=tuple(Condition(str(number), IDLE) for number in range(MOST_CONDITIONS)))
    with pytest.raises(ValueError, match=f"at most {MOST_CONDITIONS} conditions"):
        with_condition(full, Condition("one more", IDLE))


def test_summary_follows_the_results_and_forgets_those_of_another_comparison() -> None:
    desk = Desk(comparing=finished(TWO))
    assert desk.comparing
    assert eventually(lambda: desk.digest() is not None)
    digest = desk.digest()
    assert digest
    assert digest.summary == digested(desk.comparing).summary == summarise(TWO, desk.comparing.results)
    assert (digest.runs, desk.settled, desk.working) == (6, True, False)
    desk.comparing = Comparing(replace(TWO, seeds=(0,)), lambda: True)
    assert desk.digest() is None
    assert not desk.settled
    assert eventually(lambda: desk.settled)
    assert Desk().settled


def test_an_estimate_takes_larger_networks_and_more_episodes_as_longer() -> None:
    quick, slow = (Comparison((Condition("x", config),), 2, (0,), starts=1) for config in (IDLE, PRESETS["fast"]))
    assert 0 < estimated(quick).seconds < estimated(slow).seconds
    assert estimated(slow).pace < estimated(quick).pace
    assert estimated(replace(slow, episodes=20)).seconds > 4 * estimated(slow).seconds


# --- figures and words ------------------------------------------------------------------------------------------------


def test_curves_are_the_summarys_with_a_band_from_low_to_high() -> None:
    found = summarise(TWO, results(TWO, -150, -700))
    (figure,) = curve_charts(TWO, found["conditions"])
    go.Figure(figure)
    band, line = figure["data"][2:]
    curve = found["conditions"][1]["curve"]
    np.testing.assert_allclose(unpacked(line["y"]["bdata"]), curve["iqm"], rtol=1e-6)
    np.testing.assert_allclose(unpacked(band["y"]["bdata"]), [*curve["high"], *curve["low"][::-1]], rtol=1e-6)
    assert unpacked(band["x"]["bdata"]).tolist() == [1, 2, 2, 1]
    assert line["name"] == "&lt;b&gt;pulled&lt;/b&gt;"
    assert any(shape.get("x0") == 1.5 for shape in figure["layout"]["shapes"])


def test_more_conditions_than_colours_have_a_chart_each_beside_the_first() -> None:
    names = [f"condition {number}" for number in range(8)]
    many = replace(TWO, conditions=tuple(Condition(name, IDLE) for name in names))
    figures = curve_charts(many, summarise(many, results(many, *[-150.0 * (1 + n) for n in range(8)]))["conditions"])
    assert len(figures) == 7
    for number, figure in enumerate(figures, 1):
        go.Figure(figure)
        assert figure["layout"]["title"]["text"] == names[number]
        lines = [trace for trace in figure["data"] if trace["uid"].endswith("iqm")]
        assert [trace["name"] for trace in lines] == [names[0], names[number]]
    assert len({str(figure["layout"]["yaxis"]["range"]) for figure in figures}) == 1


@pytest.mark.parametrize("count", [1, 6, 7])
def test_charts_and_table_stand_before_anything_is_there(count: int) -> None:
    bare = replace(TWO, conditions=tuple(Condition(str(number), IDLE) for number in range(count)))
    half = results(bare, *[-150.0] * count)
    half = {key: result for key, result in half.items() if key == ("0", 0)}
    for summary in (None, summarise(bare, {}), summarise(bare, half)):
        for figure in (*curve_charts(bare, summary["conditions"] if summary else []), grid_chart(bare, half, {}, None)):
            go.Figure(figure)
        assert table(bare, summary).count("<tr>") == 1 + count


def test_a_car_has_its_own_axis_and_no_references() -> None:
    cars = replace(TWO, conditions=(Condition("car", IDLE.changed(CAR)),))
    (figure,) = curve_charts(cars, [])
    assert figure["layout"]["yaxis"]["range"] == [-100, 100]
    assert not figure["layout"].get("annotations")


def test_grid_has_a_cell_a_run_with_its_return_or_how_far_it_is() -> None:
    found = results(TWO, -150, -700)
    del found["<b>pulled</b>", 2]
    figure = grid_chart(TWO, found, {("<b>pulled</b>", 2): 1}, ("kept", 1))
    go.Figure(figure)
    (heat,) = figure["data"]
    values = unpacked(heat["z"]["bdata"]).reshape(2, 3)
    np.testing.assert_array_equal(values, [[-150, -151, -152], [-700, -701, np.nan]])
    assert heat["text"] == [["−150", "−151", "−152"], ["−700", "−701", ""]]
    (note,) = figure["layout"]["annotations"]
    assert (note["x"], note["y"], note["text"]) == (2, 1, "ep. 1")
    (frame,) = figure["layout"]["shapes"]
    assert (frame["x0"], frame["y0"]) == (0.5, -0.5)


def test_table_tells_values_intervals_and_verdicts_and_escapes_what_users_write() -> None:
    five = replace(TWO, seeds=(0, 1, 2, 3, 4))
    found = summarise(five, results(five, -150, -700))
    text = table(five, found)
    final = found["conditions"][0]["final_return"]
    assert final["iqm"] == pytest.approx(-152)
    assert f"<b>−152</b> [−{-final['low']:.0f}, −{-final['high']:.0f}]" in text
    assert "<b>0.00</b> [0.00, 0.00]" in text
    assert '<span class="worse">worse</span>' in text
    assert "&lt;b&gt;pulled&lt;/b&gt;" in text
    assert "<b>pulled" not in text
    assert "F at 2" in text
    assert conclusion(found) == r"In the end, against *kept*: **worse**: \<b\>pulled\</b\>."
    assert about(found).startswith("Seeds 0, 1, 2, 3, 4; 2 episodes; 1 fixed start states")


def test_few_seeds_say_nothing_and_one_has_no_interval() -> None:
    one = replace(TWO, seeds=(0,))
    found = summarise(one, results(one, -150, -700))
    assert "too few to tell" in conclusion(found)
    assert "<b>−150</b></span>" in table(one, found)
    same = replace(TWO, seeds=tuple(range(5)))
    assert "no visible effect" in conclusion(summarise(same, results(same, -150, -150)))


def test_runs_that_diverged_are_told() -> None:
    found = results(TWO, -150, -700)
    found["kept", 1] = replace(found["kept", 1], diverged="at step 3: cause", evaluations=[], returns=[])
    assert "1 run diverged and counts as random" in about(summarise(TWO, found))


def test_a_condition_is_told_by_what_differs_from_its_preset() -> None:
    changed = Condition("x", PRESETS["fast"].changed({"capacity": 200}), (PULLED, Change({"tau": 0.5}, step=1000)))
    assert what(changed) == (
        "preset fast, buffer capacity 200; after episode 1: replay latest, batch size 1; "
        "after step 1,000: target rate 0.5"
    )


def test_users_words_are_no_markdown() -> None:
    assert plain("![x](http://y) **b** $z$") == r"\!\[x\]\(http\://y\) \*\*b\*\* \$z\$"
    assert shortened("a" * 40) == "a" * 25 + "…"
    assert [duration(seconds) for seconds in (4, 42, 150, 7200)] == [
        "a few seconds",
        "about 40 seconds",
        "about 2 minutes",
        "about 2.0 hours",
    ]


# --- the page ---------------------------------------------------------------------------------------------------------

Visit = Callable[[], AppTest]


@pytest.fixture
def visit(lab: Lab) -> Visit:
    return lambda: opened(lab, "compare")


def said(at: AppTest) -> str:
    return " ".join(text.value for text in (*at.caption, *at.markdown))


def test_page_computes_a_comparison_and_opens_one_of_its_runs(visit: Visit, lab: Lab) -> None:
    desk = desk_of(lab)
    desk.plan = TWO
    at = visit()
    at.number_input(key="compare-seeds").set_value(3).run()
    assert at.number_input(key="compare-episodes").value == 2
    assert at.button(key="run-compare").label == "Compare: 6 runs"
    press(at, "run-compare")
    assert eventually(lambda: desk.settled)
    at.run()
    assert desk.comparing
    assert len(desk.comparing.results) == 6
    assert at.button(key="run-compare").disabled
    assert "too few to tell" in said(at)
    figures = [figure for name, data in components(at) if name == "ddpg_charts" for figure in data["figures"]]
    assert [len(figure["data"]) for figure in figures] == [4, 1]
    assert {"results.csv", "summary.json"} <= {each.label for each in at.get("download_button")}
    at.selectbox(key="compare-open-seed").set_value(2).run()
    press(at, "compare-open")
    assert eventually(lambda: not lab.playing)
    (player,) = lab.players
    returns = player.run.logs.episodes.read("episode_return")
    assert returns.tolist() == desk.comparing.results["kept", 2].returns


def test_a_condition_that_changes_at_an_episode_opens_to_the_same_numbers(lab: Lab) -> None:
    learns = Condition("pulled", SMALL.changed({"warmup_steps": 350}), (PULLED,))
    result = finished(Comparison((learns,), 2, (5,), starts=1)).results["pulled", 5]
    open_run(lab, result)
    assert eventually(lambda: not lab.playing)
    run: Run = lab.players[0].run
    assert run.logs.episodes.read("episode_return").tolist() == result.returns
    assert run.config.replay == "latest"


def test_page_stops_and_goes_on_with_what_is_missing(visit: Visit, lab: Lab) -> None:
    desk = desk_of(lab)
    desk.plan = replace(TWO, episodes=200)
    at = visit()
    press(at, "run-compare")
    assert at.number_input(key="compare-seeds").disabled
    press(at, "stop-compare")
    assert eventually(lambda: not desk.working)
    at.run()
    assert desk.comparing
    before = dict(desk.comparing.results)
    assert "Stopped." in said(at)
    if before:
        assert at.button(key="run-compare").label == "Go on"
    press(at, "run-compare")
    desk.comparing.stop()
    assert eventually(lambda: not desk.working)
    assert desk.comparing.results.items() >= before.items()


def test_a_reload_finds_the_comparison_again(visit: Visit, lab: Lab) -> None:
    desk_of(lab).comparing = finished(TWO)
    assert eventually(lambda: desk_of(lab).settled)
    assert "too few to tell" in said(visit())


def test_ready_made_sets_replace_the_plan(visit: Visit, lab: Lab) -> None:
    at = visit()
    for name, comparison in CONDITION_SETS.items():
        at.button_group(key="compare-set").set_value(name).run()
        assert not at.exception
        assert desk_of(lab).plan == comparison
        assert f"Compare: {5 * len(comparison.conditions)} runs" in [button.label for button in at.button]
        assert plain(comparison.note) in said(at)


def test_a_file_replaces_the_plan_and_a_bad_one_loses_nothing(visit: Visit, lab: Lab) -> None:
    at = visit()
    at.file_uploader(key="compare-file").set_value(("two.json", json.dumps(TWO.to_dict()).encode(), "application/json"))
    at.run()
    assert desk_of(lab).plan == TWO
    assert (at.number_input(key="compare-seeds").value, at.number_input(key="compare-episodes").value) == (3, 2)
    desk_of(lab).comparing = done = finished(TWO)
    at.file_uploader(key="compare-file").set_value(("bad.json", b"{}", "application/json")).run()
    (error,) = at.error
    assert error.value == "bad.json was not taken: a comparison must hold conditions, got {}."
    assert desk_of(lab).plan == TWO
    assert desk_of(lab).comparing is done


def test_files_offered_are_those_of_the_command_line(visit: Visit, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, data, *_, **__: given.update({label: data}))
    desk = desk_of(lab)
    desk.plan, desk.comparing = TWO, finished(TWO)
    assert eventually(lambda: desk.settled)
    visit()
    found = desk.comparing.results
    assert given["results.csv"]() == results_csv(TWO, found)
    assert json.loads(given["summary.json"]()) == summarise(TWO, found)
    assert Comparison.from_json(given["Save these conditions"]).conditions == TWO.conditions


def test_a_condition_of_ones_own_is_made_with_widgets(visit: Visit, lab: Lab) -> None:
    at = visit()
    at.multiselect(key="compare-own-set").set_value(["capacity"]).run()
    at.text_input(key="compare-own-set-capacity").set_value("300").run()
    at.toggle(key="compare-later").set_value(True).run()
    at.multiselect(key="compare-own-at").set_value(["replay", "batch_size"]).run()
    at.selectbox(key="compare-own-at-replay").set_value("latest").run()
    at.text_input(key="compare-own-at-batch_size").set_value("1").run()
    press(at, "compare-add")
    added = desk_of(lab).plan.conditions[-1]
    assert added.config == PRESETS["fast"].changed({"capacity": 300})
    assert added.changes == (Change({"replay": "latest", "batch_size": 1}, episode=40),)
    assert added.name == "buffer capacity 300, then replay latest, then batch size 1"
    assert at.multiselect(key="compare-conditions-1").value[-1] == added.name
    at.text_input(key="compare-own-set-capacity").set_value("many").run()
    assert at.button(key="compare-add").disabled
    assert "capacity must be a whole number" in said(at)


def test_what_cannot_be_compared_says_why(visit: Visit, lab: Lab) -> None:
    desk_of(lab).plan = TWO
    at = visit()
    at.number_input(key="compare-episodes").set_value(1).run()
    assert at.button(key="run-compare").disabled
    assert "changes must come before the end" in said(at)
    at.multiselect(key="compare-conditions-0").set_value([]).run()
    assert at.button(key="run-compare").disabled
    assert "Choose a condition" in said(at)


def test_with_a_full_stage_no_run_is_opened_and_the_page_says_so(visit: Visit, lab: Lab) -> None:
    desk_of(lab).comparing = finished(TWO)
    for seed in range(MAX_RUNS):
        on_stage(lab, IDLE, seed)
    at = visit()
    assert at.button(key="compare-open").disabled
    assert "remove one in the sidebar" in said(at)
