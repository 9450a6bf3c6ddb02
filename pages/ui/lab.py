"""The Lab: one browser session's runs, which one is selected, and the worker thread that trains those that play."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from ddpg_core.config import Config
from ddpg_core.moments import Moment
from ddpg_core.recipe import Intervention, Recipe
from ddpg_core.run import Run
from pages.ui.kernel import KERNEL
from pages.ui.player import SPEEDS, Player
from pages.ui.theme import RUN_COLOURS

MAX_RUNS: Final = len(RUN_COLOURS)
MAX_BYTES: Final = 256 << 20
LEASE_S: Final = 10.0
"""A page that is looked at renews the lease at every refresh; when it lapses, training rests."""
_LOG = logging.getLogger(__name__)


class FairLock:
    """Lets `places` in at once, and whoever waits before one who just was inside gets in again."""

    def __init__(self, places: int = 1) -> None:
        self._turn, self._free = threading.Lock(), threading.BoundedSemaphore(places)

    def __enter__(self) -> None:
        with self._turn:
            self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()


CORES: Final = FairLock(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""As many slices run at once, over all sessions, as there are cores."""


class Lab:
    """One browser session's runs. Public methods take the lock themselves; `reading()` holds it for a look.

    Attributes:
        speed: A name in `SPEEDS`, the pace of all runs.
        players: The runs on the stage, in the order they were made.
        cursor: The moment on screen: so many episodes finished, or None for live.
        notice: What the user should be told next, or "".
        abreast: Ids of runs that keep step while they play: none begins a slice while another of them is behind.
    """

    def __init__(self) -> None:
        self._lock = FairLock()
        self._worker: threading.Thread | None = None
        self._lease_until = 0.0
        self._made = 0
        self._selected: int | None = None
        self.last_seen = time.monotonic()
        self.speed = "flat out"
        self.players: list[Player] = []
        self.cursor: int | None = None
        self.notice = ""
        self.abreast: frozenset[int] = frozenset()

    # --- reading --------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold training while logs or networks are read; keep it short."""
        with self._lock:
            yield

    @property
    def selected(self) -> Player | None:
        """The run that pages show and the transport moves."""
        return next((player for player in self.players if player.id == self._selected), None)

    def past(self, player: Player) -> range:
        """The episodes that the cursor can go to: those of the run that are still in its log."""
        run = player.run
        dropped = run.logs.episodes.first
        return range(dropped + 1 if dropped else 0, run.episode + 1)

    def moment(self, player: Player) -> Moment:
        """The run as it is at the cursor, or at the nearest episode in its log; call it while `reading()`."""
        if self.cursor is None:
            return player.run.at()
        past = self.past(player)
        return player.run.at(min(max(self.cursor, past[0]), past[-1]))

    @property
    def playing(self) -> bool:
        """Whether any run is training."""
        return any(player.playing for player in self.players)

    @property
    def training(self) -> bool:
        """Whether the worker is at it: something plays and somebody looks."""
        return self._worker is not None

    @property
    def nbytes(self) -> int:
        """About how much memory the runs take."""
        return sum(player.run.nbytes for player in self.players)

    # --- the stage ------------------------------------------------------------------------------------------------

    def add(self, recipe: Recipe, *, play: bool = False) -> Player | None:
        """Put a new run on the stage and select it.

        Its engine `auto` is `torch` until the compiled one is there. None, with a notice, when the stage is full or
        the recipe asks for an engine that is not there.
        """
        try:
            run = Run(_offered(recipe))
        except ValueError as error:
            self.notice = f"This run cannot be made: {error}"
            return None
        with self._lock:
            player = self._put(run)
        if player and play:
            self.play(player.id)
        return player

    def branch(
        self, player_id: int, episode: int, changes: Mapping[str, Any] | None = None, *, play: bool = True
    ) -> Player | None:
        """Put a new run on the stage that shares a run's past up to `episode`, select it and train it on from there.

        Where the state of that episode was not kept, the run first trains its way there again, as fast as it goes.
        None, with a notice, when the stage is full or the past needed is no longer in the log.
        """
        origin = self._player(player_id)
        if origin is None:
            return None
        try:
            with self._lock:
                if self._full():
                    return None
                player = self._put(origin.run.begin_branch(episode, KERNEL.offered(changes or {})), episode)
        except ValueError as error:
            self.notice = f"{origin.label} cannot go on from there: {error}"
            return None
        if player and play:
            self.play(player.id)
        return player

    def _put(self, run: Run, origin: int | None = None) -> Player | None:
        """Put a run on the stage, select it and go live; None, with a notice, when the stage is full."""
        if self._full():
            return None
        used = {player.colour for player in self.players}
        player = Player(self._made, run, next(colour for colour in RUN_COLOURS if colour not in used), origin=origin)
        same = [each.label for each in self.players]
        player.copy = next(copy for copy in range(1, MAX_RUNS + 1) if player.named(copy) not in same)
        self._made += 1
        self.players.append(player)
        self._selected, self.cursor = player.id, None
        return player

    def _full(self) -> bool:
        """Whether there is no room for another run, which is then told."""
        full = len(self.players) >= MAX_RUNS or self.nbytes > MAX_BYTES
        if full:
            self.notice = f"A lab holds {MAX_RUNS} runs or {MAX_BYTES >> 20} MB. Remove a run to make room."
        return full

    def next_seed(self, config: Config) -> int:
        """The smallest seed that no run of these settings uses yet."""
        same = (p.run.recipe for p in self.players if p.run.recipe.config.difference(config).keys() <= {"engine"})
        used = {recipe.seed for recipe in same}
        return next(seed for seed in range(MAX_RUNS + 1) if seed not in used)

    def remove(self, player_id: int) -> None:
        """Take a run off the stage."""
        with self._lock:
            self.players = [player for player in self.players if player.id != player_id]
            if self.selected is None:
                self._selected = self.players[-1].id if self.players else None

    def select(self, player_id: int) -> None:
        """Show this run on every page."""
        if any(player.id == player_id for player in self.players):
            self._selected = player_id

    # --- transport ------------------------------------------------------------------------------------------------

    def play(self, player_id: int, until_episode: int | None = None) -> None:
        """Train a run, until `until_episode` episodes are finished if given."""
        player = self._player(player_id)
        with self._lock:
            if player is None or player.over:
                return
            if until_episode is not None and until_episode <= player.run.episode:
                self.notice = f"{player.label} has already finished {player.run.episode} episodes."
                return
            player.playing, player.stop_at = True, until_episode
            player.rest()
        self.renew()

    def hurry(self, player_id: int, until_episode: int) -> None:
        """Train a run to an episode as fast as it goes."""
        self.speed = "flat out"
        self.play(player_id, until_episode)

    def pause(self, player_id: int) -> None:
        """Stop training a run; when this returns, no step is being taken any more."""
        player = self._player(player_id)
        with self._lock:
            if player is not None:
                player.playing, player.stop_at = False, None

    def step_update(self, player_id: int) -> None:
        """One env step and its updates."""
        player = self._player(player_id)
        with self._lock:
            if player is not None and not player.over:
                player.run.step()
                self.cursor = None

    def step_episode(self, player_id: int) -> None:
        """Train to the end of the episode going on."""
        player = self._player(player_id)
        if player is not None:
            self.cursor = None
            self.play(player_id, player.run.episode + 1)

    def reset(self, player_id: int) -> None:
        """Begin the run anew: same seed, the settings now in force, step 0."""
        player = self._player(player_id)
        if player is None:
            return
        with self._lock:
            player.playing, player.stop_at = False, None
            player.run = Run(Recipe(player.run.config, player.run.recipe.seed))
            player.origin = self.cursor = None
            player.rest()

    def intervene(self, player_id: int, changes: Mapping[str, Any]) -> None:
        """Change live settings of a run, recorded at the step where it applies; a bad value becomes a notice."""
        player = self._player(player_id)
        if player is None:
            return
        try:
            offered = KERNEL.offered(changes)
            with self._lock:
                player.run.intervene(offered)
        except ValueError as error:
            self.notice = str(error)

    def take_notice(self) -> str:
        """What the user should be told now; it is told once."""
        notice, self.notice = self.notice, ""
        return notice

    def _player(self, player_id: int) -> Player | None:
        return next((player for player in self.players if player.id == player_id), None)

    # --- the worker -----------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Somebody is looking: train on for `LEASE_S` more seconds, waking the worker if it rests."""
        self.last_seen = time.monotonic()
        self._lease_until = self.last_seen + LEASE_S
        if not self.playing:
            return
        with self._lock:
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="lab-worker", daemon=True)
                self._worker.start()

    def close(self) -> None:
        """Pause every run."""
        for player in list(self.players):
            self.pause(player.id)

    def _ahead(self, player: Player) -> bool:
        """Whether a run has to wait for one that it keeps step with."""
        group = [each for each in self.players if each.playing and each.id in self.abreast]
        return player in group and player.run.env_steps > min(each.run.env_steps for each in group)

    def _train(self, player: Player, speed: float | None, elapsed_s: float) -> None:
        """One slice of one run. A fault of ours stops that run alone, is told, and stands in the server's log."""
        try:
            player.train_slice(speed, elapsed_s)
        except Exception as error:
            _LOG.exception("%s stopped", player.label)
            player.playing = False
            self.notice = f"{player.label} stopped: {error}"

    def _work(self) -> None:
        """Train the playing runs in turns, a slice each, until none plays or the lease lapses."""
        before = time.perf_counter()
        while True:
            now = time.perf_counter()
            elapsed, before = now - before, now
            speed = SPEEDS[self.speed]
            for player in list(self.players):
                with CORES, self._lock:
                    if player.playing and not self._ahead(player):
                        self._train(player, speed, elapsed)
            with self._lock:
                if not self.playing or time.monotonic() > self._lease_until:
                    for player in self.players:
                        player.rest()
                    self._worker = None
                    return
            time.sleep(0.0 if speed is None else min(0.05, 0.5 / speed))


def _offered(recipe: Recipe) -> Recipe:
    """The recipe with `torch` for an engine of `auto` while the compiled one is not there; ValueError for `fused`."""

    def offered(item: Intervention) -> Intervention:
        return replace(item, changes=KERNEL.offered(item.changes)) if "engine" in item.changes else item

    config = recipe.config.changed(KERNEL.offered({"engine": recipe.config.engine}))
    return replace(recipe, config=config, interventions=tuple(map(offered, recipe.interventions)))
