"""Who may send what to whom, and what a message's way looks like from outside."""

from datetime import timedelta

import pytest

from hyperhive.core import leases, messages, notices, turns
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.builds import write_build
from hyperhive.core.errors import Conflict, Denied, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Flavor, MessageKind, MessageState, Outcome, Wanted
from hyperhive.core.tables import DATABASE, MessageRow
from tests.core.hives import ADA, BOB, EVE, add_agent, begin, end, one_turn, send, set_row


def configure(hive: Hive, name: AgentName, config: AgentConfig) -> None:
    write_build(hive, name, 1, config)
    set_row(hive, name, deployed=1)


def settings(hive: Hive, text: str) -> None:
    hive.paths.settings.write_text(text, encoding="utf-8")
    hive.__dict__.pop("settings", None)


def told(hive: Hive, who: str = OPERATOR) -> list[str]:
    return [message.body for message in messages.inbox(hive, who) if message.kind is MessageKind.NOTICE]


# ---- what is accepted ----


def test_a_message_is_there_as_it_was_sent(hive: Hive) -> None:
    body = "a line\n\ta tab, ünïcödé 🐝, \x1b[2J"
    sent = send(hive, body)
    assert messages.get(hive, sent.number) == sent
    assert (sent.body, sent.state, sent.attempt, sent.is_again) == (body, MessageState.PENDING, 0, False)


@pytest.mark.parametrize("body", ["", " \n\t", "a\0b", "a\ud800"])
def test_what_is_no_text_is_refused(hive: Hive, body: str) -> None:
    with pytest.raises(Invalid):
        send(hive, body)
    assert messages.inbox(hive, ADA) == []


def test_a_message_is_measured_in_bytes(hive: Hive) -> None:
    assert len(send(hive, "ü" * 32_768).body) == 32_768
    with pytest.raises(Invalid, match="has 65537 bytes, and at most 65536"):
        send(hive, "ü" * 32_768 + "x")


@pytest.mark.parametrize("to", ["adda", "", "Ada", "../ada", "hive", "a\0", "a\ud800", "-x", "a" * 300])
def test_nobody_of_that_name_is_there(hive: Hive, to: str) -> None:
    with pytest.raises(NotFound, match="there is no agent") as missing:
        send(hive, to=to)
    assert len(missing.value.message) < 300
    assert missing.value.message.isascii()


def test_a_name_that_is_nearly_right_is_put_right(hive: Hive) -> None:
    with pytest.raises(NotFound) as missing:
        send(hive, to="adda")
    assert missing.value.hint == "did you mean ada?"


def test_a_destroyed_agent_gets_no_mail_and_sends_none(hive: Hive) -> None:
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    with pytest.raises(NotFound, match="ada was destroyed"):
        send(hive)
    with pytest.raises(Denied, match="ada is no agent any more"):
        send(hive, to=BOB, sender=ADA)


def test_a_stopped_agents_mail_is_kept(hive: Hive) -> None:
    set_row(hive, ADA, wanted=Wanted.STOPPED)
    assert send(hive).state is MessageState.PENDING


def test_an_agent_writes_to_whom_its_configuration_names(hive: Hive) -> None:
    add_agent(hive, EVE)
    configure(hive, ADA, AgentConfig(send_to=("bob",)))
    assert send(hive, to=BOB, sender=ADA).sender == ADA
    for other in (EVE, OPERATOR):
        with pytest.raises(Denied, match=f"ada may not write to {other}") as denied:
            send(hive, to=other, sender=ADA)
        assert denied.value.hint == "it may write to: bob"


def test_an_agent_whose_configuration_cannot_be_read_writes_to_the_operator_alone(hive: Hive) -> None:
    set_row(hive, ADA, deployed=7)
    assert send(hive, to=OPERATOR, sender=ADA).recipient == OPERATOR
    with pytest.raises(Denied):
        send(hive, to=BOB, sender=ADA)


def test_an_agent_that_writes_too_fast_is_told_to_wait(hive: Hive) -> None:
    settings(hive, "limits = { sends_per_minute = 3 }")
    for _ in range(3):
        send(hive, to=BOB, sender=ADA)
    with pytest.raises(Denied, match="ada has sent 3 messages in a minute"):
        send(hive, to=BOB, sender=ADA)
    assert send(hive, to=ADA).number == 4


