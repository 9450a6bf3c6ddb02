"""The reference engine: DDPG's update by PyTorch autograd, in the order and the words of the paper.

Features come first in here, [O, B] and not [B, O]: BLAS multiplies layers this narrow up to four times as fast so.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import SATURATED, Batch, LearnerState
from ddpg_core.networks import MLP, TensorLayers

ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8

# One thread an update: the networks are small, equal sums need a fixed order, and sessions share the cores.
torch.set_num_threads(1)


class TorchEngine:
    """DDPG's update, Lillicrap et al. 2016, algorithm 1.

    Args:
        state: Parameters and moments, updated in place.
    """

    def __init__(self, state: LearnerState) -> None:
        self._state = state
        self._actor_net, self._critic_net = state.actor_net, state.critic_net
        self._actor = _layers(state.actor_net, state.actor, learning=True)
        self._critic = _layers(state.critic_net, state.critic, learning=True)
        self._fixed_critic = _layers(state.critic_net, state.critic)
        self._actor_target = _layers(state.actor_net, state.actor_target)
        self._critic_target = _layers(state.critic_net, state.critic_target)
        self._online, self._target = torch.from_numpy(state.online), torch.from_numpy(state.target)
        self._is_kernel = torch.from_numpy(
            np.concatenate([state.actor_net.kernel_mask(), state.critic_net.kernel_mask()])
        )
        self._moment1, self._moment2 = torch.from_numpy(state.moment1), torch.from_numpy(state.moment2)
        self._actor_part, self._critic_part = slice(len(state.actor)), slice(len(state.actor), None)

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`."""
        obs, action, reward, next_obs, terminal = (torch.from_numpy(x.T) for x in batch)  # [O, B] [A, B] [B] [O, B] [B]
        scale = torch.from_numpy(action_scale[:, None])  # [A, 1]
        self._state.updates += 1

        # Set y = r + γ(1 − terminal)·Q′(s′, μ′(s′))
        with torch.no_grad():
            next_action = self._actor_net(self._actor_target, next_obs)  # [A, B]
            if config.target_action_scaled:
                next_action = next_action * scale
            next_q = self._q(self._critic_target, next_obs, next_action)  # [B]
            target = reward + config.gamma * (1 - terminal) * next_q

        # Update the critic by minimising the mean of (y − Q(s, a))²
        q = self._q(self._critic, obs, action)
        td_error = target - q
        critic_loss, critic_grad = self._penalised(td_error.square().mean(), self._critic, self._critic_part, config.l2)
        self._descend(self._critic_part, critic_grad, critic_lr)

        # Update the actor along the gradient of Q(s, μ(s)), through the critic just updated
        squashed = self._actor_net(self._actor, obs)  # [A, B]
        policy_q = self._q(self._fixed_critic, obs, squashed * scale)
        actor_loss, actor_grad = self._penalised(-policy_q.mean(), self._actor, self._actor_part, config.l2)
        self._descend(self._actor_part, actor_grad, actor_lr)

        # Update both targets: θ′ ← τθ + (1 − τ)θ′
        self._target.lerp_(self._online, config.tau)

        with torch.no_grad():
            statistics = (
                critic_loss,
                actor_loss,
                q.mean(),
                target.mean(),
                td_error.abs().mean(),
                critic_grad.norm(),
                actor_grad.norm(),
                (squashed.abs() > SATURATED).float().mean(),
            )
            return torch.stack(statistics).double().numpy()

    def _q(self, critic: TensorLayers, obs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [B] of obs [O, B] and action [A, B]."""
        return self._critic_net(critic, torch.cat([obs, action])).squeeze(0)

    def _penalised(self, loss: Tensor, layers: TensorLayers, part: slice, l2: float) -> tuple[Tensor, Tensor]:
        """The loss with λ·½Σw² over the kernels, without the biases, and its gradient, flat like the parameters.

        The penalty's own gradient, λw, needs no autograd: through it, it took a tenth of an update of wide layers.
        """
        grads = torch.autograd.grad(loss, list(itertools.chain(*layers)))
        kernels = self._online[part] * self._is_kernel[part]
        penalty = 0.5 * l2 * kernels.dot(kernels)
        return loss.detach() + penalty, torch.cat([grad.flatten() for grad in grads]).add_(kernels, alpha=l2)

    def _descend(self, part: slice, grad: Tensor, lr: float) -> None:
        """One Adam step along −`grad` (Kingma & Ba 2015, algorithm 1); mutates this part's parameters and moments."""
        (beta1, beta2), t = ADAM_BETAS, self._state.updates
        moment1, moment2 = self._moment1[part], self._moment2[part]
        moment1.lerp_(grad, 1 - beta1)
        moment2.lerp_(grad.square(), 1 - beta2)
        denominator = (moment2 / (1 - beta2**t)).sqrt_().add_(ADAM_EPSILON)
        self._online[part].addcdiv_(moment1, denominator, value=-lr / (1 - beta1**t))


def _layers(net: MLP, parameters: Array, learning: bool = False) -> TensorLayers:
    """(kernel [U, I], bias [U, 1]) of each layer as tensors in the flat vector's memory; leaves if `learning`."""
    return [
        (torch.from_numpy(kernel).requires_grad_(learning), torch.from_numpy(bias[:, None]).requires_grad_(learning))
        for kernel, bias in net.layers(parameters)
    ]
