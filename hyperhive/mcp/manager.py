"""The tools of managers: ask for what the operator or the hub then does, and look at what became of it."""

import time
from contextlib import suppress
from typing import Annotated, Final, Literal

import anyio
from pydantic import Field

from hyperhive.core import approvals as decided
from hyperhive.core import journal, operations, proposals, requests, roster
from hyperhive.core.agent_log import Unit
from hyperhive.core.errors import Conflict, NotFound
from hyperhive.core.journal import Line
from hyperhive.core.letters import QUOTE
from hyperhive.core.model import ApprovalKind, ApprovalState, Flavor, Operation, OperationState, Verb, parse_name
from hyperhive.core.requests import Asked
from hyperhive.core.safe_text import clean
from hyperhive.mcp.seat import Seat
from hyperhive.mcp.tool import Call, seat_of, tool

# How often a call that waits looks whatever it was told, in seconds.
LOOK: Final = 1.0
LIST_MOST: Final = 100
LINES_MOST: Final = 200
# What `approvals` shows of a note, in characters, and what any answer holds, in bytes.
NOTE_MOST: Final = 300
ANSWER_BYTES: Final = 16 * 1024


@tool(changes=True)
async def request_spawn(
    call: Call,
    name: Annotated[str, Field(description="small letters, digits, dashes")],
    reason: Annotated[str, Field(description="for the operator")],
    role: Annotated[str, Field(description="for the agent")] = "",
    model: str | None = None,
    commit: Annotated[str | None, Field(description="of /config/NAME, in place of role and model")] = None,
    manager: bool = False,
) -> str:
    """Ask the operator for a new agent."""
    seat = seat_of(call)
    number = proposals.request_spawn(
        seat.hive,
        parse_name(name),
        by=seat.name,
        reason=reason,
        role=role,
        model=model,
        commit=commit,
        flavor=Flavor.MANAGER if manager else Flavor.WORKER,
    )
    return await _proposed(seat, number)


@tool(changes=True)
async def request_apply_commit(
    call: Call,
    name: str,
    commit: Annotated[str, Field(description="its whole id")],
    reason: Annotated[str, Field(description="for the operator")] = "",
) -> str:
    """Ask the operator to apply a commit of /config/NAME to the agent."""
    seat = seat_of(call)
    return await _proposed(seat, proposals.request(seat.hive, parse_name(name), by=seat.name, commit=commit, reason=reason))


@tool(changes=True)
async def start(call: Call, name: str) -> str:
    """Start an agent, also one that is held back."""
    seat = seat_of(call)
    return await _done(seat, requests.start(seat.hive, parse_name(name), by=seat.name))


@tool(changes=True)
async def stop(call: Call, name: str) -> str:
    """Stop an agent when its turn ends. Its mail waits."""
    seat = seat_of(call)
    return await _done(seat, requests.stop(seat.hive, parse_name(name), by=seat.name))


@tool(changes=True)
async def restart(call: Call, name: str) -> str:
    """Restart an agent when its turn ends. Nothing is lost."""
    seat = seat_of(call)
    return await _done(seat, requests.restart(seat.hive, parse_name(name), by=seat.name))


@tool(changes=True)
async def update(call: Call, name: str) -> str:
    """Renew what an agent stands on, where that is out of date."""
    seat = seat_of(call)
    number = requests.update(seat.hive, parse_name(name), by=seat.name)
    return f"{name} is up to date: there is nothing to do" if number is None else await _done(seat, number)


@tool(changes=False)
async def approvals(call: Call, limit: Annotated[int, Field(description=f"1 to {LIST_MOST}")] = 20) -> str:
    """What you proposed and what became of it, the newest first."""
    seat = seat_of(call)
    coming = [_coming(one) for one in reversed(requests.coming(seat.hive, seat.name))]
    asked = [_asked(one) for one in requests.asked(seat.hive, seat.name, limit=min(max(limit, 1), LIST_MOST))]
    return _first(coming + asked) or "you have asked for nothing"


@tool(changes=False)
async def logs(
    call: Call,
    name: str,
    lines: Annotated[int, Field(description=f"1 to {LINES_MOST}")] = 50,
    unit: Literal["harness", "container", "all"] = "all",
) -> str:
    """The end of an agent's journal: of what drives it, of its container, or of both."""
    seat = seat_of(call)
    agent = parse_name(name)
    with seat.hive.db.read():
        roster.manager(seat.name)
        roster.living(agent)
    units = tuple(Unit) if unit == "all" else (Unit(unit),)
    found = journal.tail(seat.hive, agent, units=units, lines=min(max(lines, 1), LINES_MOST))
    return _last([QUOTE + clean(_line(one)) for one in found]) or f"the journal of {agent} is empty"