def test_a_full_inbox_says_how_full_and_notices_do_not_fill_it(hive: Hive) -> None:
    settings(hive, "limits = { inbox = 2 }")
    with hive.db.write():
        for count in range(5):
            notices.notify(hive, [ADA], f"notice {count}")
    send(hive, "one")
    send(hive, "two")
    with pytest.raises(Conflict, match="the inbox of ada is full: 2 messages wait"):
        send(hive, "three")
    # What is on its way in a turn does not wait any more.
    one_turn(hive, Outcome.OK)
    assert send(hive, "three").state is MessageState.PENDING


def test_the_operators_inbox_is_a_full_one_too(hive: Hive) -> None:
    settings(hive, "limits = { inbox = 1 }")
    send(hive, to=OPERATOR, sender=ADA)
    with pytest.raises(Conflict) as full:
        send(hive, to=OPERATOR, sender=BOB)
    assert full.value.hint == "`hyperhive read --all`"


# ---- keys ----


def test_a_key_gives_back_the_first_message_also_when_that_is_done_with(hive: Hive) -> None:
    first = send(hive, key="order-1")
    assert send(hive, key="order-1").number == first.number
    one_turn(hive, Outcome.OK)
    again = send(hive, key="order-1")
    assert (again.number, again.state) == (first.number, MessageState.ACKNOWLEDGED)
    assert len(messages.inbox(hive, ADA, everything=True)) == 1


def test_a_key_that_is_taken_for_something_else_is_a_conflict(hive: Hive) -> None:
    send(hive, "one", key="k")
    for to, body in ((ADA, "two"), (BOB, "one")):
        with pytest.raises(Conflict, match="the key 'k' belongs to message 1"):
            send(hive, body, to=to, key="k")


def test_a_key_is_the_senders_own(hive: Hive) -> None:
    assert send(hive, key="k").number != send(hive, sender=BOB, key="k").number


def test_a_key_holds_also_when_the_inbox_is_full_or_the_sender_too_fast(hive: Hive) -> None:
    settings(hive, "limits = { inbox = 1, sends_per_minute = 1 }")
    first = send(hive, sender=BOB, key="k")
    assert send(hive, sender=BOB, key="k").number == first.number


@pytest.mark.parametrize("key", ["", "k" * 201, "a\nb", "a\0", "\ud800", "\u202e"])
def test_what_cannot_be_a_key_is_refused(hive: Hive, key: str) -> None:
    with pytest.raises(Invalid, match="a key has 1 to 200 characters"):
        send(hive, key=key)


# ---- notices ----


def test_an_equal_notice_that_waits_is_not_said_twice(hive: Hive) -> None:
    for _ in range(3):
        with hive.db.write():
            assert notices.notify(hive, [ADA, OPERATOR, ADA], "news") == [ADA]
    assert told(hive, ADA) == told(hive) == ["news"]
    one_turn(hive, Outcome.OK)
    with hive.db.write():
        notices.notify(hive, [ADA], "news")
    assert told(hive, ADA) == ["news"]


def test_the_managers_hear_and_the_operator_of_managers_and_where_there_is_none(hive: Hive) -> None:
    def watchers(about: str) -> list[str]:
        with hive.db.read():
            return notices.watchers(about)

    assert watchers(ADA) == [OPERATOR]
    boss = add_agent(hive, EVE, flavor=Flavor.MANAGER)
    assert watchers(ADA) == [boss]
    assert watchers(boss) == [OPERATOR]
    set_row(hive, boss, wanted=Wanted.DESTROYED)
    assert watchers(ADA) == [OPERATOR]


# ---- attempts ----


