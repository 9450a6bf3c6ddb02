"""How often pages refresh: at once for a few, so seldom for a class that it can train and answer."""

from __future__ import annotations

import pytest

from pages.ui import session
from pages.ui.frame import FRAME_EVERY_S
from pages.ui.lab import LEASE_S, Lab
from pages.ui.registry import Registry
from tests.helpers import IDLE
from tests.ui.helpers import on_stage


@pytest.mark.parametrize(
    ("training", "alone_s", "expected_s"),
    [(1, 0.5, 0.5), (3, 0.2, 0.2), (6, 0.5, 1.0), (12, 0.2, 0.8), (30, 0.5, 2.0), (30, 4.0, 16.0)],
)
def test_refreshes_slow_down_with_the_labs_that_train(
    monkeypatch: pytest.MonkeyPatch, training: int, alone_s: float, expected_s: float
) -> None:
    monkeypatch.setattr(Registry, "playing", lambda _: training)
    assert session.shared_s(alone_s) == pytest.approx(expected_s)
    assert session.shared_s(FRAME_EVERY_S) < LEASE_S / 2, "a late refresh still renews the lease"


def test_nothing_refreshes_while_a_lab_rests_or_shows_the_past() -> None:
    lab = Lab()
    player = on_stage(lab, IDLE)
    assert session.refresh_s(lab) is None
    lab.play(player.id)
    assert session.refresh_s(lab) == 0.5
    lab.cursor = 0
    assert session.refresh_s(lab) is None
    lab.close()
