from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.config import PRESETS
from ddpg_core.doctor import diagnose
from ddpg_core.environment import Physics
from ddpg_core.links import Link, View
from ddpg_core.oracle import GAMMA, POINTS
from pages.ui import doctor_panel
from pages.ui.controls import LOCKED_WORDS
from pages.ui.jobs import oracle_of
from pages.ui.lab import Lab
from pages.ui.share_view import Opened, remember
from tests.helpers import CAR, SMALL, started, trained
from tests.ui.helpers import diverged, eventually, on_stage, opened


@pytest.fixture(autouse=True)
def oracle() -> None:
    assert eventually(lambda: oracle_of(Physics(), GAMMA, POINTS))


def words(at: AppTest) -> str:
    return " ".join(text.value for text in at.markdown)


def test_a_finding_is_told_with_its_evidence_and_its_knob_acts_on_the_run(lab: Lab) -> None:
    player = on_stage(lab, PRESETS["no_replay"].changed({"hidden": (8,)}))
    player.run.advance(episodes=6)
    at = opened(lab, "train")
    assert "newest transition only" in words(at)
    at.button(key="doctor-no_replay").click().run()
    assert not at.exception
    (intervention,) = player.run.recipe.interventions
    assert intervention.step == player.run.env_steps
    assert player.run.config.replay == "uniform"
    assert "doctor-no_replay" not in {button.key for button in at.button}


@pytest.mark.parametrize("view", [View(("replay",)), View((), ("replay",))], ids=str)
def test_a_knob_that_a_link_locks_or_hides_is_the_doctors_no_more(lab: Lab, view: View) -> None:
    player = on_stage(lab, PRESETS["no_replay"].changed({"hidden": (8,)}))
    remember(lab, Opened(Link(player.run.recipe), player.id, player.run.serial, view))
    player.run.advance(episodes=6)
    button = opened(lab, "train").button(key="doctor-no_replay")
    assert button.disabled
    assert button.help == LOCKED_WORDS


def test_the_past_is_judged_as_it_was_and_offers_no_knob(lab: Lab) -> None:
    player = on_stage(lab, PRESETS["no_replay"].changed({"hidden": (8,)}))
    player.run.advance(episodes=6)
    lab.cursor = 6
    at = opened(lab, "train")
    assert "of the 1,200 transitions" in words(at)
    assert not [button for button in at.button if str(button.key).startswith("doctor-")]
    lab.cursor = 0
    assert "1,200" not in words(at.run())


def test_a_training_runs_findings_are_kept_for_a_while_and_a_resting_ones_are_not(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = on_stage(lab, PRESETS["no_replay"].changed({"hidden": (8,)}))
    player.run.advance(episodes=2)
    at = opened(lab, "train")
    looks: list[int] = []
    monkeypatch.setattr(doctor_panel, "diagnose", lambda run, moment: looks.append(moment.env_steps) or found)
    found = diagnose(player.run, player.run.at())
    at.run()
    assert looks == [400]
    monkeypatch.setattr(Lab, "playing", True)
    at.run()
    at.run()
    assert len(looks) == 2, "what was found of a resting run or of the past is not kept for a training one"
    monkeypatch.setattr(doctor_panel, "EVERY_S", 0.0)
    at.session_state["doctor-found"] = (player.run.serial, found, 0.0)
    at.run()
    assert len(looks) == 3


@pytest.mark.parametrize("case", ["fresh", "diverged", "car"])
def test_every_run_gets_a_word(lab: Lab, case: str) -> None:
    runs = {"fresh": started, "diverged": diverged, "car": lambda: trained(1200, SMALL.changed(CAR))}
    on_stage(lab, SMALL).run = runs[case]()
    assert (":red[" in words(opened(lab, "train"))) == (case == "diverged")
