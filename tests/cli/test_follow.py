"""Whoever follows sees each change, also where nothing tells of it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from hyperhive.core import follow, messages, spawning, usage
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, Outcome, parse_name
from tests.cli import history


@pytest.fixture
def other(hive: Hive) -> Iterator[Hive]:
    """The same hive as another process sees it."""
    opened = open_hive({"HYPERHIVE_HOME": str(hive.paths.config)})
    yield opened
    opened.close()


def test_what_is_committed_before_the_wait_is_seen_after_it(hive: Hive, other: Hive, ada: AgentName) -> None:
    commits = follow.commits(hive)
    next(commits)
    for number in range(50):
        history.ask(other, ada, str(number))
        next(commits)
        assert messages.flow(hive, limit=1)[0].body == str(number)


def test_without_inotify_changes_are_seen_too(hive: Hive, other: Hive, ada: AgentName, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(follow, "INotify", refuse)
    found = follow.inbox(hive, OPERATOR)
    assert next(found) == []
    history.tell(other, ada, "hello")
    assert [one.body for one in next(found)] == ["hello"]


def test_a_follower_of_an_inbox_misses_nothing_and_sees_nothing_twice(hive: Hive, other: Hive, ada: AgentName) -> None:
    for number in range(3):
        history.tell(other, ada, str(number))
    messages.read(other, [2])
    found = follow.inbox(hive, OPERATOR)
    seen = [one.body for one in next(found)]
    for number in range(3, 40):
        history.tell(other, ada, str(number))
        history.ask(other, ada, "not for the operator")
        if number % 3 == 0:
            messages.read(other, None)
        seen += [one.body for one in next(found)]
    assert seen == ["0", "2", *map(str, range(3, 40))]


def test_a_follower_of_all_sees_how_far_each_message_comes(hive: Hive, other: Hive, ada: AgentName) -> None:
    found = follow.flow(hive)
    sent = history.ask(other, ada)
    assert [(one.number, one.state) for one in next(found)] == [(sent.number, "pending")]
    history.turn(other, ada, Outcome.FAILED, error="it broke")
    assert [(one.state, one.attempt) for one in next(found)] == [("pending", 1)]
    history.turn(other, ada)
    assert [(one.state, one.attempt) for one in next(found)] == [("acknowledged", 1)]


def test_answers_end_with_the_message_itself(hive: Hive, other: Hive, ada: AgentName) -> None:
    sent = history.ask(other, ada)
    history.turn(other, ada, says="yes")
    assert [(one.sender, one.body) for one in follow.answers(hive, sent)] == [("ada", "yes"), ("operator", "do it")]


def test_costs_are_summed_by_day_and_agent(hive: Hive, ada: AgentName) -> None:
    bob = parse_name("bob")
    spawning.spawn(hive, bob, by="operator")
    for name in (ada, ada, bob):
        history.ask(hive, name)
        history.turn(hive, name)
    today = hive.now().date()
    assert [(one.agent, one.day, one.turns, round(one.cost_usd, 4), one.input_tokens) for one in usage.cost(hive)] == [
        ("ada", today, 2, 0.0246, 2000),
        ("bob", today, 1, 0.0123, 1000),
    ]
    assert [one.agent for one in usage.cost(hive, "bob")] == ["bob"]
    assert usage.cost(hive, since=hive.now() + timedelta(days=1)) == []


def test_days_are_those_of_utc(hive: Hive, ada: AgentName) -> None:
    from datetime import UTC, datetime

    from hyperhive.core.tables import TurnRow

    for _ in range(2):
        history.ask(hive, ada)
        history.turn(hive, ada)
    for number, moment in ((1, datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)), (2, datetime(2026, 2, 1, tzinfo=UTC))):
        with hive.db.write():
            TurnRow.update(started_at=moment - timedelta(seconds=90), ended_at=moment).where(TurnRow.number == number).execute()
    found = usage.cost(hive)
    assert [(one.day.isoformat(), one.seconds) for one in found] == [("2026-01-31", 90.0), ("2026-02-01", 90.0)]
    assert [one.day.isoformat() for one in usage.cost(hive, since=datetime(2026, 2, 1, tzinfo=UTC))] == ["2026-02-01"]
