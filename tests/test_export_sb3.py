from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from ddpg_core.export import FORMATS
from ddpg_core.policy import Card
from tests.export_helpers import expected, source, written

stable_baselines3 = pytest.importorskip("stable_baselines3")


@pytest.mark.parametrize("name", ["pendulum", "car"])
def test_ddpg_load_opens_the_zip_for_the_environment_and_predicts_the_actions(name: str, tmp_path: Path) -> None:
    (tmp_path / "policy.zip").write_bytes(written("sb3", name))
    config = source(name).policy.card.config
    model = stable_baselines3.DDPG.load(tmp_path / "policy.zip", env=gymnasium.make(config.env_id), device="cpu")
    observations, actions = expected(source(name).policy)
    found, _ = model.predict(observations, deterministic=True)
    np.testing.assert_allclose(found, actions, atol=1e-5)
    single, _ = model.predict(observations[0], deterministic=True)
    np.testing.assert_allclose(single, actions[0], atol=1e-5)


def test_actions_beyond_the_actuator_are_left_for_the_environment_to_clip() -> None:
    model = stable_baselines3.DDPG.load(io.BytesIO(written("sb3", "full range")), device="cpu")
    assert (model.action_space.low, model.action_space.high) == (-4, 4)
    observations, actions = expected(source("full range").policy)
    found, _ = model.predict(observations, deterministic=True)
    np.testing.assert_allclose(np.clip(found, -2, 2), actions, atol=1e-5)


def test_training_can_go_on_there_with_the_settings_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "policy.zip").write_bytes(written("sb3", "pendulum"))
    config = source("pendulum").policy.card.config
    model = stable_baselines3.DDPG.load(tmp_path / "policy.zip", env=gymnasium.make("Pendulum-v1"), device="cpu")
    assert (model.gamma, model.tau, model.batch_size) == (config.gamma, config.tau, config.batch_size)
    before = [parameter.detach().clone() for parameter in model.actor.parameters()]
    critic = [parameter.detach().clone() for parameter in model.critic.parameters()]
    targets = model.actor_target.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, targets, strict=True))
    assert all(parameter.abs().max() > 0 for parameter in critic if parameter.ndim == 2)
    model.learn(60)
    assert not all(torch.equal(one, other) for one, other in zip(before, model.actor.parameters(), strict=True))


def test_zip_names_no_time_no_machine_and_carries_the_card() -> None:
    with zipfile.ZipFile(io.BytesIO(written("sb3", "pendulum"))) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert "system_info.txt" not in archive.namelist()
        assert b" at 0x" not in archive.read("data")
        assert Card.from_json(archive.read("card.json").decode()) == source("pendulum").policy.card


def test_writing_leaves_global_generators_that_others_use_alone() -> None:
    np_state, state = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    FORMATS["sb3"].write(source("pendulum"))
    assert random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], np_state)  # noqa: NPY002
