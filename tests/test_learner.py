from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from ddpg_core.config import PRESETS, Config
from ddpg_core.learner import STATISTICS, Batch, LearnerState, make_engine
from ddpg_core.learner.torch_engine import TorchEngine
from ddpg_core.networks import MLP
from tests.helpers import Run, started
from tests.test_networks import as_modules

# A network small enough for pencil and paper. Actor 1-2-1: out = 0.5·relu(s) + relu(−s + 0.5); critic 2-2-1:
# Q = 2·relu(s) + 3·relu(a) + 0.1. The target actor always outputs tanh(0.5); the target critic is Q′ = s + 2a.
ACTOR = [1, -1, 0, 0.5, 0.5, 1, 0]
CRITIC = [1, 0, 0, 1, 0, 0, 2, 3, 0.1]
ACTOR_TARGET = [1, 1, 0, 0, 0, 0, 0.5]
CRITIC_TARGET = [1, 0, 0, 1, 0, 0, 1, 2, 0]
SETTINGS = Config(gamma=0.9, tau=0.25, l2=0.1)
SCALE = np.array([2], np.float32)
BATCH = Batch(*(np.array(part, np.float32) for part in ([[1], [2]], [[0.5], [1]], [1, -1], [[2], [1]], [0, 1])))

# Scaled: y₁ = 1 + 0.9·(2 + 2·2·tanh 0.5), unscaled: y₁ = 1 + 0.9·(2 + 2·tanh 0.5); the second is terminal: y₂ = −1.
Y1 = {True: 4.463621766, False: 3.631810883}
# Q(s, a) = 3.6 and 7.1. With dᵢ = ∂/∂Qᵢ = Qᵢ − yᵢ and λ·w on the kernels only, in CRITIC's order:
# kernel 2×2, its biases, the last kernel, its bias; with target actions scaled, then unscaled.
CRITIC_GRAD = {
    True: [30.772756, 15.336378, 46.009135, 23.104567, 14.472756, 21.709135, 15.536378, 7.9681891, 7.2363782],
    False: [32.436378, 16.168189, 48.504567, 24.352284, 16.136378, 24.204567, 16.368189, 8.3840946, 8.0681891],
}
CRITIC_LR, ACTOR_LR = 0.01, 0.02
# All gradients are positive, so Adam's first step is −lr for every weight; the actor climbs this updated critic.
CRITIC_AFTER = [0.99, -0.01, -0.01, 0.99, -0.01, -0.01, 1.99, 2.99, 0.09]
# dQ/da = −0.01·1.99 + 0.99·2.99 = 2.9402; the second hidden unit is off in both states, so only λ·w reaches its
# kernel and nothing its bias.
ACTOR_GRAD = [-2.29096537, -0.1, -1.77356109, 0, -4.73193074, 0.1, -3.54712218]
ACTOR_AFTER = [1.02, -0.98, 0.02, 0.5, 0.52, 0.98, 0.02]


def pencil_and_paper() -> LearnerState:
    """The learner with the weights above."""
    state = LearnerState(MLP((1, 2, 1), squash=True), MLP((2, 2, 1), squash=False))
    state.actor[:], state.critic[:] = ACTOR, CRITIC
    state.actor_target[:], state.critic_target[:] = ACTOR_TARGET, CRITIC_TARGET
    return state


def update(state: LearnerState, batch: Batch = BATCH, **changes: Any) -> dict[str, float]:
    """One update of `state`; its statistics by name."""
    statistics = make_engine("torch", state).update(batch, SETTINGS.changed(changes), ACTOR_LR, CRITIC_LR, SCALE)
    assert statistics.dtype == np.float64
    return dict(zip(STATISTICS, statistics.tolist(), strict=True))


