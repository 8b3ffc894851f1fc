"""Agents: a row each, and what can be done to one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from flask import Blueprint, render_template, request

from hyperhive.core import agent_toml, applied, awaited, deployments, holding, journal, requests, reviews, roster
from hyperhive.core.agent_log import Unit
from hyperhive.core.agent_view import Agent
from hyperhive.core.errors import Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Activity, AgentName, Blocked, Operation, OperationState, Verb, Wanted, parse_name
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("agents", __name__)

_LINES: Final = 200
WAITS: Final = {
    Verb.START: "waits to start",
    Verb.STOP: "waits to stop",
    Verb.RESTART: "waits to restart",
    Verb.UPDATE: "waits to be rebuilt",
    Verb.DEPLOY: "waits to be deployed",
    Verb.DESTROY: "waits to be destroyed",
}


class Seen(msgspec.Struct, frozen=True):
    """An agent with what was asked for and has not begun, and the numbers of what waits for the operator's decision."""

    agent: Agent
    asked: Operation | None
    waits: tuple[int, ...]

    @property
    def busy(self) -> tuple[str, datetime] | None:
        """What is being done to it, or is going to be, with since when."""
        if self.agent.under_way is not None:
            return self.agent.under_way.what, self.agent.under_way.since
        if self.asked is not None:
            return WAITS[self.asked.verb], self.asked.asked_at
        return None

    @property
    def state(self) -> tuple[str, str]:
        """What it is, in a word, and the tone in which that is said."""
        if self.agent.wanted is Wanted.DESTROYED:
            is_made = self.agent.under_way is not None and self.agent.under_way.verb in holding.MAKES
            return "not there yet" if is_made else "destroyed", "quiet"
        if self.agent.wanted is Wanted.STOPPED:
            return ("stops after its turn", "warn") if self.is_at_work else ("stopped", "quiet")
        match self.agent.blocked:
            case Blocked.LOGIN | Blocked.CRASHED:
                return f"blocked: {self.agent.blocked}", "bad"
            case _:
                return str(self.agent.turn.state), str(self.agent.turn.state)

    @property
    def is_at_work(self) -> bool:
        """A turn of it runs."""
        return self.agent.turn.state not in (Activity.IDLE, Activity.QUEUED)

    @property
    def needs_login(self) -> bool:
        """It cannot work before somebody logs it in."""
        return self.agent.wanted is Wanted.STARTED and not self.agent.logged_in

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it, a line each."""
        kept = [] if self.agent.keeps_events else ["nothing is kept: its events cannot be stored"]
        return [*([self.agent.blocked_reason] if self.agent.blocked_reason else []), *kept, *self.agent.warnings]


def seen(of: Hive, *, waits: Sequence[Operation]) -> Mapping[str, Seen]:
    """Every agent by the key of its row; `waits` is what was asked for of all of them."""
    decisions, asked = awaited.numbers(of), asked_for(waits)
    return {f"agent-{one.name}": Seen(one, asked.get(one.name), tuple(decisions.get(one.name, ()))) for one in roster.listed(of)}


def asked_for(waits: Sequence[Operation]) -> Mapping[str, Operation]:
    """What waits to be done to each agent next, by the agent's name."""
    asked: dict[str, Operation] = {}
    for one in waits:
        if one.state is OperationState.PENDING and one.verb in WAITS:
            asked.setdefault(one.agent, one)
    return asked


@bp.post("/agents/<name>/start")
def start(name: str) -> str:
    """Let it work, also where it was held back."""
    requests.start(hive(), parse_name(name), by=OPERATOR)
    return said()


@bp.post("/agents/<name>/stop")
def stop(name: str) -> str:
    """Stop it when its turn ends."""
    requests.stop(hive(), parse_name(name), by=OPERATOR)
    return said()


@bp.post("/agents/<name>/restart")
def restart(name: str) -> str:
    """Start its programs anew when its turn ends."""
    requests.restart(hive(), parse_name(name), by=OPERATOR)
    return said()


@bp.post("/agents/<name>/update")
def update(name: str) -> str:
    """Build it anew where it stands on something older."""
    return said("" if requests.update(hive(), parse_name(name), by=OPERATOR) else "it is up to date")


@bp.post("/agents/<name>/destroy")
def destroy(name: str) -> str:
    """Take it away, and keep its state."""
    requests.destroy(hive(), parse_name(name), by=OPERATOR)
    return said()


@bp.get("/agents/<name>/logs")
def logs(name: str) -> str:
    """The end of its journal: of one unit, or of all."""
    agent = _known(name)
    return render_template("agents/logs.html", lines=journal.tail(hive(), agent, units=_units(), lines=_LINES))


@bp.get("/agents/<name>/configuration")
def configuration(name: str) -> str:
    """What is applied now, and by which deployment."""
    agent = _known(name)
    try:
        now = reviews.current(hive(), agent)
    except NotFound as error:
        return said(error.message)
    data = applied.read(hive(), agent, now.commit, agent_toml.FILE, most=agent_toml.FILE_MOST)
    return render_template(
        "agents/configuration.html",
        name=agent,
        now=deployments.get(hive(), now.number),
        text=(data or b"").decode("utf-8", "replace"),
    )


def _units() -> Sequence[Unit]:
    asked = request.args.get("unit", "")
    if not asked:
        return tuple(Unit)
    try:
        return (Unit(asked),)
    except ValueError:
        raise Invalid(f"{asked[:40]!a} is no unit of an agent", hint=f"one of {', '.join(Unit)}") from None


def _known(name: str) -> AgentName:
    agent = parse_name(name)
    roster.get(hive(), agent)
    return agent
