from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core import policy_file
from ddpg_core.export import FORMATS, Exported, Format, Source, check_observations
from ddpg_core.export.numpy_file import largest_difference
from ddpg_core.gallery import PIECES, gallery
from ddpg_core.imports import read_file
from ddpg_core.metrics import evaluate
from ddpg_core.policy import STARTS, STARTS_SEED, Policy, best_episode, file_stem, policy_at
from ddpg_core.probes import q_map
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui import export_setup, jobs
from pages.ui.critic import GRID
from pages.ui.export import (
    AT_ONCE,
    MAX_BYTES,
    MOST_IMPORTS,
    MOST_SHELVES,
    RUN,
    Desk,
    chosen,
    desk_of,
    subject_of,
)
from pages.ui.export_look import Look, Subject, look_at
from pages.ui.export_setup import MAX_FILE_MB, open_recipe, take, train_again
from pages.ui.export_view import map_figures
from pages.ui.export_words import (
    again_words,
    claim_words,
    difference_words,
    facts,
    missing_words,
    recipe_words,
    row_words,
    size_words,
    small,
    title_words,
)
from pages.ui.kernel import Kernel
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.player import Player
from pages.ui.theme import minus
from tests.helpers import CAR, IDLE, SMALL, assert_equal_runs, trained
from tests.ui.helpers import component, components, diverged, eventually, on_stage, opened, unpacked

Visit = Callable[..., AppTest]
QUICK = tuple(name for name in AT_ONCE if name in ("recipe", "numpy", "html"))