@pytest.mark.parametrize("scaled", [True, False])
def test_first_update_equals_the_one_computed_by_hand(scaled: bool) -> None:
    state = pencil_and_paper()
    statistics = update(state, target_action_scaled=scaled)
    np.testing.assert_allclose(state.critic, CRITIC_AFTER, atol=1e-6)
    np.testing.assert_allclose(state.actor, ACTOR_AFTER, atol=1e-6)
    for target, before, after in (
        (state.actor_target, ACTOR_TARGET, ACTOR_AFTER),
        (state.critic_target, CRITIC_TARGET, CRITIC_AFTER),
    ):
        np.testing.assert_allclose(target, 0.25 * np.array(after) + 0.75 * np.array(before), atol=1e-6)
    grad = np.array(ACTOR_GRAD + CRITIC_GRAD[scaled])
    np.testing.assert_allclose(state.moment1, 0.1 * grad, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(state.moment2, 0.001 * grad**2, rtol=1e-5, atol=1e-7)
    td_errors = np.array([Y1[scaled] - 3.6, -8.1])
    assert statistics == pytest.approx(
        {
            "critic_loss": (td_errors**2).mean() + 0.1 * 0.5 * (1 + 1 + 4 + 9),
            "actor_loss": -(4.697833732 + 8.399078275) / 2 + 0.1 * 0.5 * (1 + 1 + 0.25 + 1),
            "q_mean": (3.6 + 7.1) / 2,
            "target_mean": (Y1[scaled] - 1) / 2,
            "td_error_abs": np.abs(td_errors).mean(),
            "critic_grad_norm": np.linalg.norm(CRITIC_GRAD[scaled]),
            "actor_grad_norm": np.linalg.norm(ACTOR_GRAD),
            "saturation": 0.0,
        },
        rel=1e-5,
    )
    assert state.updates == 1


def test_second_adam_step_follows_kingma_and_ba() -> None:
    state = pencil_and_paper()
    update(state)
    before, moment1, moment2 = state.critic.copy(), state.moment1[7:].copy(), state.moment2[7:].copy()
    update(state)
    grad = (state.moment1[7:] - 0.9 * moment1) / 0.1
    np.testing.assert_allclose(state.moment2[7:], 0.999 * moment2 + 0.001 * grad**2, rtol=1e-4)
    step = CRITIC_LR * (state.moment1[7:] / (1 - 0.9**2)) / (np.sqrt(state.moment2[7:] / (1 - 0.999**2)) + 1e-8)
    np.testing.assert_allclose(state.critic, before - step, atol=1e-6)


@pytest.mark.parametrize("substep", ["targets", "critic", "actor", "polyak", "statistics"])
def test_substep_changes_only_what_it_is_named_after(substep: str) -> None:
    state = pencil_and_paper()
    engine, critic = TorchEngine(state), slice(len(ACTOR), None)
    transitions, scale = engine.begin(BATCH, SCALE)
    parts = {"critic": state.critic, "actor": state.actor, "targets": state.target}
    moments = {"critic": state.moment2[critic], "actor": state.moment2[: critic.start]}
    before = {name: part.copy() for name, part in parts.items()}
    targets = engine.targets(transitions, scale, SETTINGS)
    changed: set[str] = set()
    if substep in ("critic", "statistics"):
        critic_step = engine.critic_step(transitions, targets.y, CRITIC_LR, SETTINGS.l2)
        changed |= {"critic"}
    if substep in ("actor", "statistics"):
        actor_step = engine.actor_step(transitions, scale, ACTOR_LR, SETTINGS.l2)
        changed |= {"actor"}
    if substep == "polyak":
        engine.polyak_step(SETTINGS.tau)
        changed |= {"targets"}
    if substep == "statistics":
        engine.statistics(targets, critic_step, actor_step)
    assert {name for name, part in parts.items() if not np.array_equal(part, before[name])} == changed
    assert {name for name, part in moments.items() if part.any()} == changed - {"targets"}
    assert state.updates == 1


def test_substeps_show_their_hand_computed_numbers() -> None:
    state = pencil_and_paper()
    engine = TorchEngine(state)
    transitions, scale = engine.begin(BATCH, SCALE)
    targets = engine.targets(transitions, scale, SETTINGS)
    np.testing.assert_allclose(targets.next_action, np.full((1, 2), 2 * np.tanh(0.5)), rtol=1e-6)
    np.testing.assert_allclose(targets.next_q, [2 + 4 * np.tanh(0.5), 1 + 4 * np.tanh(0.5)], rtol=1e-6)
    np.testing.assert_allclose(targets.y, [Y1[True], -1], rtol=1e-6)
    critic = engine.critic_step(transitions, targets.y, CRITIC_LR, SETTINGS.l2)
    np.testing.assert_allclose(critic.q.detach(), [3.6, 7.1], rtol=1e-6)
    np.testing.assert_allclose(critic.td_error.detach(), [Y1[True] - 3.6, -8.1], rtol=1e-6)
    np.testing.assert_allclose(critic.objective.grad, CRITIC_GRAD[True], rtol=1e-5)
    assert critic.objective.penalty.item() == pytest.approx(0.1 * 0.5 * (1 + 1 + 4 + 9))
    actor = engine.actor_step(transitions, scale, ACTOR_LR, SETTINGS.l2)
    np.testing.assert_allclose(actor.policy.q.detach(), [4.697833732, 8.399078275], rtol=1e-6)
    np.testing.assert_allclose(actor.policy.action.detach(), 2 * np.tanh([[0.5, 1]]), rtol=1e-6)
    np.testing.assert_allclose(actor.objective.grad, ACTOR_GRAD, rtol=1e-5, atol=1e-7)
    assert actor.objective.penalty.item() == pytest.approx(0.1 * 0.5 * (1 + 1 + 0.25 + 1))


def test_terminal_transition_does_not_bootstrap() -> None:
    both_terminal = BATCH._replace(terminal=np.ones(2, np.float32))
    assert update(pencil_and_paper(), both_terminal)["target_mean"] == 0
    none_terminal = BATCH._replace(terminal=np.zeros(2, np.float32))
    second = -1 + 0.9 * (1 + 2 * 2 * np.tanh(0.5))
    assert update(pencil_and_paper(), none_terminal)["target_mean"] == pytest.approx((Y1[True] + second) / 2)


def test_weight_penalty_leaves_biases_alone() -> None:
    silent = BATCH._replace(obs=-np.ones((2, 1), np.float32), action=-np.ones((2, 1), np.float32))
    silent = silent._replace(reward=np.full(2, 0.1, np.float32), terminal=np.ones(2, np.float32))
    state = pencil_and_paper()
    statistics = update(state, silent, l2=1.0)  # every unit is off and Q = y = 0.1: only the penalty is left
    assert statistics["critic_loss"] == pytest.approx(7.5)
    np.testing.assert_allclose(state.moment1[7:], 0.1 * np.array([1, 0, 0, 1, 0, 0, 2, 3, 0]), atol=1e-7)


def test_saturation_is_the_share_of_actions_at_their_limits() -> None:
    far = BATCH._replace(obs=np.array([[1], [7]], np.float32))
    assert update(pencil_and_paper(), far)["saturation"] == 0.5


def test_target_rate_of_one_copies_and_a_tiny_one_hardly_moves() -> None:
    state = pencil_and_paper()
    update(state, tau=1.0)
    np.testing.assert_array_equal(state.target, state.online)
    state = pencil_and_paper()
    before = state.target.copy()
    update(state, tau=1e-5)
    assert 0 < np.abs(state.target - before).max() < 1e-4


@pytest.mark.parametrize(("target_init", "same"), [("copy", True), ("random", False)])
def test_targets_start_as_copies_or_as_their_own_random_weights(target_init: str, same: bool) -> None:
    learner = started(Config(hidden=(8,), target_init=target_init)).learner
    assert np.array_equal(learner.target, learner.online) == same
    assert np.array_equal(learner.online, started(Config(hidden=(8,))).learner.online)
    for net, weights in (
        (learner.actor_net, learner.actor_target),
        (learner.critic_net, learner.critic_target),
    ):
        (kernel, bias), _ = net.layers(weights)
        assert 0 < np.abs(kernel).max() <= np.sqrt(6 / sum(net.sizes[:2]))
        assert not bias.any()


class Oracle:
    """DDPG written a second time, from PyTorch's own layers, optimiser and autograd, for the engines to be held to."""

    def __init__(self, state: LearnerState, config: Config, action_scale: float) -> None:
        self.config, self.scale = config, action_scale
        self.actor, self.actor_target = (as_modules(state.actor_net, x) for x in (state.actor, state.actor_target))
        self.critic, self.critic_target = (as_modules(state.critic_net, x) for x in (state.critic, state.critic_target))
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), foreach=False)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), foreach=False)

    def update(self, batch: Batch, actor_lr: float, critic_lr: float) -> list[float]:
        obs, action, reward, next_obs, terminal = (torch.from_numpy(np.ascontiguousarray(part)) for part in batch)
        with torch.no_grad():
            next_action = self.actor_target(next_obs) * (self.scale if self.config.target_action_scaled else 1)
            next_q = self.critic_target(torch.cat([next_obs, next_action], 1))
            y = torch.where(terminal[:, None] > 0, reward[:, None], reward[:, None] + self.config.gamma * next_q)
        critic_loss = torch.nn.functional.mse_loss(self.critic(torch.cat([obs, action], 1)), y)
        critic_loss = critic_loss + self._penalty(self.critic)
        self._step(self.critic_adam, critic_loss, critic_lr)
        actor_loss = self._penalty(self.actor) - self.critic(torch.cat([obs, self.scale * self.actor(obs)], 1)).mean()
        self._step(self.actor_adam, actor_loss, actor_lr)
        with torch.no_grad():
            for target, online in ((self.actor_target, self.actor), (self.critic_target, self.critic)):
                for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
                    slow.copy_(self.config.tau * fast + (1 - self.config.tau) * slow)
        return [critic_loss.item(), actor_loss.item()]

    def _penalty(self, net: torch.nn.Module) -> torch.Tensor:
        kernels = (value for name, value in net.named_parameters() if name.endswith("weight"))
        return self.config.l2 * sum((kernel.square().sum() / 2 for kernel in kernels), torch.zeros(()))

    @staticmethod
    def _step(adam: torch.optim.Adam, loss: torch.Tensor, lr: float) -> None:
        adam.param_groups[0]["lr"] = lr
        adam.zero_grad()
        loss.backward()
        adam.step()

    def vector(self) -> np.ndarray:
        """Everything in the order of `LearnerState.vector`."""
        nets = (self.actor, self.critic, self.actor_target, self.critic_target)
        parts = [value for net in nets for value in net.parameters()]
        for moment in ("exp_avg", "exp_avg_sq"):
            for adam in (self.actor_adam, self.critic_adam):
                parts += [adam.state[value][moment] for value in adam.param_groups[0]["params"]]
        return torch.cat([part.detach().flatten() for part in parts]).numpy()


