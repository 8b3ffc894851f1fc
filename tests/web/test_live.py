"""An open page is as the hive is, and nothing of a reader's is moved for it."""

import re
import signal

import pytest
from playwright.sync_api import Page, expect

from hyperhive.core import access, approvals, messages, questions, roster
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, Outcome, Wanted
from tests.core.hives import ADA, BOB, EVE, add_agent, begin, end, send, set_row
from tests.web.looking import Look
from tests.web.site import Site

pytestmark = pytest.mark.browser


def rows(page: Page, region: str) -> list[str]:
    return [str(one) for one in page.eval_on_selector_all(f"#{region} > li", "found => found.map(one => one.id)")]


def test_what_happens_is_seen_at_once_and_in_its_place(look: Look, hive: Hive) -> None:
    page = look.page()
    expect(page).to_have_title("hyperhive")
    expect(page.locator("#agent-ada")).to_contain_text("no mail")
    send(hive, "look after the roses")
    expect(page.locator("#agent-ada")).to_contain_text("1 waiting")
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        epoch, begun = begin(hive)
        expect(page.locator("#agent-ada .state.thinking")).to_contain_text("thinking")
        end(hive, epoch, begun.number, Outcome.OK)
        expect(page.locator("#agent-ada .state.idle")).to_be_visible()
        expect(page.locator("#agent-ada")).to_contain_text("last turn ok")
    add_agent(hive, AgentName("abe"))
    expect(page.locator("#agent-abe")).to_be_visible()
    assert rows(page, "agents") == ["agent-abe", "agent-ada", "agent-bob"]
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    expect(page.locator("#agent-ada")).to_have_count(0)
    add_agent(hive, EVE)
    expect(page.locator("#agent-eve")).to_be_visible()
    assert rows(page, "agents") == ["agent-abe", "agent-bob", "agent-eve"]


def test_what_waits_for_the_operator_is_counted_in_the_title(look: Look, hive: Hive) -> None:
    page = look.page()
    first = questions.ask(hive, asker=ADA, text="May I?")
    expect(page).to_have_title("(1) hyperhive")
    expect(page.locator("#standing-live")).to_contain_text("1 waits for you")
    questions.ask(hive, asker=BOB, text="And I?")
    expect(page).to_have_title("(2) hyperhive")
    assert rows(page, "questions") == [f"question-{first.number}", f"question-{first.number + 1}"]
    questions.cancel(hive, first.number, by=OPERATOR)
    questions.cancel(hive, first.number + 1, by=OPERATOR)
    expect(page).to_have_title("hyperhive")
    expect(page.locator("#questions-here")).to_be_hidden()


def test_nothing_of_the_readers_moves(look: Look, hive: Hive) -> None:
    for number in range(12):
        add_agent(hive, AgentName(f"worker-{number:02}"))
    asked = questions.ask(hive, asker=ADA, text="Which roses may I prune?")
    page = look.page(viewport={"width": 1280, "height": 500})
    box = page.locator(f"#question-{asked.number} textarea")
    box.fill("only those by the gate")
    page.locator("#agent-worker-05 summary", has_text="logs").click()
    expect(page.locator("#agent-worker-05 .loaded").first).to_contain_text("nothing was written yet")
    page.locator("#agent-worker-09 button", has_text="restart").focus()
    page.evaluate("window.scrollTo(0, 300)")
    page.evaluate("document.querySelector('#agent-worker-09 [id$=restart] button').mine = 'yes'")
    before = page.evaluate("[scrollY, document.querySelector('#agent-worker-05').getBoundingClientRect().y]")
    for name in ("worker-05", "worker-09", "ada"):
        send(hive, to=name)
        expect(page.locator(f"#agent-{name}")).to_contain_text("1 waiting")
    messages.send(hive, sender=BOB, to=OPERATOR, body="I am done.")
    expect(page.locator("#inbox > li")).to_have_count(1)
    assert page.evaluate("[scrollY, document.querySelector('#agent-worker-05').getBoundingClientRect().y]") == before
    assert box.input_value() == "only those by the gate"
    expect(page.locator("#agent-worker-05 details").first).to_have_attribute("open", "")
    focused = page.evaluate("[document.activeElement.form.id, document.activeElement.mine]")
    assert focused == ["agent-worker-09-restart", "yes"]
    box.focus()
    box.press("Home")
    send(hive, to="ada")
    expect(page.locator("#agent-ada")).to_contain_text("2 waiting")
    assert page.evaluate("[document.activeElement.selectionStart, document.activeElement.value.length]") == [0, 22]


