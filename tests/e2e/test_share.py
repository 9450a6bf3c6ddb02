"""A share link in real browsers: sent by one, opened by another."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
SMALL = "v=1&preset=fast&seed=4&hidden=8&batch_size=16&engine=torch"


def moment(visitor: Visitor) -> str:
    """What the time machine says it shows."""
    return visitor.page.locator(".cursor .when").inner_text()


def test_a_shared_link_opens_the_same_page_run_and_moment_elsewhere_with_an_equal_return(visit: Visit) -> None:
    sender = visit().open(f"pendulum?{SMALL}&episode=3")
    wait_until(lambda: moment(sender) == "now, after 3 episodes")
    sender.page.get_by_role("slider", name="Episode shown on all pages").press("ArrowLeft")
    wait_until(lambda: moment(sender) == "after 2 episodes")
    sender.press("Share")
    code = sender.page.get_by_test_id("stCode")
    wait_until(lambda: "cursor=" in code.inner_text())
    link = str(code.locator("code").text_content())
    assert link.startswith(f"{sender.url}/pendulum?")

    opener = visit().open(link.removeprefix(f"{sender.url}/"))
    expect(opener.page.get_by_text("equals the sender's")).to_be_visible(timeout=60_000)
    wait_until(lambda: moment(opener) == "after 2 episodes")
    for label in ("episodes finished", "env steps", "engine"):
        assert opener.status(label) == sender.status(label)
    assert opener.page.locator("h1", has_text="Pendulum").count() == 1
    assert "preset=" not in opener.page.url
    opener.page.reload()
    opener.page.get_by_text("equals the sender's").wait_for(timeout=20_000)
    expect(opener.page.locator(".run")).to_have_count(1)
    assert moment(opener) == "after 2 episodes"
