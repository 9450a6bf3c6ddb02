"""Every setting of a run, in one frozen dataclass; widgets, CLI flags, JSON and validation are all made from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_LAYERS: Final = 4
MAX_UNITS: Final = 512


@dataclass(frozen=True)
class Setting:
    """What is known of one field of `Config` besides its value.

    Attributes:
        group: Heading under which the controls show it.
        label: Plain words, sentence case.
        help: One or two sentences for a learner.
        symbol: The paper's or the field's symbol, or "".
        unit: Unit of the value, or "".
        low, high: Inclusive bounds of a number (`low_open` makes the lower one exclusive).
        step: What a slider over it moves by.
        log: Whether a slider over it should be logarithmic instead.
        choices: Allowed values of a text setting, each with its meaning.
        live: Whether it may change while a run trains (by an `Intervention`).
    """

    group: str
    label: str
    help: str
    symbol: str = ""
    unit: str = ""
    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    step: float = 0.05
    log: bool = False
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    live: bool = True


def _setting(default: Any, group: str, label: str, help: str, **details: Any) -> Any:
    return dataclasses.field(default=default, metadata={"setting": Setting(group, label, help, **details)})


ENVIRONMENT, NETWORKS, LEARNING, REPLAY, NOISE, QUIRKS = (
    "Environment",
    "Networks",
    "Learning",
    "Replay",
    "Exploration noise",
    "The notebook's deviations",
)
_HALF_OR_FULL = {"half": "half the actuator's range, as it should be", "full": "the whole range (high − low)"}


@dataclass(frozen=True)
class Config:
    """All settings of a run; the defaults are the textbook's (preset `textbook`).

    Raises:
        ValueError: A value has the wrong type, is not finite or is out of bounds; the message names the
            setting, what was expected and what was given.
    """

    env_id: str = _setting(
        "Pendulum-v1",
        ENVIRONMENT,
        "Environment",
        "The Gymnasium environment the agent lives in.",
        choices={
            "Pendulum-v1": "Pendulum: swing it up and hold it upright",
            "MountainCarContinuous-v0": "Mountain car: rock it up a hill; reward only at the top",
        },
        live=False,
    )
    gravity: float = _setting(
        10.0,
        ENVIRONMENT,
        "Gravity",
        "Acceleration of gravity. Pendulum only.",
        symbol="g",
        unit="m/s²",
        low=0.0,
        high=20.0,
        live=False,
    )
    mass: float = _setting(
        1.0,
        ENVIRONMENT,
        "Pole mass",
        "A heavier pole needs more swings. Pendulum only.",
        symbol="m",
        unit="kg",
        low=0.1,
        high=5.0,
        live=False,
    )
    length: float = _setting(
        1.0,
        ENVIRONMENT,
        "Pole length",
        "A longer pole is harder to lift. Pendulum only.",
        symbol="l",
        unit="m",
        low=0.2,
        high=3.0,
        live=False,
    )

    hidden: tuple[int, ...] = _setting(
        (8, 8, 8),
        NETWORKS,
        "Hidden layers",
        "Units in each hidden layer, of the actor and of the critic alike.",
        unit="units",
        low=1,
        high=MAX_UNITS,
        live=False,
    )
    kernel_init: str = _setting(
        "glorot",
        NETWORKS,
        "Initial weights",
        "How the weights are drawn before the first step. Biases start at zero with glorot.",
        choices={
            "glorot": "Glorot uniform kernels, zero biases",
            "fan_in": "uniform ±1/√inputs, last layer ±0.003 (Lillicrap et al., section 7)",
        },
        live=False,
    )
    target_init: str = _setting(
        "copy",
        NETWORKS,
        "Targets start as",
        "Target networks should begin as copies of the networks they follow.",
        choices={"copy": "copies of actor and critic", "random": "their own random weights (the notebook)"},
        live=False,
    )

    gamma: float = _setting(
        0.99,
        LEARNING,
        "Discount",
        "How much a reward one step later is worth. 0 looks one step ahead, 0.99 about a hundred.",
        symbol="γ",
        low=0.0,
        high=1.0,
        step=0.005,
    )
    tau: float = _setting(
        0.01,
        LEARNING,
        "Target rate",
        "Share of the way the target networks move towards the learning ones at each update. 1 means no "
        "target networks at all.",
        symbol="τ",
        low=1e-5,
        high=1.0,
        log=True,
    )
    actor_lr: float = _setting(
        1e-3,
        LEARNING,
        "Actor learning rate",
        "Step size of Adam on the actor.",
        symbol="αμ",
        low=1e-6,
        high=1.0,
        log=True,
    )
    critic_lr: float = _setting(
        1e-3,
        LEARNING,
        "Critic learning rate",
        "Step size of Adam on the critic.",
        symbol="αQ",
        low=1e-6,
        high=1.0,
        log=True,
    )
    lr_decay: float = _setting(
        1.0,
        LEARNING,
        "Learning-rate decay",
        "Both learning rates are multiplied by this after every episode.",
        symbol="d",
        unit="per episode",
        low=0.5,
        high=1.0,
        step=0.005,
    )
    l2: float = _setting(
        5e-7,
        LEARNING,
        "Weight penalty",
        "L2 regularisation: λ·½Σw² over the kernels is added to both losses.",
        symbol="λ",
        low=0.0,
        high=1.0,
        log=True,
    )
    updates_per_step: int = _setting(
        1,
        LEARNING,
        "Updates per step",
        "Gradient updates after each step of the environment; 0 stops learning.",
        low=0,
        high=16,
    )
    engine: str = _setting(
        "auto",
        LEARNING,
        "Engine",
        "Who computes the update. Both compute the same numbers but for rounding.",
        choices={
            "auto": "the faster of the two",
            "torch": "PyTorch autograd, the reference, reads like the paper",
            "fused": "one compiled kernel, several times as fast",
        },
    )

    replay: str = _setting(
        "uniform",
        REPLAY,
        "Replay",
        "Which transitions a batch is made of.",
        choices={
            "uniform": "drawn at random, from the whole window",
            "latest": "only the newest ones: no experience replay",
        },
    )
    batch_size: int = _setting(
        1024,
        REPLAY,
        "Batch size",
        "Transitions in one gradient step.",
        symbol="B",
        unit="transitions",
        low=1,
        high=4096,
        log=True,
    )
    capacity: int = _setting(
        100_000,
        REPLAY,
        "Buffer capacity",
        "The newest transitions that can still be drawn; older ones are forgotten.",
        symbol="N",
        unit="transitions",
        low=1,
        high=1_000_000,
        log=True,
    )
    replacement: bool = _setting(
        True,
        REPLAY,
        "Draw with replacement",
        "Whether one transition may occur twice in a batch.",
    )
    warmup_steps: int = _setting(
        1024,
        REPLAY,
        "Warm-up",
        "Learning starts once this many transitions have been seen.",
        unit="steps",
        low=1,
        high=100_000,
        log=True,
    )

    noise: str = _setting(
        "ou",
        NOISE,
        "Noise",
        "What is added to the policy's action so that it explores.",
        choices={
            "ou": "Ornstein–Uhlenbeck, x ← x + θ(μ − x)dt + σ√dt·N(0,1)",
            "ou_notebook": "as the notebook wrote it, x ← θ(μ − x) + σN(0,1): alternates in sign",
            "gaussian": "Gaussian, independent at each step, with mean μ and standard deviation σ",
            "none": "none: the policy alone acts",
        },
    )
    noise_scale: float = _setting(
        1.0,
        NOISE,
        "Noise scale",
        "Size of the noise in the first episode, as a multiple of the actuator's half range.",
        low=0.0,
        high=5.0,
    )
    noise_decay: float = _setting(
        0.99,
        NOISE,
        "Noise decay",
        "The noise scale is multiplied by this after every episode.",
        unit="per episode",
        low=0.5,
        high=1.0,
        step=0.005,
    )
    ou_theta: float = _setting(
        0.15,
        NOISE,
        "Pull to the mean",
        "How fast OU noise returns to its mean. Small values make slow, long swings.",
        symbol="θ",
        low=0.0,
        high=2.0,
        low_open=True,
        step=0.01,
    )
    ou_sigma: float = _setting(
        0.2,
        NOISE,
        "Volatility",
        "Size of the random kick at each step; for Gaussian noise its standard deviation.",
        symbol="σ",
        low=0.0,
        high=2.0,
    )
    ou_mu: float = _setting(
        0.0,
        NOISE,
        "Mean",
        "Where the noise is centred. Not 0: a constant push in one direction.",
        symbol="μ",
        low=-1.0,
        high=1.0,
    )
    ou_dt: float = _setting(
        1.0,
        NOISE,
        "Time step",
        "Time between two draws of OU noise. Libraries that default to 0.01 make noise that hardly changes "
        "within an episode.",
        symbol="dt",
        low=0.0,
        high=1.0,
        low_open=True,
        log=True,
    )
    noise_reset: bool = _setting(
        True,
        NOISE,
        "Reset noise each episode",
        "Whether the noise process starts anew at its mean with every episode (notebook: never).",
    )

    action_scale: str = _setting(
        "half",
        QUIRKS,
        "Action scale",
        "What the actor's output in [−1, 1] is multiplied by (notebook: full, so ±4 N·m for a ±2 actuator).",
        choices=_HALF_OR_FULL,
    )
    noise_range: str = _setting(
        "half",
        QUIRKS,
        "Noise range",
        "What the noise is multiplied by besides its scale (notebook: full).",
        choices=_HALF_OR_FULL,
    )
    target_action_scaled: bool = _setting(
        True,
        QUIRKS,
        "Scale target actions",
        "Whether the target actor's actions enter the target critic in the same unit as the actor's "
        "(notebook: no, they stay within ±1).",
    )
    time_limit_terminal: bool = _setting(
        False,
        QUIRKS,
        "Time limit is terminal",
        "Whether running out of time counts as an end with no future reward (notebook: yes).",
    )
    store_action: str = _setting(
        "executed",
        QUIRKS,
        "Stored action",
        "Which action the critic learns from (notebook: raw, even beyond the actuator's limits).",
        choices={"executed": "what the environment executed", "raw": "policy plus noise, before clipping"},
    )
    shared_lr: bool = _setting(
        False,
        QUIRKS,
        "One learning rate",
        "Whether the critic uses the actor's learning rate too (notebook: yes).",
    )

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), field))

    def changed(self, changes: Mapping[str, Any]) -> Config:
        """A new Config with `changes` applied.

        Raises:
            ValueError: An unknown setting, or a value that does not validate.
        """
        for name in changes:
            setting_of(name)
        return dataclasses.replace(self, **changes)

    def difference(self, other: Config) -> dict[str, Any]:
        """The settings in which this Config differs from `other`, with this one's values."""
        return {name: getattr(self, name) for name in SETTINGS if getattr(self, name) != getattr(other, name)}


