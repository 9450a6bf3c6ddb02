"""Export as a recipe: the JSON from which this project trains exactly the same run again."""

from __future__ import annotations

from ddpg_core.export import Source


def write(source: Source) -> bytes:
    """The recipe of the run, interventions included, or of the one that trained the policy."""
    recipe = source.policy.card.recipe if source.run is None else source.run.recipe
    return recipe.to_json().encode()
