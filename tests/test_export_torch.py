from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ddpg_core.export import export
from ddpg_core.policy import Card
from tests.export_helpers import CONFIGS, expected, source, written

SCRIPT = """
import sys, numpy as np, torch
from load_policy import load_policy
observations = torch.from_numpy(np.load("observations.npy"))
program = torch.export.load("policy.pt2").module()
np.save("module.npy", load_policy()(observations).detach().numpy())
np.save("program.npy", np.concatenate([program(part).detach().numpy() for part in observations.split([1, 9, 990])]))
assert not {"ddpg_core", "gymnasium"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    with zipfile.ZipFile(io.BytesIO(written("torch", "full range"))) as archive:
        archive.extractall(folder)
    return folder


def test_loader_and_program_act_alike_where_this_project_is_not(folder: Path) -> None:
    observations, actions = expected(source("full range").policy)
    np.save(folder / "observations.npy", observations)
    (folder / "try_it.py").write_text(SCRIPT)
    subprocess.run([sys.executable, "try_it.py"], cwd=folder, check=True)
    np.testing.assert_allclose(np.load(folder / "module.npy"), actions, atol=1e-5)
    np.testing.assert_allclose(np.load(folder / "program.npy"), actions, atol=1e-5)


def test_zip_holds_a_card_and_a_loader_of_about_twenty_lines(folder: Path) -> None:
    assert Card.from_json((folder / "card.json").read_text()) == source("full range").policy.card
    code = [line for line in (folder / "load_policy.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 25
    assert json.loads((folder / "card.json").read_text())["recipe"]["seed"] == 3


def test_several_threads_export_at_once() -> None:
    jobs = [(kind, name) for name in CONFIGS for kind in ("torch", "sb3")]
    with ThreadPoolExecutor(len(jobs)) as executor:
        made = list(executor.map(lambda job: export(job[0], source(job[1])), jobs))
    for exported, job in zip(made, jobs, strict=True):
        assert exported.data == written(*job)
