"""How somebody watches what changes: one look each time something was committed, or every few seconds."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from inotify_simple import INotify, flags

from hyperhive.core import events, messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, Event, Message

# A change whose sign was lost, or never given, is seen so many seconds later.
LOOK: Final = 5.0
# Without inotify (a machine has 128 instances) it is looked so often.
LOOK_BLIND: Final = 0.5
# Changes that come so close together are one, in milliseconds.
TOGETHER: Final = 10
# So many messages on their way are watched; older ones have been on their way for long.
_WATCHED: Final = 2000
_ALL: Final = 1_000_000


class Watch:
    """Waits until a file, or what lies in a folder, is touched."""

    def __init__(self, path: Path, mask: int) -> None:
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify()
            self._inotify.add_watch(path, mask)
        except OSError:
            self.close()

    def wait(self, seconds: float = LOOK) -> None:
        """Return when there was a touch since the last return, or after `seconds`."""
        if self._inotify is None:
            time.sleep(min(seconds, LOOK_BLIND))
        else:
            self._inotify.read(timeout=round(seconds * 1000), read_delay=TOGETHER)

    def fileno(self) -> int | None:
        """What can be read when there was a touch; None where it has to be looked every now and then."""
        return None if self._inotify is None else self._inotify.fileno()

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def looks(hive: Hive, *, seconds: float | None = None) -> Iterator[None]:
    """Now, then each time that something of the hive may have changed: its database, or an agent's events.

    Ends with a last look after so many seconds, where they are given.
    """
    make(hive.paths.changed)
    until = None if seconds is None else time.monotonic() + seconds
    # The watch begins before the first look, so nothing falls between a look and the wait after it.
    with Watch(hive.paths.changed, flags.ATTRIB) as watch:
        while True:
            yield
            left = LOOK if until is None else until - time.monotonic()
            if left <= 0:
                return
            watch.wait(min(LOOK, left))


def commits(hive: Hive, *, seconds: float | None = None) -> Iterator[None]:
    """Now, then each time that somebody else has changed the database; for so many seconds, where they are given."""
    seen: int | None = None
    for _ in looks(hive, seconds=seconds):
        version = hive.db.version()
        if version != seen:
            seen = version
            yield


def inbox(hive: Hive, recipient: str, *, everything: bool = False) -> Iterator[list[Message]]:
    """What waits for a correspondent (with `everything` also what is done), then what comes. Raises `NotFound`."""
    last: int | None = None
    for _ in commits(hive):
        if last is None:
            with hive.db.read():
                found = messages.inbox(hive, recipient, everything=everything, limit=_ALL)
                newest = messages.flow(hive, limit=1)
            last = max((one.number for one in [*found, *newest]), default=0)
            yield found
            continue
        # What was read before it could be shown has come all the same.
        found = messages.inbox(hive, recipient, everything=True, after=last)
        if found:
            last = found[-1].number
            yield found


def flow(hive: Hive) -> Iterator[list[Message]]:
    """The newest messages between all, then each that comes, and each again whenever it has come further."""
    known: dict[int, Message] = {}
    last = 0
    for _ in commits(hive):
        moved = [one for one in messages.changed_since(hive, list(known)) if _has_moved(known[one.number], one)]
        came = messages.flow(hive, after=last) if last == 0 else messages.flow(hive, after=last, limit=1000)
        for one in [*moved, *came]:
            known[one.number] = one
            if one.state.is_final:
                del known[one.number]
        for number in sorted(known)[:-_WATCHED]:
            del known[number]
        if came:
            last = came[-1].number
        if moved or came:
            yield [*sorted(moved, key=lambda one: one.number), *came]


def answers(hive: Hive, asked: Message) -> Iterator[Message]:
    """What the recipient of a message writes to the operator from then on; at last the message itself, when it is done."""
    last = asked.number
    for _ in commits(hive):
        # In this order: whatever was sent in the turn that ended the message is there when the message is seen as done.
        now = messages.get(hive, asked.number)
        for one in messages.inbox(hive, OPERATOR, everything=True, after=last):
            last = one.number
            if one.sender == asked.recipient:
                yield one
        if now.state.is_final:
            yield now
            return


def history(hive: Hive, name: AgentName, *, newest: int) -> Iterator[list[Event]]:
    """The newest events of an agent, then those that come. Raises `Unavailable` when they cannot be read."""
    last, kept_in = 0, store_of(hive, name)
    first = True
    for _ in looks(hive):
        if store_of(hive, name) != kept_in:
            # Another store, which counts from one.
            last, kept_in = 0, store_of(hive, name)
        found = events.history(hive, name, after=last, limit=newest if first else None)
        first = False
        if found:
            last = found[-1].number
            yield found


def _has_moved(before: Message, now: Message) -> bool:
    return (before.state, before.attempt) != (now.state, now.attempt)


def store_of(hive: Hive, name: AgentName) -> str:
    """Which store an agent's events are in now; another one counts from one."""
    try:
        return events.live_pointer(hive.paths, name).read_text(encoding="utf-8")
    except OSError:
        return ""


def make(path: Path) -> None:
    """Have the file that is touched after each change."""
    # Where it cannot be made there is nothing to watch, and looking every now and then has to do.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
