"""Which setting to change, and to what, for a complaint of the doctor."""

from __future__ import annotations

from typing import Final

from ddpg_core.config import Config
from ddpg_core.doctor.findings import Knob

COVERED_STEPS: Final = 3000
"""Steps before the buffer's coverage is judged: `fast` is seldom upright before."""
CALM_RATE: Final = 1e-3
"""The presets' learning rate."""


def calmer(config: Config) -> Knob | None:
    """The setting most to blame when numbers explode, as `Run` names it."""
    rate = "actor_lr" if config.actor_lr > config.critic_lr else critic_rate(config)
    if getattr(config, rate) > 3e-3:
        return Knob(rate, CALM_RATE)
    if config.gamma == 1:
        return Knob("gamma", 0.99)
    if config.tau > 0.1:
        return Knob("tau", 0.01)
    return lower(config, rate)


def trustier(config: Config) -> Knob | None:
    """What most helps a critic that promises too much."""
    rate = critic_rate(config)
    if config.replay == "latest":
        return Knob("replay", "uniform")
    if config.capacity <= COVERED_STEPS:
        return Knob("capacity", 100_000)
    if config.tau > 0.01:
        return Knob("tau", 0.01)
    if config.batch_size < 64:
        return Knob("batch_size", 128)
    if getattr(config, rate) < 1e-4:
        return Knob(rate, CALM_RATE)
    return lower(config, "actor_lr")


def critic_rate(config: Config) -> str:
    """The setting that holds the critic's learning rate."""
    return "actor_lr" if config.shared_lr else "critic_lr"


def lower(config: Config, rate: str) -> Knob | None:
    """A tenth of a learning rate, where that is still a rate."""
    value = getattr(config, rate) / 10
    return Knob(rate, value) if value >= 1e-6 else None


def unsaturating(config: Config) -> Knob | None:
    """What keeps an actor from saturating, or pulls it back: the penalty's gradient doesn't pass through tanh."""
    if config.actor_lr > CALM_RATE:
        return Knob("actor_lr", CALM_RATE)
    return Knob("l2", 1e-3) if config.l2 < 1e-3 else lower(config, "actor_lr")


def more_noise(config: Config, episode: int) -> Knob | None:
    """The one setting that brings exploration back."""
    now = config.noise_scale * config.noise_decay**episode
    if config.noise == "none":
        return Knob("noise", "ou")
    if config.ou_sigma < 0.1:
        return Knob("ou_sigma", 0.2)
    if now < 0.5 <= config.noise_scale:
        return Knob("noise_decay", 1.0)
    scale = min(5.0, round(max(1.0, 2 * now), 2))
    return Knob("noise_scale", scale) if scale > config.noise_scale else None
