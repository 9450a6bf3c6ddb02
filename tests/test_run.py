from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ddpg_core.logs
import ddpg_core.run
from ddpg_core import learner
from ddpg_core.checkpoint import from_bytes, to_bytes
from ddpg_core.config import PRESETS, Config
from ddpg_core.learner import LearnerState, make_engine
from ddpg_core.learner.fused_engine import FusedEngine
from ddpg_core.learner.torch_engine import TorchEngine
from ddpg_core.recipe import MAX_STEP
from ddpg_core.replay import sample_rows, transitions
from ddpg_core.run import Run
from tests.helpers import (
    CAR,
    IDLE,
    SMALL,
    assert_equal_logs,
    assert_equal_runs,
    rerun,
    spy_on_updates,
    started,
    step_by_step,
    trained,
)

# Interventions of every kind: at the first step, on both sides of an episode's end, several at one step.
PLAYED: list[tuple[int, dict[str, Any]]] = [
    (0, {"noise_scale": 2.0, "noise_reset": False}),
    (7, {"ou_mu": 0.5, "noise": "ou_notebook"}),
    (50, {"capacity": 20, "batch_size": 8}),
    (50, {"replacement": False}),
    (50, {"batch_size": 64}),
    (90, {"engine": "torch"}),
    (120, {"replay": "latest", "batch_size": 4, "gamma": 0.5}),
    (150, {"engine": "auto", "tau": 0.2}),
    (199, {"time_limit_terminal": True, "action_scale": "full"}),
    (200, {"noise_reset": True, "ou_mu": -0.5}),
    (201, {"store_action": "raw", "replay": "uniform", "updates_per_step": 2}),
    (210, {"engine": "torch"}),
    (230, {"target_action_scaled": False, "shared_lr": True, "lr_decay": 0.5, "tau": 1.0, "l2": 0.1}),
    (400, {"noise_range": "full", "noise_decay": 0.5, "noise": "gaussian", "capacity": 100_000}),
]
STEPS = 420


def played(upto: int = STEPS, config: Config = SMALL) -> Run:
    """A live run to which someone made the changes of `PLAYED` while it went on."""
    run = started(config, seed=2)
    for step, changes in PLAYED:
        if step <= upto:
            run.advance(steps=step - run.env_steps)
            run.intervene(changes)
    run.advance(steps=upto - run.env_steps)
    return run


@pytest.fixture(scope="module")
def live() -> Run:
    """`played()`; nobody may change it."""
    return played()


# --- determinism ------------------------------------------------------------------------------------------------------


def test_recipe_of_a_run_that_was_played_with_reproduces_it(live: Run) -> None:
    assert len(live.recipe.interventions) == len(PLAYED)
    assert_equal_runs(rerun(live), live)


def test_another_seed_gives_another_run() -> None:
    one, other = trained(50, seed=0).logs.steps, trained(50, seed=1).logs.steps
    assert not np.isin(one.read("reward"), other.read("reward")).any()


def test_each_purpose_has_its_own_generator() -> None:
    runs = [trained(60, SMALL.changed({"updates_per_step": 0, "noise": noise})).logs.steps for noise in ("ou", "none")]
    assert (runs[0].read("obs")[0] == runs[1].read("obs")[0]).all()
    hungry, idle = (trained(210, SMALL.changed({"updates_per_step": updates})) for updates in (2, 0))
    np.testing.assert_array_equal(hungry.logs.steps.read("obs", 200, 201), idle.logs.steps.read("obs", 200, 201))


@settings(max_examples=6)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=30))
def test_slices_of_any_size_give_the_same_run(live: Run, sizes: list[int]) -> None:
    run = Run(live.recipe)
    for size in sizes:
        taken = run.advance(steps=min(size, STEPS - run.env_steps))
        assert taken == size or run.env_steps == STEPS
    run.advance(steps=STEPS - run.env_steps)
    assert_equal_runs(run, live)


