"""A difference between two configurations as a page shows it: what an agent may do more, what else, line by line."""

from typing import Final

import msgspec

from hyperhive.core.config_changes import spelled
from hyperhive.core.reviews import Comparison

_TONES: Final = {"+": "added", "-": "removed", "@": "place", " ": "same", "\\": "same"}


class Compared(msgspec.Struct, frozen=True):
    """What an agent may do more, what else changes, which other files, and each line with the tone in which it is shown."""

    grows: list[str]
    others: list[str]
    files: list[str]
    is_readable: bool
    diff: list[tuple[str, str]]


def compared(found: Comparison) -> Compared:
    """The difference between two commits, in words and in lines."""
    changes = found.changes or []
    return Compared(
        grows=[spelled(one) for one in changes if one.grows],
        others=[spelled(one) for one in changes if not one.grows],
        files=found.files,
        is_readable=found.changes is not None,
        diff=lines(found.diff),
    )


def lines(diff: str) -> list[tuple[str, str]]:
    """The lines of a difference, each with the tone in which it is shown."""
    found = []
    in_head = True
    # Only git's own ends of lines: others that are in a file would make lines that it has not.
    for line in diff.removesuffix("\n").split("\n") if diff else ():
        # What names a file begins like a line of one, and ends where the first piece of it begins.
        in_head = not line.startswith("@@") and (in_head or line[:1] not in _TONES)
        found.append(("file" if in_head else _TONES[line[:1]], line.expandtabs(4)))
    return found
