"""What was deployed in the whole hive, going back to it, and trying again what failed."""

from typing import Final

from flask import Blueprint, render_template, request

from hyperhive.core import build_lines, deploying, deployments, doorbell, meta, reviews
from hyperhive.core.model import OPERATOR, AgentName, parse_name
from hyperhive.web import comparing
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("deployments", __name__)

_NEWEST: Final = 200
_MOST: Final = 1000
# Of a build that is over, in bytes.
_LINES_MOST: Final = 256 * 1024


@bp.get("/deployments")
def log() -> str:
    """The newest entries of the deploy log."""
    return _log(_NEWEST)


@bp.get("/deployments/all")
def whole() -> str:
    """As many of them as are ever shown."""
    return _log(_MOST)


@bp.get("/deployments/<int:number>/build")
def build(number: int) -> str:
    """The end of what a build has printed."""
    one = deployments.get(hive(), number)
    came = build_lines.newest(hive(), AgentName(one.agent), number, most=_LINES_MOST)
    return render_template("operations/build.html", came=came, more=False)


@bp.post("/deployments/<int:number>/again")
def again(number: int) -> str:
    """Queue a deployment that failed once more; the hive carries it out."""
    deploying.again(hive(), number, by=OPERATOR)
    doorbell.ring_hive(hive().paths)
    return said()


@bp.get("/agents/<name>/rollback/<int:number>")
def look_back(name: str, number: int) -> str:
    """What going back to a deployment would change, and the button that does it."""
    agent = parse_name(name)
    target = deploying.earlier(hive(), agent, number)
    now = reviews.current(hive(), agent)
    assert target.commit is not None
    compared = comparing.compared(reviews.compare(hive(), agent, now.commit, target.commit))
    return render_template("repositories/rollback.html", name=agent, target=target, now=now, compared=compared)


@bp.post("/agents/<name>/rollback/<int:number>")
def roll_back(name: str, number: int) -> str:
    """Queue it, over what was shown."""
    new, operation = deploying.roll_back(hive(), parse_name(name), to=number, over=request.form.get("over") or None, by=OPERATOR)
    doorbell.ring_hive(hive().paths)
    return render_template("repositories/queued.html", new=new, operation=operation)


def _log(most: int) -> str:
    found = meta.log(hive(), limit=most)
    return render_template("deployments.html", entries=found, more=len(found) == most < _MOST)
