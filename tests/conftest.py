"""Settings of every test."""

import pytest
from hypothesis import HealthCheck, settings

# Cores are shared: how long an example takes says nothing about the code.
settings.register_profile("lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Spread files over processes, each file whole as its tests share fixtures; one process drives the browser."""
    group = "browser" if item.path.parent.name == "e2e" else item.path.stem
    item.add_marker(pytest.mark.xdist_group(group))
