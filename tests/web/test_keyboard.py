"""Whoever has no mouse, or wants none, gets everywhere; whoever types is left alone."""

import pytest
from playwright.sync_api import Page, expect

from hyperhive.core import questions
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from tests.core.hives import ADA, add_agent
from tests.web.looking import Look

pytestmark = pytest.mark.browser


def seen(page: Page) -> list[str]:
    """The agents whose rows are shown."""
    return [
        str(one) for one in page.eval_on_selector_all("#agents > li", "all => all.filter(o => o.offsetParent).map(o => o.id)")
    ]


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_a_search_shows_the_rows_with_its_words_also_of_what_comes_later(look: Look, hive: Hive) -> None:
    page = look.page()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("B worker")
    expect(page.locator("#found")).to_have_text("1 of 2")
    assert seen(page) == ["agent-bob"]
    for name in ("beatrix", "zoe"):
        add_agent(hive, AgentName(name))
        expect(page.locator(f"#agent-{name}")).to_be_attached()
    expect(page.locator("#found")).to_have_text("2 of 4")
    assert seen(page) == ["agent-beatrix", "agent-bob"]
    page.keyboard.press("Enter")
    assert focused(page) == "agent-beatrix"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_have_text("")
    assert seen(page) == ["agent-ada", "agent-beatrix", "agent-bob", "agent-zoe"]
    assert focused(page) == ""


def test_letters_go_from_row_to_row_and_are_left_to_who_types(look: Look, hive: Hive) -> None:
    asked = questions.ask(hive, asker=ADA, text="Which roses?")
    row = f"question-{asked.number}"
    page = look.page()
    visited = []
    for key in ("j", "j", "j", "j", "k", "k", "k"):
        page.keyboard.press(key)
        visited.append(focused(page))
    assert visited == [row, "agent-ada", "agent-bob", "agent-bob", "agent-ada", row, row]
    # From a row that has gone to the one that came after it.
    questions.cancel(hive, asked.number, by="operator")
    expect(page.locator(f"#{row}")).to_have_count(0)
    page.keyboard.press("j")
    assert focused(page) == "agent-ada"
    page.keyboard.press("Escape")
    assert focused(page) == ""
    again = questions.ask(hive, asker=ADA, text="Which tulips?")
    box = page.locator(f"#question-{again.number} textarea")
    box.focus()
    page.keyboard.type("j/k?")
    expect(box).to_have_value("j/k?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_question_mark_tells_the_keys(look: Look) -> None:
    page = look.page()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("search the rows")
    # Nothing behind it moves.
    page.keyboard.press("j")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("j")
    assert focused(page) == "agent-ada"
