"""Whatever is killed, at whatever instant of a turn: nothing is lost, and nothing is done twice without a word."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from hyperhive.core import agents, doorbell, messages, turns, wishes
from hyperhive.core.model import OPERATOR, Activity, Blocked, EventKind, MessageState, Outcome
from hyperhive.core.tables import AgentRow
from hyperhive.demo.reply import Reply, say, stall, use
from hyperhive.demo.request import Request
from tests.core.hives import set_row
from tests.faults.aftermath import children_of_hub, cli_of, end, harness_of, read, tracebacks
from tests.faults.chance import instants, rounds
from tests.faults.promise import broken
from tests.faults.wrecks import ADA, Wreck, wreck
from tests.support.swarm import PATIENCE

pytestmark = [pytest.mark.box, pytest.mark.claude]

SEND, RECV = "mcp__hyperhive__send", "mcp__hyperhive__recv"
# Questions to the model in a turn of `works` that nobody disturbs.
QUESTIONS = 4


def works(request: Request) -> Reply:
    """A turn that writes, runs a command, waits for mail, and ends."""
    steps = len(_since_prompt(request))
    match steps:
        case 0:
            return use(SEND, to=OPERATOR, body=f"begun {request.number}") + use("Bash", command="sleep 0.05; echo slept")
        case 2:
            return use(RECV, wait_seconds=0.2)
        case 3:
            return use(SEND, to=OPERATOR, body=f"done {request.number}")
        case _:
            return say("done")


def kill_cli(hive: Wreck) -> bool:
    harness = harness_of(hive.hive, "ada")
    return end(cli_of(harness) if harness else None)


def kill_harness(hive: Wreck) -> bool:
    return end(harness_of(hive.hive, "ada"))


def kill_hub(hive: Wreck) -> bool:
    hive.kill_hub()
    hive.start_hub()
    return True


def kill_child(hive: Wreck) -> bool:
    killed = [end(child) for child in children_of_hub(hive.hub_pid)]
    return any(killed)


VICTIMS: dict[str, Callable[[Wreck], bool]] = {
    "the CLI": kill_cli,
    "the harness": kill_harness,
    "the hub": kill_hub,
    "the hub's child": kill_child,
}


def test_nothing_is_lost_whoever_is_killed(home: Path) -> None:
    chance = instants("kills")
    sent: dict[int, str] = {}
    with wreck(home, works) as hive:
        _post(hive, sent, "warm up")
        _settle(hive, sent)
        for count in range(rounds(2)):
            # Each in turn, but never in the same order.
            for who in chance.sample(list(VICTIMS), len(VICTIMS)):
                _strike(hive, sent, who, chance, f"round {count}")
        found = broken(hive, sent)
        if found:
            _tell(hive)
        assert not found
        assert not tracebacks(home)
        assert {hive.message(number).state for number in sent} == {MessageState.ACKNOWLEDGED}


@pytest.mark.parametrize(
    ("variant", "fault"),
    [
        ("acknowledges_at_lease", "did not end well"),
        ("never_marks", "without the mark"),
        ("repeats", "was handed out again after turn 1, which had ended well"),
    ],
)
def test_a_hive_that_breaks_the_promise_is_found_out(home: Path, variant: str, fault: str) -> None:
    # The control of the test above.
    def brain(request: Request) -> Reply:
        return stall("thinking") if request.number == 1 and variant != "repeats" else say("done")

    with wreck(home, brain, variant=variant) as hive:
        sent: dict[int, str] = {}
        _post(hive, sent, "work")
        hive.api.wait_for_requests(1, PATIENCE)
        if variant != "repeats":
            kill_harness(hive)
        _post(hive, sent, "more work")
        hive.turn_ended(2)
        hive.until(lambda: hive.agent("ada").turn.state is Activity.IDLE, "no turn runs")
        found = broken(hive, sent | {4711: "never sent"})
        assert any(fault in sentence for sentence in found), found
        assert "message 4711 was accepted, and is not there" in found


def test_what_a_dead_harness_held_is_found_without_a_new_message(home: Path) -> None:
    with wreck(home, lambda request: stall("thinking") if request.number == 1 else say("done")) as hive:
        sent = hive.send("ada", "work")
        hive.api.wait_for_requests(1, PATIENCE)
        assert kill_harness(hive)
        done = hive.ended(sent.number)
        assert (done.state, done.attempt) == (MessageState.ACKNOWLEDGED, 0)
        assert hive.outcomes() == [Outcome.LOST, Outcome.OK]
        assert "handed out before" in hive.api.requests[-1].prompt


@pytest.mark.parametrize("boot", ["this one", "another"])
def test_a_harness_that_ended_with_the_machine_is_told_apart_from_one_that_died(boot: str, home: Path) -> None:
    with wreck(home, lambda request: say("done")) as hive:
        hive.ended(hive.send("ada", "work").number)
        hive.until(lambda: hive.agent("ada").turn.state is Activity.IDLE, "no turn runs")
        assert kill_harness(hive)
        if boot == "another":
            set_row(hive.hive, ADA, boot=boot)
        hive.ended(hive.send("ada", "more work").number)
        notes = [event.data["text"] for event in hive.events(kind=EventKind.NOTE)]
        died = "the harness before this one died; what it held comes again"
        assert (died in notes) is (boot == "this one")
        assert ("The machine was started anew." in hive.api.requests[-1].prompt) is (boot == "another")


def test_an_agent_whose_harness_dies_again_and_again_is_held_back(home: Path) -> None:
    with wreck(home, mode="waits") as hive:
        sent = hive.send("ada", "work")
        for epoch in range(1, turns.CRASHES + 1):
            hive.until(partial(_is_in_turn, hive, epoch), f"turn {epoch} runs")
            assert kill_harness(hive)
            _be_patient_no_longer(hive)
        hive.until(lambda: hive.agent("ada").blocked is Blocked.CRASHED and not hive.has_harness("ada"), "it is held back")
        assert hive.outcomes() == [Outcome.LOST] * turns.CRASHES
        told = ["container_crash:"] * turns.CRASHES + ["crashed:"]
        assert [notice.body.partition(" ")[0] for notice in hive.inbox()] == told
        assert hive.message(sent.number).attempt == 0
        # The operator lets it try again, and nothing was lost.
        hive.use("good")
        agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED


def test_a_harness_that_outlives_the_hub_works_on_with_the_next_one(home: Path) -> None:
    # As where systemd keeps harnesses: nobody ends this one with the hub.
    with wreck(home, works, up=False, linger_seconds=60) as hive:
        sent: dict[int, str] = {}
        _post(hive, sent, "before")
        own = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "harness", "ada"], env=hive.environment, stdin=subprocess.DEVNULL
        )
        try:
            hive.until(lambda: hive.has_harness("ada"), "it waits for a hub")
            hive.start_hub()
            _settle(hive, sent)
            hive.kill_hub()
            _post(hive, sent, "while no hub was there")
            hive.start_hub()
            _settle(hive, sent)
            hive.kill_hub()
            hive.start_hub()
            _post(hive, sent, "after the second")
            _settle(hive, sent)
            assert not broken(hive, sent)
            assert not tracebacks(home)
            assert hive.outcomes() == [Outcome.OK] * 3
            assert len({turn.conversation for turn in hive.turns()}) == 1
        finally:
            own.terminate()
            own.wait(PATIENCE)


@pytest.mark.parametrize("way", ["killed", "cancelled"])
def test_a_recv_that_waits_when_its_turn_ends_takes_nothing_afterwards(home: Path, way: str) -> None:
    def brain(request: Request) -> Reply:
        return use(RECV, wait_seconds=170) if request.number == 1 else say("done")

    with wreck(home, brain) as hive:
        hive.send("ada", "work")
        hive.until(lambda: hive.events(kind=EventKind.TOOL), "it waits in recv")
        children = children_of_hub(hive.hub_pid)
        assert children
        if way == "killed":
            agents.kill(hive.hive, ADA, by=OPERATOR)
        else:
            # No other turn begins, so that whoever takes the message must be a leftover of this one.
            wishes.cancel(hive.hive, ADA, by=OPERATOR)
            agents.stop(hive.hive, ADA, by=OPERATOR)
        late = hive.send("ada", "who takes this?")
        doorbell.ring(hive.hive.paths, ADA)
        hive.until(lambda: not [pid for pid in children if read(pid, "cmdline")], "the hub's children of that turn have ended")
        found = hive.message(late.number)
        assert (found.state, found.handed_out_at) == (MessageState.PENDING, None)
        agents.start(hive.hive, ADA, by=OPERATOR)
        assert hive.ended(late.number).state is MessageState.ACKNOWLEDGED


def _tell(hive: Wreck) -> None:
    """Print the whole story of an agent, to see how it came to this."""
    for event in hive.events():
        print(f"{event.at:%H:%M:%S.%f} {event.kind} {event.data}"[:300])
    for turn in hive.turns():
        print(f"turn {turn.number} of epoch {turn.epoch}: {turn.outcome}, from {turn.started_at} to {turn.ended_at}")


def _strike(hive: Wreck, sent: dict[int, str], who: str, chance: Random, what: str) -> None:
    """One turn, with a message at its begin and others within it, in which somebody is killed."""
    asked = len(hive.api.requests)
    _post(hive, sent, f"{what}: {who}")
    at = asked + chance.randrange(QUESTIONS + 1)
    hive.until(lambda: len(hive.api.requests) >= at, f"the model was asked {at - asked} times")
    for late in range(chance.randrange(3)):
        _pause(chance.uniform(0, 0.05))
        _post(hive, sent, f"{what}: meanwhile {late}")
    _pause(chance.uniform(0, 0.3))
    killed, begun = VICTIMS[who](hive), time.monotonic()
    asked = len(hive.api.requests)
    if chance.random() < 0.5:
        # Else what was killed has to be found dead without a new message.
        _post(hive, sent, f"{what}: afterwards")
    hive.until(lambda: len(hive.api.requests) > asked or _is_done(hive, sent) or _unblock(hive), f"work goes on without {who}")
    print(f"{what}: {who} {'killed' if killed else 'was not there'}, back at work after {time.monotonic() - begun:.2f} s")
    _settle(hive, sent)


def _post(hive: Wreck, sent: dict[int, str], body: str) -> None:
    sent[hive.send("ada", body).number] = body


def _settle(hive: Wreck, sent: dict[int, str]) -> None:
    """Wait until all that was sent is done with."""
    hive.until(lambda: _is_done(hive, sent) or _unblock(hive), "all messages are done with")
    hive.until(lambda: hive.agent("ada").turn.state is Activity.IDLE, "no turn runs")


def _is_done(hive: Wreck, sent: dict[int, str]) -> bool:
    return all(message.state.is_final for message in messages.changed_since(hive.hive, list(sent)))


def _unblock(hive: Wreck) -> bool:
    """An agent whose tools were lost rests for half a minute; nobody waits for that here."""
    if hive.agent("ada").blocked is Blocked.LIMITED:
        agents.start(hive.hive, ADA, by=OPERATOR)
    assert hive.agent("ada").blocked is not Blocked.CRASHED
    return False


def _is_in_turn(hive: Wreck, number: int) -> bool:
    current = turns.current(hive.hive, ADA)
    return current is not None and current.turn == number


def _be_patient_no_longer(hive: Wreck) -> None:
    """Nobody waits here until the next start is due."""
    hive.until(lambda: not hive.has_harness("ada"), "the harness has ended")
    with hive.hive.db.write():
        AgentRow.update(not_before=None).where(AgentRow.name == ADA).execute()
    doorbell.ring(hive.hive.paths, ADA)


def _pause(seconds: float) -> None:
    """Let some of a turn go by: the instant of the kill is left to chance."""
    time.sleep(seconds)


def _since_prompt(request: Request) -> list[str]:
    """What tools gave back since people last said something; a conversation that was cut begins again."""
    found: list[str] = []
    for message in request.messages:
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for block in blocks:
            if block.get("type") == "tool_result":
                found.append(str(block.get("tool_use_id")))
            elif message.get("role") == "user" and not str(block.get("text", "")).startswith("<system-reminder>"):
                found.clear()
    return found
