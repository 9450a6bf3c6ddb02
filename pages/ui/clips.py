"""Episodes of the step log as clips for the film: states, traces that share its time, and frames where needed."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ddpg_core.environment import ENVIRONMENTS, MAX_SPEED_RAD_S, MAX_TORQUE_NM, Array, pendulum_angles
from ddpg_core.frames import CELL_PX, CELL_UNITS, SHEET_FRAMES, render_states
from pages.ui import assets
from pages.ui.lab import Lab
from pages.ui.live import floats
from pages.ui.player import SPEEDS, Player
from pages.ui.theme import ROLES, minus

SETTLES_S: Final = 0.7
FRAMES_A_CLIP: Final = 40
FRAME_SIZE_PX: Final = (360, 240)
SHEET_SHARE: Final = 0.94
"""How much of the film's width a cell of the sheet takes."""


@dataclass(frozen=True)
class Trace:
    """One quantity over the steps of a clip; `around` where it is an angle that wraps."""

    name: str
    unit: str
    values: Array
    low: float
    high: float
    role: str
    digits: int = 2
    around: bool = False

    def packed(self) -> dict[str, Any]:
        """As the film component reads it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "values": floats(self.values),
            "length": len(self.values),
            "low": self.low,
            "high": self.high,
            "colour": ROLES[self.role],
            "digits": self.digits,
            "around": self.around,
        }


def watchable(player: Player) -> range:
    """Episodes whose steps are still in the log, the one going on included once it has a step."""
    run = player.run
    starts = run.logs.episodes.read("first_step")
    first = run.logs.episodes.first + int((starts < run.logs.steps.first).sum())
    return range(first, run.episode + (run.episode_steps > 0))


def newest(lab: Lab, player: Player) -> int | None:
    """The episode to show live: the one going on where training is slow enough to follow, else the last finished."""
    episodes = watchable(player)
    if not episodes:
        return None
    speed = SPEEDS[lab.speed]
    follow = not player.playing or (
        speed is not None and speed <= ENVIRONMENTS[player.run.config.env_id].steps_per_second
    )
    going_on = player.run.episode
    # A new episode is shown a refresh late, so that the film gets the last steps of the one before.
    settled = not player.playing or player.run.episode_steps > SETTLES_S * (speed or 0)
    if going_on in episodes and ((follow and settled) or len(episodes) == 1):
        return going_on
    return going_on - 1


@dataclass(frozen=True)
class Episode:
    """One episode copied out of the step log.

    Attributes:
        key: Tells it from other episodes of this Lab's runs.
        title, note: In words, for the film's corners.
        run: Id of the player.
        env_id: Its environment.
        finished: Whether it has ended.
        steps: How many it will have at most.
        columns: obs [N, O], action [N] and reward [N].
        marks: Steps within the episode at which settings changed.
    """

    key: str
    title: str
    note: str
    run: int
    env_id: str
    finished: bool
    steps: int
    columns: dict[str, Array]
    marks: tuple[int, ...] = ()


AT_REST: Final = Episode(
    key="rest",
    title="at rest",
    note="",
    run=-1,
    env_id="Pendulum-v1",
    finished=True,
    steps=2,
    columns={
        "obs": np.array([[-1.0, 0.0, 0.0]] * 2, np.float32),
        "action": np.zeros(2, np.float32),
        "reward": np.full(2, -(np.pi**2), np.float32),
    },
)
"""A pendulum hanging down: what the film shows before there is a run."""


def episode_of(player: Player, episode: int) -> Episode:
    """Copy an episode out of a run's log; call it while `Lab.reading()`."""
    run, log = player.run, player.run.logs.episodes
    finished = episode < run.episode
    start = int(log.read("first_step", episode, episode + 1)[0]) if finished else run.env_steps - run.episode_steps
    stop = start + int(log.read("length", episode, episode + 1)[0]) if finished else run.env_steps
    columns = {name: run.logs.steps.read(name, start, stop) for name in ("obs", "action", "reward")}
    total = float(columns["reward"].sum())
    return Episode(
        f"{player.id}:{run.recipe.seed}:{episode}",
        f"{player.label} · episode {episode + 1}",
        minus(f"return {total:.0f}" if finished else f"so far {total:.0f}"),
        player.id,
        run.config.env_id,
        finished,
        stop - start if finished else run.env.max_episode_steps,
        columns,
        tuple(item.step - start for item in run.recipe.interventions if start <= item.step < stop),
    )


def clip_of(episode: Episode) -> dict[str, Any]:
    """An episode as the film component reads it; renders frames where the environment needs them."""
    clip = {
        "id": episode.key,
        "run": episode.run,
        "title": episode.title,
        "note": episode.note,
        "finished": episode.finished,
        "steps": episode.steps,
        "marks": list(episode.marks),
    }
    if episode.env_id == "Pendulum-v1":
        return clip | {"traces": [trace.packed() for trace in _pendulum_traces(episode.columns)]}
    places = episode.columns["obs"][:, 0].astype(np.float64).round(2)
    every = 1
    while len(places) > FRAMES_A_CLIP * every:
        every *= 2
    return clip | {
        "traces": [trace.packed() for trace in _car_traces(episode.columns)],
        "frames": [_frame(episode.env_id, float(place)) for place in places[::every]],
        "every": every,
    }


def film_settings(env_id: str) -> dict[str, Any]:
    """What the film component must know of an environment, whatever the episode."""
    settings: dict[str, Any] = {"rate": ENVIRONMENTS[env_id].steps_per_second, "actor": ROLES["actor"]}
    settings["mark"] = ROLES["reference"]
    if env_id != "Pendulum-v1":
        return settings
    return settings | {
        "sheet": assets.sheet(),
        "frames": SHEET_FRAMES,
        "cell": CELL_PX,
        "share": SHEET_SHARE,
        "reach": SHEET_SHARE / CELL_UNITS,
        "limit": MAX_TORQUE_NM,
    }


def _pendulum_traces(columns: dict[str, Array]) -> list[Trace]:
    return [
        Trace("angle (0 = upright)", "rad", pendulum_angles(columns["obs"]), -np.pi, np.pi, "environment", around=True),
        Trace("angular velocity", "rad/s", columns["obs"][:, 2], -MAX_SPEED_RAD_S, MAX_SPEED_RAD_S, "environment"),
        Trace("torque", "N·m", columns["action"], -MAX_TORQUE_NM, MAX_TORQUE_NM, "actor"),
        Trace("reward", "per step", columns["reward"], -16.5, 0.5, "environment", digits=1),
    ]


def _car_traces(columns: dict[str, Array]) -> list[Trace]:
    return [
        Trace("position", "", columns["obs"][:, 0], -1.2, 0.6, "environment"),
        Trace("velocity", "per step", columns["obs"][:, 1], -0.07, 0.07, "environment", digits=3),
        Trace("force", "", columns["action"], -1.0, 1.0, "actor"),
        Trace("reward", "per step", columns["reward"], -0.1, 0.1, "environment", digits=3),
    ]


@functools.lru_cache(maxsize=1024)
def _frame(env_id: str, place: float) -> str:
    """The rendered frame of a car at `place` as a data URI; its speed is not in the picture."""
    from PIL import Image

    file = io.BytesIO()
    (picture,) = render_states(env_id, np.array([[place, 0.0]]))
    Image.fromarray(picture).resize(FRAME_SIZE_PX).save(file, "WEBP", quality=75)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
