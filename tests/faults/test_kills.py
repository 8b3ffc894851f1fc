"""Whatever is killed, at whatever instant of a turn: nothing is lost, and nothing is done twice without a word."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hyperhive.core import agents
from hyperhive.core.model import OPERATOR, Blocked, MessageState
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.faults.aftermath import children_of_hub, cli_of, end, harness_of, tracebacks
from tests.faults.chance import instants, rounds
from tests.faults.promise import broken
from tests.faults.wrecks import ADA, Wreck, wreck

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
    return any([end(child) for child in children_of_hub(hive.hub_pid)])


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
        for count in range(rounds(4)):
            # Each in turn, but never in the same order.
            for who in chance.sample(list(VICTIMS), len(VICTIMS)):
                _strike(hive, sent, who, chance, f"round {count}")
        assert not broken(hive, sent)
        assert not tracebacks(home)
        assert {hive.message(number).state for number in sent} == {MessageState.ACKNOWLEDGED}


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
    epoch, asked = hive.agent("ada").epoch, len(hive.api.requests)
    _post(hive, sent, f"{what}: afterwards")
    hive.until(lambda: len(hive.api.requests) > asked or _unblock(hive), "the model is asked again")
    print(f"{what}: {who} {'killed' if killed else 'was not there'}, back at work after {time.monotonic() - begun:.2f} s ({epoch})")
    _settle(hive, sent)


def _post(hive: Wreck, sent: dict[int, str], body: str) -> None:
    sent[hive.send("ada", body).number] = body


def _settle(hive: Wreck, sent: dict[int, str]) -> None:
    """Wait until all that was sent is done with."""
    for number in sent:
        hive.until(lambda number=number: hive.message(number).state.is_final or _unblock(hive), f"message {number} is done with")
    hive.until(lambda: hive.agent("ada").turn.state.value == "idle", "no turn runs")


def _unblock(hive: Wreck) -> bool:
    """An agent whose tools were lost rests for half a minute; nobody waits for that here."""
    if hive.agent("ada").blocked is Blocked.LIMITED:
        agents.start(hive.hive, ADA, by=OPERATOR)
    assert hive.agent("ada").blocked is not Blocked.CRASHED
    return False


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
