"""The lines that a build has written, from wherever somebody has read to."""

import os
from typing import Final

import msgspec

from hyperhive.core import building
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

# How much is read at a time, in bytes; every line that is written is shorter.
READ_MOST: Final = 512 * 1024


class Lines(msgspec.Struct, frozen=True):
    """Lines of a build's log; `at` is where the next begins, and `left_out` how many bytes before them were not read."""

    lines: list[str]
    at: int
    left_out: int = 0


def read(hive: Hive, name: AgentName, number: int, *, at: int = 0, most: int = READ_MOST) -> Lines:
    """The lines of deployment `number` from `at` on, whole ones, of at most `most` bytes; none where nothing was written."""
    try:
        with building.log_of(hive, name, number).open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            # A build that is tried again begins its log anew.
            start = at if at <= end else 0
            log.seek(start)
            data = log.read(most)
    except OSError:
        return Lines([], at)
    whole = data.rpartition(b"\n")[0]
    if not whole and len(data) < most:
        return Lines([], start)
    whole = whole or data
    return Lines(whole.decode("utf-8", "replace").split("\n"), min(start + len(whole) + 1, start + len(data)))


def newest(hive: Hive, name: AgentName, number: int, *, most: int) -> Lines:
    """The last lines of deployment `number`, of at most `most` bytes."""
    try:
        end = os.stat(building.log_of(hive, name, number)).st_size
    except OSError:
        return Lines([], 0)
    start = max(0, end - most)
    found = read(hive, name, number, at=start, most=most)
    if not start or not found.lines:
        return found
    # It began somewhere in a line.
    return msgspec.structs.replace(found, lines=found.lines[1:], left_out=start + len(found.lines[0].encode()) + 1)
