"""What the Export page says of a policy and of its files, as Markdown; text from files is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ddpg_core.config import format_value
from ddpg_core.export import CHECKED_OBSERVATIONS, Exported, Format
from ddpg_core.policy import STARTS, STARTS_SEED, Card
from ddpg_core.recipe import preset_of
from pages.ui.export_look import Look
from pages.ui.theme import minus, verdict
from pages.ui.words import plain, raised, settings_in_words

MOST_SETTINGS: Final = 6
CHECK_WORDS: Final = (
    f"Before it is offered, each file with a policy is loaded back and its actions are compared on "
    f"{CHECKED_OBSERVATIONS:,} observations."
)


def title_words(look: Look) -> str:
    """Which policy this is: of what, and after how many episodes."""
    count = look.policy.card.episode
    return f"{plain(look.label)}, after {count:,} episode{'' if count == 1 else 's'}"


def facts(look: Look) -> list[tuple[str, str, str]]:
    """(label, value, a word on it) of the numbers that matter."""
    card, score = look.policy.card, look.policy.card.evaluation
    spread = f"± {score['return_std']:.0f}"
    word = verdict(score["return_mean"], card.config)
    found = [("return without noise", minus(f"{score['return_mean']:.0f}"), f"{spread}, {word}" if word else spread)]
    if score["regret_mean"] is not None:
        found.append(("regret", minus(f"{_rounded(score['regret_mean'])}"), "below a near-optimal policy"))
    size = format_value(look.policy.net.sizes)
    return [*found, ("weights of the actor", f"{look.policy.net.parameter_count:,}", f"{size} units")]


def recipe_words(card: Card) -> str:
    """The recipe in words: preset and differences, seed, episodes, knobs turned."""
    preset, changed = preset_of(card.recipe.config)
    changed.pop("engine", None)
    differences = settings_in_words(changed)
    if len(differences) > MOST_SETTINGS:
        rest = len(differences) - MOST_SETTINGS
        differences = [*differences[:MOST_SETTINGS], f"{rest} more"]
    words = f"Recipe: preset **{preset}**" + (f" with {', '.join(differences)}" if differences else "")
    words += f"; seed {card.recipe.seed}; {card.episode:,} episodes ({card.env_steps:,} steps)"
    turned = sum(item.step < card.env_steps for item in card.recipe.interventions)
    if turned:
        words += f"; settings changed {'once' if turned == 1 else f'{turned} times'} on the way"
    return f"{words}."


def score_words(look: Look) -> str:
    """What the numbers are of."""
    words = f"Return and regret: means of {STARTS} fixed starts."
    if look.film.env_id == "Pendulum-v1":
        words += " The film begins hanging at rest, from where less can be had."
    return words


def claim_words(look: Look) -> str:
    """Whether the evaluation that a file names is what it does here; "" for a run's policy."""
    claimed, found = look.claimed, look.policy.card.evaluation
    if claimed is None:
        return ""
    said = minus(f"{claimed['return_mean']:.1f}")
    if (claimed["episodes"], claimed["seed"]) != (STARTS, STARTS_SEED):
        return f"Its card says {said}, from other starts than these."
    if abs(claimed["return_mean"] - found["return_mean"]) < 0.05:
        return f"Its card says the same: {said}."
    here = minus(f"{found['return_mean']:.1f}")
    return f"Its card says {said}; here it is {here}."


def again_words(apart: float) -> str:
    """How a run that was trained after a file compares with it."""
    if not apart:
        return "Trained again from its recipe: exactly the policy of the file, now with its critic and replay buffer."
    return (
        f"Trained again from its recipe: actions differ from the file's by {small(apart)} at most. Another machine, "
        "engine or version rounds differently, and learning makes small differences large."
    )


def row_words(kind: Format, made: Exported | None, unit: str) -> str:
    """A format and where it works; of a file its size and what was found when it was loaded back."""
    size = f" :small[{size_words(len(made.data))}]" if made else ""
    words = f"**{kind.label}**{size}  \n:small[{kind.works_in}]"
    if not kind.has_policy:
        return words
    if made is None or made.difference is None:
        return f"{words}  \n:small[not checked yet]"
    return f"{words}  \n:small[:material/check: {difference_words(made.difference, unit)}]"


def missing_words(kind: Format, missing: str) -> str:
    """A format whose library isn't there, and how to get it."""
    reason, _, command = missing.partition(": ")
    return f"**{kind.label}**  \n:small[{reason}, which are not installed:]  \n`{command}`"


def difference_words(difference: float, unit: str) -> str:
    """The largest difference of a file's actions."""
    return f"differs by at most {small(difference)}{unit}" if difference else "no difference"


def small(value: float) -> str:
    """A number that is not negative, a small one with a power of ten: 2.5·10⁻⁶."""
    if not value or value >= 0.01:
        return f"{value:.2g}"
    power = math.floor(math.log10(value))
    return f"{value / 10**power:.1f}·10{raised(power)}"


def size_words(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(count / 1e3, 0.1):.{0 if count >= 1e4 else 1}f} kB"


def gallery_words(card: Card) -> str:
    """A policy of the gallery in a few numbers."""
    score: Mapping[str, Any] = card.evaluation
    return minus(f"return **{score['return_mean']:.0f}**, {verdict(score['return_mean'], card.config)}")


def _rounded(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"
