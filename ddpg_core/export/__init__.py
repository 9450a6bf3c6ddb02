"""Exports: a policy or a run as a file that works elsewhere, loaded back and compared before it is offered.

A module a format. Each has `write(source)`; those with a policy in the file also have
`largest_difference(data, policy, observations)`. Heavy libraries are imported by their functions only.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np

from ddpg_core.environment import Array
from ddpg_core.policy import Policy, file_stem
from ddpg_core.run import Run

CHECKED_OBSERVATIONS: Final = 1_000
TOLERANCE: Final = 1e-3
"""The largest difference of an action, as a share of the actor's largest output, with which a file is offered."""
TRACING: Final = threading.Lock()
"""Held by whoever uses torch modules: tracing one changes how all are called, and torch can trace but one at a time."""


@dataclass(frozen=True)
class Source:
    """What a file is made of.

    Attributes:
        policy: The policy, with its card.
        run: The run that trained it, or None where only the policy is known (an imported one, one of the gallery).
        episode: The logged episode that a film shows (0-based); None: the policy from a fixed start, without noise.
    """

    policy: Policy
    run: Run | None = None
    episode: int | None = None


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: As on the command line.
        label: As on the page.
        suffix: End of the file's name.
        works_in: Where it works, in one phrase.
        module: The module of `ddpg_core.export` that writes it, by its function `function`.
        extra: The optional extra of this project that brings `packages`, or "".
        packages: Modules needed besides those of the project.
        has_policy: Whether the file holds a policy, which is then compared.
        needs_run: Whether a policy without its run is too little.
        function: Writes the file.
    """

    name: str
    label: str
    suffix: str
    works_in: str
    module: str
    extra: str = ""
    packages: tuple[str, ...] = ()
    has_policy: bool = True
    needs_run: bool = False
    function: str = "write"

    def missing(self) -> str | None:
        """What to do to have this format, in one sentence; None if nothing is missing."""
        absent = [package for package in self.packages if importlib.util.find_spec(package) is None]
        if not absent:
            return None
        return f"{self.label} needs {' and '.join(absent)}: python -m pip install '.[{self.extra}]'"

    def write(self, source: Source) -> bytes:
        """The bytes of the file; equal for equal sources.

        Raises:
            ValueError: A package is missing, or the source can't be written in this format.
        """
        if absent := self.missing():
            raise ValueError(absent)
        if self.needs_run and source.run is None:
            raise ValueError(f"{self.label} needs the run that trained the policy, got the policy alone")
        data: bytes = getattr(self._loaded(), self.function)(source)
        return data

    def largest_difference(self, data: bytes, policy: Policy, observations: Array) -> float | None:
        """The largest difference of an action of the file, run in its own runtime, from `policy`'s; None without one.

        Args:
            data: What `write` gave.
            policy: What it was written from.
            observations: [N, O] float32.
        """
        if not self.has_policy:
            return None
        return float(self._loaded().largest_difference(data, policy, observations))

    def _loaded(self) -> Any:
        return importlib.import_module(f"ddpg_core.export.{self.module}")


FORMATS: Final[dict[str, Format]] = {
    item.name: item
    for item in (
        Format(
            "onnx",
            "ONNX",
            ".onnx",
            "onnxruntime, in any language",
            "onnx_file",
            extra="onnx",
            packages=("onnx", "onnxruntime"),
        ),
        Format("torch", "PyTorch", "-torch.zip", "PyTorch: safetensors with a loader, and torch.export", "torch_file"),
        Format("numpy", "NumPy", ".py", "Python with NumPy alone; run it to see an episode", "numpy_file"),
        Format(
            "sb3",
            "Stable-Baselines3",
            "-sb3.zip",
            "Stable-Baselines3, by DDPG.load",
            "sb3_file",
            extra="sb3",
            packages=("stable_baselines3",),
        ),
        Format("html", "Web page", ".html", "any browser, offline; drag the pendulum", "html_page"),
        Format(
            "recipe", "Recipe", ".json", "this lab: it trains exactly this run again", "recipe_file", has_policy=False
        ),
        Format("film", "Film (GIF)", ".gif", "slides, chats and web pages", "film", has_policy=False),
        Format(
            "mp4",
            "Film (MP4)",
            ".mp4",
            "video players and slides",
            "film",
            extra="film",
            packages=("av",),
            has_policy=False,
            function="write_mp4",
        ),
        Format(
            "report", "Report", "-report.html", "a hand-in, in any browser", "report", has_policy=False, needs_run=True
        ),
    )
}


@dataclass(frozen=True)
class Exported:
    """A file that was written and, if it holds a policy, loaded back and compared.

    Attributes:
        name: What the file is called.
        data: Its bytes.
        difference: The largest difference of an action on `CHECKED_OBSERVATIONS` observations, in the environment's
            units; None where the file holds no policy.
    """

    name: str
    data: bytes
    difference: float | None


def export(name: str, source: Source) -> Exported:
    """Write a file of format `name`, and hold it to the policy in its own runtime.

    Raises:
        ValueError: No such format, a package is missing, or the file doesn't do what the policy does.
    """
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    kind, policy = FORMATS[name], source.policy
    data = kind.write(source)
    difference = kind.largest_difference(data, policy, check_observations(policy))
    if difference is not None and not difference <= TOLERANCE * float(np.abs(policy.action_scale).max()):
        raise ValueError(f"{kind.label} must act as the policy does, got actions that differ by {difference:.2g}")
    return Exported(file_stem(policy) + kind.suffix, data, difference)


def check_observations(policy: Policy) -> Array:
    """The observations on which files are compared [N, O] float32, all over the environment's observation space."""
    space = gymnasium.make(policy.card.config.env_id, disable_env_checker=True).observation_space
    assert isinstance(space, gymnasium.spaces.Box)
    rng = np.random.default_rng(0)
    return rng.uniform(space.low, space.high, (CHECKED_OBSERVATIONS, *space.shape)).astype(np.float32)
