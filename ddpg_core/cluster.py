"""Executors on which the cells of a comparison run: threads of this process, or a Dask cluster (optional)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from ddpg_core.config import shown

CONNECT_S: Final = 10.0
"""How long a scheduler may take to answer."""


@contextmanager
def local_executor(workers: int | None = None) -> Iterator[Executor]:
    """Threads of this process, as many as it has cores by default.

    They take turns in Python and run at once in the compiled engine, which lets go of the interpreter's lock. Processes
    would each have to start Python and import everything first, longer than a short run takes.
    """
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), thread_name_prefix="cell") as executor:
        yield executor


@contextmanager
def cluster_executor(
    address: str, timeout_s: float = CONNECT_S, say: Callable[[str], None] = lambda text: None
) -> Iterator[Executor]:
    """The Dask cluster whose scheduler listens at `address`, like tcp://scheduler:8786.

    Workers need this package, and no folder in common with this process: results come back through the scheduler. Dask
    computes what a lost worker had begun again on another one. Leaving the context cancels what has not finished.

    Args:
        address: Of the scheduler.
        timeout_s: How long it may take to answer.
        say: Told how many workers there are; others may come later.

    Raises:
        ValueError: Dask isn't installed, or no scheduler answers at `address` within `timeout_s` seconds.
    """
    try:
        from distributed import Client
        from distributed.core import rpc
    except ImportError:
        raise ValueError("--cluster needs Dask, which is not installed: pip install -e '.[cluster]'") from None
    for name in ("distributed", "distributed.client"):  # what they would say, our own errors say in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)

    async def kind() -> str:
        async with rpc(address) as server:
            return str((await server.identity())["type"])

    async def asked() -> str:
        return await asyncio.wait_for(kind(), timeout_s)

    try:  # A Client that fails to connect fails once more, with a traceback, when it is collected: so ask first.
        with ThreadPoolExecutor(1) as thread:  # this one may run an event loop already, as a notebook's does
            answer = thread.submit(lambda: asyncio.run(asked())).result()
    except Exception as error:
        answer = type(error).__name__
    if answer != "Scheduler":
        raise ValueError(
            f"--cluster must be the address of a Dask scheduler that answers within {timeout_s:g} s, like "
            f"tcp://scheduler:8786, got {shown(address)} ({answer})"
        )
    client: Any = Client(address, timeout=timeout_s, set_as_default=False)
    with client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        say(f"{workers} workers on {address}" + ("" if workers else ": waiting for some to start"))
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
