from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pages.ui import registry as registry_module
from pages.ui.registry import Registry, ServerFullError
from tests.helpers import IDLE
from tests.ui.helpers import on_stage, stopped, take_to


class Browsers(set[str]):
    """The sessions that have a browser behind them, and the registry that asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(self.__contains__)

    def attach(self, token: str | None, session: str) -> tuple[str, registry_module.Lab]:
        self.add(session)
        return self.registry.attach(token, session)


@pytest.fixture
def browsers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browsers]:
    monkeypatch.setattr(registry_module, "HANDOVER_S", 0.1)
    browsers = Browsers()
    yield browsers
    for entry in browsers.registry._entries.values():
        entry.lab.close()
        assert stopped(entry.lab)


def test_a_reload_finds_its_lab_again(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "before")
    browsers.remove("before")
    assert browsers.attach(token, "after") == (token, lab)
    assert len(browsers.registry) == 1


def test_a_reload_waits_for_its_old_session_to_let_go(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "HANDOVER_S", 10.0)
    token, lab = browsers.attach(None, "before")
    threading.Timer(0.1, browsers.discard, ["before"]).start()
    assert browsers.attach(token, "after") == (token, lab)


def test_a_second_live_tab_with_the_same_address_gets_a_lab_of_its_own(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "tab")
    other_token, other = browsers.attach(token, "copy")
    assert other is not lab
    assert other_token != token
    assert browsers.attach(token, "tab") == (token, lab)


@pytest.mark.parametrize("token", [None, "", "forged", "../../etc/passwd", "ä" * 5000])
def test_an_unknown_token_gets_a_new_lab_under_a_token_that_cannot_be_guessed(
    browsers: Browsers, token: str | None
) -> None:
    first, lab = browsers.attach(None, "one")
    second, other = browsers.attach(token, "two")
    assert other is not lab
    assert second not in (first, token)
    assert min(len(first), len(second)) >= 22, "128 bits take 22 letters of base64"


def test_an_idle_lab_is_evicted_and_stops_training(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "one")
    player = on_stage(lab, IDLE, play=True)
    take_to(lab, player, 1)
    lab.last_seen = time.monotonic() - registry_module.IDLE_S - 1
    fresh, _ = browsers.attach(None, "two")
    assert set(browsers.registry._entries) == {fresh}
    assert not lab.playing
    assert stopped(lab)
    browsers.remove("one")
    assert browsers.attach(token, "three")[1] is not lab


def test_an_idle_lab_is_not_handed_back(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "one")
    browsers.remove("one")
    lab.last_seen = time.monotonic() - registry_module.IDLE_S - 1
    assert browsers.attach(token, "two")[1] is not lab


def test_a_lab_that_somebody_looks_at_is_not_idle(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "IDLE_S", 0.05)
    token, lab = browsers.attach(None, "one")
    time.sleep(0.1)
    lab.renew()
    browsers.attach(None, "two")
    assert token in browsers.registry._entries


def test_beyond_the_greatest_number_the_longest_unseen_lab_without_a_browser_goes(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "MAX_LABS", 3)
    tokens = [browsers.attach(None, f"session {number}")[0] for number in range(3)]
    browsers -= {"session 0", "session 1"}
    browsers.registry._entries[tokens[0]].lab.renew()
    tokens.append(browsers.attach(None, "newcomer")[0])
    assert list(browsers.registry._entries) == [tokens[0], tokens[2], tokens[3]]


def test_beyond_the_memory_allowed_the_longest_unseen_labs_without_a_browser_go(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = [browsers.attach(None, f"session {number}") for number in range(4)]
    for _, lab in labs:
        on_stage(lab, IDLE)
    monkeypatch.setattr(registry_module, "MAX_BYTES", int(2.5 * labs[0][1].nbytes))
    browsers -= {"session 0", "session 2", "session 3"}
    newcomer, _ = browsers.attach(None, "newcomer")
    assert list(browsers.registry._entries) == [labs[1][0], labs[3][0], newcomer]


def test_a_full_server_says_so_and_takes_nothing_from_those_who_are_there(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "MAX_LABS", 2)
    tokens = [browsers.attach(None, f"session {number}")[0] for number in range(2)]
    with pytest.raises(ServerFullError, match="2 labs are open"):
        browsers.attach(None, "newcomer")
    assert list(browsers.registry._entries) == tokens
    browsers.remove("session 0")
    assert browsers.attach(tokens[0], "session 0, reloaded")[0] == tokens[0]


def test_a_lab_that_its_session_still_holds_is_kept_again(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_LABS", 1)
    token, lab = browsers.attach(None, "one")
    browsers.remove("one")
    browsers.attach(None, "two")
    assert token not in browsers.registry._entries
    browsers.registry.keep(token, lab, "one")
    monkeypatch.setattr(registry_module, "MAX_LABS", 10)
    assert browsers.attach(token, "reloaded") == (token, lab)


def test_a_session_that_comes_back_does_not_get_a_lab_that_another_took_over(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "away")
    browsers.remove("away")
    browsers.attach(token, "another")
    browsers.add("away")
    assert not browsers.registry.keep(token, lab, "away")
    assert browsers.attach(token, "away")[1] is not lab


def test_keeping_a_lab_changes_nothing_while_it_is_there(browsers: Browsers) -> None:
    token, lab = browsers.attach(None, "one")
    browsers.registry.keep(token, lab, "one")
    assert browsers.registry._entries[token].owner == "one"
    assert len(browsers.registry) == 1


def test_registry_counts_the_labs_that_train(browsers: Browsers) -> None:
    labs = [browsers.attach(None, f"session {number}")[1] for number in range(3)]
    players = [on_stage(lab, IDLE, play=True) for lab in labs[:2]]
    assert browsers.registry.playing() == 2
    labs[0].pause(players[0].id)
    assert stopped(labs[0])
    assert browsers.registry.playing() == 1
    labs[1]._lease_until = 0.0
    assert stopped(labs[1])
    assert labs[1].playing
    assert browsers.registry.playing() == 0, "nobody looks at it any more"
