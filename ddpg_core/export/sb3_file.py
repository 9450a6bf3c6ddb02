"""Export to Stable-Baselines3: a zip that `DDPG.load` opens, and whose `predict` gives the same actions.

Its format holds pickled settings, so the library itself writes it, and this project only ever opens what it has just
written. The critic starts anew: a policy has none.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import gymnasium
import numpy as np

from ddpg_core.environment import Array
from ddpg_core.export import TRACING, Source
from ddpg_core.export.archive import unzipped, zipped
from ddpg_core.networks import MLP
from ddpg_core.policy import Policy
from ddpg_core.policy_file import CARD

if TYPE_CHECKING:
    from torch.nn import Module

_OWN_FILES: Final = ("system_info.txt",)
"""What the library adds about the machine."""


def write(source: Source) -> bytes:
    """The bytes of the zip file."""
    with TRACING:
        return _saved(_model(source.policy), source.policy)


def largest_difference(data: bytes, policy: Policy, observations: Array) -> float:
    """How far the actions of `DDPG.load(…).predict` are from the policy's, within the actuator's limits."""
    from stable_baselines3 import DDPG

    with TRACING:
        model = DDPG.load(io.BytesIO(data), device="cpu", buffer_size=1)
        actions, _ = model.predict(observations, deterministic=True)
    executed = np.clip(actions, policy.action_low, policy.action_high)
    return float(np.abs(executed - policy(observations)).max())


def _model(policy: Policy) -> Any:
    """The library's own agent, with the policy as its actor."""
    from stable_baselines3 import DDPG

    config = policy.card.config
    env = gymnasium.make(config.env_id, disable_env_checker=True).unwrapped
    env.action_space = gymnasium.spaces.Box(-policy.action_scale, policy.action_scale)
    hidden = list(config.hidden)
    model = DDPG(
        "MlpPolicy",
        env,
        gamma=config.gamma,
        tau=config.tau,
        learning_rate=config.actor_lr,
        batch_size=config.batch_size,
        buffer_size=config.capacity,
        learning_starts=config.warmup_steps,
        policy_kwargs={"net_arch": {"pi": hidden, "qf": hidden}},
        device="cpu",
    )
    critic = MLP((policy.net.sizes[0] + policy.net.sizes[-1], *hidden, 1), squash=False)
    start = critic.initial(np.random.default_rng(policy.card.recipe.seed), config.kernel_init)
    learner: Any = model.policy
    for actor, q in ((learner.actor, learner.critic), (learner.actor_target, learner.critic_target)):
        _fill(actor.mu, policy.layers)
        _fill(q.q_networks[0], critic.layers(start))
    return model


def _fill(module: Module, layers: list[tuple[Array, Array]]) -> None:
    """Set the weights of a `Sequential` of linear layers and activations."""
    import torch

    state = {}
    for index, (kernel, bias) in enumerate(layers):
        state[f"{2 * index}.weight"], state[f"{2 * index}.bias"] = torch.tensor(kernel), torch.tensor(bias)
    module.load_state_dict(state)


def _saved(model: Any, policy: Policy) -> bytes:
    """The library's own zip of a model, without times and what it tells of the machine, with the card."""
    model.start_time = 0
    buffer = io.BytesIO()
    model.save(buffer)
    files = {name: data for name, data in unzipped(buffer.getvalue()).items() if name not in _OWN_FILES}
    files["data"] = json.dumps({name: _bare(value) for name, value in json.loads(files["data"]).items()}).encode()
    return zipped(files | {f"{CARD}.json": policy.card.to_json().encode()})


def _bare(value: Any) -> Any:
    """A setting of the library's `data` without the description of an object, which names addresses in memory."""
    if not isinstance(value, dict) or ":serialized:" not in value:
        return value
    return {name: value[name] for name in (":type:", ":serialized:")}
