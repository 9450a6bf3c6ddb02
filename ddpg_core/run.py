"""Run: a recipe being executed. `step()` is one env step and its updates; everything else is a loop over it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array, Environment
from ddpg_core.learner import Engines, LearnerState, Loop, Stretch, make_engine, resolved
from ddpg_core.logs import Logs
from ddpg_core.moments import Divergence, Moment, Snapshot, Snapshots, likely_cause
from ddpg_core.networks import MLP, forward
from ddpg_core.noise import next_noise, noise_amplitude
from ddpg_core.recipe import MAX_STEP, Intervention, Recipe
from ddpg_core.replay import sample_rows, transitions

STRETCH_STEPS: Final = 32
STRETCH_WORK: Final = 1 << 24
"""Parameters times transitions in a stretch, a millisecond or two: whoever asks a run to stop does not wait longer."""
_SERIALS: Final = itertools.count()
_BAD_REWARD: Final = "the environment returned a reward that is not a finite number"


class Run:
    """A recipe being executed: environment, noise, replay, learner and logs.

    Same recipe, engine and machine: equal logs bit for bit, in one go, in slices, resumed or branched.

    Args:
        recipe: What to run. An `engine` of `auto` is resolved here: `recipe` names the engines that run.

    Attributes:
        recipe: With every intervention made so far.
        config: The settings in force.
        logs: The three tables.
        snapshots: All state at the start of past episodes, in bounded memory.
        serial: Tells the run from every other one of this process, also from those that are gone.
        divergence: Set once a number stopped being finite; the run then makes no further step.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.serial = next(_SERIALS)
        self.recipe = _resolved(recipe)
        self.config = self.recipe.config
        init, env, noise, sampling = (
            np.random.default_rng(child) for child in np.random.SeedSequence(recipe.seed).spawn(4)
        )
        self._noise_rng, self._sampling_rng = noise, sampling
        self.env = Environment(self.config, env)
        obs_size, action_size = self.env.obs_size, self.env.action_size
        self.logs = Logs(obs_size, action_size)
        self.learner = LearnerState(
            MLP((obs_size, *self.config.hidden, action_size), squash=True),
            MLP((obs_size + action_size, *self.config.hidden, 1), squash=False),
        )
        self.learner.initialise(init, self.config)
        self._engine = Engines(self.learner, _engines(self.recipe))
        self._actor_layers = self.learner.actor_net.layers(self.learner.actor)
        self.divergence: Divergence | None = None
        self.snapshots = Snapshots()
        self._noise: Array = np.zeros(action_size)
        self._obs: Array
        self._first_step = 0
        self._first_q = self._return = self._discounted_return = 0.0
        self._discount = 1.0
        self._due = self._window_first = 0
        self._begin_episode()

    @property
    def env_steps(self) -> int:
        """Env steps taken."""
        return self.logs.steps.total

    @property
    def episode(self) -> int:
        """Episodes finished, which is also the number of the one going on."""
        return self.logs.episodes.total

    @property
    def updates(self) -> int:
        """Gradient updates made."""
        return self.logs.updates.total

    @property
    def episode_steps(self) -> int:
        """Env steps taken in the episode going on."""
        return self.env_steps - self._first_step

    @property
    def replay_window(self) -> int:
        """Transitions that can be drawn: the newest `capacity`; what once fell out of the window stays forgotten."""
        return self.env_steps - self._window_first

    @property
    def nbytes(self) -> int:
        """Memory taken by logs, networks and their snapshots, in bytes."""
        logs = sum(table.nbytes for table in self.logs.tables().values())
        return logs + self.learner.vector.nbytes * (1 + len(self.snapshots))

    @property
    def action_scale(self) -> Array:
        """What the actor's outputs are multiplied by [A] float32, in the environment's units."""
        return self._action_scale

    # --- training -------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One env step and its updates.

        Raises:
            RuntimeError: The run has diverged or has reached its last step.
        """
        if self.divergence:
            raise RuntimeError(f"the run diverged at step {self.divergence.step}: {self.divergence.cause}")
        if self.env_steps >= MAX_STEP:
            raise RuntimeError(f"a run ends at {MAX_STEP} steps")
        self._take(1)

    def advance(
        self,
        *,
        steps: int | None = None,
        episodes: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Take steps until `steps` are taken, `episodes` are finished, `stop()` is true or the run diverges.

        Returns:
            The env steps taken.
        """
        start, last_step, last_episode = self.env_steps, math.inf, math.inf
        if steps is not None:
            last_step = start + steps
        if episodes is not None:
            last_episode = self.episode + episodes
        last_step = min(last_step, MAX_STEP)
        while self.env_steps < last_step and self.episode < last_episode and self.divergence is None and not stop():
            self._take(last_step - self.env_steps)
        return self.env_steps - start

    def intervene(self, changes: Mapping[str, Any]) -> None:
        """Change live settings from the next env step on, and record it in the recipe.

        Raises:
            ValueError: An unknown or structural setting, or a value out of bounds; nothing is changed.
        """
        self.config.changed(changes)
        self._apply_due_interventions()
        changes = self._news(changes, self.config)
        if changes:
            self.recipe = self.recipe.with_intervention(Intervention(self.env_steps, changes))
            self._apply_due_interventions()

    def act(self, obs: Array) -> Array:
        """The policy's action [A] for obs [O], or [B, A] for [B, O]: float32, env units, no noise, unclipped."""
        return forward(self._actor_layers, True, obs) * self._action_scale

    def q(self, obs: Array, action: Array) -> float:
        """The critic's value of `action` [A] in `obs` [O]."""
        return self._value(self.learner.critic, obs, action)

    def _value(self, critic: Array, obs: Array, action: Array) -> float:
        return float(self.learner.critic_net.numpy(critic, np.concatenate([obs, action]))[0])

    # --- the past -------------------------------------------------------------------------------------------------

    def at(self, episode: int | None = None) -> Moment:
        """The run when `episode` episodes were finished, or now.

        Weights are those kept at the start of that episode, or of the nearest earlier one of which they are kept.

        Raises:
            ValueError: `episode` is negative, lies beyond the log, or is no longer in it.
        """
        if episode is None:
            return self._moment(self.episode, self.env_steps, self.updates, self._window_first, self.config)
        kept = self._kept_before(episode)
        env_steps, updates, window_first = self.totals_at(episode)
        config = self.recipe.until(env_steps).config_at(env_steps)
        return self._moment(episode, env_steps, updates, window_first, config, kept)

    def totals_at(self, episode: int) -> tuple[int, int, int]:
        """Env steps and updates when so many episodes were finished, and where the replay window then began.

        Raises:
            ValueError: As `at`.
        """
        self._check_episode(episode)
        if not episode:
            return 0, 0, 0
        episodes = self.logs.episodes
        if episode <= episodes.first:
            raise ValueError(f"episode must be at least {episodes.first + 1}, the oldest in the log, got {episode}")
        first_step, length, updates, window_first = (
            int(episodes.read(name, episode - 1, episode)[0])
            for name in ("first_step", "length", "updates", "window_first")
        )
        return first_step + length, updates, window_first

    def _moment(
        self,
        episode: int,
        env_steps: int,
        updates: int,
        window_first: int,
        config: Config,
        kept: Snapshot | None = None,
    ) -> Moment:
        state = LearnerState(self.learner.actor_net, self.learner.critic_net)
        state.vector[:] = kept.learner if kept else self.learner.vector
        weights_of = kept.episode if kept else episode
        networks = (state.actor, state.critic, state.actor_target, state.critic_target)
        scale = self.env.action_scale(config)
        return Moment(episode, env_steps, updates, window_first, config, weights_of, *networks, scale)

    def branch(self, episode: int | None = None, changes: Mapping[str, Any] | None = None) -> Run:
        """A new run that shares this one's past and goes its own way from there.

        Args:
            episode: Where it leaves: the start of this episode. Default: now.
            changes: Live settings changed at that point, as by `intervene`.

        Raises:
            ValueError: `episode` is not in the log or older than the rows kept; or as `intervene`.
        """
        run = self.begin_branch(episode, changes)
        if episode is not None:
            run.advance(episodes=episode - run.episode)
        run._apply_due_interventions()
        return run

    def begin_branch(self, episode: int | None = None, changes: Mapping[str, Any] | None = None) -> Run:
        """The same run as `branch`, at once: not yet at `episode`, but at the nearest one before whose state was kept.

        From there it does what this run did, up to `episode`, where `changes` are planned in its recipe.
        """
        run = self.fork(episode)
        if episode is None:
            run.intervene(changes or {})
            return run
        step, _, _ = self.totals_at(episode)
        recipe = self.recipe.until(step)
        then = recipe.config_at(step)
        new = self._news(changes or {}, then)
        run.recipe = recipe.with_intervention(Intervention(step, new)) if new else recipe
        run._apply_due_interventions()
        return run

    def fork(self, episode: int | None = None) -> Run:
        """A copy that will do what this run does next, or did from the nearest kept episode up to `episode` on.

        It keeps the whole recipe, later interventions included.

        Raises:
            ValueError: As `branch`, besides those of the changes.
        """
        now = self.snapshot() if episode is None else self._kept_before(episode)
        firsts = {name: table.first for name, table in self.logs.tables().items()}
        totals = dict(zip(firsts, now.totals, strict=True))
        if firsts["steps"] > now.counters["window_first"] or any(firsts[name] > totals[name] for name in firsts):
            raise ValueError(f"episode must be one whose replay window is still in the log, got {episode}")
        past = tuple(kept for kept in self.snapshots if kept.episode <= now.episode)
        twin = Run.restored(self.recipe, self.logs.copy(now.totals), now, past)
        if episode is None:
            twin.divergence = self.divergence
        return twin

    def snapshot(self) -> Snapshot:
        """A copy of all state besides the logs, from which `restored` goes on exactly."""
        counters = {
            "updates": self.learner.updates,
            "env": self.env.snapshot(),
            "obs": self._obs.tolist(),
            "noise": self._noise.tolist(),
            "noise_rng": self._noise_rng.bit_generator.state,
            "sampling_rng": self._sampling_rng.bit_generator.state,
            "window_first": self._window_first,
            "due": self._due,
            "first_step": self._first_step,
            "first_q": self._first_q,
            "return": self._return,
            "discounted_return": self._discounted_return,
            "discount": self._discount,
        }
        totals = (self.env_steps, self.updates, self.episode)
        return Snapshot(self.episode, totals, self.learner.vector.copy(), counters)

    @classmethod
    def restored(cls, recipe: Recipe, logs: Logs, now: Snapshot, past: tuple[Snapshot, ...] = ()) -> Run:
        """The run that a recipe, logs and a snapshot of the state at their end describe.

        Args:
            recipe: Interventions after the end of the logs are still to come.
            logs: The run takes ownership of them.
            now: The state at the end of `logs`.
            past: Snapshots of episodes before that, oldest first.
        """
        run = cls(recipe)
        run.logs = logs
        run.learner.vector[:] = now.learner
        counters = now.counters
        run.learner.updates = counters["updates"]
        run.env.restore(counters["env"])
        run._obs = np.array(counters["obs"], dtype=np.float32)
        run._noise = np.array(counters["noise"])
        run._noise_rng.bit_generator.state = counters["noise_rng"]
        run._sampling_rng.bit_generator.state = counters["sampling_rng"]
        run._first_step, run._first_q = counters["first_step"], counters["first_q"]
        run._return, run._discounted_return = counters["return"], counters["discounted_return"]
        run._discount = counters["discount"]
        run.snapshots = Snapshots(past)
        run._window_first, run._due = counters["window_first"], counters["due"]
        for item in run.recipe.interventions[: run._due]:
            run.config = run.config.changed(item.changes)
        run._refresh()
        return run

    # --- inside ---------------------------------------------------------------------------------------------------

    def _take(self, most: float) -> None:
        """Env steps and their updates, at least one step and up to `most`, within an episode."""
        self._apply_due_interventions()
        loop = self._engine.loop(self.config)
        if loop:
            self._stretch(loop, self._steps_alike(most))
        else:
            self._step()

    def _step(self) -> None:
        """One env step and its updates, by Gymnasium and any engine."""
        env, obs = self.env, self._obs
        policy_action = self.act(obs)
        self._noise = next_noise(self._noise, self.config, self._noise_rng)
        noise = self._noise_amplitude * self._noise
        action = np.minimum(np.maximum(policy_action + noise, env.action_low), env.action_high).astype(np.float32)
        if not self.episode_steps:
            self._first_q = self.q(obs, action)
        after = env.step(action)
        self.logs.steps.append(
            obs, after.next_obs, policy_action, noise, action, after.reward, after.terminated, after.truncated
        )
        self._earn(after.reward)
        self._obs = after.next_obs
        if not math.isfinite(after.reward):
            self._diverge(_BAD_REWARD)
            return
        self._learn()
        if after.terminated or after.truncated:
            self._finish_episode(after.terminated)

    def _stretch(self, loop: Loop, steps: int) -> None:
        """That many `_step`s at once, by a compiled loop."""
        env, log, first = self.env, self.logs.steps, self.env_steps
        first_critic = None if self.episode_steps else self.learner.critic.copy()
        stretch = self._ahead(steps)
        rewards, statistics = loop.take(log, stretch)
        env.went_on(stretch.state[:2], len(rewards))
        if first_critic is not None:
            self._first_q = self._value(first_critic, self._obs, log.rows(first, first + 1)[0, log.slices["action"]])
        self._noise, self._obs = stretch.state[2:], log.rows(self.env_steps - 1)[0, log.slices["next_obs"]]
        for reward in rewards.tolist():
            self._earn(reward)
        self._window_first = max(self._window_first, self.env_steps - self.config.capacity)
        after = first + np.arange(len(statistics)) // max(1, len(stretch.windows) // steps)
        self.logs.updates.extend(np.column_stack([after, statistics]))
        if not math.isfinite(rewards[-1]):
            self._diverge(_BAD_REWARD)
            return
        self._check(statistics)
        if not env.steps_left:
            self._finish_episode(terminated=False)

    def _ahead(self, steps: int) -> Stretch:
        """The next steps, as a compiled loop is asked for them."""
        config, env = self.config, self.env
        updates = config.updates_per_step if self.env_steps + 1 >= config.warmup_steps else 0
        windows = [min(self.replay_window + taken, config.capacity) for taken in range(1, steps + 1)]
        return Stretch(
            config,
            *self._learning_rates(),
            self._action_scale,
            float(self._noise_amplitude[0]),
            self._noise_rng.standard_normal(steps) if config.noise != "none" else np.zeros(steps),
            [window for window in windows for _ in range(updates)],
            self._sampling_rng,
            np.array([*env.state(), *self._noise]),
            ends=steps == env.steps_left,
        )

    def _steps_alike(self, most: float) -> int:
        """Env steps from now on, up to `most`, within which neither settings nor batch size change, nor the episode."""
        config, now = self.config, self.env_steps
        limits = [most, self.env.steps_left, stretch_steps(config, self.learner.online.size)]
        if self._due < len(self.recipe.interventions):
            limits.append(self.recipe.interventions[self._due].step - now)
        if now + 1 < config.warmup_steps:
            limits.append(config.warmup_steps - 1 - now)
        elif self.replay_window + 1 < min(config.batch_size, config.capacity):
            limits.append(1)
        return int(min(limits))

    def _learn(self) -> None:
        """The updates that follow an env step."""
        config = self.config
        self._window_first = max(self._window_first, self.env_steps - config.capacity)
        if self.env_steps < config.warmup_steps:
            return
        log, rates = self.logs.steps, self._learning_rates()
        for _ in range(config.updates_per_step):
            rows = log.gather(sample_rows(self.replay_window, config, self._sampling_rng))
            batch = transitions(rows, log.slices, config)
            statistics = self._engine.update(batch, config, *rates, self._action_scale)
            self.logs.updates.append(self.env_steps - 1, statistics)
            self._check(statistics)
            if self.divergence:
                return

    def _learning_rates(self) -> tuple[float, float]:
        """Of actor and critic, in this episode."""
        config = self.config
        decay = config.lr_decay**self.episode
        actor_lr = config.actor_lr * decay
        return actor_lr, actor_lr if config.shared_lr else config.critic_lr * decay

    def _earn(self, reward: float) -> None:
        self._return += reward
        self._discounted_return += self._discount * reward
        self._discount *= self.config.gamma

    def _check(self, numbers: Array) -> None:
        """Stop the run if one of these is not finite."""
        if self.divergence is None and not np.isfinite(numbers).all():
            self._diverge(likely_cause(self.config, self.logs.updates.read("critic_loss", self.updates - 50)))

    def _begin_episode(self) -> None:
        self._obs = self.env.reset()
        self._first_step = self.env_steps
        self._first_q = 0.0
        self._return = self._discounted_return = 0.0
        self._discount = 1.0
        if self.config.noise_reset:
            self._noise = np.full(self.env.action_size, self.config.ou_mu)
        self._refresh()
        if self.divergence is None and self.snapshots.wants(self.episode):
            self.snapshots.keep(self.snapshot())

    def _finish_episode(self, terminated: bool) -> None:
        self.logs.episodes.append(
            self._first_step,
            self.episode_steps,
            self._return,
            terminated,
            self._discounted_return,
            self._first_q,
            self.config.noise_scale * self.config.noise_decay**self.episode,
            self.updates,
            self._window_first,
        )
        self._check(self.learner.vector)
        self._begin_episode()

    def _refresh(self) -> None:
        """What is derived from config and episode and read at each step."""
        low, high = self.env.action_low, self.env.action_high
        self._noise_amplitude = noise_amplitude(self.config, self.episode, low, high)
        self._action_scale = self.env.action_scale(self.config)
        self.logs.steps.raise_bound(self.config.capacity)

    def _apply_due_interventions(self) -> None:
        """Apply the recipe's interventions whose step has come."""
        due = self.recipe.interventions
        while self._due < len(due) and due[self._due].step <= self.env_steps:
            self.config = self.config.changed(due[self._due].changes)
            self._due += 1
            self._refresh()

    def _news(self, changes: Mapping[str, Any], config: Config) -> dict[str, Any]:
        """What of `changes` differs from `config`, its engine by name; what this machine cannot have is refused."""
        news = resolved(config.changed(changes)).difference(config)
        if "engine" in news:
            make_engine(news["engine"], self.learner)
        return news

    def _kept_before(self, episode: int) -> Snapshot:
        self._check_episode(episode)
        return self.snapshots.before(episode)

    def _check_episode(self, episode: int) -> None:
        if not 0 <= episode <= self.episode:
            raise ValueError(f"episode must be in [0, {self.episode}], got {episode}")

    def _diverge(self, cause: str) -> None:
        self.divergence = Divergence(self.env_steps - 1, cause)


def stretch_steps(config: Config, parameters: int) -> int:
    """Env steps that a compiled loop is asked for at once, for so many parameters of both networks."""
    work = parameters * config.batch_size * config.updates_per_step
    return max(1, min(STRETCH_STEPS, STRETCH_WORK // max(1, work)))


def _engines(recipe: Recipe) -> set[str]:
    """The engines that a resolved recipe names, at its start and in its interventions."""
    later = {item.changes["engine"] for item in recipe.interventions if "engine" in item.changes}
    return {recipe.config.engine} | later


def _resolved(recipe: Recipe) -> Recipe:
    """The recipe with the names of engines instead of `auto`."""
    if "auto" not in _engines(recipe):
        return recipe

    def named(item: Intervention) -> Intervention:
        if item.changes.get("engine") != "auto":
            return item
        engine = resolved(recipe.config.changed({"engine": "auto"})).engine
        return Intervention(item.step, {**item.changes, "engine": engine})

    return replace(recipe, config=resolved(recipe.config), interventions=tuple(map(named, recipe.interventions)))
