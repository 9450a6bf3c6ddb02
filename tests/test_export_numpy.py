from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddpg_core.export import FORMATS, Source
from ddpg_core.metrics import evaluate
from tests.export_helpers import CONFIGS, expected, source, written

BARE = "import sys; sys.path.insert(0, sys.argv[1]); "
"""Python without site-packages: the standard library, and NumPy from a folder of links."""
TRY = """
import runpy
file = runpy.run_path(sys.argv[2])
import numpy as np
np.save(sys.argv[3] + "/actions.npy", file["policy"](np.load(sys.argv[3] + "/observations.npy")))
print(file["CARD"]["recipe"]["seed"])
"""


def bare_python(packages: Path, code: str, *arguments: object) -> str:
    command = [sys.executable, "-I", "-S", "-c", BARE + code, str(packages), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for path in Path(np.__file__).parent.parent.glob("numpy*"):
        (folder / path.name).symlink_to(path)
    return folder


def test_the_bare_python_has_numpy_and_nothing_else(packages: Path) -> None:
    names = ["torch", "gymnasium", "ddpg_core"]
    code = f"import importlib.util as u; import numpy; print([name for name in {names} if u.find_spec(name)])"
    assert bare_python(packages, code).strip() == "[]"


@pytest.mark.parametrize("name", CONFIGS)
def test_file_gives_the_actions_with_numpy_alone(name: str, packages: Path, tmp_path: Path) -> None:
    observations, actions = expected(source(name).policy)
    np.save(tmp_path / "observations.npy", observations)
    (tmp_path / "policy.py").write_bytes(written("numpy", name))
    assert bare_python(packages, TRY, tmp_path / "policy.py", tmp_path).strip() == "3"
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), actions, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_executed_it_plays_the_episode_that_gymnasium_plays(name: str, packages: Path, tmp_path: Path) -> None:
    policy = source(name).policy
    (tmp_path / "policy.py").write_bytes(written("numpy", name))
    code = "import runpy; path, sys.argv = sys.argv[2], sys.argv[2:]; runpy.run_path(path, run_name='__main__')"
    for seed, arguments in ((0, ()), (7, ("7",))):
        (total,) = evaluate(policy, policy.card.config, 1, seed).returns
        assert bare_python(packages, code, tmp_path / "policy.py", *arguments).strip() == f"return {total:.1f}"


def test_no_text_of_a_card_gets_out_of_its_quotes() -> None:
    policy = source("pendulum").policy
    nasty = '\'"""\\\n); import os #{x}'
    card = dataclasses.replace(policy.card, versions=dict(policy.card.versions) | {"numpy": nasty})
    text = FORMATS["numpy"].write(Source(dataclasses.replace(policy, card=card))).decode()
    imports = [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)]
    assert imports == ["import base64", "import json", "import sys", "import numpy as np"]
    assigned = {
        ast.unparse(node.targets[0]): node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)
    }
    call = assigned["CARD"]
    assert isinstance(call, ast.Call)
    assert ast.literal_eval(call.args[0]) == card.to_json()
