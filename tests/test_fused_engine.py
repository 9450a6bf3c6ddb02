from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.caching import UserProvidedCacheLocator

from ddpg_core import learner
from ddpg_core.config import Config
from ddpg_core.learner import STATISTICS, Batch, Engine, LearnerState, fused_engine, fused_layers
from ddpg_core.learner.fused_engine import FusedEngine, prepare
from ddpg_core.learner.fused_plan import MAX_SLICE, make_plan, slice_columns
from ddpg_core.learner.torch_engine import TorchEngine
from ddpg_core.networks import MLP
from tests import test_learner as by_hand
from tests.helpers import trained
from tests.test_config import configs

ROOT = Path(__file__).parent.parent
SETTINGS = Config(gamma=0.97, tau=0.02, l2=1e-3)
LRS = (1e-3, 2e-3)

# Both engines sum the same products in another order, so a gradient differs by some float32 roundings (6e-8) of its
# terms, and terms cancel: 1e-5 of the largest number of its kind is what one update may differ by.
ONE_UPDATE = 1e-5
MANY_UPDATES = 1e-3


def made(
    hidden: tuple[int, ...] = (8, 8), obs: int = 3, actions: int = 1, seed: int = 0, in_mid_run: bool = True
) -> LearnerState:
    """A learner with random networks and targets and, `in_mid_run`, moments as after a hundred updates."""
    state = LearnerState(MLP((obs, *hidden, actions), squash=True), MLP((obs + actions, *hidden, 1), squash=False))
    rng = np.random.default_rng(seed)
    state.initialise(rng, Config(target_init="random", kernel_init="glorot"))
    if in_mid_run:
        state.moment1[:] = rng.normal(0, 0.01, state.moment1.size)
        state.moment2[:] = rng.uniform(1e-4, 1e-3, state.moment2.size)
        state.updates = 100
    return state


def twin(state: LearnerState) -> LearnerState:
    other = LearnerState(state.actor_net, state.critic_net)
    other.vector[:] = state.vector
    other.updates = state.updates
    return other


def drawn(rng: np.random.Generator, size: int, obs: int = 3, actions: int = 1) -> Batch:
    """A random batch; a fifth of it terminal."""
    parts = [rng.normal(size=shape) for shape in ((size, obs), (size, actions), (size,), (size, obs))]
    return Batch(*(part.astype(np.float32) for part in (*parts, rng.random(size) < 0.2)))


def scaled(actions: int = 1) -> np.ndarray:
    return np.linspace(2, 0.5, actions).astype(np.float32)


def update(engine: Engine, batch: Batch, config: Config = SETTINGS, lrs: tuple[float, float] = LRS) -> np.ndarray:
    return engine.update(batch, config, *lrs, scaled(batch.action.shape[1]))


def assert_alike(fused: LearnerState, torch: LearnerState, tolerance: float) -> None:
    """Each part of the vectors differs by at most `tolerance` of the part's largest number."""
    for name in ("actor", "critic", "actor_target", "critic_target", "moment1", "moment2"):
        one, other = getattr(fused, name), getattr(torch, name)
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max(), name
    assert fused.updates == torch.updates


def assert_same_update(state: LearnerState, batch: Batch, config: Config) -> None:
    """One update by each engine from the same state gives the same numbers, and these are not those of before."""
    before, other = state.vector.copy(), twin(state)
    mine, theirs = update(FusedEngine(state), batch, config), update(TorchEngine(other), batch, config)
    assert_alike(state, other, ONE_UPDATE)
    np.testing.assert_allclose(mine, theirs, rtol=ONE_UPDATE, atol=ONE_UPDATE)
    assert (np.abs(state.vector - before) > 0).mean() > 0.5


SHAPES = [
    ((8, 8, 8), 1024, 3, 1),
    ((64, 64), 128, 3, 1),
    ((5,), 1, 2, 1),
    ((4, 9), 33, 3, 2),
    ((17, 3, 12, 7), 100, 5, 3),
    ((8,), MAX_SLICE + 1, 3, 1),
    ((64, 64), 300, 3, 1),
    ((130, 40), 257, 1, 9),
    ((1,), 16, 1, 1),
]


