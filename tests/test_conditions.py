from __future__ import annotations

import json
from typing import Any

import pytest

from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.config import PRESETS, SETTINGS, Config
from ddpg_core.recipe import Intervention
from tests.helpers import CAR, SMALL

TWO = (Condition("one", SMALL), Condition("other", SMALL, (Change({"tau": 0.5}, episode=3),)))


def test_condition_takes_a_preset_with_changes_from_json() -> None:
    at = [{"episode": 40, "set": {"replay": "latest", "batch_size": 1}}, {"step": 9, "set": {"tau": 1}}]
    condition = Condition.from_dict({"name": "x", "preset": "textbook", "set": {"hidden": [4, 3]}, "at": at})
    assert condition.config == PRESETS["textbook"].changed({"hidden": (4, 3)})
    assert condition.changes == (
        Change({"replay": "latest", "batch_size": 1}, episode=40),
        Change({"tau": 1.0}, step=9),
    )
    assert Condition.from_dict({"name": "x"}) == Condition("x", PRESETS["fast"])


def test_recipe_of_a_condition_holds_its_changes_at_steps_in_their_order() -> None:
    changes = (Change({"tau": 0.5}, step=90), Change({"gamma": 0.5}, episode=1), Change({"tau": 0.25}, step=40))
    recipe = Condition("x", SMALL, changes).recipe(7)
    assert (recipe.config, recipe.seed) == (SMALL, 7)
    assert recipe.interventions == (Intervention(40, {"tau": 0.25}), Intervention(90, {"tau": 0.5}))
    assert Condition("x", SMALL, changes).changes_at(1) == [changes[1]]
    assert Condition("x", SMALL, changes).changes_at(0) == []


@pytest.mark.parametrize("comparison", [Comparison(TWO, 9, (3, 1), (2,), 5, "T", "n"), *CONDITION_SETS.values()])
def test_comparison_reads_back_from_its_own_json_exactly(comparison: Comparison) -> None:
    assert Comparison.from_json(json.dumps(comparison.to_dict())) == comparison


def test_comparison_written_out_names_every_setting_so_that_presets_may_change_later() -> None:
    saved = Comparison(TWO, 9).to_dict()["conditions"][0]
    assert set(saved["set"]) == set(SETTINGS)
    assert "preset" not in saved


def test_policies_are_evaluated_at_the_end_and_wherever_any_condition_changes() -> None:
    assert Comparison(TWO, 9, evaluate_at=(5, 3)).evaluate_at == (3, 5, 9)
    assert Comparison(TWO[:1], 9).evaluate_at == (9,)
    assert Comparison(TWO, 9).branch_episode == 3
    assert Comparison(TWO[:1], 9).branch_episode is None


def test_a_list_of_conditions_alone_is_a_comparison_and_given_values_replace_its_own() -> None:
    data = [{"name": "one"}, {"name": "other"}]
    assert Comparison.from_dict(data) == Comparison(
        (Condition("one", PRESETS["fast"]), Condition("other", PRESETS["fast"]))
    )
    given = Comparison.from_dict({"conditions": data, "episodes": 5, "starts": 3}, episodes=7, seeds=None)
    assert (given.episodes, given.starts, given.seeds) == (7, 3, tuple(range(8)))


def at(**change: Any) -> dict[str, Any]:
    return {"conditions": [{"name": "x", "at": [change]}]}


