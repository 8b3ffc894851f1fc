"""An agent's page: its stream stays where the reader is, its prompt does what is typed, and it tells how the agent is."""

import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from hyperhive.core import approvals, follow, messages, operations, questions, roster
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, Activity, EventKind, MessageState, Outcome, Verb, Wanted
from hyperhive.core.tables import AgentRow
from hyperhive.web.stream import PAGE
from tests.core.hives import ADA, begin, end, one_turn, send, set_row
from tests.web.looking import Look
from tests.web.visitor import Visitor

IN_VIEW = "one => { const at = one.getBoundingClientRect(); return [at.top, at.bottom]; }"


@pytest.fixture
def log(hive: Hive) -> Iterator[EventLog]:
    """Ada's history, as its harness writes it."""
    hive.paths.agent(ADA).mkdir(parents=True)
    written = EventLog(hive, ADA)
    yield written
    written.close()


@pytest.fixture
def works(hive: Hive) -> Iterator[None]:
    """Ada's harness lives."""
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        yield


def count(hive: Hive, log: EventLog, first: int, last: int) -> None:
    for number in range(first, last + 1):
        log.add(EventKind.TEXT, {"text": f"said {number}."}, at=hive.now())


def opened(look: Look) -> Page:
    """Ada's page, live."""
    page = look.page()
    page.goto(f"{look.site.url}/agents/ada")
    expect(page.locator("html[data-live=yes]")).to_be_attached()
    return page


def shown(page: Page) -> list[int]:
    """What is told of what it said, in its order."""
    text = page.locator("#stream").inner_text()
    return [int(number) for number in re.findall(r"said (\d+)\.", text)]


def is_at_end(page: Page) -> bool:
    return bool(page.locator("#stream").evaluate("one => one.scrollHeight - one.scrollTop - one.clientHeight < 30"))


# ---- without a browser ----


def test_who_is_not_there_is_not_found_with_the_nearest_who_is(operator: Visitor) -> None:
    for name in ("adda", "Ada", "x" * 200, "%3Cb%3E"):
        answer = operator.get(f"/agents/{name}")
        assert answer.status_code == 404, name
    assert "did you mean ada?" in operator.get("/agents/adda").text


def test_a_destroyed_agent_has_a_page_of_what_is_kept(operator: Visitor, hive: Hive, log: EventLog) -> None:
    count(hive, log, 1, 3)
    send(hive)
    one_turn(hive, Outcome.OK)
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    page = operator.get("/agents/ada").text
    assert "said 3." in page
    assert "hyperhive spawn ada" in page
    assert "/agents/ada/stop" not in page
    assert "in all 1 turn" in operator.get("/agents/ada/turns").text
    assert operator.post("/agents/ada/prompt", {"text": "are you there?"}).status_code == 404


def test_what_is_typed_is_sent_as_the_operator(operator: Visitor, hive: Hive) -> None:
    assert "sent as message 1" in operator.post("/agents/ada/prompt", {"text": "look\r\nafter the roses"}).text
    (sent,) = messages.inbox(hive, ADA)
    assert (sent.sender, sent.body) == (OPERATOR, "look\nafter the roses")


@pytest.mark.parametrize(
    "text", ["/clear", "/", "/models", "/Model", "/etc/passwd is broken", "//x", "/model\u00a0x", "/cancel it"]
)
def test_an_unknown_word_is_answered_and_never_sent(operator: Visitor, hive: Hive, text: str) -> None:
    assert operator.post("/agents/ada/prompt", {"text": text}).status_code == 422
    assert messages.inbox(hive, ADA, everything=True) == []


def test_with_a_space_before_it_a_word_is_sent(operator: Visitor, hive: Hive) -> None:
    assert operator.post("/agents/ada/prompt", {"text": " /etc/passwd is broken"}).status_code == 200
    assert [one.body for one in messages.inbox(hive, ADA)] == [" /etc/passwd is broken"]


def test_the_model_is_shown_chosen_and_given_back(operator: Visitor, hive: Hive) -> None:
    assert "that of its login" in operator.post("/agents/ada/prompt", {"text": "/model"}).text
    assert "is opus from its next turn on" in operator.post("/agents/ada/prompt", {"text": "/model  opus "}).text
    assert roster.get(hive, ADA).model == "opus"
    assert "opus" in operator.post("/agents/ada/prompt", {"text": "/model"}).text
    assert operator.post("/agents/ada/prompt", {"text": "/model x y"}).status_code == 422
    operator.post("/agents/ada/prompt", {"text": "/model default"})
    assert roster.get(hive, ADA).model is None


