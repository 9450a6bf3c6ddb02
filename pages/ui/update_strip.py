"""The five sub-steps on the page One update: the strip of cards, and the chosen one's formula, numbers and code."""

from __future__ import annotations

import re
from typing import Final

import streamlit as st

from ddpg_core.microscope import UpdateView
from ddpg_core.substeps import SUBSTEPS, Substep
from pages.ui.microscope import findings, key_numbers, row_in_words
from pages.ui.theme import ROLES

TITLES: Final = {
    "sample": ("Sample", "replay", "remember"),
    "targets": ("Targets", "critic_target", "what Q should have been"),
    "critic": ("Critic", "critic", "value actions better"),
    "actor": ("Actor", "actor", "act better"),
    "polyak": ("Polyak", "actor_target", "let the targets follow"),
}
"""Of each sub-step: its title, the role whose colour it has, and what it is for."""
_LAYOUT: Final = """
.st-key-update-head { min-height: 3rem; }
.st-key-update-head p { margin: 0; }
.st-key-substeps { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 1.5rem; }
[class*="st-key-substep-"] { position: relative; }
[class*="st-key-substep-"]:not(:last-child)::after {
  content: "→"; position: absolute; right: -1.4rem; top: 38%; font-size: 1.2rem; opacity: .6;
}
[class*="st-key-substep-"] button {
  min-height: 5.4rem; padding: .4rem .8rem .5rem; container-type: inline-size;
}
[class*="st-key-substep-"] button > div, [class*="st-key-substep-"] button [data-testid="stMarkdownContainer"] {
  width: 100%; justify-content: flex-start; text-align: left;
}
[class*="st-key-substep-"] button p { font-size: .87rem; line-height: 1.35; }
[class*="st-key-substep-"] button p > * { display: block; }
[class*="st-key-substep-"] button strong { font-size: 1.07rem; }
[class*="st-key-substep-"] button code {
  all: unset; display: block; font-size: min(1.27rem, 15cqi); font-weight: 600; font-variant-numeric: tabular-nums;
  line-height: 1.25;
}
@container (max-width: 12.5rem) { [class*="st-key-substep-"] button code { min-height: 2.5em; } }
[class*="st-key-substep-"] button em { font-style: normal; opacity: .8; }
.st-key-update-step { min-height: 27rem; }
.st-key-update-formula { gap: .5rem; }
.st-key-update-formula .katex-display { margin: 0; padding: .1rem 0 1.3rem; overflow: auto hidden; }
.st-key-update-formula .katex { font-size: 1.1em; }
@media (max-width: 900px) {
  .st-key-substeps { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; }
  [class*="st-key-substep-"]:not(:last-child)::after { content: none; }
  [class*="st-key-substep-"] button code { font-size: min(1.07rem, 15cqi); }
}
"""


def _rgb(colour: str) -> str:
    return ", ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))


def style() -> str:
    """A card a sub-step in the colour of its role; the formulas' colours, nearer to the text's in any theme."""
    cards = "".join(
        f".st-key-substep-{name} button {{ border-top: 5px solid {ROLES[role]} !important; }}\n"
        f'.st-key-substep-{name} [data-testid="stBaseButton-primary"] {{ border-color: {ROLES[role]}; '
        f"background: color-mix(in srgb, {ROLES[role]} 22%, transparent) !important; color: inherit !important; }}\n"
        for name, (_, role, _) in TITLES.items()
    )
    formulas = "".join(
        f'.katex [style*="{_rgb(ROLES[role])}"] '
        f"{{ color: color-mix(in srgb, {ROLES[role]} 72%, currentColor) !important; }}\n"
        for role in ("critic", "actor", "environment")
    )
    return f"<style>{_LAYOUT}{cards}{formulas}</style>"


def sketch() -> None:
    """The strip before there is a run: what each sub-step is for, and its formula."""
    st.html(style())
    strip(None)
    with st.container(key="update-formula"):
        formula(SUBSTEPS[chosen()])


def chosen() -> int:
    """The place of the open sub-step in `SUBSTEPS`."""
    place: int = st.session_state.get("update-substep", 0)
    return place


def choose(place: int) -> None:
    """Open a sub-step."""
    st.session_state["update-substep"] = place % len(SUBSTEPS)
    hold()


def strip(view: UpdateView | None) -> None:
    """The hero: five cards in their roles' colours, each with its number; a click opens one."""
    known = key_numbers(view) if view else {}
    with st.container(key="substeps"):
        for place, (name, (title, _, purpose)) in enumerate(TITLES.items()):
            value, note = known.get(name, ("…", purpose))
            st.button(
                f"**{place + 1} {title}** `{value}` *{note}*",
                key=f"substep-{name}",
                type="primary" if place == chosen() else "secondary",
                width="stretch",
                on_click=choose,
                args=(place,),
            )


def formula(step: Substep) -> None:
    """What the sub-step does, in words and in symbols."""
    st.markdown(step.sentence)
    st.latex(coloured(r"\begin{gathered}" + step.formula.replace(r", \quad ", r" \\ ") + r"\end{gathered}"))


def numbers(step: Substep, view: UpdateView, row: int) -> None:
    """The formula with the numbers of one row, and what happened in the batch as a whole."""
    if step.name != "polyak":
        st.caption(f"With the numbers of {row_in_words(view, row)}:")
    else:
        st.caption("With the numbers of the weight whose target is furthest behind, in the critic and in the actor:")
    st.latex(coloured(step.numbers(view, row)))
    st.markdown(findings(view)[step.name])


def code(step: Substep) -> None:
    """The very function that computes it."""
    source, line = step.source()
    with st.expander(f"Computed by `{step.qualname}`", icon=":material/code:"):
        st.caption(f"`{step.module}`, line {line}")
        st.code(source, language="python", wrap_lines=True)


def coloured(latex: str) -> str:
    """A formula whose symbols have the colours of their roles; a prime marks what is a target's."""

    def paint(found: re.Match[str]) -> str:
        symbol = found[0]
        role = "environment" if symbol == "r" else "actor" if symbol.rstrip("'").endswith(r"\mu") else "critic"
        return rf"\textcolor{{{ROLES[role]}}}{{{symbol}}}"

    return re.sub(r"\\(?:theta'?|alpha)_(?:Q|\\mu)|\\mu'?|Q'?|(?<![a-zA-Z\\])r(?![a-zA-Z])", paint, latex)


def next_button() -> None:
    """Opens the sub-step that follows, after the last the first."""
    following = (chosen() + 1) % len(SUBSTEPS)
    st.button(
        "Next sub-step", key="update-following", icon=":material/arrow_forward:", on_click=choose, args=(following,)
    )


def hold() -> None:
    """Whoever looks closer wants the numbers to stay."""
    st.session_state["update-follow"] = False