def test_a_row_that_is_being_written_in_stays_and_says_that_it_is_over(look: Look, hive: Hive) -> None:
    written, other = (questions.ask(hive, asker=ADA, text=text) for text in ("Which?", "Why?"))
    page = look.page()
    page.locator(f"#question-{written.number} textarea").fill("the third, because")
    for one in (written, other):
        questions.answer(hive, one.number, by=OPERATOR, text="none")
    expect(page.locator(f"#question-{other.number}")).to_have_count(0)
    gone = page.locator(f"#gone-question-{written.number}")
    expect(gone).to_contain_text("what you typed was not sent")
    assert gone.locator("textarea").input_value() == "the third, because"
    expect(gone.get_by_role("button", name="answer")).to_be_disabled()
    gone.get_by_role("button", name="put away").click()
    expect(gone).to_have_count(0)


def test_a_page_that_was_away_catches_up_without_a_gap_and_without_a_double(look: Look, site: Site, hive: Hive) -> None:
    look.expects_trouble = True
    kept, gone = (questions.ask(hive, asker=ADA, text=text) for text in ("Which?", "Why?"))
    page = look.page()
    page.locator(f"#question-{kept.number} textarea").fill("the third")
    page.locator("#agent-ada summary", has_text="logs").click()
    site.stop(signal.SIGKILL)
    expect(page.locator("#live")).to_contain_text("The connection is lost")
    questions.cancel(hive, gone.number, by=OPERATOR)
    new = questions.ask(hive, asker=BOB, text="Who?")
    send(hive)
    add_agent(hive, EVE)
    site.start()
    # A message, and the notice of the question that was cancelled.
    expect(page.locator("#agent-ada")).to_contain_text("2 waiting")
    expect(page.locator("#live")).to_be_hidden()
    assert rows(page, "questions") == [f"question-{kept.number}", f"question-{new.number}"]
    assert rows(page, "agents") == ["agent-ada", "agent-bob", "agent-eve"]
    assert page.locator(f"#question-{kept.number} textarea").input_value() == "the third"
    expect(page.locator("#agent-ada details").first).to_have_attribute("open", "")
    # What was typed can be sent, without loading the page again.
    page.locator(f"#question-{kept.number}").get_by_role("button", name="answer").click()
    expect(page.locator(f"#question-{kept.number}")).to_have_count(0)
    assert questions.get(hive, kept.number).answer == "the third"


def test_who_is_logged_out_in_the_shell_is_told_so(look: Look, hive: Hive, site: Site) -> None:
    look.expects_trouble = True
    page = look.page()
    access.revoke_all(hive)
    site.stop()
    site.start()
    expect(page.locator("#live")).to_contain_text("You are logged out")


def test_it_is_said_when_the_hive_is_not_up(look: Look, hive: Hive) -> None:
    page = look.page()
    expect(page.locator("#down-live")).to_contain_text("The hive is not up")
    with Lock(hive.paths.lock("hub")) as lock:
        lock.take()
        # Who holds a lock is looked at again after some seconds; with what a hub commits, at once.
        send(hive)
        expect(page.locator("#down-live")).to_be_empty()
    send(hive)
    expect(page.locator("#down-live")).to_contain_text("hyperhive up")


def test_times_count_by_themselves(look: Look, hive: Hive) -> None:
    asked = questions.ask(hive, asker=ADA, text="Which?", ttl_seconds=600)
    page = look.page()
    left = page.locator(f"#question-{asked.number} [data-left]")
    expect(left).to_have_text(re.compile(r"^09:5\d$"))
    first = left.inner_text()
    expect(left).not_to_have_text(first)
    assert left.inner_text() < first
    # Whatever the reader's own clock says.
    ahead = look.page()
    ahead.clock.install(time=hive.now().timestamp() + 7200)
    ahead.reload()
    expect(ahead.locator(f"#question-{asked.number} [data-left]")).to_have_text(re.compile(r"^09:\d\d$"))
    expect(ahead.locator("#agent-ada .state time")).to_have_text(re.compile(r"^\d+s$"))


def test_open_sections_stay_open_when_the_page_is_loaded_again(look: Look) -> None:
    page = look.page()
    page.locator("#agent-bob summary", has_text="logs").click()
    expect(page.locator("#agent-bob .loaded").first).to_contain_text("nothing was written yet")
    page.reload()
    expect(page.locator("#agent-bob details").first).to_have_attribute("open", "")
    expect(page.locator("#agent-bob .loaded").first).to_contain_text("nothing was written yet")
    expect(page.locator("#agent-ada details").first).not_to_have_attribute("open", "")


def test_what_was_asked_for_in_another_page_is_seen_in_this_one(look: Look, hive: Hive) -> None:
    first, second = look.page(), look.page()
    first.locator("#agent-ada").get_by_role("button", name="stop").click()
    for page in (first, second):
        expect(page.locator("#agent-ada .busy")).to_contain_text("waits to stop")
    number = approvals.ask_tool(
        hive, ADA, epoch=1, turn=1, request="r", tool="Bash", given='{"command": "ls"}', deadline=hive.now().replace(year=2099)
    )
    first.locator(f"#tool-{number}").get_by_role("button", name="allow").click()
    expect(second.locator(f"#tool-{number}")).to_have_count(0)
    assert roster.get(hive, ADA).wanted is Wanted.STARTED
