"""What an agent's turns said and did, for people."""

from typing import Any

import pytest

from hyperhive.core import changes, events
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, EventKind
from tests.cli import history, shell

EDIT = {"file_path": "/workspace/a.py", "old_string": "a\nb\nc\nd", "new_string": "a\nB\nC\nc\nd"}


def tool(name: str, **given: Any) -> tuple[EventKind, dict[str, Any]]:
    return EventKind.TOOL, {"id": "x", "name": name, "input": given}


def result(text: str, *, is_error: bool = False) -> tuple[EventKind, dict[str, Any]]:
    return EventKind.RESULT, {"id": "x", "is_error": is_error, "text": text}


def said(hive: Hive, name: AgentName, *found: tuple[EventKind, dict[str, Any]], full: bool = False) -> list[str]:
    history.events(hive, name, *found)
    return shell.answer("events", name, *(["--full"] if full else [])).splitlines()


def test_a_turn_begins_with_its_prompt_and_ends_with_its_cost(hive: Hive, ada: AgentName) -> None:
    lines = said(
        hive,
        ada,
        (EventKind.PROMPT, {"turn": 3, "messages": [4, 5], "text": "message 4 from operator:\n| hello"}),
        (EventKind.TEXT, {"text": "I look."}),
        (EventKind.TURN, {"turn": 3, "outcome": "ok", "seconds": 12.3, "cost_usd": 0.0123, "error": None}),
    )
    assert lines[0] == ""
    assert lines[1].startswith("── turn 3 · ")
    assert lines[1].endswith(", messages 4, 5 ──")
    assert lines[2:5] == ["│ message 4 from operator:", "│ | hello", "│ I look."]
    assert lines[5].startswith("── turn 3 ok · ")
    assert lines[5].endswith(" · 12.3s · $0.0123 ──")


def test_a_turn_that_failed_says_why(hive: Hive, ada: AgentName) -> None:
    lines = said(
        hive, ada, (EventKind.TURN, {"turn": 1, "outcome": "failed", "seconds": 1.0, "cost_usd": 0.0, "error": "API Error"})
    )
    assert lines[1] == "│ API Error"


def test_a_tool_call_is_one_line_and_so_is_its_result(hive: Hive, ada: AgentName) -> None:
    lines = said(
        hive, ada, tool("Bash", command="make\ntest", description="d"), result("one\ntwo\nthree"),
        tool("Read", file_path="/a"), result("no such file", is_error=True), tool("mcp__hyperhive__send", to="bob", body="hi"),
    )  # fmt: skip
    assert lines == [
        "▸ Bash make test", "  ✓ one (+2 lines)", "▸ Read /a", "  ✗ no such file", "▸ hyperhive.send to=bob body=hi",
    ]  # fmt: skip


def test_all_is_shown_where_all_is_asked_for(hive: Hive, ada: AgentName) -> None:
    lines = said(hive, ada, tool("Bash", command="make\ntest"), result("one\ntwo"), full=True)
    assert lines == ["▸ Bash make test", "│ command: make", "│ test", "  ✓", "│ one", "│ two"]


def test_an_edit_is_a_difference(hive: Hive, ada: AgentName) -> None:
    assert said(hive, ada, tool("Edit", **EDIT)) == [
        "▸ Edit /workspace/a.py · -1 +2", "│  a", "│ -b", "│ +B", "│ +C", "│  c", "│  d",
    ]  # fmt: skip


def test_an_edit_is_coloured_on_a_terminal(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, tool("Edit", **EDIT))
    _, seen = shell.terminal("events", "ada")
    assert "\x1b[31m-b" in seen
    assert "\x1b[32m+B" in seen


@pytest.mark.parametrize(
    ("name", "given", "counts"),
    [
        ("Write", {"file_path": "a", "content": "1\n2\n"}, (0, 2)),
        ("Write", {"file_path": "a", "content": ""}, (0, 0)),
        ("Edit", {"file_path": "a", "old_string": "1\n2", "new_string": ""}, (2, 0)),
        ("Edit", {"file_path": "a", "old_string": "-x", "new_string": "+x"}, (1, 1)),
        ("MultiEdit", {"file_path": "a", "edits": [{"old_string": "1", "new_string": "2"}] * 3}, (3, 3)),
        ("NotebookEdit", {"notebook_path": "a", "new_source": "1"}, (0, 1)),
        ("Edit", {}, (0, 0)),
        ("MultiEdit", {"edits": "no list"}, (0, 0)),
        ("Edit", {"file_path": "a", "old_string": "x\n" * 50_000, "new_string": "y\n" * 50_000}, (50_000, 50_000)),
    ],
)
def test_lines_out_and_in_are_counted(name: str, given: dict[str, Any], counts: tuple[int, int]) -> None:
    change = changes.of(name, given)
    assert change is not None
    assert (change.removed, change.added) == counts


def test_a_tool_that_changes_no_file_is_no_change() -> None:
    assert changes.of("Bash", {"command": "ls"}) is None


def test_a_long_change_is_shortened_unless_all_is_asked_for(hive: Hive, ada: AgentName) -> None:
    lines = said(hive, ada, tool("Write", file_path="a", content="x\n" * 100))
    assert lines[-1] == "│ … 60 more lines"
    assert len(shell.answer("events", "ada", "--full").splitlines()) == 101


def test_the_newest_are_shown(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, *((EventKind.TEXT, {"text": str(number)}) for number in range(5)))
    assert shell.answer("events", "ada", "-n", "2") == "│ 3\n│ 4\n"
    assert shell.answer("events", "ada", "-n", "0") == ""


def test_events_can_be_followed(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, (EventKind.TEXT, {"text": "before"}))
    with shell.running("events", "ada", "-f") as child:
        assert shell.stdout_of(child).readline() == "│ before\n"
        history.events(hive, ada, (EventKind.TEXT, {"text": "after"}))
        assert shell.stdout_of(child).readline() == "│ after\n"


def test_events_that_cannot_be_kept_can_still_be_followed(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, *((EventKind.TEXT, {"text": str(number)}) for number in range(3)))
    with shell.running("events", "ada", "-f", "-n", "1") as child:
        assert shell.stdout_of(child).readline() == "│ 2\n"
        store = hive.paths.agent_events(ada)
        store.rename(store.with_suffix(".away"))
        store.mkdir()
        log = EventLog(hive, ada)
        assert not log.keeps
        log.add(EventKind.TEXT, {"text": "live"}, at=hive.now())
        assert shell.stdout_of(child).readline() == "│ live\n"
        log.close()


def test_an_agent_that_did_nothing_has_no_events(ada: AgentName) -> None:
    ended = shell.run("events", "ada")
    assert (ended.stdout, ended.stderr) == ("", "ada has done nothing yet\n")


def test_a_damaged_store_is_said(hive: Hive, ada: AgentName) -> None:
    hive.paths.agent_events(ada).write_bytes(b"rubbish" * 1000)
    assert "the events of ada cannot be read" in shell.complaint("events", "ada", code=7)[0]


def test_the_history_is_what_was_written(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, tool("Edit", **EDIT))
    assert events.history(hive, ada)[0].data["input"] == EDIT
