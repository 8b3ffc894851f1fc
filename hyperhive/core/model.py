"""The values that everything else is about: names, messages, turns, operations, events."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

import msgspec

from hyperhive.core.errors import Invalid

AgentName = NewType("AgentName", str)
"""An agent's name that has been checked by `parse_name`."""

OPERATOR: Final = "operator"
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
_RESERVED: Final = frozenset({OPERATOR, "hive"})


def parse_name(text: str) -> AgentName:
    """Check a name at the door. Raises `Invalid` for whatever is not an agent's name."""
    if not _NAME.fullmatch(text):
        shown = ascii(text if len(text) <= 40 else text[:40] + "…")
        raise Invalid(
            f"{shown} cannot be an agent's name",
            hint="a name is a lower-case letter, then up to 30 letters, digits and dashes, with no dash at its end",
        )
    if text in _RESERVED:
        raise Invalid(f"the name {text} is taken by hyperhive itself", hint="choose another name")
    return AgentName(text)


class Flavor(StrEnum):
    """What an agent is for."""

    WORKER = "worker"
    MANAGER = "manager"


class Wanted(StrEnum):
    """What the operator wants an agent to be."""

    STARTED = "started"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class Blocked(StrEnum):
    """Why an agent that is wanted gets no turn now."""

    NONE = "none"
    LIMITED = "limited"
    LOGIN = "login"
    CRASHED = "crashed"


class Network(StrEnum):
    """What an agent's container reaches."""

    OPEN = "open"
    NONE = "none"


class Restart(StrEnum):
    """Who starts an agent's container again that crashed: the manager, who is told, or hyperhive always."""

    MANAGER = "manager"
    ALWAYS = "always"


class MessageKind(StrEnum):
    """Who wrote a message: a correspondent, or hyperhive itself."""

    TEXT = "text"
    NOTICE = "notice"


class MessageState(StrEnum):
    """Where a message is on its way."""

    PENDING = "pending"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """It will not be handed out again."""
        return self not in (MessageState.PENDING, MessageState.DELIVERED)


class Outcome(StrEnum):
    """How a turn ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LIMITED = "limited"
    LOGIN = "login"
    OVERLOADED = "overloaded"
    TOOLS_LOST = "tools_lost"
    INTERRUPTED = "interrupted"
    LOST = "lost"

    @property
    def is_attempt(self) -> bool:
        """It counts as a failed attempt of the messages that it held."""
        return self is Outcome.FAILED


class Activity(StrEnum):
    """What an agent is doing, from the host's own record."""

    IDLE = "idle"
    THINKING = "thinking"
    COMPACTING = "compacting"
    WAITING = "waiting"
    QUEUED = "queued"


class Verb(StrEnum):
    """What can be under way on an agent."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    DESTROY = "destroy"
    PURGE = "purge"
    PROPOSE = "propose"
    DEPLOY = "deploy"
    UPDATE = "update"
    PUBLISH = "publish"
    CANCEL = "cancel"
    COMPACT = "compact"
    LEAVE = "leave"

    @property
    def is_for_harness(self) -> bool:
        """A harness takes it, at its next line."""
        return self in (Verb.CANCEL, Verb.COMPACT, Verb.LEAVE)

    @property
    def waits_for_turn(self) -> bool:
        """It lets the turn that its agent is in end first, however long that takes."""
        return self in (Verb.STOP, Verb.RESTART)

    @property
    def under_way(self) -> str:
        """What the agent is said to be doing meanwhile."""
        return {
            Verb.STOP: "stopping",
            Verb.LEAVE: "restarting",
            Verb.CANCEL: "cancelling",
            Verb.COMPACT: "compacting",
            Verb.UPDATE: "rebuilding",
        }.get(self, f"{self.value.removesuffix('e')}ing" if self.value.endswith("e") else f"{self.value}ing")


class OperationState(StrEnum):
    """Where an operation is on its way."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


class ApprovalKind(StrEnum):
    """What an agent asks the operator to allow."""

    SPAWN = "spawn"
    CONFIG = "config"
    TOOL = "tool"


class ApprovalState(StrEnum):
    """How far the operator's decision is."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"


class QuestionOutcome(StrEnum):
    """How a question to the operator ended."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEFAULTED = "defaulted"


class DeploymentOutcome(StrEnum):
    """How a deployment ended."""

    DEPLOYED = "deployed"
    FAILED = "failed"


class Occasion(StrEnum):
    """Why something was deployed, or an agent taken away."""

    SPAWN = "spawn"
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    UPDATE = "update"
    DESTROY = "destroy"
    PURGE = "purge"


class EventKind(StrEnum):
    """What an event in an agent's history tells."""

    PROMPT = "prompt"
    TEXT = "text"
    TOOL = "tool"
    RESULT = "result"
    TURN = "turn"
    STATE = "state"
    NOTE = "note"
    BUILD = "build"
    ASK = "ask"


class Turn(msgspec.Struct, frozen=True):
    """One run of the agent's model over its mail. Costs are US dollars, times UTC."""

    number: int
    agent: str
    epoch: int
    outcome: Outcome | None
    error: str | None
    model: str | None
    conversation: str | None
    cost_usd: float
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    started_at: datetime
    ended_at: datetime | None


class Message(msgspec.Struct, frozen=True):
    """What one correspondent wrote to another, and how far it came."""

    number: int
    sender: str
    recipient: str
    kind: MessageKind
    body: str
    state: MessageState
    attempt: int
    reason: str | None
    sent_at: datetime
    handed_out_at: datetime | None
    ended_at: datetime | None

    @property
    def is_again(self) -> bool:
        """It was handed out before, so the one who reads it may have half done it."""
        return self.handed_out_at is not None


class Operation(msgspec.Struct, frozen=True):
    """A change of an agent that is waited for, under way, or over; `result` is what it brought, where it brings something."""

    number: int
    agent: str
    verb: Verb
    argument: str | None
    asked_by: str
    state: OperationState
    error: str | None
    result: str | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def deployment(self) -> int | None:
        """The number of the deployment that it carries out, where it carries out one and that has a number already."""
        said = {Verb.DEPLOY: self.argument, Verb.UPDATE: self.result}.get(self.verb)
        return int(said) if said else None


class Event(msgspec.Struct, frozen=True):
    """One thing that happened in an agent's turns."""

    number: int
    agent: str
    at: datetime
    kind: EventKind
    data: dict[str, Any]
