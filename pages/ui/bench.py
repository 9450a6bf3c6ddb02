"""The noise bench: knobs of its own, three kinds of noise side by side in pictures, numbers and words."""

from __future__ import annotations

import math
from typing import Any, Final

import streamlit as st

from ddpg_core.config import SETTINGS, Config, format_value
from ddpg_core.environment import Physics
from ddpg_core.noise_bench import STEPS, Contender, bench_of, episode_std, own_rhythm
from pages.ui.bench_charts import NAMES, in_steps, number_charts, swing_charts
from pages.ui.controls import LOCKED_WORDS, log_options
from pages.ui.lab import Lab
from pages.ui.live import charts
from pages.ui.player import Player
from pages.ui.share_view import held
from pages.ui.theme import minus

KNOBS: Final = ("ou_theta", "ou_sigma", "ou_mu", "ou_dt", "noise_scale")
BORROWED: Final = ("noise_range", "gravity", "mass", "length")
"""What the bench takes from the run as it is."""
_FORMULAS: Final = {
    "ou": r"x \leftarrow x + \theta(\mu - x)\,dt + \sigma\sqrt{dt}\;\mathcal N(0,1)",
    "ou_notebook": r"x \leftarrow \theta(\mu - x) + \sigma\,\mathcal N(0,1)",
    "gaussian": r"x \leftarrow \mu + s\,\mathcal N(0,1),\quad s = %.3f",
}


def draw_bench(lab: Lab, player: Player) -> None:
    """Knobs, pictures and numbers; nothing here touches the run until a button says so."""
    bench = bench_of(_knobs(player.run.config))
    fixed = held(lab, "noise", *KNOBS)
    st.markdown(trap_words(bench[0]))
    for column, each, figures in zip(st.columns(len(bench), gap="medium"), bench, swing_charts(bench), strict=True):
        with column:
            st.markdown(f"##### {NAMES[each.config.noise]}")
            st.latex(_formula(each.config))
            charts(figures, key=f"swing-{each.config.noise}", min_width=260)
            if st.button(
                "Use it in the run",
                key=f"use-{each.config.noise}",
                icon=":material/input:",
                width="stretch",
                disabled=fixed,
                help=LOCKED_WORDS if fixed else None,
            ):
                lab.intervene(player.id, {name: getattr(each.config, name) for name in ("noise", *KNOBS)})
                st.rerun()
    st.markdown(swing_words(bench, player.run.config))
    st.markdown("##### The same noise in numbers")
    st.caption(
        "Bars and dots are what was drawn, lines are theory; a dashed curve is where the values would settle if "
        "episodes were long enough. Autocorrelation is how much of a push is left later: ρ after a step, ρᵏ after k."
    )
    for column, each, figures in zip(st.columns(len(bench), gap="medium"), bench, number_charts(bench), strict=True):
        with column:
            charts(figures, key=f"numbers-{each.config.noise}", min_width=260)
            st.markdown(table_of(each, bench[-1]))


def _knobs(run: Config) -> Config:
    """Buttons and sliders of the bench, and the settings that they stand at."""
    for name in KNOBS:
        st.session_state.setdefault(_key(name), getattr(run, name))
    with st.container(horizontal=True, gap="small"):
        _preset("The run's settings", "bench-as-run", {name: getattr(run, name) for name in KNOBS})
        _preset("dt = 1, as in the paper", "bench-paper", {"ou_dt": 1.0})
        _preset("dt = 0.01, as in Keras and SB3", "bench-trap", {"ou_dt": 0.01})
    for column, name in zip(st.columns(len(KNOBS)), KNOBS, strict=True):
        with column:
            _slider(name)
    chosen = {name: st.session_state[_key(name)] for name in KNOBS}
    return Config().changed(chosen | {name: getattr(run, name) for name in BORROWED})


def _formula(config: Config) -> str:
    formula = _FORMULAS[config.noise]
    return formula % config.ou_sigma if "%" in formula else formula


def _key(name: str) -> str:
    return f"bench-{name}"


def _preset(label: str, key: str, values: dict[str, float]) -> None:
    def choose() -> None:
        st.session_state.update({_key(name): value for name, value in values.items()})

    st.button(label, key=key, on_click=choose)


