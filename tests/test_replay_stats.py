from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddpg_core.environment import Physics, pendulum_step, wrap_angle
from ddpg_core.networks import MLP
from ddpg_core.recount import Recount, start_of
from ddpg_core.replay import transitions
from ddpg_core.replay_stats import (
    CELLS,
    PENDULUM_HIGH,
    PENDULUM_LOW,
    autocorrelation,
    cell_counts,
    cosine,
    critic_gradient,
    critic_inputs,
    reachable_cells,
    td_errors,
)
from tests.helpers import CAR, SMALL, spy_on_updates, trained

# --- coverage ---------------------------------------------------------------------------------------------------------


def test_points_are_counted_in_their_cells_and_those_beyond_at_the_border() -> None:
    points = np.array([[0.0, 0.0], [23.99, 15.99], [1.5, 0.5], [1.9, 0.1], [24.0, 16.0], [-5.0, 99.0]])
    counts = cell_counts(points, (0, 0), (24, 16))
    found = {(int(up), int(across)): int(counts[up, across]) for up, across in np.argwhere(counts)}
    assert found == {(0, 0): 1, (15, 23): 2, (0, 1): 2, (15, 0): 1}
    assert counts.shape == CELLS
    assert cell_counts(np.empty((0, 2)), (0, 0), (1, 1)).sum() == 0


@pytest.mark.parametrize("physics", [Physics(), Physics(1.6), Physics(10, 5, 1)], ids=["default", "moon", "heavy"])
def test_no_agent_gets_where_no_cell_is_reachable(physics: Physics) -> None:
    rng, agents = np.random.default_rng(5), 1_000
    angle, velocity = rng.uniform(-np.pi, np.pi, agents), rng.uniform(-1, 1, agents)
    torque, reachable = np.zeros(agents), reachable_cells(physics)
    visits = np.zeros(CELLS, int)
    for _ in range(200):
        torque = np.where(rng.random(agents) < 0.1, rng.choice([-2.0, 2.0, 0.5], agents), torque)
        angle, velocity, _ = pendulum_step(angle, velocity, torque, physics)
        visits += cell_counts(np.stack([wrap_angle(angle), velocity], axis=1), PENDULUM_LOW, PENDULUM_HIGH)
    assert (visits > 0).sum() > 100
    assert visits[~reachable].sum() == 0


def test_unreachable_is_what_needs_more_energy_than_torque_can_give() -> None:
    reachable = reachable_cells(Physics())
    assert 0.9 < reachable.mean() < 1
    speeds = -8 + np.arange(16) + 0.5
    assert (np.abs(speeds[np.argwhere(~reachable)[:, 0]]) > 6.4).all()
    assert reachable[:, [0, 23]].all(), "hanging, every speed can be had"
    np.testing.assert_array_equal(reachable, reachable[::-1, ::-1])


# --- TD errors and gradients ------------------------------------------------------------------------------------------

QUIRKS = [
    {},
    {"store_action": "raw", "noise_scale": 3.0},
    {"time_limit_terminal": True, "warmup_steps": 198},
    {"target_action_scaled": False, "target_init": "random"},
    {"action_scale": "full", "gamma": 0.7, "hidden": [5, 4, 3]},
    {**CAR, "store_action": "raw"},
]


@pytest.mark.parametrize("quirks", QUIRKS, ids=lambda quirks: ",".join(quirks) or "textbook")
def test_td_errors_of_the_rows_drawn_are_those_of_the_reference_engine(quirks: dict[str, Any]) -> None:
    run = trained(200, SMALL.changed({"warmup_steps": 150, "batch_size": 200, **quirks, "updates_per_step": 1}))
    moment, seen = run.at(), spy_on_updates(run)
    run.step()
    (batch, _, _) = seen[-1]
    now = run.at()
    recount = Recount(run.recipe, run.snapshots.before(0))
    recount.advance(run.recipe, start_of(run, now), now)
    rows = run.logs.steps.gather(run.env_steps - 1 - recount.last_batch)
    found = transitions(rows, run.logs.steps.slices, moment.config)
    for mine, given in zip(found, batch, strict=True):
        np.testing.assert_array_equal(mine, given)
    errors = td_errors(found, moment, run.learner.actor_net, run.learner.critic_net)
    assert np.abs(errors).mean() == pytest.approx(run.logs.updates.last("td_error_abs"), rel=1e-5)
    assert (found.terminal.sum() > 0) == ("time_limit_terminal" in quirks)


