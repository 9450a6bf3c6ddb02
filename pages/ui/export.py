"""The Export page's desk: which policy a session looks at, what is known of it, and the files made of it meanwhile."""

from __future__ import annotations

import functools
import logging
import threading
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ddpg_core.export import FORMATS, Exported, Source, export
from ddpg_core.gallery import PIECES, gallery
from ddpg_core.policy import Policy, best_episode, policy_from
from ddpg_core.run import Run
from pages.ui.critic import Belief
from pages.ui.export_look import Key, Look, Subject, Taken, look_at
from pages.ui.jobs import Latest
from pages.ui.lab import Lab
from pages.ui.theme import ROLES

RUN: Final = "run"
EPISODES: Final = {"cursor": "at the cursor", "best": "best", "last": "last"}
AT_ONCE: Final = ("recipe", "numpy", "html", "onnx", "sb3", "torch")
"""Formats that are made without being asked for, the quickest first; the others take seconds."""
LOOK: Final = "look"
MOST_SHELVES: Final = 3
MAX_BYTES: Final = 8 << 20
"""What the files of one session may take together; those of the policy on screen are always kept."""
MOST_IMPORTS: Final = 2
_LOG = logging.getLogger(__name__)


@dataclass
class Shelf:
    """What was made of one policy: the look at it, files, and why there is none; and what was asked for."""

    look: Look | None = None
    files: dict[str, Exported] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)

    def next(self, subject: Subject) -> str | None:
        """What is to be made now; None if there is nothing."""
        if self.look is None:
            return None if LOOK in self.problems else LOOK
        if subject.moving:
            return None
        open_ = (name for name in (*self.wanted, *AT_ONCE) if name not in self.files and name not in self.problems)
        return next((name for name in open_ if FORMATS[name].missing() is None), None)

    @property
    def nbytes(self) -> int:
        """Memory taken by the files."""
        return sum(len(made.data) for made in self.files.values())


class Answer(NamedTuple):
    """Something made in the background: of which policy, what, and the result, or why there is none."""

    key: Key
    name: str
    made: Look | Exported | str


@dataclass(eq=False)
class Desk:
    """What a Lab's Export page keeps; it outlives a reload.

    Attributes:
        choice: The policy chosen: `RUN`, `gallery:NAME` or `import:NUMBER`; None: the run, if there is one.
        imports: Policies brought, by choice, with the names of their files.
        loads: How many files were brought: the place for the next is empty each time.
        problem, told: What the user should know of the file brought last, or "".
        again: A policy and the serial number of the run that is trained as it was.
        newest: The last look at any policy.
    """

    choice: str | None = None
    imports: dict[str, tuple[str, Policy]] = field(default_factory=dict)
    loads: int = 0
    problem: str = ""
    told: str = ""
    again: tuple[Policy, int] | None = None
    newest: Look | None = None
    _shelves: dict[Key, Shelf] = field(default_factory=dict)
    _answers: Latest[Answer] = field(default_factory=Latest)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shelf(self, subject: Subject) -> Shelf:
        """The shelf of a policy; makes room for it."""
        shelves = self._shelves
        shelf = shelves[subject.key] = shelves.pop(subject.key, Shelf())
        while len(shelves) > 1 and (
            len(shelves) > MOST_SHELVES or sum(each.nbytes for each in shelves.values()) > MAX_BYTES
        ):
            del shelves[next(iter(shelves))]
        return shelf

    def tend(self, lab: Lab, subject: Subject) -> bool:
        """Take in what was made, and have the next thing made; whether anything is still to come."""
        with self._lock:
            self._take_in()
            shelf = self.shelf(subject)
            name = shelf.next(subject)
            if name is None:
                return subject.moving
            known = self.newest is not None and self.newest.key[:2] == subject.key[:2]
            urgent = name in shelf.wanted or not lab.playing or (name == LOOK and not (known and subject.moving))
            work = functools.partial(answered, lab, subject, name, shelf.look, self.again)
            self._answers.ask(work, urgent=urgent)
            return True

    def look(self, subject: Subject) -> Look | None:
        """What is known of a policy, or of the same run's at another moment while this one is being looked at."""
        look = self.shelf(subject).look or self.newest
        return look if look and look.key[:2] == subject.key[:2] else None

    def bring(self, name: str, policy: Policy) -> None:
        """Keep an imported policy and choose it."""
        self.choice = f"import:{self.loads}"
        self.imports[self.choice] = (name, policy)
        while len(self.imports) > MOST_IMPORTS:
            del self.imports[next(iter(self.imports))]

    def _take_in(self) -> None:
        answer = self._answers.answer
        if answer is None:
            return
        shelf = self._shelves.get(answer.key)
        if isinstance(answer.made, Look):
            self.newest = answer.made
        if shelf is None:
            return
        if isinstance(answer.made, Look):
            shelf.look = answer.made
        elif isinstance(answer.made, Exported):
            shelf.files[answer.name] = answer.made
        else:
            shelf.problems[answer.name] = answer.made