def test_single_steps_and_whole_episodes_give_the_same_run(live: Run) -> None:
    run = Run(live.recipe)
    assert run.advance(episodes=2) == 400
    for _ in range(20):
        run.step()
    assert_equal_runs(run, live)


@pytest.mark.parametrize("stop", [0, 50, 199, 200, 201, 333, 400])
def test_resuming_from_a_checkpoint_equals_never_having_stopped(live: Run, stop: int) -> None:
    run = Run(live.recipe)  # all later interventions still to come
    run.advance(steps=stop)
    again = from_bytes(to_bytes(run))
    assert_equal_runs(again, run)
    again.advance(steps=STEPS - stop)
    assert_equal_runs(again, live)


@pytest.mark.parametrize("stop", [50, 120, 200, 230])
def test_checkpoint_right_after_an_intervention_keeps_it(stop: int) -> None:
    run = played(stop)
    again = from_bytes(to_bytes(run))
    run.advance(steps=30)
    again.advance(steps=30)
    assert_equal_runs(again, run)
    assert_equal_runs(rerun(again), run)


def test_saving_and_looking_at_a_run_do_not_disturb_it(live: Run) -> None:
    run = Run(live.recipe)
    while run.env_steps < STEPS:
        run.advance(steps=min(61, STEPS - run.env_steps))
        to_bytes(run)
        run.at(run.episode)
        run.branch().advance(steps=3)
        run.branch(0, {"tau": 0.5})
        run.snapshot()
    assert_equal_runs(run, live)


# --- branches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [0, 57, 200, 231])
def test_branch_from_now_without_an_intervention_is_the_same_run(live: Run, stop: int) -> None:
    run = Run(live.recipe)
    run.advance(steps=stop)
    twin = run.branch()
    twin.advance(steps=STEPS - stop)
    assert_equal_runs(twin, live)
    assert run.env_steps == stop


@pytest.mark.parametrize("episode", [0, 1, 2])
def test_branch_from_the_past_is_the_run_as_its_recipe_had_it_then(live: Run, episode: int) -> None:
    twin = live.branch(episode)
    assert (twin.episode, twin.env_steps) == (episode, 200 * episode)
    assert [item.step for item in twin.recipe.interventions] == [s for s, _ in PLAYED if s < 200 * episode]
    twin.advance(steps=150)
    assert_equal_runs(twin, rerun(twin))


def test_branch_from_the_past_of_an_untouched_run_catches_up_with_it() -> None:
    run = trained(450)
    twin = run.branch(1)
    twin.advance(steps=250)
    assert_equal_runs(twin, run)


@pytest.mark.parametrize("episode", [None, 0, 1])
def test_branch_differs_by_its_intervention_alone(episode: int | None) -> None:
    run = trained(230)
    before = to_bytes(run)
    twin = run.branch(episode, {"noise_scale": 0.0, "replay": "latest"})
    leaves = 230 if episode is None else 200 * episode
    (intervention,) = twin.recipe.interventions
    assert (intervention.step, intervention.changes) == (leaves, {"noise_scale": 0.0, "replay": "latest"})
    twin.advance(steps=40)
    assert_equal_runs(twin, rerun(twin))
    np.testing.assert_array_equal(twin.logs.steps.rows(0, leaves), run.logs.steps.rows(0, leaves))
    assert to_bytes(run) == before


@pytest.mark.parametrize("episode", [-1, 3, 10**9])
def test_episodes_outside_the_log_are_refused(episode: int) -> None:
    run = trained(410, IDLE)
    for ask in (run.at, run.branch):
        with pytest.raises(ValueError, match=rf"^episode must be in \[0, 2\], got {episode}$"):
            ask(episode)


def test_branch_is_refused_where_the_replay_window_of_that_time_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 500)
    run = trained(850, SMALL.changed({"capacity": 250, "warmup_steps": 500}))
    assert run.logs.steps.first == 350
    twin = run.branch(3)  # its window begins at row 350
    twin.advance(steps=250)
    np.testing.assert_array_equal(twin.learner.vector, run.learner.vector)
    with pytest.raises(ValueError, match=r"^episode must be one whose replay window is still in the log, got 2$"):
        run.branch(2)


