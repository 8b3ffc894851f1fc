"""How answers look on a terminal, and on one of 60 columns."""

from datetime import timedelta

import pytest

from hyperhive.cli import screen
from hyperhive.core import agent_toml, approvals, proposals, questions, spawning
from hyperhive.core.agent_config import AgentConfig, McpServer
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, EventKind, Outcome, parse_name
from tests.cli import history, shell

LONGEST = "a" + "b" * 30
TABLES = [
    ["ps"], ["turns"], ["cost"], ["messages"], ["inbox"], ["questions"], ["events", LONGEST], ["pending"], ["history", LONGEST],
    ["operations", "--all"], ["log"], ["diff", LONGEST, "5"], ["show", "2"], ["show", "3"], ["show", "4"], ["show", "5"],
]  # fmt: skip


@pytest.fixture
def long_names(hive: Hive) -> Hive:
    """An agent of the longest name, whose everything is long."""
    name = parse_name(LONGEST)
    spawning.spawn(hive, name, config=AgentConfig(model="claude-" + "x" * 60), by="operator")
    history.ask(hive, name, "wörter " * 100)
    history.turn(hive, name, Outcome.FAILED, error="because " * 50, says="日本語" * 100)
    questions.ask(hive, asker=name, text="wörter " * 100, choices=["x" * 200, "日" * 100], ttl_seconds=1e6, default="y" * 90)
    history.events(hive, name, (EventKind.TOOL, {"name": "Edit", "input": {"file_path": "/x" * 100, "old_string": "y" * 100}}))
    config = AgentConfig(role="wörter " * 100, build=("x" * 500,), mcp_servers={"x": McpServer(command="y" * 300)})
    files = {"agent.toml": agent_toml.write(config), "/".join(["x" * 30] * 8): b"z" * 300}
    asked = proposals.by_operator(hive, name, files, message="wörter " * 100)
    assert asked.number == 5
    approvals.ask_tool(
        hive,
        name,
        epoch=1,
        turn=1,
        request="r",
        tool="mcp__x__" + "y" * 100,
        given='{"a": "' + "z" * 300 + '"}',
        deadline=hive.now() + timedelta(days=1),
    )
    return hive


@pytest.mark.parametrize("words", TABLES, ids=" ".join)
def test_sixty_columns_are_enough(words: list[str], long_names: Hive) -> None:
    code, seen = shell.terminal(*words, columns=60, env={"PAGER": "cat"})
    assert code == 0, seen
    lines = [line for line in shell.COLOUR.sub("", seen).split("\n") if not line.startswith("note: ")]
    assert [line for line in lines if screen.cells(line) > 60 and LONGEST not in line] == []
    # A name is never cut: a script and a person must be able to copy it.
    assert words[0] in ("events", "history", "diff") or any(LONGEST in line for line in lines)


def body(seen: str) -> list[str]:
    """The lines behind the gutter, as they are seen."""
    return [
        line.removeprefix(screen.GUTTER)
        for line in shell.COLOUR.sub("", seen).split("\n")
        if line.startswith(screen.GUTTER.strip())
    ]


WORDS = [f"{'wörter'[: 2 + i % 5]}{i}" for i in range(80)]


@pytest.mark.parametrize("words", [["inbox", "--all"], ["messages"], ["events", "ada"], ["show", "ada"]], ids=" ".join)
def test_lines_end_between_words(words: list[str], hive: Hive) -> None:
    ada = parse_name("ada")
    spawning.spawn(hive, ada, config=AgentConfig(role=" ".join(WORDS)), by="operator")
    history.tell(hive, ada, " ".join(WORDS))
    history.events(hive, ada, (EventKind.TEXT, {"text": " ".join(WORDS)}))
    lines = body(shell.terminal(*words, columns=60)[1])
    assert " ".join(lines).split() == WORDS
    assert len(lines) > 5


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a" * 50, ["a" * 18, "a" * 18, "a" * 14]),
        ("see " + "a" * 20, ["see", "a" * 18, "aa"]),
        ("    " + "a" * 18, ["    " + "a" * 14, "aaaa"]),
        (" " * 30 + "deep", ["deep"]),
        ("one" + " " * 30 + "two", ["one", "two"]),
        ("日本語" * 4, ["日本語" * 3, "日本語"]),
        ("see 日本語日本語日本語", ["see 日本語日本語日", "本語"]),
        ("e\u0301" * 20, ["e\u0301" * 18, "e\u0301" * 2]),
        ("word and some more", ["word and some more"]),
        ("word and some more!", ["word and some", "more!"]),
    ],
)
def test_what_does_not_fit_goes_on_behind_the_gutter(text: str, lines: list[str], hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, text)
    assert body(shell.terminal("inbox", columns=20)[1]) == lines


def test_fields_go_on_below_their_beginning(hive: Hive) -> None:
    names = {f"VARIABLE_{i}": "x" for i in range(20)}
    spawning.spawn(hive, parse_name("ada"), config=AgentConfig(env=names), by="operator")
    lines = shell.COLOUR.sub("", shell.terminal("show", "ada", columns=60)[1]).split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("variables"))
    last = next(i for i, line in enumerate(lines) if line.startswith("may write to"))
    assert last - first > 3
    assert {line[:14] for line in lines[first + 1 : last]} == {" " * 14}
    assert " ".join(line[14:] for line in lines[first:last]) == ", ".join(names)
    assert max(map(screen.cells, lines)) <= 60


def test_findings_go_on_below_their_beginning_and_hints_stay_whole(hive: Hive) -> None:
    hive.paths.settings.write_text('[claude]\ncommand = ["/nowhere/that/is/known/to/anybody/claude"]\n')
    _, seen = shell.terminal("doctor", columns=60)
    lines = shell.COLOUR.sub("", seen).split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("error   claude"))
    assert lines[at + 1].startswith(" " * 18)
    assert not lines[at + 1].startswith(" " * 19)
    assert [line for line in lines if screen.cells(line) > 60 and "→" not in line] == []
    assert f"{' ' * 18}→ ls -l /nowhere/that/is/known/to/anybody/claude" in lines


def test_a_wide_terminal_and_a_pipe_show_every_column(long_names: Hive) -> None:
    _, seen = shell.terminal("ps", columns=250)
    for shown in (shell.COLOUR.sub("", seen), shell.answer("ps")):
        assert shown.split("\n")[0].split() == ["NAME", "STATE", "MODEL", "MAIL", "LAST", "TURN"]
        assert "claude-" + "x" * 60 in shown


def test_a_terminal_is_coloured_and_a_pipe_is_not(ada: AgentName) -> None:
    assert shell.COLOUR.search(shell.terminal("ps")[1])
    assert "\x1b" not in shell.process("ps").stdout


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_without_colours_gets_none(env: dict[str, str], ada: AgentName) -> None:
    code, seen = shell.terminal("ps", env=env)
    assert code == 0
    assert "\x1b" not in seen


def test_an_encoding_that_lacks_a_character_is_no_error(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "日本")
    ended = shell.process("inbox", env={"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[1] == "? ??"


def test_a_pipe_has_no_tabs(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "a\tb")
    assert shell.answer("inbox").splitlines()[1] == "│ a   b"
