from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import PRESETS, SETTINGS, Config
from ddpg_core.links import GROUPS, MAX_CHARS, MAX_EPISODE, Link, View, is_link
from ddpg_core.recipe import Intervention, Recipe
from tests.test_recipe import recipes

PLAIN = "v=1&preset=fast&seed=0"
FULL = Link(
    Recipe(
        PRESETS["fast"].changed({"tau": 0.005, "hidden": (32, 16), "noise_reset": False}),
        7,
        (Intervention(8000, {"replay": "latest", "batch_size": 1}), Intervention(8000, {"tau": 1e-05})),
    ),
    episode=60,
    cursor=40,
    sent_return=-149.25,
    view=View(("noise", "quirks"), ("tau", "gamma")),
)
FULL_QUERY = (
    "v=1&preset=fast&seed=7&hidden=32-16&tau=0.005&noise_reset=false&at=8000,replay:latest,batch_size:1"
    "&at=8000,tau:1e-05&episode=60&cursor=40&return=-149.25&hide=noise,quirks&lock=gamma,tau"
)
VERSION_1 = {
    "textbook": "env_id=Pendulum-v1&gravity=10&mass=1&length=1&hidden=8-8-8&kernel_init=glorot&target_init=copy"
    "&gamma=0.99&tau=0.01&actor_lr=0.001&critic_lr=0.001&lr_decay=1&l2=5e-07&updates_per_step=1&engine=auto&replay=uniform"
    "&batch_size=1024&capacity=100000&replacement=true&warmup_steps=1024&noise=ou&noise_scale=1&noise_decay=0.99"
    "&ou_theta=0.15&ou_sigma=0.2&ou_mu=0&ou_dt=1&noise_reset=true&action_scale=half&noise_range=half"
    "&target_action_scaled=true&time_limit_terminal=false&store_action=executed&shared_lr=false",
    "fast": "hidden=64-64&batch_size=128&warmup_steps=128",
    "notebook": "action_scale=full&target_action_scaled=false&target_init=random&noise=ou_notebook&noise_reset=false"
    "&noise_scale=0&noise_range=full&time_limit_terminal=true&store_action=raw&shared_lr=true&replacement=false",
    "no_replay": "hidden=64-64&batch_size=1&warmup_steps=128&replay=latest",
}
"""What presets and defaults were when version 1 of links was made."""

views = st.builds(
    View,
    st.lists(st.sampled_from(sorted(GROUPS)), max_size=6).map(tuple),
    st.lists(st.sampled_from(sorted(SETTINGS)), max_size=5).map(tuple),
)


@st.composite
def links(draw: st.DrawFn) -> Link:
    episode = draw(st.integers(0, MAX_EPISODE))
    cursor = draw(st.none() | st.integers(0, episode))
    returns = st.floats(allow_nan=False, allow_infinity=False)
    sent = draw(st.none() | returns) if cursor or episode else None
    return Link(draw(recipes), episode, cursor, sent, draw(views))


@given(links())
def test_query_reads_back_the_very_same_link(link: Link) -> None:
    if len(link.recipe.interventions) > 2:
        link = replace(link, recipe=replace(link.recipe, interventions=link.recipe.interventions[:2]))
    text = link.to_query()
    assert len(text) <= MAX_CHARS
    again = Link.from_query(text)
    assert again == link
    assert again.recipe.to_json() == link.recipe.to_json()
    assert again.to_query() == text


def test_query_is_a_preset_with_what_differs_from_it() -> None:
    assert Link(Recipe(PRESETS["fast"])).to_query() == PLAIN
    assert FULL.to_query() == FULL_QUERY
    assert Link.from_query(FULL_QUERY) == FULL


@pytest.mark.parametrize("preset", PRESETS)
def test_old_links_mean_what_they_meant(preset: str) -> None:
    whole = f"v=1&preset={preset}&{VERSION_1['textbook']}"
    assert set(SETTINGS) >= {part.split("=")[0] for part in VERSION_1["textbook"].split("&")}
    assert Link.from_query(whole).recipe.config == Config()
    own = {part.split("=")[0]: part for part in VERSION_1["textbook"].split("&")}
    own |= {part.split("=")[0]: part for part in VERSION_1[preset].split("&")}
    meant = Link.from_query(f"v=1&preset=textbook&{'&'.join(own.values())}").recipe.config
    assert Link.from_query(f"v=1&preset={preset}").recipe.config == meant, "raise links.VERSION"


