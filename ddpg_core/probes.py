"""What can be asked of an agent in the pendulum: arrays in, arrays out, all pure functions.

Networks come as (MLP, flat parameter vector). Maps have the shape [velocity, angle], so that a heat map of one shows
the velocity upwards. Dimension letters: P points, V velocities, A angles, T torques, N states; … any shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ddpg_core.environment import (
    MAX_SPEED_RAD_S,
    MAX_TORQUE_NM,
    Array,
    Physics,
    pendulum_obs,
    pendulum_step,
)
from ddpg_core.networks import MLP
from ddpg_core.oracle import EPISODE_STEPS, MAX_GAMMA, grid_nodes, interpolation

if TYPE_CHECKING:
    from ddpg_core.networks import TensorLayers

ROLLOUT_STEPS: Final = 200
_ANCHORS: Final = (32, 31)
"""Angles and velocities of the anchor states: both rests are among them, where policies end that go nowhere."""
_SLICE: Final = 1024
"""States a network is asked about at once: so activations stay in the cache, at 256 units nearly twice as fast."""


class StateGrid(NamedTuple):
    """States of the pendulum on a grid.

    Attributes:
        angles: [P] rad, from −π to π.
        velocities: [P] rad/s, from −8 to 8.
        angle, velocity: The same of each state [P velocities, P angles].
        obs: Its observation [P velocities, P angles, 3] float32.
    """

    angles: Array
    velocities: Array
    angle: Array
    velocity: Array
    obs: Array


def state_grid(points: int = 61) -> StateGrid:
    """`points`² states; odd `points` include the upright one at rest."""
    angles = np.linspace(-np.pi, np.pi, points)
    velocities = np.linspace(-MAX_SPEED_RAD_S, MAX_SPEED_RAD_S, points)
    angle, velocity = np.meshgrid(angles, velocities)
    return StateGrid(angles, velocities, angle, velocity, pendulum_obs(angle, velocity))


# --- what the networks say --------------------------------------------------------------------------------------------


def policy_map(actor_net: MLP, actor: Array, action_scale: Array, obs: Array, executed: bool = True) -> Array:
    """Torques [...] in N·m that the policy chooses in obs [..., 3], without noise.

    Args:
        actor_net, actor: The policy.
        action_scale: [1], `Run.action_scale`.
        obs: Observations.
        executed: Clipped to the ±2 N·m of the actuator, as the environment executes them. False: as the actor says
            them, up to ±4 in the notebook's form. A critic that learned from raw actions (`store_action` is `raw`) is
            to be asked about these; one that learned from executed actions knows nothing beyond the limits.
    """
    torque = _outputs(actor_net, actor, obs) * action_scale[0]
    return np.clip(torque, -MAX_TORQUE_NM, MAX_TORQUE_NM) if executed else torque


def q_map(critic_net: MLP, critic: Array, obs: Array, torque: Array | float) -> Array:
    """The critic's values [...] of torques in N·m, one for all or one each [...], in obs [..., 3]."""
    return _outputs(critic_net, critic, _with_action(obs, torque))


def q_along_torque(critic_net: MLP, critic: Array, obs: Array, torques: Array) -> Array:
    """The critic's values [T] of `torques` [T] in N·m in one state, obs [3]."""
    return q_map(critic_net, critic, np.broadcast_to(obs, (len(torques), len(obs))), torques)


def torque_gradient(critic_net: MLP, critic: Array, obs: Array, torque: Array | float) -> Array:
    """∂Q/∂a [...] per N·m at torques, one for all or one each [...], in obs [..., 3], by backpropagation.

    Where an actor update pushes the policy's torque in that state (Silver et al. 2014, theorem 1). Computed in the
    precision of its arguments; at the corner of a ReLU, the slope to its left.
    """
    inputs = _with_action(obs, torque)
    layers = critic_net.layers(critic)
    x, active = inputs.reshape(-1, inputs.shape[-1]), []
    with np.errstate(all="ignore"):
        for kernel, bias in layers[:-1]:
            x = np.maximum(x @ kernel.T + bias, 0)
            active.append(x > 0)
        gradient = np.broadcast_to(layers[-1][0], x.shape)
        for (kernel, _), passes in zip(reversed(layers[:-1]), reversed(active), strict=True):
            gradient = (gradient * passes) @ kernel
    return gradient[:, -1].reshape(inputs.shape[:-1])


def _with_action(obs: Array, torque: Array | float) -> Array:
    torques = np.broadcast_to(np.asarray(torque, dtype=obs.dtype), obs.shape[:-1])
    return np.concatenate([obs, torques[..., None]], axis=-1)


def _outputs(net: MLP, parameters: Array, inputs: Array) -> Array:
    """The one output [...] for inputs [..., I]; of a network that diverged, what it gives, without warnings."""
    with np.errstate(all="ignore"):
        return net.numpy(parameters, inputs.reshape(-1, inputs.shape[-1])).reshape(inputs.shape[:-1])