# --- snapshots of the past --------------------------------------------------------------------------------------------


def test_past_episode_shows_the_weights_of_that_time() -> None:
    run, weights = started(), {}
    for episode in range(3):
        weights[episode] = run.learner.vector.copy()
        moment = run.at(episode)
        assert (moment.episode, moment.env_steps, moment.updates) == (episode, run.env_steps, run.updates)
        run.advance(episodes=1)
    for episode, vector in weights.items():
        moment = run.at(episode)
        parts = (moment.actor, moment.critic, moment.actor_target, moment.critic_target)
        np.testing.assert_array_equal(np.concatenate(parts), vector[: len(vector) // 2])
        moment.actor[:] = np.nan
        assert np.isfinite(run.at(episode).actor).all()


def test_past_episode_shows_the_settings_and_the_window_of_that_time() -> None:
    run, then = started(SMALL.changed({"capacity": 250})), {}
    for episode, changes in enumerate([{"capacity": 100}, {"gamma": 0.9}, {"capacity": 400}]):
        run.advance(episodes=1)
        then[episode + 1] = run.at()
        run.intervene(changes)
        run.advance(steps=7)
    for episode, live in then.items():
        past = run.at(episode)
        assert (past.env_steps, past.updates, past.window_first) == (live.env_steps, live.updates, live.window_first)
        assert past.config == live.config
        np.testing.assert_array_equal(past.action_scale, live.action_scale)
    assert run.at(0).config == run.recipe.config
    assert [run.at(episode).window_first for episode in (1, 2, 3)] == [0, 300, 500]
    assert run.at().config == run.config


def test_snapshots_are_thinned_evenly_within_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(IDLE.changed(CAR))
    size = run.learner.vector.nbytes
    monkeypatch.setattr(ddpg_core.moments, "SNAPSHOT_BYTES", 8 * size)
    for finished in range(1, 70):
        end_episode(run)
        kept = [snapshot.episode for snapshot in run.snapshots]
        stride = kept[1] - kept[0]
        assert kept == list(range(0, finished + 1, stride))
        assert 4 < len(kept) <= 8 or finished < 5
    again = from_bytes(to_bytes(run))
    for _ in range(9):
        end_episode(run)
        end_episode(again)
    assert [snapshot.episode for snapshot in again.snapshots] == [snapshot.episode for snapshot in run.snapshots]
    assert (run.at(37).episode, run.at(37).weights_of) == (37, 32)
    assert (run.at(0).episode, run.at(0).weights_of) == (0, 0)
    assert (run.at().episode, run.at().weights_of) == (78, 78)


def end_episode(run: Run) -> None:
    """Put the car at the goal and take the step that ends the episode."""
    run.env._raw.state = np.array([0.449, 0.07])
    run.step()


def test_branch_from_an_episode_between_snapshots_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.moments, "SNAPSHOT_BYTES", 1)
    run = trained(620)
    assert [snapshot.episode for snapshot in run.snapshots] == [0]
    for source in (run, from_bytes(to_bytes(run))):
        twin = source.branch(2)
        assert twin.env_steps == 400
        twin.advance(steps=220)
        assert_equal_logs(twin, run)


# --- interventions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": (9,)}, "hidden must be set before the run starts, got a change at step 40"),
        ({"env_id": "MountainCarContinuous-v0"}, "env_id must be set before the run starts"),
        ({"tau": 0.5, "gamma": 2}, "gamma must be in"),
        ({"tao": 0.5}, "setting must be one of those"),
    ],
)
def test_refused_intervention_changes_nothing(changes: dict[str, Any], message: str) -> None:
    run = trained(40)
    before = to_bytes(run), run.config
    with pytest.raises(ValueError, match=f"^{message}"):
        run.intervene(changes)
    assert (to_bytes(run), run.config) == before


