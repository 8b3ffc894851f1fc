"""Questions: a row each, to be answered or ended."""

from collections.abc import Mapping

from flask import Blueprint, request

from hyperhive.core import questions
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from hyperhive.core.questions import Question
from hyperhive.web.answers import said
from hyperhive.web.here import hive

bp = Blueprint("questions", __name__)


def seen(of: Hive) -> Mapping[str, Question]:
    """Every open question by the key of its row."""
    return {f"question-{one.number}": one for one in questions.listed(of)}


@bp.post("/questions/<int:number>/answer")
def answer(number: int) -> str:
    """Answer it, and wake the asker."""
    questions.answer(hive(), number, by=OPERATOR, text=request.form.get("text", ""))
    return said()


@bp.post("/questions/<int:number>/cancel")
def cancel(number: int) -> str:
    """End it without an answer."""
    questions.cancel(hive(), number, by=OPERATOR)
    return said()
