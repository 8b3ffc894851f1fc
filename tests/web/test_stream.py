"""An agent's stream reaches each browser that has its page open, once and whole."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from hyperhive.core.errors import NotFound
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import EventKind
from hyperhive.web import stream as module
from hyperhive.web.app import make
from hyperhive.web.stream import PAGE, Stream
from hyperhive.web.telling import Drawer
from tests.core.hives import ADA
from tests.web.visitor import HOST, Visitor


@pytest.fixture
def log(hive: Hive) -> Iterator[EventLog]:
    """Ada's history, as its harness writes it."""
    hive.paths.agent(ADA).mkdir(parents=True)
    written = EventLog(hive, ADA)
    yield written
    written.close()


@pytest.fixture
def stream(hive: Hive) -> Stream:
    """What is told of it."""
    app = make(hive, hosts=frozenset({HOST}), log=Log("web", quiet=True))
    return Stream(hive, ADA, Drawer(app.jinja_env, "/agents/ada"))


def say(hive: Hive, log: EventLog, *texts: str) -> None:
    for text in texts:
        log.add(EventKind.TEXT, {"text": text}, at=hive.now())


def count(hive: Hive, log: EventLog, first: int, last: int) -> None:
    say(hive, log, *(f"said {number}." for number in range(first, last + 1)))


def shown(html: str) -> list[int]:
    """The numbers of what is said, in their order."""
    return [int(number) for number in re.findall(r"said (\d+)\.", html)]


def test_who_opens_the_page_sees_the_newest_and_that_there_is_more(hive: Hive, log: EventLog, stream: Stream) -> None:
    count(hive, log, 1, PAGE + 10)
    html = stream.newest()
    assert shown(html) == list(range(11, PAGE + 11))
    assert html.count('class="earlier"') == 1
    store = html.partition('data-earlier="')[2].partition("/")[0]
    before = stream.before(store, 11)
    assert shown(before) == list(range(1, 11))
    assert "earlier" not in before


def test_who_has_some_is_sent_the_rest_once(hive: Hive, log: EventLog, stream: Stream) -> None:
    count(hive, log, 1, 3)
    assert stream.look()
    html, at = stream.since({})
    assert shown(html) == [1, 2, 3]
    assert not stream.look()
    assert stream.since(at) == ("", at)
    count(hive, log, 4, 5)
    assert stream.look()
    html, now = stream.since(at)
    assert shown(html) == [4, 5]
    assert 'hx-swap="beforeend"' in html
    assert shown(stream.since({**at, **dict.fromkeys(at, 1)})[0]) == [2, 3, 4, 5]
    assert stream.since(now)[0] == ""


@pytest.mark.parametrize("away", [10, 390, 420, 700])
def test_who_was_away_for_long_misses_nothing(hive: Hive, log: EventLog, stream: Stream, away: int) -> None:
    count(hive, log, 1, 5)
    stream.look()
    at = stream.since({})[1]
    for first in range(6, 6 + away, 60):
        count(hive, log, first, min(first + 59, 5 + away))
        stream.look()
    html = stream.since(at)[0]
    numbers = shown(html)
    # What does not come at once stands above, to be had by scrolling.
    assert numbers == list(range(numbers[0], 6 + away))
    assert numbers[0] == 6 if 'hx-swap="beforeend"' in html else 'class="earlier"' in html
    assert away > 700 or 'hx-swap="beforeend"' in html


def test_more_at_once_than_is_kept_leaves_no_gap(hive: Hive, log: EventLog, stream: Stream) -> None:
    count(hive, log, 1, 5)
    stream.look()
    at = stream.since({})[1]
    count(hive, log, 6, 1000)
    stream.look()
    html, now = stream.since(at)
    assert shown(html) == list(range(1001 - PAGE, 1001))
    assert 'hx-swap="innerHTML"' in html
    assert 'class="earlier"' in html
    assert stream.since(now)[0] == ""


def test_a_store_that_cannot_be_opened_is_followed_into_the_one_that_replaces_it(hive: Hive, stream: Stream) -> None:
    folder = hive.paths.agent(ADA)
    folder.mkdir(parents=True)
    first = EventLog(hive, ADA)
    count(hive, first, 1, 3)
    stream.look()
    at = stream.since({})[1]
    first.close()
    kept = hive.paths.agent_events(ADA).read_bytes()
    for file in folder.glob("events.sqlite*"):
        file.unlink()
    hive.paths.agent_events(ADA).mkdir()
    second = EventLog(hive, ADA)
    assert not second.keeps
    count(hive, second, 4, 5)
    assert stream.look()
    html, at = stream.since(at)
    assert (shown(html), 'hx-swap="beforeend"' in html) == ([4, 5], True)
    count(hive, second, 6, 6)
    stream.look()
    html, at = stream.since(at)
    assert shown(html) == [6]
    second.close()
    # The harness has gone, and with it what was not kept: what a browser shows stays there.
    stream.look()
    assert stream.trouble
    assert stream.since(at) == ("", at)
    hive.paths.agent_events(ADA).rmdir()
    Path(hive.paths.agent_events(ADA)).write_bytes(kept)
    stream.look()
    assert not stream.trouble


