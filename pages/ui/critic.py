"""What the Critic page shows, as arrays: the networks of a run at a moment, asked about every state of the pendulum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.environment import MAX_TORQUE_NM, Array, Physics, pendulum_angles, pendulum_obs
from ddpg_core.moments import Moment
from ddpg_core.networks import MLP
from ddpg_core.oracle import Oracle
from ddpg_core.probes import policy_map, q_along_torque, q_map, state_grid, torque_gradient, true_q
from pages.ui.clips import on_screen
from pages.ui.lab import Lab
from pages.ui.player import Player

GRID: Final = state_grid(61)
CUT_POINTS: Final = 41
_TRAJECTORY_STEPS: Final = 400


@dataclass(frozen=True)
class Belief:
    """The networks of a run at a moment, copied out of it.

    Attributes:
        run: Serial number of the run.
        moment: Parameters and settings.
        actor_net, critic_net: Shapes of the networks.
        obs: Observations of the episode on screen [T, O].
        title: Which episode that is.
    """

    run: int
    moment: Moment
    actor_net: MLP
    critic_net: MLP
    obs: Array
    title: str

    @property
    def stamp(self) -> tuple[object, ...]:
        """Two beliefs of the same stamp say the same."""
        return self.run, self.moment.updates, self.moment.weights_of, self.moment.config

    @property
    def physics(self) -> Physics:
        """The pendulum that the agent is in."""
        return Physics.of(self.moment.config)

    @property
    def path(self) -> tuple[Array, Array]:
        """Angles and velocities of the episode on screen [T] each."""
        return pendulum_angles(self.obs), self.obs[:, -1]

    @property
    def reach(self) -> float:
        """The largest torque that the critic has learned about, in N·m."""
        scale = float(self.moment.action_scale[0])
        return max(scale, MAX_TORQUE_NM) if self.moment.config.store_action == "raw" else MAX_TORQUE_NM

    def policy(self, obs: Array = GRID.obs) -> Array:
        """Torques [...] of the policy in obs [..., 3], as the critic learned about them."""
        moment = self.moment
        executed = moment.config.store_action != "raw"
        return policy_map(self.actor_net, moment.actor, moment.action_scale, obs, executed)

    def learned(self, torque: float | None) -> Array:
        """The critic's values of all states on the grid [V, P], of this torque or of the policy's (None)."""
        return q_map(self.critic_net, self.moment.critic, GRID.obs, self.policy() if torque is None else torque)

    def torque(self) -> Array:
        """What the policy applies in all states on the grid [V, P], within the actuator's limits."""
        return np.clip(self.policy(), -MAX_TORQUE_NM, MAX_TORQUE_NM)

    def ahead(self, torque: float | None) -> Array:
        """How far the critic's values [V, P] are above those of its target network."""
        torques = self.policy() if torque is None else torque
        online, target = (
            q_map(self.critic_net, critic, GRID.obs, torques)
            for critic in (self.moment.critic, self.moment.critic_target)
        )
        return online - target


def belief_of(lab: Lab, player: Player) -> Belief:
    """Copy the networks at the moment on screen out of a run; takes the Lab's lock."""
    with lab.reading():
        moment, episode, learner = lab.moment(player), on_screen(lab, player), player.run.learner
    shown = slice(-_TRAJECTORY_STEPS, None)
    obs = episode.columns["obs"][shown] if episode else np.empty((0, learner.actor_net.sizes[0]), np.float32)
    title = episode.title if episode else ""
    return Belief(player.run.serial, moment, learner.actor_net, learner.critic_net, obs, title)


class Question(NamedTuple):
    """What the page is asked: maps for a torque in N·m (None: the policy's own), a cut at one state."""

    torque: float | None = None
    angle: float = 0.3
    velocity: float = 0.0


class Survey(NamedTuple):
    """The slow part of the answer: what is true of the policy of one belief.

    Attributes:
        stamp, question: Of what this is the answer.
        learned: The critic's values [V, P] at that moment.
        true: What the policy will earn [V, P].
        along: The same in the state looked at, of `cut_torques` [T] as first torque.
    """

    stamp: tuple[object, ...]
    question: Question
    learned: Array
    true: Array
    along: Array