TOOLS: Final = (request_spawn, request_apply_commit, start, stop, restart, update, approvals, logs)


_DONE: Final = {Verb.START: "started", Verb.STOP: "stopped", Verb.RESTART: "restarted", Verb.UPDATE: "updated"}


async def _proposed(seat: Seat, number: int) -> str:
    """What became of an operation that proposes."""
    ended = await _ended(seat, number, operations.ANSWER_MOST)
    if ended is None:
        return f"operation {number} waits; `approvals` shows what became of it"
    note = None
    # Its agent may have been purged meanwhile.
    with suppress(NotFound):
        note = decided.get(seat.hive, int(ended.result or 0)).note
    told = f" ({' '.join(clean(note).split())})" if note else ""
    return f"proposal {ended.result} waits for the operator{told}: end your turn, the decision comes as mail"


async def _done(seat: Seat, number: int) -> str:
    """What became of an operation on an agent, where that does not wait for a turn's end."""
    asked = operations.get(seat.hive, number)
    done = f"{asked.agent} is {_DONE[asked.verb]}"
    if requests.waits_for_turn(seat.hive, number):
        return f"{done} when {'your' if asked.agent == seat.name else 'its'} turn ends"
    if await _ended(seat, number, operations.QUICK_MOST) is None:
        return f"operation {number} is on its way: it takes longer, and you hear of it only if it fails"
    return done


async def _ended(seat: Seat, number: int, seconds: float) -> Operation | None:
    """Wait for the end of an operation; None when it takes longer. Raises `Conflict` with why it came to nothing."""
    end = time.monotonic() + seconds
    while True:
        now, news = time.monotonic(), seat.wake.news
        found = operations.get(seat.hive, number)
        match found.state:
            case OperationState.DONE:
                return found
            case OperationState.FAILED | OperationState.EXPIRED:
                raise Conflict(found.error or f"operation {number} came to nothing")
            case OperationState.PENDING | OperationState.RUNNING:
                pass
        if now >= end:
            return None
        with anyio.move_on_after(min(LOOK, end - now)):
            await news.wait()


def _line(one: Line) -> str:
    return f"{one.at:%Y-%m-%d %H:%M:%S} UTC, {one.unit}: {one.line}" if one.at else f"{one.unit}: {one.line}"


def _coming(one: Operation) -> str:
    return f"operation {one.number}: a proposal for {one.agent} is being looked at since {one.asked_at:%Y-%m-%d %H:%M:%S} UTC"


def _asked(one: Asked) -> str:
    """One thing that was asked for, in a line, with the operator's words below it."""
    approval, deployment = one.approval, one.deployment
    what = f"a new {approval.flavor}" if approval.kind is ApprovalKind.SPAWN else "a configuration"
    said = [f"{approval.number}: {what} for {approval.agent}, commit {approval.commit}: {approval.state}"]
    if approval.state is ApprovalState.PENDING:
        said.append(f"since {approval.asked_at:%Y-%m-%d %H:%M:%S} UTC")
    elif approval.decided_at is not None:
        said.append(f"by {approval.decided_by}, {approval.decided_at:%Y-%m-%d %H:%M:%S} UTC")
    if deployment is not None:
        said.append(f"({deployment.outcome or 'on its way'})")
    words = (approval.note or "", deployment.error if deployment and deployment.error else "")
    return "\n".join([" ".join(said), *(QUOTE + line for text in words for line in text[:NOTE_MOST].splitlines())])


def _first(parts: list[str]) -> str:
    """As many as an answer holds, from the first on."""
    kept = _fitting(parts)
    left = len(parts) - len(kept)
    return "\n".join([*kept, *([f"{left} older ones are left out"] if left else [])])


def _last(lines: list[str]) -> str:
    """As many as an answer holds, up to the last."""
    kept = _fitting(lines[::-1])[::-1]
    left = len(lines) - len(kept)
    return "\n".join([*([f"{left} lines before these are left out"] if left else []), *kept])


def _fitting(parts: list[str]) -> list[str]:
    room = ANSWER_BYTES
    for number, part in enumerate(parts):
        room -= len(part.encode()) + 1
        if room < 0:
            return parts[:number]
    return parts