def test_intervention_without_a_change_is_not_recorded() -> None:
    run = trained(40)
    run.intervene({"tau": run.config.tau, "gamma": run.config.gamma})
    assert run.recipe.interventions == ()
    run.intervene({"tau": 0.5, "gamma": run.config.gamma})
    assert run.recipe.interventions[0].changes == {"tau": 0.5}


def test_live_intervention_wins_over_a_planned_one_at_the_same_step() -> None:
    run = trained(40, SMALL, 0, (40, {"tau": 0.5}))
    run.intervene({"tau": 0.01})
    run.advance(steps=5)
    assert run.config.tau == 0.01
    assert_equal_runs(run, rerun(run))


def test_planned_intervention_comes_into_force_at_its_very_step() -> None:
    run = trained(40, SMALL, 0, (40, {"batch_size": 5}))
    seen = spy_on_updates(run)
    run.step()
    assert len(seen[0][0].reward) == 5
    assert run.config.batch_size == 5


def test_capacity_beyond_the_rows_kept_so_far_never_draws_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 50)
    run = trained(120, SMALL.changed({"capacity": 40, "batch_size": 512, "replacement": False, "engine": "torch"}))
    run.intervene({"capacity": 1000})
    seen = spy_on_updates(run)
    run.advance(steps=30)
    assert [len(batch.reward) for batch, _, _ in seen] == list(range(41, 71))
    for batch, _, _ in seen:
        np.testing.assert_allclose(np.hypot(*batch.obs.T[:2]), 1, atol=1e-6)  # cos² + sin²: no garbage
    assert_equal_runs(run, rerun(run))
    again = from_bytes(to_bytes(run))
    run.advance(steps=20)
    again.advance(steps=20)
    assert_equal_runs(again, run)


def test_planned_capacity_does_not_matter_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 50)
    run = trained(120, SMALL.changed({"capacity": 40}), 0, (150, {"capacity": 1000}))
    again = from_bytes(to_bytes(run))
    run.advance(steps=60)
    again.advance(steps=60)
    assert_equal_runs(again, run)


# --- engines ----------------------------------------------------------------------------------------------------------


def test_recipe_of_a_run_names_its_engines_and_never_says_auto() -> None:
    planned = ((5, {"engine": "torch"}), (9, {"engine": "auto", "tau": 0.5}))
    recipe = started(SMALL.changed({"engine": "auto"}), 0, *planned).recipe
    assert recipe.config.engine == "fused"
    assert [item.changes for item in recipe.interventions] == [{"engine": "torch"}, {"engine": "fused", "tau": 0.5}]
    run = trained(40, SMALL.changed({"engine": "torch"}))
    run.intervene({"engine": "auto"})
    assert [item.changes for item in run.recipe.interventions] == [{"engine": "fused"}]
    run.intervene({"engine": "auto"})
    assert len(run.recipe.interventions) == 1


