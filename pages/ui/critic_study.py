"""What one session asks on the Critic page and what is known so far: slow answers arrive later, scales stay steady."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any, Final

import streamlit as st

from ddpg_core.environment import MAX_SPEED_RAD_S, MAX_TORQUE_NM, Array
from ddpg_core.oracle import Oracle
from pages.ui.critic import Belief, Cut, Question, Survey, belief_of, cut_at, optimal, survey
from pages.ui.jobs import Latest, oracle_of, oracle_share
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.scales import Bounds, ends, largest, roomy, steady
from pages.ui.session import refresh_s

MODES: Final = {"policy": "the policy's action", "torque": "one torque everywhere"}
_STUDY, _PICKED = "critic-study", "critic-picked"
_MODE, _TORQUE, _SURFACE = "critic-mode", "critic-torque", "critic-surface"
_ANGLE, _VELOCITY = "critic-angle", "critic-velocity"


@dataclass
class Study:
    """What a session's page keeps between refreshes.

    Attributes:
        surveys: Rollouts in the background.
        survey: The newest that is on screen.
        best: An oracle, a torque and the map of the two.
        scales: Ends of scales and axes by name, which change in steps.
        run: Serial number of the run that the scales are of.
    """

    surveys: Latest[Survey] = field(default_factory=Latest)
    survey: Survey | None = None
    best: tuple[Oracle, float | None, Array] | None = None
    scales: dict[str, Bounds] = field(default_factory=dict)
    run: int | None = None

    def turn_to(self, run: int) -> Survey | None:
        """The newest rollouts if they are of this run; forgets the scales of any other run."""
        if self.run != run:
            self.run = run
            self.scales.clear()
        return self.survey if self.survey and self.survey.stamp[0] == run else None

    def optimal(self, oracle: Oracle, torque: float | None) -> Array:
        """The map of the best that can be earned [V, P], computed once."""
        if self.best is None or self.best[0] is not oracle or self.best[1] != torque:
            self.best = (oracle, torque, optimal(oracle, torque))
        return self.best[2]

    def scale(self, name: str, low: float, high: float) -> Bounds:
        """The ends of the scale `name` for values from `low` to `high`; mutates `scales`."""
        self.scales[name] = steady(self.scales.get(name), low, high)
        return self.scales[name]


@dataclass(frozen=True)
class Look:
    """Everything that the page's pictures show at one moment.

    Attributes:
        belief, question: Whose networks, asked what.
        survey: The run's newest rollouts of any moment, None before the first.
        fresh: Whether they are maps for this torque and this moment (or, while it trains, for one just before).
        waiting: Whether something is still being computed that this moment needs.
        oracle: The best policy, None while it is being solved.
        optimal: Its values [V, P], None while unknown.
        values, differences: Ends of the scales that all maps of Q share, and both maps of differences.
    """

    belief: Belief
    question: Question
    survey: Survey | None
    fresh: bool
    waiting: bool
    oracle: Oracle | None
    optimal: Array | None
    values: Bounds
    differences: Bounds

    @functools.cached_property
    def learned(self) -> Array:
        """The critic's values [V, P]."""
        return self.belief.learned(self.question.torque)

    @property
    def share(self) -> float:
        """How much of the solving for the best policy is done, in [0, 1]."""
        return 1.0 if self.oracle else oracle_share(self.belief.physics, self.belief.moment.config.gamma)

    @property
    def overestimate(self) -> Array | None:
        """Learned minus true values [V, P], of the same moment; None while unknown."""
        return self.survey.learned - self.survey.true if self.survey else None

    @property
    def shortfall(self) -> Array | None:
        """True minus optimal values [V, P]; None while unknown."""
        return self.survey.true - self.optimal if self.survey and self.optimal is not None else None

    @property
    def cut(self) -> Cut:
        """Q against torque in the state asked about."""
        true = self.survey.along if self.survey and self.fresh and self.survey.question == self.question else None
        return cut_at(self.belief, self.question, self.oracle, true)


def look(lab: Lab, player: Player) -> Look:
    """The moment on screen with what is known of it; the scales and the rollouts are those of the last `renewed`."""
    study = _study()
    belief, question = belief_of(lab, player), asked()
    found = study.turn_to(belief.run)
    config, moving = belief.moment.config, refresh_s(lab) is not None
    oracle = oracle_of(belief.physics, config.gamma)
    fresh = found is not None and fits(found, belief, question, moving)
    return Look(
        belief,
        question,
        found,
        fresh,
        oracle is None or not fresh or (found is not None and found.question != question),
        oracle,
        study.optimal(oracle, question.torque) if oracle else None,
        study.scales.get("values", (-1.0, 0.0)),
        study.scales.get("differences", (-1.0, 1.0)),
    )


