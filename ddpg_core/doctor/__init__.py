"""The training doctor: what goes wrong in a run, in plain words, with the numbers that show it and a knob to turn.

A pure function of the logs up to a moment and of the networks then. Thresholds were set on runs of the presets and of
`fast` with one setting spoilt: healthy `fast` runs get no complaint after episode 20.
"""

from __future__ import annotations

import numpy as np

from ddpg_core.doctor.case import Case, regrets
from ddpg_core.doctor.checks import CHECKS, diverged, forgotten, no_complaint
from ddpg_core.doctor.findings import SEVERITIES, Finding, Knob
from ddpg_core.environment import Array
from ddpg_core.moments import Moment
from ddpg_core.run import Run

__all__ = ["SEVERITIES", "Finding", "Knob", "diagnose", "regrets"]


def diagnose(run: Run, moment: Moment, episode_regrets: Array | None = None) -> list[Finding]:
    """All findings about `run` at `moment` (from `run.at`), the worst first. Changes nothing.

    Args:
        run: Its logs beyond the moment are not looked at.
        moment: When.
        episode_regrets: `regrets` of episodes up to the moment, the last 20 at least, if they are at hand;
            computed otherwise, which takes the oracle (a third of a second, once) and some 20 ms.
    """
    case = Case(run, moment, episode_regrets)
    alone = diverged(case) or forgotten(case)
    if alone:
        return [alone]
    with np.errstate(over="ignore", invalid="ignore"):  # networks about to blow up are a finding, not an accident
        findings = [finding for check in CHECKS if (finding := check(case))]
        if all(finding.kind == "luck" for finding in findings):
            findings.append(no_complaint(case))
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
