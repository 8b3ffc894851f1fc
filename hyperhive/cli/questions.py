"""Commands that show, answer and end what agents ask."""

import click

from hyperhive.cli import notes, render, screen, standard_input, words
from hyperhive.cli.params import CHOICE, QUESTION, as_json, pass_hive
from hyperhive.core import question_limits, roster
from hyperhive.core import questions as core
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, QuestionOutcome
from hyperhive.core.questions import Question

_COLOURS = {None: "yellow", QuestionOutcome.ANSWERED: "green"}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also what was answered, cancelled, or has expired.")
@as_json
@pass_hive
def questions(hive: Hive, everything: bool, as_json: bool) -> None:
    """Show what agents ask you.

    The oldest first.
    """
    found = core.listed(hive, everything=everything)
    if as_json:
        render.json(found)
    elif found:
        for one in found:
            describe(hive, one)
    else:
        screen.talk("there was no question yet" if everything else "no question waits for you")


@click.command()
@click.argument("number", type=QUESTION, metavar="N")
@click.argument("text", required=False)
@click.option("--choice", type=CHOICE, metavar="C", help="One of its choices, by its text or its number.")
@pass_hive
def answer(hive: Hive, number: int, text: str | None, choice: str | None) -> None:
    """Answer an agent's question.

    TEXT of - is read from standard input. The answer wakes the agent.
    """
    if (text is None) == (choice is None):
        raise Invalid("say what you answer: a text, or one of the choices", hint=f'hyperhive answer {number} "…"')
    if choice is not None:
        said = core.chosen(core.get(hive, number), choice)
    else:
        said = standard_input.text(question_limits.TEXT_MOST) if text == "-" else str(text)
    answered = core.answer(hive, number, by=OPERATOR, text=said)
    screen.line(f"question {number} is answered")
    _tell_what_holds_back(hive, answered, "the answer")


@click.command("cancel-question")
@click.argument("number", type=QUESTION, metavar="N")
@pass_hive
def cancel(hive: Hive, number: int) -> None:
    """End an agent's question without an answer.

    The agent is told.
    """
    cancelled = core.cancel(hive, number, by=OPERATOR)
    screen.line(f"question {number} is cancelled")
    _tell_what_holds_back(hive, cancelled, "the notice")


def _tell_what_holds_back(hive: Hive, question: Question, what: str) -> None:
    notes.waits(hive, roster.get(hive, question.asker), what=what)


def describe(hive: Hive, one: Question) -> None:
    """A line about a question, then the asker's words behind the gutter, each part under a line of ours."""
    now = hive.now()
    screen.line(
        (f"{one.number}", "bold"),
        "  ",
        (one.asker, "bold"),
        "  ",
        (f"{words.age(one.asked_at, now)} ago", "dim"),
        "  ",
        (one.outcome.value if one.outcome else "open", _COLOURS.get(one.outcome, "red")),
    )
    screen.quote(one.text)
    if one.choices:
        # Apart from the text, which may well hold another list.
        screen.line("   choices:" if one.choices_only else "   choices, or a text of your own:")
        screen.quote("\n".join(f"{at}. {choice}" for at, choice in enumerate(one.choices, 1)))
    if one.outcome is None and one.deadline is not None:
        _show_deadline(one, words.moment(one.deadline, now))
    if one.outcome is not None and one.resolved_at is not None:
        screen.line(f"   {one.outcome} by {one.resolved_by}, {words.age(one.resolved_at, now)} ago")
    if one.answer is not None:
        screen.quote(one.answer)


def _show_deadline(one: Question, moment: str) -> None:
    if one.default is None:
        screen.line(f"   expires at {moment}")
    elif one.default in one.choices:
        screen.line(f"   without an answer by {moment}: choice {one.choices.index(one.default) + 1}")
    else:
        screen.line(f"   without an answer by {moment}:")
        screen.quote(one.default)
