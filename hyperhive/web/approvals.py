"""What agents ask to be allowed: proposals with what they change, uses of tools with their exact input."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from flask import Blueprint, render_template, request

from hyperhive.core import approvals, reviews
from hyperhive.core.approvals import Approval
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, ApprovalKind
from hyperhive.web import comparing
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("approvals", __name__)

_ALL: Final = 10_000


def seen(of: Hive) -> tuple[Mapping[str, Approval], Mapping[str, Approval]]:
    """What waits for a decision, by the key of its row: proposals, uses of tools."""
    found = approvals.listed(of, limit=_ALL)
    proposals = {f"approval-{one.number}": one for one in found if one.kind is not ApprovalKind.TOOL}
    return proposals, {f"tool-{one.number}": one for one in found if one.kind is ApprovalKind.TOOL}


@bp.post("/approvals/<int:number>/approve")
def approve(number: int) -> str:
    """Let an agent have what it asked for; the hive carries it out."""
    form = request.form
    approvals.approve(
        hive(), number, by=OPERATOR, commit=form.get("commit") or None, compared_with=form.get("compared_with") or None
    )
    return said()


@bp.post("/approvals/<int:number>/deny")
def deny(number: int) -> str:
    """Refuse it, with a note that reaches the one who asked."""
    approvals.deny(hive(), number, by=OPERATOR, note=request.form.get("note", ""))
    return said()


@bp.get("/approvals/<int:number>/review")
def review(number: int) -> str:
    """All that a proposal changes."""
    found = reviews.review(hive(), number)
    return render_template("approvals/review.html", review=found, compared=comparing.compared(found.comparison))


def given(asked: Approval) -> list[tuple[str, str]]:
    """The input of a tool, name by name; without a name where it has none."""
    try:
        known = msgspec.json.decode(asked.input or "{}")
    except msgspec.DecodeError:
        return [("", asked.input or "")]
    return [(str(key), _text(value)) for key, value in known.items()] if isinstance(known, dict) else [("", _text(known))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