@pytest.mark.parametrize("config", [SETTINGS, SETTINGS.changed({"l2": 0, "target_action_scaled": False, "gamma": 0.5})])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_update_equals_the_reference_whatever_the_shapes(
    shape: tuple[tuple[int, ...], int, int, int], config: Config
) -> None:
    hidden, size, obs, actions = shape
    batch = drawn(np.random.default_rng(1), size, obs, actions)
    assert_same_update(made(hidden, obs, actions), batch, config)


@settings(max_examples=60, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple),
    size=st.integers(1, 300),
    obs=st.integers(1, 9),
    actions=st.integers(1, 9),
    gamma=st.floats(0.1, 1),
    tau=st.floats(1e-4, 1),
    l2=st.sampled_from([0, 1e-6, 1e-2]),
    target_action_scaled=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_one_update_equals_the_reference_whatever_the_settings(
    hidden: tuple[int, ...], size: int, obs: int, actions: int, seed: int, **changes: float
) -> None:
    state, config = made(hidden, obs, actions, seed), SETTINGS.changed(changes)
    batch, other = drawn(np.random.default_rng(seed), size, obs, actions), twin(state)
    mine, theirs = update(FusedEngine(state), batch, config), update(TorchEngine(other), batch, config)
    assert_alike(state, other, ONE_UPDATE)
    np.testing.assert_allclose(mine, theirs, rtol=ONE_UPDATE, atol=ONE_UPDATE)


