from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.experiment import cells, compute_cell
from pages.ui import comparing
from pages.ui.comparing import Comparing, missing_of, offered
from pages.ui.kernel import Kernel
from pages.ui.lab import CORES, FairLock
from tests.helpers import IDLE
from tests.ui.helpers import eventually

PULLED = Change({"replay": "latest", "batch_size": 1}, episode=1)
SMALL_ONE = Comparison((Condition("kept", IDLE), Condition("pulled", IDLE, (PULLED,))), 2, (0, 1), starts=1)
"""Two conditions × two seeds that take a tenth of a second."""


@pytest.fixture(autouse=True)
def engine(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own engine, and nothing kept from before."""
    monkeypatch.setattr(comparing, "KERNEL", kernel)
    monkeypatch.setattr(comparing, "_kept", type(comparing._kept)())


def finished(found: Comparing) -> Comparing:
    assert eventually(lambda: not found.working)
    return found


def test_results_are_those_that_the_command_line_computes() -> None:
    found = finished(Comparing(SMALL_ONE, lambda: True))
    assert (len(found.results), found.share, found.problem) == (4, 1.0, "")
    for cell in cells(offered(SMALL_ONE)):
        assert found.results[cell.key] == compute_cell(cell)


def test_whoever_asks_next_has_the_results_at_once() -> None:
    first = finished(Comparing(SMALL_ONE, lambda: True))
    assert missing_of(SMALL_ONE, None) == 0
    again = Comparing(SMALL_ONE, lambda: True)
    assert not again.working
    assert again.results == first.results
    assert missing_of(replace(SMALL_ONE, seeds=(0, 1, 2)), None) == 2
    assert missing_of(replace(SMALL_ONE, episodes=3), None) == 4


def test_a_comparison_keeps_what_an_earlier_one_has_even_where_others_pushed_it_out() -> None:
    first = finished(Comparing(SMALL_ONE, lambda: True))
    comparing._kept.clear()
    assert missing_of(SMALL_ONE, first) == 0
    more = finished(Comparing(replace(SMALL_ONE, seeds=(1, 2)), lambda: True, first))
    assert more.results["kept", 1] is first.results["kept", 1]
    assert len(more.results) == 4


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_MOST_KEPT", 3)
    finished(Comparing(SMALL_ONE, lambda: True))
    assert len(comparing._kept) == 3


def test_stopped_or_unwanted_it_ends_without_a_fault_and_goes_on_later() -> None:
    stopped, alone = Comparing(replace(SMALL_ONE, episodes=2000), lambda: True), Comparing(SMALL_ONE, lambda: False)
    stopped.stop()
    for each in (stopped, alone):
        assert len(finished(each).results) < 4
        assert each.problem == ""
    assert len(finished(Comparing(SMALL_ONE, lambda: True, alone)).results) == 4


def test_it_works_only_while_it_holds_a_core_and_gives_it_back_between_episodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = FairLock(1)
    monkeypatch.setattr(comparing, "CORES", cores)
    cores.__enter__()
    found = Comparing(replace(SMALL_ONE, episodes=2000), lambda: True)
    assert not eventually(lambda: found.episodes, within_s=0.3)
    cores.__exit__()
    assert eventually(lambda: found.episodes)
    for _ in range(3):
        with cores:
            before = dict(found.episodes)
            assert not eventually(lambda before=before: found.episodes != before, within_s=0.05)
        assert eventually(lambda before=before: found.episodes != before)
    found.stop()
    finished(found)
    assert cores._free.acquire(timeout=5)
    cores._free.release()


def test_a_run_that_fails_is_told_and_the_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = comparing._keep

    def full(name: str, result: object) -> None:
        if len(comparing._kept) == 1:
            raise ValueError("no room")
        keep(name, result)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "_keep", full)
    found = finished(Comparing(SMALL_ONE, lambda: True))
    assert "no room" in found.problem
    assert found.results


def test_an_engine_that_is_not_there_is_refused_by_name_and_auto_is_what_there_is() -> None:
    fused = Condition("fused", IDLE.changed({"engine": "fused"}))
    with pytest.raises(ValueError, match="the fused engine is not there"):
        Comparing(Comparison((fused,), 1, (0,)), lambda: True)
    (condition,) = offered(Comparison((Condition("auto", IDLE.changed({"engine": "auto"})),), 1, (0,))).conditions
    assert condition.config.engine == "torch"


def test_cores_are_free_when_all_is_over() -> None:
    finished(Comparing(SMALL_ONE, lambda: True))
    assert eventually(lambda: not any(thread.name.startswith("comparing") for thread in threading.enumerate()))
    assert CORES._free._value == CORES._free._initial_value  # type: ignore[attr-defined]