FIELDS: Final[dict[str, dataclasses.Field[Any]]] = {}
SETTINGS: Final[dict[str, Setting]] = {}
for _field in dataclasses.fields(Config):
    FIELDS[_field.name] = _field
    SETTINGS[_field.name] = _field.metadata["setting"]


def setting_of(name: str) -> Setting:
    """The `Setting` called `name`.

    Raises:
        ValueError: There is none; the message lists the nearest names.
    """
    if name not in SETTINGS:
        import difflib

        near = difflib.get_close_matches(str(name), SETTINGS, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ValueError(f"setting must be one of those listed by `presets`, got {str(name)[:40]!r}{hint}")
    return SETTINGS[name]


def shown(value: Any) -> str:
    """`value` for an error message: its repr, cut short, since it may come from anyone's file and be of any size."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"{type(value).__name__} too large to print"
    return text if len(text) <= 100 else f"{text[:99]}…"


def _checked(name: str, value: Any, field: dataclasses.Field[Any]) -> Any:
    """`value` in the type of the field's default, or a ValueError."""
    setting: Setting = field.metadata["setting"]
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {shown(value)}")
        return value
    if isinstance(field.default, str):
        if not isinstance(value, str) or value not in setting.choices:
            raise ValueError(f"{name} must be one of {', '.join(setting.choices)}, got {shown(value)}")
        return value
    if isinstance(field.default, tuple):
        return _checked_layers(name, value)
    return _checked_number(name, value, setting, whole=isinstance(field.default, int))


def _checked_number(name: str, value: Any, setting: Setting, whole: bool) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {shown(value)}")
    expected = (
        f"{'a whole number ' if whole else ''}in {'(' if setting.low_open else '['}{setting.low:g}, {setting.high:g}]"
    )
    if isinstance(value, float) and (not math.isfinite(value) or (whole and value != int(value))):
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")
    too_low = value <= setting.low if setting.low_open else value < setting.low
    if too_low or value > setting.high:
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")
    return int(value) if whole else float(value)


def _checked_layers(name: str, value: Any) -> tuple[int, ...]:
    def is_width(units: Any) -> bool:
        return isinstance(units, int) and not isinstance(units, bool) and 1 <= units <= MAX_UNITS

    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_LAYERS or not all(map(is_width, value)):
        raise ValueError(
            f"{name} must be 1 to {MAX_LAYERS} layers of 1 to {MAX_UNITS} units, like 64-64, got {shown(value)}"
        )
    return tuple(value)


def parse_value(name: str, text: str) -> Any:
    """The value of setting `name` written as text, as on the command line (`64-64`, `true`, `1e-3`, `latest`).

    Raises:
        ValueError: An unknown setting, or text of the wrong kind. Bounds are checked by `Config` itself.
    """
    setting_of(name)
    default = FIELDS[name].default
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} must be true or false, got {shown(text)}")
        return text.lower() == "true"
    if isinstance(default, str):
        return text
    try:
        if isinstance(default, tuple):
            return tuple(int(part) for part in text.replace(",", "-").split("-"))
        return int(text) if isinstance(default, int) else float(text)
    except ValueError:
        kind = {tuple: "layers like 64-64", int: "a whole number"}.get(type(default), "a number")
        raise ValueError(f"{name} must be {kind}, got {shown(text)}") from None


def format_value(value: Any) -> str:
    """A setting's value as `parse_value` reads it."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


PRESETS: Final[dict[str, Config]] = {
    "fast": Config(hidden=(64, 64), batch_size=128, warmup_steps=128, noise_scale=1.0, noise_decay=0.99),
    "textbook": Config(),
    "notebook": Config(
        action_scale="full",
        target_action_scaled=False,
        target_init="random",
        noise="ou_notebook",
        noise_reset=False,
        noise_scale=0.0,
        noise_range="full",
        time_limit_terminal=True,
        store_action="raw",
        shared_lr=True,
        replacement=False,
        warmup_steps=1024,
    ),
    "no_replay": Config(hidden=(64, 64), batch_size=1, warmup_steps=128, replay="latest"),
}

PRESET_NOTES: Final[dict[str, str]] = {
    "fast": "64-64 networks, batch 128. Learns the swing-up in 10 to 30 episodes: show this first.",
    "textbook": "The notebook's 8-8-8 networks and batch 1024 with every deviation put right.",
    "notebook": "The original notebook as written, all eleven deviations from the paper included.",
    "no_replay": "As fast, but learning from the newest transition alone: it never learns.",
}
