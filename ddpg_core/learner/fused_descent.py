"""What the fused kernel does with a gradient: penalty, Adam and the targets' step, for compiled callers."""

from __future__ import annotations

from typing import Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.learner.fused_layers import ONE, compiled, padded, row_of
from ddpg_core.learner.fused_plan import Settings

_HALF: Final = np.float32(0.5)


@compiled
def descend(
    vector: Array, at: int, sizes: Array, work: Array, gradient: int, flat: int, settings: Settings, step: float
) -> tuple[float, float]:
    """`TorchEngine._penalised` and `_descend` of one network; the penalty, and the norm of the gradient."""
    penalty, norm, count = _flatten(vector, at, sizes, work, gradient, flat, settings.l2)
    networks = len(vector) // 4
    parameters, slopes = vector[at:][:count], work[flat:][:count]
    moment1, moment2 = vector[2 * networks + at :][:count], vector[3 * networks + at :][:count]
    for i in range(count):
        slope = slopes[i]
        moment1[i] += settings.weight1 * (slope - moment1[i])
        moment2[i] += settings.weight2 * (slope * slope - moment2[i])
        parameters[i] -= step * moment1[i] / (np.sqrt(moment2[i] / settings.correction2) + settings.epsilon)
    return penalty, norm


@compiled
def _flatten(
    vector: Array, at: int, sizes: Array, work: Array, gradient: int, flat: int, l2: float
) -> tuple[float, float, int]:
    """The gradient with the penalty's, λw, to `flat` as the parameters lie; the penalty, the norm, and the length."""
    start, squares, norm = flat, 0.0, 0.0
    for layer in range(len(sizes) - 1):
        inputs, units = sizes[layer], sizes[layer + 1]
        for u in range(units):
            row, out, weights = row_of(work, gradient, u, padded(inputs), inputs), work[flat:], vector[at:]
            for i in range(inputs):
                slope = row[i] + l2 * weights[i]
                out[i] = slope
                squares += np.float64(weights[i]) * weights[i]
                norm += np.float64(slope) * slope
            at += inputs
            flat += inputs
        gradient += padded(units) * padded(inputs)
        for u in range(units):
            slope = work[gradient + u]
            work[flat + u] = slope
            norm += np.float64(slope) * slope
        at += units
        flat += units
        gradient += padded(units)
    return 0.5 * l2 * squares, np.sqrt(norm), flat - start


@compiled
def polyak_step(vector: Array, tau: float) -> None:
    """`TorchEngine.polyak_step`, exact at τ = 1."""
    networks = len(vector) // 4
    online, target = vector[:networks], vector[networks:]
    for i in range(networks):
        distance = online[i] - target[i]
        target[i] = target[i] + tau * distance if tau < _HALF else online[i] - (ONE - tau) * distance
