from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.config import FIELDS, PRESETS, SETTINGS
from ddpg_core.recipe import Intervention
from pages.ui.controls import OPEN_GROUPS, log_options
from pages.ui.kernel import Kernel
from pages.ui.lab import MAX_RUNS, Lab
from tests.helpers import IDLE, SMALL
from tests.ui.helpers import on_stage, take_to

LIVE = [name for name, setting in SETTINGS.items() if setting.live]
STRUCTURAL = [name for name, setting in SETTINGS.items() if not setting.live]
LOGARITHMIC = [name for name, setting in SETTINGS.items() if setting.log]
NUMBERS = [name for name in LIVE if type(FIELDS[name].default) in (int, float)]
OWN = "the selected run's settings"


def knobs() -> None:
    """A page with nothing but the knobs of the selected run."""
    import streamlit as st

    from pages.ui.controls import live_controls

    live_controls(st.session_state["lab"], st.session_state["lab"].selected)


def form() -> None:
    """A page with nothing but the form for a new run."""
    import streamlit as st

    from pages.ui.controls import new_run_form

    st.session_state["made"] = new_run_form(st.session_state["lab"])


def opened(page: Any, lab: Lab) -> AppTest:
    at = AppTest.from_function(page, default_timeout=30)
    at.session_state["lab"] = lab
    for group in {setting.group for setting in SETTINGS.values()}:
        at.session_state[f"group-{group}-open"] = True
    at.run()
    assert not at.exception
    return at


def widgets(at: AppTest) -> dict[str, Any]:
    """Every widget with a key."""
    kinds = (at.slider, at.select_slider, at.toggle, at.selectbox, at.text_input, at.number_input)
    return {widget.key: widget for kind in kinds for widget in kind if widget.key}


def another(name: str, current: Any) -> Any:
    """A value of the setting that its widget offers and that is not in force."""
    setting = SETTINGS[name]
    if isinstance(current, bool):
        return not current
    if isinstance(current, str):
        return next(choice for choice in setting.choices if choice not in (current, "auto"))
    if setting.log:
        return next(value for value in log_options(name, current) if value != current)
    return current + (setting.step if current < setting.high else -setting.step) * (
        1 if name != "updates_per_step" else 20
    )


# --- live settings ----------------------------------------------------------------------------------------------------


def test_a_closed_group_costs_no_widgets(lab: Lab) -> None:
    on_stage(lab, PRESETS["fast"])
    at = AppTest.from_function(knobs, default_timeout=30)
    at.session_state["lab"] = lab
    found = {name.removeprefix("set-") for name in widgets(at.run())}
    assert found == {name for name in LIVE if SETTINGS[name].group in OPEN_GROUPS}


def test_every_live_setting_has_a_widget_with_its_value_and_no_structural_one_has(lab: Lab) -> None:
    player = on_stage(lab, PRESETS["notebook"])
    found = widgets(opened(knobs, lab))
    assert set(found) == {f"set-{name}" for name in LIVE}
    for name in LIVE:
        assert found[f"set-{name}"].value == getattr(player.run.config, name), name
        assert found[f"set-{name}"].label.startswith(SETTINGS[name].label)
        assert found[f"set-{name}"].help.startswith(SETTINGS[name].help)


@pytest.mark.parametrize("name", LIVE)
def test_moving_a_knob_makes_an_intervention_of_just_that_setting(lab: Lab, kernel: Kernel, name: str) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(steps=5)
    kernel.fetch()
    value = another(name, getattr(player.run.config, name))
    at = opened(knobs, lab)
    widgets(at)[f"set-{name}"].set_value(value).run()
    assert not at.exception
    (intervention,) = player.run.recipe.interventions
    assert intervention.step == 5
    assert intervention.changes == {name: pytest.approx(value)}
    assert widgets(at)[f"set-{name}"].value == getattr(player.run.config, name)


def test_knobs_show_what_the_run_has_whoever_changed_it(lab: Lab) -> None:
    first, second = on_stage(lab, IDLE), on_stage(lab, IDLE.changed({"tau": 0.3, "gamma": 0.8}))
    at = opened(knobs, lab)
    assert (widgets(at)["set-tau"].value, widgets(at)["set-gamma"].value) == (0.3, 0.8)
    lab.intervene(second.id, {"gamma": 0.7})
    assert widgets(at.run())["set-gamma"].value == pytest.approx(0.7)
    lab.select(first.id)
    assert widgets(at.run())["set-tau"].value == IDLE.tau
    assert len(first.run.recipe.interventions) == 0


@pytest.mark.parametrize("end", ["low", "high", "just above the lower bound"])
def test_knobs_take_every_value_that_a_recipe_may_hold(lab: Lab, end: str) -> None:
    values = {}
    for name in NUMBERS:
        setting, whole = SETTINGS[name], isinstance(FIELDS[name].default, int)
        nudge = 1 if whole else (setting.high - setting.low) * 1e-4
        values[name] = setting.high if end == "high" else setting.low
        if end != "high" and (setting.low_open or end != "low"):
            values[name] += nudge
    player = on_stage(lab, IDLE.changed(values))
    found = widgets(opened(knobs, lab))
    for name in NUMBERS:
        assert found[f"set-{name}"].value == pytest.approx(getattr(player.run.config, name), rel=1e-6), name
    assert player.run.recipe.interventions == ()


