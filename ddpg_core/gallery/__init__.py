"""The gallery: three small trained policies that come with the project, for demonstrations without any training.

`python -m ddpg_core.gallery` trains them and writes their files.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ddpg_core import policy_file
from ddpg_core.config import PRESETS
from ddpg_core.policy import Policy, policy_at
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run


@dataclass(frozen=True)
class Piece:
    """A policy of the gallery: what to say of it, and the run and episode it comes from.

    Attributes:
        title: A few words.
        note: One sentence.
        preset, seed: Of the run.
        episode: Episodes it had finished.
    """

    title: str
    note: str
    preset: str
    seed: int
    episode: int

    def train(self) -> Policy:
        """The policy, trained now: on one machine always the same."""
        run = Run(Recipe(PRESETS[self.preset], self.seed))
        run.advance(episodes=self.episode)
        return policy_at(run)


PIECES: Final[dict[str, Piece]] = {
    "fast": Piece("Trained", "64-64 units after 40 episodes: swings up and holds.", "fast", 9, 40),
    "halfway": Piece(
        "Half-way", "The same agent after 12 episodes: up from some starts, not from others.", "fast", 9, 12
    ),
    "small": Piece("Small", "The notebook's 8-8-8 units, put right, after 40 episodes.", "textbook", 1, 40),
}


def path_of(name: str) -> Path:
    """The file of a policy of the gallery."""
    return Path(__file__).parent / f"{name}.safetensors"


@functools.cache
def gallery() -> dict[str, Policy]:
    """The policies by name, from their files."""
    return {name: policy_file.from_bytes(path_of(name).read_bytes()) for name in PIECES}
