"""Scripts read over HTTP just what the shell prints for them."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from flask import Flask

from hyperhive.cli.commands import COMMANDS
from hyperhive.cli.main import hyperhive
from hyperhive.core import access, approvals, deployments, messages, operations, questions, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_log import Unit
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, EventKind, Verb, Wanted
from tests.cli import history, shell
from tests.core.hives import ADA, BOB, hive_in, set_row
from tests.web.visitor import Visitor

# What these commands print as JSON is what they did.
ACTS = {"spawn", "send", "read", "crash-watch", "vacuum"}
# An object a line in a shell; over HTTP a list of them.
LINES = ("events", "logs")
# What is typed, and what is asked for.
SAME = [
    ("ps", "ps"),
    ("ps --all", "ps?all"),
    ("show ada", "show/ada"),
    ("inbox", "inbox"),
    ("inbox --all", "inbox?all=1"),
    ("inbox ada", "inbox/ada"),
    ("messages", "messages"),
    ("pending", "pending"),
    ("questions", "questions"),
    ("questions --all", "questions?all=true"),
    ("operations", "operations"),
    ("operations --all", "operations?all"),
    ("model ada", "model/ada"),
    ("config ada", "config/ada"),
    ("config ada --file agent.toml", "config/ada?file=agent.toml"),
    ("history ada", "history/ada"),
    ("log", "log"),
    ("log ada -n 1", "log/ada?n=1"),
    ("events ada", "events/ada"),
    ("events ada -n 1", "events/ada?n=1"),
    ("logs ada", "logs/ada"),
    ("logs ada --unit container -n 5 --since 1d --all-boots", "logs/ada?unit=container&n=5&since=1d&all-boots"),
    ("turns", "turns"),
    ("turns ada", "turns/ada"),
    ("cost", "cost"),
    ("cost ada --since 2020-01-31", "cost/ada?since=2020-01-31"),
    ("doctor", "doctor"),
    ("web sessions", "sessions"),
]  # fmt: skip
WRONG = [
    ("show eve", "show/eve", 404),
    ("show 999", "show/999", 404),
    ("show A!", "show/A!", 422),
    ("inbox eve", "inbox/eve", 404),
    ("config ada --file none", "config/ada?file=none", 404),
    ("log eve", "log/eve", 404),
    ("logs ada -n 5001", "logs/ada?n=5001", 422),
    ("cost --since x", "cost?since=x", 422),
    ("ps --other", "ps?other", 422),
]


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive in which all happened that can be read."""
    found = hive_in(home)
    secret = AgentConfig(role="look after the roses\x9b", env={"TOKEN": "secret"})
    for name in (ADA, BOB):
        spawning.spawn(found, name, runtime="host", config=secret, by=OPERATOR)
    history.ask(found, ADA, "prune\u202e them")
    history.turn(found, ADA, says="done")
    history.ask(found, ADA)
    history.events(found, ADA, (EventKind.TEXT, {"text": "I cut\x9b"}), (EventKind.TEXT, {"text": "and cut"}))
    history.journal(found, ADA, "it began", "it went on")
    history.journal(found, ADA, "a tool was missing", unit=Unit.CONTAINER)
    messages.read(found, [history.tell(found, BOB, "hello").number])
    asked = questions.ask(found, asker=ADA, text="Which?")
    questions.ask(found, asker=ADA, text="Why?")
    questions.cancel(found, asked.number, by=OPERATOR)
    approvals.ask_tool(found, ADA, epoch=1, turn=1, request="r", tool="Bash", given="{}", deadline=found.now().replace(year=2099))
    operations.ask(found, ADA, Verb.RESTART, by=OPERATOR)
    set_row(found, BOB, wanted=Wanted.DESTROYED)
    yield found
    found.close()


@pytest.fixture
def script(app: Flask, hive: Hive) -> Visitor:
    """A script with a token and nothing else."""
    visitor = Visitor(app, hive)
    visitor.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {access.make_token(hive, label='script')}"
    return visitor


def printed(typed: str) -> bytes:
    words = [*typed.split(), "--json"]
    said = shell.run(*words).stdout
    if words[0] not in LINES:
        return said.encode()
    # As one list, in the form that lists have.
    return msgspec.json.format(b"[" + b",".join(said.encode().splitlines()) + b"]", indent=2) + b"\n"


def test_a_script_reads_what_the_shell_prints(script: Visitor) -> None:
    # Once before, for a token that is used is seen in what is read of it.
    script.get("/api/pending")
    for typed, path in SAME:
        answer = script.get(f"/api/{path}")
        assert (path, answer.status_code, answer.mimetype) == (path, 200, "application/json")
        assert (path, answer.data) == (path, printed(typed))
        # There is something to compare.
        assert (path, len(answer.data) > len("[]\n")) == (path, True)


def test_what_has_a_number_is_shown_and_compared_as_in_the_shell(script: Visitor, hive: Hive) -> None:
    (deployed,) = (one.number for one in deployments.history(hive, ADA))
    waiting = [one["number"] for one in msgspec.json.decode(script.get("/api/pending").data)]
    done = [one.number for one in operations.listed(hive)]
    for number in (deployed, *waiting, *done):
        assert script.get(f"/api/show/{number}").data == printed(f"show {number}")
    assert script.get(f"/api/diff/ada/{deployed}").data == printed(f"diff ada {deployed}")
    assert script.get(f"/api/diff/ada/{deployed}/{deployed}").data == printed(f"diff ada {deployed} {deployed}")


def test_what_is_wrong_is_an_error_with_a_hint(script: Visitor) -> None:
    for typed, path, status in WRONG:
        answer = script.get(f"/api/{path}")
        assert (path, answer.status_code, answer.mimetype) == (path, status, "application/json")
        assert set(msgspec.json.decode(answer.data, type=dict[str, str])) == {"error", "hint"}
        assert (path, shell.run(*typed.split(), "--json").exit_code) == (path, {404: 3, 422: 2}[status])


def test_secrets_are_left_to_the_shell(script: Visitor) -> None:
    assert b"TOKEN" in script.get("/api/show/ada").data
    assert b"secret" not in script.get("/api/show/ada").data
    assert script.get("/api/show/ada?values").status_code == 422


def test_who_has_no_token_is_told_so_as_json(stranger: Visitor, script: Visitor) -> None:
    for answer in (stranger.get("/api/ps"), stranger.get("/api/ps", Authorization="Bearer x"), stranger.get("/api/none")):
        assert answer.status_code in (401, 403)
        assert set(msgspec.json.decode(answer.data)) == {"error", "hint"}
    missing = script.get("/api/none")
    assert missing.status_code == 404
    assert msgspec.json.decode(missing.data) == {"error": "not found", "hint": None}


def test_a_browser_that_is_logged_in_may_read_it_too(operator: Visitor) -> None:
    assert operator.get("/api/ps").data == printed("ps")


def test_every_command_that_reads_is_there() -> None:
    """A new command with --json is compared above, or named as one that acts."""
    context = click.Context(hyperhive)
    with_json = set()
    for name in COMMANDS:
        command = hyperhive.get_command(context, name)
        assert command is not None
        if any(one.name == "as_json" for one in command.params):
            with_json.add(name)
    compared = {typed.split()[0] for typed, _ in SAME} | {"diff"}
    assert with_json - ACTS == compared - {"web"}
