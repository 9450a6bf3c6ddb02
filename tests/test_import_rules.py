from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN_GENERATORS = ("np.random.default_rng(", "np.random.SeedSequence(", "np.random.PCG64(")
OPTIONAL = {
    "cluster": {"distributed"},
    "film": {"av"},
    "onnx_file": {"onnx", "onnxruntime"},
    "sb3_file": {"stable_baselines3"},
}
MODULES = sorted((ROOT / "ddpg_core").rglob("*.py"))


def imported_by(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the core imports by full name"
            names.add(str(node.module).split(".")[0])
    return names


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_importing_the_whole_core_in_a_fresh_process_brings_in_no_interface() -> None:
    script = "\n".join(f"import {dotted(path)}" for path in MODULES)
    script += "\nimport sys\nprint([name for name in ('streamlit', 'plotly', 'pages', 'app') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_core_imports_only_what_it_may(path: Path) -> None:
    allowed = {"ddpg_core", "numpy", "torch", "gymnasium", "pygame", "safetensors", "numba", "llvmlite", "PIL"}
    assert imported_by(path) - set(sys.stdlib_module_names) <= allowed | OPTIONAL.get(path.stem, set())
    assert not imported_by(path) & {"pickle", "marshal", "shelve"}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_core_neither_evaluates_text_nor_unpickles_nor_seeds_globally(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name, call = ast.unparse(node.func), ast.unparse(node)
            assert name not in {"eval", "exec", "torch.load", "np.load", "np.random.seed", "torch.manual_seed"}, name
            assert not name.startswith("np.random.") or call.startswith(OWN_GENERATORS), call


def test_command_line_lists_presets_without_loading_torch() -> None:
    script = "import sys, ddpg_core.__main__ as m; m.main(['presets']); print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip().splitlines()[-1] == "False"