def test_after_the_third_attempt_a_message_is_dead_and_sender_manager_and_operator_are_told(hive: Hive) -> None:
    boss = add_agent(hive, EVE, flavor=Flavor.MANAGER)
    sent = send(hive, "poison", sender=BOB)
    for attempt in (1, 2):
        one_turn(hive, Outcome.FAILED, error="it broke")
        assert (messages.get(hive, sent.number).state, messages.get(hive, sent.number).attempt) == (MessageState.PENDING, attempt)
        assert not told(hive, BOB)
    one_turn(hive, Outcome.FAILED, error="it broke")
    dead = messages.get(hive, sent.number)
    assert (dead.state, dead.attempt, dead.reason) == (MessageState.DEAD, 3, "it broke")
    (said,) = told(hive, BOB)
    assert f"message {sent.number} from bob to ada was given up after 3 attempts" in said
    assert "it broke" in said
    assert told(hive, boss) == told(hive) == [said]
    assert not told(hive, ADA)


def test_a_dead_notice_of_a_death_tells_nobody(hive: Hive) -> None:
    boss = add_agent(hive, EVE, flavor=Flavor.MANAGER)
    send(hive, "poison")
    for _ in range(3):
        one_turn(hive, Outcome.FAILED)
    assert len(told(hive, boss)) == 1
    messages.read(hive, None)
    for _ in range(3):
        one_turn(hive, Outcome.FAILED, name=boss)
    assert not told(hive)
    assert not messages.inbox(hive, boss)


def test_a_message_that_failed_comes_alone_and_the_others_after_it(hive: Hive) -> None:
    for body in "abc":
        send(hive, body)
    assert [message.body for message in one_turn(hive, Outcome.FAILED)] == ["a", "b", "c"]
    assert [[message.body for message in one_turn(hive, Outcome.OK)] for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_recv_leaves_a_message_that_failed_for_a_turn_of_its_own(hive: Hive) -> None:
    send(hive, "a")
    send(hive, "b")
    one_turn(hive, Outcome.FAILED)
    epoch, begun = begin(hive)
    send(hive, "c")
    got = leases.lease_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t")
    assert [message.body for message in got] == ["c"]


def test_a_prompt_holds_64_kib_and_at_least_one_message(hive: Hive) -> None:
    for size in (40_000, 20_000, 10_000, 65_536):
        send(hive, "x" * size)
    epoch = turns.begin_epoch(hive, ADA)
    sizes = []
    while begun := turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c"):
        sizes.append([len(message.body) for message in begun.messages])
        end(hive, epoch, begun.number, Outcome.OK)
    assert sizes == [[40_000, 20_000], [10_000], [65_536]]


# ---- recv ----


def test_recv_gives_nothing_to_a_turn_that_has_ended(hive: Hive) -> None:
    send(hive, "a")
    epoch, begun = begin(hive)
    end(hive, epoch, begun.number, Outcome.OK)
    send(hive, "b")
    for late in ((epoch, begun.number), (epoch + 1, begun.number), (epoch, begun.number + 1)):
        with pytest.raises(Conflict, match="the turn that asked has ended"):
            leases.lease_for_tool(hive, ADA, epoch=late[0], turn=late[1], tool_use="t")
        with pytest.raises(Conflict, match="the turn that asked has ended"):
            leases.waits_for_tool(hive, ADA, epoch=late[0], turn=late[1], tool_use="t")


def test_what_recv_gave_and_nobody_saw_arrive_comes_again_marked_without_an_attempt(hive: Hive) -> None:
    send(hive, "a")
    epoch, begun = begin(hive)
    lost, seen = send(hive, "lost"), None
    leases.lease_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t1")
    seen = send(hive, "seen")
    leases.lease_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t2")
    leases.confirm(hive, ADA, epoch=epoch, tool_use="t2")
    end(hive, epoch, begun.number, Outcome.FAILED)
    after = {number: messages.get(hive, number) for number in (lost.number, seen.number)}
    assert [(one.state, one.attempt, one.is_again) for one in after.values()] == [
        (MessageState.PENDING, 0, True),
        (MessageState.PENDING, 1, True),
    ]


def test_a_call_of_any_name_is_known_again(hive: Hive) -> None:
    send(hive, "a")
    epoch, begun = begin(hive)
    send(hive, "b")
    leases.lease_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="odd \ud83d name")
    (got,) = leases.lease_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="odd \ud83d name")
    assert got.is_again
    leases.confirm(hive, ADA, epoch=epoch, tool_use="odd \ud83d name")
    end(hive, epoch, begun.number, Outcome.OK)
    assert messages.get(hive, got.number).state is MessageState.ACKNOWLEDGED


