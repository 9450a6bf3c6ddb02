from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ddpg_core.config import PRESETS
from ddpg_core.run import Run
from pages.ui.lab import Lab
from tests.helpers import CAR, IDLE, SMALL, started, trained
from tests.ui.helpers import (
    ROOT,
    component,
    components,
    diverged,
    eventually,
    on_stage,
    opened,
    press,
    take_to,
    turn,
)

PAGES = sorted(path.stem.removesuffix("_page") for path in (ROOT / "pages").glob("*.py"))
STATES = ["no run", "fresh", "trained", "diverged", "car"]


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    late = SMALL.changed({"warmup_steps": 380})
    return {
        "fresh": started(),
        "trained": trained(450, late, 0, (100, {"gamma": 0.9})),
        "diverged": diverged(),
        "car": trained(1050, late.changed({**CAR, "warmup_steps": 1000})),
    }


@pytest.fixture
def visit(lab: Lab) -> Callable[..., AppTest]:
    """Opens a page in a browser session that has `lab`."""

    return lambda page="home": opened(lab, page)


def status(at: AppTest) -> dict[str, str]:
    """The status line: value by label."""
    return {item["label"]: item["value"] for item in component(at, "status")["items"]}


# --- every page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("page", PAGES)
def test_page_opens_and_sends_what_a_browser_can_read(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run], page: str, state: str
) -> None:
    if state in runs:
        on_stage(lab, IDLE).run = runs[state]
    at = visit(page)
    assert at.title[0].value not in ("", "DDPG Lab")
    assert at.caption[0].value.endswith((".", "?"))
    for _, data in components(at):
        assert data
    stopped_by_itself = [error.value for error in at.error]
    assert len(stopped_by_itself) == (state == "diverged")
    assert all("step 300" in error and "Reset" in error for error in stopped_by_itself)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("compare", "export")])  # they need no run
def test_page_without_a_run_says_what_will_be_there_and_starts_one(
    visit: Callable[..., AppTest], lab: Lab, page: str
) -> None:
    at = visit(page)
    promise = [text.value for text in (*at.info, *at.markdown)]
    assert any(len(text) > 60 for text in promise)
    press(at, "start")
    (player,) = lab.players
    take_to(lab, player, 1)
    assert player.run.recipe.config.difference(PRESETS["fast"]).keys() <= {"engine"}
    assert "pause" in {button.key for button in at.button}


@pytest.mark.parametrize("page", PAGES)
def test_page_follows_the_run_that_is_selected(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run], page: str
) -> None:
    for name in ("trained", "car"):
        on_stage(lab, IDLE).run = runs[name]
    at = visit(page)
    assert status(at)["env steps"] == "1,050"
    lab.select(lab.players[0].id)
    assert status(at.run())["env steps"] == "450"
    assert not at.exception


# --- the frame --------------------------------------------------------------------------------------------------------