def test_engine_is_changed_at_the_very_step_of_the_intervention(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(34, SMALL.changed({"engine": "torch"}), 0, (36, {"engine": "torch"}))
    made: list[str] = []
    for kind, name, method in ((TorchEngine, "update", TorchEngine.update), (FusedEngine, "take", FusedEngine.take)):

        def spied(engine: Any, *arguments: Any, by: Any = method) -> Any:
            made.append(type(engine).__name__)
            return by(engine, *arguments)

        monkeypatch.setattr(kind, name, spied)
    run.step()
    run.intervene({"engine": "fused"})
    run.advance(steps=2)
    assert made == ["TorchEngine", "FusedEngine", "TorchEngine"]
    assert_equal_runs(run, rerun(run))


def test_engines_of_one_recipe_differ_by_rounding_alone() -> None:
    torch, fused = (trained(120, SMALL.changed({"engine": engine})) for engine in ("torch", "fused"))
    rows = [run.logs.updates.rows() for run in (torch, fused)]
    np.testing.assert_allclose(*rows, rtol=1e-3, atol=1e-5)
    assert (rows[0] != rows[1]).any()


def test_engine_that_this_machine_cannot_have_is_refused_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(state: LearnerState) -> Any:
        raise ValueError("engine must be torch here")

    run = trained(40, SMALL.changed({"engine": "torch"}))
    before = to_bytes(run)
    monkeypatch.setitem(learner._ENGINES, "fused", fail)
    with pytest.raises(ValueError, match="engine must be torch here"):
        run.intervene({"engine": "fused", "tau": 0.5})
    assert to_bytes(run) == before
    with pytest.raises(ValueError, match="engine must be torch here"):
        started(SMALL.changed({"engine": "torch"}), 0, (1000, {"engine": "fused"}))


# --- episodes, terminals, logs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("as_terminal", "expected"), [(False, 0.0), (True, 1.0)])
def test_truncated_episode_still_bootstraps_unless_the_time_limit_is_terminal(
    as_terminal: bool, expected: float
) -> None:
    run = trained(199, SMALL.changed({"time_limit_terminal": as_terminal, "replay": "latest", "batch_size": 1}))
    seen = spy_on_updates(run)
    run.advance(steps=2)
    assert run.logs.steps.read("truncated").nonzero()[0].tolist() == [199]
    assert [batch.terminal.tolist() for batch, _, _ in seen] == [[expected], [0.0]]
    assert run.logs.episodes.read("terminated").tolist() == [0]


@pytest.mark.parametrize("as_terminal", [False, True])
def test_terminated_episode_never_bootstraps(as_terminal: bool) -> None:
    config = SMALL.changed({**CAR, "time_limit_terminal": as_terminal, "replay": "latest", "batch_size": 2})
    run = trained(40, config)
    seen = spy_on_updates(run)
    end_episode(run)
    assert run.episode == 1
    assert run.logs.steps.read("terminated", 40).tolist() == [1]
    assert seen[-1][0].terminal.tolist() == [0, 1]
    assert seen[-1][0].reward[1] > 90
    assert run.logs.episodes.read("terminated").tolist() == [1]


def test_step_log_chains_and_holds_what_the_environment_executed() -> None:
    log = trained(430, IDLE.changed({"noise_scale": 3.0})).logs.steps
    obs, next_obs = log.read("obs"), log.read("next_obs")
    ends = np.flatnonzero(log.read("truncated"))
    assert ends.tolist() == [199, 399]
    inside = np.setdiff1d(np.arange(429), ends)
    np.testing.assert_array_equal(next_obs[inside], obs[inside + 1])
    assert not np.isclose(next_obs[ends], obs[ends + 1]).all(axis=1).any()
    raw = log.read("policy_action") + log.read("noise")
    np.testing.assert_allclose(log.read("action"), np.clip(raw, -2, 2), atol=1e-6)
    assert (np.abs(raw) > 2).any()


def test_logged_actions_played_again_in_gymnasium_give_the_logged_observations() -> None:
    log = trained(450, IDLE.changed({"noise_scale": 0.1}), seed=5).logs.steps
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.np_random = np.random.default_rng(np.random.SeedSequence(5).spawn(4)[1])
    env.reset()
    for action, next_obs, reward in zip(*map(log.read, ("action", "next_obs", "reward")), strict=True):
        obs, gained, _, truncated, _ = env.step(action[None])
        np.testing.assert_array_equal(obs, next_obs)
        assert np.float32(gained) == reward
        if truncated:
            env.reset()


def test_episode_log_sums_up_the_step_log() -> None:
    run = started(SMALL.changed({"noise_scale": 0.5, "noise_decay": 0.9, "gamma": 0.9}))
    first_q = []
    for _ in range(3):
        first_step = run.env_steps
        critic = run.learner.critic.copy()
        run.advance(episodes=1)
        obs, action = (run.logs.steps.read(name, first_step, first_step + 1)[0] for name in ("obs", "action"))
        first_q.append(run.learner.critic_net.numpy(critic, np.append(obs, action).astype(np.float32))[0])
    rewards = run.logs.steps.read("reward").reshape(3, 200)
    episodes = run.logs.episodes
    assert episodes.read("first_step").tolist() == [0, 200, 400]
    assert episodes.read("length").tolist() == [200] * 3
    assert episodes.read("updates").tolist() == [169, 369, 569]
    np.testing.assert_allclose(episodes.read("episode_return"), rewards.sum(1), rtol=1e-6)
    np.testing.assert_allclose(episodes.read("discounted_return"), rewards @ 0.9 ** np.arange(200), rtol=1e-6)
    np.testing.assert_allclose(episodes.read("noise_scale"), [0.5, 0.45, 0.405])
    np.testing.assert_allclose(episodes.read("first_q"), first_q, rtol=1e-5)


def test_learning_rates_decay_by_episode() -> None:
    run = started(SMALL.changed({"actor_lr": 1e-3, "critic_lr": 4e-3, "lr_decay": 0.5}))
    seen = spy_on_updates(run)
    run.advance(steps=401)
    assert [seen[row][1:] for row in (0, 168, 169, 368, 369)] == [
        (1e-3, 4e-3),
        (1e-3, 4e-3),
        (5e-4, 2e-3),
        (5e-4, 2e-3),
        (2.5e-4, 1e-3),
    ]


def test_updates_per_step_is_obeyed() -> None:
    run = trained(40, SMALL.changed({"updates_per_step": 3}))
    assert run.logs.updates.read("env_step").tolist() == [step for step in range(31, 40) for _ in range(3)]
    run.intervene({"updates_per_step": 0})
    weights = run.learner.vector.copy()
    run.advance(steps=20)
    assert run.updates == 27
    np.testing.assert_array_equal(run.learner.vector, weights)


def test_advance_stops_at_whatever_comes_first() -> None:
    run = started(IDLE)
    assert run.advance(steps=0) == 0
    assert run.advance(steps=300, episodes=1) == 200
    assert run.advance(steps=30, episodes=1) == 30
    assert (run.env_steps, run.episode, run.episode_steps) == (230, 1, 30)
    assert run.advance(steps=30, stop=lambda: run.env_steps >= 230) == 0
    assert 3 <= run.advance(steps=150, stop=lambda: run.env_steps >= 233) <= ddpg_core.run.STRETCH_STEPS
    step_by_step(run).advance(steps=100, stop=lambda: run.env_steps >= 300)
    assert run.env_steps == 300


def test_act_takes_one_observation_or_many_and_scales_to_the_actuator() -> None:
    run = trained(40)
    obs = run.logs.steps.read("obs")
    many = run.act(obs)
    assert (many.shape, many.dtype) == ((40, 1), np.float32)
    np.testing.assert_allclose(many[7], run.act(obs[7]), atol=1e-6)
    assert np.abs(many).max() <= 2


def test_run_ends_at_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.run, "MAX_STEP", 10)
    run = started(IDLE)
    assert run.advance(steps=50) == 10
    with pytest.raises(RuntimeError, match="ends at 10 steps"):
        run.step()
    assert MAX_STEP < 2**24  # float32 still counts every env step in the update log


