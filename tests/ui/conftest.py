"""Labs whose worker threads end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pages.ui.lab import Lab
from tests.ui.helpers import stopped


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