def test_a_conversation_is_compacted_where_there_is_one(operator: Visitor, hive: Hive) -> None:
    assert "has no conversation yet" in operator.post("/agents/ada/prompt", {"text": "/compact"}).text
    set_row(hive, ADA, conversation="c")
    assert operator.post("/agents/ada/prompt", {"text": "/compact"}).status_code == 200
    assert [one.verb for one in operations.listed(hive)] == [Verb.COMPACT]


@pytest.mark.parametrize("how", [("prompt", {"text": "/cancel"}), ("cancel", {})])
def test_where_no_turn_runs_none_is_cancelled(operator: Visitor, how: tuple[str, dict[str, str]]) -> None:
    answer = operator.post(f"/agents/ada/{how[0]}", how[1])
    assert (answer.status_code, "has no turn" in answer.text) == (409, True)


def test_the_journal_is_of_one_unit_or_of_all(operator: Visitor, hive: Hive) -> None:
    folder = hive.paths.agent_log(ADA)
    folder.mkdir(parents=True)
    (folder / "harness.log").write_text("2026-01-01T12:00:00.123Z from the harness\n")
    (folder / "container.log").write_text("2026-01-01T12:00:01.123Z from the container\n")
    both = operator.get("/agents/ada/logs").text
    assert both.index("from the harness") < both.index("from the container")
    one = operator.get("/agents/ada/logs?unit=harness").text
    assert ("from the harness" in one, "from the container" in one) == (True, False)
    assert operator.get("/agents/ada/logs?unit=../x").status_code == 422
    assert operator.get("/agents/eve/logs").status_code == 404


def test_turns_are_told_with_what_they_cost(operator: Visitor, hive: Hive) -> None:
    assert "there was no turn yet" in operator.get("/agents/ada/turns").text
    send(hive)
    one_turn(hive, Outcome.FAILED)
    text = operator.get("/agents/ada/turns").text
    assert "failed" in text
    assert "$0.0000" in text
    assert operator.get("/agents/eve/turns").status_code == 404


def test_before_the_first_turn_there_is_no_last_one(operator: Visitor, hive: Hive) -> None:
    assert "last turn" not in operator.get("/agents/ada").text
    send(hive)
    one_turn(hive, Outcome.OK)
    assert "last turn ok" in operator.get("/agents/ada").text


# ---- in a browser ----


@pytest.mark.browser
def test_the_stream_stays_at_its_end_until_the_reader_scrolls_up(look: Look, hive: Hive, log: EventLog) -> None:
    count(hive, log, 1, 400)
    page = opened(look)
    assert shown(page) == list(range(401 - PAGE, 401))
    assert is_at_end(page)
    count(hive, log, 401, 403)
    expect(page.get_by_text("said 403.")).to_be_in_viewport()
    assert is_at_end(page)
    stream, below = page.locator("#stream"), page.locator("#below")
    stream.evaluate("one => { one.scrollTop -= 600; }")
    middle = page.get_by_text("said 385.")
    where = middle.evaluate(IN_VIEW)
    count(hive, log, 404, 406)
    expect(below).to_be_visible()
    assert middle.evaluate(IN_VIEW) == where
    below.click()
    expect(page.get_by_text("said 406.")).to_be_in_viewport()
    expect(below).to_be_hidden()
    count(hive, log, 407, 407)
    expect(page.get_by_text("said 407.")).to_be_in_viewport()


@pytest.mark.browser
def test_history_comes_when_the_reader_scrolls_to_the_top(look: Look, hive: Hive, log: EventLog) -> None:
    count(hive, log, 1, 2 * PAGE + 20)
    page = opened(look)
    for first in (PAGE + 21, 21, 1):
        assert shown(page) == list(range(first, 2 * PAGE + 21))
        mark = page.get_by_text(f"said {first}.", exact=True)
        if first > 1:
            page.locator("#stream").evaluate("one => { one.scrollTop = 0; }")
            expect(page.get_by_text(f"said {max(1, first - PAGE)}.", exact=True)).to_be_attached()
            # What was at the top is where it was, and what was before stands above.
            assert abs(mark.evaluate(IN_VIEW)[0] - page.locator("#stream").evaluate(IN_VIEW)[0]) < 60
    expect(page.locator(".earlier")).to_have_count(0)
    assert not is_at_end(page)