def test_a_knob_can_be_moved_while_the_run_trains(lab: Lab) -> None:
    player = on_stage(lab, SMALL, play=True)
    take_to(lab, player, 5)
    at = opened(knobs, lab)
    widgets(at)["set-replay"].set_value("latest").run()
    lab.pause(player.id)
    (intervention,) = player.run.recipe.interventions
    assert 5 <= intervention.step <= player.run.env_steps
    assert intervention == Intervention(intervention.step, {"replay": "latest"})


# --- logarithmic sliders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOGARITHMIC)
def test_stops_of_a_logarithmic_slider_hold_bounds_presets_and_the_current_value(name: str) -> None:
    setting, whole = SETTINGS[name], isinstance(FIELDS[name].default, int)
    current = 37 if whole else 0.0123
    options = log_options(name, current)
    assert options == sorted(set(options))
    assert {current, setting.high, *(getattr(preset, name) for preset in PRESETS.values())} <= set(options)
    assert setting.low_open or setting.low in options
    assert all(type(option) is type(FIELDS[name].default) for option in options)
    for option in options:
        IDLE.changed({name: option})


def test_stops_of_a_logarithmic_slider_are_one_two_and_five_of_each_decade() -> None:
    options = log_options("actor_lr", 1e-3)
    assert options == [float(f"{digit}e{decade}") for decade in range(-6, 0) for digit in (1, 2, 5)] + [1.0]


# --- a new run --------------------------------------------------------------------------------------------------------


def submit(at: AppTest) -> AppTest:
    (button,) = at.button
    return button.click().run()


def test_form_makes_a_run_with_the_structural_settings_and_trains_it(lab: Lab) -> None:
    at = opened(form, lab)
    found = widgets(at)
    found["new-gravity-fast"].set_value(3.5)
    found["new-length-fast"].set_value(0.7)
    found["new-hidden-fast"].set_value("16-8")
    found["new-kernel_init-fast"].set_value("fan_in")
    at.number_input[0].set_value(11)
    submit(at)
    assert at.session_state["made"]
    (player,) = lab.players
    changes = {"gravity": 3.5, "length": 0.7, "hidden": (16, 8), "kernel_init": "fan_in"}
    expected = PRESETS["fast"].changed(changes | {"engine": player.run.config.engine})
    assert player.run.recipe.seed == 11
    assert player.run.recipe.config.difference(expected) == {}
    take_to(lab, player, 1)


def test_form_asks_for_every_structural_setting(lab: Lab) -> None:
    found = widgets(opened(form, lab))
    assert set(found) == {"new-start", *(f"new-{name}-fast" for name in STRUCTURAL)}


@pytest.mark.parametrize("preset", PRESETS)
def test_form_starts_from_each_preset(lab: Lab, preset: str) -> None:
    at = opened(form, lab)
    widgets(at)["new-start"].set_value(preset).run()
    submit(at)
    assert not at.exception
    (player,) = lab.players
    assert player.run.recipe.config.difference(PRESETS[preset]).keys() <= {"engine"}


def test_form_starts_from_the_run_selected_now(lab: Lab) -> None:
    moon = on_stage(lab, IDLE.changed({"gravity": 1.6, "hidden": (5,)}))
    on_stage(lab, IDLE.changed({"gravity": 3.7, "hidden": (6,)}))
    at = opened(form, lab)
    widgets(at)["new-start"].set_value(OWN).run()
    lab.select(moon.id)
    lab.intervene(moon.id, {"gamma": 0.5})
    submit(at.run())
    made = lab.players[-1].run.recipe
    assert (made.config.gravity, made.config.hidden, made.config.gamma) == (1.6, (5,), 0.5)
    assert made.interventions == ()
    assert made.seed == 0, "no other run has these settings yet"


def test_runs_of_the_same_settings_get_different_seeds_by_default(lab: Lab) -> None:
    at = opened(form, lab)
    for _ in range(3):
        submit(at)
    assert [player.run.recipe.seed for player in lab.players] == [0, 1, 2]


@pytest.mark.parametrize("text", ["64-abc", "", "0", "8-8-8-8-8", "513", "-4", "8.5"])
def test_layers_that_cannot_be_are_an_error_and_make_no_run(lab: Lab, text: str) -> None:
    at = opened(form, lab)
    widgets(at)["new-hidden-fast"].set_value(text)
    submit(at)
    assert not at.exception
    assert lab.players == []
    assert not at.session_state["made"]
    (error,) = at.error
    assert error.value.startswith("hidden must be")


def test_form_says_when_the_stage_is_full(lab: Lab) -> None:
    for seed in range(MAX_RUNS):
        on_stage(lab, IDLE, seed)
    at = submit(opened(form, lab))
    assert not at.exception
    assert not at.session_state["made"]
    assert len(lab.players) == MAX_RUNS
    assert "Remove a run" in lab.notice
