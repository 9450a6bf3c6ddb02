"""Share links: what is in them, what opening one does to a Lab, and what an instructor hides or locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.config import PRESETS, SETTINGS
from ddpg_core.links import GROUPS, Link, View
from ddpg_core.recipe import Intervention, Recipe
from pages.ui.controls import HIDDEN_WORDS, LOCKED_WORDS
from pages.ui.kernel import Kernel
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.share import base, link_of, link_words
from pages.ui.share_open import arrival_words
from pages.ui.share_view import Opened, remember, show_all, view_of
from tests.helpers import IDLE, SMALL, assert_equal_logs, trained
from tests.ui.helpers import ROOT, eventually, on_stage, opened, poison, shown, turn
from tests.ui.test_controls import form, knobs, widgets
from tests.ui.test_controls import opened as opened_alone

Visit = Callable[..., AppTest]
PLAIN = "v=1&preset=fast&seed=0"
TORCH = IDLE.changed({"engine": "torch"})


@pytest.fixture(autouse=True)
def settled(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiled engine, and none on its way."""
    kernel.state = "missing"
    monkeypatch.setattr("pages.ui.share_open.KERNEL", kernel)


@pytest.fixture
def visit(lab: Lab) -> Visit:
    """Opens a page under a link in a browser session that has `lab`."""

    def open_page(query: str, page: str = "home") -> AppTest:
        at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
        at.session_state["lab"], at.session_state["token"] = lab, "token"
        if page != "home":
            at.run()
            at.switch_page(f"pages/{page}_page.py")
        for name, value in parse_qsl(query):
            at.query_params[name] = [*at.query_params.get(name, []), value]
        at.run()
        assert not at.exception
        return at

    return open_page


def line(at: AppTest) -> list[str]:
    """What is said of the run that came with a link."""
    return [caption.value.split(": ", 1)[1] for caption in at.caption if caption.value.startswith(":material/link:")]


# --- what a link holds ------------------------------------------------------------------------------------------------


def test_link_holds_the_run_as_it_was_played_with_its_moment_and_its_return(lab: Lab) -> None:
    player = on_stage(lab, TORCH, 5)
    player.run.advance(steps=450)
    lab.intervene(player.id, {"gamma": 0.5})
    player.run.advance(steps=600)
    returns = player.run.logs.episodes.read("episode_return")
    recipe = Recipe(TORCH, 5, (Intervention(450, {"gamma": 0.5}),))
    assert link_of(lab, player, View()) == Link(recipe, 5, None, returns[4])
    lab.cursor = 3
    view = View(("noise",), ("tau",))
    assert link_of(lab, player, view) == Link(recipe, 5, 3, returns[2], view)
    lab.cursor = 0
    assert link_of(lab, player, View()) == Link(recipe, 5, 0, returns[4])
    lab.cursor = 99
    assert link_of(lab, player, View()).cursor == 5


def test_link_to_an_untrained_run_is_of_its_recipe_alone(lab: Lab) -> None:
    assert link_of(lab, on_stage(lab, TORCH), View()) == Link(Recipe(TORCH))


def test_what_a_link_does_is_said_in_words() -> None:
    link = Link(Recipe(IDLE), 40, 23, -149.25)
    assert link_words(link, "fast #0", "Critic") == (
        "Opens **Critic** with fast #0, trained to episode 40, at episode 23, and tells whether its return of episode "
        "23 is −149.2 there too."
    )
    assert link_words(Link(Recipe(IDLE)), "fast #0", "Home") == "Opens **Home** with fast #0."


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("http://localhost:8501", "", "http://localhost:8501"),
        ("http://localhost:8501/", "", "http://localhost:8501"),
        ("http://localhost:8501/critic", "critic", "http://localhost:8501"),
        ("https://school.example/labs/critic/ddpg/critic", "critic", "https://school.example/labs/critic/ddpg"),
        ("https://school.example/labs/ddpg/", "", "https://school.example/labs/ddpg"),
        ("", "critic", ""),
    ],
)
def test_links_begin_with_the_address_of_the_app_also_behind_a_proxy(url: str, path: str, expected: str) -> None:
    assert base(url, path) == expected