def test_gradient_is_that_of_autograd() -> None:
    import torch

    rng, net = np.random.default_rng(0), MLP((4, 7, 6, 1), squash=False)
    parameters = net.initial(rng, "fan_in") + rng.normal(0, 0.3, net.parameter_count).astype(np.float32)
    inputs, y = rng.normal(size=(32, 4)).astype(np.float32), rng.normal(size=32).astype(np.float32)
    flat = torch.from_numpy(parameters.copy()).double().requires_grad_()
    x, start = torch.from_numpy(inputs).double(), 0
    for layer, (units, width) in enumerate(net.shapes):
        kernel = flat[start : start + units * width].reshape(units, width)
        bias = flat[start + units * width : start + units * width + units]
        start += units * width + units
        x = (x.relu() if layer else x) @ kernel.T + bias
    (expected,) = torch.autograd.grad((torch.from_numpy(y).double() - x[:, 0]).square().mean(), flat)
    found = critic_gradient(net, parameters, inputs, y - net.numpy(parameters, inputs)[:, 0])
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_gradient_without_weight_penalty_has_the_norm_that_the_update_log_tells() -> None:
    run = trained(60, SMALL.changed({"l2": 0.0}))
    moment, seen = run.at(), spy_on_updates(run)
    run.step()
    batch = seen[-1][0]
    errors = td_errors(batch, moment, run.learner.actor_net, run.learner.critic_net)
    gradient = critic_gradient(run.learner.critic_net, moment.critic, critic_inputs(batch), errors)
    assert np.linalg.norm(gradient) == pytest.approx(run.logs.updates.last("critic_grad_norm"), rel=1e-4)


def test_cosine_tells_the_angle() -> None:
    assert cosine(np.array([1.0, 0]), np.array([2.0, 2])) == pytest.approx(np.sqrt(0.5))
    assert cosine(np.array([1.0, 2]), np.array([-2.0, -4])) == pytest.approx(-1)
    assert np.isnan(cosine(np.zeros(2), np.ones(2)))


# --- correlation ------------------------------------------------------------------------------------------------------


def test_autocorrelation_by_hand() -> None:
    np.testing.assert_allclose(autocorrelation(np.array([1.0, -1, 1, -1]), 2), [1, -1, 1])
    np.testing.assert_allclose(autocorrelation(np.array([0.0, 1, 2]), 2), [1, 0, -1 / (2 / 3)])


def test_autocorrelation_of_an_autoregressive_process_is_the_power_of_its_coefficient() -> None:
    rng, values = np.random.default_rng(0), np.zeros(50_000)
    for step in range(1, len(values)):
        values[step] = 0.8 * values[step - 1] + rng.normal()
    np.testing.assert_allclose(autocorrelation(values, 10), 0.8 ** np.arange(11), atol=0.03)


def test_pairs_from_two_episodes_do_not_count() -> None:
    values, episodes = np.array([1.0, 1, -1, -1]), np.array([0, 0, 1, 1])
    np.testing.assert_allclose(autocorrelation(values, 3, episodes), [1, 1, np.nan, np.nan])
    assert autocorrelation(values, 1)[1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(5)], ids=["nothing", "constant"])
def test_without_variance_there_is_no_correlation(values: Any) -> None:
    assert np.isnan(autocorrelation(values, 3)).all()
