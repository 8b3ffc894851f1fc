"""Everything that waits for the operator's decision, in one list."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from hyperhive.core import approvals, questions
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import Expired
from hyperhive.core.hive import Hive
from hyperhive.core.model import ApprovalKind
from hyperhive.core.questions import Question

ABOUT_MOST: Final = 200
_ALL: Final = 100_000
# What says best what a tool is to be used for, the first that is there.
_TELLING: Final = ("command", "file_path", "notebook_path", "url", "query", "pattern", "path", "description", "prompt")


class PendingKind(StrEnum):
    """What kind of decision is waited for."""

    SPAWN = "spawn"
    CONFIG = "config"
    TOOL = "tool"
    QUESTION = "question"


class Pending(msgspec.Struct, frozen=True):
    """One thing that waits: `about` is what it is about, on one line, in the words of whoever asks. Times are UTC."""

    number: int
    kind: PendingKind
    agent: str
    asker: str
    about: str
    deadline: datetime | None
    asked_at: datetime


def listed(hive: Hive, *, agent: str | None = None) -> list[Pending]:
    """All that waits, the oldest first; `agent` picks what is about one agent."""
    found = [
        *(_of_approval(one) for one in approvals.listed(hive, limit=_ALL)),
        *(_of_question(one) for one in questions.listed(hive)),
    ]
    return sorted((one for one in found if agent in (None, one.agent)), key=lambda one: one.number)


def wait(hive: Hive, *, seconds: float | None = None) -> list[Pending]:
    """The same, as soon as anything waits. Raises `Expired` after so many seconds, where they are given."""
    # Watching files is nothing for those who only list.
    from hyperhive.core import follow

    for _ in follow.commits(hive, seconds=seconds):
        if found := listed(hive):
            return found
    raise Expired("nothing came to wait for you", hint="`hyperhive pending --wait` waits without an end")


def about_tool(tool: str, given: str | None) -> str:
    """What a tool is to be used for, on one line; `given` is its input as JSON text."""
    try:
        known = msgspec.json.decode(given or "{}")
    except msgspec.DecodeError:
        known = None
    telling = [known[key] for key in _TELLING if isinstance(known.get(key), str)] if isinstance(known, dict) else []
    return _line(f"{tool}: {telling[0] if telling else given or ''}")


def _of_approval(one: Approval) -> Pending:
    if one.kind is ApprovalKind.TOOL:
        about = about_tool(one.tool or "", one.input)
    else:
        about = _line(one.reason) or (f"a new {one.flavor}" if one.flavor else f"commit {(one.commit or '')[:12]}")
    return Pending(
        number=one.number,
        kind=PendingKind(one.kind.value),
        agent=one.agent,
        asker=one.asker,
        about=about,
        deadline=one.deadline,
        asked_at=one.asked_at,
    )


def _of_question(one: Question) -> Pending:
    return Pending(
        number=one.number,
        kind=PendingKind.QUESTION,
        agent=one.asker,
        asker=one.asker,
        about=_line(one.text),
        deadline=one.deadline,
        asked_at=one.asked_at,
    )


def _line(text: str) -> str:
    line = " ".join(text[: 4 * ABOUT_MOST].split())
    return line if len(line) <= ABOUT_MOST and len(text) <= 4 * ABOUT_MOST else f"{line[: ABOUT_MOST - 1]}…"