# --- the popover ------------------------------------------------------------------------------------------------------


def popover(lab: Lab, page: str = "train") -> AppTest:
    at = opened(lab, page)
    at.session_state["share"] = True
    at.run()
    assert not at.exception
    return at


def test_share_shows_the_link_to_the_page_on_screen(lab: Lab) -> None:
    assert not opened(lab, "train").code, "closed, it costs nothing"
    player = on_stage(lab, TORCH, 3)
    player.run.advance(episodes=2)
    at = popover(lab)
    path, query = at.code[0].value.split("?")
    assert path.endswith("/train")
    assert Link.from_query(query) == link_of(lab, player, View())


def test_an_instructor_chooses_page_and_controls(lab: Lab) -> None:
    on_stage(lab, TORCH)
    at = popover(lab)
    at.selectbox(key="share-start").set_value("critic")
    at.button_group(key="share-hide").set_value(["noise", "quirks"])
    at.multiselect(key="share-lock").set_value(["tau", "mass"]).run()
    path, query = at.code[0].value.split("?")
    assert path.endswith("/critic")
    assert Link.from_query(query).view == View(("noise", "quirks"), ("mass", "tau"))
    at.selectbox(key="share-start").set_value("").run()
    assert at.code[0].value.split("?")[0].endswith("/")


def test_a_run_that_was_changed_too_often_has_no_link(lab: Lab) -> None:
    changes = tuple(Intervention(step, {"tau": 0.5}) for step in range(900))
    lab.add(Recipe(TORCH, 0, changes))
    at = popover(lab)
    assert not at.code
    assert [info.value for info in at.info if "characters" in info.value]


# --- opening ----------------------------------------------------------------------------------------------------------


def test_opening_a_link_makes_its_run_trains_it_and_shows_its_moment(visit: Visit, lab: Lab) -> None:
    twin = trained(1000, TORCH, 5, (450, {"gamma": 0.5}))
    returns = twin.logs.episodes.read("episode_return")
    at = visit(Link(twin.recipe, 5, 3, returns[2]).to_query(), "train")
    (player,) = lab.players
    assert at.number_input(key="until").value == 5
    assert eventually(lambda: not player.playing)
    assert_equal_logs(player.run, twin)
    assert player.run.recipe == twin.recipe
    assert line(at.run()) == [f"Opened from a link: the return of episode 3 equals the sender's: −{-returns[2]:.1f}."]
    assert lab.cursor == 3
    lab.reset(player.id)
    assert line(at.run()) == []


def test_a_link_is_opened_once_however_often_it_is_asked_for(visit: Visit, lab: Lab) -> None:
    at = visit(f"{PLAIN}&engine=torch&updates_per_step=0&episode=2", "train")
    assert set(at.query_params) == {"lab"}
    (player,) = lab.players
    assert eventually(lambda: not player.playing)
    lab.cursor = 1
    other = on_stage(lab, IDLE)
    assert lab.selected is other
    at = visit(f"{PLAIN}&engine=torch&updates_per_step=0&episode=2", "critic")
    assert lab.players == [player, other]
    assert lab.selected is player
    assert player.run.episode == 2


def test_the_cursor_is_left_alone_once_the_reader_has_moved_on(visit: Visit, lab: Lab) -> None:
    query = f"{PLAIN}&engine=torch&updates_per_step=0&episode=2&cursor=1"
    at = visit(query)
    (player,) = lab.players
    lab.play(player.id)
    assert eventually(lambda: player.run.episode > 3)
    lab.pause(player.id)
    other = on_stage(lab, IDLE)
    at.run()
    assert (lab.selected, lab.cursor) == (other, None)