@pytest.mark.browser
def test_a_stream_that_was_away_goes_on_without_a_gap_and_without_a_double(look: Look, hive: Hive, log: EventLog) -> None:
    look.expects_trouble = True
    count(hive, log, 1, 5)
    page = opened(look)
    page.locator("#prompt textarea").fill("what is")
    for first in (6, 106):
        look.site.stop(signal.SIGKILL)
        expect(page.locator("#live")).to_contain_text("The connection is lost")
        count(hive, log, first, first + 99)
        look.site.start()
        expect(page.get_by_text(f"said {first + 99}.", exact=True)).to_be_in_viewport()
        assert shown(page) == list(range(1, first + 100))
    assert page.locator("#prompt textarea").input_value() == "what is"


@pytest.mark.browser
def test_what_cannot_be_kept_is_shown_all_the_same(look: Look, hive: Hive) -> None:
    hive.paths.agent_events(ADA).mkdir(parents=True)
    page = opened(look)
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        log = EventLog(hive, ADA)
        assert not log.keeps
        set_row(hive, ADA, keeps_events=False)
        count(hive, log, 1, 3)
        expect(page.get_by_text("said 3.")).to_be_in_viewport()
        expect(page.locator("#troubles-live")).to_contain_text("nothing is kept")
        log.close()
    send(hive)
    expect(page.locator("#troubles-live")).to_contain_text("cannot be read")
    assert shown(page) == [1, 2, 3]


@pytest.mark.browser
def test_edits_are_closed_with_their_counts_and_open_as_coloured_differences(look: Look, hive: Hive, log: EventLog) -> None:
    change = {"file_path": "/workspace/roses.txt", "old_string": "red\nwhite\nblue", "new_string": "red\npink\nblue\nblack"}
    log.add(EventKind.TOOL, {"name": "Edit", "input": change}, at=hive.now())
    page = opened(look)
    edit = page.locator(".is-change")
    expect(edit).to_contain_text(re.compile(r"Edit\s+/workspace/roses.txt\s+· -1 \+2"))
    expect(edit.locator(".added").first).to_be_hidden()
    edit.locator("summary").click()
    expect(edit.locator(".added").first).to_be_visible()
    colours = [
        edit.locator(tone).first.evaluate("one => getComputedStyle(one).color") for tone in (".added", ".removed", ".same")
    ]
    assert len(set(colours)) == 3


@pytest.mark.browser
def test_enter_sends_and_shift_enter_begins_a_line(look: Look, hive: Hive) -> None:
    page = opened(look)
    box = page.locator("#prompt textarea")
    box.press("Enter")
    box.type("look after")
    box.press("Shift+Enter")
    box.type("the roses")
    box.press("Enter")
    expect(page.locator("#prompt .outcome")).to_contain_text("sent as message 1")
    expect(box).to_have_value("")
    expect(box).to_be_focused()
    assert [one.body for one in messages.inbox(hive, ADA)] == ["look after\nthe roses"]
    # What waits for it is told at once, closed.
    expect(page.locator(".mail summary")).to_contain_text("inbox 1")
    expect(page.locator("#mail li")).to_be_hidden()
    page.locator(".mail summary").click()
    expect(page.locator("#mail li")).to_contain_text("the roses")


@pytest.mark.browser
def test_words_behind_a_slash_are_completed(look: Look, hive: Hive) -> None:
    # A browser tells its console of each answer that is an error.
    look.expects_trouble = True
    page = opened(look)
    box, words = page.locator("#prompt textarea"), page.locator("#words")
    expect(words).to_be_hidden()
    box.type("/")
    expect(words.locator("li:visible")).to_have_count(3)
    box.press("ArrowDown")
    expect(words.locator("[aria-selected=true]")).to_contain_text("/compact")
    box.press("ArrowUp")
    box.press("Tab")
    expect(box).to_have_value("/model ")
    expect(words).to_be_hidden()
    box.type("opus")
    box.press("Enter")
    expect(page.locator("#prompt .outcome")).to_contain_text("opus from its next turn on")
    expect(page.locator(".model")).to_contain_text("opus")
    box.type("/ca")
    box.press("Enter")
    expect(box).to_have_value("/cancel")
    box.press("Enter")
    expect(page.locator("#prompt .error")).to_contain_text("has no turn that could be cancelled")
    # What went wrong can be mended.
    expect(box).to_have_value("/cancel")
    box.fill("/clear")
    box.press("Enter")
    expect(page.locator("#prompt .error")).to_contain_text("there is no /clear, and nothing was sent")
    assert messages.inbox(hive, ADA, everything=True) == []