# --- the notebook's eleven deviations ---------------------------------------------------------------------------------


def observables(config: Config) -> dict[str, Any]:
    """All that a deviation could change, each looked at alone, so that none shows through another."""
    run = started(config)
    log = run.logs.steps
    unit = np.arange(1.0, 4.0, dtype=np.float32)
    log.append(unit, unit, 3.0, 4.0, 2.0, -1.0, 0, 1)  # out of time, its action clipped from 7 to 2
    log.append(unit, -unit, 0.5, 0.5, 1.0, -2.0, 1, 0)  # terminated
    batch = transitions(log.gather(np.array([1, 0])), log.slices, run.config)
    state = LearnerState(run.learner.actor_net, run.learner.critic_net)
    state.vector[:] = np.random.default_rng(0).normal(size=len(state.vector)).clip(-1)
    nonterminal = batch._replace(terminal=np.zeros(2, np.float32), action=np.ones((2, 1), np.float32))
    fixed = config.changed({"actor_lr": 1e-3})
    statistics = make_engine("torch", state).update(nonterminal, fixed, 1e-3, 1e-3, np.full(1, 2, np.float32))
    run._noise[:] = 9.0
    run._begin_episode()
    rng = np.random.default_rng(0)
    ages = sample_rows(4, config.changed({"batch_size": 4}), rng)
    twin = trained(config.warmup_steps + 199, config.changed({"warmup_steps": 1, "updates_per_step": 0}))
    twin.intervene({"updates_per_step": 1, "batch_size": 1})
    rates = spy_on_updates(twin)
    twin.advance(steps=2)
    return {
        "1 action scale": run.action_scale.tolist(),
        "2 target": statistics[3],
        "3 target weights": np.array_equal(started(config).learner.target, started(config).learner.online),
        "4 noise": ddpg_core.run.next_noise(np.ones(1), config, rng=np.random.default_rng(0)).tolist(),
        "5 noise at start": run._noise.tolist(),
        "6 noise amplitude": run._noise_amplitude.tolist(),
        "7 terminal": batch.terminal.tolist(),
        "8 action": batch.action.tolist(),
        "9 learning rates": rates[0][1:],
        "10 duplicates": len(set(ages.tolist())) < 4,
        "11 weights": started(config).learner.online.tolist(),
    }


