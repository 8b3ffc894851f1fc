"""What ended long ago goes, a few rows at a time; what waits, and what is young, stays, whatever the clock says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyperhive.core import messages, publishing, vacuum, vacuum_rows
from hyperhive.core.db import Store, next_number
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import MessageKind, MessageState, OperationState, Outcome, Verb
from hyperhive.core.tables import MessageRow, OperationRow
from tests.core.hives import ADA, BOB, one_turn, program, send

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WAITING = [state for state in MessageState if not state.is_final]
FINAL = [state for state in MessageState if state.is_final]


def a_message(hive: Hive, state: MessageState, *, ended: timedelta, sent: timedelta | None = None, **more: Any) -> int:
    """A message that ended, or with a state that is not final was handed out, so long ago. Gives back its number."""
    now = hive.now()
    with hive.db.write():
        return MessageRow.create(
            sender="operator", recipient=ADA, kind=MessageKind.TEXT, body="x", state=state, sent_at=now - (sent or ended),
            handed_out_at=now - ended, ended_at=now - ended if state.is_final else None, **more,
        ).number  # fmt: skip


def an_operation(hive: Hive, state: OperationState, *, ended: timedelta, verb: Verb = Verb.STOP, agent: str = ADA) -> int:
    at = hive.now() - ended
    with hive.db.write():
        number = next_number()
        OperationRow.insert(
            number=number, agent=agent, verb=verb, asked_by="operator", state=state, asked_at=at,
            ended_at=None if state in (OperationState.PENDING, OperationState.RUNNING) else at,
        ).execute()  # fmt: skip
    return number


def kept(hive: Hive, table: Any = MessageRow) -> list[int]:
    """The numbers that are left."""
    with hive.db.read():
        return [row.number for row in table.select(table.number).order_by(table.number)]


@contextmanager
def clock(hive: Hive, jump: timedelta) -> Iterator[None]:
    """The machine's clock is set, and set right again."""
    right = Hive.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hive, "now", lambda self: right(self) + jump)
        yield


# ---- messages ----


@pytest.mark.parametrize("state", FINAL)
def test_a_message_goes_a_month_after_it_ended_in_whatever_way(hive: Hive, state: MessageState) -> None:
    a_message(hive, state, ended=31 * DAY)
    young = a_message(hive, state, ended=30 * DAY, sent=300 * DAY)
    assert vacuum.run(hive).messages == 1
    assert kept(hive) == [young]


@pytest.mark.parametrize("state", WAITING)
def test_a_message_that_has_not_ended_stays_for_ever(hive: Hive, state: MessageState) -> None:
    number = a_message(hive, state, ended=36_500 * DAY)
    assert vacuum.run(hive).messages == 0
    assert messages.get(hive, number).state is state


def test_what_was_removed_can_not_be_handed_out_and_what_stays_is(hive: Hive) -> None:
    for _ in range(3):
        a_message(hive, MessageState.ACKNOWLEDGED, ended=40 * DAY)
    waits = a_message(hive, MessageState.PENDING, ended=40 * DAY)
    assert vacuum.run(hive).messages == 3
    assert [one.number for one in one_turn(hive, Outcome.OK)] == [waits]
    assert send(hive).number > waits


def test_the_numbers_of_removed_messages_are_not_given_again(hive: Hive) -> None:
    number = a_message(hive, MessageState.DEAD, ended=40 * DAY)
    vacuum.run(hive)
    assert kept(hive) == []
    assert send(hive).number == number + 1


def test_a_key_belongs_to_its_message_for_as_long_as_that_is_kept(hive: Hive) -> None:
    old = a_message(hive, MessageState.ACKNOWLEDGED, ended=29 * DAY, key="order-4711")
    assert send(hive, "x", key="order-4711").number == old
    with clock(hive, 3 * DAY):
        vacuum.run(hive)
    assert send(hive, "another", key="order-4711").number == old + 1


def test_the_days_stand_in_the_settings(hive: Hive) -> None:
    hive.paths.settings.write_text("[keep]\nmessage_days = 3\noperation_days = 5\n", encoding="utf-8")
    ended = {days: a_message(hive, MessageState.ACKNOWLEDGED, ended=days * DAY) for days in (3, 4)}
    done = {days: an_operation(hive, OperationState.DONE, ended=days * DAY) for days in (5, 6)}
    swept = vacuum.run(hive)
    assert (swept.messages, swept.operations) == (1, 1)
    assert (kept(hive), kept(hive, OperationRow)) == ([ended[3]], [done[5]])


# ---- operations ----


@pytest.mark.parametrize("state", OperationState)
def test_an_operation_goes_a_month_after_it_ended_and_never_before(hive: Hive, state: OperationState) -> None:
    ended = state not in (OperationState.PENDING, OperationState.RUNNING)
    an_operation(hive, state, ended=31 * DAY)
    an_operation(hive, state, ended=30 * DAY)
    assert vacuum.run(hive).operations == int(ended)


def test_what_git_still_has_to_be_told_of_is_not_forgotten(hive: Hive) -> None:
    publish = [an_operation(hive, OperationState.FAILED, ended=days * DAY, verb=Verb.PUBLISH) for days in (50, 40)]
    settled = [
        an_operation(hive, state, ended=40 * DAY, verb=Verb.PUBLISH, agent=BOB)
        for state in (OperationState.FAILED, OperationState.DONE)
    ]
    before = publishing.unsettled(hive)
    assert vacuum.run(hive).operations == 2
    assert kept(hive, OperationRow) == [publish[-1], settled[-1]]
    assert publishing.unsettled(hive) == before == [ADA]