@pytest.mark.parametrize("target_scaled", [True, False])
def test_first_update_equals_the_one_computed_by_hand(target_scaled: bool) -> None:
    state = by_hand.pencil_and_paper()
    config = by_hand.SETTINGS.changed({"target_action_scaled": target_scaled})
    statistics = FusedEngine(state).update(by_hand.BATCH, config, by_hand.ACTOR_LR, by_hand.CRITIC_LR, by_hand.SCALE)
    np.testing.assert_allclose(state.critic, by_hand.CRITIC_AFTER, atol=1e-6)
    np.testing.assert_allclose(state.actor, by_hand.ACTOR_AFTER, atol=1e-6)
    grad = np.array(by_hand.ACTOR_GRAD + by_hand.CRITIC_GRAD[target_scaled])
    np.testing.assert_allclose(state.moment1, 0.1 * grad, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(state.moment2, 0.001 * grad**2, rtol=1e-5, atol=1e-7)
    before = np.array(by_hand.ACTOR_TARGET + by_hand.CRITIC_TARGET)
    after = np.array(by_hand.ACTOR_AFTER + by_hand.CRITIC_AFTER)
    np.testing.assert_allclose(state.target, 0.25 * after + 0.75 * before, atol=1e-6)
    named = dict(zip(STATISTICS, statistics, strict=True))
    assert named["target_mean"] == pytest.approx((by_hand.Y1[target_scaled] - 1) / 2)
    assert named["critic_grad_norm"] == pytest.approx(np.linalg.norm(by_hand.CRITIC_GRAD[target_scaled]))
    assert named["actor_grad_norm"] == pytest.approx(np.linalg.norm(by_hand.ACTOR_GRAD))
    assert named["saturation"] == 0


@pytest.mark.parametrize(("hidden", "size"), [((8, 8, 8), 1024), ((64, 64), 128), ((30,), 1), ((12, 5), 77)])
def test_engines_stay_together_over_many_updates(hidden: tuple[int, ...], size: int) -> None:
    state, rng = made(hidden, in_mid_run=False), np.random.default_rng(2)
    other = twin(state)
    fused, torch = FusedEngine(state), TorchEngine(other)
    for _ in range(200):
        batch = drawn(rng, size)
        mine, theirs = update(fused, batch), update(torch, batch)
        np.testing.assert_allclose(mine, theirs, rtol=MANY_UPDATES, atol=MANY_UPDATES)
    assert_alike(state, other, MANY_UPDATES)


def test_changing_engines_in_mid_run_changes_nothing_but_rounding() -> None:
    state, rng = made(in_mid_run=False), np.random.default_rng(3)
    other = twin(state)
    fused, torch, reference = FusedEngine(state), TorchEngine(state), TorchEngine(other)
    for turn in range(60):
        batch = drawn(rng, 50)
        update((fused, torch)[turn // 10 % 2], batch)
        update(reference, batch)
    assert_alike(state, other, MANY_UPDATES)


def test_saturated_actor_passes_on_the_same_vanishing_gradient() -> None:
    state = made()
    state.actor *= 2
    state.actor_target *= 2
    batch, other = drawn(np.random.default_rng(4), 200), twin(state)
    mine, theirs = update(FusedEngine(state), batch), update(TorchEngine(other), batch)
    assert 0.2 < mine[STATISTICS.index("saturation")] < 1
    np.testing.assert_allclose(mine, theirs, rtol=ONE_UPDATE, atol=ONE_UPDATE)
    assert_alike(state, other, ONE_UPDATE)


def test_target_rate_of_one_copies_exactly() -> None:
    state = made()
    update(FusedEngine(state), drawn(np.random.default_rng(5), 40), SETTINGS.changed({"tau": 1.0}))
    np.testing.assert_array_equal(state.target, state.online)


PARTS = (*Batch._fields, "actor", "critic", "actor_target", "critic_target")
"""What a number that is not finite can come from."""
HARMLESS = {("actor", np.inf), ("actor_target", np.inf)}
"""An infinite last bias before tanh is a saturated action."""


@pytest.mark.parametrize(
    ("broken", "value"), sorted({(part, value) for part in PARTS for value in (np.nan, np.inf)} - HARMLESS, key=str)
)
def test_a_number_that_is_not_finite_shows_in_the_statistics(broken: str, value: float) -> None:
    state, batch = made(), drawn(np.random.default_rng(6), 70)
    batch.terminal[:] = 0
    if broken in Batch._fields:
        getattr(batch, broken)[5] = value
    else:
        getattr(state, broken)[-1] = value
    assert not np.isfinite(update(FusedEngine(state), batch)).all()


def test_same_inputs_give_the_same_bits_whatever_the_engine_did_before() -> None:
    fresh, used = made(), made()
    engine = FusedEngine(used)
    broken = drawn(np.random.default_rng(7), 500)
    broken.obs[:] = np.nan
    update(engine, broken)
    used.vector[:], used.updates = fresh.vector, fresh.updates
    batch = drawn(np.random.default_rng(8), 45)
    np.testing.assert_array_equal(update(engine, batch), update(FusedEngine(fresh), batch))
    np.testing.assert_array_equal(used.vector, fresh.vector)


def test_batch_may_be_read_only_views_with_gaps() -> None:
    rows = np.random.default_rng(9).normal(size=(60, 12)).astype(np.float32)
    rows[:, 11] = rows[:, 11] > 0
    rows.setflags(write=False)
    views = Batch(rows[:, :3], rows[:, 3:5], rows[:, 5], rows[::-1, 6:9], rows[:, 11])
    one, other = made(actions=2), made(actions=2)
    mine = update(FusedEngine(one), views)
    np.testing.assert_array_equal(mine, update(FusedEngine(other), Batch(*(part.copy() for part in views))))
    np.testing.assert_array_equal(one.vector, other.vector)


MISFITS = {
    "obs": lambda b: b._replace(obs=b.obs[:, :2]),
    "action": lambda b: b._replace(action=b.action[:-1]),
    "reward": lambda b: b._replace(reward=b.reward[:, None]),
    "next_obs": lambda b: b._replace(next_obs=np.hstack([b.next_obs, b.next_obs])),
    "terminal": lambda b: b._replace(terminal=b.terminal > 0),
    "float64": lambda b: Batch(*(part.astype(np.float64) for part in b)),
    "no rows": lambda b: Batch(*(part[:0] for part in b)),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_batch_that_does_not_fit_the_networks_is_refused_and_changes_nothing(misfit: str) -> None:
    state = made()
    before = state.vector.copy()
    batch = MISFITS[misfit](drawn(np.random.default_rng(12), 20))
    with pytest.raises(ValueError, match=r"^batch and action_scale must be float32 \[\("):
        FusedEngine(state).update(batch, SETTINGS, *LRS, scaled())
    np.testing.assert_array_equal(state.vector, before)
    assert state.updates == 100


def test_action_scale_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^batch and action_scale must be float32"):
        FusedEngine(made()).update(drawn(np.random.default_rng(13), 20), SETTINGS, *LRS, scaled(2))


@settings(max_examples=25)
@given(config=configs, seed=st.integers(0, 1000))
def test_every_config_trains_and_its_first_update_is_that_of_the_reference(config: Config, seed: int) -> None:
    small = {"batch_size": min(config.batch_size, 64), "warmup_steps": min(config.warmup_steps, 4)}
    told = ["critic_loss", "q_mean", "target_mean", "td_error_abs", "critic_grad_norm"]  # before anything has moved
    rows = []
    for engine in ("fused", "torch"):
        run = trained(5, config.changed({**small, "engine": engine}), seed)
        rows.append([run.logs.updates.read(name, 0, 1) for name in told])
        assert run.updates >= min(config.updates_per_step, 1)
    np.testing.assert_allclose(*rows, rtol=1e-4, atol=1e-5)


def test_engines_in_two_threads_do_not_disturb_each_other() -> None:
    def train(seed: int) -> np.ndarray:
        state, rng = made((32, 32), seed=seed), np.random.default_rng(seed)
        engine = FusedEngine(state)
        for _ in range(200):
            update(engine, drawn(rng, 100))
        return state.vector

    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        for one, other in zip(alone, pool.map(train, range(4)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_tanh_is_float32_accurate_everywhere() -> None:
    @njit
    def squashed(work: np.ndarray) -> None:
        fused_layers.squash(work)

    magnitudes = np.concatenate([np.geomspace(1e-30, 30, 300_000), [0, np.inf, 3.4e38]]).astype(np.float32)
    x = np.concatenate([magnitudes, -magnitudes])
    result, exact = x.copy(), np.tanh(x.astype(np.float64))
    squashed(result)
    assert np.abs(result - exact).max() <= 3 * 2**-24
    nonzero = x != 0
    assert np.abs(result[nonzero] / exact[nonzero] - 1).max() <= 7 * 2**-24  # rounding alone costs 1
    assert np.abs(result).max() == 1
    nan = np.full(40, np.nan, np.float32)
    squashed(nan)
    assert np.isnan(nan).all()


def test_constants_are_those_of_the_reference() -> None:
    state, batch = made(), drawn(np.random.default_rng(10), 64)
    for factor, share in ((1.001, 1.0), (0.999, 0.0)):
        state.actor[:] = 0
        state.actor[-1] = np.arctanh(learner.SATURATED * factor)
        assert update(FusedEngine(state), batch)[STATISTICS.index("saturation")] == share


@pytest.mark.parametrize("hidden", [(1,), (8, 8, 8), (64, 64), (300, 5)])
def test_plan_gives_every_part_its_own_memory(hidden: tuple[int, ...]) -> None:
    state = made(hidden, obs=7, actions=2)
    plan, work = make_plan(state.actor_net, state.critic_net)
    places = list(plan[plan._fields.index("inputs") :])
    assert places == sorted(places)
    assert work.ctypes.data % 64 == 0
    assert len(work) - plan.flat >= state.critic_net.parameter_count
    assert (plan.spare - plan.delta) >= max(9, *hidden) * plan.stride
    assert plan.columns == slice_columns(max(9, *hidden))


def test_one_machine_code_serves_all_shapes_and_layouts() -> None:
    update(FusedEngine(made()), drawn(np.random.default_rng(11), 30))
    update(FusedEngine(made((20,), 4, 2)), drawn(np.random.default_rng(11), 30, 4, 2))
    assert len(prepare().signatures) == 1  # type: ignore[attr-defined]
    assert prepare() is prepare()


def test_fingerprint_follows_every_source_the_kernel_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fused_engine._fingerprint()
    assert before == fused_engine._fingerprint()
    others = ("fused_descent", "fused_kernel", "fused_layers", "fused_loop", "fused_plan", "tiles", "vectors")
    for name in ("environment", *others):
        module = getattr(fused_engine, name)
        with monkeypatch.context() as patched:
            patched.setattr(module, "__file__", str(ROOT / "README.md"))
            assert fused_engine._fingerprint() != before


LOAD = """
from ddpg_core.learner import fused_engine
print(fused_engine.load(), fused_engine.is_prepared(), fused_engine.keeps_kernels())
"""
ONLY_THE_FOLDER = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}


def loaded(folder: Path, **environment: str) -> list[str]:
    """What a fresh process with this folder for Numba's cache says of `load`, `is_prepared` and `keeps_kernels`."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=ROOT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_kernel_is_loaded_where_it_was_kept_and_a_damaged_one_is_not_there(tmp_path: Path) -> None:
    kept = Path(prepare().stats.cache_path)  # type: ignore[attr-defined]
    sources = str(fused_engine.__file__)
    folder = tmp_path / UserProvidedCacheLocator.get_suitable_cache_subpath(sources)
    shutil.copytree(kept, folder, ignore=lambda _, names: {name for name in names if "fused_engine" not in name})
    assert loaded(tmp_path) == ["True", "True", "True"]
    for path in folder.glob("*.nbc"):
        path.write_bytes(path.read_bytes()[:5000])
    assert loaded(tmp_path) == ["False", "False", "True"]


def test_without_a_folder_to_keep_it_in_nothing_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert loaded(tmp_path / "file" / "below", **ONLY_THE_FOLDER) == ["False", "False", "False"]


class NoCompiler:
    """A Numba function that cannot be compiled, or not be kept."""

    def __init__(self, error: Exception, **overloads: str) -> None:
        self.error, self.overloads = error, overloads

    def compile(self, signature: object) -> None:
        raise self.error

    def disable_compile(self) -> None:
        """Nothing to disable."""


def test_machine_that_cannot_compile_is_told_to_use_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_engine, "_cached", lambda: NoCompiler(RuntimeError("no such\nprocessor")))
    with pytest.raises(ValueError, match=r"^engine must be torch on .*: RuntimeError: no such processor$"):
        fused_engine._compiled()


def test_kernel_that_cannot_be_kept_on_a_full_disk_is_used_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = NoCompiler(OSError("No space left on device"), update="machine code")
    monkeypatch.setattr(fused_engine, "_cached", lambda: kernel)
    assert fused_engine._compiled() is kernel  # type: ignore[comparison-overlap]
    assert caplog.messages == ["compiling the fused engine, once on this machine: about ten seconds"]


def test_compiling_child_ends_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ddpg_core.learner.compile_kernel"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(60) == 1
    assert not list(tmp_path.rglob("*.nbc"))


OTHER_PROCESSORS = {"+avx,+avx2,+fma": ("haswell", 8), "": ("generic", 4)}
ON_ANOTHER = """
import sys, llvmlite.binding, pytest
features = sys.argv[1].replace("+", "").split(",")
llvmlite.binding.get_host_cpu_features = lambda: dict.fromkeys(features, True)
from ddpg_core.learner import vectors
assert vectors.LANES == int(sys.argv[2])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[3], "-k", "one_update or bits or tanh"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("features", OTHER_PROCESSORS)
def test_processors_with_shorter_vectors_compute_the_same(features: str, tmp_path: Path) -> None:
    name, lanes = OTHER_PROCESSORS[features]
    machine = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ON_ANOTHER, features, str(lanes), __file__]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | machine, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_fused_engine_needs_no_torch() -> None:
    code = "import sys; from ddpg_core.learner import fused_engine; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