AS_WRITTEN = {name: PRESETS[name].changed({"l2": 1e-3}) for name in ("textbook", "notebook")}


@pytest.mark.parametrize("preset", AS_WRITTEN)
def test_updates_equal_an_independent_autograd_implementation(preset: str) -> None:
    config, rng = AS_WRITTEN[preset], np.random.default_rng(1)
    state = LearnerState(MLP((3, 8, 8, 8, 2), squash=True), MLP((5, 8, 8, 8, 1), squash=False))
    state.initialise(rng, config.changed({"target_init": "random"}))
    engine, oracle = make_engine("torch", state), Oracle(state, config, 4.0)
    scale = np.full(2, 4, np.float32)
    for turn in range(20):
        draws = [rng.normal(size=shape).astype(np.float32) for shape in ((32, 3), (32, 2), 32, (32, 3))]
        batch = Batch(*draws, (rng.random(32) < 0.2).astype(np.float32))  # type: ignore[arg-type]
        actor_lr, critic_lr = 1e-3 * 0.9**turn, 3e-3 * 0.9**turn
        statistics = engine.update(batch, config, actor_lr, critic_lr, scale)
        np.testing.assert_allclose(statistics[:2], oracle.update(batch, actor_lr, critic_lr), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state.vector, oracle.vector(), rtol=2e-4, atol=2e-6)