def renewed(lab: Lab, player: Player, *, urgent: bool = False) -> Look:
    """The same, after bringing rollouts and scales up to date and asking for new rollouts where needed.

    Args:
        lab: The session's.
        player: Whose critic.
        urgent: Somebody just did something: don't let the rollouts rest.
    """
    study = _study()
    study.survey = study.surveys.answer
    seen = look(lab, player)
    found = seen.survey
    if found is None or (found.stamp, found.question) != (seen.belief.stamp, seen.question):
        work = functools.partial(survey, seen.belief, seen.question)
        study.surveys.ask(work, urgent=urgent or seen.waiting)
    if found and seen.fresh:
        far = largest([gap for gap in (seen.overestimate, seen.shortfall) if gap is not None])
        study.scale("differences", -far, far)
    if seen.fresh or "values" not in study.scales:  # else these scales would change twice in a moment
        maps = [seen.learned, *([found.true] if found else []), *([seen.optimal] if seen.optimal is not None else [])]
        study.scale("values", *ends(maps))
    return replace(seen, values=study.scales["values"], differences=study.scales.get("differences", seen.differences))


def lag_scale(ahead: Array) -> Bounds:
    """The ends of the scale of the lag map."""
    far = largest([ahead])
    return _study().scale("lag", -far, far)


def cut_scales(cut: Cut) -> tuple[Bounds, Bounds]:
    """The ends of both vertical axes of the charts of a cut, with some room."""
    study = _study()
    return study.scale("cut", *roomy(ends(cut.lines))), study.scale("gains", *roomy(ends(cut.gains)))


def _study() -> Study:
    study: Study = st.session_state.setdefault(_STUDY, Study())
    return study


def fits(found: Survey, belief: Belief, question: Question, moving: bool) -> bool:
    """Whether rollouts are maps of what is asked, for this belief or, while it is `moving`, for one just before."""
    if found.question.torque != question.torque:
        return False
    return found.stamp[0] == belief.run if moving else found.stamp == belief.stamp


# --- what is asked ----------------------------------------------------------------------------------------------------


def asked() -> Question:
    """What the page's widgets are set to."""
    state = st.session_state
    torque = float(state.get(_TORQUE, 0.0)) if state.get(_MODE) == "torque" else None
    default = Question()
    return Question(torque, float(state.get(_ANGLE, default.angle)), float(state.get(_VELOCITY, default.velocity)))


def pick(click: dict[str, Any] | None) -> None:
    """Look at the state that was clicked on a map, if one was."""
    if click:
        st.session_state[_PICKED] = (round(float(click["x"]), 2), round(float(click["y"]), 1))
        st.rerun()


def take_pick() -> None:
    """Set the sliders to the state that was clicked; call it before they are drawn."""
    if _PICKED in st.session_state:
        st.session_state[_ANGLE], st.session_state[_VELOCITY] = st.session_state.pop(_PICKED)


def draw_question() -> bool:
    """Which torque the maps are for, and whether the surface is wanted too."""
    state = st.session_state
    mode, slider, option = st.columns([2.2, 2, 1.1], gap="medium", vertical_alignment="bottom")
    mode.radio(
        "Value of",
        list(MODES),
        format_func=MODES.__getitem__,
        key=_MODE,
        horizontal=True,
        persist_state="session",
        help="Q(s, a) has a value for every action. With *the policy's action*, the learned and the true map show "
        "Q(s, μ(s)), the optimal one the best action's.",
    )
    state.setdefault(_TORQUE, 0.0)
    if state[_MODE] == "torque":
        slider.slider(
            "torque in N·m",
            -MAX_TORQUE_NM,
            MAX_TORQUE_NM,
            step=0.1,
            key=_TORQUE,
            persist_state="session",
            help="Applied for one step. Then the policy goes on, in the optimal map the best policy.",
        )
    return option.toggle("3-D surface", key=_SURFACE, persist_state="session", help="Drag to turn it: it stays so.")


def draw_state() -> None:
    """The state looked at, for those who don't click."""
    default, state = Question(), st.session_state
    for label, key, end, step, value in (
        ("angle θ in rad", _ANGLE, 3.14, 0.02, default.angle),
        ("angular velocity θ̇ in rad/s", _VELOCITY, MAX_SPEED_RAD_S, 0.1, default.velocity),
    ):
        state.setdefault(key, value)
        st.slider(label, -end, end, step=step, key=key, persist_state="session")
