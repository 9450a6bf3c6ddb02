"""Export as a film: one episode rendered by pygame with its torque and return, in real time, as GIF or MP4."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ddpg_core.environment import ENVIRONMENTS, Array, Environment, pendulum_angles, start_states
from ddpg_core.export import Source
from ddpg_core.frames import pendulum_close_ups, render_states
from ddpg_core.policy import Policy
from ddpg_core.run import Run

GIF_PX: Final = 320
MP4_PX: Final = 480
"""Widths of the films."""
REST_MS: Final = 1000
"""How long a GIF rests on its last frame before it starts again."""
HANGING: Final = (np.pi, 0.0)
_COLOURS: Final = 48
_NEARLY_WHITE: Final = 248
_GROUND, _TEXT, _SOFT, _LINE, _ACTOR = (255, 255, 255), (28, 32, 41), (93, 98, 110), (222, 218, 207), (20, 120, 120)
Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Take:
    """One episode to be filmed; N its steps.

    Attributes:
        env_id: Where it happened.
        states: The simulator's states in which the actions were chosen [N, S].
        actions: As executed [N], in the environment's units.
        rewards: What they earned [N].
        title: What it is, in a few words.
    """

    env_id: str
    states: Array
    actions: Array
    rewards: Array
    title: str


def write(source: Source) -> bytes:
    """The episode of `source` as a GIF that plays for ever, at the environment's own speed.

    Raises:
        ValueError: The episode is not in the log.
    """
    return gif(take_of(source))


def write_mp4(source: Source) -> bytes:
    """The episode of `source` as an MP4 (H.264) film at the environment's own speed.

    Raises:
        ValueError: The episode is not in the log.
    """
    return mp4(take_of(source))


def take_of(source: Source) -> Take:
    """The logged episode that `source` names, or else its policy without noise: of the pendulum, from hanging."""
    if source.run is None or source.episode is None:
        return played(source.policy)
    return logged(source.run, source.episode)


def played(policy: Policy) -> Take:
    """An episode of the policy without noise, of the pendulum from hanging at rest, else from the first fixed start."""
    config = policy.card.config
    pendulum = config.env_id == "Pendulum-v1"
    start = np.array(HANGING) if pendulum else start_states(config, 1, policy.card.evaluation["seed"])[0]
    env = Environment(config, np.random.default_rng(0))
    obs, states, actions, rewards, done = env.reset(start), [], [], [], False
    while not done:
        states.append(env.state())
        actions.append(policy(obs))
        obs, reward, terminated, truncated = env.step(actions[-1])
        rewards.append(reward)
        done = terminated or truncated
    title = f"after episode {policy.card.episode}, without noise"
    return Take(config.env_id, np.array(states), np.array(actions)[:, 0], np.array(rewards), title)


def logged(run: Run, episode: int) -> Take:
    """A training episode (0-based) as it was executed, with noise; the one going on as far as it is.

    Raises:
        ValueError: Its steps are not in the log, or no longer, or not even the first is finite.
    """
    episodes, steps = run.logs.episodes, run.logs.steps
    if episode == run.episode:
        first, stop = run.env_steps - run.episode_steps, run.env_steps
    elif episodes.first <= episode < run.episode:
        first, length = (int(episodes.read(name, episode, episode + 1)[0]) for name in ("first_step", "length"))
        stop = first + length
    else:
        raise ValueError(f"episode must be in [{episodes.first}, {run.episode}], got {episode}")
    if not steps.first <= first < stop:
        raise ValueError(f"episode must be one whose steps are in the log, got {episode}")
    lost = ~np.isfinite(steps.rows(first, stop)).all(axis=1)
    stop = first + int(lost.argmax()) if lost.any() else stop  # a run that diverged ends in a step without a picture
    if first == stop:
        raise ValueError(f"episode must have steps of finite numbers, got {episode}")
    obs, actions, rewards = (steps.read(name, first, stop) for name in ("obs", "action", "reward"))
    env_id = run.config.env_id
    states = np.stack([pendulum_angles(obs), obs[:, 2]], axis=1) if env_id == "Pendulum-v1" else obs
    title = f"training episode {episode + 1}, with noise"
    return Take(env_id, states, actions, rewards, title)


# --- pictures ---------------------------------------------------------------------------------------------------------


def frames(take: Take, width_px: int) -> Frames:
    """The film's frames, RGB [N, height, width_px, 3]: each picture above a strip of numbers."""
    strips = np.array(list(_strips(take, width_px)), dtype=np.uint8)
    return np.concatenate([pictures(take, width_px), strips], axis=1)


