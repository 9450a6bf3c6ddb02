from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from ddpg_core.config import PRESETS, Config
from ddpg_core.learner import Batch
from ddpg_core.microscope import MAX_STEPS_AHEAD, LayerStep, NoUpdateError, UpdateView, look, next_update
from ddpg_core.run import Run
from tests.helpers import CAR, IDLE, SMALL, assert_equal_runs, rerun, spy_on_updates, trained
from tests.test_learner import batch_by_the_book
from tests.test_networks import as_modules

QUIRKY = PRESETS["notebook"].changed({"batch_size": 16, "warmup_steps": 32, "lr_decay": 0.7, "l2": 1e-2, "tau": 0.1})
"""The notebook's ways with a small batch, a weight penalty and decaying learning rates that can be seen."""
RUNS: dict[str, tuple[Config, int]] = {
    "small": (SMALL, 60),
    "end of an episode": (SMALL, 199),
    "latest": (SMALL.changed({"replay": "latest", "batch_size": 1}), 60),
    "latest 16": (SMALL.changed({"replay": "latest"}), 60),
    "full window": (SMALL.changed({"capacity": 20}), 60),
    "notebook": (PRESETS["notebook"], 1030),
    "quirky": (QUIRKY, 230),
    "several": (SMALL.changed({"updates_per_step": 3}), 60),
    "car": (SMALL.changed(CAR), 60),
    "first update": (SMALL, 31),
}


def logged(run: Run, view: UpdateView) -> np.ndarray:
    """The run's own row of the update that was looked at."""
    return run.logs.updates.rows(view.update, view.update + 1)[0]


def arrays(view: UpdateView) -> dict[str, np.ndarray]:
    every = {**vars(view), "action_scale": view.settings.action_scale}
    return {name: value for name, value in every.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("name", RUNS)
def test_update_that_was_looked_at_is_bit_for_bit_the_one_the_run_makes_next(name: str, engine: str) -> None:
    config, steps = RUNS[name]
    run = trained(steps, config.changed({"engine": engine}))
    twin = run.fork()
    view = next_update(twin)
    run.step()
    assert_equal_runs(twin, run)
    np.testing.assert_array_equal(logged(run, view), np.float32([steps, *view.statistics]))
    assert (view.env_step, view.steps_ahead, view.divergence) == (steps, 1, None)
    assert view.update == run.updates - config.updates_per_step
    assert view.settings.adam_step == view.update + 1


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_looking_at_a_run_as_it_trains_changes_nothing_in_it(engine: str) -> None:
    run = trained(40, SMALL.changed({"engine": engine}))
    for turn in range(30):
        if turn % 10 == 7:
            run.intervene({"engine": {"torch": "fused", "fused": "torch"}[run.config.engine]})
        run.advance(steps=15)
        look(run)
        if run.episode:
            look(run, 1)
    assert run.episode == 2
    assert_equal_runs(run, rerun(run))


def test_writing_into_a_view_reaches_neither_run_nor_twin() -> None:
    run = trained(60)
    twin = run.fork()
    for array in arrays(next_update(twin)).values():
        array[:] = 9
    run.step()
    assert_equal_runs(twin, run)
    assert run.action_scale == twin.action_scale == 2


@pytest.mark.parametrize("episode", [1, 2, 3])
def test_past_update_is_the_one_in_the_log_interventions_included(episode: int) -> None:
    changes = {"gamma": 0.5, "updates_per_step": 2, "actor_lr": 3e-3}
    run = trained(700, SMALL.changed({"lr_decay": 0.5}), 0, (400, changes), (650, {"tau": 1.0}))
    view = look(run, episode)
    np.testing.assert_array_equal(logged(run, view), np.float32([200 * episode, *view.statistics]))
    assert (view.episode, view.env_step) == (episode, 200 * episode)
    assert (view.settings.gamma, view.settings.tau) == ((0.99, 0.01) if episode == 1 else (0.5, 0.01))
    assert view.settings.actor_lr == (1e-3 if episode == 1 else 3e-3) * 0.5**episode
    assert view.settings.critic_lr == 1e-3 * 0.5**episode


def test_batch_is_the_one_the_run_draws_with_its_rows_in_the_log() -> None:
    run = trained(260, QUIRKY)
    view, seen = look(run), spy_on_updates(run)
    run.step()
    for name, part in seen[0][0]._asdict().items():
        np.testing.assert_array_equal(getattr(view, name), part, err_msg=name)
    for name, part in batch_by_the_book(run, view.ages)._asdict().items():
        np.testing.assert_array_equal(getattr(view, name), part, err_msg=name)
    np.testing.assert_array_equal(run.logs.steps.read("obs")[view.rows], view.obs)
    assert (view.settings.replay, view.settings.replay_window) == ("uniform", 261)


def test_latest_batch_is_the_newest_transitions_in_order() -> None:
    view = look(trained(60, SMALL.changed({"replay": "latest", "batch_size": 4})))
    assert (view.rows.tolist(), view.ages.tolist()) == ([57, 58, 59, 60], [3, 2, 1, 0])
    assert view.settings.replay == "latest"


def double_modules(run: Run) -> dict[str, torch.nn.Module]:
    """The run's four networks as they are now, in float64."""
    state = run.learner
    nets = {"actor": state.actor_net, "critic": state.critic_net}
    names = ("actor", "critic", "actor_target", "critic_target")
    return {name: as_modules(nets[name.split("_")[0]], getattr(state, name)).double() for name in names}


def flat(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in net.parameters()])


