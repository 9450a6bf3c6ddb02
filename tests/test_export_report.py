from __future__ import annotations

import base64
import io
import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpg_core.__main__ import _parser, _recipe
from ddpg_core.config import Config
from ddpg_core.export import Source, report
from ddpg_core.export.svg import TORQUES, VALUES, Plot, heat_map, number, painted, span, ticks
from ddpg_core.metrics import evaluate
from ddpg_core.policy import best_episode, policy_at
from ddpg_core.probes import q_map, state_grid
from ddpg_core.run import Run
from tests.helpers import CAR, SMALL, trained
from tests.ui.helpers import diverged

VOID = {"meta", "img", "br", "image", "path", "circle", "input", "link"}


class Tags(HTMLParser):
    """All elements of a page with their attributes; fails where they are not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with settings of its own and an intervention, in its fourth episode."""
    config = SMALL.changed({"tau": 0.02, "mass": 0.8})
    return trained(620, config, 5, (450, {"gamma": 0.95, "replay": "latest"}))


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return report.write(Source(policy_at(run, 3), run)).decode()


def brief(run: Run, episode: int | None = None) -> str:
    """A report on a past policy, or the newest, whose film is the few steps of the episode going on."""
    return report.write(Source(policy_at(run, episode), run, run.episode)).decode()


def words(page: str) -> str:
    """The text of a page, tags and line breaks made spaces."""
    body = page.split("<body>")[1]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


# --- the page ---------------------------------------------------------------------------------------------------------


def test_report_is_one_well_formed_file_that_needs_nothing_else(page: str) -> None:
    tags = Tags(page)
    assert not tags.of("script")
    addresses = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert len(addresses) >= 4
    assert all(address.startswith(("data:image/png;base64,", "data:image/gif;base64,")) for address in addresses)
    policy = tags.of("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert len(page) < 3_000_000
    assert all(image["alt"] for image in tags.of("img"))
    assert all(svg["aria-label"] for svg in tags.of("svg"))


def test_the_commands_of_a_report_give_exactly_its_recipe(run: Run, page: str) -> None:
    found = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert found
    train, evaluate_line = unescape(found[1]).replace("\\\n", " ").splitlines()
    parsed = _parser().parse_args(shlex.split(train)[3:])
    assert _recipe(parsed) == run.recipe
    assert parsed.episodes == 3
    assert shlex.split(evaluate_line)[2:] == ["ddpg_core", "evaluate", "runs/one", "--episodes", "20", "--seed", "0"]


def test_report_says_how_good_the_policy_is_on_its_fixed_starts(run: Run, page: str) -> None:
    policy = policy_at(run, 3)
    result = evaluate(policy, policy.card.config, 20, 0)
    assert result.regrets is not None
    text = words(page).replace("−", "-")
    assert f"return {result.returns.mean():.1f} ± {result.returns.std():.1f} (mean" in text
    assert f"says more: {result.regrets.mean():.1f} ± {result.regrets.std():.1f}." in text
    best = float((result.returns + result.regrets).mean())
    assert f"a near-optimal policy returns {best:.0f} from the same starts" in text
    last = float(run.logs.episodes.read("episode_return")[2])
    assert f"last of its 3 episodes returned {last:.4f}" in text


def test_report_tells_what_was_set_and_changed(run: Run, page: str) -> None:
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert "||Pole mass|||m|||0.8||1|" in rows or "|Pole mass||" in rows[1]
    text = words(page)
    assert "Target rate τ 0.02 0.01" in text
    assert "Pole mass m 0.8 1" in text
    assert "Before step Change 450 Discount becomes 0.95, Replay becomes latest" in text
    assert "γ → 0.95" in text
    assert "weighs 0.8 kg" in text
    assert run.recipe.to_json().strip() in unescape(page)


def test_learning_curve_has_a_point_an_episode_and_a_mark_at_the_policy() -> None:
    run = trained(810, SMALL)
    page = brief(run, 2)
    curve = re.search(r'<div class="wide">(<svg[^>]*Return of each training.*?</svg>)', page, re.DOTALL)
    assert curve
    assert curve[1].count("<circle") == 4
    assert "the policy of this report" in curve[1]
    now = brief(run)
    assert "the policy of this report" not in now
    assert "that of 10 steps into the next episode" in words(now)
    assert "into the next episode" not in words(page)


def test_report_of_a_past_policy_shows_that_policys_values() -> None:
    run = trained(810, SMALL)
    early, late = brief(run, 1), brief(run, 4)

    def picture(page: str) -> Any:
        found = re.search(r'Q of the policy.*?href="data:image/png;base64,([^"]+)"', page, re.DOTALL)
        assert found
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))

    moment, grid = run.at(1), state_grid(81)
    torque = policy_at(run, 1, 1)(grid.obs.reshape(-1, 3))[:, 0].reshape(81, 81)
    values = q_map(run.learner.critic_net, moment.critic, grid.obs, torque)
    np.testing.assert_allclose(picture(early), painted(values[::-1], VALUES, *span(values)), atol=1)
    assert (picture(early) != picture(late)).any()


