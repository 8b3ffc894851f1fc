"""Puts into a hive what agents do, without a model."""

from typing import Any

from hyperhive.core import agent_log, messages, turns
from hyperhive.core.agent_log import Unit
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, EventKind, Message, Outcome
from hyperhive.core.turns import Usage

USED = Usage(model="claude-opus-5-5", cost_usd=0.0123, input_tokens=1000, output_tokens=200)


def ask(hive: Hive, name: AgentName, body: str = "do it") -> Message:
    """The operator writes to an agent."""
    return messages.send(hive, sender=OPERATOR, to=name, body=body)


def tell(hive: Hive, name: AgentName, body: str) -> Message:
    """An agent writes to the operator."""
    return messages.send(hive, sender=name, to=OPERATOR, body=body)


def turn(
    hive: Hive, name: AgentName, outcome: Outcome = Outcome.OK, *, error: str | None = None, says: str | None = None
) -> None:
    """A turn over all that waits for an agent; with `says` it writes to the operator in it."""
    epoch = turns.begin_epoch(hive, name)
    begun = turns.begin(hive, name, epoch=epoch, model=None, conversation="conversation")
    assert begun is not None
    if says is not None:
        tell(hive, name, says)
    turns.end(hive, name, epoch=epoch, turn=begun.number, outcome=outcome, usage=USED, error=error)
    turns.end_epoch(hive, name, epoch=epoch)


def events(hive: Hive, name: AgentName, *found: tuple[EventKind, dict[str, Any]]) -> None:
    """What a harness writes down."""
    log = EventLog(hive, name)
    for kind, data in found:
        log.add(kind, data, at=hive.now())
    log.close()


def journal(hive: Hive, name: AgentName, *texts: str, unit: Unit = Unit.HARNESS) -> None:
    """What a harness, or something in a container, says about itself."""
    agent_log.open_log(hive, name, unit).lines(texts)
