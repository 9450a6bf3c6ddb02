"""Export as a report: one HTML file with recipe, curves, maps, film, evaluation and versions. Enough for a hand-in."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ddpg_core.config import SETTINGS, Config, format_value
from ddpg_core.environment import ENVIRONMENTS, Array, Physics, reference_returns
from ddpg_core.export import Source, film
from ddpg_core.export.html_page import changed_settings, escaped, filled, lasting, origin, with_minus
from ddpg_core.export.report_charts import learning_curve, losses, maps, starts, traces
from ddpg_core.metrics import Evaluation, evaluate
from ddpg_core.policy import Card, Policy
from ddpg_core.recipe import Recipe, preset_of
from ddpg_core.run import Run

STILLS: Final = 6
"""Pictures in place of the film on paper, closer together at its beginning, where most happens."""
_WINDOW: Final = 10


def write(source: Source) -> bytes:
    """The report on a run and its policy, in UTF-8.

    Raises:
        ValueError: `source` has no run, or an episode that is not in its log.
    """
    run, policy = source.run, source.policy
    if run is None:
        raise ValueError("a report must have the run that trained the policy, got the policy alone")
    card = policy.card
    score = card.evaluation
    result = evaluate(policy, card.config, score["episodes"], score["seed"])
    take = film.take_of(source)
    still_steps = ((len(take.rewards) - 1) * np.linspace(0, 1, STILLS) ** 2).round().astype(int)
    rate = ENVIRONMENTS[take.env_id].steps_per_second
    preset, _ = preset_of(card.recipe.config)
    pendulum = card.config.env_id == "Pendulum-v1"
    arrow = " The arrow is the torque." if pendulum else ""
    words = with_minus(f"One episode, {take.title}, in real time: return {take.rewards.sum():.0f}.{arrow}")
    return filled(
        "report",
        title=escaped(f"DDPG report: {origin(card)}"),
        environment=escaped(card.config.env_id),
        heading=escaped(f"“{preset}”, trained for {lasting(card)}"),
        origin=escaped(f"Seed {card.recipe.seed}, {card.env_steps:,} steps, engine {card.config.engine}"),
        facts=_facts(policy, result, run),
        lead=escaped(with_minus(_lead(result, card))),
        training=escaped(_training(card.recipe.config, preset)),
        settings=_settings_table(card.recipe),
        interventions=_interventions_table(card.recipe),
        learning=learning_curve(run, card),
        losses=losses(run),
        maps=maps(run, card) if pendulum else "",
        traces=traces(take) if pendulum else "",
        film=_uri("image/gif", film.gif(take)),
        film_words=escaped(words),
        strip=_uri("image/png", _strip(take, still_steps)),
        strip_words=escaped(f"The stills show {', '.join(f'{step / rate:.1f}' for step in still_steps)} s."),
        evaluation=escaped(with_minus(_evaluation_words(result, card))),
        starts=starts(result, card) if pendulum else "",
        reproduction=escaped(with_minus(_reproduction(run, card))),
        commands=escaped(_commands(card)),
        recipe=escaped(card.recipe.to_json().strip()),
    )


# --- words and tables -------------------------------------------------------------------------------------------------


def _facts(policy: Policy, result: Evaluation, run: Run) -> str:
    """The numbers that matter, large, as HTML."""
    card = policy.card
    returns = run.logs.episodes.read("episode_return", stop=card.episode)
    facts = [
        ("Return", f"{result.returns.mean():.0f}", f"mean of {len(result.returns)} fixed starts, without noise"),
        (
            "End of training",
            f"{returns[-_WINDOW:].mean():.0f}" if len(returns) else "–",
            "mean return of ten episodes, with noise",
        ),
        ("Actor", f"{policy.net.parameter_count:,}", f"numbers, in {format_value(policy.net.sizes)} units"),
    ]
    if result.regrets is not None:
        facts.insert(1, ("Regret", f"{result.regrets.mean():.1f}", "below a near-optimal policy"))
    parts = (
        f"<div><dt>{escaped(name)}</dt><dd><b>{value}</b>{escaped(note)}</dd></div>" for name, value, note in facts
    )
    return with_minus("\n".join(parts))


def _lead(result: Evaluation, card: Card) -> str:
    mean, count = result.returns.mean(), len(result.returns)
    text = f"From {count} fixed starts and without noise, the policy returns {mean:.0f} on average"
    if result.regrets is not None:
        text += f"; a near-optimal policy returns {mean + result.regrets.mean():.0f} from the same starts"
    known = reference_returns(card.config)
    return text + (f", random actions about {known[0]:.0f}." if known else ".")


def _training(config: Config, preset: str) -> str:
    """The algorithm with its main numbers."""
    widths = [str(units) for units in config.hidden]
    layers = f"a hidden layer of {widths[0]}" if len(widths) < 2 else f"hidden layers of {' and '.join(widths)}"
    drawn = "drawn from the newest" if config.replay == "uniform" else "the newest of"
    rates = f"{config.actor_lr:g} for the actor, {config.actor_lr if config.shared_lr else config.critic_lr:g}"
    place = ""
    if config.env_id == "Pendulum-v1":
        physics = Physics.of(config)
        place = (
            f" The pole weighs {physics.mass:g} kg and is {physics.length:g} m long; gravity is "
            f"{physics.gravity:g} m/s²."
        )
    return (
        f"Deep deterministic policy gradient (Lillicrap et al. 2016) on {config.env_id}, from the preset “{preset}”. "
        f"Actor and critic have {layers} units. Updates a step: {config.updates_per_step}, on {config.batch_size:,} "
        f"transitions {drawn} {config.capacity:,}. Discount γ = {config.gamma:g}, target rate τ = {config.tau:g}, "
        f"learning rates {rates} for the critic.{place}"
    )


def _settings_table(recipe: Recipe) -> str:
    rows = changed_settings(recipe.config)
    preset, _ = preset_of(recipe.config)
    if not rows:
        return f"<p>All settings are those of the preset “{escaped(preset)}”.</p>"
    return _table(
        "Settings that differ from the preset",
        ("Setting", "Symbol", "Here", f"In “{preset}”"),
        [
            (escaped(label), f"<i>{escaped(symbol)}</i>", escaped(here), escaped(there))
            for label, symbol, here, there in rows
        ],
    )


def _interventions_table(recipe: Recipe) -> str:
    if not recipe.interventions:
        return ""
    rows = [(f"{item.step:,}", escaped(_change_words(item.changes))) for item in recipe.interventions]
    return _table("Changed while it trained", ("Before step", "Change"), rows)


def _change_words(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{SETTINGS[name].label} becomes {format_value(value)}" for name, value in changes.items())


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{escaped(name)}</th>" for name in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<table><caption>{escaped(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    )


def _evaluation_words(result: Evaluation, card: Card) -> str:
    returns, score = result.returns, card.evaluation
    text = (
        f"{len(returns)} episodes without noise, from the starts that seed {score['seed']} draws: return "
        f"{returns.mean():.1f} ± {returns.std():.1f} (mean and standard deviation), worst {returns.min():.0f}, best "
        f"{returns.max():.0f}."
    )
    if result.regrets is None:
        return text
    return (
        f"{text} A start that hangs down allows less than one that stands up, so the regret to a near-optimal policy "
        f"from the same start says more: {result.regrets.mean():.1f} ± {result.regrets.std():.1f}. (That policy comes "
        f"from value iteration on a grid, so that another can be a little better.)"
    )


def _reproduction(run: Run, card: Card) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    text = f"A run is a pure function of its recipe. These commands train it again and evaluate it ({versions})."
    if card.episode:
        last = float(run.logs.episodes.read("episode_return", card.episode - 1, card.episode)[0])
        text += f" The last of its {lasting(card)} returned {last:.4f}, and will on a machine of the same kind."
    more = card.env_steps - (run.at(card.episode).env_steps if card.episode else 0)
    return text + (f" The policy of this report is that of {more} steps into the next episode." if more else "")


def _commands(card: Card) -> str:
    """The command lines that train this policy again and evaluate it."""
    recipe, score = card.recipe, card.evaluation
    preset, changed = preset_of(recipe.config)
    parts = [
        f"python -m ddpg_core train --preset {preset}",
        f"--seed {recipe.seed} --episodes {max(card.episode, 1)}",
        *([f"--set {_assignments(changed)}"] if changed else []),
        *(f"--at {item.step} {_assignments(item.changes)}" for item in recipe.interventions),
        "--out runs/one",
    ]
    evaluate = f"--episodes {score['episodes']} --seed {score['seed']}"
    return " \\\n    ".join(parts) + f"\npython -m ddpg_core evaluate runs/one \\\n    {evaluate}"


def _assignments(changes: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={format_value(value)}" for name, value in changes.items())


# --- pictures ---------------------------------------------------------------------------------------------------------


def _strip(take: film.Take, steps: Array) -> bytes:
    """Some steps of an episode side by side, as a PNG: the film on paper."""
    from PIL import Image

    stills = film.pictures(replace(take, states=take.states[steps], actions=take.actions[steps]), film.GIF_PX)
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(stills), axis=1)).quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
