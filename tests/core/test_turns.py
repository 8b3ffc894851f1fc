"""Epochs, turns, and what holds an agent back after one."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hyperhive.core import eligibility, holding, login, messages, operations, rests, roster, turns
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Activity, Blocked, Flavor, MessageState, OperationState, Outcome, Verb, Wanted
from hyperhive.core.tables import TurnRow
from tests.core.hives import ADA, BOB, EVE, add_agent, begin, end, one_turn, row_of, send, set_row

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def notices(hive: Hive, who: str = OPERATOR) -> list[str]:
    return [message.body for message in messages.inbox(hive, who)]


def can_work(hive: Hive) -> bool:
    return [one.name for one in eligibility.eligible(hive)] == [ADA]


# ---- epochs ----


def test_each_harness_has_an_epoch_of_its_own_and_ends_it(hive: Hive) -> None:
    first = turns.begin_epoch(hive, ADA)
    turns.end_epoch(hive, ADA, epoch=first)
    assert row_of(hive, ADA).ended_epoch == first
    second = turns.begin_epoch(hive, ADA)
    assert second == first + 1
    # The end of an earlier one is none of the later.
    turns.end_epoch(hive, ADA, epoch=first)
    assert row_of(hive, ADA).ended_epoch == first


def test_a_harness_that_was_overtaken_can_do_nothing(hive: Hive) -> None:
    send(hive)
    old, begun = begin(hive)
    turns.begin_epoch(hive, ADA)
    with pytest.raises(turns.Fenced):
        end(hive, old, begun.number, Outcome.OK)
    with pytest.raises(turns.Fenced):
        turns.begin(hive, ADA, epoch=old, model=None, conversation="c")
    with pytest.raises(turns.Fenced):
        turns.begin_without_mail(hive, ADA, epoch=old, model=None, conversation="c", activity=Activity.THINKING)
    with pytest.raises(turns.Fenced):
        turns.not_ready(hive, ADA, epoch=old, reason="x")
    turns.set_activity(hive, ADA, epoch=old, activity=Activity.COMPACTING)
    assert row_of(hive, ADA).activity is Activity.IDLE
    assert messages.get(hive, 1).state is MessageState.PENDING


def test_the_turn_of_a_dead_harness_is_lost_and_its_mail_comes_again_without_an_attempt(hive: Hive) -> None:
    send(hive)
    begin(hive)
    turns.begin_epoch(hive, ADA)
    (turn,) = turns.listed(hive, ADA)
    assert turn.outcome is Outcome.LOST
    again = messages.get(hive, 1)
    assert (again.state, again.attempt, again.is_again) == (MessageState.PENDING, 0, True)
    assert turns.current(hive, ADA) is None


def test_an_agent_that_is_gone_has_no_epoch(hive: Hive) -> None:
    with pytest.raises(turns.Fenced, match="eve is gone"):
        turns.begin_epoch(hive, EVE)


def test_a_turn_is_decided_once(hive: Hive) -> None:
    send(hive)
    epoch, begun = begin(hive)
    end(hive, epoch, begun.number, Outcome.OK)
    with pytest.raises(turns.Fenced):
        end(hive, epoch, begun.number, Outcome.FAILED)
    assert messages.get(hive, 1).state is MessageState.ACKNOWLEDGED


def test_no_turn_ends_for_another_agent(hive: Hive) -> None:
    send(hive)
    epoch, begun = begin(hive)
    assert turns.begin_epoch(hive, BOB) == epoch
    with pytest.raises(turns.Fenced):
        end(hive, epoch, begun.number, Outcome.OK, BOB)


def test_a_text_that_no_encoding_has_does_not_keep_a_turn_from_ending(hive: Hive) -> None:
    send(hive)
    epoch, begun = begin(hive)
    end(hive, epoch, begun.number, Outcome.FAILED, error="odd \ud83d text")
    assert turns.listed(hive, ADA)[0].error == "odd ? text"
    for _ in range(2):
        one_turn(hive, Outcome.FAILED, error="odd \ud83d text")
    assert messages.get(hive, 1).state is MessageState.DEAD
    assert "odd ? text" in notices(hive)[0]
    turns.not_ready(hive, ADA, epoch=turns.begin_epoch(hive, ADA), reason="odd \ud83d reason")
    assert "odd ? reason" in notices(hive)[1]


# ---- who may begin ----


@pytest.mark.parametrize("wanted", [Wanted.STOPPED, Wanted.DESTROYED])
def test_no_turn_begins_after_a_stop_was_committed(hive: Hive, wanted: Wanted) -> None:
    send(hive)
    epoch = turns.begin_epoch(hive, ADA)
    set_row(hive, ADA, wanted=wanted)
    assert turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c") is None
    assert messages.get(hive, 1).state is MessageState.PENDING


def test_no_turn_begins_while_a_restart_waits_for_the_harness(hive: Hive) -> None:
    send(hive)
    epoch = turns.begin_epoch(hive, ADA)
    with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
        assert turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c") is None
    assert turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c") is not None


def test_without_mail_there_is_no_turn_and_no_trace_of_one(hive: Hive) -> None:
    epoch = turns.begin_epoch(hive, ADA)
    assert turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c") is None
    assert turns.listed(hive, ADA) == []
    assert row_of(hive, ADA).activity is Activity.IDLE


# ---- crashes ----


def test_a_harness_that_finishes_no_turn_is_put_off_a_little_longer_each_time_then_held_back(hive: Hive) -> None:
    send(hive)
    waits = []
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(turns.CRASHES):
            begin(hive)
            started = hive.now()
            while not can_work(hive):
                clock.shift(0.5)
            waits.append((hive.now() - started).total_seconds())
        assert waits == [0, 1, 2, 4, 8]
        turns.begin_epoch(hive, ADA)
        row = row_of(hive, ADA)
        assert row.blocked is Blocked.CRASHED
        assert not eligibility.is_allowed(hive, ADA)
        assert not can_work(hive)
        clock.shift(timedelta(days=2))
        assert not can_work(hive)
    (told,) = notices(hive)
    assert told.startswith("crashed: ada is not started again: it was started 5 times in ten minutes")


def test_a_harness_that_ended_with_the_machine_is_no_crash_and_the_next_prompt_says_so(hive: Hive) -> None:
    send(hive)
    for _ in range(turns.CRASHES + 2):
        set_row(hive, ADA, boot="an earlier one")
        _, begun = begin(hive)
        assert begun.news == "The machine was started anew."
        row = row_of(hive, ADA)
        assert (row.empty_starts, row.blocked) == (1, Blocked.NONE)
    # The control: on the same boot the same is one start after the other.
    _, begun = begin(hive)
    assert (begun.news, row_of(hive, ADA).empty_starts) == ("", 2)


def test_the_first_epoch_only_remembers_the_boot(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    send(hive)
    assert begin(hive)[1].news == ""
    assert row_of(hive, ADA).boot == hive.boot()
    # Where the machine tells no boot, none is taken for another.
    monkeypatch.setattr(Hive, "boot", lambda self: None)
    assert begin(hive)[1].news == ""
    monkeypatch.undo()
    assert begin(hive)[1].news == ""


def test_a_turn_of_any_end_is_no_crash(hive: Hive) -> None:
    send(hive)
    for outcome in (Outcome.FAILED, Outcome.INTERRUPTED, Outcome.CANCELLED) * 3:
        if not can_work(hive):
            send(hive)
        one_turn(hive, outcome)
    assert row_of(hive, ADA).blocked is Blocked.NONE


def test_an_orderly_end_is_no_crash(hive: Hive) -> None:
    send(hive)
    for _ in range(turns.CRASHES * 2):
        turns.end_epoch(hive, ADA, epoch=turns.begin_epoch(hive, ADA))
        assert can_work(hive)


def test_crashes_that_are_hours_apart_are_not_counted_together(hive: Hive) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(turns.CRASHES * 2):
            begin(hive)
            clock.shift(timedelta(hours=1))
            assert can_work(hive)


def test_the_wait_is_none_for_the_harness_itself(hive: Hive) -> None:
    send(hive)
    for _ in range(3):
        begin(hive)
    assert not can_work(hive)
    assert eligibility.is_allowed(hive, ADA)
    assert [one.name for one in eligibility.eligible(hive, ADA)] == [ADA]
    due = eligibility.next_due(hive)
    assert due is not None
    assert timedelta() < due - hive.now() <= timedelta(seconds=2)


def test_what_was_asked_of_a_dead_harness_is_over_and_a_compaction_that_waits_is_not(hive: Hive) -> None:
    send(hive)
    begin(hive)
    with hive.db.write():
        cancel = operations.ask(hive, ADA, Verb.CANCEL, by=OPERATOR)
        leave = operations.ask(hive, ADA, Verb.LEAVE, by=OPERATOR)
        compact = operations.ask(hive, ADA, Verb.COMPACT, by=OPERATOR)
    assert operations.take(hive, ADA, Verb.CANCEL) == [(cancel, Verb.CANCEL, None)]
    turns.begin_epoch(hive, ADA)
    states = [operations.get(hive, number).state for number in (cancel, leave, compact)]
    assert states == [OperationState.FAILED, OperationState.FAILED, OperationState.PENDING]


# ---- what holds an agent back ----


@pytest.mark.parametrize("outcome", [Outcome.LIMITED, Outcome.LOGIN, Outcome.OVERLOADED, Outcome.TOOLS_LOST])
def test_what_is_not_the_messages_fault_counts_no_attempt_and_holds_the_agent_back(hive: Hive, outcome: Outcome) -> None:
    send(hive)
    one_turn(hive, outcome)
    after = messages.get(hive, 1)
    assert (after.state, after.attempt) == (MessageState.PENDING, 0)
    assert not can_work(hive)


def test_rests_double_up_to_ten_minutes_until_a_turn_ends_well(hive: Hive) -> None:
    send(hive)
    rests = []
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(7):
            one_turn(hive, Outcome.OVERLOADED)
            due = eligibility.next_due(hive)
            assert due is not None
            rests.append((due - hive.now()).total_seconds())
            clock.move_to(due - timedelta(milliseconds=1))
            assert not can_work(hive)
            clock.move_to(due)
            assert can_work(hive)
        assert rests == [30, 60, 120, 240, 480, 600, 600]
        one_turn(hive, Outcome.OK)
        assert row_of(hive, ADA).blocked is Blocked.NONE
        send(hive)
        one_turn(hive, Outcome.TOOLS_LOST)
        assert eligibility.next_due(hive) == NOW.replace(microsecond=0) + (hive.now() - NOW) + timedelta(seconds=30)


def test_a_usage_limit_waits_until_its_reset_and_is_told_once(hive: Hive) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        reset = NOW + timedelta(hours=3)
        one_turn(hive, Outcome.LIMITED, until=reset)
        assert eligibility.next_due(hive) == reset
        clock.move_to(reset)
        assert can_work(hive)
        one_turn(hive, Outcome.LIMITED, until=reset + timedelta(hours=3))
        assert notices(hive) == ["limited: ada has used up what its account allows, and goes on at 2026-03-01 15:00 UTC."]
        clock.shift(timedelta(hours=4))
        one_turn(hive, Outcome.OK)
        send(hive)
        one_turn(hive, Outcome.LIMITED, until=hive.now() + timedelta(hours=1))
    assert len(notices(hive)) == 2


@pytest.mark.parametrize("ago", [timedelta(), timedelta(seconds=1), timedelta(days=3)])
def test_a_reset_that_has_passed_makes_no_loop(hive: Hive, ago: timedelta) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        tries = 0
        while hive.now() < NOW + timedelta(hours=1):
            if can_work(hive):
                tries += 1
                one_turn(hive, Outcome.LIMITED, until=hive.now() - ago)
            clock.shift(10)
    assert tries <= 11


@pytest.mark.parametrize("outcome", [Outcome.LIMITED, Outcome.OVERLOADED])
def test_an_agent_that_is_limited_again_at_once_waits_longer(hive: Hive, outcome: Outcome) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        tries = 0
        while hive.now() < NOW + timedelta(hours=1):
            if can_work(hive):
                tries += 1
                one_turn(hive, outcome, until=hive.now() + timedelta(seconds=1))
            clock.shift(10)
    assert tries <= 12


def test_a_reset_that_is_years_away_is_not_believed(hive: Hive) -> None:
    send(hive)
    one_turn(hive, Outcome.LIMITED, until=datetime(9999, 12, 31, tzinfo=UTC))
    due = eligibility.next_due(hive)
    assert due is not None
    assert due - hive.now() <= rests.LIMIT_MOST


def test_a_missing_login_waits_for_the_operator_and_is_told_once(hive: Hive) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        one_turn(hive, Outcome.LOGIN)
        clock.shift(timedelta(days=9))
        assert not can_work(hive)
    told = "needs_login: ada is not logged in (2026-03-01 12:00:00 UTC). Only the operator can do that: `hyperhive login ada`."
    assert notices(hive) == [told]
    login.logged_in(hive, ADA)
    assert can_work(hive)
    epoch, begun = begin(hive)
    assert "The operator has logged you in." in begun.news
    end(hive, epoch, begun.number, Outcome.OK)


def test_a_login_lifts_no_other_block(hive: Hive) -> None:
    send(hive)
    one_turn(hive, Outcome.LIMITED, until=hive.now() + timedelta(hours=1))
    login.logged_in(hive, ADA)
    assert not can_work(hive)


def test_an_agent_that_cannot_begin_rests_and_says_so_once(hive: Hive) -> None:
    send(hive)
    for _ in range(3):
        epoch = turns.begin_epoch(hive, ADA)
        turns.not_ready(hive, ADA, epoch=epoch, reason="no hub")
        turns.end_epoch(hive, ADA, epoch=epoch)
    (told,) = notices(hive)
    assert told.startswith("not_ready: ada cannot work now: no hub.")
    assert messages.get(hive, 1).attempt == 0
    assert roster.get(hive, ADA).blocked_reason == "no hub"


def test_the_manager_hears_of_its_workers_and_the_operator_of_the_manager(hive: Hive) -> None:
    boss = add_agent(hive, EVE, flavor=Flavor.MANAGER)
    send(hive)
    one_turn(hive, Outcome.LOGIN)
    assert not notices(hive)
    assert len(notices(hive, boss)) == 1
    one_turn(hive, Outcome.LOGIN, name=boss)
    assert len(notices(hive)) == 1


# ---- the clock is set ----


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(days=-1), timedelta(hours=1), timedelta(days=1)])
def test_a_clock_that_is_set_holds_no_agent_back_and_no_lease_reacts(hive: Hive, jump: timedelta) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        held = send(hive)
        one_turn(hive, Outcome.OVERLOADED)
        clock.move_to(NOW + jump)
        assert can_work(hive)
        for _ in range(3):
            begin(hive)
        epoch, begun = begin(hive)
        clock.move_to(NOW + timedelta(minutes=1))
        assert can_work(hive)
        assert messages.get(hive, held.number).state is MessageState.DELIVERED
        clock.move_to(NOW - timedelta(days=1))
        end(hive, epoch, begun.number, Outcome.OK)
        assert messages.get(hive, held.number).state is MessageState.ACKNOWLEDGED
        assert roster.get(hive, ADA).last_turn is not None


def test_a_usage_limit_is_tried_again_when_the_clock_was_set_back(hive: Hive) -> None:
    send(hive)
    with time_machine.travel(NOW, tick=False) as clock:
        one_turn(hive, Outcome.LIMITED, until=NOW + timedelta(hours=3))
        clock.move_to(NOW - timedelta(seconds=2))
        assert not can_work(hive)
        clock.move_to(NOW - timedelta(days=1))
        assert can_work(hive)
        assert eligibility.next_due(hive) is None
        assert roster.get(hive, ADA).blocked is Blocked.NONE


# ---- news ----


def test_the_first_turn_after_something_happened_hears_of_it_and_the_next_does_not(hive: Hive) -> None:
    with hive.db.write():
        for text in ("one", "two", "one"):
            turns.add_news(ADA, text)
    send(hive)
    _, begun = begin(hive)
    assert begun.news == "two\none"
    assert row_of(hive, ADA).news == ""


def test_news_do_not_grow_for_ever(hive: Hive) -> None:
    with hive.db.write():
        for count in range(20):
            turns.add_news(ADA, f"line {count}")
    assert row_of(hive, ADA).news.splitlines() == [f"line {count}" for count in range(15, 20)]


# ---- what is shown ----


def test_the_last_turn_of_each_agent_is_its_newest_that_ended(hive: Hive) -> None:
    for name in (ADA, BOB):
        for count in range(3):
            send(hive, to=name)
            one_turn(hive, Outcome.OK if count else Outcome.LIMITED, name=name)
            set_row(hive, name, blocked=Blocked.NONE)
    send(hive)
    begin(hive)
    with hive.db.read():
        last = turns.latest()
        newest = {
            name: TurnRow.select().where(TurnRow.agent == name).order_by(TurnRow.number.desc()).first() for name in (ADA, BOB)
        }
    assert last[BOB].number == newest[BOB].number
    assert last[ADA].number < newest[ADA].number
    assert last[ADA].outcome is Outcome.OK
