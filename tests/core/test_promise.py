"""What `send` accepted reaches a turn that ends well or ends visibly, whatever happens in between, in any order."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from typing_extensions import override

from hyperhive.core import agents, leases, messages, spawning, turns, vacuum_rows
from hyperhive.core.errors import Conflict, NotFound
from hyperhive.core.model import OPERATOR, Blocked, Message, MessageState, Outcome
from hyperhive.core.tables import AgentRow, MessageRow
from tests.core.hives import ADA, BOB, add_agent, end, hive_in, row_of, set_row

ENDS = [outcome for outcome in Outcome if outcome is not Outcome.LOST]
TOOLS = st.sampled_from(["use-1", "use-2"])


class Mail(RuleBasedStateMachine):
    """One agent, its mail, and all that its harness and its children do with it."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="hh-promise-"))
        self.hive = hive_in(self.home)
        add_agent(self.hive, BOB)
        spawning.spawn(self.hive, ADA, runtime="host", by=OPERATOR)
        self.accepted: dict[int, tuple[str, str]] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self.handed: dict[int, int] = {}
        self.order: dict[str, list[int]] = {}
        self.failed: dict[int, int] = {}
        # Done with, and how: nothing of it may be handed out again.
        self.over: dict[int, MessageState] = {}
        self.epoch = turns.begin_epoch(self.hive, ADA)
        self.is_destroyed = False
        self.turn: int | None = None
        self.stale: list[tuple[int, int]] = []
        # What the model was given in the turn that runs; what each `recv` call gave it, once its result arrived.
        self.given: set[int] = set()
        self.results: dict[str, set[int]] = {}

    @override
    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.hive.close()
            shutil.rmtree(self.home)

    def finish(self) -> None:
        """From every state the agent can come to rest, and then nothing is on its way."""
        if self.is_destroyed:
            self.spawn_again()
        self.harness_dies()
        while True:
            self.unblock()
            if not self.begin_turn():
                break
            self.end_turn(Outcome.OK, retry=False)
        assert all(message.state.is_final for message in self.all().values())

    # ---- what happens ----

    @rule(
        sender=st.sampled_from([OPERATOR, BOB]),
        body=st.sampled_from(["a", "b", "c" * 40_000]),
        key=st.none() | st.sampled_from("kl"),
    )
    def send(self, sender: str, body: str, key: str | None) -> None:
        try:
            sent = messages.send(self.hive, sender=sender, to=ADA, body=body, key=key)
        except Conflict:
            assert key is not None
            assert self.accepted[self.keys[sender, key]] != (sender, body)
            return
        except NotFound:
            assert self.is_destroyed
            return
        if key is not None:
            assert self.keys.setdefault((sender, key), sent.number) == sent.number
        assert self.accepted.setdefault(sent.number, (sender, body)) == (sender, body)

    @precondition(lambda self: self.turn is None)
    @rule()
    def next_turn(self) -> None:
        self.begin_turn()

    def begin_turn(self) -> bool:
        begun = turns.begin(self.hive, ADA, epoch=self.epoch, model=None, conversation="c")
        if begun is None:
            return False
        self.turn = begun.number
        self.hand_out(begun.messages)
        self.given = {message.number for message in begun.messages}
        if any(message.attempt for message in begun.messages):
            assert len(begun.messages) == 1
        assert len(begun.messages) == 1 or sum(len(message.body) for message in begun.messages) <= leases.BATCH_BYTES
        return True

    @precondition(lambda self: self.turn is not None)
    @rule(tool_use=TOOLS, arrives=st.booleans())
    def recv(self, tool_use: str, arrives: bool) -> None:
        assert self.turn is not None
        if tool_use in self.results:
            return
        got = leases.lease_for_tool(self.hive, ADA, epoch=self.epoch, turn=self.turn, tool_use=tool_use)
        self.hand_out(got)
        if arrives:
            self.results[tool_use] = {message.number for message in got}

    @precondition(lambda self: self.results)
    @rule()
    def harness_reads_the_results(self) -> None:
        for tool_use, numbers in self.results.items():
            leases.confirm(self.hive, ADA, epoch=self.epoch, tool_use=tool_use)
            self.given |= numbers

    @precondition(lambda self: self.turn is not None)
    @rule(outcome=st.sampled_from(ENDS), retry=st.booleans())
    def end_turn(self, outcome: Outcome, retry: bool) -> None:
        assert self.turn is not None
        end(self.hive, self.epoch, self.turn, outcome, retry=retry)
        for number in self.given:
            match outcome:
                case Outcome.OK:
                    self.over[number] = MessageState.ACKNOWLEDGED
                case Outcome.CANCELLED if not retry:
                    self.over[number] = MessageState.CANCELLED
                case Outcome.FAILED:
                    self.failed[number] = self.failed.get(number, 0) + 1
                    if self.failed[number] == leases.ATTEMPTS:
                        self.over[number] = MessageState.DEAD
                case _:
                    pass
        self.turn_is_over()

    @rule()
    def harness_dies(self) -> None:
        """Another takes its place; what the one before held comes again, and counts no attempt."""
        if not self.is_destroyed:
            self.epoch = turns.begin_epoch(self.hive, ADA)
            self.turn_is_over()

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def one_who_is_late_changes_nothing(self, data: st.DataObject) -> None:
        epoch, turn = data.draw(st.sampled_from(self.stale))
        before = self.all()
        with pytest.raises(Conflict):
            end(self.hive, epoch, turn, Outcome.OK)
        with pytest.raises(Conflict):
            leases.lease_for_tool(self.hive, ADA, epoch=epoch, turn=turn, tool_use="late")
        leases.confirm(self.hive, ADA, epoch=epoch, tool_use="late")
        if epoch != self.epoch:
            with pytest.raises(turns.Fenced):
                turns.begin(self.hive, ADA, epoch=epoch, model=None, conversation="c")
        assert self.all() == before

    @rule()
    def unblock(self) -> None:
        if row_of(self.hive, ADA).blocked is not Blocked.NONE:
            set_row(self.hive, ADA, blocked=Blocked.NONE)

    @precondition(lambda self: not self.is_destroyed)
    @rule()
    def destroy(self) -> None:
        agents.destroy(self.hive, ADA, by=OPERATOR)
        self.is_destroyed = True
        for number in self.accepted:
            self.over.setdefault(number, MessageState.EXPIRED)
        self.turn_is_over()

    @precondition(lambda self: self.is_destroyed)
    @rule()
    def spawn_again(self) -> None:
        spawning.spawn(self.hive, ADA, by=OPERATOR)
        self.is_destroyed = False

    def sweep(self) -> None:
        """Whatever has ended is old by now."""
        before = self.hive.now() + timedelta(days=1)
        gone = self.accepted.keys() & self.over.keys()
        assert sum(vacuum_rows.messages(self.hive, before=before)) >= len(gone)
        self.accepted = {number: what for number, what in self.accepted.items() if number not in gone}
        self.keys = {key: number for key, number in self.keys.items() if number not in gone}

    # ---- what must hold ----

    @invariant()
    def everything_that_was_accepted_is_there_as_it_should_be(self) -> None:
        now = self.all()
        assert set(now) == set(self.accepted)
        for number, message in now.items():
            sender, body = self.accepted[number]
            assert (message.sender, message.body) == (sender, body)
            assert message.attempt == self.failed.get(number, 0) <= leases.ATTEMPTS
            if number in self.over:
                assert message.state is self.over[number]
            else:
                assert message.state is MessageState.PENDING or self.turn is not None

    def hand_out(self, got: list[Message]) -> None:
        for message in got:
            assert message.number not in self.over, "it was done with"
            times = self.handed[message.number] = self.handed.get(message.number, 0) + 1
            assert message.is_again == (times > 1), "what is handed out again is marked"
            if times == 1:
                before = self.order.setdefault(message.sender, [])
                assert not before or before[-1] < message.number, "in the order in which it was sent"
                before.append(message.number)

    def turn_is_over(self) -> None:
        if self.turn is not None:
            self.stale.append((self.epoch, self.turn))
        self.turn, self.given, self.results = None, set(), {}

    def all(self) -> dict[int, Message]:
        with self.hive.db.read():
            found = MessageRow.select().where(MessageRow.recipient == ADA, MessageRow.sender != "hive")
            return {row.number: messages.message_from(row) for row in found}


