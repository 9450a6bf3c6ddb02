"""CPU milliseconds of each probe on one core, and how that compares with its target.

    .venv/bin/python -m tests.benchmarks.probes [--rounds 15]

The networks are fresh ones of two layers of 64, the states a grid of 61×61; the median over rounds. And of a branch of
preset `fast` after 200 episodes, of which every second one's weights are kept: the slowest over all episodes. Exit code
1 if a target is missed.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read when NumPy loads

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_core.config import PRESETS
from ddpg_core.environment import Physics
from ddpg_core.networks import MLP
from ddpg_core.oracle import optimal_oracle, solve_oracle
from ddpg_core.probes import (
    policy_map,
    q_along_torque,
    q_map,
    state_grid,
    torque_gradient,
    true_q,
)
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run

MAP_MS, TRUE_Q_MS, ORACLE_MS, BRANCH_MS = 50.0, 400.0, 2000.0, 100.0
BRANCHED_EPISODES = 600


def cases() -> list[tuple[str, float, Callable[[], Any]]]:
    """(name, target in ms, what to time) of each probe."""
    rng, physics, scale = np.random.default_rng(0), Physics(), np.array([2.0], np.float32)
    actor_net, critic_net = MLP((3, 64, 64, 1), squash=True), MLP((4, 64, 64, 1), squash=False)
    actor, critic = (net.initial(rng, "glorot") for net in (actor_net, critic_net))
    grid, oracle = state_grid(61), optimal_oracle(physics)
    states = grid.angle, grid.velocity
    torques = np.linspace(-2, 2, 201)
    return [
        ("grid of 61×61 states", MAP_MS, lambda: state_grid(61)),
        ("policy map", MAP_MS, lambda: policy_map(actor_net, actor, scale, grid.obs)),
        ("critic's values at a torque", MAP_MS, lambda: q_map(critic_net, critic, grid.obs, 1.0)),
        ("∂Q/∂a at all states", MAP_MS, lambda: torque_gradient(critic_net, critic, grid.obs, 1.0)),
        ("Q along 201 torques", MAP_MS, lambda: q_along_torque(critic_net, critic, grid.obs[0, 0], torques)),
        ("optimal values", MAP_MS, lambda: oracle.value(*states)),
        ("optimal torques", MAP_MS, lambda: oracle.torque(*states)),
        ("optimal values at a torque", MAP_MS, lambda: oracle.q(*states, np.ones(1))),
        ("true Q, policy's torque", TRUE_Q_MS, lambda: true_q(actor_net, actor, scale, physics, 0.99, *states)),
        ("true Q, chosen torque", TRUE_Q_MS, lambda: true_q(actor_net, actor, scale, physics, 0.99, *states, 1.0)),
        ("oracle 101×101, γ 0.99", ORACLE_MS, lambda: solve_oracle(physics, 101, 0.99, lambda share: None)),
        ("oracle 101×101, γ 1", ORACLE_MS, lambda: solve_oracle(physics, 101, 1.0, lambda share: None)),
        ("oracle, hopeless, γ 1", ORACLE_MS, lambda: solve_oracle(Physics(0, 5, 3), 101, 1.0, lambda share: None)),
    ]


def milliseconds(timed: Callable[[], Any], rounds: int) -> float:
    """The median over `rounds`, after one that isn't counted."""
    timed()
    took = []
    for _ in range(rounds):
        start = time.process_time()
        timed()
        took.append(time.process_time() - start)
    return 1000 * statistics.median(took)


def branch_ms() -> tuple[float, float]:
    """CPU milliseconds of the slowest branch from any episode of a run: until it is there, and until it is back."""
    run = Run(Recipe(PRESETS["fast"]))
    run.advance(episodes=BRANCHED_EPISODES)
    begun, back = [], []
    for episode in range(BRANCHED_EPISODES + 1):
        start = time.process_time()
        branch = run.begin_branch(episode, {"replay": "latest"})
        begun.append(time.process_time() - start)
        branch.advance(episodes=episode - branch.episode)
        back.append(time.process_time() - start)
    return 1000 * max(begun), 1000 * max(back)


def main() -> int:
    """Print a line a probe; 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    missed = False
    print(f"{'probe':30} {'CPU ms':>8} {'target':>8} {'of target':>10}")
    timings = [(name, target, milliseconds(timed, rounds)) for name, target, timed in cases()]
    begun, back = branch_ms()
    for name, target, took in [*timings, (f"slowest branch of {BRANCHED_EPISODES}", BRANCH_MS, begun)]:
        missed |= took > target
        print(f"{name:30} {took:8.1f} {target:8.0f} {took / target:10.0%}")
    print(f"{'  and back where it left':30} {back:8.1f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
