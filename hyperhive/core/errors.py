"""What can go wrong, as a sentence to a person plus what to type next."""

from collections.abc import Sequence
from typing import ClassVar


class HyperhiveError(Exception):
    """Something that a person can understand went wrong.

    `message` is a sentence without a full stop; `hint` is what to type, or None. `exit_code` and `http_status` are
    what the faces answer with.
    """

    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def whole(self) -> str:
        """The sentence and its hint on one line, for whoever is told both at once."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Invalid(HyperhiveError):
    """The request makes no sense."""

    exit_code = 2
    http_status = 422


class NotFound(HyperhiveError):
    """There is no such agent, message, operation."""

    exit_code = 3
    http_status = 404


class Denied(HyperhiveError):
    """This actor may not do that."""

    exit_code = 4
    http_status = 403


class Conflict(HyperhiveError):
    """It was already decided, it moved, or it exists."""

    exit_code = 5
    http_status = 409


class Expired(HyperhiveError):
    """It was waited for in vain."""

    exit_code = 6
    http_status = 408


class Unavailable(HyperhiveError):
    """The machine lacks something now."""

    exit_code = 7
    http_status = 503


class CommandFailed(HyperhiveError):
    """A program failed: it is shown whole, and can be replayed.

    `argv` is the command, `code` its exit code (negative: the signal that ended it), `output` the end of what it printed.
    """

    exit_code = 8
    http_status = 502

    def __init__(self, argv: Sequence[str], *, code: int, output: str, hint: str | None = None) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.output = output
        ended = f"was ended by signal {-code}" if code < 0 else f"failed with code {code}"
        super().__init__(f"{argv[0]} {ended}", hint=hint)
