"""The process-wide registry of Labs: a reload finds its Lab again under an unguessable token in the URL."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pages.ui.lab import Lab

IDLE_S: Final = 30 * 60.0
MAX_LABS: Final = 200
MAX_BYTES: Final = 2 << 30
HANDOVER_S: Final = 2.0
"""How long a reloaded page waits for its old session to let go of the Lab."""


class ServerFullError(RuntimeError):
    """No room for another Lab, and every one has a browser behind it."""


@dataclass
class _Entry:
    lab: Lab
    owner: str


class Registry:
    """Labs by token. Bounded in number, memory and idle time; two live sessions never share one.

    Args:
        is_active: Whether a session id still has a browser behind it.
    """

    def __init__(self, is_active: Callable[[str], bool]) -> None:
        self._is_active = is_active
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def attach(self, token: str | None, session: str) -> tuple[str, Lab]:
        """The Lab under `token`, if it is there and no other live session has it; otherwise a new one.

        Returns:
            Token and Lab.

        Raises:
            ServerFullError: A new Lab is needed and there is no room.
        """
        deadline = time.monotonic() + HANDOVER_S
        while (entry := self._entries.get(token or "")) and self._taken(entry, session):
            if time.monotonic() > deadline:
                token = None
                break
            time.sleep(0.05)
        with self._lock:
            self._drop_idle()
            entry = self._entries.get(token) if token else None
            if entry is None or self._taken(entry, session):
                self._make_room()
                token, entry = secrets.token_urlsafe(16), _Entry(Lab(), session)
                self._entries[token] = entry
            entry.owner = session
            entry.lab.last_seen = time.monotonic()
            assert token is not None
            return token, entry.lab

    def keep(self, token: str, lab: Lab, session: str) -> bool:
        """Register a Lab that a session still holds, should it have been evicted meanwhile.

        Returns:
            False if another live session took it over while this one was away.
        """
        with self._lock:
            entry = self._entries.setdefault(token, _Entry(lab, session))
            lab.last_seen = time.monotonic()
            self._drop_idle()
            if self._taken(entry, session):
                return False
            entry.owner = session
            return True

    def playing(self) -> int:
        """How many Labs are training."""
        return sum(entry.lab.training for entry in list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def _taken(self, entry: _Entry, session: str) -> bool:
        return entry.owner != session and self._is_active(entry.owner)

    def _drop_idle(self) -> None:
        """Drop the Labs that nobody has looked at for `IDLE_S`."""
        for token, entry in list(self._entries.items()):
            if time.monotonic() - entry.lab.last_seen > IDLE_S:
                self._drop(token)

    def _make_room(self) -> None:
        """Drop Labs without a browser, the longest unseen first, until the bounds allow one more."""
        total = sum(entry.lab.nbytes for entry in self._entries.values())
        for token, entry in sorted(self._entries.items(), key=lambda item: item[1].lab.last_seen):
            if self._is_full(total) and not self._is_active(entry.owner):
                total -= entry.lab.nbytes
                self._drop(token)
        if self._is_full(total):
            raise ServerFullError(f"{len(self._entries)} labs are open, which is all this server has room for")

    def _drop(self, token: str) -> None:
        self._entries.pop(token).lab.close()

    def _is_full(self, total_bytes: int) -> bool:
        return len(self._entries) >= MAX_LABS or total_bytes > MAX_BYTES
