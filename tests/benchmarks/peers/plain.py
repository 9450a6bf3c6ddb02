"""DDPG written straight down in PyTorch, in one file with nothing around it, as CleanRL's readers do."""

from __future__ import annotations

import itertools
from importlib.metadata import version

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks.peers import (
    BUFFER,
    FILL_STEPS,
    GAMMA,
    LEARNING_RATE,
    OU_SIGMA,
    OU_THETA,
    TAU,
    Advance,
    Updates,
)

TITLE = f"plain PyTorch {version('torch').split('+')[0]}, CleanRL's way"


class Critic(nn.Module):
    """Q(s, a)."""

    def __init__(self, obs_size: int, action_size: int, hidden: list[int]) -> None:
        super().__init__()
        self.layers = dense([obs_size + action_size, *hidden, 1])

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        return self.layers(torch.cat([obs, action], 1)).view(-1)


class Actor(nn.Module):
    """μ(s), in the environment's units."""

    def __init__(self, obs_size: int, action_size: int, hidden: list[int], scale: Tensor) -> None:
        super().__init__()
        self.layers = dense([obs_size, *hidden, action_size])
        self.register_buffer("scale", scale)

    def forward(self, obs: Tensor) -> Tensor:
        return torch.tanh(self.layers(obs)) * self.scale


class ReplayBuffer:
    """A ring of transitions in NumPy arrays."""

    def __init__(self, obs_size: int, action_size: int) -> None:
        self.obs = np.zeros((BUFFER, obs_size), np.float32)
        self.action = np.zeros((BUFFER, action_size), np.float32)
        self.reward = np.zeros(BUFFER, np.float32)
        self.next_obs = np.zeros((BUFFER, obs_size), np.float32)
        self.terminal = np.zeros(BUFFER, np.float32)
        self.total = 0

    def add(self, obs: np.ndarray, action: np.ndarray, reward: float, next_obs: np.ndarray, terminal: bool) -> None:
        row = self.total % BUFFER
        self.obs[row], self.action[row], self.next_obs[row] = obs, action, next_obs
        self.reward[row], self.terminal[row] = reward, terminal
        self.total += 1

    def sample(self, rng: np.random.Generator, batch: int) -> list[Tensor]:
        rows = rng.integers(min(self.total, BUFFER), size=batch)
        columns = (self.obs, self.action, self.reward, self.next_obs, self.terminal)
        return [torch.from_numpy(column[rows]) for column in columns]


class Training:
    """The loop, which stops and goes on between two steps."""

    def __init__(self, hidden: list[int], batch: int) -> None:
        self.env, self.batch, self.updates = gymnasium.make("Pendulum-v1"), batch, 0
        self.rng = np.random.default_rng(0)
        obs_size, action_size = self.env.observation_space.shape[0], self.env.action_space.shape[0]
        self.scale = torch.from_numpy((self.env.action_space.high - self.env.action_space.low) / 2)
        sizes = (obs_size, action_size, hidden)
        self.actor, self.actor_target = (Actor(*sizes, self.scale) for _ in range(2))
        self.critic, self.critic_target = (Critic(*sizes) for _ in range(2))
        self.actor_target.load_state_dict(self.actor.state_dict())
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=LEARNING_RATE)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE)
        self.buffer = ReplayBuffer(obs_size, action_size)
        self.obs, _ = self.env.reset(seed=0)
        self.noise = np.zeros(action_size)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        with torch.no_grad():
            policy_action = self.actor(torch.from_numpy(self.obs[None]))[0].numpy()
        self.noise += -OU_THETA * self.noise + OU_SIGMA * self.rng.standard_normal(len(self.noise))
        space = self.env.action_space
        action = (policy_action + self.noise * self.scale.numpy()).clip(space.low, space.high).astype(np.float32)
        next_obs, reward, terminated, truncated, _ = self.env.step(action)
        self.buffer.add(self.obs, action, float(reward), next_obs, terminated)
        self.obs = next_obs
        if terminated or truncated:
            self.obs, _ = self.env.reset()
            self.noise[:] = 0
        if self.buffer.total >= FILL_STEPS:
            self.update()

    def update(self) -> None:
        obs, action, reward, next_obs, terminal = self.buffer.sample(self.rng, self.batch)
        with torch.no_grad():
            next_q = self.critic_target(next_obs, self.actor_target(next_obs))
            y = reward + GAMMA * (1 - terminal) * next_q
        critic_loss = functional.mse_loss(self.critic(obs, action), y)
        self.critic_optimizer.zero_grad()
        critic_loss.backward()
        self.critic_optimizer.step()
        actor_loss = -self.critic(obs, self.actor(obs)).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        for net, target in ((self.actor, self.actor_target), (self.critic, self.critic_target)):
            for parameter, slow in zip(net.parameters(), target.parameters(), strict=True):
                slow.data.copy_(TAU * parameter.data + (1 - TAU) * slow.data)
        self.updates += 1


def dense(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, units in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def make(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """The loop from its start."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    training = Training(hidden, batch)
    return training.advance, lambda: training.updates
