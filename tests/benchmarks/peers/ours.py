"""`Run`, headless; it computes the L2 penalty (the notebook does, too) and the statistics of the log as well."""

from __future__ import annotations

from ddpg_core.config import Config
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from tests.benchmarks.peers import (
    BUFFER,
    FILL_STEPS,
    GAMMA,
    L2,
    LEARNING_RATE,
    OU_SIGMA,
    OU_THETA,
    TAU,
    Advance,
    Updates,
)

TITLE = "DDPG Lab"


def make(hidden: list[int], batch: int, engine: str) -> tuple[Advance, Updates]:
    """A run with this engine."""
    config = Config(
        engine=engine,
        hidden=tuple(hidden),
        batch_size=batch,
        warmup_steps=FILL_STEPS,
        capacity=BUFFER,
        gamma=GAMMA,
        tau=TAU,
        actor_lr=LEARNING_RATE,
        critic_lr=LEARNING_RATE,
        l2=L2,
        ou_theta=OU_THETA,
        ou_sigma=OU_SIGMA,
    )
    run = Run(Recipe(config, seed=0))
    return lambda steps: run.advance(steps=steps), lambda: run.updates