def descended(
    net: torch.nn.Module, loss: torch.Tensor, moments: tuple[np.ndarray, np.ndarray], lr: float, t: int, l2: float
) -> tuple[float, list[LayerStep]]:
    """Adam by the book in float64, in place: the penalty's part of the loss, and what each layer went through."""
    values = list(net.parameters())
    before = [value.detach().clone() for value in values]
    penalty = 0.5 * l2 * sum(((value**2).sum() for value in values if value.ndim == 2), torch.zeros(()))
    grads = torch.autograd.grad(loss + penalty, values)
    grad = torch.cat([part.flatten() for part in grads])
    first, second = (torch.from_numpy(moment.astype(np.float64)) for moment in moments)
    first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad**2
    change = -lr * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
    layers, start = [], 0
    for kernel in range(0, len(values), 2):
        pair = slice(kernel, kernel + 2)
        size = sum(value.numel() for value in values[pair])
        moved = change[start : start + size]
        sizes = [torch.cat([part.flatten() for part in parts]).norm().item() for parts in (grads[pair], before[pair])]
        units, inputs = values[kernel].shape
        layers.append(LayerStep(inputs, units, *sizes, moved.norm().item(), moved.abs().mean().item() / lr))
        start += size
    torch.nn.utils.vector_to_parameters(torch.cat([value.flatten() for value in before]) + change, values)
    return penalty.item(), layers


