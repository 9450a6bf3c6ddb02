from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import PRESETS, SETTINGS, Config
from ddpg_core.recipe import MAX_INTERVENTIONS, MAX_STEP, Intervention, Recipe, preset_of
from tests.test_config import configs, values_of

LIVE = [name for name, setting in SETTINGS.items() if setting.live]
changes = st.fixed_dictionaries({}, optional={name: values_of(name) for name in LIVE}).filter(bool)
interventions = st.builds(Intervention, st.integers(0, MAX_STEP), changes)
recipes = st.builds(
    Recipe,
    configs,
    st.integers(0, 2**32 - 1),
    st.lists(interventions, max_size=4).map(lambda items: tuple(sorted(items, key=lambda item: item.step))),
)


def document(**parts: Any) -> str:
    """The JSON of a recipe with one intervention, some parts replaced or (value `...`) left out."""
    data = Recipe(Config(), 3, (Intervention(5, {"tau": 0.5}),)).to_dict() | parts
    return json.dumps({name: value for name, value in data.items() if value is not ...})


def with_config(**settings: Any) -> str:
    """The JSON of a recipe with some settings replaced or (value `...`) left out."""
    config = {**json.loads(document())["config"], **settings}
    return document(config={name: value for name, value in config.items() if value is not ...})


@given(recipes)
def test_json_reads_back_the_very_same_recipe(recipe: Recipe) -> None:
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.to_json() == recipe.to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "recipe must be JSON"),
        ("{", "recipe must be JSON"),
        ("[" * 100_000, "recipe must be JSON"),
        ("[]", "recipe must be an object, got []"),
        ("null", "recipe must be an object, got None"),
        (document(extra=1), "recipe must hold known names only, got 'extra'"),
        (document(seed=...), "recipe must hold seed, got none"),
        (document(version=2), "recipe version must be 1, got 2"),
        (document(seed=True), "seed must be a whole number in [0, 4294967295], got True"),
        (document(seed=-1), "seed must be a whole number in [0, 4294967295], got -1"),
        (document(seed=2**32), "seed must be a whole number in [0, 4294967295], got 4294967296"),
        (document(seed=1.0), "seed must be a whole number in [0, 4294967295], got 1.0"),
        (document(seed="0"), "seed must be a whole number in [0, 4294967295], got '0'"),
        (document(config=[]), "config must be an object, got []"),
        (with_config(nope=1), "config must hold known names only, got 'nope'"),
        (with_config(tau=...), "config must hold tau, got none"),
        (with_config(tau=float("nan")), "tau must be in [1e-05, 1], got nan"),
        (with_config(tau=float("inf")), "tau must be in [1e-05, 1], got inf"),
        (with_config(tau=True), "tau must be a number, got True"),
        (with_config(tau="1"), "tau must be a number, got '1'"),
        (with_config(env_id="os:system"), "env_id must be one of Pendulum-v1, MountainCarContinuous-v0"),
        (document(interventions={}), "interventions must be a list, got {}"),
        (document(interventions=[7]), "intervention must be an object, got 7"),
        (document(interventions=[{"step": 1}]), "intervention must hold changes, got none"),
        (
            document(interventions=[{"step": 1, "changes": {"tau": 0.1}, "x": 1}]),
            "intervention must hold known names only",
        ),
        (
            document(interventions=[{"step": 2, "changes": {"tau": 0.1}}, {"step": 1, "changes": {"tau": 0.1}}]),
            "interventions must be in the order of their steps, got steps [2, 1]",
        ),
    ],
)
def test_foreign_json_is_refused_with_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Recipe.from_json(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400, "1" + "0" * 5000, "NaN", "Infinity"])
@pytest.mark.parametrize("place", ['"seed": 3', '"tau": 0.01', '"step": 5', '"tau": 0.5', '"capacity": 100000'])
def test_overflowing_numbers_are_refused_wherever_they_stand(place: str, number: str) -> None:
    text = document().replace(place, f"{place.split(':')[0]}: {number}")
    assert text != document()
    with pytest.raises(ValueError, match=r"must be") as caught:
        Recipe.from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if not setting.live])
def test_structural_settings_are_refused_in_interventions(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be set before the run starts, got a change at step 9$"):
        Intervention(9, {name: getattr(Config(), name)})


@pytest.mark.parametrize(
    ("step", "change", "message"),
    [
        (-1, {"tau": 0.1}, "intervention step must be a whole number"),
        (MAX_STEP + 1, {"tau": 0.1}, "intervention step must be a whole number"),
        (True, {"tau": 0.1}, "intervention step must be a whole number"),
        (1.0, {"tau": 0.1}, "intervention step must be a whole number"),
        (1, {}, "intervention changes must be settings with values, got {}"),
        (1, [("tau", 0.1)], "intervention changes must be settings with values"),
        (1, {"tau": 2}, "tau must be in"),
        (1, {"tao": 0.1}, "setting must be one of those"),
    ],
)
def test_impossible_interventions_are_refused(step: Any, change: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Intervention(step, change)
    assert str(caught.value).startswith(message)


def test_too_many_interventions_are_refused() -> None:
    one = Intervention(0, {"tau": 0.1})
    with pytest.raises(ValueError, match=f"interventions must be at most {MAX_INTERVENTIONS}"):
        Recipe(Config(), 0, (one,) * (MAX_INTERVENTIONS + 1))


def test_intervention_keeps_its_own_values_in_their_settings_types() -> None:
    given_changes = {"capacity": 2000.0, "tau": 1}
    intervention = Intervention(3, given_changes)
    given_changes["tau"] = 0.5
    assert intervention.changes == {"capacity": 2000, "tau": 1.0}
    assert [type(value) for value in intervention.changes.values()] == [int, float]


def test_interventions_of_one_step_apply_in_the_order_they_were_made() -> None:
    recipe = Recipe(Config())
    for step, tau in ((8, 0.2), (3, 0.3), (8, 0.4), (5, 0.5)):
        recipe = recipe.with_intervention(Intervention(step, {"tau": tau}))
    assert [(item.step, item.changes["tau"]) for item in recipe.interventions] == [
        (3, 0.3),
        (5, 0.5),
        (8, 0.2),
        (8, 0.4),
    ]
    assert [recipe.config_at(step).tau for step in (-1, 2, 3, 7, 8, 99)] == [0.01, 0.01, 0.3, 0.5, 0.4, 0.4]
    assert [item.step for item in recipe.until(8).interventions] == [3, 5]


@pytest.mark.parametrize("name", PRESETS)
def test_nearest_preset_of_a_preset_is_itself(name: str) -> None:
    assert preset_of(PRESETS[name]) == (name, {})
    assert preset_of(PRESETS[name].changed({"tau": 0.5})) == (name, {"tau": 0.5})