@pytest.fixture(autouse=True)
def quick(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiled engine, no rests, and of the files made by themselves only those that take no time."""
    kernel.state = "missing"
    monkeypatch.setattr(export_setup, "KERNEL", kernel)
    monkeypatch.setattr(jobs, "REST", 0.0)
    monkeypatch.setattr(jobs, "LEAST_REST_S", 0.0)
    for module in ("export", "export_view"):
        monkeypatch.setattr(f"pages.ui.{module}.AT_ONCE", QUICK)


@pytest.fixture(scope="module")
def run() -> Run:
    return trained(650, SMALL.changed({"gamma": 0.97, "engine": "torch"}), 4, (500, {"tau": 0.5}))


@pytest.fixture
def player(lab: Lab, run: Run) -> Player:
    player = on_stage(lab, IDLE)
    player.run = run
    return player


@pytest.fixture
def visit(lab: Lab) -> Visit:
    return lambda: opened(lab, "export")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What is behind the download buttons drawn last, by file name."""
    found: dict[str, bytes] = {}
    monkeypatch.setattr("streamlit.download_button", lambda _, data, name, *__, **___: found.update({name: data}))
    return found


def subject(lab: Lab, which: str = "cursor") -> Subject:
    found = subject_of(lab, desk_of(lab), which)
    assert isinstance(found, Subject)
    return found


def settled(lab: Lab, at: AppTest) -> AppTest:
    """The page once everything that comes by itself has come."""
    assert eventually(lambda: not desk_of(lab).tend(lab, subject(lab)))
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return "\n".join(text.value for text in (*at.markdown, *at.caption, *at.info, *at.error, *at.success))


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def shift(policy: Policy, by: float) -> Policy:
    return replace(policy, parameters=policy.parameters + np.float32(by))


# --- which policy, and what is known of it ----------------------------------------------------------------------------


def test_policy_is_that_of_the_episode_chosen_and_files_of_it_are_cached_by_run_and_episode(
    lab: Lab, player: Player, run: Run
) -> None:
    assert [subject(lab, which).episode for which in ("cursor", "last", "best")] == [3, 3, best_episode(run)]
    lab.cursor = 1
    assert [subject(lab, which).episode for which in ("cursor", "last")] == [1, 3]
    assert subject(lab).key == subject(lab).key != subject(lab, "last").key
    policy = look_at(subject(lab)).policy
    np.testing.assert_array_equal(policy.parameters, policy_at(run, 1, 1).parameters)
    assert policy.card.episode == 1
    before = subject(lab).key
    player.run = trained(200, SMALL)
    assert subject(lab).key != before


def test_a_look_evaluates_films_and_maps_the_policy(lab: Lab, player: Player, run: Run) -> None:
    look, moment = look_at(subject(lab)), run.at(3)
    result = evaluate(look.policy, moment.config, STARTS, STARTS_SEED)
    assert look.policy.card.evaluation["return_mean"] == result.returns.mean()
    obs = look.film.columns["obs"]
    np.testing.assert_allclose(obs[0], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(look.policy(obs)[:, 0], look.film.columns["action"], atol=1e-5)
    torque = look.policy(GRID.obs.reshape(-1, 3)).reshape(61, 61)
    np.testing.assert_allclose(look.torque, torque, atol=1e-5)
    values = q_map(run.learner.critic_net, moment.critic, GRID.obs, torque)
    np.testing.assert_allclose(look.values, values, rtol=1e-4, atol=1e-4)
    figures = map_figures(look)
    assert [len(go.Figure(figure).data) for figure in figures] == [3, 3]
    assert figures[0]["layout"]["title"] != figures[1]["layout"]["title"]
    np.testing.assert_allclose(unpacked(figures[1]["data"][0]["z"]["bdata"]).reshape(61, 61), look.values, rtol=1e-6)


def test_a_files_own_evaluation_is_a_claim_that_is_checked(lab: Lab) -> None:
    desk, policy = desk_of(lab), gallery()["small"]
    trained, small = (gallery()[name].card.evaluation["return_mean"] for name in ("fast", "small"))
    honest = look_at(subject(lab))
    assert claim_words(honest).startswith(f"Its card says the same: {minus(f'{trained:.1f}')}")
    boast = {**policy.card.evaluation, "return_mean": -1.0, "episodes": STARTS}
    desk.bring("boast.onnx", replace(policy, card=replace(policy.card, evaluation=boast)))
    look = look_at(subject(lab))
    assert claim_words(look) == f"Its card says −1.0; here it is {minus(f'{small:.1f}')}."
    assert look.policy.card.evaluation["return_mean"] == pytest.approx(small, abs=0.1)
    desk.bring(
        "other.onnx", replace(policy, card=replace(policy.card, evaluation={**boast, "episodes": 4_000_000_000}))
    )
    assert claim_words(look_at(subject(lab))) == "Its card says −1.0, from other starts than these."


def test_desk_keeps_few_files_and_few_policies(lab: Lab) -> None:
    desk = Desk()

    def asked(number: int) -> Subject:
        return Subject(("run", number), "", "", lambda: pytest.fail("not needed"))

    for number in range(MOST_SHELVES + 2):
        desk.shelf(asked(number)).files["film"] = Exported("a.gif", bytes(1000), None)
    assert len(desk._shelves) == MOST_SHELVES
    assert desk.shelf(asked(MOST_SHELVES + 1)).files
    desk.shelf(asked(99)).files["film"] = Exported("a.gif", bytes(MAX_BYTES), None)
    desk.shelf(asked(99))
    assert list(desk._shelves) == [("run", 99)]
    for number in range(MOST_IMPORTS + 2):
        desk.loads = number
        desk.bring(f"{number}.onnx", gallery()["small"])
    assert list(desk.imports) == [f"import:{number}" for number in range(2, MOST_IMPORTS + 2)]
    assert chosen(lab, desk) == f"import:{MOST_IMPORTS + 1}"


def test_every_format_is_made_by_itself_or_when_asked() -> None:
    from pages.ui.export import AT_ONCE as QUICK_ONES

    assert QUICK_ONES == QUICK
    assert set(AT_ONCE) < set(FORMATS)
    assert {name for name in FORMATS if FORMATS[name].has_policy} < set(AT_ONCE)


# --- words ------------------------------------------------------------------------------------------------------------


def test_words_on_policies_and_files() -> None:
    assert [small(value) for value in (0, 2.53e-6, 0.034, 1e-30)] == [
        "0",
        "2.5·10⁻⁶",
        "0.034",
        "1.0·10⁻³⁰",
    ]
    assert [size_words(count) for count in (20, 901, 5_400, 20_043, 999_900, 1_250_000)] == [
        "0.1 kB",
        "0.9 kB",
        "5.4 kB",
        "20 kB",
        "1000 kB",
        "1.2 MB",
    ]
    assert difference_words(0.0, " N·m") == "no difference"
    assert difference_words(2e-6, " N·m") == "differs by at most 2.0·10⁻⁶ N·m"
    kind = FORMATS["onnx"]
    assert "not checked yet" in row_words(kind, None, "")
    assert "20 kB" in row_words(kind, Exported("a.onnx", bytes(20_000), 1e-6), " N·m")
    assert "checked" not in row_words(FORMATS["recipe"], None, "")
    assert "exactly the policy" in again_words(0.0)
    assert "differ from the file's by 0.31 at most" in again_words(0.31)


def test_recipe_in_words_names_preset_differences_and_knobs_turned(lab: Lab, player: Player) -> None:
    look = look_at(subject(lab))
    words = recipe_words(look.policy.card)
    assert words.startswith("Recipe: preset **fast** with ")
    assert "discount 0.97" in words
    assert "seed 4; 3 episodes (600 steps); settings changed once on the way." in words
    lab.cursor = 2
    assert "changed" not in recipe_words(look_at(subject(lab)).policy.card)
    assert title_words(look).endswith(", after 3 episodes")
    assert [label for label, _, _ in facts(look)] == ["return without noise", "regret", "weights of the actor"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_a_new_session_finds_the_gallery_with_film_numbers_and_files(
    visit: Visit, lab: Lab, given: dict[str, bytes]
) -> None:
    at = settled(lab, visit())
    policy = gallery()["fast"]
    assert metrics(at)["return without noise"] == f"−{-policy.card.evaluation['return_mean']:.0f}"
    film = component(at, "film")["clip"]
    assert film["title"] == "from hanging, no noise"
    assert len(unpacked(film["traces"][0]["values"])) == 200
    assert all(piece.note in said(at) for piece in PIECES.values())
    for name in PIECES:
        found = read_file("p.safetensors", given[f"{file_stem(gallery()[name])}.safetensors"])
        assert isinstance(found, Policy)
        np.testing.assert_array_equal(found.parameters, gallery()[name].parameters)
    assert "press *Train it again* first" in said(at)  # for a report
    at.button(key="gallery-halfway").click().run()
    at = settled(lab, at)
    assert "Half\\-way, after 12 episodes" in said(at)


def test_files_of_a_run_act_as_it_does_and_are_named_after_it(
    visit: Visit, lab: Lab, player: Player, run: Run, given: dict[str, bytes]
) -> None:
    at = settled(lab, visit())
    policy = policy_at(run, 3)
    names = [f"{file_stem(policy)}{FORMATS[name].suffix}" for name in QUICK]
    assert set(names) < set(given)
    assert all("seed4-episode3-return-" in name for name in names)
    assert largest_difference(given[names[QUICK.index("numpy")]], policy, check_observations(policy)) < 1e-6
    assert Recipe.from_json(given[names[QUICK.index("recipe")]].decode()) == run.recipe
    assert "Before it is offered" in said(at)
    assert "*Share* in the sidebar" in said(at)
    assert [len(data["figures"]) for name, data in components(at) if name == "ddpg_charts"] == [2]
    lab.cursor = 1
    at = settled(lab, at.run())
    assert any("episode1-" in name for name in given)


def test_a_report_is_made_when_asked_for_of_a_copy_of_the_run(
    visit: Visit,
    lab: Lab,
    player: Player,
    run: Run,
    given: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources: list[Source] = []
    monkeypatch.setattr("ddpg_core.export.report.write", lambda source: sources.append(source) or b"a report")
    at = settled(lab, visit())
    assert not sources
    at.button(key="export-report-make").click().run()
    at = settled(lab, at)
    assert "export-report-make" not in {button.key for button in at.button}
    assert [data for name, data in given.items() if name.endswith("-report.html")] == [b"a report"]
    (source,) = sources
    assert source.run is not None
    assert source.run is not run
    assert_equal_runs(source.run, run)


def test_a_format_without_its_library_says_how_to_get_it(
    visit: Visit, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], packages=("no_such_library",)))
    at = settled(lab, visit())
    assert "`python -m pip install '.[onnx]'`" in said(at)
    assert not at.error
    both = missing_words(FORMATS["onnx"], "ONNX needs onnx and onnxruntime: pip install it")
    assert both == "**ONNX**  \n:small[ONNX needs onnx and onnxruntime, which are not installed:]  \n`pip install it`"


def test_what_cannot_be_made_is_a_sentence_beside_its_format(
    visit: Visit, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = on_stage(lab, IDLE)
    player.run = trained(1010, SMALL.changed({**CAR, "warmup_steps": 1000}))

    def broken(kind: Format, source: Any) -> bytes:
        raise RuntimeError("a fault of ours")

    write = Format.write
    monkeypatch.setattr(Format, "write", lambda kind, of: (broken if kind.name == "numpy" else write)(kind, of))
    at = settled(lab, visit())
    assert "a web page must be of a policy of Pendulum\\-v1, got one of MountainCarContinuous\\-v0" in said(at)
    assert "this did not work\\: RuntimeError" in said(at)
    assert "Maps are of the pendulum" in said(at)
    assert component(at, "film")["clip"]["env_id"] == "MountainCarContinuous-v0"
    assert "N·m" not in said(at)


def test_runs_without_a_policy_say_so_in_one_sentence(visit: Visit, lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    at = visit()
    assert [info.value for info in at.info] == [
        "fast #0 has not finished its first episode: there is no trained policy to take along yet."
    ]
    player.run = diverged()
    at = settled(lab, at.run())
    assert "after 1 episode" in said(at)
    assert not at.info


def test_a_run_that_trains_on_is_looked_at_and_its_files_wait(visit: Visit, lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(episodes=2)
    lab.speed = "1 step/s"
    lab.play(player.id)
    at = visit()
    assert eventually(lambda: desk_of(lab).tend(lab, subject(lab)) and desk_of(lab).look(subject(lab)))
    at.run()
    assert "press *Pause*, and its files are made" in said(at)
    assert "after 2 episodes" in said(at)
    assert not desk_of(lab).shelf(subject(lab)).files
    lab.pause(player.id)
    assert set(QUICK) == set(_shelf_files(lab, settled(lab, at.run())))


def _shelf_files(lab: Lab, _: AppTest) -> dict[str, Exported]:
    return desk_of(lab).shelf(subject(lab)).files


# --- brought along ----------------------------------------------------------------------------------------------------


def test_an_imported_policy_is_shown_and_a_bad_file_loses_nothing(visit: Visit, lab: Lab, player: Player) -> None:
    at = visit()
    policy = gallery()["small"]
    name = "a <b>[x](y)</b>.safetensors"
    at.file_uploader(key="export-import-0").set_value((name, policy_file.to_bytes(policy), "")).run()
    at = settled(lab, at)
    assert metrics(at)["return without noise"] == minus(f"{policy.card.evaluation['return_mean']:.0f}")
    assert "a \\<b\\>\\[x\\]\\(y\\)\\</b\\>\\.safetensors, after 40 episodes" in said(at)
    assert "brings the actor alone" in said(at)
    for number, (bad, data) in enumerate(
        (
            ("p.safetensors", b"junk"),
            ("p.onnx", b"\x08\x07junk"),
            ("p.json", b"[" * 10_000),
            ("p.json", b"\xff"),
            ("p.safetensors", policy_file.to_bytes(policy)[:-7]),
        ),
        start=1,
    ):
        at.file_uploader(key=f"export-import-{number}").set_value((bad, data, "")).run()
        (error,) = at.error
        assert not at.exception
        assert error.value.replace("\\", "").startswith(f"{bad} can't be opened: ")
        assert "\n" not in error.value
        assert chosen(lab, desk_of(lab)) == "import:1"
    take(lab, desk_of(lab), "large.onnx", bytes((MAX_FILE_MB << 20) + 1))
    assert desk_of(lab).problem == f"large.onnx can't be opened: it must be at most {MAX_FILE_MB} MB on this page."
    at.pills(key="export-policy").set_value(RUN).run()
    assert not at.exception
    assert chosen(lab, desk_of(lab)) == RUN
    assert not at.error


def test_a_recipe_opens_as_a_run(visit: Visit, lab: Lab, run: Run) -> None:
    at = visit()
    data = run.recipe.to_json().encode()
    at.file_uploader(key="export-import-0").set_value(("mine.json", data, "application/json")).run()
    assert not at.exception
    (player,) = lab.players
    assert player.run.recipe == run.recipe
    assert "mine\\.json is open as fast \\#4\\: press Play to train it\\." in said(at)
    assert at.info  # there is no policy yet


def test_a_policy_is_trained_again_to_the_same_weights_and_goes_on(visit: Visit, lab: Lab, run: Run) -> None:
    desk = desk_of(lab)
    desk.bring("mine.safetensors", policy_at(run, 2, 1))
    at = settled(lab, visit())
    at.button(key="export-again").click().run()
    assert not at.exception
    (player,) = lab.players
    assert eventually(lambda: player.run.episode == 2 and not player.playing)
    at = settled(lab, at.run())
    assert "exactly the policy of the file" in said(at)
    assert player.run.recipe.interventions == ()  # what was changed after the policy is no part of it
    lab.play(player.id, 3)
    assert eventually(lambda: not player.playing)
    assert "exactly the policy" not in said(settled(lab, at.run()))


def test_a_recipe_of_the_compiled_engine_opens_where_there_is_none(lab: Lab) -> None:
    recipe = gallery()["fast"].card.recipe
    assert recipe.config.engine == "fused"
    player = open_recipe(lab, recipe)
    assert player is not None
    assert player.run.recipe.config == recipe.config.changed({"engine": "torch"})


def test_with_a_full_stage_nothing_is_trained_again(visit: Visit, lab: Lab) -> None:
    for seed in range(MAX_RUNS):
        on_stage(lab, IDLE, seed)
    desk_of(lab).choice = "gallery:small"
    assert visit().button(key="export-again").disabled
    train_again(lab, desk_of(lab), gallery()["small"])
    assert len(lab.players) == MAX_RUNS
    assert desk_of(lab).choice == "gallery:small"


def test_a_policy_whose_weights_differ_says_by_how_much(lab: Lab, player: Player, run: Run) -> None:
    mine = policy_at(run, 3, 1)
    looks: list[Look] = [
        look_at(subject(lab), (policy, run.serial)) for policy in (mine, shift(mine, 0.1), policy_at(run, 2, 1))
    ]
    assert looks[0].again == 0
    assert looks[1].again
    assert looks[2].again is None  # of another moment
