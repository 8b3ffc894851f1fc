"""Questions that agents ask the operator, each with one end that the asker is told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NoReturn

import msgspec

from hyperhive.core import doorbell, notices, question_limits
from hyperhive.core.columns import from_milliseconds, to_milliseconds
from hyperhive.core.db import next_number
from hyperhive.core.eligibility import SLACK
from hyperhive.core.errors import Conflict, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.messages import NUMBER_MOST
from hyperhive.core.model import AgentName, QuestionOutcome
from hyperhive.core.tables import QuestionRow

ANSWERED: Final = "operator_answered: "
# What the notice repeats of the question, in characters.
REPEATED: Final = 500
# Stands before each line that the asker or the operator wrote, so that none of them passes for the notice's own.
_QUOTE: Final = "> "
_ANY_DUE: Final = (
    "SELECT 1 FROM question WHERE outcome IS NULL AND deadline IS NOT NULL AND (deadline <= ? OR asked_at > ?) LIMIT 1"
)


class Question(msgspec.Struct, frozen=True):
    """A question of an agent; without an outcome it is open. `default` is the answer at the deadline. Times are UTC."""

    number: int
    asker: str
    text: str
    choices: tuple[str, ...]
    choices_only: bool
    default: str | None
    outcome: QuestionOutcome | None
    answer: str | None
    resolved_by: str | None
    asked_at: datetime
    deadline: datetime | None
    resolved_at: datetime | None


def ask(
    hive: Hive,
    *,
    asker: AgentName,
    text: str,
    choices: Sequence[str] = (),
    choices_only: bool = False,
    ttl_seconds: float | None = None,
    default: str | None = None,
) -> Question:
    """Ask the operator; the question is on disk when this returns, and its end comes to the asker as a notice.

    Without `choices_only` the choices are suggestions. After `ttl_seconds` the question ends with the default, or
    without an answer. Raises `Invalid` for what makes no sense, `Denied` for who is no agent or asks too fast,
    `Conflict` when the asker has too many open questions.
    """
    question_limits.check_text("question", text)
    question_limits.check_choices(choices, choices_only)
    question_limits.check_end(choices, choices_only, ttl_seconds, default)
    now = hive.now()
    with hive.db.write(brings_new=True):
        question_limits.check_asker(hive, asker, now)
        number = next_number()
        QuestionRow.insert(
            number=number,
            asker=asker,
            text=text,
            choices=msgspec.json.encode(list(choices)).decode(),
            choices_only=choices_only,
            fallback=default,
            asked_at=now,
            deadline=None if ttl_seconds is None else now + timedelta(seconds=ttl_seconds),
        ).execute()
        question = _question(number)
    if question.deadline is not None:
        # The hub wakes for the next deadline, and this may be it.
        doorbell.ring_hive(hive.paths)
    return question


def answer(hive: Hive, number: int, *, by: str, text: str) -> Question:
    """Answer a question, and wake the asker.

    Raises `NotFound`, `Conflict` when it has ended otherwise, `Invalid` for a text that is none, or none of the choices
    where only these are taken.
    """
    question_limits.check_text("answer", text)
    return _resolve(hive, number, QuestionOutcome.ANSWERED, by=by, answer=text)


def cancel(hive: Hive, number: int, *, by: str) -> Question:
    """End a question without an answer, and wake the asker. Raises `NotFound`, `Conflict` when it has ended otherwise."""
    return _resolve(hive, number, QuestionOutcome.CANCELLED, by=by)


def get(hive: Hive, number: int) -> Question:
    """One question. Raises `NotFound`."""
    resolve_overdue(hive)
    with hive.db.read():
        return _question(number)


def listed(hive: Hive, *, everything: bool = False, limit: int = 1000) -> list[Question]:
    """The open questions, oldest first; with `everything` also the newest `limit` that have ended."""
    resolve_overdue(hive)
    is_open = QuestionRow.outcome.is_null()
    with hive.db.read():
        found = list(QuestionRow.select().where(is_open))
        if everything:
            found.extend(QuestionRow.select().where(~is_open).order_by(QuestionRow.number.desc()).limit(limit))
        return [_question_from(row) for row in sorted(found, key=lambda row: row.number)]


def chosen(question: Question, said: str) -> str:
    """The choice that somebody means by its text, or by its number from 1. Raises `Invalid` with the choices."""
    by_number = question.choices[int(said) - 1] if said in map(str, range(1, len(question.choices) + 1)) else None
    if said in question.choices and by_number not in (None, said):
        # An agent decides what its choices are called: the second one may be called 1.
        raise Invalid(
            f"{said} is one choice of question {question.number} and the number of another",
            hint=f"`hyperhive answer {question.number} {said}` answers with the one that reads so",
        )
    if said in question.choices:
        return said
    if by_number is None:
        _refuse_choice(question, said)
    return by_number


def resolve_overdue(hive: Hive) -> int:
    """End the questions whose deadline has passed, each once, whoever looks first. Gives back how many these were."""
    return _resolve_overdue(hive, hive.now())


def next_due(hive: Hive) -> datetime | None:
    """When the next deadline is, or None."""
    with hive.db.read():
        ((due,),) = hive.db.ask(
            "SELECT min(deadline) FROM question WHERE outcome IS NULL AND deadline > ?", to_milliseconds(hive.now())
        )
    return None if due is None else from_milliseconds(due)


def drop(hive: Hive, name: AgentName) -> None:
    """End the open questions of an agent that is taken away. Within a write."""
    QuestionRow.update(outcome=QuestionOutcome.CANCELLED, resolved_by=notices.SENDER, resolved_at=hive.now()).where(
        QuestionRow.asker == name, QuestionRow.outcome.is_null()
    ).execute()


def _resolve(hive: Hive, number: int, outcome: QuestionOutcome, *, by: str, answer: str | None = None) -> Question:
    # One look at the clock: what is not overdue now is not overdue for this decision.
    now = hive.now()
    _resolve_overdue(hive, now)
    with hive.db.write(brings_new=answer is not None):
        question = _question(number)
        if answer is not None and question.outcome is None and question.choices_only:
            answer = answer.strip()
            if answer not in question.choices:
                _refuse_choice(question, answer)
        ended = _end(hive, number, outcome, by=by, answer=answer, now=now)
        if ended is None:
            raise Conflict(
                f"question {number} is {question.outcome} already: by {question.resolved_by}, {_moment(question.resolved_at)}",
                hint="`hyperhive questions --all` shows how it ended",
            )
    doorbell.ring(hive.paths, AgentName(ended.asker))
    return ended


def _resolve_overdue(hive: Hive, now: datetime) -> int:
    at = to_milliseconds(now)
    late = to_milliseconds(now + SLACK)
    with hive.db.read():
        # Most looks find nothing, and need not queue for a writer's place.
        if not hive.db.ask(_ANY_DUE, at, late):
            return 0
    told: list[AgentName] = []
    with hive.db.write():
        # What was asked in the future was asked before the clock was set back: its time begins again, for nobody
        # knows how much of it is over.
        hive.db.ask(
            "UPDATE question SET deadline = ? + deadline - asked_at, asked_at = ?"
            " WHERE outcome IS NULL AND deadline IS NOT NULL AND asked_at > ?",
            at, at, late,
        )  # fmt: skip
        overdue = list(QuestionRow.select().where(QuestionRow.outcome.is_null(), QuestionRow.deadline <= now))
        for row in overdue:
            outcome = QuestionOutcome.EXPIRED if row.fallback is None else QuestionOutcome.DEFAULTED
            _end(hive, row.number, outcome, by=notices.SENDER, answer=row.fallback, now=now)
            told.append(AgentName(row.asker))
    for name in dict.fromkeys(told):
        doorbell.ring(hive.paths, name)
    return len(overdue)


def _end(hive: Hive, number: int, outcome: QuestionOutcome, *, by: str, answer: str | None, now: datetime) -> Question | None:
    """End a question and put the notice into the asker's inbox; None when it has ended before. Within a write."""
    # Several may decide at once: the WHERE says who was first.
    changed = (
        QuestionRow.update(outcome=outcome, answer=answer, resolved_by=by, resolved_at=now)
        .where(QuestionRow.number == number, QuestionRow.outcome.is_null())
        .execute()
    )
    if not changed:
        return None
    question = _question(number)
    body = f"{ANSWERED}question {number} {_told(question)}"
    notices.notify(hive, [question.asker], body)
    return question


