from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ddpg_core.learner.torch_engine import TorchEngine
from ddpg_core.microscope import TargetStep, UpdateView, look
from ddpg_core.replay import sample_rows
from ddpg_core.substeps import SUBSTEPS, number
from tests.helpers import CAR, SMALL, trained

STEP = {substep.name: substep for substep in SUBSTEPS}


def view_with(**changes: Any) -> UpdateView:
    """A view of a real update in which row 1 holds these numbers; scalars and settings are replaced as they are."""
    view = look(trained(40))
    fields: dict[str, Any] = {}
    for name, value in changes.items():
        old = getattr(view, name)
        if isinstance(old, np.ndarray):
            value = np.stack([np.zeros_like(np.float32(value)), np.float32(value)])
        fields[name] = value
    return dataclasses.replace(view, **fields)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (-0.123456, "-0.1235"),
        (-0.0, "0"),
        (99996.0, r"1 \times 10^{5}"),
        (123456.0, r"1.235 \times 10^{5}"),
        (-0.000012344, r"-1.234 \times 10^{-5}"),
        (float("nan"), r"\text{NaN}"),
        (float("inf"), r"\infty"),
        (-float("inf"), r"-\infty"),
    ],
)
def test_numbers_have_four_digits_and_written_out_powers(value: float, text: str) -> None:
    assert number(value) == text


def test_substeps_name_the_functions_that_an_update_calls_in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(40, SMALL.changed({"engine": "torch"}))
    called = []

    def noted(name: str) -> None:
        function = getattr(TorchEngine, name)

        def wrapper(*args: Any) -> Any:
            called.append(f"TorchEngine.{name}")
            return function(*args)

        monkeypatch.setattr(TorchEngine, name, wrapper)

    names = [substep.qualname for substep in SUBSTEPS]
    assert list(STEP) == ["sample", "targets", "critic", "actor", "polyak"]
    for name in names[1:]:
        noted(name.removeprefix("TorchEngine."))
    run.step()
    assert called == names[1:]


@pytest.mark.parametrize("name", STEP)
def test_code_of_a_substep_can_be_found_and_shown(name: str) -> None:
    source, line = STEP[name].source()
    function = STEP[name].function()
    assert function.__module__ == STEP[name].module
    assert function.__qualname__ == STEP[name].qualname
    definition = next(text for text in source.splitlines() if not text.startswith("@"))
    assert definition.startswith(f"def {STEP[name].qualname.split('.')[-1]}(")
    path = function.__code__.co_filename if name == "sample" else TorchEngine.update.__code__.co_filename
    with open(path, encoding="utf-8") as file:
        assert file.read().splitlines()[line - 1].strip() == source.splitlines()[0]


def test_first_substep_is_the_one_sampling_function() -> None:
    assert STEP["sample"].function() is sample_rows


def test_targets_put_in_the_numbers_of_the_row() -> None:
    view = view_with(next_action=[0.5], next_q=-12.3456, reward=-1.5, terminal=0, target=-13.722144)
    assert STEP["targets"].numbers(view, 1) == (
        r"\begin{aligned} a' &= \mu'(s') = 0.5 \\ Q'(s', a') &= -12.35 \\ "
        r"y &= -1.5 + 0.99 \cdot (1 - 0) \cdot (-12.35) = -13.72 \end{aligned}"
    )


def test_critic_puts_in_the_numbers_of_the_row() -> None:
    view = view_with(target=-13.722144, q=-12, td_error=-1.722144, q_after=-12.5, critic_loss=3.25, critic_penalty=0.25)
    assert STEP["critic"].numbers(view, 1) == (
        r"\begin{aligned} \delta &= -13.72 - (-12) = -1.722 \\ L &= 3 + 0.25 = 3.25 \\ "
        r"Q(s, a) &: -12 \to -12.5 \quad (\Delta = -0.5) \end{aligned}"
    )


def test_actor_puts_in_the_numbers_of_a_row_with_two_actions() -> None:
    view = view_with(
        action_gradient=[0.5, -2],
        policy_action=[1, -1],
        policy_action_after=[1.25, -1.5],
        policy_q=-8,
        policy_q_after=-7.75,
        actor_loss=8.5,
        actor_penalty=0.5,
    )
    assert STEP["actor"].numbers(view, 1) == (
        r"\begin{aligned} \frac{\partial Q}{\partial a} &= (0.5,\ -2) \\ L &= 8 + 0.5 = 8.5 \\ "
        r"\mu(s) &: (1,\ -1) \to (1.25,\ -1.5) \quad (\Delta = (0.25,\ -0.5)) \\ "
        r"Q(s, \mu(s)) &: -8 \to -7.75 \quad (\Delta = 0.25) \end{aligned}"
    )


def test_polyak_puts_in_one_weight_of_each_network() -> None:
    critic, actor = TargetStep(0.1, 0.09, 2.0, -1.0, -0.97), TargetStep(0.1, 0.09, -0.5, 0.5, 0.49)
    view = view_with(critic_target=critic, actor_target=actor)
    assert STEP["polyak"].numbers(view, 0) == (
        r"\begin{aligned} \theta'_Q &= 0.01 \cdot 2 + (1 - 0.01) \cdot (-1) = -0.97 \\ "
        r"\theta'_\mu &= 0.01 \cdot (-0.5) + (1 - 0.01) \cdot 0.5 = 0.49 \end{aligned}"
    )


def test_sample_puts_in_the_transition() -> None:
    view = view_with(obs=[1, 0, -0.5], action=[2], reward=-3.25, next_obs=[0, 1, 0.5], terminal=1)
    assert STEP["sample"].numbers(view, 1) == (
        r"\begin{aligned} s &= (1,\ 0,\ -0.5) \\ a &= 2 \\ r &= -3.25 \\ s' &= (0,\ 1,\ 0.5) \\ d &= 1 \end{aligned}"
    )


@pytest.mark.parametrize("name", STEP)
def test_formulas_of_real_updates_are_plain_latex(name: str) -> None:
    for view in (look(trained(40)), look(trained(40, SMALL.changed(CAR)))):
        for text in (STEP[name].formula, *(STEP[name].numbers(view, row) for row in range(16))):
            assert text.isascii()
            assert text.count("{") == text.count("}")
            assert "nan" not in text.lower()
    assert STEP[name].sentence.endswith(".")
