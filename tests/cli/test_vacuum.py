"""`vacuum` says what it removed, what it could not, and nothing when there is nothing to say."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from hyperhive.core import messages, vacuum_rows
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName
from hyperhive.core.tables import MessageRow
from tests.cli import history, shell


@pytest.fixture
def old(hive: Hive, ada: AgentName) -> Hive:
    """A hive in which two messages ended long ago."""
    for _ in range(2):
        history.ask(hive, ada)
        history.turn(hive, ada, says="done")
    messages.read(hive, None)
    ago = hive.now() - timedelta(days=40)
    with hive.db.write():
        MessageRow.update(sent_at=ago, ended_at=ago).where(MessageRow.sender == OPERATOR).execute()
    return hive


def test_it_says_what_it_removed_and_then_nothing(old: Hive) -> None:
    assert shell.answer("vacuum") == "removed 2 messages\n"
    assert (ended := shell.run("vacuum")).output == ""
    assert ended.exit_code == 0


def test_what_it_could_not_is_said_and_is_no_success(old: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> Iterator[int]:
        yield 0
        raise Unavailable("the disk fails", hint="dmesg | tail")

    monkeypatch.setattr(vacuum_rows, "operations", fails)
    ended = shell.run("vacuum")
    assert (ended.stdout, ended.stderr, ended.exit_code) == (
        "removed 2 messages\n",
        "error: the disk fails\nhint: dmesg | tail\n",
        7,
    )
    ended = shell.run("vacuum", "--json")
    assert msgspec.json.decode(ended.stdout)["troubles"] == [{"message": "the disk fails", "hint": "dmesg | tail"}]
    assert ended.exit_code == 7


def test_the_second_is_told_who_sweeps(hive: Hive) -> None:
    with Lock(hive.paths.lock("vacuum")) as first:
        assert first.take()
        assert "this hive is being swept already: pid " in shell.complaint("vacuum", code=5)[0]


def test_what_is_wrong_in_the_settings_is_said(hive: Hive) -> None:
    hive.paths.settings.write_text("[keep]\nmessage_days = 0\n", encoding="utf-8")
    error, hint = shell.complaint("vacuum", code=2)
    assert "keep.message_days: expected `int` >= 1" in error
    assert hint.startswith("edit ")
