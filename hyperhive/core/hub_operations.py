"""The hub's part in operations: each that waits is carried out in a process of its own, started here."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from hyperhive.core import deployments, holding, housekeeping, operations, process, publishing
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import OPERATOR, AgentName, Operation

# So many at a time, and so many of one agent's: each is a Python of its own, and what it builds may use much more.
# Those that wait for a turn to end are not counted: they do nothing, and there are no more of them than turns.
MOST: Final = 4
AGENT_MOST: Final = 2
# How soon is tried again what the disk did not take, in seconds.
AGAIN: Final = 2.0
# How often one is started that ends without having begun, and the waits before that, in seconds.
TRIES: Final = 3
PAUSE: Final = 2.0
# How long git is left alone with what it did not take: first, and at most, in seconds.
SETTLE: Final = 60.0
SETTLE_MOST: Final = 3600.0


class HubOperations:
    """The processes that carry out operations, by the number of what they carry out."""

    def __init__(self, hive: Hive, log: Log) -> None:
        self._hive = hive
        self._log = log
        self._processes: dict[int, process.Process] = {}
        self._started: dict[int, Operation] = {}
        self._tries: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._patience = Patience()
        self._known: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """The processes that live."""
        return [child.pid for child in self._processes.values()]

    def look(self) -> float | None:
        """Start what waits and can be done now. Gives back when to look again at the latest (monotonic), or None."""
        now = time.monotonic()
        again: list[float] = []
        try:
            self._tidy(now)
        except HyperhiveError as error:
            # On a full disk the rest goes on all the same.
            self._log(f"what is overdue or dead cannot be ended: {error}")
            again.append(now + AGAIN)
        waiting = [one for one in operations.ready(self._hive) if one.number not in self._processes]
        # No open database crosses a fork.
        self._hive.close()
        again += [pause for one in waiting if (pause := self._not_before.get(one.number, 0.0)) > now]
        for one in waiting:
            if self._not_before.get(one.number, 0.0) <= now and self._has_room(one):
                self._start(one, now)
        return min(again, default=None)

    def reap(self) -> bool:
        """Notice those that have ended. Says whether there was one."""
        ended = {number: child for number, child in self._processes.items() if child.poll() is not None}
        for number, child in ended.items():
            del self._processes[number], self._started[number]
            if child.returncode == holding.Busy.exit_code:
                # Somebody else was faster: it waits on, and that was no failure.
                self._tries[number] -= 1
            if child.returncode < 0:
                self._log(f"operation {number} was ended by signal {-child.returncode}")
        return bool(ended)

    def end(self) -> None:
        """Tell all to end: what they do ends in order, and is failed or comes again."""
        for child in self._processes.values():
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End those that did not."""
        for number, child in self._processes.items():
            self._log(f"operation {number} did not end, and is killed")
            process.end_group(child)
        self._processes.clear()
        self._started.clear()

    def _has_room(self, one: Operation) -> bool:
        if one.verb.waits_for_turn:
            return True
        working = [other for other in self._started.values() if not other.verb.waits_for_turn]
        of_same = sum(other.asked_by == one.asked_by for other in working)
        return len(working) < MOST and (one.asked_by == OPERATOR or of_same < AGENT_MOST)

    def _start(self, one: Operation, now: float) -> None:
        number = one.number
        tries = self._tries[number] = self._tries.get(number, 0) + 1
        if tries > TRIES:
            operations.refuse(self._hive, number, error="the process that was to do it did not come so far")
            return
        # It is gone from what waits as soon as its process has begun it.
        self._not_before[number] = now + PAUSE * tries
        try:
            self._processes[number] = process.start(
                [sys.executable, "-m", "hyperhive", "operate", str(number)], env=process.parented(os.environ), stdout=2, stderr=2
            )
            self._started[number] = one
        except HyperhiveError as error:
            self._log(f"operation {number} cannot be started: {error}")

    def _tidy(self, now: float) -> None:
        """What waited for too long ends; what somebody who died has left half-done is asked to be put right."""
        waiting = operations.waiting(self._hive)
        for line in housekeeping.tidy(self._hive, known=self._known):
            self._log(line)
        # A few at a time: what somebody waits for comes between them.
        unsettled = self._patience.due(publishing.unsettled(self._hive), now)[:MOST]
        if unsettled:
            with self._hive.db.write():
                for name in unsettled:
                    deployments.unsettle(self._hive, name)
        # What was seen in time is this hub's to do: it may have to wait for a place, and the clock may jump.
        self._known = waiting
        for tried in (self._tries, self._not_before):
            for number in tried.keys() - waiting - self._processes.keys():
                del tried[number]
        self._patience.tried(unsettled, now)


class Patience:
    """When what does not succeed is tried again: at first soon, then ever later."""

    def __init__(self) -> None:
        self._tried: dict[AgentName, tuple[float, float]] = {}

    def due(self, names: Sequence[AgentName], now: float) -> list[AgentName]:
        """Those of these that have not been tried for as long as they are to be left alone; `now` is monotonic, in seconds."""
        return [name for name in names if name not in self._tried or now >= sum(self._tried[name])]

    def tried(self, names: Sequence[AgentName], now: float) -> None:
        """These are tried now. One that comes back at once has failed, and waits twice as long the next time."""
        for name in names:
            at, wait = self._tried.get(name, (now, 0.0))
            self._tried[name] = now, min(wait * 2, SETTLE_MOST) if wait > 0 and now - at <= 3 * wait else SETTLE
