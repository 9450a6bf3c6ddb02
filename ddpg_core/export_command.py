"""The command `python -m ddpg_core export`: a saved run's policy, recipe, film or report as a file, verified."""

from __future__ import annotations

import argparse
from pathlib import Path

from ddpg_core.checkpoint import write_whole
from ddpg_core.config import shown
from ddpg_core.export import CHECKED_OBSERVATIONS, FORMATS, Exported, Source, export
from ddpg_core.policy import best_episode, policy_at
from ddpg_core.run import Run


def export_run(run: Run, parsed: argparse.Namespace) -> int:
    """Run the command; the exit code.

    Args:
        run: What was saved.
        parsed: `format`, `episode` and `out` (a file, a folder, or None: the working folder).

    Raises:
        ValueError: Bad input, a missing package, or a file that doesn't do what the policy does.
    """
    policy = policy_at(run, _episode(run, parsed.episode))
    made = export(parsed.format, Source(policy, run))
    out = parsed.out or Path()
    path = out / made.name if out.is_dir() else out
    write_whole(path, made.data)
    card = policy.card
    print(f"wrote {path}: {FORMATS[parsed.format].label}, {len(made.data) / 1000:.0f} kB")
    print(f"policy after episode {card.episode}, return {card.evaluation['return_mean']:.1f} on fixed starts")
    if said := verified(made):
        print(said)
    return 0


def verified(made: Exported) -> str:
    """What was found when the file was loaded back, in a sentence; "" where it holds no policy."""
    if made.difference is None:
        return ""
    return f"loaded back: on {CHECKED_OBSERVATIONS:,} observations its actions differ by {made.difference:.1g} at most"


def _episode(run: Run, text: str) -> int | None:
    """The episode that was asked for: `best`, `last` or a number."""
    if text == "best":
        return best_episode(run)
    if text == "last":
        return None
    if not text.isdecimal() or len(text) > 20:
        raise ValueError(f"--episode must be best, last or a whole number, got {shown(text)}")
    return int(text)
