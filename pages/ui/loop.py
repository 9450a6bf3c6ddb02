"""The five parts of the DDPG loop with their numbers of this moment, for the picture on Home."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddpg_core.environment import pendulum_angles
from ddpg_core.moments import Moment
from ddpg_core.run import Run
from pages.ui.curves import binned
from pages.ui.player import Player
from pages.ui.theme import ROLES, minus

_NAMES = {
    "environment": ("Environment", "Pendulum", "moves the pendulum, pays a reward"),
    "replay": ("Replay buffer", "Replay", "remembers what happened"),
    "critic": ("Critic Q(s, a)", "Critic", "learns how good an action is"),
    "actor": ("Actor μ(s)", "Exploration", "learns which action to take"),
    "targets": ("Target networks", "One update", "slow copies that steady the goal"),
}


def loop_parts(player: Player | None, moment: Moment | None) -> list[dict[str, Any]]:
    """The boxes of the picture; call it while `Lab.reading()`. Without a run, each says what it is for."""
    live = _numbers(player.run, moment) if player and moment else {}
    return [
        {
            "part": part,
            "name": name,
            "page": page,
            "colour": ROLES["critic_target" if part == "targets" else part],
            "number": live.get(part, ("", purpose, []))[0],
            "note": live.get(part, ("", purpose, []))[1],
            "course": live.get(part, ("", purpose, []))[2],
            "angle": _angle(player, moment),
        }
        for part, (name, page, purpose) in _NAMES.items()
    ]


def _numbers(run: Run, moment: Moment) -> dict[str, tuple[str, str, list[float]]]:
    """Number, note and recent course of each part."""
    config, logs = moment.config, run.logs
    online = np.concatenate([moment.actor, moment.critic])
    target = np.concatenate([moment.actor_target, moment.critic_target])
    lag = float(np.linalg.norm(online - target) / (np.linalg.norm(online) + 1e-12))
    drawn = {"uniform": f"{config.batch_size} drawn at random", "latest": f"newest {config.batch_size} only"}
    returns = logs.episodes.read("episode_return", moment.episode - 30, moment.episode)
    last = f"last return {returns[-1]:.0f}" if len(returns) else "first episode"
    first = moment.updates - 4000
    recent = binned(logs.updates.rows(first, moment.updates), 30, max(first, logs.updates.first))
    recent = recent[np.isfinite(recent).all(axis=1)]  # JSON has no NaN: a run that diverged ends in one
    course = {name: recent[:, part.start].tolist() for name, part in logs.updates.slices.items()}
    numbers = {
        "environment": (f"episode {moment.episode + 1}", minus(last), returns.tolist()),
        "replay": (f"{moment.env_steps - moment.window_first:,}", f"transitions kept, {drawn[config.replay]}", []),
        "targets": (f"{lag:.1%}".replace("%", " %"), f"behind; move {config.tau:.3g} of the way per update", []),
    }
    if moment.updates > logs.updates.first:
        loss, saturated, value = (
            float(logs.updates.read(name, moment.updates - 1, moment.updates)[0])
            for name in ("critic_loss", "saturation", "q_mean")
        )
        numbers["critic"] = (f"loss {loss:.3g}", "of its last batch", course["critic_loss"])
        numbers["actor"] = (
            minus(f"Q {value:.4g}"),
            f"expected, {saturated:.0%} saturated",
            course["q_mean"],
        )
    else:
        wait = max(0, config.warmup_steps - moment.env_steps)
        why = f"learns in {wait} steps" if config.updates_per_step else "no updates per step: learning is off"
        numbers["critic"] = numbers["actor"] = ("waiting", why, [])
    return numbers


def _angle(player: Player | None, moment: Moment | None) -> float | None:
    """The pendulum's angle then in rad; hanging down before a run, None in another environment or if it diverged."""
    if player is None or moment is None:
        return float(np.pi)
    if moment.config.env_id != "Pendulum-v1":
        return None
    obs = player.run.logs.steps.read("next_obs", moment.env_steps - 1, moment.env_steps)
    angle = float(pendulum_angles(obs)[0]) if len(obs) else float(np.pi)
    return angle if np.isfinite(angle) else None