BAD = [
    ("not json", "conditions must be JSON, got text that is not"),
    ("[" * 100_000, "conditions must be JSON, got text that is not"),
    (7, "a comparison must be an object, got 7"),
    ({}, "a comparison must hold conditions, got {}"),
    ({"conditions": [], "wings": 2}, "only, got 'wings'"),
    ({"conditions": {}}, "conditions must be a list, got {}"),
    ([], "conditions must be 1 to 100, all different, got 0: []"),
    ([{"name": "a"}, {"name": "a"}], "conditions must be 1 to 100, all different, got 2: ['a', 'a']"),
    ([5], "a condition must be an object, got 5"),
    ([{}], "a condition must hold name, got {}"),
    ([{"name": "a", "presets": "fast"}], "a condition must hold at, name, preset, set only, got 'presets'"),
    ([{"name": 5}], "condition 5: condition name must be at most 60 printable characters, got 5"),
    ([{"name": " "}], "condition ' ': condition name must not be empty"),
    ([{"name": "a\nb"}], "condition name must be at most 60 printable characters"),
    ([{"name": "a" * 61}], "condition name must be at most 60 printable characters"),
    ([{"name": "a", "preset": "slow"}], "condition 'a': preset must be one of fast, textbook, notebook, no_replay, "),
    ([{"name": "a", "preset": []}], "condition 'a': preset must be one of fast, textbook, notebook, no_replay, got []"),
    ([{"name": "a", "set": {"tao": 1}}], "listed by `presets`, got 'tao'; did you mean tau"),
    ([{"name": "a", "set": {"tau": 2}}], "condition 'a': tau must be in [1e-05, 1], got 2"),
    ([{"name": "a", "set": []}], "condition 'a': set must be an object of settings, got []"),
    ([{"name": "a", "set": {"env_id": "os:system"}}], "condition 'a': env_id must be one of"),
    ([{"name": "a", "at": {}}], "condition 'a': at must be a list of changes, got {}"),
    (at(set={"tau": 1}), "condition 'x': a change must name a step or an episode, got (None, None)"),
    (at(step=1, episode=1, set={"tau": 1}), "condition 'x': a change must name a step or an episode, got (1, 1)"),
    (at(step=1), "condition 'x': a change must hold set, got {'step': 1}"),
    (at(step=1, set={}), "condition 'x': intervention changes must be settings with values, got {}"),
    (at(step=-1, set={"tau": 1}), "condition 'x': intervention step must be a whole number in [0, "),
    (at(episode=-1, set={"tau": 1}), "condition 'x': episode of a change must be a whole number in [0, "),
    (at(episode=True, set={"tau": 1}), "condition 'x': episode of a change must be a whole number in [0, "),
    (at(episode=1, set={"hidden": [8]}), "condition 'x': hidden must be set before the run starts"),
    (at(episode=1, set={"tau": 7}), "condition 'x': tau must be in [1e-05, 1], got 7"),
    (at(episode=60, set={"tau": 1}), "condition 'x': changes must come before the end at episode 60"),
    (at(step=12000, set={"tau": 1}), "(at most 12000 steps), got one at step 12000"),
    ({"conditions": [{"name": "a"}], "episodes": 0}, "episodes must be a whole number in [1, 32768], got 0"),
    ({"conditions": [{"name": "a"}], "episodes": "many"}, "episodes must be a whole number in [1, 32768], got 'many'"),
    ({"conditions": [{"name": "a", "set": CAR}], "episodes": 30_000}, "episodes must fit into 16777215 steps"),
    ({"conditions": [{"name": "a"}], "seeds": []}, "seeds must be 1 to 1000, all different, got 0"),
    ({"conditions": [{"name": "a"}], "seeds": [1, 1]}, "seeds must be 1 to 1000, all different, got 2: [1, 1]"),
    ({"conditions": [{"name": "a"}], "seeds": [-1]}, "seed must be a whole number in [0, 4294967295], got -1"),
    ({"conditions": [{"name": "a"}], "seeds": 5}, "seeds must be a list, got 5"),
    ({"conditions": [{"name": "a"}], "evaluate_at": [61]}, "evaluate_at must be a whole number in [0, 60], got 61"),
    ({"conditions": [{"name": "a"}], "starts": 0}, "starts must be a whole number in [1, 1000], got 0"),
    ({"conditions": [{"name": "a"}], "note": 1}, "note must be at most 500 printable characters, got 1"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD, ids=[message[:50] for _, message in BAD])
def test_bad_input_is_refused_in_words(data: Any, message: str) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Comparison.from_json(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


# --- the ready-made sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONDITION_SETS)
def test_every_set_says_what_it_is_and_quotes_the_literature(name: str) -> None:
    comparison = CONDITION_SETS[name]
    assert comparison.title
    assert comparison.note.endswith(".")
    assert len({condition.config for condition in comparison.conditions}) > 1 or comparison.branch_episode


def test_bug_lab_takes_the_notebooks_deviations_one_at_a_time_and_leaves_none_out() -> None:
    baseline, *single, notebook = CONDITION_SETS["bug-lab"].conditions
    assert len(single) == 11
    together: dict[str, Any] = {}
    for condition in single:
        changes = condition.config.difference(baseline.config)
        assert changes
        assert not changes.keys() & together.keys()
        together |= changes
    assert baseline.config == PRESETS["fast"]
    assert notebook.config == PRESETS["notebook"] == baseline.config.changed(together)


def test_forgetting_branches_every_condition_off_the_same_forty_episodes() -> None:
    comparison = CONDITION_SETS["forgetting"]
    kept, *branched = comparison.conditions
    assert not kept.changes
    assert {condition.config for condition in comparison.conditions} == {PRESETS["fast"]}
    assert [condition.changes[0].changes for condition in branched] == [
        {"replay": "latest", "batch_size": 1},
        *({"capacity": window} for window in (8, 32, 128, 200)),
    ]
    assert {condition.changes[0].episode for condition in branched} == {comparison.branch_episode} == {40}
    assert comparison.evaluate_at == (40, 45, 50, 55, 60)


def test_gaussian_noise_of_the_noise_set_has_the_spread_of_the_other() -> None:
    ou, gaussian = (condition.config for condition in CONDITION_SETS["noise"].conditions[:2])
    assert isinstance(ou, Config)
    stationary = ou.ou_sigma / (1 - (1 - ou.ou_theta) ** 2) ** 0.5
    assert gaussian.ou_sigma == pytest.approx(stationary, abs=0.001)
