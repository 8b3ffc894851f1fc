"""How a command does the same to several things."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from hyperhive.cli import complaints
from hyperhive.core.errors import HyperhiveError

T = TypeVar("T")


def each(things: Sequence[T], act: Callable[[T], int | None]) -> None:
    """Do it to each; what fails for one is said and does not keep the others, and the first failure is the exit code.

    `act` may give back an exit code itself, having said why.
    """
    code = 0
    for thing in dict.fromkeys(things):
        try:
            ended = act(thing) or 0
        except HyperhiveError as error:
            if len(things) == 1 or error.exit_code == HyperhiveError.exit_code:
                raise
            complaints.say(error)
            ended = error.exit_code
        code = code or ended
    if code:
        sys.exit(code)
