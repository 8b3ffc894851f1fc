"""Operations: what is being done to agents, a row each, with the lines of its build."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from flask import Blueprint, render_template

from hyperhive.core import build_lines, holding, operations
from hyperhive.core.build_lines import Lines
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Operation, OperationState, Verb
from hyperhive.web.here import hive

bp = Blueprint("operations", __name__)

# All that waits or is under way; nobody looks at more.
WAITING_MOST: Final = 10_000
# Among so many of the newest is looked for what has ended.
_ENDED_MOST: Final = 300
# How long something that failed is shown, if nothing of its kind was done to the agent since; and something that was built.
_FAILED: Final = timedelta(days=1)
_BUILT: Final = timedelta(minutes=1)
_BUILDS: Final = (Verb.DEPLOY, Verb.UPDATE)
# How much of a build is shown at first, and sent at a time, in bytes.
_LINES_MOST: Final = 64 * 1024


class Seen(msgspec.Struct, frozen=True):
    """An operation as its row shows it: whether who did it has died, and whether there is a hive that could do it."""

    operation: Operation
    is_dead: bool
    is_up: bool

    @property
    def state(self) -> tuple[str, str]:
        """How far it is, in words, and the tone in which that is said."""
        match self.operation.state:
            case OperationState.PENDING:
                return ("waits", "quiet") if self.is_up else ("waits: the hive is not up", "warn")
            case OperationState.RUNNING if self.is_dead:
                return "its process died", "bad"
            case OperationState.RUNNING:
                return self.operation.verb.under_way, "busy"
            case OperationState.DONE:
                return "done", "good"
            case OperationState.FAILED | OperationState.EXPIRED:
                return str(self.operation.state), "bad"

    @property
    def builds(self) -> bool:
        """It may build something."""
        return self.operation.verb in _BUILDS

    @property
    def can_be_tried_again(self) -> bool:
        """It was a deployment, and failed."""
        return self.operation.verb is Verb.DEPLOY and self.operation.state is OperationState.FAILED


def waiting(of: Hive) -> list[Operation]:
    """What waits or is under way, but for what a harness takes at its next line, oldest first."""
    return [one for one in operations.listed(of, limit=WAITING_MOST) if not one.verb.is_for_harness]


def seen(of: Hive, *, up: bool, waits: Sequence[Operation]) -> Mapping[str, Seen]:
    """What waits (`waits`), is under way, or has just ended, by the key of its row, oldest first."""
    dead = {one.number for one in holding.dead(of)}
    shown = {
        one.number: one for one in (*_ended(of), *waits) if one.verb is not Verb.PUBLISH or one.state is OperationState.FAILED
    }
    return {f"operation-{number}": Seen(shown[number], number in dead, up) for number in sorted(shown)}


@bp.get("/operations/<int:number>/build")
def build(number: int) -> str:
    """The end of what its build has printed."""
    one = operations.get(hive(), number)
    came = Lines([], 0)
    if one.deployment is not None:
        came = build_lines.newest(hive(), AgentName(one.agent), one.deployment, most=_LINES_MOST)
    return _lines("operations/build.html", one, came)


@bp.get("/operations/<int:number>/build/<int:at>")
def more(number: int, at: int) -> str:
    """What it has printed since a page has read to `at`."""
    one = operations.get(hive(), number)
    came = Lines([], 0)
    if one.deployment is not None:
        came = build_lines.read(hive(), AgentName(one.agent), one.deployment, at=at, most=_LINES_MOST)
    return _lines("operations/lines.html", one, came)


def _lines(template: str, one: Operation, came: Lines) -> str:
    # It was looked up before its lines were read: one that was over then has written no more.
    return render_template(template, operation=one, came=came, more=bool(came.lines) or one.ended_at is None)


def _ended(of: Hive) -> list[Operation]:
    now = of.now()
    newest: dict[tuple[str, Verb], Operation] = {}
    for one in operations.listed(of, everything=True, limit=_ENDED_MOST):
        newest[one.agent, one.verb] = one
    return [one for one in newest.values() if one.ended_at is not None and _is_told(one, (now - one.ended_at))]


def _is_told(one: Operation, ago: timedelta) -> bool:
    match one.state:
        case OperationState.DONE:
            return one.verb in _BUILDS and ago < _BUILT
        case _:
            # What was proposed and refused is told to who proposed it, and what a harness was asked for has ended with it.
            return not one.verb.is_for_harness and one.verb is not Verb.PROPOSE and ago < _FAILED
