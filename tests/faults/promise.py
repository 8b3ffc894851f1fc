"""The promise, checked from the outside: what was accepted, what the database says, and what the model was really asked.

*A message that `send` accepted is on disk. It reaches at least one turn that ends well, or it ends visibly as dead,
cancelled or expired. It is never handed out again after its turn was acknowledged. Order from one sender to one recipient
is kept on first delivery. What is handed out a second time is marked.*
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hyperhive.core.model import EventKind, MessageState, Outcome
from hyperhive.core.tables import MessageRow, TurnRow
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm

# Only hyperhive's own lines begin so: each line of a body is quoted.
LETTER = re.compile(r"^(?:message|notice) (\d+) from ([\w-]+), [-:\d ]+ UTC( \(handed out before: .*\))?:$", re.MULTILINE)
ACCEPTED = re.compile(r"^sent as message (\d+)$")
# The database keeps whole milliseconds.
GRAIN = timedelta(milliseconds=2)


@dataclass(frozen=True)
class Given:
    """The model, or the CLI that was about to ask it, had this message before it."""

    number: int
    at: datetime
    is_marked: bool


def broken(hive: Swarm, sent: dict[int, str], *, name: str = "ada") -> list[str]:
    """What of the promise does not hold, one sentence each, once nothing is under way any more.

    `sent` are the messages that were accepted for the agent, by number.
    """
    with hive.hive.db.read():
        rows = {row.number: row for row in MessageRow.select()}
        turns = {row.number: row for row in TurnRow.select().where(TurnRow.agent == name)}
    asked = [given for request in hive.api.requests for given in _given(request)]
    handed = [
        given
        for event in hive.events(name)
        if event.kind in (EventKind.PROMPT, EventKind.RESULT)
        for given in _letters(str(event.data["text"]), event.at)
    ]
    return [
        *_lost(rows, sent),
        *_said_and_lost(rows, hive.api.requests, name),
        *_unread(rows, turns, asked, name),
        *_again(rows, turns, [*asked, *handed]),
        *_unmarked(asked, turns),
        *_unmarked(handed, turns),
        *_disordered(rows, [*asked, *handed]),
    ]


def _lost(rows: dict[int, MessageRow], sent: dict[int, str]) -> Iterator[str]:
    for number, body in sent.items():
        row = rows.get(number)
        if row is None or row.body != body:
            yield f"message {number} was accepted, and is not there"
        elif row.state is MessageState.DELIVERED:
            yield f"message {number} was handed out, and its turn never ended"


def _said_and_lost(rows: dict[int, MessageRow], requests: tuple[Request, ...], name: str) -> Iterator[str]:
    for result in {result for request in requests for result in request.all_results}:
        found = ACCEPTED.match(result.text)
        if found and not ((row := rows.get(int(found[1]))) and row.sender == name):
            yield f"the model was told that its message {found[1]} was accepted, and it is not there"


def _unread(rows: dict[int, MessageRow], turns: dict[int, TurnRow], asked: list[Given], name: str) -> Iterator[str]:
    for row in rows.values():
        if row.recipient != name or row.state is not MessageState.ACKNOWLEDGED:
            continue
        turn = turns.get(row.turn or 0)
        if turn is None or turn.outcome is not Outcome.OK or turn.ended_at is None:
            yield f"message {row.number} is acknowledged, and its turn {row.turn} did not end well"
        elif not any(
            given.number == row.number and turn.started_at - GRAIN <= given.at <= turn.ended_at + GRAIN for given in asked
        ):
            yield f"message {row.number} is acknowledged, and the model was not given it in turn {turn.number}"


def _again(rows: dict[int, MessageRow], turns: dict[int, TurnRow], given: list[Given]) -> Iterator[str]:
    for one in given:
        row = rows.get(one.number)
        if row is not None and row.state is MessageState.ACKNOWLEDGED and row.ended_at and one.at > row.ended_at + GRAIN:
            yield f"message {one.number} was handed out again after it was acknowledged"
    for number in {one.number for one in given}:
        *earlier, _ = sorted({_turn_at(turns, one.at) or 0 for one in given if one.number == number})
        for turn in earlier:
            if turn and turns[turn].outcome is Outcome.OK:
                yield f"message {number} was handed out again after turn {turn}, which had ended well"


def _unmarked(given: list[Given], turns: dict[int, TurnRow]) -> Iterator[str]:
    first: dict[int, int | None] = {}
    for one in given:
        turn = _turn_at(turns, one.at)
        known = first.setdefault(one.number, turn)
        same = [other for other in given if other.number == one.number and _turn_at(turns, other.at) == turn]
        # A conversation that is taken up again shows the old words beside the new ones.
        if turn != known and not any(other.is_marked for other in same):
            yield f"message {one.number} was handed out in turn {turn}, as in turn {known}, without the mark"


def _disordered(rows: dict[int, MessageRow], given: list[Given]) -> Iterator[str]:
    # What a CLI took with it when it died was handed out all the same.
    latest: dict[str, int] = {}
    seen: set[int] = set()
    for one in sorted(given, key=lambda one: one.at):
        row = rows.get(one.number)
        if row is None or one.number in seen:
            continue
        seen.add(one.number)
        if latest.get(row.sender, 0) > one.number:
            yield f"message {one.number} was first handed out after message {latest[row.sender]} of the same sender"
        latest[row.sender] = max(latest.get(row.sender, 0), one.number)


def _turn_at(turns: dict[int, TurnRow], at: datetime) -> int | None:
    for turn in turns.values():
        if turn.started_at - GRAIN <= at and (turn.ended_at is None or at <= turn.ended_at + GRAIN):
            return int(turn.number)
    return None


def _given(request: Request) -> Iterator[Given]:
    """What was new to the model in this question."""
    # Told by a clock that cannot be set, and written down by one that can.
    at = datetime.now(UTC) - timedelta(seconds=time.monotonic() - request.arrived)
    for text in (request.prompt, *(result.text for result in request.tool_results)):
        yield from _letters(text, at)


def _letters(text: str, at: datetime) -> Iterator[Given]:
    for found in LETTER.finditer(text):
        yield Given(int(found[1]), at, found[3] is not None)
