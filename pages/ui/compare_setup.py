"""The Compare page's setup: a ready-made set or conditions of one's own, seeds, episodes, and how long that takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import MAX_NAME, Change, Comparison, Condition
from ddpg_core.config import FIELDS, PRESETS, SETTINGS, Config, format_value, parse_value
from ddpg_core.recipe import MAX_SEED
from ddpg_core.summary import MIN_SEEDS
from pages.ui.compare import EPISODES, FIRST_SET, SEEDS, Desk, Estimate, asked_of, estimated, plan_of, with_condition
from pages.ui.compare_charts import shortened
from pages.ui.compare_words import duration, what
from pages.ui.comparing import Comparing, Presence, missing_of
from pages.ui.jobs import Latest
from pages.ui.kernel import KERNEL
from pages.ui.words import plain

_SET, _SEEDS, _FIRST, _EPISODES = "compare-set", "compare-seeds", "compare-first-seed", "compare-episodes"
_FILE, _ESTIMATE = "compare-file", "compare-estimate"
_KEEP: Final[dict[str, Any]] = {"persist_state": "session"}


def draw_setup(desk: Desk) -> None:
    """Choose what is compared, over how many seeds, and start it."""
    state, busy = st.session_state, desk.working
    titles = {name: each.title.partition(":")[0] for name, each in CONDITION_SETS.items()}
    if _SET not in state and desk.plan == CONDITION_SETS[FIRST_SET]:
        state[_SET] = FIRST_SET
    state.setdefault(_SEEDS, MIN_SEEDS)
    state.setdefault(_FIRST, 0)
    state.setdefault(_EPISODES, desk.plan.episodes)

    def choose() -> None:
        if state[_SET]:
            put(desk, CONDITION_SETS[state[_SET]])

    st.pills(
        "Ready-made comparisons", list(titles), format_func=titles.__getitem__, key=_SET, on_change=choose,
        disabled=busy, wrap=True, **_KEEP,
    )  # fmt: skip
    if desk.problem:
        st.error(f"{desk.problem}.", icon=":material/error:")
    names = [condition.name for condition in desk.plan.conditions]
    key = f"compare-conditions-{desk.loads}"
    state.setdefault(key, names)
    st.multiselect(
        "Conditions", names, key=key, disabled=busy, placeholder="Choose two or more", **_KEEP,
        help="The others are compared with the first. Take one away with its ×; the list brings it back, as the last.",
    )  # fmt: skip
    common: dict[str, Any] = {"disabled": busy, **_KEEP}
    one, two, three = st.columns(3, gap="small")
    one.number_input("seeds", *SEEDS, key=_SEEDS, help="Runs of each condition; five or more can tell.", **common)
    two.number_input("first seed", 0, MAX_SEED - SEEDS[1], key=_FIRST, help="Any: pick it unseen.", **common)
    three.number_input("episodes", *EPISODES, key=_EPISODES, help="Of training, each run.", **common)
    _start_or_stop(desk, state[key])


def put(desk: Desk, plan: Comparison) -> None:
    """Put another plan on the desk, all its conditions chosen; what was computed stays until the next start."""
    desk.plan, desk.problem = plan, ""
    desk.loads += 1
    st.session_state[_EPISODES] = plan.episodes


def _asked(desk: Desk, names: list[str]) -> Comparison:
    state = st.session_state
    seeds = range(state[_FIRST], state[_FIRST] + state[_SEEDS])
    if not names:
        raise ValueError("Choose a condition")
    return asked_of(desk.plan, names, seeds, state[_EPISODES])


def planned(desk: Desk) -> Comparison:
    """What the settings on the page ask for, or the plan as it is where they ask for nothing possible."""
    try:
        return _asked(desk, st.session_state.get(f"compare-conditions-{desk.loads}", []))
    except ValueError:
        return desk.plan


def _start_or_stop(desk: Desk, names: list[str]) -> None:
    comparing = desk.comparing
    if comparing and comparing.working:
        st.button("Stop", key="stop-compare", icon=":material/stop:", on_click=comparing.stop, width="stretch")
        return
    try:
        asked = _asked(desk, names)
        left = missing_of(asked, comparing)
    except ValueError as error:
        st.button(
            "Compare", key="run-compare", icon=":material/play_arrow:", type="primary", disabled=True, width="stretch"
        )
        st.caption(f"{error}.")
        return
    total = len(asked.conditions) * len(asked.seeds)

    def start() -> None:
        desk.comparing, desk.problem = Comparing(asked, Presence(), comparing), ""

    shown = comparing is not None and comparing.asked == asked
    going_on = shown and 0 < left < total
    st.button(
        "Go on" if going_on else f"Compare: {total} runs",
        key="run-compare",
        icon=":material/play_arrow:",
        type="primary",
        on_click=start,
        disabled=shown and not left,
        width="stretch",
    )
    if shown and not left:
        st.caption("Finished: what came out stands below.")
    else:
        _draw_estimate(asked, left, total)


def _draw_estimate(asked: Comparison, left: int, total: int) -> None:
    """How many runs, and about how long they take here; timed in the background."""
    answers: Latest[Estimate] = st.session_state.setdefault(_ESTIMATE, Latest())
    before = answers.answer
    waiting = before is None or before.of != asked

    def draw() -> None:
        found = answers.answer
        done = f"{total - left} of {total} runs are there already; " if left < total else ""
        if left and (found is None or found.of != asked):
            if KERNEL.state in ("ready", "missing"):
                answers.ask(lambda: estimated(asked), urgent=True)
            st.caption(f"{done}{left} runs of {asked.episodes} episodes; timing a few steps …")
            return
        if waiting and left:
            st.rerun()
        if not left or found is None:
            st.caption(f"{done}nothing is left to compute.")
            return
        pace = f"at {found.pace:,.0f} steps a second"
        st.caption(f"{done}{left} runs of {asked.episodes} episodes, **{duration(left * found.seconds)}** here {pace}.")

    st.fragment(draw, run_every=0.3 if waiting and left else None)()


# --- conditions of one's own ------------------------------------------------------------------------------------------


def draw_own(desk: Desk) -> None:
    """Add a condition, or take all from a file."""
    busy = desk.working
    add, files = st.columns([2.2, 1], gap="large")
    with add:
        _add(desk, busy)
    with files:
        state = st.session_state

        def load() -> None:
            if state[_FILE] is not None:
                try:
                    put(desk, plan_of(state[_FILE].getvalue()))
                    state[_SET], state[_FIRST] = None, min(desk.plan.seeds[0], MAX_SEED - SEEDS[1])
                    state[_SEEDS] = min(max(len(desk.plan.seeds), SEEDS[0]), SEEDS[1])
                except ValueError as error:
                    desk.problem = f"{state[_FILE].name[:60]} was not taken: {error}"

        st.file_uploader(
            "From a file", "json", key=_FILE, on_change=load, max_upload_size=1, disabled=busy,
            help="What is downloaded here, or a list like `[{\"name\": \"slow\", \"preset\": \"fast\", \"set\": "
            "{\"tau\": 0.001}}]`.",
        )  # fmt: skip
        chosen = planned(desk)
        st.download_button(
            "Save these conditions",
            data=json.dumps(chosen.to_dict(), indent=1, ensure_ascii=False) + "\n",
            file_name="conditions.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
        )
        st.caption("`python -m ddpg_core compare conditions.json --out runs/own` computes the same without a browser.")


def _add(desk: Desk, busy: bool) -> None:
    """The form of one condition: what it starts from, what is set otherwise, what changes on the way."""
    bases = {f"preset {name}": Condition(f"preset {name}", config) for name, config in PRESETS.items()}
    bases |= {condition.name: condition for condition in desk.plan.conditions}
    one, other = st.columns(2)
    base = bases[one.selectbox("Start from", list(bases), key=f"compare-base-{desk.loads}")]
    name = other.text_input("Name", max_chars=MAX_NAME, key="compare-name", placeholder="made of its settings")
    condition, problem = None, ""
    try:
        condition = _condition(name.strip(), base)
    except ValueError as error:
        problem = str(error)
    chosen = f"compare-conditions-{desk.loads}"

    def add() -> None:
        state = st.session_state
        names, episodes = state[chosen], state[_EPISODES]
        try:
            put(desk, with_condition(desk.plan, condition or base))
        except ValueError as error:
            desk.problem = str(error)
            return
        state[f"compare-conditions-{desk.loads}"] = [*names, desk.plan.conditions[-1].name]
        state[_EPISODES] = episodes

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Add it", key="compare-add", icon=":material/add:", on_click=add, disabled=busy or not condition)
        st.caption(f"{problem}." if condition is None else f"{plain(condition.name)}: {what(condition)}")


def _condition(name: str, base: Condition) -> Condition:
    """The condition that the form describes; its widgets are drawn on the way.

    Raises:
        ValueError: A value is out of bounds or of the wrong kind.
    """
    structural_too = [setting for setting in SETTINGS if setting != "engine"]
    changes = _changes("Set otherwise", base.config, structural_too, "set")
    config, later, changed_then = base.config.changed(changes), list(base.changes), dict[str, Any]()
    if st.toggle("Change something on the way", key="compare-later"):
        episode = st.number_input("after episode", 1, EPISODES[1], 40, key="compare-when", width=130)
        live = [setting for setting in structural_too if SETTINGS[setting].live]
        changed_then = _changes("Changed then", config, live, "at")
        later += [Change(changed_then, episode=int(episode))] if changed_then else []
    words = [f"{SETTINGS[each].label.lower()} {format_value(value)}" for each, value in changes.items()]
    words += [f"then {SETTINGS[each].label.lower()} {format_value(value)}" for each, value in changed_then.items()]
    return Condition(name or shortened(", ".join(words) or base.name, MAX_NAME), config, tuple(later))


def _changes(label: str, base: Config, names: Sequence[str], key: str) -> dict[str, Any]:
    """Settings chosen from `names` and given other values than those of `base`."""
    chosen = st.multiselect(
        label, names, format_func=lambda name: SETTINGS[name].label, key=f"compare-own-{key}", placeholder="Settings"
    )
    columns = st.columns(3)
    given: dict[str, Any] = {}
    for place, name in enumerate(chosen):
        with columns[place % 3]:
            given[name] = _value(name, getattr(base, name), f"compare-own-{key}-{name}")
    return base.changed(given).difference(base)


def _value(name: str, current: Any, key: str) -> Any:
    """A widget for one setting; its value."""
    setting, default = SETTINGS[name], FIELDS[name].default
    label = f"{setting.label} {setting.symbol}".strip()
    if isinstance(default, bool):
        return st.toggle(label, current, key=key, help=setting.help)
    if setting.choices:
        options = list(setting.choices)
        return st.selectbox(label, options, options.index(current), key=key, help=setting.help)
    return parse_value(name, st.text_input(label, format_value(current), key=key, help=setting.help).strip())