def test_text_of_a_card_is_never_markup(run: Run) -> None:
    policy = policy_at(run, 3, 2)
    card = replace(policy.card, versions={**policy.card.versions, "torch": "</style><img src=x onerror=go()>"})
    page = report.write(Source(replace(policy, card=card), run, 3)).decode()
    assert "<img src=x" not in page
    assert "&lt;/style&gt;&lt;img src=x onerror=go()&gt;" in page


def test_a_run_that_diverged_has_a_report_of_what_it_was(run: Run) -> None:
    lost = diverged()
    page = report.write(Source(policy_at(lost, best_episode(lost), 2), lost, 1)).decode()
    assert lost.divergence
    assert f"The run diverged at step {lost.divergence.step:,}" in words(page)
    assert not re.search(r"\bnan\b|\binf\b", words(page))


def test_a_mountain_car_has_a_report_without_the_pendulums_maps() -> None:
    run = trained(60, SMALL.changed(CAR))
    page = report.write(Source(policy_at(run, starts=1), run, 0)).decode()
    Tags(page)
    text = words(page)
    assert "MountainCarContinuous-v0" in text
    assert "Q-surface" not in text
    assert "near-optimal" not in text
    assert "training episode 1, with noise" in text


def test_a_policy_without_its_run_has_no_report(run: Run) -> None:
    with pytest.raises(ValueError, match=r"^a report must have the run that trained the policy, got the policy alone"):
        report.write(Source(policy_at(run, 3, 1)))


def test_equal_sources_make_equal_reports(run: Run) -> None:
    assert brief(run, 3) == brief(run, 3)


# --- charts -----------------------------------------------------------------------------------------------------------


def plot() -> Plot:
    """A chart of 0 … 10 over −1 … 1, 200 wide and 100 high inside its axes."""
    return Plot("t", "x", "y", (0, 10), (-1, 1), width=288, height=156)


def test_points_lie_where_their_numbers_say() -> None:
    chart = plot()
    assert chart.box == (74, 14, 274, 114)
    np.testing.assert_allclose(chart.x(np.array([0, 5, 10])), [74, 174, 274])
    np.testing.assert_allclose(chart.y(np.array([-1, 0, 1, 7])), [114, 64, 14, 14])


def test_lines_break_and_points_vanish_where_a_number_is_not_finite() -> None:
    chart = plot()
    values = np.array([0, 1, np.nan, 0, np.inf, -1])
    chart.line(np.arange(6.0), values, "actor")
    chart.points(np.arange(6.0), values, "critic")
    svg = chart.svg()
    assert 'd="M74.0 64.0L94.0 14.0M134.0 64.0M174.0 114.0" stroke="var(--actor)"' in svg
    assert svg.count("<circle") == 4
    assert "nan" not in svg


def test_names_in_a_chart_are_escaped() -> None:
    chart = Plot('"<t>"', "<x>", "<y>", (0, 1), (0, 1))
    chart.level(0.5, "<level>")
    chart.instant(0.5, "<instant>")
    svg = chart.svg()
    assert not re.search("<(t|x|y|level|instant)>", svg)
    assert svg.count("&lt;") == 5
    assert 'aria-label="&quot;&lt;t&gt;&quot;"' in svg


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-1234, 50, [-1000, -500, 0]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 3.001, [3, 3.0002, 3.0004, 3.0006, 3.0008, 3.001]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, expected: list[float]) -> None:
    np.testing.assert_allclose(ticks(low, high), expected)


def test_a_range_covers_all_finite_values_and_is_never_empty() -> None:
    assert span(np.array([3.0, np.nan, -17.0]), np.array([np.inf])) == (-20, 5)
    assert span(np.array([np.nan])) == (0, 1)
    low, high = span(np.array([7.0, 7.0]))
    assert low < 7 < high or low <= 7 < high


def test_numbers_of_ticks_are_short_with_real_minus_signs() -> None:
    assert [number(value) for value in (-1500.0, -0.0, 1e-15, 0.1 + 0.2, -2)] == ["−1,500", "0", "0", "0.3", "−2"]


def test_colours_run_from_low_to_high_and_grey_means_not_finite() -> None:
    values = np.array([[0.0, 0.5, 1.0, 9.0, np.nan]])
    hexes = ["".join(f"{channel:02x}" for channel in pixel) for pixel in painted(values, TORQUES, 0, 1)[0]]
    assert hexes == ["8c510a", "f5f5f5", "01665e", "01665e", "808080"]


def test_values_colours_grow_lighter_throughout() -> None:
    shades = painted(np.linspace(0, 1, 50)[None], VALUES, 0, 1)[0].astype(float)
    linear = np.where(shades <= 10.31, shades / 3294.6, ((shades / 255 + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean(), "no step is much larger than another"


def test_a_heat_map_shows_high_rows_above_low_ones() -> None:
    values = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = re.search(r'base64,([^"]+)"', heat_map("t", ("x", "y", "z"), values, 1, 1, VALUES))
    assert found
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    np.testing.assert_array_equal(pixels[0, 0], [0xFD, 0xE7, 0x25])
    np.testing.assert_array_equal(pixels[1, 0], [0x44, 0x01, 0x54])


def test_settings_equal_to_the_preset_are_said_to_be() -> None:
    run = trained(30, Config(batch_size=1024))
    page = brief(run)
    assert "All settings are those of the preset “textbook”." in words(page)
