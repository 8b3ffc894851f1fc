"""`crash-watch` says what it told, what it could not see, and nothing when there is nothing to say."""

from pathlib import Path

import msgspec
import pytest

from hyperhive.core import crash_watch, folders, questions
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import AgentName
from tests.cli import shell


def test_it_says_what_it_told_and_then_nothing(hive: Hive, ada: AgentName) -> None:
    said = shell.answer("crash-watch")
    assert said.startswith("needs_login: ada is not logged in (")
    assert said.count("\n") == 1
    assert shell.run("crash-watch").output == ""


def test_programs_get_an_object_a_line(hive: Hive, ada: AgentName) -> None:
    (line,) = shell.answer("crash-watch", "--json").splitlines()
    told = msgspec.json.decode(line)
    assert told.keys() == {"agent", "to", "text"}
    assert (told["agent"], told["to"]) == ("ada", ["operator"])
    assert shell.answer("crash-watch", "--json") == ""


def test_it_looks_again_and_again_for_so_long(hive: Hive, ada: AgentName, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    look = crash_watch.look

    def seen(now: Hive) -> crash_watch.Look:
        # It comes and goes with each look.
        looks.append(True)
        if len(looks) % 2:
            hive.paths.agent_token(ada).unlink(missing_ok=True)
        else:
            folders.write_token(hive, ada, "a-token-of-the-tests")
        return look(now)

    monkeypatch.setattr(crash_watch, "look", seen)
    said = shell.answer("crash-watch", "--every", "0.05", "--for", "0.2")
    assert len(looks) == 4
    assert [line.partition(":")[0] for line in said.splitlines()] == ["needs_login", "logged_in"] * 2


def test_a_look_that_fails_is_said_and_the_next_is_taken(hive: Hive, ada: AgentName, monkeypatch: pytest.MonkeyPatch) -> None:
    look = crash_watch.look
    failed: list[bool] = []

    def fails_once(now: Hive) -> crash_watch.Look:
        if not failed:
            failed.append(True)
            raise Unavailable("the disk fails")
        return look(now)

    monkeypatch.setattr(crash_watch, "look", fails_once)
    ended = shell.run("crash-watch", "--every", "0.05", "--for", "0.1")
    assert (ended.exit_code, ended.stderr) == (
        0,
        "error: the agents cannot be watched: the disk fails\nhint: hyperhive doctor\n",
    )
    assert ended.stdout.startswith("needs_login: ")
    failed.clear()
    assert shell.run("crash-watch").exit_code == 7


def test_what_it_could_not_is_said_and_is_no_success(hive: Hive, ada: AgentName, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Hive) -> None:
        raise Unavailable("the disk fails")

    monkeypatch.setattr(questions, "resolve_overdue", fails)
    ended = shell.run("crash-watch")
    assert ended.exit_code == 7
    assert ended.stderr == "error: what is overdue or dead cannot be ended: the disk fails\nhint: hyperhive doctor\n"
    assert ended.stdout.startswith("needs_login: ")


@pytest.mark.parametrize("more", [[], ["--every", "1"]], ids=["once", "again and again"])
def test_the_second_is_told_who_watches(hive: Hive, more: list[str]) -> None:
    with Lock(hive.paths.lock("crash-watch")) as first:
        assert first.take()
        assert "this hive is being watched already: pid " in shell.complaint("crash-watch", *more, code=5)[0]


@pytest.mark.parametrize("words", [["--for", "1"], ["--every", "0"], ["--every", "-1"], ["--every", "nan"]], ids=" ".join)
def test_times_that_make_no_sense_are_refused(words: list[str], hive: Hive) -> None:
    shell.complaint("crash-watch", *words, code=2)


def test_a_damaged_setting_is_said(hive: Hive, ada: AgentName, home: Path) -> None:
    hive.paths.settings.write_text("linger_seconds = 'x'\n", encoding="utf-8")
    assert "linger_seconds" in shell.complaint("crash-watch", code=2)[0]
