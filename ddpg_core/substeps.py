r"""The five sub-steps of an update as a lesson: a sentence, the formula, its numbers for one transition, and the code.

Formulas are LaTeX. Symbols: s, a, r, s′, d one transition (d = 1: terminal); Q, μ critic and actor, Q′, μ′ their
targets; θ any network's weights, w its kernels; y target, δ TD error, γ discount, λ weight penalty, α learning rate,
τ target rate, B batch size.
"""

from __future__ import annotations

import importlib
import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.microscope import TargetStep, UpdateView


@dataclass(frozen=True)
class Substep:
    """One sub-step of an update.

    Attributes:
        name: `sample`, `targets`, `critic`, `actor` or `polyak`.
        sentence: What it does, in plain words.
        formula: LaTeX, with symbols.
        numbers: LaTeX of the formula with the numbers of a view's transition `row` (its place in the batch).
        module, qualname: Where the function is that computes it.
    """

    name: str
    sentence: str
    formula: str
    numbers: Callable[[UpdateView, int], str]
    module: str
    qualname: str

    def function(self) -> Callable[..., Any]:
        """The function itself; importing the reference engine loads torch."""
        return attrgetter(self.qualname)(importlib.import_module(self.module))

    def source(self) -> tuple[str, int]:
        """The function's source text and the number of its first line in the module's file."""
        lines, first = inspect.getsourcelines(self.function())
        return textwrap.dedent("".join(lines)), first


def number(value: float) -> str:
    """A number in LaTeX with four significant digits, powers of ten written out."""
    if not math.isfinite(value):
        return r"\text{NaN}" if math.isnan(value) else r"\infty" if value > 0 else r"-\infty"
    mantissa, _, exponent = f"{value + 0.0:.4g}".partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


def _factor(value: float) -> str:
    """A number after an operator: in parentheses if it brings a sign of its own."""
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def _vector(values: Array) -> str:
    """A vector's numbers in parentheses; the bare number if it has only one, or is one."""
    numbers = [number(value) for value in np.atleast_1d(values).tolist()]
    return numbers[0] if len(numbers) == 1 else "(" + r",\ ".join(numbers) + ")"


def _move(before: Array, after: Array) -> str:
    """A vector before and after, and by how much it changed: that is often less than four digits show."""
    return rf"{_vector(before)} \to {_vector(after)} \quad (\Delta = {_vector(after.astype(float) - before)})"


def _lines(*equations: str) -> str:
    """Equations one below the other, aligned where each says `&`."""
    return r"\begin{aligned} " + r" \\ ".join(equations) + r" \end{aligned}"


def _sample(view: UpdateView, row: int) -> str:
    return _lines(
        rf"s &= {_vector(view.obs[row])}",
        rf"a &= {_vector(view.action[row])}",
        rf"r &= {number(view.reward[row])}",
        rf"s' &= {_vector(view.next_obs[row])}",
        rf"d &= {number(view.terminal[row])}",
    )


def _targets(view: UpdateView, row: int) -> str:
    reward, terminal, next_q = view.reward[row], view.terminal[row], view.next_q[row]
    bootstrap = rf"{number(view.settings.gamma)} \cdot (1 - {number(terminal)}) \cdot {_factor(next_q)}"
    return _lines(
        rf"a' &= \mu'(s') = {_vector(view.next_action[row])}",
        rf"Q'(s', a') &= {number(next_q)}",
        rf"y &= {number(reward)} + {bootstrap} = {number(view.target[row])}",
    )


def _critic(view: UpdateView, row: int) -> str:
    td_error = rf"{number(view.target[row])} - {_factor(view.q[row])} = {number(view.td_error[row])}"
    fit = view.critic_loss - view.critic_penalty
    return _lines(
        rf"\delta &= {td_error}",
        rf"L &= {number(fit)} + {number(view.critic_penalty)} = {number(view.critic_loss)}",
        rf"Q(s, a) &: {_move(view.q[row], view.q_after[row])}",
    )


def _actor(view: UpdateView, row: int) -> str:
    fit = view.actor_loss - view.actor_penalty
    return _lines(
        rf"\frac{{\partial Q}}{{\partial a}} &= {_vector(view.action_gradient[row])}",
        rf"L &= {number(fit)} + {number(view.actor_penalty)} = {number(view.actor_loss)}",
        rf"\mu(s) &: {_move(view.policy_action[row], view.policy_action_after[row])}",
        rf"Q(s, \mu(s)) &: {_move(view.policy_q[row], view.policy_q_after[row])}",
    )


def _polyak(view: UpdateView, row: int) -> str:
    """The same for every row: of each network the weight whose target is furthest behind."""
    tau = number(view.settings.tau)

    def moved(step: TargetStep) -> str:
        old = rf"(1 - {tau}) \cdot {_factor(step.target_before)}"
        return rf"{tau} \cdot {_factor(step.online)} + {old} = {number(step.target_after)}"

    return _lines(
        rf"\theta'_Q &= {moved(view.critic_target)}",
        rf"\theta'_\mu &= {moved(view.actor_target)}",
    )


_ENGINE: Final = "ddpg_core.learner.torch_engine"
_PENALTY: Final = r"\frac{\lambda}{2} \sum w^2"

SUBSTEPS: Final = (
    Substep(
        "sample",
        "Draw a batch of B transitions from the replay window.",
        r"(s_i, a_i, r_i, s'_i, d_i) \in \mathcal{D}, \quad i = 1, \dots, B",
        _sample,
        "ddpg_core.replay",
        "sample_rows",
    ),
    Substep(
        "targets",
        "For each transition, add to the reward the discounted value that the target networks see in the next state.",
        r"y = r + \gamma \cdot (1 - d) \cdot Q'(s', \mu'(s'))",
        _targets,
        _ENGINE,
        "TorchEngine.targets",
    ),
    Substep(
        "critic",
        "Change the critic's weights a little, so that its values come closer to the targets.",
        rf"\delta = y - Q(s, a), \quad L = \frac{{1}}{{B}} \sum_{{i=1}}^{{B}} \delta_i^2 + {_PENALTY}, \quad "
        r"\theta_Q \leftarrow \operatorname{Adam}(\theta_Q, \nabla L, \alpha_Q)",
        _critic,
        _ENGINE,
        "TorchEngine.critic_step",
    ),
    Substep(
        "actor",
        "Change the actor's weights a little, so that its actions move to where the critic says the value rises.",
        rf"L = -\frac{{1}}{{B}} \sum_{{i=1}}^{{B}} Q(s_i, \mu(s_i)) + {_PENALTY}, \quad "
        r"\theta_\mu \leftarrow \operatorname{Adam}(\theta_\mu, \nabla L, \alpha_\mu)",
        _actor,
        _ENGINE,
        "TorchEngine.actor_step",
    ),
    Substep(
        "polyak",
        "Let both target networks follow the new weights by a small share, so that the targets move slowly.",
        r"\theta' \leftarrow \tau \theta + (1 - \tau) \theta'",
        _polyak,
        _ENGINE,
        "TorchEngine.polyak_step",
    ),
)
"""In the order in which `TorchEngine.update` makes them."""
