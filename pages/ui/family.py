"""Which run on the stage left which: read off their recipes, since a branch shares its parent's past."""

from __future__ import annotations

from collections.abc import Sequence

from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui.player import Player


def parent_of(player: Player, players: Sequence[Player]) -> Player | None:
    """The run on the stage that a branch left; None for any other run, or where it is no longer on the stage.

    A run made before it, with the same recipe up to the episode where the branch begins, and of several such the
    nearest: they are equal up to there, bit for bit.
    """
    origin = player.origin
    if origin is None:
        return None
    older = [each for each in players if each.id < player.id and (each.origin is None or each.origin < origin)]
    same = [each for each in older if _begins_like(player.run.recipe, each.run, origin)]
    return max(same, key=lambda each: (-1 if each.origin is None else each.origin, -each.id), default=None)


def family_order(players: Sequence[Player]) -> list[tuple[Player, int]]:
    """All runs, each before its branches, and how many ancestors on the stage each has."""
    parents = {player.id: parent_of(player, players) for player in players}

    def under(parent: Player | None, generation: int) -> list[tuple[Player, int]]:
        own = [player for player in players if parents[player.id] is parent]
        return [line for player in own for line in ((player, generation), *under(player, generation + 1))]

    return under(None, 0)


def _begins_like(recipe: Recipe, run: Run, episode: int) -> bool:
    """Whether a recipe is a run's own for its first `episode` episodes; not where its log no longer tells their end."""
    try:
        step, _, _ = run.totals_at(episode)
    except ValueError:
        return False
    return recipe.until(step) == run.recipe.until(step)
