"""Episodes of the step log as clips for the film: traces of states, actions and rewards, and frames where needed."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ddpg_core.environment import ENVIRONMENTS, MAX_TORQUE_NM, Array
from ddpg_core.frames import CELL_PX, CELL_UNITS, SHEET_FRAMES, render_states
from pages.ui import assets
from pages.ui.lab import Lab
from pages.ui.player import SPEEDS, Player
from pages.ui.theme import ROLES, minus
from pages.ui.traces import car_traces, pendulum_traces

SETTLES_S: Final = 0.7
FRAMES_A_CLIP: Final = 40
FRAME_SIZE_PX: Final = (360, 240)
SHEET_SHARE: Final = 0.94
"""How much of the film's width a cell of the sheet takes."""


def watchable(player: Player) -> range:
    """Episodes whose steps are still in the log, the one going on included once it has a step."""
    run = player.run
    starts = run.logs.episodes.read("first_step")
    first = run.logs.episodes.first + int((starts < run.logs.steps.first).sum())
    return range(first, run.episode + (run.episode_steps > 0))


def pace(lab: Lab, player: Player) -> float | None:
    """Steps a second at which a live film follows a run as it trains; None where it is paused or too fast to watch."""
    speed = SPEEDS[lab.speed]
    slow = speed is not None and speed <= ENVIRONMENTS[player.run.config.env_id].steps_per_second
    return speed if player.playing and slow else None


def newest(lab: Lab, player: Player) -> int | None:
    """The episode to show live: the one going on where training is slow enough to follow, else the last finished."""
    episodes = watchable(player)
    if not episodes:
        return None
    speed = pace(lab, player)
    follow = not player.playing or speed is not None
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
        colour: The run's colour.
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
    colour: str
    env_id: str
    finished: bool
    steps: int
    columns: dict[str, Array]
    marks: tuple[int, ...] = ()


def at_rest(env_id: str) -> Episode:
    """What the film shows before there is a step: a pendulum hanging down, a car in its valley."""
    obs, reward = ([-1.0, 0.0, 0.0], -(np.pi**2)) if env_id == "Pendulum-v1" else ([-np.pi / 6, 0.0], 0.0)
    columns = {"obs": [obs] * 2, "action": [0.0] * 2, "reward": [reward] * 2}
    arrays = {name: np.array(values, np.float32) for name, values in columns.items()}
    return Episode(f"rest-{env_id}", "at rest", "", -1, ROLES["environment"], env_id, True, 2, arrays)


def on_screen(lab: Lab, player: Player) -> Episode | None:
    """The episode that the film shows: the one that ends at the cursor, or the newest; None where there is none.

    Call it while `Lab.reading()`.
    """
    number = newest(lab, player) if lab.cursor is None else lab.moment(player).episode - 1
    return episode_of(player, number) if number is not None and number in watchable(player) else None


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
        minus(f"return {total:.0f}" if finished else f"so far {total:.0f}") if np.isfinite(total) else "stopped",
        player.id,
        player.colour,
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
        "colour": episode.colour,
        "env_id": episode.env_id,
        "title": episode.title,
        "note": episode.note,
        "finished": episode.finished,
        "steps": episode.steps,
        "marks": list(episode.marks),
    }
    if episode.env_id == "Pendulum-v1":
        return clip | {"traces": [trace.packed() for trace in pendulum_traces(episode.columns)]}
    places = episode.columns["obs"][:, 0].astype(np.float64).round(2)
    every = 1
    while len(places) > FRAMES_A_CLIP * every:
        every *= 2
    return clip | {
        "traces": [trace.packed() for trace in car_traces(episode.columns)],
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


@functools.lru_cache(maxsize=1024)
def _frame(env_id: str, place: float) -> str:
    """The rendered frame of a car at `place` as a data URI; its speed is not in the picture."""
    from PIL import Image

    file = io.BytesIO()
    (picture,) = render_states(env_id, np.array([[place, 0.0]]))
    Image.fromarray(picture).resize(FRAME_SIZE_PX).save(file, "WEBP", quality=75)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