def by_the_book(run: Run, view: UpdateView) -> dict[str, Any]:
    """The update of `run`, which has not made it yet, in float64 and by autograd."""
    nets, state, settings = double_modules(run), run.learner, view.settings
    obs, action, reward, next_obs, terminal = (
        torch.from_numpy(getattr(view, name).astype(np.float64)) for name in Batch._fields
    )
    scale, t = float(settings.action_scale[0]), state.updates + 1
    moments = [np.split(moment, [len(state.actor)]) for moment in (state.moment1, state.moment2)]
    slow = {name: flat(nets[f"{name}_target"]) for name in ("actor", "critic")}

    def q(critic: str, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return nets[critic](torch.cat([states, actions], 1)).squeeze(1)

    book: dict[str, Any] = {}
    book["next_action"] = nets["actor_target"](next_obs) * (scale if settings.target_action_scaled else 1)
    book["next_q"] = q("critic_target", next_obs, book["next_action"])
    book["target"] = (reward + settings.gamma * (1 - terminal) * book["next_q"]).detach()
    book["q"] = q("critic", obs, action)
    book["td_error"] = book["target"] - book["q"]
    fit = (book["td_error"] ** 2).mean()
    critic_moments = (moments[0][1], moments[1][1])
    book["critic_penalty"], book["critic_layers"] = descended(
        nets["critic"], fit, critic_moments, settings.critic_lr, t, settings.l2
    )
    book["critic_loss"] = fit + book["critic_penalty"]
    book["q_after"] = q("critic", obs, action)
    book["policy_action"] = scale * nets["actor"](obs)
    book["policy_q"] = q("critic", obs, book["policy_action"])
    step = 1e-6
    up, down = (q("critic", obs, book["policy_action"].detach() + sign * step) for sign in (1, -1))
    book["action_gradient"] = ((up - down) / (2 * step))[:, None]
    fit = -book["policy_q"].mean()
    actor_moments = (moments[0][0], moments[1][0])
    book["actor_penalty"], book["actor_layers"] = descended(
        nets["actor"], fit, actor_moments, settings.actor_lr, t, settings.l2
    )
    book["actor_loss"] = fit + book["actor_penalty"]
    book["policy_action_after"] = scale * nets["actor"](obs)
    book["policy_q_after"] = q("critic", obs, book["policy_action_after"])
    for name, target in slow.items():
        online = flat(nets[name])
        moved = settings.tau * online + (1 - settings.tau) * target
        furthest = (online - target).abs().argmax()
        lags = [((online - weights).norm() / online.norm()).item() for weights in (target, moved)]
        book[f"{name}_target"] = [*lags, *(x[furthest].item() for x in (online, target, moved))]
    return book


@pytest.mark.parametrize(("config", "steps"), [(SMALL.changed({"l2": 1e-2, "critic_lr": 3e-3}), 300), (QUIRKY, 410)])
def test_every_number_equals_the_one_computed_in_float64_by_the_book(config: Config, steps: int) -> None:
    run = trained(steps, config, seed=2)
    view = look(run)
    for name, expected in by_the_book(run, view).items():
        seen = getattr(view, name)
        if isinstance(expected, torch.Tensor):
            np.testing.assert_allclose(seen, expected.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
        elif isinstance(expected, list):
            expected = [dataclasses.astuple(x) if isinstance(x, LayerStep) else x for x in expected]
            seen = np.array(dataclasses.astuple(seen) if name.endswith("target") else [*map(dataclasses.astuple, seen)])
            np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-6, err_msg=name)
        else:
            assert seen == pytest.approx(expected, rel=1e-4), name


def test_first_adam_step_moves_a_weight_by_the_learning_rate_at_most() -> None:
    view = look(trained(31, Config(hidden=(8,), batch_size=16, warmup_steps=32, l2=1e-2)))
    assert view.settings.adam_step == 1
    for layer in view.critic_layers:
        assert 0.5 < layer.adam_ratio <= 1.001
        assert layer.change_norm <= 1.001e-3 * np.sqrt(layer.units * (layer.inputs + 1))
    assert [(layer.inputs, layer.units) for layer in view.critic_layers] == [(4, 8), (8, 1)]
    assert [(layer.inputs, layer.units) for layer in view.actor_layers] == [(3, 8), (8, 1)]


@pytest.mark.parametrize("name", ["small", "notebook", "car"])
def test_arrays_have_the_batch_first_and_are_float32(name: str) -> None:
    config, steps = RUNS[name]
    run = trained(steps, config)
    view, count = look(run), config.batch_size
    wide = dict.fromkeys(("obs", "next_obs"), run.env.obs_size)
    wide |= dict.fromkeys(("action", "next_action", "policy_action", "policy_action_after", "action_gradient"), 1)
    for field, array in arrays(view).items():
        if field not in ("statistics", "action_scale"):
            assert array.shape == ((count, wide[field]) if field in wide else (count,)), field
            assert array.dtype == (np.int64 if field in ("ages", "rows") else np.float32), field


def test_twin_steps_through_the_rest_of_a_warm_up_that_is_nearly_over() -> None:
    run = trained(32 - MAX_STEPS_AHEAD)
    view = look(run)
    assert (view.steps_ahead, view.env_step, run.env_steps) == (MAX_STEPS_AHEAD, 31, 32 - MAX_STEPS_AHEAD)
    run.advance(steps=MAX_STEPS_AHEAD)
    np.testing.assert_array_equal(logged(run, view)[1:], np.float32(view.statistics))


@pytest.mark.parametrize("steps", [0, 32 - MAX_STEPS_AHEAD - 1])
def test_warm_up_says_how_many_steps_are_missing(steps: int) -> None:
    with pytest.raises(NoUpdateError, match=f"learning starts after 32 env steps, {32 - steps} from here") as error:
        look(trained(steps))
    assert error.value.missing_steps == 32 - steps


def test_run_that_does_not_learn_has_no_update_to_look_at() -> None:
    with pytest.raises(NoUpdateError, match="switched off") as error:
        look(trained(60, IDLE))
    assert error.value.missing_steps is None


def test_update_that_is_not_finite_is_shown_with_the_divergence_it_brings() -> None:
    run = trained(60)
    run.learner.critic[0] = np.inf
    view = look(run)
    run.step()
    assert view.divergence == run.divergence is not None
    assert not np.isfinite(view.q).all()
    with pytest.raises(NoUpdateError, match="stopped at step 60: ") as error:
        look(run)
    assert error.value.missing_steps is None


def test_episode_beyond_the_log_is_refused() -> None:
    with pytest.raises(ValueError, match=r"episode must be in \[0, 1\], got 2"):
        look(trained(250), 2)


def test_reference_tells_the_numbers_and_the_runs_own_engine_the_statistics() -> None:
    run = trained(60, SMALL.changed({"engine": "torch"}))
    reference = look(run)
    run.intervene({"engine": "fused"})
    view = look(run)
    run.step()
    assert (reference.settings.engine, view.settings.engine) == ("torch", "fused")
    np.testing.assert_array_equal(logged(run, view)[1:], np.float32(view.statistics))
    np.testing.assert_allclose(view.statistics, reference.statistics, rtol=1e-5)
    assert (view.statistics != reference.statistics).any()
    for name, value in arrays(reference).items():
        if name != "statistics":
            np.testing.assert_array_equal(value, arrays(view)[name], err_msg=name)
    assert (view.critic_layers, view.actor_target) == (reference.critic_layers, reference.actor_target)


def test_update_at_which_the_engine_changes_is_looked_at_as_well() -> None:
    run = trained(25, SMALL.changed({"engine": "torch"}), 0, (31, {"engine": "fused"}))
    view = look(run)
    assert (view.env_step, view.settings.engine) == (31, "fused")
    run.advance(steps=7)
    np.testing.assert_array_equal(logged(run, view)[1:], np.float32(view.statistics))
