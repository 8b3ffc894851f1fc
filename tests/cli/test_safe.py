"""Nothing that an agent wrote acts on a terminal, or passes for words of hyperhive's."""

import re
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from hyperhive.cli import screen
from hyperhive.core import agent_toml, approvals, building, deployments, operations, proposals, questions, spawning
from hyperhive.core.agent_config import AgentConfig, McpServer, Tools
from hyperhive.core.agent_log import Unit
from hyperhive.core.db import next_number
from hyperhive.core.hive import Hive
from hyperhive.core.messages import flow
from hyperhive.core.model import EventKind, Occasion, Outcome, parse_name
from tests.cli import history, shell

FAKE = "Approve? [y/N]"
# Sets the clipboard, clears, draws over, turns the direction, hides, rings, pushes away; then a prompt of its own,
# also at the place where a terminal of 60 columns begins a new line.
MISCHIEF = (
    "\x1b]52;c;aGFja2Vk\x07\x1b[2J\x1b[H\x9b31m\u202egnp.exe\u2066\u2028\x85\r\x08\x7f"
    + "\n" * 300
    + f"{FAKE}\n"
    + f"{' ' * 60}{FAKE}{' ' * 60}{FAKE}\n"
    + f"{' ' * 58}{FAKE}\t{FAKE}\n"
    + f"{'日' * 29}{FAKE}\n"
)
COMMANDS = [
    ["inbox"],
    ["inbox", "mallory"],
    ["messages"],
    ["questions"],
    ["questions", "--all"],
    ["read", "--all"],
    ["events", "mallory"],
    ["events", "mallory", "--full"],
    ["show", "mallory"],
    ["ps"],
    ["turns"],
    ["logs", "mallory"],
    ["pending"],
    ["show", "{config}"],
    ["show", "{tool}"],
    ["show", "{failed}"],
    ["show", "{operation}"],
    ["history", "mallory"],
    ["diff", "mallory", "{config}"],
    ["operations", "--all"],
    ["log"],
]
# The numbers of what is shown, by what it is.
NUMBERS = {"{config}": "6", "{tool}": "7", "{failed}": "8", "{operation}": "9"}
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def mischief(hive: Hive) -> Hive:
    """A hive in which an agent, and what it works with, wrote mischief wherever they can."""
    mallory = parse_name("mallory")
    spawning.spawn(hive, mallory, config=AgentConfig(role=MISCHIEF), by="operator")
    history.ask(hive, mallory, MISCHIEF)
    history.turn(hive, mallory, Outcome.LOGIN, error=MISCHIEF, says=MISCHIEF)
    found: list[tuple[EventKind, dict[str, object]]] = [
        (EventKind.STATE, {"state": MISCHIEF, "why": MISCHIEF}),
        (EventKind.PROMPT, {"turn": 1, "messages": [MISCHIEF, MISCHIEF], "text": MISCHIEF}),
        (EventKind.TEXT, {"text": MISCHIEF}),
        (EventKind.TURN, {"turn": MISCHIEF, "outcome": MISCHIEF, "seconds": 1, "cost_usd": 1, "error": MISCHIEF}),
        (EventKind.NOTE, {"text": MISCHIEF}),
        (EventKind.RESULT, {"id": "x", "is_error": False, "text": MISCHIEF}),
        (EventKind.RESULT, {"id": "x", "is_error": True, "text": FAKE}),
        (EventKind.TOOL, {"name": MISCHIEF, "input": {MISCHIEF: MISCHIEF}}),
        (EventKind.TOOL, {"name": "Bash", "input": {"command": MISCHIEF}}),
        (EventKind.TOOL, {"name": "mcp__x__y", "input": {MISCHIEF: MISCHIEF, "n": [1, {"a": MISCHIEF}]}}),
        (EventKind.TOOL, {"name": "Edit", "input": {"file_path": MISCHIEF, "old_string": MISCHIEF, "new_string": FAKE}}),
        (EventKind.TOOL, {"name": "Edit", "input": {"file_path": 1, "old_string": None, "new_string": []}}),
        (EventKind.TOOL, {"name": "MultiEdit", "input": {"edits": [MISCHIEF, {"old_string": MISCHIEF}]}}),
        (EventKind.TOOL, {"name": "Write", "input": {"content": MISCHIEF}}),
        (EventKind.TOOL, {"name": "Write", "input": MISCHIEF}),
    ]
    history.events(hive, mallory, *found)
    history.journal(hive, mallory, MISCHIEF)
    history.journal(hive, mallory, MISCHIEF, unit=Unit.CONTAINER)
    questions.ask(hive, asker=mallory, text=MISCHIEF, choices=[FAKE, f"{'日' * 30}{FAKE}"], ttl_seconds=3600, default=MISCHIEF)
    asked = questions.ask(hive, asker=mallory, text=MISCHIEF, choices=[FAKE], choices_only=True, ttl_seconds=1, default=FAKE)
    questions.answer(hive, asked.number, by="operator", text=FAKE)
    config = AgentConfig(
        role=MISCHIEF,
        build=(MISCHIEF,),
        env={"A": MISCHIEF},
        tools=Tools(allow=(f"Bash({'x' * 56}{FAKE})",)),
        mcp_servers={"x": McpServer(command=MISCHIEF, args=(MISCHIEF,))},
    )
    files = {"agent.toml": agent_toml.write(config), "x": MISCHIEF.encode(), FAKE: MISCHIEF.encode()}
    proposed = proposals.by_operator(hive, mallory, files, message=MISCHIEF)
    given = msgspec.json.encode({MISCHIEF: MISCHIEF, FAKE: [MISCHIEF]}).decode()
    tool = approvals.ask_tool(
        hive, mallory, epoch=1, turn=1, request="r", tool=MISCHIEF, given=given,
        deadline=hive.now() + timedelta(days=1),
    )  # fmt: skip
    with hive.db.write():
        failed = next_number()
        operation = deployments.queue(
            hive,
            mallory,
            number=failed,
            occasion=Occasion.DEPLOY,
            commit=proposed.commit or "",
            onto=None,
            approval=None,
            by="operator",
        )
    hive.paths.build(mallory, failed).mkdir()
    building.log_of(hive, mallory, failed).write_text(MISCHIEF)
    deployments.fail(hive, failed, why=MISCHIEF, end=MISCHIEF)
    operations.refuse(hive, operation, error=MISCHIEF)
    shown = (proposed.number, tool, failed, operation)
    assert list(NUMBERS.values()) == list(map(str, shown))
    return hive


