"""A real Dask cluster on this machine: a scheduler and two worker processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import LocalCluster

from ddpg_core.__main__ import main
from ddpg_core.cluster import cluster_executor, local_executor
from ddpg_core.conditions import Comparison, Condition
from ddpg_core.experiment import cells, compute_cells
from tests.helpers import SMALL
from tests.test_compare import contents

CONDITIONS = (Condition("one", SMALL), Condition("other", SMALL.changed({"tau": 0.5})))
COMPARISON = Comparison(CONDITIONS, 10, tuple(range(4)), starts=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


def test_a_worker_killed_half_way_loses_nothing_and_results_are_the_same_bytes(cluster: LocalCluster) -> None:
    with local_executor() as executor:
        expected = {result.key: result.to_json() for result in compute_cells(cells(COMPARISON), executor)}
    pids = [nanny.pid for nanny in cluster.workers.values()]
    results = {}
    with cluster_executor(cluster.scheduler_address) as executor:
        for result in compute_cells(cells(COMPARISON), executor):
            if not results:
                os.kill(pids[0], signal.SIGKILL)
            results[result.key] = result.to_json()
    assert results == expected
    assert pids[0] not in [nanny.pid for nanny in cluster.workers.values()]


def test_cluster_is_reached_from_a_thread_that_runs_an_event_loop_as_a_notebook_does(cluster: LocalCluster) -> None:
    async def cell() -> int:
        with cluster_executor(cluster.scheduler_address) as executor:
            return executor.submit(abs, -3).result(30)

    with ThreadPoolExecutor(1) as notebook:
        assert notebook.submit(asyncio.run, cell()).result() == 3


def test_command_on_a_cluster_writes_the_same_files_as_without(
    cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.json").write_text('[{"name": "a", "set": {"hidden": [8]}}, {"name": "b", "set": {"hidden": [4]}}]')
    start = ["compare", str(tmp_path / "two.json"), "--seeds", "2", "--episodes", "1", "--out"]
    assert main([*start, str(tmp_path / "threads")]) == 0
    capsys.readouterr()
    assert main([*start, str(tmp_path / "cluster"), "--cluster", cluster.scheduler_address]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[0] == f"2 workers on {cluster.scheduler_address}"
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")


def test_cluster_that_goes_away_half_way_is_one_clear_line_and_results_so_far_were_given() -> None:
    short_lived, results = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0"), []

    def compute() -> None:
        with cluster_executor(short_lived.scheduler_address) as executor:
            for result in compute_cells(cells(COMPARISON), executor):
                if not results:
                    short_lived.close()
                results.append(result)

    with (
        short_lived,
        pytest.raises(ValueError, match=r"of the runs failed, first .+ run it again to compute only these$"),
    ):
        compute()
    assert 1 <= len(results) < len(cells(COMPARISON))


def silent() -> socket.socket:
    """Something that listens and never says a word."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "here", "", "tcp://127.0.0.1", "{silent}"])
def test_cluster_that_does_not_answer_is_one_clear_line(address: str) -> None:
    with silent() as listener:
        asked = address.format(silent=f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        message = (
            r"^--cluster must be the address of a Dask scheduler that answers within 0.5 s, like tcp://scheduler:8786"
        )
        with pytest.raises(ValueError, match=message), cluster_executor(asked, timeout_s=0.5):
            pass


def test_address_of_a_worker_is_not_that_of_a_scheduler(cluster: LocalCluster) -> None:
    worker = next(iter(cluster.workers.values())).worker_address
    with (
        pytest.raises(ValueError, match=r"must be the address of a Dask scheduler .+ \(Worker\)$"),
        cluster_executor(worker),
    ):
        pass


def test_without_dask_a_clear_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = r"^--cluster needs Dask, which is not installed: pip install -e '\.\[cluster\]'$"
    with pytest.raises(ValueError, match=message), cluster_executor("tcp://127.0.0.1:9"):
        pass