def survey(belief: Belief, question: Question) -> Survey:
    """Roll out the policy from every state; about a third of a second with 64-64 networks, ten times that with 256."""
    torque, angle, velocity = question
    first = belief.policy() if torque is None else np.full(GRID.angle.shape, torque)
    cut = cut_torques(belief)
    moment = belief.moment
    values = true_q(
        belief.actor_net,
        moment.actor,
        moment.action_scale,
        belief.physics,
        moment.config.gamma,
        np.append(GRID.angle, np.full(len(cut), angle)),
        np.append(GRID.velocity, np.full(len(cut), velocity)),
        np.append(first, cut),
    )
    states = GRID.angle.size
    return Survey(
        belief.stamp, question, belief.learned(torque), values[:states].reshape(GRID.angle.shape), values[states:]
    )


def optimal(oracle: Oracle, torque: float | None) -> Array:
    """The best that can be earned [V, P]: after this torque, or from the first step on (None)."""
    if torque is None:
        return oracle.value(GRID.angle, GRID.velocity)
    return oracle.q(GRID.angle, GRID.velocity, np.array(torque))


def on_path(belief: Belief, values: Array) -> Array:
    """Values of a map [V, P] at the states of the episode on screen [T], each that of the nearest node."""
    angle, velocity = belief.path
    column = np.rint((angle - GRID.angles[0]) / (GRID.angles[1] - GRID.angles[0])).astype(int)
    row = np.rint((velocity - GRID.velocities[0]) / (GRID.velocities[1] - GRID.velocities[0])).astype(int)
    return values[row, column]


class Cut(NamedTuple):
    """One state's values against the action.

    Attributes:
        torques: [T], in the environment's units.
        learned, target: Of the critic and of its target network [T].
        true: Of the policy [T], None while unknown.
        optimal: Of the best policy [T], None while unknown.
        policy: The policy's action here.
        value, slope: Learned Q and ∂Q/∂a there.
    """

    torques: Array
    learned: Array
    target: Array
    true: Array | None
    optimal: Array | None
    policy: float
    value: float
    slope: float

    @property
    def lines(self) -> list[Array]:
        """The values that are known [T] each."""
        return [line for line in (self.learned, self.target, self.true, self.optimal) if line is not None]

    @property
    def gains(self) -> list[Array]:
        """The same as gains over the policy's action."""
        return [self.gain(line) for line in self.lines]

    def gain(self, values: Array) -> Array:
        """Values [T] minus that of the policy's action."""
        return values - np.interp(self.policy, self.torques, values)


def cut_torques(belief: Belief) -> Array:
    """The torques [T] along which a cut goes, as far as the critic has learned."""
    return np.linspace(-belief.reach, belief.reach, CUT_POINTS)


def cut_at(belief: Belief, question: Question, oracle: Oracle | None, true: Array | None) -> Cut:
    """Q against torque in the state that is asked about; `true` are the policy's true values of `cut_torques` [T]."""
    _, angle, velocity = question
    torques = cut_torques(belief)
    obs = pendulum_obs(np.array(angle), np.array(velocity))
    best = oracle.q(np.array(angle), np.array(velocity), torques) if oracle else None
    return _cut(belief, obs, torques, float(belief.policy(obs)), true, best)


def cut_of_action(belief: Belief, obs: Array, limit: float) -> Cut:
    """Q against an action within ±`limit` in one observation [O] of any environment with one action."""
    scale = belief.moment.action_scale[0]
    policy = float(np.clip(belief.actor_net.numpy(belief.moment.actor, obs)[0] * scale, -limit, limit))
    return _cut(belief, obs, np.linspace(-limit, limit, CUT_POINTS), policy, None, None)


def _cut(belief: Belief, obs: Array, actions: Array, policy: float, true: Array | None, best: Array | None) -> Cut:
    net, moment = belief.critic_net, belief.moment
    learned, target = (q_along_torque(net, critic, obs, actions) for critic in (moment.critic, moment.critic_target))
    value = float(q_along_torque(net, moment.critic, obs, np.array([policy]))[0])
    slope = float(torque_gradient(net, moment.critic, obs, policy))
    return Cut(actions, learned, target, true, best, policy, value, slope)
