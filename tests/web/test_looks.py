"""The page can be read by everybody: in both themes, on a phone, with a screen reader, without a mouse."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from hyperhive.core import approvals, reviews
from hyperhive.core.hive import Hive
from hyperhive.core.model import ApprovalKind
from tests.core.hives import hive_in
from tests.web.looking import Look
from tests.web.scene import BLOG, working_day

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "axe"
# axe-core 4.14.1, from npm, with its licence beside it.
PUBLISHED = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive in the middle of a working day."""
    found = hive_in(home)
    with working_day(found):
        yield found
    found.close()


def opened(page: Page) -> Page:
    """The page with what is closed at first."""
    page.get_by_text("what it changes").click()
    expect(page.locator(".diff .added").first).to_be_visible()
    page.locator("#agent-gardener summary", has_text="configuration").click()
    expect(page.locator("#agent-gardener .loaded").nth(1)).to_contain_text("nothing was ever deployed")
    return page


def complaints(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is."""
    found: dict[str, Any] = page.evaluate(
        (AXE / "axe.min.js").read_text(encoding="utf-8") + "; axe.run(document, {resultTypes: ['violations']})"
    )
    return [f"{one['id']}: {one['help']}: {node['target']}" for one in found["violations"] for node in one["nodes"]]


def test_what_looks_is_as_it_was_published() -> None:
    assert hashlib.sha256((AXE / "axe.min.js").read_bytes()).hexdigest() == PUBLISHED


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_too_faint_nameless_or_out_of_order(look: Look, theme: str) -> None:
    page = opened(look.page(color_scheme=theme, reduced_motion="reduce"))
    assert complaints(page) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.locator("[id$=-deny] button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert complaints(page) == []
    # The control: a button that nobody can name is found.
    page.evaluate("document.querySelector('#ask-yes').textContent = ''")
    assert [one for one in complaints(page) if one.startswith("button-name")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_rooms_around_it_can_be_read_too(look: Look, hive: Hive, theme: str) -> None:
    commit = reviews.current(hive, BLOG).commit
    other = approvals.listed(hive, kinds=[ApprovalKind.CONFIG])[0].commit
    page = look.page(color_scheme=theme, reduced_motion="reduce")
    for room in ("", "/blog", f"/blog/{commit}", f"/blog/{commit}/to/{other}", f"/blog/{commit}/files/agent.toml"):
        page.goto(f"{look.site.url}/repositories{room}")
        assert complaints(page) == [], room
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], room
    page.goto(f"{look.site.url}/deployments")
    assert complaints(page) == []


def test_nothing_moves_for_who_wants_that(look: Look) -> None:
    page = look.page(reduced_motion="reduce")
    expect(page.locator("#agent-docs .spinner")).to_be_visible()
    moving = "document.getAnimations().filter(one => one.playState === 'running').length"
    assert page.evaluate(moving) == 0
    assert look.page().evaluate(moving) > 0