PLAIN = SMALL.changed({"actor_lr": 1e-3, "critic_lr": 2e-3, "noise_scale": 0.5})
DEVIATIONS = [
    ({"action_scale": "full"}, {"1 action scale": ([2.0], [4.0])}),
    ({"target_action_scaled": False}, {"2 target": None}),
    ({"target_init": "random"}, {"3 target weights": (True, False)}),
    ({"noise": "ou_notebook"}, {"4 noise": None}),
    ({"noise_reset": False}, {"5 noise at start": ([0.0], [9.0])}),
    ({"noise_scale": 0.0}, {"6 noise amplitude": ([1.0], [0.0])}),
    ({"noise_range": "full"}, {"6 noise amplitude": ([1.0], [2.0])}),
    ({"time_limit_terminal": True}, {"7 terminal": ([0, 1], [1, 1])}),
    ({"store_action": "raw"}, {"8 action": ([[2.0], [1.0]], [[7.0], [1.0]])}),
    ({"shared_lr": True}, {"9 learning rates": ((1e-3, 2e-3), (1e-3, 1e-3))}),
    ({"replacement": False}, {"10 duplicates": (True, False)}),
    ({"hidden": (8, 8)}, {"11 weights": None, "2 target": None}),
    ({"kernel_init": "fan_in"}, {"11 weights": None}),
]


