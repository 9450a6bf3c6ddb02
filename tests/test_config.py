from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import FIELDS, PRESET_NOTES, PRESETS, SETTINGS, Config, format_value, parse_value, setting_of


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Any value that setting `name` allows."""
    setting, default = SETTINGS[name], FIELDS[name].default
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, str):
        return st.sampled_from(sorted(setting.choices))
    if isinstance(default, tuple):
        return st.lists(st.integers(1, 512), min_size=1, max_size=4).map(tuple)
    if isinstance(default, int):
        return st.integers(int(setting.low), int(setting.high))
    return st.floats(setting.low, setting.high, exclude_min=setting.low_open)


configs = st.fixed_dictionaries({}, optional={name: values_of(name) for name in SETTINGS}).map(
    lambda chosen: Config(**chosen)
)
NUMBERS = [name for name, field in FIELDS.items() if type(field.default) in (int, float)]


def test_defaults_are_the_textbook_preset() -> None:
    assert PRESETS["textbook"] == Config()
    assert PRESET_NOTES.keys() == PRESETS.keys()


def test_fast_preset_is_the_one_of_the_design() -> None:
    fast = PRESETS["fast"]
    assert (fast.hidden, fast.batch_size) == ((64, 64), 128)
    assert (fast.actor_lr, fast.critic_lr, fast.tau, fast.gamma) == (1e-3, 1e-3, 1e-2, 0.99)
    assert (fast.noise, fast.noise_scale, fast.noise_decay, fast.noise_range) == ("ou", 1.0, 0.99, "half")
    assert PRESETS["no_replay"].difference(fast) == {"replay": "latest", "batch_size": 1}


@given(st.sampled_from(sorted(SETTINGS)).flatmap(lambda name: st.tuples(st.just(name), values_of(name))))
def test_every_allowed_value_survives_its_own_text(choice: tuple[str, Any]) -> None:
    name, value = choice
    again = parse_value(name, format_value(value))
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_explained(name: str) -> None:
    setting = setting_of(name)
    assert setting.group
    assert setting.label
    assert setting.help.endswith(".")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, "0.5", None, math.nan, math.inf, -math.inf, 10**400, -(10**400), [1], 1j])
def test_number_settings_refuse_what_is_no_finite_number_in_bounds(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be ") as caught:
        Config(**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_are_inclusive_unless_open_and_tight(name: str) -> None:
    setting = SETTINGS[name]
    assert getattr(Config(**{name: setting.high}), name) == setting.high
    above = setting.high + 1 if isinstance(FIELDS[name].default, int) else math.nextafter(setting.high, math.inf)
    below = setting.low - 1 if isinstance(FIELDS[name].default, int) else math.nextafter(setting.low, -math.inf)
    refused = [above, setting.low if setting.low_open else below]
    if not setting.low_open:
        assert getattr(Config(**{name: setting.low}), name) == setting.low
    for value in refused:
        with pytest.raises(ValueError, match=f"^{name} must be "):
            Config(**{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau": 1.5}, "tau must be in [1e-05, 1], got 1.5"),
        ({"tau": True}, "tau must be a number, got True"),
        ({"tau": "0.1"}, "tau must be a number, got '0.1'"),
        ({"ou_theta": 0.0}, "ou_theta must be in (0, 2], got 0.0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number in [1, 4096], got 2.5"),
        ({"batch_size": 0}, "batch_size must be a whole number in [1, 4096], got 0"),
        ({"noise_reset": 1}, "noise_reset must be true or false, got 1"),
        ({"noise_reset": "true"}, "noise_reset must be true or false, got 'true'"),
        ({"replay": "newest"}, "replay must be one of uniform, latest, got 'newest'"),
        ({"replay": 3}, "replay must be one of uniform, latest, got 3"),
        ({"replay": ["latest"]}, "replay must be one of uniform, latest, got ['latest']"),
        ({"hidden": ()}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got ()"),
        ({"hidden": (8, 0)}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got (8, 0)"),
        ({"hidden": (8, True)}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got (8, True)"),
        ({"hidden": [8.0]}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got [8.0]"),
        ({"hidden": (8,) * 5}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got (8, 8, 8, 8, 8)"),
        ({"hidden": "64"}, "hidden must be 1 to 4 layers of 1 to 512 units, like 64-64, got '64'"),
        ({"taus": 1}, "setting must be one of those listed by `presets`, got 'taus'; did you mean tau?"),
        ({7: 1}, "setting must be one of those listed by `presets`, got '7'"),
    ],
)
def test_message_names_setting_expectation_and_actual_value(changes: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Config().changed(changes)
    assert str(caught.value) == message


HUGE = {"int": 10**5000, "text": "x" * 10_000, "list": ["x" * 10_000], "object": {"a": [0] * 5000}}


@pytest.mark.parametrize("value", HUGE.values(), ids=HUGE.keys())
@pytest.mark.parametrize("name", ["tau", "batch_size", "replay", "noise_reset", "hidden"])
def test_message_stays_short_for_huge_values(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be ") as caught:
        Config(**{name: value})
    assert len(str(caught.value)) < 300


def test_values_take_the_type_of_their_default() -> None:
    config = Config(batch_size=64.0, tau=1, hidden=[4, 5])  # type: ignore[arg-type]
    assert (config.batch_size, config.tau, config.hidden) == (64, 1.0, (4, 5))
    assert [type(value) for value in (config.batch_size, config.tau, config.hidden)] == [int, float, tuple]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tau", "fast", "tau must be a number, got 'fast'"),
        ("batch_size", "1.5", "batch_size must be a whole number, got '1.5'"),
        ("hidden", "64--64", "hidden must be layers like 64-64, got '64--64'"),
        ("hidden", "", "hidden must be layers like 64-64, got ''"),
        ("noise_reset", "1", "noise_reset must be true or false, got '1'"),
        ("zzz", "1", "setting must be one of those listed by `presets`, got 'zzz'"),
    ],
)
def test_text_of_the_wrong_kind_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_value(name, text)
    assert str(caught.value) == message


@given(configs, configs)
def test_difference_is_what_turns_the_other_config_into_this_one(one: Config, other: Config) -> None:
    assert other.changed(one.difference(other)) == one
    assert one.difference(one) == {}