_desks: WeakKeyDictionary[Lab, Desk] = WeakKeyDictionary()


def desk_of(lab: Lab) -> Desk:
    """The desk of a Lab."""
    return _desks.setdefault(lab, Desk())


# --- which policy -----------------------------------------------------------------------------------------------------


def choices(lab: Lab, desk: Desk) -> dict[str, str]:
    """The policies to choose from, and what they are called."""
    run = {RUN: lab.selected.label} if lab.selected else {}
    brought = {choice: name for choice, (name, _) in desk.imports.items()}
    return run | brought | {f"gallery:{name}": f"Gallery: {piece.title.lower()}" for name, piece in PIECES.items()}


def chosen(lab: Lab, desk: Desk) -> str:
    """The policy chosen, or the first there is."""
    there = choices(lab, desk)
    return desk.choice if desk.choice in there else next(iter(there))


def subject_of(lab: Lab, desk: Desk, which: str) -> Subject | str:
    """The policy that is asked for, or in a sentence why there is none.

    Args:
        lab: Takes its lock.
        desk: Says whether it is the run's, or another.
        which: Of `EPISODES`, for the run's.
    """
    choice = chosen(lab, desk)
    if choice == RUN:
        return _of_run(lab, which)
    kind, _, name = choice.partition(":")
    if kind == "gallery":
        label, policy = PIECES[name].title, gallery()[name]
    else:
        label, policy = desk.imports[choice]
    return Subject((kind, name), label, ROLES["actor"], lambda: Taken(policy))


def _of_run(lab: Lab, which: str) -> Subject | str:
    player = lab.selected
    assert player is not None
    with lab.reading():
        run, live = player.run, which != "best" and (which == "last" or lab.cursor is None)
        episode = best_episode(run) if which == "best" else run.episode if live else lab.moment(player).episode
        kept = run.snapshots.before(episode).episode
        changes = len(run.recipe.interventions)
    if not run.episode:
        reason = "stopped in" if player.over else "has not finished"
        return f"{player.label} {reason} its first episode: there is no trained policy to take along yet."
    return Subject(
        (RUN, run.serial, kept, changes),
        player.label,
        player.colour,
        functools.partial(_taken, lab, run, kept),
        run,
        episode,
        moving=player.playing and (live or which == "best"),
    )


def _taken(lab: Lab, run: Run, episode: int) -> Taken:
    """A run's policy when `episode` episodes were finished, and its critic."""
    with lab.reading():
        moment, recipe, learner = run.at(episode), run.recipe, run.learner
    nothing = np.empty((0, learner.actor_net.sizes[0]), np.float32)
    belief = Belief(run.serial, moment, learner.actor_net, learner.critic_net, nothing, "")
    return Taken(policy_from(recipe, learner.actor_net, moment), belief)


# --- in the background ------------------------------------------------------------------------------------------------


def answered(lab: Lab, subject: Subject, name: str, look: Look | None, again: tuple[Policy, int] | None) -> Answer:
    """Make a file of a policy, or look at it; what goes wrong becomes a sentence."""
    try:
        made: Look | Exported = look_at(subject, again) if look is None else _file(lab, subject, name, look)
    except ValueError as error:
        return Answer(subject.key, name, str(error))
    except Exception as error:
        _LOG.exception("%s of %s failed", name, subject.label)
        return Answer(subject.key, name, f"this did not work: {type(error).__name__}")
    return Answer(subject.key, name, made)


def _file(lab: Lab, subject: Subject, name: str, look: Look) -> Exported:
    run = subject.run
    if run is not None and FORMATS[name].needs_run:
        with lab.reading():
            run = run.fork()  # a copy, as the run may train on meanwhile
    return export(name, Source(look.policy, run))