# ---- a clock that is wrong ----


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
def test_nothing_goes_too_early_when_the_clock_jumps_by_a_day(hive: Hive, jump: timedelta) -> None:
    almost = 30 * DAY - timedelta(minutes=1)
    with clock(hive, jump):
        # What was written while the clock was wrong,
        written = a_message(hive, MessageState.ACKNOWLEDGED, ended=almost)
        vacuum.run(hive)
    vacuum.run(hive)
    # and what is looked at while it is wrong.
    number = a_message(hive, MessageState.ACKNOWLEDGED, ended=almost)
    with clock(hive, jump):
        vacuum.run(hive)
    assert kept(hive) == [written, number]


def test_a_greater_jump_would_be_noticed_here(hive: Hive) -> None:
    a_message(hive, MessageState.ACKNOWLEDGED, ended=30 * DAY - HOUR)
    with clock(hive, DAY + 2 * HOUR):
        vacuum.run(hive)
    assert kept(hive) == []


def test_a_clock_that_stood_still_at_the_beginning_of_time_removes_nothing_that_was_sent_lately(hive: Hive) -> None:
    ended_in_1970 = a_message(hive, MessageState.ACKNOWLEDGED, ended=20_000 * DAY, sent=DAY)
    assert vacuum.run(hive).messages == 0
    assert kept(hive) == [ended_in_1970]


def test_a_clock_a_year_ahead_takes_no_message_that_waits(hive: Hive) -> None:
    numbers = [a_message(hive, state, ended=HOUR) for state in WAITING]
    with clock(hive, 365 * DAY):
        assert vacuum.run(hive).messages == 0
    assert kept(hive) == numbers


# ---- in the way of nobody ----


def many(hive: Hive, count: int) -> None:
    """Messages that are to go."""
    at = int((hive.now() - 40 * DAY).timestamp() * 1000)
    with hive.db.write():
        hive.db.ask(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)"
            " INSERT INTO message (sender, recipient, kind, body, state, confirmed, attempt, sent_at, ended_at)"
            " SELECT 'operator', 'ada', 'text', 'x', 'acknowledged', 1, 0, ?, ? FROM number",
            count, at, at,
        )  # fmt: skip


def each_transaction(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each writing transaction of this process removes from now on."""
    removed: list[int] = []
    write = Store.write

    @contextmanager
    def counted(self: Store, **more: bool) -> Iterator[None]:
        with write(self, **more):
            before = MessageRow.select().count()
            yield
            removed.append(before - MessageRow.select().count())

    monkeypatch.setattr(Store, "write", counted)
    return removed


def is_in_small_steps(removed: list[int]) -> bool:
    return max(removed) <= 500 and len(removed) > 1


def test_no_transaction_removes_many(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    many(hive, 3 * vacuum_rows.BATCH + 1)
    removed = each_transaction(hive, monkeypatch)
    assert vacuum.run(hive).messages == 3 * vacuum_rows.BATCH + 1
    assert removed == [vacuum_rows.BATCH] * 3 + [1]
    assert is_in_small_steps(removed)


def test_one_that_removes_many_would_be_noticed(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    many(hive, 1000)
    monkeypatch.setattr(vacuum_rows, "BATCH", 1000)
    removed = each_transaction(hive, monkeypatch)
    assert vacuum.run(hive).messages == 1000
    assert not is_in_small_steps(removed)


def test_between_two_steps_others_write(hive: Hive, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(hive, 4 * vacuum_rows.BATCH)
    left: list[int] = []
    code = """
while sys.stdin.readline():
    print(messages.send(hive, sender=OPERATOR, to=BOB, body="x").number, flush=True)
"""
    with program(home, code) as other:

        def rest(seconds: float) -> None:
            assert seconds <= vacuum.REST_MOST
            other.tell()
            assert int(other.heard())
            left.append(MessageRow.select().where(MessageRow.recipient == ADA).count())

        monkeypatch.setattr(time, "sleep", rest)
        vacuum.run(hive)
    assert left == [vacuum_rows.BATCH * steps for steps in (3, 2, 1, 0)]


def test_a_pass_that_finds_nothing_writes_nothing(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    send(hive)
    monkeypatch.setattr(Store, "write", None)
    assert vacuum.run(hive).messages == 0


def test_it_goes_on_where_it_was_killed(hive: Hive, home: Path) -> None:
    many(hive, 4 * vacuum_rows.BATCH)
    code = """
from hyperhive.core import vacuum
time.sleep = lambda seconds: (print("rests", flush=True), sys.stdin.readline())
vacuum.run(hive)
"""
    with program(home, code) as killed:
        assert killed.heard() == "rests"
        killed.kill()
    assert hive.db.check() == "ok"
    assert vacuum.run(hive).messages == 3 * vacuum_rows.BATCH


# ---- alone ----


def test_the_second_steps_aside_and_says_who_sweeps(hive: Hive) -> None:
    with Lock(hive.paths.lock("vacuum")) as first:
        assert first.take()
        with pytest.raises(Conflict, match=r"this hive is being swept already: pid \d+ since "):
            vacuum.run(hive)
    vacuum.run(hive)
