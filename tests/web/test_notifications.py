"""The desktop is told of what is new to the operator, once, and of nothing else."""

import signal
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from hyperhive.core import messages, questions
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Flavor
from hyperhive.core.proposals import spawn_by_operator
from hyperhive.web import news
from tests.core.hives import ADA, BOB, EVE
from tests.web.looking import Look
from tests.web.site import Site

pytestmark = pytest.mark.browser

# In place of the desktop's: what is shown is written down, and can be clicked.
RECORDER: Final = """
window.shown = [];
const real = window.Notification;
window.Notification = class {
  static get permission() { return window.standing || real.permission; }
  static requestPermission() { window.standing = window.answer; return Promise.resolve(window.answer); }
  constructor(title, more) { Object.assign(this, { title, ...more }); window.shown.push(this); }
  close() { this.closed = true; }
};
window.focus = () => { window.forward = true; };
"""


class Desk:
    """A page whose notifications are written down, and what it said of them to the console."""

    def __init__(self, look: Look, *, standing: str | None = None) -> None:
        self.said: list[str] = []
        self.page: Page = look.page(
            permissions=["notifications"], script=RECORDER + (f"window.standing = '{standing}';" if standing else "")
        )
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "debug" else None)

    def shown(self) -> list[Any]:
        """Tag, title and text of each."""
        return list(self.page.evaluate("shown.map(one => [one.tag, one.title, one.body])"))

    def waits_for(self, number: int, what: str = "question") -> None:
        """Until the page has got what has this number."""
        expect(self.page.locator(f"#news-{what}-{number}")).to_be_attached()


def test_what_is_new_is_told_once_with_a_tag_of_its_own_and_nothing_that_was_there(look: Look, hive: Hive) -> None:
    old = questions.ask(hive, asker=ADA, text="Which roses?")
    desk = Desk(look)
    expect(desk.page.locator("#notices")).to_contain_text("Notifications are on.")
    expect(desk.page.get_by_role("button", name="enable")).to_be_hidden()
    asked = questions.ask(hive, asker=BOB, text="<b>Which</b> tulips?\nThose by the gate?")
    desk.waits_for(asked.number)
    wanted = spawn_by_operator(hive, EVE, flavor=Flavor.WORKER, role="", model=None)
    desk.waits_for(wanted.number, "approval")
    sent = messages.send(hive, sender=BOB, to=OPERATOR, body="I am done.\n" + "word " * 100)
    desk.waits_for(sent.number, "message")
    question, approval, message = desk.shown()
    assert question == [f"question-{asked.number}", "bob asks you", "<b>Which</b> tulips? Those by the gate?"]
    assert approval[:2] == [f"approval-{wanted.number}", "operator asks for a new agent, eve"]
    assert message[:2] == [f"message-{sent.number}", "bob writes to you"]
    assert message[2].startswith("I am done. word")
    assert len(message[2]) == news.TEXT_MOST
    assert desk.said == [f"notification of {one[0]} shown: it is new" for one in (question, approval, message)]
    # The page loaded again has all of it already.
    desk.page.reload()
    expect(desk.page.locator("html[data-live=yes]")).to_be_attached()
    assert desk.shown() == []
    assert f"notification of question-{old.number} held back: it was there when the page was opened" in desk.said


def test_what_came_while_the_connection_was_lost_is_told_once(look: Look, site: Site, hive: Hive) -> None:
    look.expects_trouble = True
    questions.ask(hive, asker=ADA, text="Which roses?")
    desk = Desk(look)
    for text in ("And tulips?", "And lilies?"):
        site.stop(signal.SIGKILL)
        expect(desk.page.locator("#live")).to_contain_text("The connection is lost")
        asked = questions.ask(hive, asker=ADA, text=text)
        site.start()
        desk.waits_for(asked.number)
    assert [body for _, _, body in desk.shown()] == ["And tulips?", "And lilies?"]


def test_an_inbox_longer_than_is_shown_hides_nothing_new(look: Look, hive: Hive) -> None:
    for number in range(60):
        messages.send(hive, sender=ADA, to=OPERATOR, body=f"the {number}th")
    desk = Desk(look)
    sent = messages.send(hive, sender=ADA, to=OPERATOR, body="the last")
    desk.waits_for(sent.number, "message")
    # Room for an older one is no news.
    messages.read(hive, [sent.number])
    expect(desk.page.locator(f"#news-message-{sent.number}")).to_have_count(0)
    assert [body for _, _, body in desk.shown()] == ["the last"]


def test_a_click_brings_the_page_and_the_row_forward(look: Look, hive: Hive) -> None:
    desk = Desk(look)
    asked = questions.ask(hive, asker=ADA, text="Which roses?")
    desk.waits_for(asked.number)
    desk.page.evaluate("shown[0].onclick()")
    assert desk.page.evaluate("[forward, shown[0].closed]") == [True, True]
    expect(desk.page.locator(f"#question-{asked.number}")).to_be_in_viewport()


def test_who_mutes_hears_nothing_until_it_is_unmuted_also_when_the_page_was_loaded_again(look: Look, hive: Hive) -> None:
    desk = Desk(look)
    desk.page.get_by_role("button", name="mute", exact=True).click()
    desk.page.reload()
    expect(desk.page.locator("html[data-live=yes]")).to_be_attached()
    expect(desk.page.locator("#notices")).to_contain_text("muted in this browser")
    asked = questions.ask(hive, asker=ADA, text="Which roses?")
    desk.waits_for(asked.number)
    assert desk.shown() == []
    assert f"notification of question-{asked.number} held back: they are muted" in desk.said
    desk.page.get_by_role("button", name="unmute").click()
    expect(desk.page.get_by_role("button", name="mute", exact=True)).to_be_focused()
    later = questions.ask(hive, asker=ADA, text="And tulips?")
    desk.waits_for(later.number)
    assert [body for _, _, body in desk.shown()] == ["And tulips?"]


@pytest.mark.parametrize(("answer", "says"), [("granted", "are on"), ("denied", "are blocked"), ("default", "are off")])
def test_they_are_enabled_by_a_button_that_goes_once_it_is_decided(look: Look, hive: Hive, answer: str, says: str) -> None:
    desk = Desk(look, standing="default")
    expect(desk.page.locator("#notices")).to_contain_text("Notifications are off.")
    first = questions.ask(hive, asker=ADA, text="Which roses?")
    desk.waits_for(first.number)
    desk.page.evaluate(f"window.answer = '{answer}'")
    enable = desk.page.get_by_role("button", name="enable")
    enable.click()
    expect(desk.page.locator("#notices")).to_contain_text(says)
    expect(enable).to_be_visible(visible=answer == "default")
    expect(desk.page.get_by_role("button", name="mute", exact=True)).to_be_visible(visible=answer == "granted")
    second = questions.ask(hive, asker=ADA, text="And tulips?")
    desk.waits_for(second.number)
    assert [body for _, _, body in desk.shown()] == (["And tulips?"] if answer == "granted" else [])
    assert desk.said[0] == f"notification of question-{first.number} held back: nobody has enabled them"


def test_a_browser_that_has_none_shows_no_row_for_them(look: Look, hive: Hive) -> None:
    for script in ("delete window.Notification;", "Object.defineProperty(window, 'isSecureContext', { value: false });"):
        page = look.page(script=script)
        asked = questions.ask(hive, asker=ADA, text="Which roses?")
        expect(page.locator(f"#question-{asked.number}")).to_be_visible()
        expect(page.locator("#notices")).to_be_hidden()
