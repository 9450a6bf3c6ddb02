"""Load the policy beside this file: `load_policy()(torch.tensor([[1.0, 0.0, 0.0]]))` is the action in env units."""

from pathlib import Path

import torch
from safetensors.torch import load_file


class Policy(torch.nn.Module):
    """obs [B, O] to the action [B, A] that the environment executes."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        kernels = [state[name] for name in sorted(state) if name.endswith(".weight")]
        layers = [layer for k in kernels for layer in (torch.nn.Linear(k.shape[1], k.shape[0]), torch.nn.ReLU())]
        self.actor = torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())
        for name in ("action_scale", "action_low", "action_high"):
            self.register_buffer(name, torch.zeros_like(state[name]))
        self.load_state_dict(state)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """The action [B, A] in env units, within the actuator's limits."""
        return (self.actor(obs) * self.action_scale).clamp(self.action_low, self.action_high)


def load_policy(folder: Path = Path(__file__).parent) -> Policy:
    """The policy in `policy.safetensors`."""
    return Policy(load_file(folder / "policy.safetensors")).eval()
