"""What scripts read: each reading command's `--json`, under its name."""

import os
from typing import Final

from flask import Blueprint, Response

from hyperhive.core import (
    access,
    building,
    doctor,
    events,
    journal,
    kept_state,
    messages,
    operations,
    pending,
    questions,
    readings,
    reviews,
    roster,
    turns,
    usage,
)
from hyperhive.core.agent_log import Unit
from hyperhive.core.model import OPERATOR, AgentName, parse_name
from hyperhive.web.answers import data
from hyperhive.web.here import hive
from hyperhive.web.query import Query

bp = Blueprint("api", __name__, url_prefix="/api")

_ALL_UNITS: Final = "all"


@bp.get("/ps")
def ps() -> Response:
    """Who does what; `all`: also those whose state is kept, with how much."""
    query = Query("all")
    everything = query.flag("all")
    found = roster.listed(hive(), everything=everything)
    return data(kept_state.with_sizes(found, kept_state.sizes(hive(), found)) if everything else found)


@bp.get("/show/<target>")
def show(target: str) -> Response:
    """All about an agent, without the values of its variables; or about what has a number."""
    Query()
    if target.isascii() and target.isdigit() and len(target) < 20:
        return data(readings.numbered(hive(), int(target)))
    return data(readings.whole(hive(), parse_name(target)).told(values=False))


@bp.get("/inbox")
@bp.get("/inbox/<name>")
def inbox(name: str | None = None) -> Response:
    """What waits for the operator or an agent; `all`: also what was read."""
    return data(messages.inbox(hive(), parse_name(name) if name else OPERATOR, everything=Query("all").flag("all")))


@bp.get("/messages")
def flow() -> Response:
    """The newest messages between all."""
    Query()
    return data(messages.flow(hive()))


@bp.get("/pending")
def waiting() -> Response:
    """All that waits for the operator's decision."""
    Query()
    return data(pending.listed(hive()))


@bp.get("/questions")
def asked() -> Response:
    """What agents ask; `all`: also what is over."""
    return data(questions.listed(hive(), everything=Query("all").flag("all")))


@bp.get("/operations")
def under_way() -> Response:
    """What is done to agents; `all`: also what is over."""
    return data(operations.listed(hive(), everything=Query("all").flag("all")))


@bp.get("/model/<name>")
def model(name: str) -> Response:
    """The model that was chosen for an agent."""
    Query()
    agent = roster.get(hive(), parse_name(name))
    return data({"name": agent.name, "model": agent.model})


@bp.get("/config/<name>")
def config(name: str) -> Response:
    """What is applied for an agent; `file`: another file of it than agent.toml."""
    agent, file = parse_name(name), Query("file").text("file", building.FILE)
    return data(readings.config(hive(), agent, file, *readings.applied_file(hive(), agent, file)))


@bp.get("/diff/<name>")
@bp.get("/diff/<name>/<int:first>")
@bp.get("/diff/<name>/<int:first>/<int:second>")
def diff(name: str, first: int | None = None, second: int | None = None) -> Response:
    """What lies between two configurations."""
    Query()
    agent = parse_name(name)
    before, after = readings.ends(hive(), agent, first, second)
    return data(readings.difference(before, after, reviews.compare(hive(), agent, before.commit, after.commit)))


@bp.get("/history/<name>")
def history(name: str) -> Response:
    """What an agent was given, and how that went."""
    Query()
    return data(readings.history(hive(), parse_name(name)))


@bp.get("/log")
@bp.get("/log/<name>")
def log(name: str | None = None) -> Response:
    """The newest `n` of what was deployed in the whole hive, or for an agent."""
    newest = Query("n").number("n", 50, least=1, most=1000)
    return data(readings.log(hive(), _agent(name), newest))


@bp.get("/events/<name>")
def told(name: str) -> Response:
    """The newest `n` events of an agent's turns."""
    agent = roster.get(hive(), parse_name(name))
    return data(events.history(hive(), AgentName(agent.name), limit=Query("n").number("n", 100, least=0, most=2**62)))


@bp.get("/logs/<name>")
def logs(name: str) -> Response:
    """The last `n` lines of an agent's journal, of a `unit`, `since`; `all-boots`: also of earlier starts of the machine."""
    query = Query("unit", "n", "since", "all-boots")
    unit = query.choice("unit", _ALL_UNITS, [*map(str, Unit), _ALL_UNITS])
    return data(
        journal.tail(
            hive(),
            parse_name(name),
            units=tuple(Unit) if unit == _ALL_UNITS else (Unit(unit),),
            lines=query.number("n", journal.LINES, least=0, most=journal.LINES_MOST),
            since=query.since("since"),
            all_boots=query.flag("all-boots"),
        )
    )


@bp.get("/turns")
@bp.get("/turns/<name>")
def ended(name: str | None = None) -> Response:
    """How turns ended and what they cost."""
    Query()
    return data(turns.listed(hive(), _agent(name)))


@bp.get("/cost")
@bp.get("/cost/<name>")
def cost(name: str | None = None) -> Response:
    """What agents cost by day, `since`."""
    return data(usage.cost(hive(), _agent(name), Query("since").since("since")))


@bp.get("/sessions")
def sessions() -> Response:
    """Which browsers are logged in, and which tokens hold."""
    Query()
    return data(access.listed(hive()))


@bp.get("/doctor")
def examined() -> Response:
    """What is wrong with this machine."""
    Query()
    return data(list(doctor.examine(os.environ)))


def _agent(name: str | None) -> AgentName | None:
    return None if name is None else parse_name(name)