def pictures(take: Take, width_px: int) -> Frames:
    """What pygame renders of each step, RGB [N, height, width_px, 3]."""
    if take.env_id == "Pendulum-v1":
        return pendulum_close_ups(take.states, take.actions, width_px)
    return _scaled(render_states(take.env_id, take.states), width_px)


def _strips(take: Take, width_px: int) -> Iterator[Frames]:
    """Under each picture: title and step, return so far and action, and a line of time [height, width_px, 3]."""
    import pygame

    pygame.font.init()
    unit = width_px / 320
    small, large = (pygame.font.Font(None, round(size * unit)) for size in (18, 26))
    name, of = ("torque", " N·m") if take.env_id == "Pendulum-v1" else ("force", "")
    returns = np.cumsum(take.rewards)
    count = len(take.rewards)
    for step, (action, total) in enumerate(zip(take.actions.tolist(), returns.tolist(), strict=True)):
        strip = pygame.Surface((width_px, 2 * round(32 * unit)))
        strip.fill(_GROUND)

        def write(font: Any, text: str, colour: Any, y: float, right: bool, strip: Any = strip) -> None:
            label = font.render(text.replace("-", "−"), True, colour)
            x = width_px - 12 * unit - label.get_width() if right else 12 * unit
            strip.blit(label, (x, y * unit))

        write(small, take.title, _SOFT, 4, False)
        write(small, f"{step + 1} / {count}", _SOFT, 4, True)
        write(large, f"return {total:.0f}", _TEXT, 27, False)
        write(large, f"{name} {action:+.2f}{of}", _ACTOR, 27, True)
        done = round(width_px * (step + 1) / count)
        for colour, length in ((_LINE, width_px), (_SOFT, done)):
            pygame.draw.rect(strip, colour, (0, strip.get_height() - round(4 * unit), length, round(4 * unit)))
        yield pygame.surfarray.array3d(strip).swapaxes(0, 1)


def _scaled(rendered: Frames, width_px: int) -> Frames:
    """The same pictures, `width_px` wide and of an even height."""
    from PIL import Image

    height_px = round(rendered.shape[1] * width_px / rendered.shape[2] / 2) * 2
    size = (width_px, height_px)
    return np.array([Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS) for picture in rendered], np.uint8)


# --- files ------------------------------------------------------------------------------------------------------------


def gif(take: Take, width_px: int = GIF_PX) -> bytes:
    """A GIF with one palette for all frames, so that only what moves is stored."""
    from PIL import Image

    shown = frames(take, width_px)
    sample = np.concatenate(shown[:: max(1, len(shown) // 8)])
    palette = Image.fromarray(sample).quantize(_COLOURS)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colours[colours.min(axis=1) >= _NEARLY_WHITE] = 255  # a ground that is almost white shows on a white slide
    palette.putpalette(colours.tobytes())
    first, *rest = (Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in shown)
    every_ms = round(100 / ENVIRONMENTS[take.env_id].steps_per_second) * 10
    durations = [every_ms] * len(rest) + [REST_MS]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    return file.getvalue()


def mp4(take: Take, width_px: int = MP4_PX) -> bytes:
    """An MP4 that any player and slide program shows."""
    import av

    shown = frames(take, width_px)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=ENVIRONMENTS[take.env_id].steps_per_second)
        stream.height, stream.width = shown.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # One thread and no processor's own rounding, or else equal films would not be equal files.
        stream.options = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": "cpu-independent=1"}
        for picture in shown:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()