# --- what is true -----------------------------------------------------------------------------------------------------


def true_q(
    actor_net: MLP,
    actor: Array,
    action_scale: Array,
    physics: Physics,
    gamma: float,
    angle_rad: Array,
    velocity_rad_s: Array,
    torque_nm: Array | float | None = None,
) -> Array:
    """The true discounted action values [...] of a policy: one torque, then the policy without noise, for ever.

    200 steps are rolled out with the environment's own physics; actions are clipped as it clips them. What comes later
    is not cut off, since a critic that bootstraps at the time limit doesn't either: it is the policy's value where the
    rollout ends, interpolated between 32 × 31 anchor states, whose values solve V = (200 steps' reward) + γ²⁰⁰·V(end).
    After 5 episodes of preset `fast` at γ = 0.99, where Q averages −611 on the grid, this is 0.04 off 1,500-step
    rollouts on average and 4 at most (ends between two basins); cutting off is 89 off, going on at the mean reward of
    the last 50 steps 1. A critic that takes the time limit as terminal (the notebook's) learns of a shorter future and
    so lies above this.

    Args:
        actor_net, actor: The policy.
        action_scale: [1], `Run.action_scale`.
        physics: The pendulum.
        gamma: Discount, taken as `MAX_GAMMA` above it, like the oracle's.
        angle_rad, velocity_rad_s: States of any one shape.
        torque_nm: The first torque, one for all or one each [...]. Default: the policy's.

    Returns:
        NaN everywhere if the policy's torques are not finite.
    """
    anchor_angle, anchor_velocity = grid_nodes(_ANCHORS)
    angle = np.concatenate([angle_rad.ravel(), anchor_angle])
    velocity = np.concatenate([velocity_rad_s.ravel(), anchor_velocity])
    count, gamma = angle_rad.size, min(gamma, MAX_GAMMA)
    layers = _torch_layers(actor_net, actor)
    torque = _torques(actor_net, layers, action_scale, angle, velocity)
    if torque_nm is not None:
        torque[:count] = np.broadcast_to(torque_nm, angle_rad.shape).ravel()
    total = np.zeros(len(angle))
    for step in range(ROLLOUT_STEPS):
        if step:
            torque = _torques(actor_net, layers, action_scale, angle, velocity)
        if not np.isfinite(torque).all():
            return np.full(angle_rad.shape, np.nan)
        angle, velocity, reward = pendulum_step(angle, velocity, torque, physics)
        total += gamma**step * reward
    corners, weights = interpolation(angle, velocity, _ANCHORS)
    discount = gamma**ROLLOUT_STEPS
    anchors = _closed(total[count:], corners[:, count:], weights[:, count:], discount)
    values = total[:count] + discount * (anchors[corners[:, :count]] * weights[:, :count]).sum(0)
    return values.reshape(angle_rad.shape)


def policy_returns(actor_net: MLP, actor: Array, action_scale: Array, physics: Physics, starts: Array) -> Array:
    """Undiscounted returns [N] of a pendulum policy without noise, an episode from each of `starts` [N, 2].

    What `ddpg_core.metrics.evaluate_policy` gives in Gymnasium itself, all side by side and so many times as fast.
    """
    angle, velocity = starts.T
    total = np.zeros(len(starts))
    for _ in range(EPISODE_STEPS):
        torque = policy_map(actor_net, actor, action_scale, pendulum_obs(angle, velocity))
        angle, velocity, reward = pendulum_step(angle, velocity, torque, physics)
        total += reward
    return total


def _closed(reward: Array, corners: Array, weights: Array, discount: float) -> Array:
    """Values [S] of states that earn `reward` [S] on the way to the mean of the states `corners` [4, S]."""
    arrival = np.zeros((len(reward), len(reward)))
    np.add.at(arrival, (np.arange(len(reward)), corners), weights)
    return np.linalg.solve(np.eye(len(reward)) - discount * arrival, reward)


def _torques(net: MLP, layers: TensorLayers, action_scale: Array, angle_rad: Array, velocity_rad_s: Array) -> Array:
    """The policy's torques [N] in states [N], as `Run.act` gives them; features first, in slices."""
    import torch

    obs = torch.from_numpy(pendulum_obs(angle_rad, velocity_rad_s)).T
    with torch.inference_mode():
        outputs = torch.cat([net(layers, part) for part in obs.split(_SLICE, dim=1)], dim=1)
    return outputs.numpy()[0] * action_scale[0]


def _torch_layers(net: MLP, parameters: Array) -> TensorLayers:
    import torch

    return [
        (torch.from_numpy(kernel), torch.from_numpy(bias[:, None]))
        for kernel, bias in net.layers(np.array(parameters, np.float32))
    ]