def _slider(name: str) -> None:
    setting, key = SETTINGS[name], _key(name)
    label, current = f"{setting.label} {setting.symbol}".strip(), st.session_state[key]
    if setting.log:
        options = log_options(name, current)
        st.select_slider(label, options, key=key, help=setting.help, format_func=format_value, persist_state="session")
        return
    low = min(setting.low + setting.step, current) if setting.low_open else setting.low
    how: dict[str, Any] = {"step": setting.step, "format": "%.4g", "help": setting.help, "persist_state": "session"}
    st.slider(label, low, setting.high, key=key, **how)


# --- in words ---------------------------------------------------------------------------------------------------------


def table_of(contender: Contender, gaussian: Contender) -> str:
    """The numbers of a contender, theory beside what was drawn, as a Markdown table."""
    theory = contender.theory
    push = contender.rhythm_power / gaussian.rhythm_power if gaussian.rhythm_power else math.nan
    rows = [
        (NAMES[contender.config.noise], "theory", "drawn"),
        (":-", "-:", "-:"),
        ("std in the long run", _number(theory.std), ""),
        (f"std in {STEPS} steps", _number(contender.expected_std), _number(episode_std(contender.paths))),
        ("left after a step, ρ", _share(theory.memory), _share(float(contender.left[1]))),
        ("correlation time", in_steps(theory.correlation_steps), ""),
        ("push at swing rhythm", "–" if math.isnan(push) else f"{push:.2g} ×", ""),
    ]
    return minus("\n".join(f"| {' | '.join(row)} |" for row in rows))


def trap_words(textbook: Contender) -> str:
    """What the settings make of the textbook's noise, in a sentence or two."""
    theory, dt = textbook.theory, format_value(textbook.config.ou_dt)
    memory = in_steps(theory.correlation_steps)
    if theory.kick == 0:
        return "**No noise at all:** with σ = 0 nothing is random, and nothing new is tried. Raise σ."
    if not theory.settles:
        return "**OU noise never settles here:** at θ·dt ≥ 2 every step overshoots the mean. Lower θ or dt."
    if theory.correlation_steps > STEPS:
        return (
            f"**The dt trap.** At dt = {dt} the noise remembers for {memory}, longer than an episode of {STEPS}: it "
            f"hardly changes within one. Its long-run standard deviation, {theory.std:.3f}, looks right all the same."
        )
    return (
        f"At dt = {dt} textbook OU settles at a standard deviation of {theory.std:.3f} and remembers for {memory}. "
        "Press **dt = 0.01** to see what the default of two well-known libraries makes of the same θ and σ."
    )


def swing_words(bench: tuple[Contender, ...], run: Config) -> str:
    """What the dials say, and why."""
    textbook, notebook, gaussian = bench
    if not textbook.config.noise_scale:
        words = [
            "At a noise scale of 0, as in the notebook's loop, nothing pushes and every pendulum hangs still: "
            "raise the noise scale."
        ]
    else:
        words = [
            f"Half of the pendulums get {textbook.half_get:.0f}° or further from hanging with OU, "
            f"{gaussian.half_get:.0f}° with Gaussian noise of equal standard deviation, {notebook.half_get:.0f}° with "
            "the notebook's form."
        ]
    if run.env_id != "Pendulum-v1":
        words.append("The selected run's environment has no pendulum, so these are standard ones.")
    rhythm = own_rhythm(Physics.of(textbook.config))
    if rhythm:
        words.append(
            "\n\n**Why?** A pendulum gains energy only from pushes at its own rhythm, here one swing in "
            f"{2 * math.pi / rhythm:.0f} steps. Noise that remembers for part of a swing pushes at that rhythm. "
            "Gaussian noise spreads its pushes over all rhythms, alternating noise takes each push back, and noise "
            "that hardly changes just leans to one side. *Push at swing rhythm*, below, says how strongly each pushes "
            "there, as a multiple of Gaussian noise."
        )
    words.append(
        "\n\nGetting further without a policy need not mean learning faster: Fujimoto et al. (2018) found no "
        "benefit of OU over Gaussian noise."
    )
    return " ".join(words)


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 1000 else "no bound"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{round(value, 4):g}"
