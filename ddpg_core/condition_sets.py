"""Ready-made comparisons: replay, target network, noise, forgetting, and the notebook's deviations one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.config import PRESETS

_FAST: Final = PRESETS["fast"]
_BRANCH: Final = 40
"""Episodes after which replay is taken from an agent that has learned."""


def _fast(name: str, *changes: Change, **settings: Any) -> Condition:
    return Condition(name, _FAST.changed(settings), changes)


def _branched(name: str, **settings: Any) -> Condition:
    return _fast(name, Change(settings, episode=_BRANCH))


_REPLAY: Final = Comparison(
    (
        _fast("buffer 100,000"),
        _fast("buffer 5,000", capacity=5000),
        _fast("buffer 1,000", capacity=1000),
        _fast("buffer 200", capacity=200),
        _fast("buffer 64", capacity=64),
        Condition("newest transition only", PRESETS["no_replay"]),
    ),
    title="Replay ablation",
    note=(
        "Zhang & Sutton 2017: too small and too large buffers both hurt. Vasan et al. 2024: deep policy gradients fail "
        "with tiny buffers."
    ),
)

_TARGET: Final = Comparison(
    (
        _fast("τ = 0.01"),
        _fast("τ = 0.001", tau=0.001),
        _fast("τ = 0.1", tau=0.1),
        _fast("no target networks (τ = 1)", tau=1.0),
        _fast("buffer 200", capacity=200),
        _fast("no target networks, buffer 200", tau=1.0, capacity=200),
    ),
    title="Target network",
    note=(
        "Lillicrap et al. 2016, table 1: without target networks the pendulum scores 0.099 on average and 0.951 at "
        "best (0 random, 1 planner): unreliable, not impossible."
    ),
)

_NOISE: Final = Comparison(
    (
        _fast("Ornstein–Uhlenbeck"),
        _fast("Gaussian, equal spread", noise="gaussian", ou_sigma=0.38),
        _fast("none", noise="none"),
        _fast("as the notebook wrote it", noise="ou_notebook"),
        _fast("Ornstein–Uhlenbeck, dt = 0.01", ou_dt=0.01),
    ),
    title="Noise kinds",
    note=(
        "Fujimoto et al. 2018: Ornstein–Uhlenbeck noise has no benefit over Gaussian. Hollenstein et al. 2022: it "
        "depends on the task."
    ),
)

_BUGS: Final = Comparison(
    (
        _fast("fast, as in the paper"),
        _fast("1 action × (high − low)", action_scale="full"),
        _fast("2 target actions unscaled", target_action_scaled=False),
        _fast("3 targets start at random", target_init="random"),
        _fast("4 alternating noise", noise="ou_notebook"),
        _fast("5 noise never reset", noise_reset=False),
        _fast("6 noise scale 0 × (high − low)", noise_scale=0.0, noise_range="full"),
        _fast("7 time limit is terminal", time_limit_terminal=True),
        _fast("8 raw action stored", store_action="raw"),
        _fast("9 one learning rate", shared_lr=True),
        _fast("10 no replacement, late start", replacement=False, warmup_steps=1024),
        _fast("11 8-8-8 units, batch 1,024", hidden=(8, 8, 8), batch_size=1024),
        Condition("all eleven: the notebook", PRESETS["notebook"]),
    ),
    seeds=tuple(range(10)),
    title="Bug lab: the notebook's eleven deviations, one at a time",
    note=(
        "Each is one change to preset fast. Both its learning rates are 0.001, so that one rate for both changes "
        "nothing. The original in TensorFlow ended at −811, −672 and −168 on three seeds."
    ),
)

_FORGETTING: Final = Comparison(
    (
        _fast("replay kept"),
        _branched("newest transition only", replay="latest", batch_size=1),
        *(_branched(f"window of {window}", capacity=window) for window in (8, 32, 128, 200)),
    ),
    evaluate_at=(45, 50, 55, 60),
    title="Forgetting",
    note=(
        "Replay is pulled after 40 episodes of preset fast. De Bruin et al. 2018: control fails when the buffer covers "
        "the state–action space poorly."
    ),
)

CONDITION_SETS: Final[Mapping[str, Comparison]] = {
    "replay": _REPLAY,
    "target-network": _TARGET,
    "noise": _NOISE,
    "bug-lab": _BUGS,
    "forgetting": _FORGETTING,
}
"""By the name that `compare` takes, each with a line from the literature in its note."""