def test_what_a_query_leaves_out_is_seed_0_untrained_live_and_all_controls() -> None:
    link = Link.from_query("preset=no_replay&v=1")
    assert link == Link(Recipe(PRESETS["no_replay"], 0), 0, None, None, View())


@pytest.mark.parametrize(("episode", "cursor", "moment"), [(0, None, 0), (9, None, 9), (9, 4, 4), (9, 0, 9)])
def test_return_is_of_the_cursor_or_else_of_the_last_episode(episode: int, cursor: int | None, moment: int) -> None:
    assert Link(Recipe(Config()), episode, cursor).moment == moment


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("tau=1.5", "tau must be in [1e-05, 1], got 1.5"),
        ("tau=nan", "tau must be in [1e-05, 1], got nan"),
        ("tau=", "tau must be a number, got ''"),
        ("batch_size=" + "9" * 5000, "batch_size must be a whole number, got '9999"),
        ("actor_lr=1e999", "actor_lr must be in [1e-06, 1], got inf"),
        ("hidden=999-999", "hidden must be 1 to 4 layers of 1 to 512 units"),
        ("env_id=os:system", "env_id must be one of Pendulum-v1, MountainCarContinuous-v0, got 'os:system'"),
        ("taus=1", "setting must be one of those listed by `presets`, got 'taus'; did you mean tau?"),
        ("tau=0.1&tau=0.2", "a link must name each part once, got 'tau' twice"),
        ("seed=1", "a link must name each part once, got 'seed' twice"),
        ("v=1", "a link must name each part once, got 'v' twice"),
        ("episode=-1", "episode must be a whole number, got '-1'"),
        ("episode=100001", "episode must be a whole number in [0, 100000], got 100001"),
        ("episode=" + "9" * 6000, "episode must be a whole number, got '999"),
        ("episode=١", "episode must be a whole number, got '١'"),
        ("episode=5&cursor=6", "cursor must be a whole number in [0, 5], got 6"),
        ("cursor=", "cursor must be a whole number, got ''"),
        ("return=-1", "return must be of a finished episode, got one of episode 0"),
        ("episode=1&return=inf", "return must be a finite number, got inf"),
        ("episode=1&return=good", "return must be a number, got 'good'"),
        ("at=", "intervention step must be a whole number, got ''"),
        ("at=5", "intervention changes must be settings with values, got {}"),
        ("at=5,tau", "tau must be a number, got ''"),
        ("at=5,tau:0.1,tau:0.2", "a link must name each part once, got 'tau' twice"),
        ("at=5,gravity:3", "gravity must be set before the run starts, got a change at step 5"),
        ("at=99999999,tau:0.1", "intervention step must be a whole number in [0, 16777215], got 99999999"),
        ("at=6,tau:0.1&at=5,tau:0.1", "interventions must be in the order of their steps, got steps [6, 5]"),
        ("hide=everything", "hide must hold some of environment, networks, learning, replay, noise, quirks, got 'ev"),
        ("hide=noise,", "hide must hold some of environment, networks, learning, replay, noise, quirks, got ''"),
        ("lock=tao", "setting must be one of those listed by `presets`, got 'tao'; did you mean tau?"),
        ("<script>=1", "setting must be one of those listed by `presets`, got '<script>'"),
        ("%ff%00=1", "setting must be one of those listed by `presets`, got '�\\x00'"),
        ("\udcff=\ud800", "setting must be one of those listed by `presets`, got '\\udcff'"),
    ],
)
def test_impossible_parts_are_refused_with_one_sentence(part: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Link.from_query(f"{PLAIN}&{part}")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the link's version v must be 1, got None"),
        ("v=2&preset=fast&new=thing", "the link's version v must be 1, got '2'"),
        ("v=1", "preset must be one of fast, textbook, notebook, no_replay, got None"),
        ("v=1&preset=slow", "preset must be one of fast, textbook, notebook, no_replay, got 'slow'"),
    ],
)
def test_a_link_names_its_version_and_a_preset(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Link.from_query(text)
    assert str(caught.value) == message


def test_long_links_are_neither_made_nor_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(Intervention(step, {"tau": 0.5}) for step in range(3000))
    with pytest.raises(ValueError, match=r"^a link must be of at most 7,000 characters, got .* changed 3,000 times$"):
        Link(Recipe(Config(), 0, many)).to_query()
    monkeypatch.delattr("ddpg_core.links.parse_qsl")
    for text in (f"{PLAIN}&" + "at=1,tau:0.5&" * 100_000, f"{PLAIN}&tau=" + "9" * 10**6):
        with pytest.raises(ValueError, match=f"^a link must be of at most 7,000 characters, got {len(text):,}$"):
            Link.from_query(text)


def test_fuzzed_links_are_links_or_one_sentence() -> None:
    rng = random.Random(0)
    alphabet = [
        *"&=,:-.%+0159aetv",
        "at=",
        "&v=",
        "%00",
        "%ff",
        "²",
        "\udcff",
        "1e999",
        "nan",
        "9" * 400,
        "[",
        "`",
        "\n",
    ]
    sources = [FULL_QUERY, PLAIN, f"{PLAIN}&episode=40&return=-149.2", f"{PLAIN}&at=9,noise:none,l2:0&hide=noise"]
    outcomes = {"link": 0, "refused": 0}
    for _ in range(10_000):
        text = rng.choice(sources)
        for _ in range(rng.randint(1, 4)):
            text = mutated(text, rng, alphabet)
        found = opened(text)
        if isinstance(found, Link):
            assert Link.from_query(found.to_query()) == found, text
            outcomes["link"] += 1
        else:
            assert " must " in found, text
            assert "\n" not in found, text
            assert len(found) < 400, text
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 500, outcomes


def opened(text: str) -> Link | str:
    """The link, or why it is refused."""
    try:
        return Link.from_query(text)
    except ValueError as error:
        return str(error)


def mutated(text: str, rng: random.Random, alphabet: list[str]) -> str:
    """`text` with a piece put in, taken out, doubled, or moved, or a part put elsewhere."""
    start, stop = sorted(rng.randint(0, len(text)) for _ in range(2))
    piece = text[start : min(stop, start + 12)]
    kind = rng.randrange(5)
    if kind == 0:
        return text[:start] + rng.choice(alphabet) + text[start:]
    if kind == 1:
        return text[:start] + text[start + len(piece) :]
    if kind == 2:
        return text[:stop] + piece + text[stop:]
    if kind == 3:
        return text[:start] + rng.choice(alphabet) + text[start + 1 :]
    parts = text.split("&")
    parts.insert(rng.randint(0, len(parts)), parts.pop(rng.randrange(len(parts))))
    return "&".join(parts)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", False),
        ("utm_source=mail&lab=abc", False),
        ("seed=3", False),
        (PLAIN, True),
        ("preset=fast", True),
        ("v=9", True),
        ("v", True),
        (f"{PLAIN}&{'x' * 10**6}", True),
    ],
)
def test_only_queries_with_a_version_or_a_preset_mean_to_be_links(text: str, meant: bool) -> None:
    assert is_link(text) == meant


def test_a_view_hides_groups_and_locks_settings() -> None:
    view = View(("noise", "learning"), ("tau", "mass", "tau"))
    assert view == View(("learning", "noise"), ("mass", "tau"))
    assert {name for name in SETTINGS if view.hides(name)} == {
        name for name, setting in SETTINGS.items() if setting.group in ("Learning", "Exploration noise")
    }
    assert {name for name in SETTINGS if view.locks(name)} == {"tau", "mass"}
    assert not View().hides("tau")
    assert {setting.group for setting in SETTINGS.values()} == set(GROUPS.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_sent_return_is_finite(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^return must be a finite number"):
        Link(Recipe(Config()), 3, sent_return=value)
