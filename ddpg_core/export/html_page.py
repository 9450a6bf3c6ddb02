"""Export as one self-contained page: network, physics and a canvas. The agent balances in any browser, offline.

Its real runtime is a browser, which a server has not: `largest_difference` reads the weights back out of the written
file and computes the page's formula in NumPy, and a test in Chromium holds the page's own `window.policy` to it.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ddpg_core.config import PRESETS, SETTINGS, Config, format_value
from ddpg_core.environment import Array, Physics
from ddpg_core.export import Source
from ddpg_core.policy import Card, Policy
from ddpg_core.recipe import preset_of

_ASSETS: Final = Path(__file__).parent / "assets"
_WEIGHTS: Final = re.compile(rb'<script type="application/json" id="policy">(.*?)</script>', re.DOTALL)


def write(source: Source) -> bytes:
    """The page of a pendulum's policy, in UTF-8.

    Raises:
        ValueError: The policy is of another environment.
    """
    policy = source.policy
    card = policy.card
    if card.config.env_id != "Pendulum-v1":
        raise ValueError(f"a web page must be of a policy of Pendulum-v1, got one of {card.config.env_id}")
    return filled(
        "page",
        title=escaped(f"Pendulum agent: {origin(card)}"),
        introduction=escaped(_introduction(policy)),
        card="\n".join(f"<div><dt>{escaped(name)}</dt><dd>{value}</dd></div>" for name, value in _facts(policy)),
        recipe=escaped(card.recipe.to_json().strip()),
        policy=json.dumps(_data(policy), ensure_ascii=True).replace("<", "\\u003c"),
    )


def largest_difference(data: bytes, policy: Policy, observations: Array) -> float:
    """How far the page's formula with the weights in `data`, in NumPy, is from the policy's actions.

    Args:
        data: What `write` gave.
        policy: What it was written from.
        observations: [N, O] float32.
    """
    found = _WEIGHTS.search(data)
    if not found:
        raise ValueError("a web page must hold its policy, got none")
    page = json.loads(found[1])
    parameters = np.frombuffer(base64.b64decode(page["parameters"]), "<f4")
    scale, low, high = (np.float32(page[name]) for name in ("action_scale", "action_low", "action_high"))
    actions = np.clip(_outputs(page["sizes"], parameters, observations) * scale, low, high)
    return float(np.abs(actions - policy(observations)).max())


def _introduction(policy: Policy) -> str:
    gravity, mass, length = Physics.of(policy.card.config)
    limit = float(policy.action_high[0])
    lift = ", too weak to lift the pole without a swing" if mass * gravity * length / 2 > limit else ""
    return (
        f"A network of {policy.net.parameter_count:,} numbers, trained by DDPG for {lasting(policy.card)}. "
        f"20 times a second it sees the pole's angle and speed, and chooses a torque of at most "
        f"{limit:g}\u00a0N·m{lift}."
    )


def _outputs(sizes: list[int], parameters: Array, x: Array) -> Array:
    """The formula of the page's script: sums in double precision, each layer's outputs rounded to float32."""
    at = 0
    for layer, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        kernel = parameters[at : at + units * inputs].reshape(units, inputs)
        bias = parameters[at + units * inputs : (at := at + units * (inputs + 1))]
        total = x.astype(np.float64) @ kernel.T + bias
        x = (np.tanh(total) if layer == len(sizes) - 2 else np.maximum(total, 0)).astype(np.float32)
    return x


def _data(policy: Policy) -> dict[str, Any]:
    """What the page's script computes with."""
    return {
        "sizes": policy.net.sizes,
        "parameters": base64.b64encode(policy.parameters.astype("<f4").tobytes()).decode(),
        "action_scale": policy.action_scale.tolist(),
        "action_low": policy.action_low.tolist(),
        "action_high": policy.action_high.tolist(),
        "physics": Physics.of(policy.card.config)._asdict(),
    }


def _facts(policy: Policy) -> list[tuple[str, str]]:
    """(name, HTML) of what the card says."""
    card, physics = policy.card, Physics.of(policy.card.config)
    score = card.evaluation
    regret = "" if score["regret_mean"] is None else f", {gap(score['regret_mean'])} a near-optimal policy"
    facts = [
        (
            "Return without noise",
            f"<b>{score['return_mean']:.0f} ± {score['return_std']:.0f}</b><br>"
            f"mean of {score['episodes']} fixed starts{regret}",
        ),
        ("Trained", f"<b>{lasting(card)}</b><br>{card.env_steps:,} steps of 1/20 s"),
        ("Recipe", f"{escaped(origin(card))}{_changes(card)}"),
        ("Network", f"{escaped(format_value(policy.net.sizes))} units, ReLU, tanh at the end"),
        ("Pendulum in training", f"g = {physics.gravity:g} m/s², m = {physics.mass:g} kg, l = {physics.length:g} m"),
        ("Versions", escaped(", ".join(f"{name} {version}" for name, version in card.versions.items()))),
    ]
    return [(name, with_minus(text)) for name, text in facts]


def _changes(card: Card) -> str:
    changes = [f"{name} = {value}" for name, _, value, _ in changed_settings(card.recipe.config)]
    if card.recipe.interventions:
        changes.append(f"changed while training: {len(card.recipe.interventions)}×")
    return f"<br>{escaped(', '.join(changes))}" if changes else ""


# --- words and templates that the report shares -----------------------------------------------------------------------


def filled(name: str, **parts: str) -> bytes:
    """The template `name`.html with its {{parts}} put in: `style` and `script` from the files of that name.

    Parts are put in as they are, so text is to be `escaped`; what stands in them is not looked at again.
    """
    texts = {path.name: path.read_text("utf-8") for path in _ASSETS.iterdir() if path.suffix in (".css", ".js")}
    parts["style"] = texts["base.css"] + texts[f"{name}.css"]
    parts.setdefault("script", texts.get(f"{name}.js", ""))
    template = (_ASSETS / f"{name}.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], template).encode()


def escaped(text: object) -> str:
    """`text` for HTML, in elements and in quoted attributes."""
    return html.escape(str(text), quote=True)


def with_minus(text: str) -> str:
    """`text` with real minus signs before numbers that stand alone."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def gap(regret: float) -> str:
    """How far below the optimum a regret is, in words."""
    return f"{regret:.1f} below" if regret >= 0.05 else "level with"


def origin(card: Card) -> str:
    """Preset, seed and length of the training: `preset fast, seed 0, 40 episodes`."""
    preset, _ = preset_of(card.recipe.config)
    return f"preset {preset}, seed {card.recipe.seed}, {lasting(card)}"


def lasting(card: Card) -> str:
    """How long the training was: `40 episodes`."""
    return f"{card.episode:,} episode{'' if card.episode == 1 else 's'}"


def changed_settings(config: Config) -> list[tuple[str, str, str, str]]:
    """(label, symbol, value, the preset's value) of each setting in which `config` differs from its preset."""
    preset, changed = preset_of(config)
    usual: Mapping[str, Any] = {name: getattr(PRESETS[preset], name) for name in changed}
    return [
        (SETTINGS[name].label, SETTINGS[name].symbol, format_value(value), format_value(usual[name]))
        for name, value in changed.items()
        if name != "engine"
    ]