@pytest.mark.parametrize(
    "query", ["v=2&preset=fast", f"{PLAIN}&tau=7", f"{PLAIN}&`<b>![x](http://x)=1", f"{PLAIN}&at=9"]
)
def test_a_bad_link_is_one_sentence_and_the_app_works_as_without_it(visit: Visit, lab: Lab, query: str) -> None:
    at = visit(query, "train")
    (warning,) = at.warning
    assert warning.value.startswith("This link cannot be opened: `")
    assert warning.value.count("`") == 2
    assert " must " in warning.value
    assert set(at.query_params) == {"lab"}
    assert len(at.run().warning) == 1, "it stays until there is something else to look at"
    at.button(key="start").click().run()
    assert lab.players
    assert not at.run().warning
    assert not at.exception


def test_foreign_queries_are_no_links(visit: Visit, lab: Lab) -> None:
    at = visit("utm_source=mail")
    assert not at.warning
    assert lab.players == []


def test_a_link_into_a_full_lab_says_so(visit: Visit, lab: Lab) -> None:
    for seed in range(MAX_RUNS):
        on_stage(lab, IDLE, seed)
    at = visit(PLAIN)
    assert ["Remove a run" in toast.value for toast in at.toast] == [True]
    assert len(lab.players) == MAX_RUNS


def test_a_link_waits_for_an_engine_that_is_on_its_way(visit: Visit, lab: Lab, kernel: Kernel) -> None:
    kernel.state = "compiling"
    at = visit(f"{PLAIN}&engine=fused&updates_per_step=0")
    assert lab.players == []
    assert ["fast engine" in info.value for info in at.info] == [True]
    assert "preset" in at.query_params, "the address still asks"
    kernel.state = "missing"
    at.run()
    (player,) = lab.players
    assert player.run.config.engine == "torch"


def test_a_link_to_a_compiled_run_opens_with_pytorch_where_nothing_compiles(visit: Visit, lab: Lab) -> None:
    visit(f"{PLAIN}&engine=torch&at=5,engine:fused&at=9,engine:torch,tau:0.5")
    (player,) = lab.players
    assert [item.changes for item in player.run.recipe.interventions] == [
        {"engine": "torch"},
        {"engine": "torch", "tau": 0.5},
    ]


# --- the sender's return ----------------------------------------------------------------------------------------------


def test_arrival_tells_whether_the_return_is_the_senders() -> None:
    run = trained(450, TORCH)
    returns = [float(each) for each in run.logs.episodes.read("episode_return")]
    link = Link(run.recipe, 2, None, returns[1])
    own = f"−{-returns[1]:.1f}"
    assert arrival_words(link, shown(run)) == f"Opened from a link: the return of episode 2 equals the sender's: {own}."
    other = arrival_words(replace(link, sent_return=-1.0), shown(run))
    assert other.startswith(
        f"Opened from a link: the return of episode 2 differs from the sender's: {own} here, −1.0 there. An"
    )
    nearly = arrival_words(replace(link, sent_return=returns[1] * (1 + 1e-7)), shown(run))
    here, there = nearly.split("sender's: ")[1].split(" there")[0].split(" here, ")
    assert here != there
    compiled = replace(link, recipe=Recipe(IDLE.changed({"engine": "fused"})), sent_return=-1.0)
    assert arrival_words(compiled, shown(run)).endswith("another engine than the sender's.")
    turned = trained(450, TORCH, 0, (250, {"noise_scale": 0.5}))
    assert arrival_words(link, shown(turned)).endswith("Its knobs were turned differently here.")
    late = trained(450, TORCH, 1, (400, {"noise_scale": 0.5}))
    assert "Another machine" in arrival_words(link, shown(late)), "what came later is no reason"
    assert arrival_words(replace(link, cursor=1, sent_return=returns[0]), shown(run)).count("episode 1 equals")
    assert arrival_words(replace(link, sent_return=None), shown(run)) == "Opened from a link."
    assert arrival_words(Link(run.recipe), shown(run)) == "Opened from a link."


