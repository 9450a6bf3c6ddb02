"""The reference engine: DDPG's update by PyTorch autograd, in the order and the words of the paper.

Features come first in here, [O, B] and not [B, O]: BLAS multiplies layers this narrow up to four times as fast so.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import ADAM_BETAS, ADAM_EPSILON, SATURATED, Batch, LearnerState
from ddpg_core.networks import MLP, TensorLayers

# One thread an update: the networks are small, equal sums need a fixed order, and sessions share the cores.
torch.set_num_threads(1)


class Transitions(NamedTuple):
    """A `Batch` as tensors, features first: obs [O, B], action [A, B], reward [B], next_obs [O, B], terminal [B]."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminal: Tensor


class Targets(NamedTuple):
    """The target actor's actions as they enter the target critic [A, B], its values of them [B], and y [B]."""

    next_action: Tensor
    next_q: Tensor
    y: Tensor


class Objective(NamedTuple):
    """A loss with its weight penalty, the penalty alone, and the loss's gradient, flat like the parameters."""

    loss: Tensor
    penalty: Tensor
    grad: Tensor


class CriticStep(NamedTuple):
    """Q(s, a) [B] and y − Q(s, a) [B] before the step, and what it descended."""

    q: Tensor
    td_error: Tensor
    objective: Objective


class Policy(NamedTuple):
    """The actor's outputs in [−1, 1] [A, B], these as actions [A, B], and the critic's values of them [B]."""

    squashed: Tensor
    action: Tensor
    q: Tensor


class ActorStep(NamedTuple):
    """The policy before the step, and what it descended."""

    policy: Policy
    objective: Objective


class TorchEngine:
    """DDPG's update, Lillicrap et al. 2016, algorithm 1.

    `update` makes the sub-steps `begin`, `targets`, `critic_step`, `actor_step`, `polyak_step` and `statistics` one
    after the other; whoever wants to look in between (`ddpg_core.microscope`) makes them itself in that order.

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
        """See `Engine.update`: the paper's sub-steps in the paper's order."""
        transitions, scale = self.begin(batch, action_scale)
        targets = self.targets(transitions, scale, config)
        critic = self.critic_step(transitions, targets.y, critic_lr, config.l2)
        actor = self.actor_step(transitions, scale, actor_lr, config.l2)
        self.polyak_step(config.tau)
        return self.statistics(targets, critic, actor)

    def begin(self, batch: Batch, action_scale: Array) -> tuple[Transitions, Tensor]:
        """The batch and the action scale [A, 1] as tensors; counts the update, which is Adam's t."""
        self._state.updates += 1
        return Transitions(*(torch.from_numpy(x.T) for x in batch)), torch.from_numpy(action_scale[:, None])

    @torch.no_grad()
    def targets(self, batch: Transitions, scale: Tensor, config: Config) -> Targets:
        """Set y = r + γ(1 − terminal)·Q′(s′, μ′(s′)); changes nothing."""
        action = self._actor_net(self._actor_target, batch.next_obs)  # [A, B]
        if config.target_action_scaled:
            action = action * scale
        q = self._q(self._critic_target, batch.next_obs, action)  # [B]
        return Targets(action, q, batch.reward + config.gamma * (1 - batch.terminal) * q)

    def critic_step(self, batch: Transitions, y: Tensor, lr: float, l2: float) -> CriticStep:
        """Update the critic by minimising the mean of (y − Q(s, a))² + λ·½Σw²; mutates critic and its moments."""
        q = self.q(batch)
        td_error = y - q
        objective = self._penalised(td_error.square().mean(), self._critic, self._critic_part, l2)
        self._descend(self._critic_part, objective.grad, lr)
        return CriticStep(q, td_error, objective)

    def actor_step(self, batch: Transitions, scale: Tensor, lr: float, l2: float) -> ActorStep:
        """Update the actor by minimising −mean Q(s, μ(s)) + λ·½Σw² through the critic; mutates actor and its moments.

        The critic is the one just updated, and stays as it is.
        """
        policy = self.policy(batch, scale)
        objective = self._penalised(-policy.q.mean(), self._actor, self._actor_part, l2)
        self._descend(self._actor_part, objective.grad, lr)
        return ActorStep(policy, objective)

    def polyak_step(self, tau: float) -> None:
        """Update both targets: θ′ ← τθ + (1 − τ)θ′; mutates them."""
        self._target.lerp_(self._online, tau)

    @torch.no_grad()
    def statistics(self, targets: Targets, critic: CriticStep, actor: ActorStep) -> Array:
        """`STATISTICS` [8] float64 of an update's sub-steps."""
        statistics = (
            critic.objective.loss,
            actor.objective.loss,
            critic.q.mean(),
            targets.y.mean(),
            critic.td_error.abs().mean(),
            critic.objective.grad.norm(),
            actor.objective.grad.norm(),
            (actor.policy.squashed.abs() > SATURATED).float().mean(),
        )
        return torch.stack(statistics).double().numpy()

    def q(self, batch: Transitions) -> Tensor:
        """Q(s, a) [B] by the critic as it is now."""
        return self._q(self._critic, batch.obs, batch.action)

    def policy(self, batch: Transitions, scale: Tensor) -> Policy:
        """What actor and critic as they are now say of the batch's states; differentiable in the actor alone."""
        squashed = self._actor_net(self._actor, batch.obs)  # [A, B]
        action = squashed * scale
        return Policy(squashed, action, self._q(self._fixed_critic, batch.obs, action))

    def _q(self, critic: TensorLayers, obs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a) [B] of obs [O, B] and action [A, B]."""
        return self._critic_net(critic, torch.cat([obs, action])).squeeze(0)

    def _penalised(self, loss: Tensor, layers: TensorLayers, part: slice, l2: float) -> Objective:
        """The loss with λ·½Σw² over the kernels, without the biases, and the gradient.

        The penalty's own gradient, λw, needs no autograd: through it, it took a tenth of an update of wide layers.
        """
        grads = torch.autograd.grad(loss, list(itertools.chain(*layers)))
        kernels = self._online[part] * self._is_kernel[part]
        penalty = 0.5 * l2 * kernels.dot(kernels)
        grad = torch.cat([grad.flatten() for grad in grads]).add_(kernels, alpha=l2)
        return Objective(loss.detach() + penalty, penalty, grad)

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