def test_transport_buttons_do_what_they_say(visit: Callable[..., AppTest], lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    at = visit("train")
    press(at, "step")
    assert player.run.env_steps == 1
    press(at, "episode")
    assert eventually(lambda: not player.playing)
    assert player.run.env_steps == 200
    at.number_input(key="until").set_value(3).run()
    press(at, "run-to")
    assert eventually(lambda: not player.playing)
    assert player.run.env_steps == 600
    press(at.run(), "play")
    take_to(lab, player, 601)
    press(at, "pause")
    steps = player.run.env_steps
    assert not player.playing
    assert status(at)["env steps"] == f"{steps:,}"
    press(at, "reset")
    assert (player.run.env_steps, player.playing) == (0, False)


def test_speed_slider_sets_the_pace_and_shows_it_on_every_page(visit: Callable[..., AppTest], lab: Lab) -> None:
    on_stage(lab, IDLE)
    at = visit("train")
    assert at.select_slider(key="speed").value == "flat out"
    at.select_slider(key="speed").set_value("5 steps/s").run()
    assert lab.speed == "5 steps/s"
    assert turn(at, "pendulum").select_slider(key="speed").value == "5 steps/s"


def test_target_episode_is_kept_from_page_to_page(visit: Callable[..., AppTest], lab: Lab) -> None:
    on_stage(lab, IDLE)
    at = visit("train")
    at.number_input(key="until").set_value(7).run()
    assert turn(at, "pendulum").number_input(key="until").value == 7


def test_buttons_that_would_not_help_are_off(visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    player = on_stage(lab, IDLE)

    def disabled(at: AppTest) -> set[str]:
        return {button.key for button in at.button if button.disabled}

    at = visit("train")
    assert disabled(at) == set()
    assert disabled(press(at, "play")) == {"step", "episode"}
    lab.pause(player.id)
    player.run = runs["diverged"]
    assert disabled(at.run()) == {"play", "step", "episode", "run-to"}


def test_what_went_wrong_is_said_once_as_a_toast(visit: Callable[..., AppTest], lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(episodes=2)
    at = visit("train")
    at.number_input(key="until").set_value(1).run()
    press(at, "run-to")
    assert [toast.value for toast in at.toast] == ["fast #0 has already finished 2 episodes."]
    assert not at.run().toast


def test_sidebar_lists_every_run_with_its_state(visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    for name in ("trained", "diverged", "fresh"):
        on_stage(lab, IDLE).run = runs[name]
    cards = component(visit(), "runs")["runs"]
    assert [card["selected"] for card in cards] == [False, False, True]
    assert len({card["colour"] for card in cards}) == 3
    assert [card["state"] for card in cards] == ["paused, 2 episodes", "diverged, 1 episode", "paused, 0 episodes"]
    returns = runs["trained"].logs.episodes.read("episode_return")
    assert cards[0]["result"] == f"last return −{abs(round(returns[-1]))}"
    assert cards[0]["curve"] == pytest.approx([returns[0], returns.mean()], abs=0.05)
    assert cards[2]["result"] == "no episode finished"


def test_drawing_a_page_renews_the_lease(visit: Callable[..., AppTest], lab: Lab) -> None:
    lab.last_seen = lab._lease_until = 0.0
    visit()
    assert lab._lease_until > lab.last_seen > 0


# --- the session ------------------------------------------------------------------------------------------------------


def address(at: AppTest) -> str:
    """The token in the page's address."""
    token = at.query_params["lab"]
    return token[0] if isinstance(token, list) else str(token)


def test_a_reload_under_the_token_in_the_address_finds_the_runs_again() -> None:
    first = AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    token = address(first)
    on_stage(first.session_state["lab"], IDLE)
    again = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    again.query_params["lab"] = token
    assert again.run().session_state["lab"] is first.session_state["lab"]
    assert again.button(key="play")
    assert address(again) == token


def test_a_forged_token_gets_an_empty_lab_and_a_token_of_its_own() -> None:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    at.query_params["lab"] = "forged"
    at.run()
    assert not at.exception
    assert at.session_state["lab"].players == []
    assert address(at) == at.session_state["token"] != "forged"


# --- one behaviour each -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_home_starts_each_preset(visit: Callable[..., AppTest], lab: Lab, preset: str) -> None:
    press(visit(), f"start-{preset}")
    (player,) = lab.players
    assert player.run.recipe.config.difference(PRESETS[preset]).keys() <= {"engine"}
    take_to(lab, player, 1)


def test_home_started_twice_makes_two_different_runs(visit: Callable[..., AppTest], lab: Lab) -> None:
    at = visit()
    press(press(at, "start-fast"), "start-fast")
    assert [player.label for player in lab.players] == ["fast #0", "fast #1"]


def test_home_shows_the_numbers_of_the_selected_run(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    parts = {part["part"]: part for part in component(visit(), "loop")["parts"]}
    assert parts["environment"]["number"] == "episode 3"
    assert parts["replay"]["number"] == "450"
    loss = runs["trained"].logs.updates.read("critic_loss")
    assert parts["critic"]["number"] == f"loss {loss[-1]:.3g}"
    entry = (ROOT / "app.py").read_text()
    for name, part in parts.items():
        assert f'("{part["page"]}", ' in entry, name


def test_train_shows_all_runs_and_the_inside_of_the_selected_one(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    for name in ("trained", "diverged"):
        on_stage(lab, IDLE).run = runs[name]
    at = visit("train")
    returns, inside = [data["figures"] for name, data in components(at) if name == "ddpg_charts"]
    assert len(returns) == 1
    assert len(returns[0]["data"]) == 2 * len(lab.players)
    assert len(inside) == 8
    assert f"Inside {lab.players[1].label}" in at.markdown[-1].value + " ".join(text.value for text in at.markdown)


def test_train_slider_acts_on_the_selected_run_alone_and_shows_the_labs_value_on_return(
    visit: Callable[..., AppTest], lab: Lab
) -> None:
    other, player = on_stage(lab, IDLE), on_stage(lab, IDLE)
    player.run.advance(steps=30)
    at = visit("train")
    at.slider(key="set-gamma").set_value(0.9).run()
    (intervention,) = player.run.recipe.interventions
    assert (intervention.step, intervention.changes) == (30, {"gamma": 0.9})
    assert other.run.recipe.interventions == ()
    turn(at, "home")
    assert turn(at, "train").slider(key="set-gamma").value == 0.9
    turn(at, "pendulum")
    lab.intervene(player.id, {"gamma": 0.5})
    assert turn(at, "train").slider(key="set-gamma").value == 0.5
    lab.select(other.id)
    assert at.run().slider(key="set-gamma").value == IDLE.gamma
    assert len(player.run.recipe.interventions) == 2
    assert other.run.recipe.interventions == ()


def test_pendulum_shows_the_newest_episode_or_the_one_at_the_cursor(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    player = on_stage(lab, IDLE)
    player.run = runs["trained"]
    at = visit("pendulum")
    film = component(at, "film")
    assert film["live"]
    assert film["clip"]["title"].endswith("episode 3")
    lab.cursor = 1
    film = component(at.run(), "film")
    assert not film["live"]
    assert film["clip"]["title"].endswith("episode 1")
    assert film["clip"]["finished"]


def test_pendulum_says_what_to_do_before_the_first_step(visit: Callable[..., AppTest], lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    at = visit("pendulum")
    (hint,) = at.info
    assert "Press Play" in hint.value
    press(at, "step")
    assert not at.info
    assert component(at, "film")["clip"]["traces"][0]["length"] == 1
    player.run.advance(episodes=1)
    lab.cursor = 0
    (hint,) = at.run().info
    assert "move the cursor" in hint.value


# --- the time machine -------------------------------------------------------------------------------------------------


def test_cursor_takes_every_number_of_the_frame_back(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    at = visit("train")
    assert component(at, "cursor") == {"first": 0, "last": 2, "episode": None}
    lab.cursor = 1
    shown = status(at.run())
    assert (shown["episodes finished"], shown["env steps"]) == ("1", "200")
    assert any("discount 0.9" in label for label in shown)  # set at step 100
    lab.cursor = 0
    assert not any("discount 0.9" in label for label in status(at.run()))
    lab.cursor = 1
    at.run()
    assert shown["mean of 1 returns"].startswith(
        f"−{abs(round(runs['trained'].logs.episodes.read('episode_return')[0]))}"
    )
    assert component(at, "cursor")["episode"] == 1
    figures = [figure for name, data in components(at) if name == "ddpg_charts" for figure in data["figures"]]
    assert len(figures) == 9
    for figure in figures:
        assert any(shape["type"] == "rect" and shape["x0"] == 1 for shape in figure["layout"]["shapes"])
    parts = {part["part"]: part["number"] for part in component(turn(at, "home"), "loop")["parts"]}
    assert parts["environment"] == "episode 2"
    assert parts["replay"] == "200"


def test_cursor_beyond_the_log_shows_the_nearest_episode_and_says_so(
    visit: Callable[..., AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    lab.cursor = 40
    at = visit("train")
    (hint,) = at.info
    assert "holds episodes 0 to 2, so you see episode 2" in hint.value
    assert status(at)["env steps"] == "400"
    lab.cursor = 2
    assert not at.run().info


# --- the files --------------------------------------------------------------------------------------------------------


def test_every_page_has_an_address_of_its_own_that_is_not_its_files_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: list[tuple[Path, dict[str, Any]]] = []
    make = st.Page

    def spy(page: str, **details: Any) -> Any:
        entries.append((Path(page), details))
        return make(page, **details)

    monkeypatch.setattr(st, "Page", spy)
    AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    assert sorted(path.stem for path, _ in entries) == sorted(f"{name}_page" for name in PAGES)
    for path, details in entries:
        assert path.parent == Path("pages")
        assert details["url_path"] == path.stem.removesuffix("_page")
    assert [details["url_path"] for _, details in entries if details["default"]] == ["home"]


def test_directly_in_the_pages_folder_lie_pages_only() -> None:
    assert [path.name for path in (ROOT / "pages").glob("*.py") if not path.name.endswith("_page.py")] == []


def imported_by(path: Path) -> set[str]:
    """Full names of the modules that a file imports anywhere, and of what it takes out of them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "pages/ui").rglob("*.py")), ids=lambda path: path.stem)
def test_what_pages_share_imports_no_page(path: Path) -> None:
    assert not {name for name in imported_by(path) if name.startswith(("pages", "app"))} - {
        name for name in imported_by(path) if name.startswith("pages.ui")
    }


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*_page.py")), ids=lambda path: path.stem)
def test_a_page_imports_no_other_page_and_touches_no_session_state(path: Path) -> None:
    own = {name for name in imported_by(path) if name.startswith("pages")}
    assert all(name.startswith("pages.ui") for name in own)
    assert "session_state" not in path.read_text()
    assert not {name.split(".")[0] for name in imported_by(path)} & {"numpy", "torch", "gymnasium", "pygame"}


@pytest.mark.parametrize("path", sorted((ROOT / "ddpg_core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_core_imports_nothing_of_the_interface(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported_by(path)} & {"pages", "app", "streamlit", "plotly"}