def test_arrival_tells_what_is_left_to_do() -> None:
    run = trained(250, TORCH)
    player, link = shown(run), Link(run.recipe, 9)
    assert arrival_words(link, player) == "Opened from a link: press Run to it to train on to episode 9."
    player.playing = True
    assert arrival_words(link, player) == "Opened from a link: training to episode 9."
    player.playing = False
    poison(run)
    run.config = SMALL
    run.advance(steps=5)
    assert arrival_words(link, player) == "Opened from a link: it stopped before episode 9."


# --- hidden and locked ------------------------------------------------------------------------------------------------


def under(view: View, lab: Lab) -> Lab:
    """The Lab as if a link with this view had been opened in it."""
    player = on_stage(lab, IDLE)
    remember(lab, Opened(Link(player.run.recipe), player.id, player.run.serial, view))
    return lab


def test_hidden_groups_are_not_drawn_and_locked_settings_cannot_be_moved(lab: Lab) -> None:
    at = opened_alone(knobs, under(View(("noise", "quirks"), ("tau", "replay")), lab))
    found = widgets(at)
    shown_now = {SETTINGS[name.removeprefix("set-")].group for name in found}
    assert shown_now == {"Learning", "Replay"}
    assert {name for name, widget in found.items() if widget.disabled} == {"set-tau", "set-replay"}
    assert found["set-tau"].help.startswith(LOCKED_WORDS)
    assert [LOCKED_WORDS in caption.value for caption in at.caption] == [True, True]
    show_all(lab)
    assert len(widgets(at.run())) == sum(setting.live for setting in SETTINGS.values())
    assert not any(widget.disabled for widget in widgets(at).values())


def test_a_page_without_knobs_says_why(lab: Lab) -> None:
    at = opened_alone(knobs, under(View(tuple(GROUPS)), lab))
    assert widgets(at) == {}
    assert [caption.value for caption in at.caption] == [HIDDEN_WORDS]


@pytest.mark.parametrize("page", ["exploration", "replay", "update"])
def test_knobs_of_every_page_follow_the_link(lab: Lab, page: str) -> None:
    under(View(("noise", "replay", "learning")), lab)
    found = widgets(opened(lab, page))
    assert not any(name.startswith("set-") for name in found)


@pytest.mark.parametrize("view", [View(("noise",)), View((), ("ou_sigma",))], ids=str)
def test_the_bench_cannot_put_noise_into_the_run_past_a_lock(lab: Lab, view: View) -> None:
    under(view, lab)
    found = [button for button in opened(lab, "exploration").button if button.label == "Use it in the run"]
    assert len(found) == 3
    assert all(button.disabled and button.help == LOCKED_WORDS for button in found)
    show_all(lab)
    found = [button for button in opened(lab, "exploration").button if button.label == "Use it in the run"]
    assert not any(button.disabled for button in found)


def test_the_form_for_a_new_run_keeps_what_is_hidden_or_locked(lab: Lab) -> None:
    at = opened_alone(form, under(View(("environment",), ("hidden", "kernel_init")), lab))
    found = widgets(at)
    assert set(found) == {"new-start", "new-hidden-fast", "new-kernel_init-fast", "new-target_init-fast"}
    assert {name for name, widget in found.items() if widget.disabled} == {"new-hidden-fast", "new-kernel_init-fast"}
    at.button[0].click().run()
    assert not at.exception
    assert lab.players[-1].run.recipe.config.difference(PRESETS["fast"]).keys() <= {"engine"}


def test_the_link_last_opened_says_what_is_hidden_and_a_lab_without_one_hides_nothing(visit: Visit, lab: Lab) -> None:
    assert view_of(lab) == View()
    at = visit(f"{PLAIN}&hide=noise&lock=tau", "train")
    assert view_of(lab) == View(("noise",), ("tau",))
    at.session_state["share"] = True
    turn(at, "critic").button(key="share-show-all").click().run()
    assert view_of(lab) == View()
    visit("v=1&preset=fast&seed=1")
    assert view_of(lab) == View()


def test_another_lab_is_not_touched(visit: Visit, make_lab: Callable[[], Lab]) -> None:
    visit(f"{PLAIN}&hide=noise")
    assert view_of(make_lab()) == View()