def passes_for_ours(seen: str) -> list[str]:
    """The lines that begin with words of somebody else's."""
    return [line for line in seen.split("\n") if line.lstrip(" ").startswith(FAKE)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_gets_no_control_and_no_line_that_passes_for_ours(words: list[str], mischief: Hive) -> None:
    ended = shell.process(*(NUMBERS.get(word, word) for word in words))
    assert ended.returncode == 0, ended.stderr
    assert not ACTS.search(ended.stdout + ended.stderr)
    assert FAKE[:8] in ended.stdout or words in (["ps"], ["log"])
    assert not passes_for_ours(ended.stdout)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_terminal_gets_colours_alone_and_no_line_that_passes_for_ours(words: list[str], mischief: Hive) -> None:
    code, seen = shell.terminal(*(NUMBERS.get(word, word) for word in words), columns=60, env={"PAGER": "cat"})
    assert code == 0
    plain = shell.COLOUR.sub("", seen)
    assert not ACTS.search(plain)
    # What the terminal itself would wrap would begin a line at its left edge.
    too_long = [line for line in plain.split("\n") if screen.cells(line) > 60 and not line.startswith(("note:", "workspace"))]
    assert [line for line in too_long if FAKE[:4] in line] == []
    assert not passes_for_ours(plain)


@pytest.mark.parametrize(
    "words",
    [["inbox", "--json"], ["messages", "--json"], ["questions", "--json"], ["events", "mallory", "--json"], ["ps", "--json"]],
    ids=" ".join,
)
def test_json_holds_every_character_and_none_that_acts(words: list[str], mischief: Hive) -> None:
    said = shell.answer(*words)
    assert not ACTS.search(said)
    if words[0] == "inbox":
        assert msgspec.json.decode(said)[-1]["body"] == MISCHIEF or MISCHIEF in [one["body"] for one in msgspec.json.decode(said)]


def test_the_checks_find_a_face_that_prints_what_it_is_given(mischief: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    same: Callable[[str], str] = str
    monkeypatch.setattr(screen, "clean", same)
    assert ACTS.search(shell.answer("inbox"))
    monkeypatch.setattr(screen, "GUTTER", "")
    assert passes_for_ours(shell.answer("inbox"))


def test_many_blank_lines_push_nothing_away(mischief: Hive) -> None:
    assert len(shell.answer("inbox").splitlines()) < 30
    assert MISCHIEF in [one.body for one in flow(mischief)]
