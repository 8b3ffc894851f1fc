"""An agent's journal: what its harness wrote about itself, and what its container did."""

import heapq
import select
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from hyperhive.core import messages
from hyperhive.core.agent_log import Unit, file_of
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
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
        return journal.newest(unfinished=True)


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
    with Journal(hive, name, units=units, lines=lines, since=since, all_boots=all_boots) as journal:
        journal.begin_to_follow()
        yield journal.newest()
        while True:
            journal.wait()
            if came := journal.more():
                yield came


class Journal:
    """The journal of one agent, opened to be read."""

    def __init__(
        self, hive: Hive, name: AgentName, *, units: Collection[Unit], lines: int, since: datetime | None, all_boots: bool
    ) -> None:
        """Raises `NotFound`, `Invalid`."""
        if not 0 <= lines <= LINES_MOST:
            raise Invalid(f"a journal shows 0 to {LINES_MOST} lines", hint=f"-n {LINES_MOST}")
        with hive.db.read():
            if AgentRow.get_or_none(AgentRow.name == name) is None:
                raise messages.no_such_agent(name)
        self._lines = lines
        self._since = since
        self._folder = hive.paths.agent_log(name)
        boot = None if all_boots else hive.boot()
        self._files = {unit: LogFile(file_of(hive, name, unit), boot=boot) for unit in Unit if unit in units}
        self._watch: Watch | None = None

    def begin_to_follow(self) -> None:
        """Notice from now on that something comes. To be called before the first look, so that nothing falls between."""
        # Most look only once.
        from inotify_simple import flags

        from hyperhive.core.follow import Watch

        self._watch = Watch(self._folder, flags.MODIFY | flags.CREATE | flags.MOVED_TO)

    def newest(self, *, unfinished: bool = False) -> list[Line]:
        """The last lines; also one that is not finished, where nothing more is read. Raises `Unavailable`."""
        found = {
            unit: self._wanted(file.newest() + (file.unfinished() if unfinished else [])) for unit, file in self._files.items()
        }
        return _last(self._merged({unit: _last(written, self._lines) for unit, written in found.items()}), self._lines)

    def more(self) -> list[Line]:
        """What came since. Raises `Unavailable`."""
        return self._merged({unit: self._wanted(file.more()) for unit, file in self._files.items()})

    def filenos(self) -> list[int]:
        """The descriptors that tell of more; none where it has to be looked every now and then."""
        fd = None if self._watch is None else self._watch.fileno()
        return [] if fd is None else [fd]

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
        for file in self._files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _merged(self, found: dict[Unit, list[Written]]) -> list[Line]:
        lines = [[Line(one.at, unit, one.text) for one in written] for unit, written in found.items()]
        # Each in its own order: a clock that was set back makes none of them a mess.
        return list(heapq.merge(*lines, key=lambda one: one.at or _EVER))

    def _wanted(self, written: list[Written]) -> list[Written]:
        since = self._since
        return written if since is None else [one for one in written if one.at is not None and one.at >= since]


def _last(found: list[T], most: int) -> list[T]:
    return found[len(found) - min(most, len(found)) :]
