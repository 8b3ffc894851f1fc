"""An agent's journal: what its harness wrote about itself, and what its container did."""

import heapq
import select
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import msgspec

from hyperhive.core import messages
from hyperhive.core.agent_log import Unit, file_of, who
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.journald import Entries
from hyperhive.core.journals import kept_by_journald
from hyperhive.core.log_file import LogFile, Written
from hyperhive.core.model import AgentName
from hyperhive.core.tables import AgentRow

if TYPE_CHECKING:
    from hyperhive.core.follow import Watch

T = TypeVar("T")

LINES: Final = 200
LINES_MOST: Final = 5000
_EVER: Final = datetime.min.replace(tzinfo=UTC)


class Line(msgspec.Struct, frozen=True):
    """One line of a journal; `at` is UTC, or None where nobody wrote down when it came."""

    at: datetime | None
    unit: Unit
    line: str


def tail(
    hive: Hive,
    name: AgentName,
    *,
    units: Collection[Unit] = tuple(Unit),
    lines: int = LINES,
    since: datetime | None = None,
    all_boots: bool = False,
) -> list[Line]:
    """The last `lines` lines of an agent's journal, in the order of their times; of this start of the machine alone, or of all.

    Raises `NotFound`, `Invalid` for more than 5000, `Unavailable` when it cannot be read, `Denied` for who may not.
    """
    with Journal(hive, name, units=units, lines=lines, since=since, all_boots=all_boots) as journal:
        return journal.newest()


def follow(
    hive: Hive,
    name: AgentName,
    *,
    units: Collection[Unit] = tuple(Unit),
    lines: int = LINES,
    since: datetime | None = None,
    all_boots: bool = False,
) -> Iterator[list[Line]]:
    """The last lines of an agent's journal, then those that come. Raises as `tail` does."""
    with Journal(hive, name, units=units, lines=lines, since=since, all_boots=all_boots, follows=True) as journal:
        yield journal.newest()
        while True:
            journal.wait()
            if came := journal.more():
                yield came


class Source(Protocol):
    """Where lines of a unit are kept."""

    def newest(self) -> list[Written]:
        """The last ones."""
        ...

    def more(self) -> list[Written]:
        """Those that came since."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Journal:
    """The journal of one agent, opened to be read: its last lines, and where it `follows` those that come."""

    def __init__(
        self,
        hive: Hive,
        name: AgentName,
        *,
        units: Collection[Unit] = tuple(Unit),
        lines: int = LINES,
        since: datetime | None = None,
        all_boots: bool = False,
        follows: bool = False,
    ) -> None:
        """Raises `NotFound`, `Invalid`."""
        if not 0 <= lines <= LINES_MOST:
            raise Invalid(f"a journal shows 0 to {LINES_MOST} lines", hint=f"-n {LINES_MOST}")
        with hive.db.read():
            row = AgentRow.get_or_none(AgentRow.name == name)
            if row is None:
                raise messages.no_such_agent(name)
        self._lines = lines
        self._since = since
        boot = None if all_boots else hive.boot()
        self._sources: list[tuple[Unit, Source]] = []
        for unit in (one for one in Unit if one in units):
            self._sources.append((unit, LogFile(file_of(hive, name, unit), boot=boot, follows=follows)))
            for place in kept_by_journald(hive, row, unit):
                entries = Entries(
                    place.words,
                    who=who(name, unit),
                    lines=lines,
                    since=since,
                    this_boot=not all_boots,
                    is_foreign=place.is_foreign,
                )
                self._sources.append((unit, entries))
        # The watch begins before the first look, so nothing falls between a look and the wait after it.
        self._watch = _watch(hive.paths.agent_log(name)) if follows else None

    def newest(self) -> list[Line]:
        """The last lines. Raises `Unavailable` for what cannot be read, `Denied` for who may not."""
        found = [(unit, _last(self._wanted(source.newest()), self._lines)) for unit, source in self._sources]
        if self._watch is not None:
            for source in self._entries():
                source.follow()
        return _last(_merged(found), self._lines)

    def more(self) -> list[Line]:
        """What came since. Raises as `newest` does."""
        return _merged([(unit, self._wanted(source.more())) for unit, source in self._sources])

    def filenos(self) -> list[int]:
        """The descriptors that tell of more; none where it has to be looked every now and then."""
        fd = None if self._watch is None else self._watch.fileno()
        followed = [source.fileno() for source in self._entries()]
        return [] if fd is None else [fd, *(one for one in followed if one is not None)]

    def wait(self) -> None:
        """Return when there may be more."""
        from hyperhive.core.follow import LOOK, LOOK_BLIND

        fds = self.filenos()
        select.select(fds, [], [], LOOK if fds else LOOK_BLIND)
        self.heard()

    def heard(self) -> None:
        """What was told of is being looked at."""
        if self._watch is not None:
            self._watch.wait(0)

    def close(self) -> None:
        """Close what was opened."""
        if self._watch is not None:
            self._watch.close()
        for _, source in self._sources:
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _entries(self) -> list[Entries]:
        return [source for _, source in self._sources if isinstance(source, Entries)]

    def _wanted(self, written: list[Written]) -> list[Written]:
        since = self._since
        return written if since is None else [one for one in written if one.at is not None and one.at >= since]


def _watch(folder: Path) -> "Watch":
    # Most look only once, and need none of it.
    from inotify_simple import flags

    from hyperhive.core.follow import Watch

    return Watch(folder, flags.MODIFY | flags.CREATE | flags.MOVED_TO)


def _last(found: list[T], most: int) -> list[T]:
    return found[len(found) - min(most, len(found)) :]


def _merged(found: Sequence[tuple[Unit, list[Written]]]) -> list[Line]:
    lines = [[Line(one.at, unit, one.text) for one in written] for unit, written in found]
    # Each in its own order: a clock that was set back makes none of them a mess.
    return list(heapq.merge(*lines, key=lambda one: one.at or _EVER))
