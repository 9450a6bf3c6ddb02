"""DDPG as the notebook this project began with runs it: a TensorFlow 1 graph, driven op by op from Python.

Written anew for TensorFlow 2's compatibility module, with what costs time left as it was: transitions as Python objects
in a deque, a batch gathered with a list comprehension a column, and a session call each for the action, the episode
counter, the critic, the actor and the targets.
"""

from __future__ import annotations

import itertools
import random
from collections import deque

import gymnasium
import numpy as np
import tensorflow

from tests.benchmarks.peers import (
    BUFFER,
    FILL_STEPS,
    GAMMA,
    L2,
    LEARNING_RATE,
    OU_SIGMA,
    OU_THETA,
    TAU,
    Advance,
    Updates,
)

tf = tensorflow.compat.v1
tf.disable_v2_behavior()

TITLE = f"the notebook, TensorFlow {tensorflow.__version__}"


class Net:
    """A fully connected ReLU network of graph ops, whose variables live in a scope of their own."""

    def __init__(self, scope: str, sizes: list[int], last: object = None) -> None:
        self.last = last
        with tf.variable_scope(scope):
            self.layers = [
                (
                    tf.get_variable(f"kernel{number}", [inputs, units], initializer=tf.glorot_uniform_initializer()),
                    tf.get_variable(f"bias{number}", [units], initializer=tf.zeros_initializer()),
                )
                for number, (inputs, units) in enumerate(itertools.pairwise(sizes))
            ]

    @property
    def variables(self) -> list:
        return [variable for layer in self.layers for variable in layer]

    @property
    def penalty(self) -> object:
        """½Σw² over the kernels."""
        return tf.add_n([tf.nn.l2_loss(kernel) for kernel, _ in self.layers])

    def __call__(self, *inputs: object) -> object:
        x = tf.concat(inputs, 1)
        for kernel, bias in self.layers[:-1]:
            x = tf.nn.relu(tf.matmul(x, kernel) + bias)
        kernel, bias = self.layers[-1]
        x = tf.matmul(x, kernel) + bias
        return self.last(x) if self.last else x

    def follow(self, other: Net) -> list:
        """Ops that move this network's variables towards those of `other`."""
        pairs = zip(self.variables, other.variables, strict=True)
        return [slow.assign(TAU * fast + (1 - TAU) * slow) for slow, fast in pairs]


class Training:
    """The graph and the loop, which stops and goes on between two steps."""

    def __init__(self, hidden: list[int], batch: int) -> None:
        self.env, self.batch, self.updates = gymnasium.make("Pendulum-v1"), batch, 0
        obs_size, action_size = self.env.observation_space.shape[0], self.env.action_space.shape[0]
        self.span = self.env.action_space.high - self.env.action_space.low
        self.buffer: deque = deque(maxlen=BUFFER)
        self.rng, self.noise = np.random.default_rng(0), np.zeros(action_size)
        self._build(obs_size, action_size, hidden)
        one_thread = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        self.session = tf.Session(config=one_thread)
        self.session.run(tf.global_variables_initializer())
        obs, _ = self.env.reset(seed=0)
        self.obs = obs[None]

    def _build(self, obs_size: int, action_size: int, hidden: list[int]) -> None:
        self.obs_in, self.next_obs_in = (tf.placeholder(tf.float32, [None, obs_size]) for _ in range(2))
        self.action_in = tf.placeholder(tf.float32, [None, action_size])
        self.reward_in, self.go_on_in = (tf.placeholder(tf.float32, [None]) for _ in range(2))
        self.episode = tf.Variable(0.0, trainable=False)
        self.count_episode = self.episode.assign_add(1)
        actor, actor_target = (Net(name, [obs_size, *hidden, action_size], tf.tanh) for name in ("actor", "slow_actor"))
        critic, critic_target = (Net(name, [obs_size + action_size, *hidden, 1]) for name in ("critic", "slow_critic"))

        self.policy = actor(self.obs_in) * self.span
        next_q = critic_target(self.next_obs_in, actor_target(self.next_obs_in))
        y = self.reward_in[:, None] + self.go_on_in[:, None] * GAMMA * next_q
        td_error = y - critic(self.obs_in, self.action_in)
        critic_loss = tf.reduce_mean(tf.square(td_error)) + L2 * critic.penalty
        actor_loss = L2 * actor.penalty - tf.reduce_mean(critic(self.obs_in, self.policy))
        rate = LEARNING_RATE * 1**self.episode
        self.train_critic = tf.train.AdamOptimizer(rate).minimize(critic_loss, var_list=critic.variables)
        self.train_actor = tf.train.AdamOptimizer(rate).minimize(actor_loss, var_list=actor.variables)
        self.train_targets = [tf.group(*actor_target.follow(actor)), tf.group(*critic_target.follow(critic))]

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        action = self.session.run(self.policy, {self.obs_in: self.obs})[0]
        self.noise = -OU_THETA * self.noise + OU_SIGMA * self.rng.standard_normal(len(self.noise))
        scale = 0.99 ** self.session.run(self.episode) * self.span
        action = (action + scale * self.noise).astype(np.float32)
        next_obs, reward, terminated, truncated, _ = self.env.step(action)
        done = terminated or truncated
        self.buffer.append((self.obs, action, reward, next_obs[None], 0.0 if done else 1.0))
        self.obs = next_obs[None]
        if len(self.buffer) >= FILL_STEPS:
            self.update()
        if done:
            obs, _ = self.env.reset()
            self.obs = obs[None]
            self.session.run(self.count_episode)

    def update(self) -> None:
        drawn = random.sample(self.buffer, min(self.batch, len(self.buffer)))
        obs, action, next_obs = (
            np.asarray([transition[column] for transition in drawn]).reshape(len(drawn), -1) for column in (0, 1, 3)
        )
        reward, go_on = (np.asarray([transition[column] for transition in drawn]) for column in (2, 4))
        feed = {self.action_in: action, self.reward_in: reward, self.next_obs_in: next_obs, self.go_on_in: go_on}
        self.session.run(self.train_critic, {self.obs_in: obs, **feed})
        self.session.run(self.train_actor, {self.obs_in: obs})
        self.session.run(self.train_targets)
        self.updates += 1


def make(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """The loop from its start."""
    training = Training(hidden, batch)
    return training.advance, lambda: training.updates