class SweptMail(Mail):
    """The same, in a hive where whatever ended is old, and is swept at any time."""

    @rule()
    def it_is_swept(self) -> None:
        self.sweep()


def explore(examples: int, *, control: bool = False) -> None:
    """Try the machine in many orders; a control looks only for the first failure."""
    run_state_machine_as_test(
        Mail if control else SweptMail,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, database=None, derandomize=control,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate] if control else [Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip


def act(story: Callable[[Mail], object]) -> None:
    """One order of things, told step by step."""
    mail = Mail()
    try:
        story(mail)
        mail.everything_that_was_accepted_is_there_as_it_should_be()
    finally:
        mail.teardown()


def a_call_whose_result_was_lost(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    mail.send(BOB, "b", None)
    mail.recv("use-1", arrives=False)
    mail.end_turn(Outcome.OK, retry=False)


def a_call_that_is_made_again(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    mail.send(BOB, "b", None)
    mail.recv("use-1", arrives=False)
    mail.send(BOB, "c", None)
    mail.recv("use-1", arrives=True)
    mail.harness_reads_the_results()
    mail.end_turn(Outcome.OK, retry=False)


def a_turn_that_was_interrupted(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    mail.end_turn(Outcome.INTERRUPTED, retry=False)
    mail.begin_turn()


def a_harness_that_died(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    mail.harness_dies()


def a_harness_that_was_thought_dead(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    old = (mail.epoch, mail.turn)
    mail.harness_dies()
    with pytest.raises(turns.Fenced):
        turns.begin(mail.hive, ADA, epoch=old[0], model=None, conversation="c")


def a_sweep_while_one_waits_and_one_is_held(mail: Mail) -> None:
    mail.send(BOB, "a", None)
    mail.begin_turn()
    mail.send(BOB, "b", None)
    mail.sweep()
    mail.end_turn(Outcome.OK, retry=False)
    mail.sweep()
    assert len(mail.all()) == 1


def destructive(hive: Any, name: Any, *, epoch: int, turn: int, tool_use: str) -> list[Message]:
    """A `recv` that believes that what it hands out has arrived."""
    got = forgetful(hive, name, epoch=epoch, turn=turn, tool_use=tool_use)
    with hive.db.write():
        MessageRow.update(state=MessageState.ACKNOWLEDGED).where(MessageRow.number.in_([one.number for one in got])).execute()
    return got


def forgetful(hive: Any, name: Any, *, epoch: int, turn: int, tool_use: str) -> list[Message]:
    """A `recv` that gives a call that is made again only what came meanwhile."""
    fresh = (MessageRow.recipient == name) & (MessageRow.state == MessageState.PENDING) & (MessageRow.attempt == 0)
    with hive.db.write():
        return leases._hand_out(hive, leases._next_batch(fresh), epoch=epoch, turn=turn, tool_use=tool_use)


def unmarked(held: Any) -> None:
    """Giving back that forgets that it was handed out."""
    MessageRow.update(state=MessageState.PENDING, epoch=None, turn=None, tool_use=None, handed_out_at=None).where(held).execute()


def unfenced(name: Any, epoch: int) -> AgentRow:
    """A fence that lets everybody through."""
    return AgentRow.get(AgentRow.name == name)


GREEDY = "SELECT number FROM message WHERE sent_at <= ? AND sent_at <= ? LIMIT ?"
BREAKS: dict[str, tuple[Callable[[Mail], object], Any, str, Callable[..., Any] | str]] = {
    "destructive": (a_call_whose_result_was_lost, leases, "lease_for_tool", destructive),
    "forgetful": (a_call_that_is_made_again, leases, "lease_for_tool", forgetful),
    "unmarked": (a_turn_that_was_interrupted, leases, "_put_back", unmarked),
    "lost with its turn": (a_turn_that_was_interrupted, leases, "give_back", lambda name, *, epoch, turn: None),
    "lost with its harness": (a_harness_that_died, leases, "give_back_all", lambda name: None),
    "swept": (a_sweep_while_one_waits_and_one_is_held, vacuum_rows, "_MESSAGES", GREEDY),
    "unfenced": (a_harness_that_was_thought_dead, turns, "_fence", unfenced),
}


def test_the_promise_holds_in_every_order() -> None:
    explore(24)


@pytest.mark.parametrize("broken", BREAKS)
def test_the_promise_holds_in_the_order_that_breaks_a_worse_one(broken: str) -> None:
    act(BREAKS[broken][0])


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_promise_is_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    story, module, function, worse = BREAKS[broken]
    monkeypatch.setattr(module, function, worse)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        act(story)


def test_a_broken_promise_is_found_by_chance_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "lease_for_tool", destructive)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        explore(300, control=True)
