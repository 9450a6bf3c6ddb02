"""The command line, `python -m ddpg_core COMMAND`: the same core, no browser."""

from __future__ import annotations

import argparse
import csv
import io
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from ddpg_core.checkpoint import load_checkpoint, save_checkpoint, write_whole
from ddpg_core.config import PRESET_NOTES, PRESETS, SETTINGS, Config, format_value, parse_value, shown
from ddpg_core.export import FORMATS
from ddpg_core.recipe import MAX_STEP, Intervention, Recipe, preset_of

CHECKPOINT: Final = "checkpoint.safetensors"
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130


class _Parser(argparse.ArgumentParser):
    """Bad arguments end in one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 1 (the run diverged), 2 (bad input) or 130 (interrupted)."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.command(parsed)
    except (ValueError, OSError) as error:
        print(f"ddpg_core: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ddpg_core", description="Train and evaluate DDPG agents without a browser.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    presets = commands.add_parser("presets", help="list the presets and every setting")
    presets.set_defaults(command=_presets)

    train = commands.add_parser("train", help="train an agent, or go on with a saved one")
    train.add_argument("--preset", choices=PRESETS, help="where the settings start from (default: fast)")
    train.add_argument("--seed", type=_whole(0), help="seed of the run (default: 0)")
    train.add_argument("--episodes", type=_whole(1), default=60, help="episodes in all (default: 60)")
    train.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="change settings")
    train.add_argument(
        "--at",
        nargs="+",
        action="append",
        default=[],
        metavar=("STEP", "NAME=VALUE"),
        help="change live settings before this env step",
    )
    train.add_argument("--engine", choices=SETTINGS["engine"].choices, help="who computes the update")
    train.add_argument("--recipe", type=Path, metavar="FILE", help="train this recipe, or the one in a policy's file")
    train.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run saved in this folder")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (with --resume: that one)")
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("evaluate", help="evaluate a saved agent without noise on fixed starts")
    evaluate.add_argument("folder", type=Path, metavar="DIR", help="folder that `train` wrote")
    evaluate.add_argument("--episodes", type=_whole(1), default=100, help="start states (default: 100)")
    evaluate.add_argument("--seed", type=_whole(0), default=0, help="seed of the start states (default: 0)")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(command=_evaluate)

    export = commands.add_parser("export", help="write a saved agent as a file that works elsewhere, and verify it")
    export.add_argument("folder", type=Path, metavar="DIR", help="folder that `train` wrote")
    export.add_argument("--format", choices=FORMATS, required=True, help="kind of file")
    export.add_argument("--episode", default="last", metavar="best|last|N", help="which policy (default: last)")
    export.add_argument("--out", type=Path, metavar="FILE", help="file to write, or a folder (default: this one)")
    export.set_defaults(command=_export)

    compare = commands.add_parser("compare", help="train conditions × seeds on all cores or on a cluster")
    compare.add_argument("conditions", metavar="CONDITIONS", help="a JSON file, or the name of a ready-made set")
    compare.add_argument("--seeds", type=_whole(1), help="runs of each condition (default: 8, or the set's own)")
    compare.add_argument("--first-seed", type=_whole(0), default=0, help="seed of the first of them (default: 0)")
    compare.add_argument("--episodes", type=_whole(1), help="episodes of each run (default: 60, or the set's own)")
    where = compare.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_whole(1), help="runs at a time (default: as many as there are cores)")
    where.add_argument("--cluster", metavar="ADDRESS", help="scheduler of a Dask cluster, like tcp://scheduler:8786")
    compare.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to, or to go on in")
    compare.set_defaults(command=_compare)

    bench = commands.add_parser("bench", help="measure how fast training is on this machine")
    bench.add_argument("--rounds", type=_whole(2), default=25, help="how often all is timed, in turns (default: 25)")
    bench.add_argument("--size", nargs="+", metavar="UNITS/BATCH", help="networks to time instead, like 64-64/128")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(command=_bench)
    return parser


def _whole(low: int) -> Any:
    def parse(text: str) -> int:
        if not _is_whole(text) or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low}, got {shown(text)}")
        return int(text)

    return parse


def _is_whole(text: str) -> bool:
    """Whether `text` is a whole number of a length that `int` reads."""
    return text.isdecimal() and len(text) <= 20


def _presets(_: argparse.Namespace) -> int:
    names = list(PRESETS)
    print(f"{'setting':22}", *(f"{name:>12}" for name in names), " meaning")
    for name, setting in SETTINGS.items():
        values = (format_value(getattr(PRESETS[preset], name)) for preset in names)
        print(f"{name:22}", *(f"{value:>12}" for value in values), f" {setting.label}. {setting.help}")
    print()
    for name in names:
        print(f"{name:22} {PRESET_NOTES[name]}")
    return 0


def _train(parsed: argparse.Namespace) -> int:
    from ddpg_core.run import Run

    if parsed.resume:
        _check_left_out("--resume", parsed, "recipe")
        run = load_checkpoint(parsed.resume / CHECKPOINT)
        if run.episode >= parsed.episodes:
            raise ValueError(f"--episodes must be more than the {run.episode} already finished, got {parsed.episodes}")
        folder = parsed.out or parsed.resume
    else:
        if not parsed.out:
            raise ValueError("--out must name a folder to write to, got none")
        if (parsed.out / CHECKPOINT).exists():
            raise ValueError(f"--out must be a folder without a saved run (use --resume), got {parsed.out}")
        run = Run(_recipe(parsed))
        folder = parsed.out
    _check_folder(folder)
    started, steps = time.perf_counter(), run.env_steps
    with _interruptible() as interrupted:
        _run_episodes(run, parsed.episodes, interrupted)
        _write_results(run, folder, run.env_steps - steps, time.perf_counter() - started)
    if run.divergence:
        print(f"diverged at step {run.divergence.step}: {run.divergence.cause}", file=sys.stderr)
        return 1
    if interrupted:
        print(
            f"interrupted and saved; go on with: python -m ddpg_core train --resume {folder} "
            f"--episodes {parsed.episodes}",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"wrote {folder}: recipe.json, episodes.csv, {CHECKPOINT}, summary.json")
    return 0


def _check_left_out(flag: str, parsed: argparse.Namespace, *more: str) -> None:
    """Raise if settings are given beside a saved recipe."""
    given = [
        name for name in ("preset", "seed", "set", "at", "engine", *more) if getattr(parsed, name) not in (None, [])
    ]
    if given:
        raise ValueError(f"{flag} goes on with the saved recipe: leave out {', '.join('--' + name for name in given)}")


def _recipe(parsed: argparse.Namespace) -> Recipe:
    if parsed.recipe:
        from ddpg_core.imports import read_path, recipe_of

        _check_left_out("--recipe", parsed)
        return recipe_of(read_path(parsed.recipe))
    changes = _assignments("--set", parsed.set)
    if parsed.engine:
        changes["engine"] = parsed.engine
    config: Config = PRESETS[parsed.preset or "fast"].changed(changes)
    interventions = []
    for step, *assignments in parsed.at:
        if not _is_whole(step):
            raise ValueError(f"--at must start with an env step, got {shown(step)}")
        if not assignments:
            raise ValueError(f"--at {step} must be followed by NAME=VALUE, got none")
        interventions.append(Intervention(int(step), _assignments("--at", assignments)))
    interventions.sort(key=lambda intervention: intervention.step)
    return Recipe(config, parsed.seed or 0, tuple(interventions))


def _assignments(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{flag} must be NAME=VALUE, got {shown(text)}")
        changes[name] = parse_value(name, value)
    return changes


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out must be a folder, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """A list that Ctrl-C appends to, so that a run ends between two steps and is saved whole."""
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _run_episodes(run: Any, episodes: int, interrupted: list[int]) -> None:
    """Train until `episodes` are finished in all, reporting each: a bar on a terminal, lines elsewhere."""
    from ddpg_core.metrics import moving_average

    terminal = sys.stdout.isatty()
    while run.episode < episodes and not run.divergence and not interrupted:
        started = time.perf_counter()
        before = run.episode
        steps = run.advance(episodes=1, stop=lambda: bool(interrupted))
        if not steps:
            raise ValueError(f"--episodes must fit into {MAX_STEP} steps, got to episode {run.episode} of {episodes}")
        if run.episode == before:
            continue
        rate = steps / max(time.perf_counter() - started, 1e-9)
        returns = run.logs.episodes.read("episode_return")
        mean = moving_average(returns, 10)[-1]
        line = f"return {returns[-1]:8.1f}   10-episode mean {mean:8.1f}   {rate:6.0f} steps/s"
        if terminal:
            done = round(30 * run.episode / episodes)
            print(f"\r{'█' * done}{'░' * (30 - done)} {run.episode}/{episodes}  {line}", end="", flush=True)
        else:
            print(f"episode {run.episode:4d}/{episodes}   {line}", flush=True)
    if terminal:
        print()


def _write_results(run: Any, folder: Path, steps: int, seconds: float) -> None:
    from ddpg_core.environment import reference_returns
    from ddpg_core.metrics import moving_average, time_to_reach

    episodes = run.logs.episodes
    numbers = range(episodes.first, episodes.total)
    lengths, returns = episodes.read("length").astype(int), episodes.read("episode_return")
    ends = episodes.read("first_step").astype(int) + lengths
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["episode", "return", "length", "env_steps"])
    writer.writerows(zip(numbers, returns.tolist(), lengths.tolist(), ends.tolist(), strict=True))
    preset, difference = preset_of(run.recipe.config)
    reached = time_to_reach(returns, -250) if reference_returns(run.recipe.config) else None
    summary = {
        "preset": preset,
        "changed": {name: format_value(value) for name, value in difference.items() if name != "engine"},
        "seed": run.recipe.seed,
        "engine": run.recipe.config.engine,
        "episodes": run.episode,
        "env_steps": run.env_steps,
        "updates": run.updates,
        "last_return": float(returns[-1]) if len(returns) else None,
        "mean_return_10": float(moving_average(returns, 10)[-1]) if len(returns) else None,
        "episodes_to_-250": reached if reached is None else reached + episodes.first,
        "steps_per_second": round(steps / max(seconds, 1e-9), 1),
        "diverged": run.divergence.cause if run.divergence else None,
    }
    write_whole(folder / "recipe.json", run.recipe.to_json().encode())
    write_whole(folder / "episodes.csv", table.getvalue().encode())
    write_whole(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    save_checkpoint(run, folder / CHECKPOINT)


def _evaluate(parsed: argparse.Namespace) -> int:
    from ddpg_core.metrics import evaluate

    run = load_checkpoint(parsed.folder / CHECKPOINT)
    if run.divergence:
        raise ValueError(f"DIR must hold an agent that learned, got one that diverged at step {run.divergence.step}")
    result = evaluate(run.act, run.config, parsed.episodes, parsed.seed)
    summary = result.summary()
    if parsed.json:
        print(json.dumps(summary))
        return 0
    print(f"{parsed.episodes} fixed starts (seed {parsed.seed}), no noise, after {run.episode} episodes of training")
    print(f"return {summary['return_mean']:.1f} ± {summary['return_std']:.1f}")
    if result.regrets is not None:
        print(f"regret {summary['regret_mean']:.1f} to a near-optimal policy from the same starts")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from ddpg_core.export_command import export_run

    return export_run(load_checkpoint(parsed.folder / CHECKPOINT), parsed)


def _compare(parsed: argparse.Namespace) -> int:
    from ddpg_core.compare_command import compare

    with _interruptible() as interrupted:
        return compare(parsed, interrupted)


def _bench(parsed: argparse.Namespace) -> int:
    try:
        from ddpg_core.bench import GROWTH, SIZES, measure, report, size_of

        sizes = [size_of(text) for text in parsed.size] if parsed.size else SIZES
        results = measure(parsed.rounds, sizes, {} if parsed.size else GROWTH)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    print(json.dumps(results) if parsed.json else report(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