@pytest.mark.parametrize(("changes", "expected"), DEVIATIONS, ids=[str(changes) for changes, _ in DEVIATIONS])
def test_each_deviation_of_the_notebook_changes_exactly_what_it_says(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    before, after = observables(PLAIN), observables(PLAIN.changed(changes))
    differing = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert differing.keys() == expected.keys()
    for name, pair in expected.items():
        assert pair is None or differing[name] == pair


def test_notebook_preset_sets_every_deviation_and_nothing_else() -> None:
    notebook = PRESETS["notebook"]
    assert notebook.difference(Config()) == {
        "action_scale": "full",
        "target_action_scaled": False,
        "target_init": "random",
        "noise": "ou_notebook",
        "noise_reset": False,
        "noise_scale": 0.0,
        "noise_range": "full",
        "time_limit_terminal": True,
        "store_action": "raw",
        "shared_lr": True,
        "replacement": False,
    }
    row_11 = {"hidden": (8, 8, 8), "actor_lr": 1e-3, "gamma": 0.99, "tau": 1e-2, "l2": 5e-7, "capacity": 100_000}
    row_10 = {"batch_size": 1024, "warmup_steps": 1024, "kernel_init": "glorot", "lr_decay": 1.0, "noise_decay": 0.99}
    assert {name: getattr(notebook, name) for name in row_11 | row_10} == row_11 | row_10
    assert (notebook.ou_theta, notebook.ou_sigma, notebook.ou_mu) == (0.15, 0.2, 0.0)


# --- divergence -------------------------------------------------------------------------------------------------------


def poison_reward(run: Run) -> None:
    run.env._raw.state[:] = np.nan


def poison_critic(run: Run) -> None:
    run.learner.critic[3] = np.inf


def poison_actor(run: Run) -> None:
    run.learner.actor[:] = np.nan


@pytest.mark.parametrize("poison", [poison_reward, poison_critic, poison_actor])
def test_number_that_is_not_finite_stops_the_run_with_step_and_cause(poison: Any) -> None:
    run = trained(50)
    poison(run)
    assert run.advance(steps=100) == 1
    assert run.divergence is not None
    assert run.divergence.step == 50
    assert run.divergence.cause
    assert "\n" not in run.divergence.cause
    with pytest.raises(RuntimeError, match=r"^the run diverged at step 50: "):
        run.step()
    assert run.advance(steps=10) == 0
    assert run.logs.steps.total == 51
    assert np.isfinite(run.logs.steps.read("reward", 0, 50)).all()
    assert np.isfinite(run.logs.updates.read("critic_loss", 0, 18)).all()
    again = from_bytes(to_bytes(run))
    assert again.divergence == run.divergence
    assert run.branch().divergence == run.divergence


def test_weights_that_are_not_finite_are_found_at_the_end_of_the_episode_at_the_latest() -> None:
    run = trained(150, IDLE)
    run.learner.critic_target[0] = np.nan
    assert run.advance(steps=100) == 50
    assert run.divergence is not None
    assert run.divergence.step == 199
    assert run.episode == 1
    assert np.isfinite(run.at(1).critic_target).all()


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"actor_lr": 0.5}, "learning rate 0.5 is very high"),
        ({"critic_lr": 0.1}, "learning rate 0.1 is very high"),
        ({"gamma": 1.0}, "discount of 1"),
        ({"tau": 1.0}, "target rate of 1"),
        ({}, "try lower learning rates"),
    ],
)
def test_cause_names_the_setting_most_to_blame(changes: dict[str, Any], hint: str) -> None:
    run = trained(40, SMALL.changed(changes))
    poison_critic(run)
    run.step()
    assert run.divergence is not None
    assert hint in run.divergence.cause
    assert "loss had grown to" in run.divergence.cause


def test_run_goes_on_from_before_its_divergence() -> None:
    run = trained(250)
    poison_critic(run)
    run.advance(steps=5)
    twin = run.branch(1, {"critic_lr": 1e-4})
    assert twin.divergence is None
    assert twin.advance(steps=60) == 60


def test_a_branch_after_dropped_rows_is_what_its_own_recipe_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpg_core.logs.KEPT_ROWS", 500)
    run = trained(1150, SMALL.changed({"capacity": 300}))
    twin = run.branch(5, {"capacity": 450})
    twin.advance(steps=300)
    assert_equal_runs(rerun(twin), twin)


def test_a_transition_that_fell_out_of_the_window_stays_forgotten() -> None:
    run = trained(100, IDLE.changed({"capacity": 60}))
    assert run.replay_window == 60
    run.intervene({"capacity": 90})
    run.advance(steps=10)
    assert run.replay_window == 70
    run.advance(steps=50)
    assert run.replay_window == 90


def test_a_change_just_made_is_in_force_in_a_branch_and_after_a_checkpoint() -> None:
    run = trained(50)
    run.intervene({"action_scale": "full"})
    obs = np.array([1.0, 0.0, 0.5], np.float32)
    for twin in (run.branch(), from_bytes(to_bytes(run))):
        assert twin.config == run.config
        np.testing.assert_array_equal(twin.act(obs), run.act(obs))
        twin.advance(steps=10)
        assert_equal_runs(rerun(twin), twin)