def test_a_store_that_was_purged_is_not_taken_for_the_one_that_came_after_it(hive: Hive, log: EventLog, stream: Stream) -> None:
    count(hive, log, 1, 5)
    stream.look()
    at = stream.since({})[1]
    log.close()
    # Kept open by another name, so that the next one cannot have its number on the disk.
    hive.paths.agent_events(ADA).rename(hive.paths.state / "before")
    again = EventLog(hive, ADA)
    count(hive, again, 1, 7)
    again.close()
    stream.look()
    assert shown(stream.since(at)[0]) == list(range(1, 8))


def test_what_is_kept_no_more_is_said_so(hive: Hive, log: EventLog, stream: Stream) -> None:
    count(hive, log, 1, 2)
    stream.look()
    (store,) = stream.since({})[1]
    assert stream.one(store, 2).data == {"text": "said 2."}
    assert stream.before("another", 2) == Markup("")
    for where, number in (("another", 2), (store, 3)):
        with pytest.raises(NotFound):
            stream.one(where, number)


KINDS: list[tuple[EventKind, dict[str, Any], list[str]]] = [
    (EventKind.PROMPT, {"turn": 3, "messages": [7, 8], "text": "do it"}, ["turn 3, messages 7, 8", "do it"]),
    (EventKind.TEXT, {"text": "I look"}, ["I look"]),
    (EventKind.TOOL, {"name": "Bash", "input": {"command": "ls -l"}}, ["<b>Bash</b>", "ls -l"]),
    (EventKind.TOOL, {"name": "mcp__hyperhive__send", "input": {"to": "bob"}}, ["<b>hyperhive.send</b>", "to=bob"]),
    (EventKind.TOOL, {"name": "Edit", "input": {"file_path": "/a", "old_string": "x\ny", "new_string": "x\nz\nw"}},
     ["<b>Edit</b>", "/a", "· -1 +2", '<span class="removed">-y', '<span class="added">+z', "<details>"]),
    (EventKind.TOOL, {"name": "Write", "input": {"file_path": "/a", "content": "x\ny"}}, ["<b>Write</b>", "· -0 +2"]),
    (EventKind.TOOL, {"name": None, "input": "nonsense"}, ["<b>a tool</b>"]),
    (EventKind.RESULT, {"text": "one\ntwo\nthree", "is_error": False}, ["one", "+2 lines", "<details>"]),
    (EventKind.RESULT, {"text": "no", "is_error": True}, ["is-result bad", "no"]),
    (EventKind.TURN, {"turn": 3, "outcome": "failed", "seconds": 2.0, "cost_usd": 0.5, "error": "why"},
     ["turn 3 failed, 2.0s, $0.5000", "why", "is-turn bad"]),
    (EventKind.STATE, {"state": "thinking"}, [" hidden>"]),
    (EventKind.STATE, {"state": "waiting"}, ["waiting"]),
    (EventKind.NOTE, {"text": "remark"}, ["remark"]),
    (EventKind.BUILD, {"deployment": 3, "line": "npm ci"}, ["npm ci"]),
    (EventKind.ASK, {"approval": 3, "text": "May I?"}, ["May I?"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "words"), KINDS, ids=[f"{one[0]} {number}" for number, one in enumerate(KINDS)])
def test_each_kind_of_event_is_told(
    hive: Hive, log: EventLog, stream: Stream, kind: EventKind, data: dict[str, Any], words: list[str]
) -> None:
    log.add(kind, data, at=hive.now())
    html = stream.newest()
    for word in words:
        assert word in html


def test_what_is_long_is_loaded_when_it_is_opened(hive: Hive, log: EventLog, operator: Visitor) -> None:
    log.add(EventKind.RESULT, {"text": "\n".join(f"line {number}" for number in range(2000))}, at=hive.now())
    page = operator.get("/agents/ada").text
    assert "line 1999" not in page
    address = page.partition('hx-get="/agents/ada/events/')[2].partition('"')[0]
    assert "line 1999" in operator.get(f"/agents/ada/events/{address}").text


def test_what_is_kept_drawn_is_bounded(hive: Hive, log: EventLog, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in range(1, 1000, 100):
        count(hive, log, first, first + 99)
        stream.look()
    assert len(stream._drawn) == module._KEPT
