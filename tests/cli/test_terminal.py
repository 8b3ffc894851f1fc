"""How answers look on a terminal, and on one of 60 columns."""

import pytest

from hyperhive.cli import screen
from hyperhive.core import agents, questions
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, EventKind, Outcome, parse_name
from tests.cli import history, shell

LONGEST = "a" + "b" * 30
TABLES = [["ps"], ["turns"], ["cost"], ["messages"], ["inbox"], ["questions"], ["events", LONGEST]]


@pytest.fixture
def long_names(hive: Hive) -> Hive:
    """An agent of the longest name, whose everything is long."""
    name = parse_name(LONGEST)
    agents.spawn(hive, name, config=AgentConfig(model="claude-" + "x" * 60), by="operator")
    history.ask(hive, name, "wörter " * 100)
    history.turn(hive, name, Outcome.FAILED, error="because " * 50, says="日本語" * 100)
    questions.ask(hive, asker=name, text="wörter " * 100, choices=["x" * 200, "日" * 100], ttl_seconds=1e6, default="y" * 90)
    history.events(hive, name, (EventKind.TOOL, {"name": "Edit", "input": {"file_path": "/x" * 100, "old_string": "y" * 100}}))
    return hive


@pytest.mark.parametrize("words", TABLES, ids=lambda words: words[0])
def test_sixty_columns_are_enough(words: list[str], long_names: Hive) -> None:
    code, seen = shell.terminal(*words, columns=60)
    assert code == 0, seen
    lines = [line for line in shell.COLOUR.sub("", seen).split("\n") if not line.startswith("note: ")]
    assert [line for line in lines if screen.cells(line) > 60 and LONGEST not in line] == []
    # A name is never cut: a script and a person must be able to copy it.
    assert words[0] == "events" or any(LONGEST in line for line in lines)


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
