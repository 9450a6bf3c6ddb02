"""Whole learning runs, minutes each: `python -m pytest -m slow -s` prints the figures of the README."""

from __future__ import annotations

import numpy as np
import pytest

from ddpg_core.config import PRESETS
from ddpg_core.metrics import evaluate
from tests.helpers import started

pytestmark = pytest.mark.slow


def learned(preset: str, seed: int, episodes: int) -> tuple[float, np.ndarray]:
    """(mean return on 100 fixed starts without noise, training returns) of one whole run."""
    run = started(PRESETS[preset], seed)
    run.advance(episodes=episodes)
    assert run.divergence is None
    mean = float(evaluate(run.act, run.config, 100, 0).returns.mean())
    print(f"{preset} seed {seed}: {mean:.1f}")
    return mean, run.logs.episodes.read("episode_return")


def test_fast_preset_learns_the_swing_up_on_at_least_nine_of_ten_seeds() -> None:
    means = [learned("fast", seed, 40)[0] for seed in range(10)]
    assert sum(mean >= -180 for mean in means) >= 9, means


def test_notebook_as_written_learns_slowly_and_not_on_every_seed() -> None:
    """TensorFlow, three seeds: the first 60 episodes average −1116, −940 and −617."""
    averages = [float(learned("notebook", seed, 60)[1].mean()) for seed in range(5)]
    print("notebook, first 60 episodes on average:", [round(average) for average in averages])
    assert all(-1500 < average < -400 for average in averages), averages
    assert max(averages) > -950, averages


def test_newest_transition_alone_teaches_nothing_from_scratch() -> None:
    means = [learned("no_replay", seed, 30)[0] for seed in range(3)]
    assert max(means) < -800, means
