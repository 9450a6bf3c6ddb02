"""Labs whose worker threads end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pages.ui.kernel import Kernel
from pages.ui.lab import Lab
from tests.ui.helpers import stopped


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The Labs' compiled engine: not there before a test fetches it, whatever was warmed up in the background."""
    own = Kernel()
    monkeypatch.setattr("pages.ui.lab.KERNEL", own)
    monkeypatch.setattr("pages.ui.frame.KERNEL", own)
    return own


@pytest.fixture
def make_lab() -> Iterator[Callable[[], Lab]]:
    """Makes Labs; when the test is over none of them trains."""
    labs: list[Lab] = []

    def make() -> Lab:
        labs.append(Lab())
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()
    assert all(map(stopped, labs))


@pytest.fixture
def lab(make_lab: Callable[[], Lab]) -> Lab:
    """An empty Lab."""
    return make_lab()
