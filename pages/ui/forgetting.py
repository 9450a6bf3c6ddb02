"""The experiment of the Forgetting page: a trained run, and branches of it that learn from less and less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ddpg_core.config import PRESETS
from ddpg_core.recipe import Recipe
from pages.ui.family import parent_of
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.player import Player

ENV_ID: Final = "Pendulum-v1"
PREPARED: Final = 40
"""Episodes after which preset `fast` has learned."""
LEAST: Final = 10
"""A run of fewer episodes has too little to forget."""
MORE: Final = 20
"""Episodes that branches are trained on."""


class Kind(NamedTuple):
    """A way to go on from a trained run: its name on the page, and the settings that change."""

    name: str
    changes: Mapping[str, Any]


KINDS: Final = {
    "kept": Kind("replay kept", {}),
    "newest": Kind("newest transition only", {"replay": "latest", "batch_size": 1}),
    **{str(size): Kind(f"window of {size}", {"capacity": size}) for size in (8, 32, 128)},
}
SCRATCH: Final = "from scratch, no replay"
SUGGESTED: Final = ("kept", "newest")


def is_scratch(player: Player) -> bool:
    """Whether a run never had replay, so that it never had anything to forget."""
    config = player.run.recipe.config
    return player.origin is None and (config.replay, config.batch_size) == ("latest", 1)


def trunk_of(lab: Lab) -> Player | None:
    """The trained run in question: the selected one, the one it left, or the longest of the others if it had no replay.

    Call it while `Lab.reading()`.
    """
    selected = lab.selected
    if selected is None:
        return None
    if not is_scratch(selected):
        return parent_of(selected, lab.players) or selected
    others = [each for each in choices(lab) if each.origin is None and not is_scratch(each)]
    return max(others, key=lambda each: each.run.episode, default=selected)


def choices(lab: Lab) -> list[Player]:
    """The runs that can be branched here."""
    return [each for each in lab.players if each.run.config.env_id == ENV_ID]


def branches_of(lab: Lab, trunk: Player) -> list[Player]:
    """The branches of a run that left it together: with the selected one, or the newest. While `Lab.reading()`."""
    own = [each for each in lab.players if parent_of(each, lab.players) is trunk and not each.returning]
    if not own:
        return []
    lead = lab.selected if lab.selected in own else own[-1]
    return [each for each in own if lead and each.origin == lead.origin]


def name_of(branch: Player) -> str:
    """What a branch does differently from its parent, in the words of the page. Call it while `Lab.reading()`."""
    if is_scratch(branch):
        return SCRATCH
    changed = branch.run.config.difference(branch.run.at(branch.origin).config)
    changed.pop("engine", None)
    return next((kind.name for kind in KINDS.values() if dict(kind.changes) == changed), branch.label)


def branch_points(player: Player) -> list[int]:
    """Episodes after which a run can be branched at once: its state was kept, and its replay window is still there.

    Call it while `Lab.reading()`.
    """
    oldest = player.run.logs.steps.first
    return [kept.episode for kept in player.run.snapshots if kept.episode and kept.counters["window_first"] >= oldest]


def room(lab: Lab) -> int:
    """How many runs the stage still takes."""
    return MAX_RUNS - len(lab.players)


def prepare(lab: Lab) -> None:
    """Put a run of preset `fast` on the stage and train it until it has learned."""
    config = PRESETS["fast"]
    player = lab.add(Recipe(config, lab.next_seed(config)))
    if player:
        lab.hurry(player.id, PREPARED)


def branch_out(lab: Lab, trunk: Player, episode: int, kinds: Sequence[str], *, scratch: bool) -> None:
    """Branch a run in several ways after `episode` episodes and train all branches on for `MORE`, in step."""
    lab.pause(trunk.id)
    made: list[Player] = []
    for kind in kinds:
        branch = lab.branch(trunk.id, episode, KINDS[kind].changes, play=False)
        if branch:
            made.append(branch)
    fresh = lab.add(Recipe(PRESETS["no_replay"], trunk.run.recipe.seed)) if scratch else None
    if fresh:
        lab.play(fresh.id, episode + MORE)
    if made:
        lab.select(made[-1].id)
        play_on(lab, made, episode + MORE)


def play_on(lab: Lab, branches: Sequence[Player], until_episode: int) -> None:
    """Train branches to the same episode, in step."""
    lab.abreast = frozenset(each.id for each in branches)
    for each in branches:
        lab.play(each.id, until_episode)