def _told(question: Question) -> str:
    """What the asker hears: how the question ended, what it was, what the answer is."""
    match question.outcome:
        case QuestionOutcome.ANSWERED:
            how, what = f"was answered by {question.resolved_by}.", "The answer:"
        case QuestionOutcome.DEFAULTED:
            how, what = f"defaulted: nobody answered by {_moment(question.deadline)}.", "So your default is the answer:"
        case QuestionOutcome.EXPIRED:
            how, what = f"[expired]: nobody answered by {_moment(question.deadline)}.", ""
        case _:
            how, what = f"[cancelled] by {question.resolved_by}: there will be no answer.", ""
    text = question.text if len(question.text) <= REPEATED else question.text[:REPEATED] + "…"
    lines = [how, "You asked:", *_quoted(text)]
    return "\n".join(lines if question.answer is None else [*lines, what, *_quoted(question.answer)])


def _quoted(text: str) -> list[str]:
    # splitlines knows every end of a line that `letters` makes a line of.
    return [_QUOTE + line for line in text.splitlines()]


def _moment(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant is not None else "now"


def _question(number: int) -> Question:
    row = QuestionRow.get_or_none(QuestionRow.number == number) if 0 < number <= NUMBER_MOST else None
    if row is None:
        raise NotFound(f"there is no question {number}", hint="`hyperhive questions` shows what is asked")
    return _question_from(row)


def _question_from(row: QuestionRow) -> Question:
    return Question(
        number=row.number,
        asker=row.asker,
        text=row.text,
        choices=msgspec.json.decode(row.choices, type=tuple[str, ...]),
        choices_only=row.choices_only,
        default=row.fallback,
        outcome=row.outcome,
        answer=row.answer,
        resolved_by=row.resolved_by,
        asked_at=row.asked_at,
        deadline=row.deadline,
        resolved_at=row.resolved_at,
    )


def _refuse_choice(question: Question, said: str) -> NoReturn:
    from difflib import get_close_matches

    if not question.choices:
        raise Invalid(f"question {question.number} has no choices", hint=f'hyperhive answer {question.number} "…"')
    names = [choice if len(choice) <= 40 else choice[:40] + "…" for choice in question.choices]
    (near, *_) = [*get_close_matches(said[: question_limits.CHOICE_MOST], question.choices, n=1, cutoff=0.5), question.choices[0]]
    raise Invalid(
        f"question {question.number} has these choices: " + ", ".join(f"{at} “{name}”" for at, name in enumerate(names, 1)),
        hint=f"hyperhive answer {question.number} --choice {question.choices.index(near) + 1}",
    )
