"""One side of the race in bench.py: trains DDPG on Pendulum-v1 in slices, and answers what each slice took.

    python tests/benchmarks/worker.py {ours|sb3} HIDDEN BATCH

It fills the buffer with `FILL_STEPS` transitions, writes a line when ready, then reads numbers of steps from stdin, one
a line, and answers each with a JSON line. Both sides run the same algorithm at the same sizes and rates: one env step
(Gymnasium's own Pendulum) and one update a step, OU noise, buffer 1e5, learning from `FILL_STEPS` on.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

FILL_STEPS = 1024
WARM_UP_STEPS = 50  # updates made before the clock starts: first calls load code and allocate
BUFFER, GAMMA, TAU, LEARNING_RATE, OU_THETA, OU_SIGMA = 100_000, 0.99, 0.01, 1e-3, 0.15, 0.2
RSS_UNITS_PER_MB = 1e6 if sys.platform == "darwin" else 1e3  # macOS counts bytes, Linux kB

Advance = Callable[[int], None]
Updates = Callable[[], int]


def ours(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """`Run`, headless, torch engine; it computes the L2 penalty and the logged statistics as well, SB3 does not."""
    from ddpg_core.config import Config
    from ddpg_core.recipe import Recipe
    from ddpg_core.run import Run

    config = Config(
        engine="torch",
        hidden=tuple(hidden),
        batch_size=batch,
        warmup_steps=FILL_STEPS,
        capacity=BUFFER,
        gamma=GAMMA,
        tau=TAU,
        actor_lr=LEARNING_RATE,
        critic_lr=LEARNING_RATE,
        ou_theta=OU_THETA,
        ou_sigma=OU_SIGMA,
    )
    run = Run(Recipe(config, seed=0))
    return lambda steps: run.advance(steps=steps), lambda: run.updates


def sb3(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """Stable-Baselines3's DDPG, with `learn` as its users call it."""
    import gymnasium
    import numpy as np
    import torch
    from stable_baselines3 import DDPG
    from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise

    torch.set_num_threads(1)
    model = DDPG(
        "MlpPolicy",
        gymnasium.make("Pendulum-v1"),
        policy_kwargs={"net_arch": hidden},
        batch_size=batch,
        learning_starts=FILL_STEPS,
        train_freq=(1, "step"),
        gradient_steps=1,
        buffer_size=BUFFER,
        gamma=GAMMA,
        tau=TAU,
        learning_rate=LEARNING_RATE,
        action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), OU_SIGMA * np.ones(1), theta=OU_THETA, dt=1.0),
        device="cpu",
        seed=0,
    )
    return lambda steps: model.learn(steps, reset_num_timesteps=False), lambda: model._n_updates


def main(side: str, hidden: str, batch: str) -> None:
    """Fill, then serve slices until stdin ends."""
    advance, updates = {"ours": ours, "sb3": sb3}[side]([int(units) for units in hidden.split("-")], int(batch))
    advance(FILL_STEPS + WARM_UP_STEPS)
    print("ready", flush=True)
    for line in sys.stdin:
        before, wall, cpu = updates(), time.perf_counter(), time.process_time()
        advance(int(line))
        answer = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "updates": updates() - before,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS_PER_MB,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