def test_looking_for_mail_in_vain_disturbs_nobody(hive: Hive) -> None:
    send(hive, "a")
    epoch, begun = begin(hive)
    before = hive.paths.changed.stat().st_mtime_ns
    assert not leases.waits_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t")
    assert hive.paths.changed.stat().st_mtime_ns == before
    send(hive, "b")
    assert leases.waits_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t")


def test_a_look_for_mail_takes_no_longer_for_all_that_was_read(hive: Hive) -> None:
    def steps() -> int:
        """How many steps of its own SQLite takes to look."""
        taken = 0

        def step() -> bool:
            nonlocal taken
            taken += 1
            return False

        with hive.db.read():
            connection = DATABASE.obj.connection()
            connection.set_progress_handler(step, 1)
            leases.waits_for_tool(hive, ADA, epoch=epoch, turn=begun.number, tool_use="t")
            connection.set_progress_handler(None)
        return taken

    send(hive, "a")
    epoch, begun = begin(hive)
    before = steps()
    with hive.db.write():
        columns = "sender, recipient, kind, body, state, epoch, turn, confirmed, attempt, sent_at"
        for state in ("acknowledged", "dead", "cancelled", "expired"):
            DATABASE.execute_sql(
                "WITH RECURSIVE many(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM many WHERE n < 500) "
                f"INSERT INTO message ({columns}) SELECT 'operator', 'ada', 'text', 'x', '{state}', 1, 1, 1, 0, 0 FROM many"
            )
    assert 0 < steps() < before + 50


# ---- the operator reads ----


def test_reading_acknowledges_once(hive: Hive) -> None:
    for body in "abc":
        send(hive, body, to=OPERATOR, sender=ADA)
    assert [message.body for message in messages.read(hive, [2])] == ["b"]
    assert messages.read(hive, [2]) == []
    assert [message.body for message in messages.read(hive, None)] == ["a", "c"]
    assert messages.inbox(hive, OPERATOR) == []
    assert len(messages.inbox(hive, OPERATOR, everything=True)) == 3


@pytest.mark.parametrize("number", [0, -1, 2, 99, 2**63, 10**30])
def test_a_number_that_is_not_in_the_operators_inbox_acknowledges_nothing(hive: Hive, number: int) -> None:
    send(hive, to=OPERATOR, sender=ADA)
    send(hive, to=ADA)
    with pytest.raises(NotFound, match=f"there is no message {number} in your inbox"):
        messages.read(hive, [1, number])
    assert len(messages.inbox(hive, OPERATOR)) == 1


@pytest.mark.parametrize("number", [0, -1, 99, 2**63, 10**30])
def test_there_is_no_message_of_that_number(hive: Hive, number: int) -> None:
    with pytest.raises(NotFound, match=f"there is no message {number}$"):
        messages.get(hive, number)


def test_reading_more_than_a_statement_takes_works(hive: Hive) -> None:
    with hive.db.write():
        for count in range(1200):
            notices.notify(hive, [OPERATOR], f"notice {count}")
    assert len(messages.read(hive, None)) == 1200


def test_the_counts_are_those_of_agents(hive: Hive) -> None:
    send(hive, "a")
    begin(hive)
    send(hive, "b")
    send(hive, to=OPERATOR, sender=ADA)
    with hive.db.read():
        counts = messages.counts()
    assert {name: (mail.pending, mail.delivered, mail.dead) for name, mail in counts.items()} == {ADA: (1, 1, 0)}


# ---- the clock ----


def test_the_rate_forgets_what_was_sent_before_the_clock_was_set_back(hive: Hive) -> None:
    settings(hive, "limits = { sends_per_minute = 1 }")
    sent = send(hive, to=BOB, sender=ADA)
    with hive.db.write():
        MessageRow.update(sent_at=hive.now() + timedelta(days=1)).where(MessageRow.number == sent.number).execute()
    assert send(hive, to=BOB, sender=ADA).number == sent.number + 1


def test_an_odd_name_in_a_senders_place_is_nobody(hive: Hive) -> None:
    with pytest.raises(Denied):
        send(hive, sender="a\ud800")
    assert messages.inbox(hive, ADA) == []
