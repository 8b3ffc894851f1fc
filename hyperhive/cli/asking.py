"""How a command asks the person who typed it."""

import sys

import click

from hyperhive.core.errors import Invalid


def check_somebody_is_there() -> None:
    """Refuse to go on where nobody can answer. Raises `Invalid`."""
    if not sys.stdin.isatty():
        raise Invalid("nobody is there to ask", hint="--yes does it without asking")


def agrees(question: str) -> bool:
    """Ask, and say whether the answer was yes. Raises `Invalid` where nobody can answer."""
    check_somebody_is_there()
    return click.confirm(question, err=True)


def insist(question: str) -> None:
    """Ask, and end the command when the answer is no. Raises `Invalid` where nobody can answer."""
    if not agrees(question):
        raise click.Abort
