"""What the tests of exported files share: small policies of every kind there is."""

from __future__ import annotations

import functools

import numpy as np

from ddpg_core.export import FORMATS, Source, check_observations
from ddpg_core.policy import Policy, policy_at
from tests.helpers import CAR, SMALL, trained

CONFIGS = {
    "pendulum": SMALL.changed({"hidden": (8, 4), "gravity": 9.25, "length": 0.75}),
    "full range": SMALL.changed({"action_scale": "full"}),
    "car": SMALL.changed(CAR),
}


@functools.cache
def source(name: str) -> Source:
    """A run of 300 steps and its policy, evaluated on two starts."""
    run = trained(300, CONFIGS[name], 3)
    return Source(policy_at(run, starts=2), run)


@functools.cache
def written(kind: str, name: str) -> bytes:
    """The file of format `kind` made from it."""
    return FORMATS[kind].write(source(name))


def expected(policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """A thousand observations and the actions for them, by float64 arithmetic written out anew."""
    observations = check_observations(policy)
    x = observations.astype(np.float64)
    layers = policy.net.layers(policy.parameters.astype(np.float64))
    for index, (kernel, bias) in enumerate(layers):
        x = np.einsum("bi,ui->bu", x, kernel) + bias
        x = np.tanh(x) if index == len(layers) - 1 else x * (x > 0)
    return observations, np.clip(x * policy.action_scale, policy.action_low, policy.action_high)
