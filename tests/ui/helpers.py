"""What the dashboard's tests share: waiting with a deadline, runs on a stage, and the data that a page sends out."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from ddpg_core.config import Config
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui.lab import Lab
from pages.ui.player import Player
from tests.helpers import SMALL, trained

ROOT = Path(__file__).parents[2]
BUSY_S = 20.0
"""How long anything may take on a busy machine before a test gives up on it."""


def opened(lab: Lab, page: str = "home") -> AppTest:
    """A page of the app in a browser session that has `lab`."""
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    at.session_state["lab"], at.session_state["token"] = lab, "token"
    return turn(at.run(), page)


def turn(at: AppTest, page: str) -> AppTest:
    """Go to another page of the same session."""
    at.switch_page(f"pages/{page}_page.py").run()
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> AppTest:
    """Press a button of the page."""
    at.button(key=key).click().run()
    assert not at.exception
    return at


def keys(at: AppTest) -> set[str]:
    """The keys of all buttons on the page."""
    return {str(button.key) for button in at.button}


def eventually(condition: Callable[[], Any], within_s: float = BUSY_S) -> bool:
    """Whether `condition` comes true before the deadline; looks every 5 ms."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def stopped(lab: Lab) -> bool:
    """Whether the Lab's worker thread ends."""
    worker = lab._worker
    if worker is not None:
        worker.join(BUSY_S)
    return worker is None or not worker.is_alive()


def on_stage(lab: Lab, config: Config, seed: int = 0, *, play: bool = False) -> Player:
    """A new run in the Lab."""
    player = lab.add(Recipe(config, seed), play=play)
    assert player is not None
    return player


def shown(run: Run, number: int = 0) -> Player:
    """A run as charts and clips take it, outside any Lab."""
    return Player(number, run, "#0072B2")


def take_to(lab: Lab, player: Player, env_steps: int) -> None:
    """Wait until a playing run has taken so many steps."""
    assert eventually(lambda: player.run.env_steps >= env_steps), player.run.env_steps


def poison(run: Run) -> None:
    """Make a run diverge at its next step."""
    run.learner.actor[:] = np.nan


def diverged() -> Run:
    """A run that learned for some steps of its second episode and then diverged."""
    run = trained(300, SMALL.changed({"warmup_steps": 280}))
    poison(run)
    run.advance(steps=5)
    assert run.divergence
    return run


def unpacked(text: str) -> Any:
    """The float32 values of what `pages.ui.live.floats` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def strict_json(text: str) -> Any:
    """JSON as a browser reads it: without NaN and infinities."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"a browser cannot read {constant}")

    return json.loads(text, parse_constant=refuse)


def components(at: AppTest) -> Iterator[tuple[str, Any]]:
    """Name and data of each of our browser components on the page, as sent."""
    for element in at.get("bidi_component"):
        yield element.proto.component_name, strict_json(element.proto.json)


def component(at: AppTest, name: str) -> Any:
    """The data of the only component of that name."""
    (data,) = [data for found, data in components(at) if found == f"ddpg_{name}"]
    return data
