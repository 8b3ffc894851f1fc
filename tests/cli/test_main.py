"""The command as a whole: its help, its start, how it fails."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hyperhive.cli.commands import COMMANDS
from hyperhive.cli.main import hyperhive
from hyperhive.core import errors, roster, wishes
from hyperhive.core.hive import Hive
from hyperhive.core.messages import send
from hyperhive.core.model import AgentName
from tests.cli import shell

# Runs a command and then says on standard error which modules that took.
IMPORTS = """
import sys
from hyperhive.cli.main import hyperhive
try:
    hyperhive.main(sys.argv[1:])
finally:
    print("MODULES", *sys.modules, file=sys.stderr)
"""
READING = [
    ["ps"],
    ["inbox"],
    ["messages"],
    ["questions"],
    ["pending"],
    ["history", "ada"],
    ["operations"],
    ["log"],
    ["config", "ada"],
    ["turns"],
    ["cost"],
    ["show", "ada"],
    ["events", "ada"],
    ["logs", "ada"],
    ["model", "ada"],
]


def modules(*words: str) -> set[str]:
    ended = subprocess.run([sys.executable, "-c", IMPORTS, *words], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.rpartition("MODULES")[2].split())


def command(name: str) -> click.Command:
    found = hyperhive.get_command(click.Context(hyperhive), name)
    assert found is not None
    return found


def test_the_help_lists_every_command_with_its_first_sentence() -> None:
    said = shell.answer("--help")
    for name, entry in COMMANDS.items():
        assert f"  {name}" in said
        assert entry.help in said


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_itself_says(name: str) -> None:
    found = command(name)
    assert found.name == name
    assert (found.help or "").partition("\n")[0] == COMMANDS[name].help
    assert shell.answer(name, "--help").startswith(f"Usage: hyperhive {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [one for one in command(name).params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []


def test_no_command_at_all_gives_the_help_and_an_error_code() -> None:
    ended = shell.run()
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert "Commands" in ended.stderr or "Agents:" in ended.stderr


def test_the_version_is_told() -> None:
    assert shell.answer("--version").startswith("hyperhive 0.")


def test_the_help_needs_no_database_no_drawing_no_tools() -> None:
    assert not modules("--help") & {"peewee", "apsw", "rich", "mcp", "msgspec", "asyncio", "hyperhive.core.hive"}


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_that_reads_into_a_pipe_imports_neither_drawing_nor_tools(words: list[str], ada: AgentName) -> None:
    loaded = modules(*words)
    assert "peewee" in loaded
    assert not loaded & {"rich", "mcp", "asyncio", "http", "flask", "hyperhive.mcp", "hyperhive.demo", "hyperhive.web"}


def test_a_terminal_is_drawn_on_with_rich(ada: AgentName) -> None:
    _, seen = shell.terminal("ps", argv=[sys.executable, "-c", IMPORTS])
    assert "rich" in seen.rpartition("MODULES")[2].split()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sned"], "did you mean send?"),
        (["zzzzzz"], "hyperhive --help"),
        (["send", "--keyy", "x"], "did you mean --key?"),
        (["ps", "--zzzzzz"], "hyperhive ps --help"),
        (["ps", "x"], "hyperhive ps --help"),
        (["send", "ada"], "hyperhive send --help"),
        (["spawn", "ada", "--network", "some"], "hyperhive spawn --help"),
        (["stop"], "hyperhive stop --help"),
        (["read", "x"], "hyperhive read --help"),
        (["read", "0"], "hyperhive read --help"),
        (["answer", "x", "y"], "hyperhive answer --help"),
        (["answer"], "hyperhive answer --help"),
        (["approve"], "hyperhive approve --help"),
        (["deny", "0"], "hyperhive deny --help"),
        (["answer", "7"], 'hyperhive answer 7 "…"'),
        (["answer", "7", "x", "--choice", "y"], 'hyperhive answer 7 "…"'),
        (["cancel-question", "0"], "hyperhive cancel-question --help"),
        (["events", "ada", "-n", "-1"], "hyperhive events --help"),
        (["cost", "--since", "yesterday"], "--since 2026-01-31, or --since 7d"),
        (["cost", "--since", "999999w"], "--since 2026-01-31, or --since 7d"),
        (["spawn", "ada", "--env", "TZ"], "--env TZ=UTC"),
        (["spawn", "ada", "--mount", "/home"], "--mount /home/me/blog:/workspace/blog:rw"),
        (["spawn", "ada", "--role", "a", "--role-file", "b"], "leave one out"),
        (["spawn", "ada", "--role-file", "/nowhere"], "--role-file FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_makes_no_sense_is_two_lines_and_code_2(words: list[str], hint: str) -> None:
    assert shell.complaint(*words, code=2)[1] == hint


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (["read", "0"], "N is a number from 1 on, not 0", "hyperhive read --help"),
        (["read", "x"], "N is a number from 1 on, not 'x'", "hyperhive read --help"),
        (["events", "ada", "-n", "-1"], "-n is a number from 0 on, not -1", "hyperhive events --help"),
        (["logs", "ada", "-n", "x"], "-n is a number, not 'x'", "hyperhive logs --help"),
        (["stop", "ada", "--timeout", "-1.5"], "--timeout is a number from 0 on, not -1.5", "hyperhive stop --help"),
        (["stop", "ada", "--timeout", "nan"], "--timeout is a number from 0 on, not nan", "hyperhive stop --help"),
        (["spawn", "ada", "--network", "some"], "--network is open or none, not 'some'", "hyperhive spawn --help"),
        (["send", "ada"], "TEXT is missing", "hyperhive send --help"),
        (["approve"], "N is missing", "hyperhive approve --help"),
        (["diff", "ada", "x"], "A is a number from 1 on, not 'x'", "hyperhive diff --help"),
        (["stop"], "NAME is missing", "hyperhive stop --help"),
        (["send", "ada", "x", "--key"], "--key needs a value", "hyperhive send --help"),
        (["ps", "--json=3"], "--json takes no value", "hyperhive ps --help"),
        (["ps", "x", "y"], "ps does not take x y", "hyperhive ps --help"),
        (["ps", "-j"], "there is no option -j", "hyperhive ps --help"),
        (["send", "--keyy", "x"], "there is no option --keyy", "did you mean --key?"),
        (["sned"], "there is no command sned", "did you mean send?"),
        (["--zzzzzz"], "there is no option --zzzzzz", "hyperhive --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_makes_no_sense_is_told_in_a_sentence(words: list[str], sentence: str, hint: str) -> None:
    assert shell.complaint(*words, code=2) == (sentence, hint)


def test_what_click_alone_can_tell_is_told_in_its_words(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise click.UsageError("Something Is odd.")

    monkeypatch.setattr(roster, "listed", fail)
    assert shell.complaint("ps", code=2)[0] == "something Is odd"


def test_a_wrong_name_is_followed_by_the_nearest_agent(ada: AgentName) -> None:
    assert shell.complaint("show", "adda", code=3) == ("there is no agent adda", "did you mean ada?")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Invalid, 2),
        (errors.NotFound, 3),
        (errors.Denied, 4),
        (errors.Conflict, 5),
        (errors.Expired, 6),
        (errors.Unavailable, 7),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    error: type[errors.HyperhiveError], code: int, hive: Hive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("it is \x1b[2Jso", hint="do\nthat")

    monkeypatch.setattr(roster, "listed", fail)
    assert shell.complaint("ps", code=code) == ("it is ␛[2Jso", "do that")


def test_a_program_that_failed_is_shown_so_that_it_can_be_run_again(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise errors.CommandFailed(["ls", "a b"], code=2, output="no such\n\x1b]0;file\x07\n", hint="ls")

    monkeypatch.setattr(roster, "listed", fail)
    ended = shell.run("ps")
    assert ended.exit_code == 8
    assert ended.stderr.splitlines() == [
        "error: ls failed with code 2",
        "  $ ls 'a b'",
        "  │ no such",
        "  │ ␛]0;file␇",
        "hint: ls",
    ]


def test_a_bug_is_one_line_and_a_file_to_paste(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("\x1b[2J")

    monkeypatch.setattr(wishes, "set_model", fail)
    monkeypatch.setattr(sys, "argv", ["hyperhive", "model", "ada", "secret"])
    ended = shell.run("model", "ada", "secret")
    assert ended.exit_code == 70
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    file = Path(line.rpartition("to paste: ")[2])
    assert file.parent == hive.paths.log
    assert "Traceback" in file.read_text()
    assert "in fail" in file.read_text()
    assert "command: model\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "\x1b" not in line


def test_an_error_of_no_kind_is_a_bug(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise errors.HyperhiveError("the database said: huh")

    monkeypatch.setattr(roster, "listed", fail)
    ended = shell.run("ps")
    assert ended.exit_code == 70
    assert "the database said: huh" in ended.stderr
    assert len(list(hive.paths.log.glob("bug-*"))) == 1


def test_ctrl_c_ends_quietly_with_130(hive: Hive, ada: AgentName) -> None:
    send(hive, sender="operator", to=ada, body="x")
    with shell.running("messages", "--follow") as child:
        assert "operator → ada" in shell.stdout_of(child).readline()
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert stderr.strip() == ""


def test_a_reader_that_has_enough_is_no_error(hive: Hive, ada: AgentName) -> None:
    for _ in range(20):
        send(hive, sender="operator", to=ada, body="x" * 60_000)
    with shell.running("inbox", "ada") as child:
        shell.stdout_of(child).read(1)
        shell.stdout_of(child).close()
        assert child.stderr is not None
        assert child.stderr.read() == ""
        assert child.wait(60) == 141


@pytest.mark.parametrize("words", [["--help"], ["ps", "--help"], ["show", "ada"], ["ps", "--json"]], ids=" ".join)
def test_a_pipe_that_nobody_reads_is_no_error(words: list[str], ada: AgentName) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*shell.HYPERHIVE, *words], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert ended.returncode == 141
    assert "error" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_an_answer_that_cannot_be_written_is_an_error(ada: AgentName) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*shell.HYPERHIVE, "show", "ada"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 7
    assert ended.stderr.splitlines()[0] == "error: the answer cannot be written: No space left on device"
    assert "Traceback" not in ended.stderr


def test_python_m_is_the_same_command() -> None:
    assert shell.process("--version").stdout == shell.answer("--version")