@pytest.mark.browser
def test_a_turn_can_be_cancelled_while_it_runs(look: Look, hive: Hive, works: None) -> None:
    page = opened(look)
    cancel = page.locator("#cancel button")
    expect(cancel).to_have_count(0)
    send(hive)
    epoch, begun = begin(hive)
    expect(page.locator(".state.thinking")).to_contain_text("thinking")
    assert page.locator(".state.thinking").evaluate("one => getComputedStyle(one, '::before').animationName") == "pulse"
    set_row(hive, ADA, activity=Activity.COMPACTING)
    expect(page.locator(".state.compacting")).to_be_visible()
    cancel.click()
    expect(page.locator("#cancel button")).to_be_disabled()
    # Its harness takes it, and ends the turn.
    asked = next(one for _ in follow.commits(hive, seconds=20) for one in operations.listed(hive))
    assert (asked.verb, asked.argument) == (Verb.CANCEL, str(begun.number))
    operations.take(hive, ADA, Verb.CANCEL)
    end(hive, epoch, begun.number, Outcome.CANCELLED)
    operations.finish(hive, asked.number)
    expect(cancel).to_have_count(0)
    expect(page.locator(".last")).to_contain_text("last turn cancelled")
    assert [one.state for one in messages.inbox(hive, ADA, everything=True)] == [MessageState.CANCELLED]


@pytest.mark.browser
def test_what_it_asks_is_answered_where_it_is_watched(look: Look, hive: Hive) -> None:
    page = opened(look)
    asked = questions.ask(hive, asker=ADA, text="Which roses?", choices=["red", "white"])
    expect(page).to_have_title("(1) ada: idle")
    page.get_by_role("button", name="white").click()
    expect(page.locator("#questions li")).to_have_count(0)
    assert questions.get(hive, asked.number).answer == "white"
    number = approvals.ask_tool(
        hive, ADA, epoch=1, turn=1, request="r", tool="Bash", given='{"command": "ls"}', deadline=hive.now().replace(year=2099)
    )
    page.locator(f"#tool-{number}").get_by_role("button", name="allow").click()
    expect(page.locator("#tools li")).to_have_count(0)


@pytest.mark.browser
def test_the_title_bar_acts_and_the_dashboard_opens_beside(look: Look, hive: Hive) -> None:
    page = opened(look)
    for act, waits in (("stop", "waits to stop"), ("restart", "waits to")):
        page.locator(f"#{act} button").click()
        expect(page.locator("#state-live .busy")).to_contain_text(waits)
    expect(page.locator("#update button")).to_be_visible()
    set_row(hive, ADA, wanted=Wanted.STOPPED)
    expect(page.locator("#start button")).to_be_visible()
    link = page.locator("a.mark")
    assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener")
    with page.expect_popup() as popup:
        link.click()
    expect(popup.value.locator("#agents")).to_be_visible()
    # And back again, at an address that never moves.
    popup.value.locator("#agent-ada").get_by_role("link", name="ada").click()
    popup.value.wait_for_url(f"{look.site.url}/agents/ada")


@pytest.mark.browser
def test_who_is_destroyed_or_purged_while_its_page_is_open_is_told_so(look: Look, hive: Hive, log: EventLog) -> None:
    count(hive, log, 1, 1)
    page = opened(look)
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    expect(page.locator("#state-live")).to_contain_text("destroyed, its state is kept")
    for gone in ("#prompt", "#login"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.locator("#stop")).to_have_count(0)
    with hive.db.write():
        AgentRow.delete().where(AgentRow.name == ADA).execute()
    expect(page.locator("#troubles-live")).to_contain_text("ada was purged")
    assert shown(page) == [1]


@pytest.mark.browser
def test_the_journal_is_refreshed_stays_at_its_end_and_as_high_as_it_was(look: Look, hive: Hive) -> None:
    folder = hive.paths.agent_log(ADA)
    folder.mkdir(parents=True)
    file = folder / "harness.log"
    file.write_text("2026-01-01T12:00:00.123Z the first\n")
    page = opened(look)
    page.locator("summary", has_text="journal").click()
    journal = page.locator(".about .log")
    expect(journal).to_contain_text("the first")
    height = journal.evaluate("one => one.clientHeight")
    file.write_text("".join(f"2026-01-01T12:00:00.123Z line {number}\n" for number in range(300)))
    page.get_by_role("button", name="refresh").first.click()
    expect(journal).to_contain_text("line 299")
    assert journal.evaluate("one => [one.clientHeight, one.scrollHeight - one.scrollTop - one.clientHeight < 2]") == [
        height,
        True,
    ]
    page.locator(".about").get_by_label("lines of").select_option("container")
    expect(page.locator(".about")).to_contain_text("nothing was written yet")
