from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddpg_core.config import PRESETS
from ddpg_core.recipe import Intervention, Recipe
from pages.ui import lab as lab_module
from pages.ui.family import family_order
from pages.ui.kernel import Kernel
from pages.ui.lab import MAX_RUNS, FairLock, Lab
from pages.ui.player import Player
from pages.ui.theme import RUN_COLOURS
from tests.helpers import IDLE, SMALL, assert_equal_logs, assert_equal_runs, rerun
from tests.ui.helpers import eventually, on_stage, poison, stopped, take_to

# --- the stage --------------------------------------------------------------------------------------------------------


def test_new_run_is_selected_and_the_first_stays_on_the_stage(lab: Lab) -> None:
    assert lab.selected is None
    first, second = on_stage(lab, IDLE), on_stage(lab, IDLE, seed=1)
    assert lab.players == [first, second]
    assert lab.selected is second
    lab.select(first.id)
    assert lab.selected is first


def test_selecting_a_run_that_is_not_there_changes_nothing(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    lab.select(player.id + 1)
    assert lab.selected is player


def test_removing_the_selected_run_selects_another_and_removing_the_last_none(lab: Lab) -> None:
    first, second = on_stage(lab, IDLE), on_stage(lab, IDLE)
    lab.remove(second.id)
    assert lab.selected is first
    lab.remove(first.id)
    assert lab.players == []
    assert lab.selected is None


def test_removing_another_run_keeps_the_selection(lab: Lab) -> None:
    first, second = on_stage(lab, IDLE), on_stage(lab, IDLE)
    lab.remove(first.id)
    assert lab.selected is second


def test_a_removed_run_trains_no_more(lab: Lab) -> None:
    player = on_stage(lab, IDLE, play=True)
    take_to(lab, player, 1)
    lab.remove(player.id)
    steps = player.run.env_steps
    assert stopped(lab)
    assert player.run.env_steps == steps


def test_a_full_stage_takes_no_further_run_and_says_so(lab: Lab) -> None:
    players = [on_stage(lab, IDLE, seed) for seed in range(MAX_RUNS)]
    assert {player.colour for player in players} == set(RUN_COLOURS)
    assert lab.add(players[0].run.recipe) is None
    assert lab.players == players
    assert str(MAX_RUNS) in lab.take_notice()
    assert lab.take_notice() == ""


def test_a_freed_colour_is_used_again_but_never_an_id(lab: Lab) -> None:
    players = [on_stage(lab, IDLE) for _ in range(MAX_RUNS)]
    lab.remove(players[2].id)
    newcomer = on_stage(lab, IDLE)
    assert newcomer.colour == players[2].colour
    assert newcomer.id not in {player.id for player in players}


def test_next_seed_is_the_smallest_that_no_run_of_these_settings_has(lab: Lab) -> None:
    fast = PRESETS["fast"]
    on_stage(lab, fast, seed=0)
    on_stage(lab, fast, seed=2)
    assert lab.next_seed(fast) == 1
    assert lab.next_seed(PRESETS["notebook"]) == 0


# --- transport --------------------------------------------------------------------------------------------------------


def test_play_trains_in_the_background(lab: Lab) -> None:
    player = on_stage(lab, SMALL, play=True)
    assert lab.playing
    take_to(lab, player, 40)
    with lab.reading():
        assert player.run.updates == player.run.env_steps - SMALL.warmup_steps + 1
    assert eventually(lambda: player.steps_per_second > 0)


def test_no_step_is_taken_after_pause_has_returned(lab: Lab) -> None:
    player = on_stage(lab, IDLE, play=True)
    for _ in range(5):
        take_to(lab, player, player.run.env_steps + 1)
        lab.pause(player.id)
        steps = player.run.env_steps
        time.sleep(0.05)
        assert player.run.env_steps == steps
        assert player.steps_per_second == 0
        lab.play(player.id)


def test_nothing_trains_while_logs_are_read(lab: Lab) -> None:
    player = on_stage(lab, IDLE, play=True)
    take_to(lab, player, 1)
    with lab.reading():
        steps = player.run.env_steps
        time.sleep(0.05)
        assert player.run.env_steps == steps
    take_to(lab, player, steps + 1)


def test_update_button_takes_one_env_step(lab: Lab) -> None:
    player = on_stage(lab, SMALL.changed({"warmup_steps": 2}))
    for steps in (1, 2, 3):
        lab.step_update(player.id)
        assert (player.run.env_steps, player.run.updates) == (steps, steps - 1)
    assert not lab.playing


@pytest.mark.parametrize("before", [0, 30])
def test_episode_button_stops_exactly_at_the_end_of_the_episode(lab: Lab, before: int) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(steps=before)
    lab.step_episode(player.id)
    assert eventually(lambda: not player.playing)
    assert (player.run.episode, player.run.env_steps) == (1, 200)
    lab.step_episode(player.id)
    assert eventually(lambda: not player.playing)
    assert (player.run.episode, player.run.env_steps) == (2, 400)


def test_run_to_an_episode_stops_exactly_there_and_play_goes_on_from_it(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    lab.play(player.id, until_episode=3)
    assert eventually(lambda: not player.playing)
    assert player.run.env_steps == 600
    lab.play(player.id)
    take_to(lab, player, 601)


def test_run_to_an_episode_of_the_past_is_a_notice_and_trains_nothing(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(episodes=2)
    lab.play(player.id, until_episode=2)
    assert not player.playing
    assert "2 episodes" in lab.take_notice()


def test_reset_begins_anew_with_the_settings_in_force_and_the_same_seed(lab: Lab) -> None:
    player = on_stage(lab, IDLE, seed=7, play=True)
    take_to(lab, player, 10)
    lab.intervene(player.id, {"gamma": 0.5})
    take_to(lab, player, player.run.env_steps + 1)
    lab.reset(player.id)
    run = player.run
    assert (run.env_steps, run.episode, run.recipe.seed, player.playing) == (0, 0, 7, False)
    assert run.recipe.config.gamma == run.config.gamma == 0.5
    assert run.recipe.interventions == ()
    lab.step_update(player.id)
    assert_equal_logs(run, rerun(run))


def test_buttons_of_a_run_that_is_gone_do_nothing(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    lab.remove(player.id)
    for act in (lab.play, lab.pause, lab.step_update, lab.step_episode, lab.reset, lab.remove):
        act(player.id)
    lab.intervene(player.id, {"gamma": 0.5})
    assert player.run.env_steps == 0
    assert lab.players == []


# --- interventions ----------------------------------------------------------------------------------------------------


def test_intervention_is_recorded_at_the_step_where_it_applies(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(steps=3)
    lab.intervene(player.id, {"gamma": 0.5})
    lab.step_update(player.id)
    lab.intervene(player.id, {"noise_scale": 0.0})
    assert player.run.recipe.interventions == (Intervention(3, {"gamma": 0.5}), Intervention(4, {"noise_scale": 0.0}))
    assert (player.run.config.gamma, player.run.config.noise_scale) == (0.5, 0.0)


def test_recipe_of_a_run_that_was_played_with_reproduces_it_bit_for_bit(lab: Lab) -> None:
    player = on_stage(lab, SMALL, play=True)
    for changes in ({"tau": 0.5}, {"replay": "latest", "batch_size": 1}, {"noise_scale": 0.3}):
        take_to(lab, player, player.run.env_steps + 30)
        lab.intervene(player.id, changes)
    lab.pause(player.id)
    lab.step_update(player.id)
    lab.intervene(player.id, {"gamma": 0.9})
    lab.step_update(player.id)
    assert len(player.run.recipe.interventions) == 4
    assert_equal_logs(player.run, rerun(player.run))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tau": 1.5}, "tau must be"),
        ({"gamma": 0.5, "tau": float("nan")}, "tau must be"),
        ({"hidden": (4,)}, "hidden must be set before"),
        ({"no_such": 1}, "setting must be one of"),
    ],
)
def test_bad_value_becomes_a_notice_and_changes_nothing(lab: Lab, changes: dict[str, Any], words: str) -> None:
    player = on_stage(lab, IDLE)
    lab.intervene(player.id, changes)
    assert words in lab.take_notice()
    assert player.run.config == player.run.recipe.config
    assert player.run.recipe.interventions == ()


# --- engines ----------------------------------------------------------------------------------------------------------


def test_runs_use_torch_until_the_compiled_engine_is_there(lab: Lab, kernel: Kernel) -> None:
    early = on_stage(lab, IDLE)
    kernel.fetch()
    late = on_stage(lab, IDLE)
    assert [player.run.recipe.config.engine for player in (early, late)] == ["torch", "fused"]
    lab.reset(early.id)
    assert early.run.recipe.config.engine == "torch"


def test_engine_is_a_knob_and_the_recipe_of_a_run_that_changed_it_reproduces_it(lab: Lab, kernel: Kernel) -> None:
    player = on_stage(lab, SMALL, play=True)
    kernel.fetch()
    for engine in ("fused", "torch", "auto"):
        take_to(lab, player, player.run.env_steps + 40)
        lab.intervene(player.id, {"engine": engine})
    take_to(lab, player, player.run.env_steps + 40)
    lab.pause(player.id)
    changes = [item.changes["engine"] for item in player.run.recipe.interventions]
    assert changes == ["fused", "torch", "fused"]
    assert_equal_logs(player.run, rerun(player.run))


def test_compiled_engine_that_is_not_there_is_a_notice_and_nothing_is_compiled_for_it(lab: Lab, kernel: Kernel) -> None:
    player = on_stage(lab, IDLE)
    for act in (
        lambda: lab.intervene(player.id, {"engine": "fused", "tau": 0.5}),
        lambda: lab.add(Recipe(IDLE.changed({"engine": "fused"}))),
        lambda: lab.add(Recipe(IDLE, 0, (Intervention(9, {"engine": "fused"}),))),
        lambda: lab.branch(player.id, 0, {"engine": "fused"}),
    ):
        act()
        assert "the fused engine is not there: it is still being compiled" in lab.take_notice()
    assert (lab.players, player.run.recipe.interventions) == ([player], ())
    kernel.state, kernel.reason = "missing", "no disk"
    lab.intervene(player.id, {"engine": "fused"})
    assert lab.take_notice() == "the fused engine is not there: no disk"


def test_planned_auto_is_torch_as_well_until_the_compiled_engine_is_there(lab: Lab) -> None:
    player = lab.add(Recipe(IDLE, 0, (Intervention(9, {"engine": "auto", "tau": 0.5}),)))
    assert player is not None
    (item,) = player.run.recipe.interventions
    assert item.changes == {"engine": "torch", "tau": 0.5}


# --- speed ------------------------------------------------------------------------------------------------------------


def test_runs_keep_the_pace_that_is_set(make_lab: Callable[[], Lab]) -> None:
    labs = {speed: make_lab() for speed in ("1 step/s", "5 steps/s", "100 steps/s", "flat out")}
    began = time.perf_counter()
    for speed, lab in labs.items():
        lab.speed = speed
        on_stage(lab, IDLE, play=True)
    time.sleep(2.2)
    steps = {}
    for speed, lab in labs.items():
        lab.close()
        steps[speed] = lab.players[0].run.env_steps
    took = time.perf_counter() - began
    assert 1 <= steps["1 step/s"] <= took + 1
    assert 0.5 * 5 * took <= steps["5 steps/s"] <= 5 * took + 1
    assert 4 * steps["5 steps/s"] < steps["100 steps/s"] <= 100 * took + 1
    assert steps["flat out"] > 2 * steps["100 steps/s"]


def test_a_run_takes_up_a_new_speed_while_it_plays(lab: Lab) -> None:
    lab.speed = "1 step/s"
    player = on_stage(lab, IDLE, play=True)
    lab.speed = "flat out"
    take_to(lab, player, 500)


# --- the lease --------------------------------------------------------------------------------------------------------


def test_training_rests_when_nobody_looks_and_goes_on_when_somebody_does(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_module, "LEASE_S", 0.2)
    player = on_stage(lab, IDLE, play=True)
    worker = lab._worker
    assert worker is not None
    worker.join(10)
    assert not worker.is_alive()
    assert lab._worker is None
    steps = player.run.env_steps
    assert steps > 0
    assert player.playing, "it rests, it was not paused"
    lab.renew()
    take_to(lab, player, steps + 1)


def test_training_goes_on_as_long_as_the_lease_is_renewed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_module, "LEASE_S", 0.4)
    player = on_stage(lab, IDLE, play=True)
    worker = lab._worker
    for _ in range(20):
        lab.renew()
        time.sleep(0.04)
    assert lab._worker is worker
    take_to(lab, player, player.run.env_steps + 1)


def test_worker_thread_ends_when_nothing_plays_and_none_is_made_by_looking(lab: Lab) -> None:
    player = on_stage(lab, IDLE, play=True)
    worker = lab._worker
    assert worker is not None
    assert worker.daemon
    lab.close()
    worker.join(10)
    assert not worker.is_alive()
    lab.renew()
    assert lab._worker is None
    assert not player.playing


def test_there_is_one_worker_however_often_play_is_pressed(lab: Lab) -> None:
    players = [on_stage(lab, IDLE, seed, play=True) for seed in range(3)]
    workers = set()
    for player in players * 3:
        lab.play(player.id)
        workers.add(lab._worker)
    assert len(workers) == 1
    assert eventually(lambda: all(player.run.env_steps for player in players))


# --- fairness ---------------------------------------------------------------------------------------------------------


def test_fair_lock_goes_to_a_reader_who_waits_before_the_worker_has_it_again() -> None:
    lock, first = FairLock(), []

    def read(asked: threading.Event, got: list[str]) -> None:
        asked.set()
        with lock:
            got.append("reader")

    for _ in range(10):
        asked, got = threading.Event(), []
        reader = threading.Thread(target=read, args=(asked, got))
        with lock:
            reader.start()
            asked.wait()
            time.sleep(0.01)
        with lock:
            got.append("worker")
        reader.join()
        first.append(got[0])
    assert first.count("reader") >= 9, first


def test_only_one_thread_at_a_time_holds_the_fair_lock() -> None:
    lock, inside, seen = FairLock(), [0], []

    def visit() -> None:
        for _ in range(50):
            with lock:
                inside[0] += 1
                time.sleep(0)
                seen.append(inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 200


def test_two_labs_do_not_disturb_each_other(make_lab: Callable[[], Lab]) -> None:
    mine, other = make_lab(), make_lab()
    here, there = on_stage(mine, IDLE, play=True), on_stage(other, IDLE, play=True)
    mine.intervene(here.id, {"gamma": 0.5})
    mine.speed = "1 step/s"
    mine.pause(here.id)
    take_to(other, there, there.run.env_steps + 300)
    assert other.speed == "flat out"
    assert there.run.recipe.interventions == ()
    assert there.playing
    mine.remove(here.id)
    assert other.players == [there]
    other.close()
    assert_equal_logs(there.run, rerun(there.run))


# --- divergence -------------------------------------------------------------------------------------------------------


def test_a_run_that_diverges_stops_and_the_others_go_on(lab: Lab) -> None:
    sound, sick = on_stage(lab, IDLE, play=True), on_stage(lab, SMALL)
    poison(sick.run)
    lab.play(sick.id)
    assert eventually(lambda: not sick.playing)
    assert sick.run.divergence is not None
    steps = sick.run.env_steps
    lab.play(sick.id)
    lab.step_update(sick.id)
    lab.step_episode(sick.id)
    assert not sick.playing
    assert sick.run.env_steps == steps
    take_to(lab, sound, sound.run.env_steps + 100)
    lab.reset(sick.id)
    lab.step_update(sick.id)
    assert sick.run.divergence is None
    assert sick.run.env_steps == 1


def test_a_fault_in_one_run_stops_that_run_alone_and_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, sound = on_stage(lab, IDLE), on_stage(lab, IDLE, seed=1)

    def fail(**_: object) -> int:
        raise ArithmeticError("a bug")

    monkeypatch.setattr(broken.run, "advance", fail)
    lab.play(broken.id)
    lab.play(sound.id)
    assert eventually(lambda: not broken.playing)
    assert lab.take_notice() == f"{broken.label} stopped: a bug"
    take_to(lab, sound, sound.run.env_steps + 50)


def test_a_run_at_its_last_step_is_over(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ui.player.MAX_STEP", 10)
    monkeypatch.setattr("ddpg_core.run.MAX_STEP", 10)
    player = on_stage(lab, IDLE, play=True)
    assert eventually(lambda: not player.playing)
    assert player.over
    lab.step_update(player.id)
    assert player.run.env_steps == 10


def test_many_threads_never_put_too_many_runs_on_the_stage(lab: Lab) -> None:
    made: list[Player | None] = []
    threads = [threading.Thread(target=lambda: made.append(lab.add(Recipe(IDLE)))) for _ in range(2 * MAX_RUNS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2 * MAX_RUNS
    assert len(lab.players) == len({player.colour for player in lab.players}) == MAX_RUNS


def test_a_lab_of_many_runs_takes_no_more_of_the_machine_than_one_of_one(
    make_lab: Callable[[], Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_module, "CORES", FairLock(1))
    few, many = make_lab(), make_lab()
    (lonely,) = [on_stage(few, IDLE, play=True)]
    crowd = [on_stage(many, IDLE, seed, play=True) for seed in range(MAX_RUNS)]
    take_to(few, lonely, 2500)
    steps = sum(player.run.env_steps for player in crowd)
    assert steps < 3 * lonely.run.env_steps


# --- the time machine -------------------------------------------------------------------------------------------------


def test_cursor_shows_each_run_at_that_episode_or_the_nearest_it_has(lab: Lab) -> None:
    long, short = on_stage(lab, IDLE), on_stage(lab, IDLE, 1)
    long.run.advance(episodes=3, steps=None)
    long.run.advance(steps=10)
    short.run.advance(episodes=1)
    assert [lab.moment(player).env_steps for player in (long, short)] == [610, 200]
    assert (lab.past(long), lab.past(short)) == (range(4), range(2))
    lab.cursor = 2
    assert [lab.moment(player).episode for player in (long, short)] == [2, 1]
    assert [lab.moment(player).env_steps for player in (long, short)] == [400, 200]


def test_branch_goes_on_from_the_episode_as_its_origin_did(lab: Lab) -> None:
    origin = on_stage(lab, SMALL)
    origin.run.advance(episodes=3)
    lab.cursor = 2
    lab.speed = "1 step/s"
    branch = lab.branch(origin.id, 2)
    assert branch is not None
    assert (lab.selected, lab.cursor, branch.playing) == (branch, None, True)
    assert branch.label == f"{origin.label} from 2"
    assert branch.colour != origin.colour
    lab.pause(branch.id)
    branch.run.advance(steps=600 - branch.run.env_steps)
    np.testing.assert_array_equal(branch.run.logs.steps.rows(), origin.run.logs.steps.rows())
    lab.reset(branch.id)
    assert branch.label == origin.label


def test_branch_that_cannot_be_made_says_why_and_changes_nothing(lab: Lab) -> None:
    origin = on_stage(lab, IDLE)
    assert lab.branch(origin.id, 7) is None
    assert "cannot go on from there" in lab.take_notice()
    while len(lab.players) < MAX_RUNS:
        on_stage(lab, IDLE)
    assert lab.branch(origin.id, 0) is None
    assert "Remove a run" in lab.take_notice()
    assert lab.branch(99, 0) is None
    assert len(lab.players) == MAX_RUNS


def test_new_run_and_reset_go_live(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(episodes=1)
    lab.cursor = 1
    lab.reset(player.id)
    assert lab.cursor is None
    lab.cursor = 1
    on_stage(lab, IDLE)
    assert lab.cursor is None


def test_runs_that_would_be_named_alike_are_numbered(lab: Lab) -> None:
    origin = on_stage(lab, IDLE)
    origin.run.advance(episodes=1)
    labels = [player.label for player in (lab.branch(origin.id, 1), lab.branch(origin.id, 1)) if player]
    assert labels == [f"{origin.label} from 1", f"{origin.label} from 1 (2)"]
    assert on_stage(lab, IDLE).label == f"{origin.label} (2)"


def test_a_step_by_hand_is_shown_live(lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(episodes=2)
    lab.cursor = 1
    lab.step_update(player.id)
    assert lab.cursor is None
    lab.cursor = 1
    lab.step_episode(player.id)
    assert lab.cursor is None
    lab.pause(player.id)


def test_branch_between_kept_episodes_is_there_at_once_and_trains_its_way_back_at_full_speed(lab: Lab) -> None:
    origin = on_stage(lab, SMALL)
    origin.run.advance(episodes=3)
    for episode in (1, 2, 3):
        del origin.run.snapshots._kept[episode]
    lab.speed = "1 step/s"
    branch = lab.branch(origin.id, 2, {"tau": 0.5}, play=False)
    assert branch is not None
    assert branch.returning
    assert (branch.run.episode, branch.run.config.tau) == (0, SMALL.tau)
    assert family_order(lab.players) == [(origin, 0), (branch, 1)]
    lab.play(branch.id)
    assert eventually(lambda: not branch.returning)
    lab.pause(branch.id)
    assert 400 <= branch.run.env_steps <= 405, "from there on at the speed asked for"
    np.testing.assert_array_equal(branch.run.logs.steps.rows(0, 400), origin.run.logs.steps.rows(0, 400))
    branch.run.step()
    assert branch.run.config.tau == 0.5
    assert_equal_runs(branch.run, rerun(branch.run))
