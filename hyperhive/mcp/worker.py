"""The tools of every agent: write, read, look around."""

import os
import time
from typing import Annotated, Final

import anyio
import anyio.lowlevel
from pydantic import Field

from hyperhive.core import builds, leases, letters, messages, questions, turns
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_view import Agent
from hyperhive.core.errors import Conflict
from hyperhive.core.model import Blocked
from hyperhive.core.roster import get, listed
from hyperhive.mcp.seat import Seat
from hyperhive.mcp.tool import Call, seat_of, tool

WAIT_MOST: Final = 180.0
# How often a call that waits says that it lives, and looks whatever it was told, in seconds.
PROGRESS: Final = 20.0
# How long a call still waits when other agents wait for this one to end its turn.
OTHERS_MOST: Final = 20.0
LIST_MOST: Final = 100
# What `inbox` shows of each message, in characters.
PREVIEW: Final = 300
OTHERS: Final = "others wait for a place: end your turn, the answer will wake you"
_TOOL_USE_MOST: Final = 200


@tool(changes=True)
async def send(
    call: Call,
    to: Annotated[str, Field(description="an agent's name, or operator")],
    body: str,
    key: Annotated[str | None, Field(description="the same key sends only once, however often you try")] = None,
) -> str:
    """Send a message to an agent or to the operator. It wakes them; their answer will wake you."""
    seat = seat_of(call)
    return f"sent as message {messages.send(seat.hive, sender=seat.name, to=to, body=body, key=key).number}"


@tool(changes=True)
async def recv(
    call: Call, wait_seconds: Annotated[float, Field(description=f"at most {WAIT_MOST:g}; 0 only looks")] = 30.0
) -> str:
    """Take your new messages within this turn, waiting for the first. Only for a short reply that you expect now."""
    seat = seat_of(call)
    current = turns.current(seat.hive, seat.name)
    if current is None:
        raise Conflict("no turn runs, so nothing can be handed out", hint="new mail starts a turn by itself")
    tool_use = _tool_use(call)
    # Not min and max: whatever is no number counts as 0 too.
    wait = WAIT_MOST if wait_seconds > WAIT_MOST else wait_seconds if wait_seconds > 0 else 0.0
    began = time.monotonic()
    end = began + wait
    told = began
    woken = False
    while True:
        news = seat.wake.news
        if await _has_left(seat):
            return "you have hung up"
        # Most looks find nothing. Who was woken finds something, and need not look twice.
        if woken or leases.waits_for_tool(seat.hive, seat.name, epoch=current.epoch, turn=current.turn, tool_use=tool_use):
            handed = leases.lease_for_tool(seat.hive, seat.name, epoch=current.epoch, turn=current.turn, tool_use=tool_use)
            if handed:
                return letters.prompt(handed)
        now = time.monotonic()
        if seat.wake.others_wait:
            end = min(end, now + OTHERS_MOST)
        if now >= end:
            break
        with anyio.move_on_after(min(end, told + PROGRESS) - now):
            await news.wait()
        woken = news.is_set()
        if (now := time.monotonic()) >= told + PROGRESS:
            told = now
            await call.report_progress(round(now - began), wait, "no message yet")
    if seat.wake.others_wait:
        return OTHERS
    return f"no message came in {wait:g} seconds: end your turn, and the next one will wake you" if wait else "no new message"


@tool(changes=False)
async def inbox(call: Call, limit: Annotated[int, Field(description=f"1 to {LIST_MOST}")] = 20) -> str:
    """Look at the oldest messages that wait for you, without taking them."""
    seat = seat_of(call)
    limit = min(max(limit, 1), LIST_MOST)
    found = messages.inbox(seat.hive, seat.name, limit=limit)
    return "\n\n".join(letters.one(message, most=PREVIEW) for message in found) or "nothing waits for you"


@tool(changes=False)
async def whoami(call: Call) -> str:
    """Your name, your flavor, whom you may write to, and your turn."""
    seat = seat_of(call)
    me = get(seat.hive, seat.name)
    config, _ = builds.config_of(seat.hive, seat.name, me.deployed)
    current = turns.current(seat.hive, seat.name)
    turn = f"turn {current.turn}" if current else "no turn runs"
    return f"{me.name}, {me.flavor.value}; may write to {_recipients(config)}; {turn}"


@tool(changes=False)
async def agents(call: Call) -> str:
    """All agents: name, flavor, and what each is doing. The operator is not among them, but may be written to."""
    return "\n".join(f"{agent.name}, {agent.flavor.value}, {_doing(agent)}" for agent in listed(seat_of(call).hive))


@tool(changes=True)
async def ask_operator(
    call: Call,
    text: str,
    choices: list[str] | None = None,
    choices_only: Annotated[bool, Field(description="take no other answer")] = False,
    ttl_seconds: Annotated[float | None, Field(description="then the question expires, or default is the answer")] = None,
    default: str | None = None,
) -> str:
    """Ask the operator for a decision. Comes back at once: end your turn, the answer comes as mail."""
    seat = seat_of(call)
    asked = questions.ask(
        seat.hive,
        asker=seat.name,
        text=text,
        choices=choices or (),
        choices_only=choices_only,
        ttl_seconds=ttl_seconds,
        default=default,
    )
    return f"asked as question {asked.number}; the answer comes as mail and wakes you: end your turn"


TOOLS: Final = (send, recv, inbox, whoami, agents, ask_operator)


async def _has_left(seat: Seat) -> bool:
    """The peer has hung up. What it said before this moment is heard first, so that a call that it cancelled ends here."""
    # A line passes four tasks on its way from the socket to the call that it cancels.
    for _ in range(8):
        await anyio.lowlevel.checkpoint()
    return seat.is_gone()


def _tool_use(call: Call) -> str:
    """What the harness will know this call by; without the agent CLI a name of our own, which nobody confirms."""
    found = (call.request_context.meta or {}).get("claudecode/toolUseId")
    if isinstance(found, str) and 0 < len(found) <= _TOOL_USE_MOST:
        return found
    return f"process {os.getpid()} request {call.request_context.request_id}"[:_TOOL_USE_MOST]


def _recipients(config: AgentConfig) -> str:
    return "everybody" if "*" in config.send_to else ", ".join(config.send_to) or "nobody"


def _doing(agent: Agent) -> str:
    if not agent.running:
        return agent.wanted.value
    if agent.blocked is not Blocked.NONE:
        return "held back"
    return agent.turn.state.value
