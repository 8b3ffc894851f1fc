"""Who is to be given a turn now, and who is not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from hyperhive.core import eligibility, holding, messages, notices, operations, turns
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, Blocked, MessageState, Outcome, Verb, Wanted
from tests.core.hives import ADA, BOB, begin, end, program, row_of, send, set_row


def who(hive: Hive) -> list[str]:
    return [one.name for one in eligibility.eligible(hive)]


def test_mail_makes_an_agent_eligible_and_its_oldest_message_says_since_when(hive: Hive) -> None:
    assert who(hive) == []
    first = send(hive, to=BOB)
    send(hive)
    send(hive, to=BOB)
    assert who(hive) == [BOB, ADA]
    assert eligibility.eligible(hive)[0].waits_since == first.sent_at


def test_a_notice_wakes_as_a_text_does(hive: Hive) -> None:
    with hive.db.write():
        notices.notify(hive, [ADA], "news")
    assert who(hive) == [ADA]


def test_a_compaction_that_is_asked_for_needs_no_mail_and_a_cancel_starts_nobody(hive: Hive) -> None:
    with hive.db.write():
        operations.ask(hive, ADA, Verb.COMPACT, by=OPERATOR)
        operations.ask(hive, BOB, Verb.CANCEL, by=OPERATOR)
    assert who(hive) == [ADA]


@pytest.mark.parametrize("wanted", [Wanted.STOPPED, Wanted.DESTROYED])
def test_who_is_not_wanted_started_is_not(hive: Hive, wanted: Wanted) -> None:
    send(hive)
    set_row(hive, ADA, wanted=wanted)
    assert who(hive) == []
    assert not eligibility.is_allowed(hive, ADA)


@pytest.mark.parametrize("blocked", [Blocked.LOGIN, Blocked.CRASHED])
def test_who_is_blocked_is_not(hive: Hive, blocked: Blocked) -> None:
    send(hive)
    set_row(hive, ADA, blocked=blocked)
    assert who(hive) == []
    assert eligibility.next_due(hive) is None


def test_a_limit_holds_until_its_moment_and_no_longer(hive: Hive) -> None:
    send(hive)
    until = datetime(2026, 3, 1, tzinfo=UTC)
    set_row(hive, ADA, blocked=Blocked.LIMITED, blocked_until=until, blocked_since=until - timedelta(days=2))
    with time_machine.travel(until - timedelta(milliseconds=1), tick=False):
        assert who(hive) == []
        assert eligibility.next_due(hive) == until
    with time_machine.travel(until, tick=False):
        assert who(hive) == [ADA]
        assert eligibility.next_due(hive) is None


@pytest.mark.parametrize("verb", holding.NEEDS_NO_HARNESS)
def test_who_is_being_taken_away_is_not(hive: Hive, verb: Verb) -> None:
    send(hive)
    with holding.under_way(hive, ADA, verb, by=OPERATOR):
        assert who(hive) == []
    assert who(hive) == [ADA]


def test_an_operation_whose_process_died_keeps_nobody_from_working(hive: Hive, home: Path) -> None:
    send(hive)
    code = """
with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
    print("in", flush=True)
    time.sleep(600)
"""
    with program(home, code) as other:
        assert other.heard() == "in"
        assert who(hive) == []
        other.kill()
        assert who(hive) == [ADA]


def test_mail_that_a_dead_harness_held_makes_its_agent_eligible(hive: Hive, home: Path) -> None:
    sent = send(hive)
    code = """
with Lock(hive.paths.harness_lock(ADA)) as lock:
    lock.take()
    epoch = turns.begin_epoch(hive, ADA)
    turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c")
    print("in", flush=True)
    time.sleep(600)
"""
    with program(home, code) as harness:
        assert harness.heard() == "in"
        assert messages.get(hive, sent.number).state is MessageState.DELIVERED
        assert who(hive) == []
        harness.kill()
        assert messages.get(hive, sent.number).state is MessageState.DELIVERED
        assert who(hive) == [ADA]
        # Its next harness, which holds the lock by now, agrees.
        with Lock(hive.paths.harness_lock(ADA)) as lock:
            assert lock.take()
            assert [one.name for one in eligibility.eligible(hive, ADA)] == [ADA]


def test_a_harness_between_two_turns_is_not_told_of_mail_that_is_done_with(hive: Hive) -> None:
    send(hive)
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        epoch, begun = begin(hive)
        end(hive, epoch, begun.number, Outcome.OK)
        assert eligibility.eligible(hive, ADA) == []
        send(hive)
        assert [one.name for one in eligibility.eligible(hive, ADA)] == [ADA]
        assert eligibility.eligible(hive, BOB) == []


def test_who_is_put_off_is_not_yet_and_the_clock_that_is_set_back_puts_nobody_off(hive: Hive) -> None:
    send(hive)
    set_row(hive, ADA, not_before=hive.now() + timedelta(seconds=20))
    assert who(hive) == []
    assert eligibility.next_due(hive) == row_of(hive, ADA).not_before
    set_row(hive, ADA, not_before=hive.now() + timedelta(hours=20))
    assert who(hive) == [ADA]
    assert eligibility.next_due(hive) is None


def test_the_longest_wait_that_is_put_on_is_one_that_is_believed() -> None:
    assert timedelta(seconds=max(turns.BACK_OFF)) <= eligibility.WAIT_MOST