def batch_by_the_book(run: Run, ages: np.ndarray) -> Batch:
    """The transitions of these ages, put together from the named columns of the log."""
    log, rows = run.logs.steps, run.env_steps - 1 - ages
    column = {name: log.read(name)[rows] for name in log.columns}
    action, terminal = column["action"], column["terminated"]
    if run.config.store_action == "raw":
        action = column["policy_action"] + column["noise"]
    if run.config.time_limit_terminal:
        terminal = np.maximum(terminal, column["truncated"])
    return Batch(column["obs"], action.reshape(-1, 1), column["reward"], column["next_obs"], terminal)


@pytest.mark.parametrize("preset", AS_WRITTEN)
def test_whole_run_equals_an_independent_implementation(preset: str) -> None:
    config = AS_WRITTEN[preset].changed({"batch_size": 16, "warmup_steps": 150, "lr_decay": 0.8, "capacity": 160})
    run = started(config, seed=4)
    oracle = Oracle(run.learner, config, 4.0 if preset == "notebook" else 2.0)
    sampling = np.random.default_rng(np.random.SeedSequence(4).spawn(4)[3])
    for step in itertools.count():
        run.step()
        if step < 149:
            continue
        window = min(160, step + 1)
        if preset == "notebook":
            ages = sampling.choice(window, size=16, replace=False, shuffle=False)
        else:
            ages = sampling.integers(window, size=16)
        lr = 1e-3 * 0.8 ** (step // 200)
        oracle.update(batch_by_the_book(run, ages), lr, lr)
        if step == 229:
            break
    assert run.updates == 81
    np.testing.assert_allclose(run.learner.vector, oracle.vector(), rtol=1e-3, atol=1e-4)
