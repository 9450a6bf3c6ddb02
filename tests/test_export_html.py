from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ddpg_core.export import Source, check_observations, html_page
from ddpg_core.policy import Policy, policy_at
from tests.helpers import CAR, SMALL, trained


@pytest.fixture(scope="module")
def policy() -> Policy:
    """A policy of two hidden layers in a pendulum of its own."""
    return policy_at(trained(300, SMALL.changed({"hidden": (8, 5), "gravity": 9.81, "mass": 0.4})), starts=2)


@pytest.fixture(scope="module")
def page(policy: Policy) -> str:
    return html_page.write(Source(policy)).decode()


def data_of(page: str) -> Any:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="policy">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_page_holds_the_policys_own_numbers_and_pendulum(policy: Policy, page: str) -> None:
    data = data_of(page)
    assert data["sizes"] == [3, 8, 5, 1]
    assert data["physics"] == {"gravity": 9.81, "mass": 0.4, "length": 1.0}
    assert (data["action_scale"], data["action_low"], data["action_high"]) == ([2.0], [-2.0], [2.0])
    assert html_page.largest_difference(page.encode(), policy, check_observations(policy)) < 1e-5


def test_a_page_with_one_other_weight_is_found_to_act_otherwise(policy: Policy) -> None:
    parameters = policy.parameters.copy()
    parameters[-1] += 0.01
    other = html_page.write(Source(replace(policy, parameters=parameters)))
    assert html_page.largest_difference(other, policy, check_observations(policy)) > 1e-3


def test_difference_is_measured_in_the_units_of_the_environment() -> None:
    policy = policy_at(trained(40, SMALL.changed({"action_scale": "full"})), starts=1)
    doubled = replace(policy, action_scale=policy.action_scale / 2)
    observations = np.array([[1, 0, 0.1], [0, 1, -3]], np.float32)
    expected = np.abs(policy(observations) - doubled(observations)).max()
    found = html_page.largest_difference(html_page.write(Source(doubled)), policy, observations)
    assert found == pytest.approx(expected, abs=1e-5)
    assert found > 0.01


def test_page_forbids_the_network_and_names_none_of_its_addresses(page: str) -> None:
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
    assert f'http-equiv="Content-Security-Policy" content="{policy}' in page
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert not re.search(r"https?:|//[a-z]|@import|<link|\b(?:src|href)=", page.split("<style>", 1)[1])


def test_text_of_a_card_is_never_markup(policy: Policy) -> None:
    text = "</script><script>alert('1 & 2')//"
    card = replace(policy.card, versions={**policy.card.versions, "numpy": text})
    page = html_page.write(Source(replace(policy, card=card))).decode()
    assert text not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(&#x27;1 &amp; 2&#x27;)//" in page
    assert page.count("<script") == page.count("</script>") == 2


def test_words_in_double_braces_are_not_filled_in_again() -> None:
    page = html_page.filled(
        "page", **dict.fromkeys(("title", "introduction", "card", "recipe"), "{{policy}}"), policy="5"
    )
    assert page.count(b"{{policy}}") == 4
    assert page.count(b">5<") == 1


def test_page_says_where_the_agent_comes_from_and_what_changed(policy: Policy, page: str) -> None:
    score = policy.card.evaluation
    text = re.sub(r"<[^>]+>", " ", page.split("<footer>")[1].split("<details>")[0])
    assert f"{score['return_mean']:.0f} ± {score['return_std']:.0f}".replace("-", "−") in text
    assert "mean of 2 fixed starts" in text
    assert "seed 0, 1 episode " in text
    assert "Gravity = 9.81" in text
    assert "3-8-5-1 units" in text
    assert f"gymnasium {policy.card.versions['gymnasium']}" in text


def test_page_says_too_weak_only_where_gravity_is_stronger_than_the_actuator() -> None:
    for mass, weak in ((0.39, False), (0.42, True)):  # 2 N·m hold m·g·l/2 = 2 at 0.4 kg
        policy = policy_at(trained(1, SMALL.changed({"mass": mass})), starts=1)
        assert (b"too weak to lift" in html_page.write(Source(policy))) is weak


def test_equal_policies_make_equal_pages(policy: Policy, page: str) -> None:
    assert html_page.write(Source(policy)).decode() == page
    assert len(page) < 100_000


def test_other_environments_are_refused_in_one_sentence() -> None:
    policy = policy_at(trained(3, SMALL.changed(CAR)), starts=1)
    with pytest.raises(ValueError, match=r"^a web page must be of a policy of Pendulum-v1, got one of Mountain"):
        html_page.write(Source(policy))
