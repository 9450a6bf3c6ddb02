"""The reference engine: DDPG's update by PyTorch autograd, in the order and the words of the paper."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import SATURATED, Batch, LearnerState

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
        self._actor = torch.from_numpy(state.actor).requires_grad_()
        self._critic = torch.from_numpy(state.critic).requires_grad_()
        self._actor_target = torch.from_numpy(state.actor_target)
        self._critic_target = torch.from_numpy(state.critic_target)
        self._online, self._target = torch.from_numpy(state.online), torch.from_numpy(state.target)
        self._actor_kernels = torch.from_numpy(state.actor_net.kernel_mask())
        self._critic_kernels = torch.from_numpy(state.critic_net.kernel_mask())
        actor_end = len(state.actor)
        moment1, moment2 = torch.from_numpy(state.moment1), torch.from_numpy(state.moment2)
        self._actor_adam = self._adam(self._actor, moment1[:actor_end], moment2[:actor_end])
        self._critic_adam = self._adam(self._critic, moment1[actor_end:], moment2[actor_end:])

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`."""
        obs, action, reward, next_obs, terminal = map(torch.from_numpy, batch)  # [B, O] [B, A] [B] [B, O] [B]
        scale = torch.from_numpy(action_scale)  # [A]
        self._state.updates += 1

        # Set y = r + γ(1 − terminal)·Q′(s′, μ′(s′))
        with torch.no_grad():
            next_action = self._actor_net(self._actor_target, next_obs)  # [B, A]
            if config.target_action_scaled:
                next_action = next_action * scale
            next_q = self._q(self._critic_target, next_obs, next_action)  # [B]
            target = reward + config.gamma * (1 - terminal) * next_q

        # Update the critic by minimising the mean of (y − Q(s, a))²
        q = self._q(self._critic, obs, action)
        td_error = target - q
        critic_loss = td_error.square().mean() + config.l2 * self._kernel_norm(self._critic, self._critic_kernels)
        (critic_grad,) = torch.autograd.grad(critic_loss, self._critic)
        self._descend(self._critic_adam, critic_grad, critic_lr)

        # Update the actor along the gradient of Q(s, μ(s)), through the critic just updated
        squashed = self._actor_net(self._actor, obs)  # [B, A]
        policy_q = self._q(self._critic.detach(), obs, squashed * scale)
        actor_loss = config.l2 * self._kernel_norm(self._actor, self._actor_kernels) - policy_q.mean()
        (actor_grad,) = torch.autograd.grad(actor_loss, self._actor)
        self._descend(self._actor_adam, actor_grad, actor_lr)

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

    def _q(self, critic: Tensor, obs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [B] of obs [B, O] and action [B, A]."""
        return self._critic_net(critic, torch.cat([obs, action], dim=1)).squeeze(1)

    @staticmethod
    def _kernel_norm(parameters: Tensor, is_kernel: Tensor) -> Tensor:
        """½Σw² over the kernels, without the biases (scalar)."""
        return 0.5 * (parameters * is_kernel).dot(parameters)

    @staticmethod
    def _adam(parameters: Tensor, moment1: Tensor, moment2: Tensor) -> torch.optim.Adam:
        """PyTorch's Adam (Kingma & Ba 2015, algorithm 1) on a flat vector, its moments kept in ours."""
        optimizer = torch.optim.Adam([parameters], betas=ADAM_BETAS, eps=ADAM_EPSILON, fused=True)
        optimizer.state[parameters] = {"step": torch.zeros(()), "exp_avg": moment1, "exp_avg_sq": moment2}
        return optimizer

    def _descend(self, optimizer: torch.optim.Adam, grad: Tensor, lr: float) -> None:
        """One Adam step along −`grad`; mutates the optimizer's parameters and moments."""
        (group,) = optimizer.param_groups
        (parameters,) = group["params"]
        optimizer.state[parameters]["step"].fill_(self._state.updates - 1)
        group["lr"], parameters.grad = lr, grad
        optimizer.step()
