"""The hub's part in operations: each that waits is carried out in a process of its own, started here."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from hyperhive.core import deployments, holding, housekeeping, operations, publishing
from hyperhive.core.errors import HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.hub_workers import Workers
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
    """The workers that carry out operations, by the number of what they carry out."""

    def __init__(self, hive: Hive, workers: Workers, log: Log) -> None:
        self._hive = hive
        self._workers = workers
        self._log = log
        self._started: dict[int, Operation] = {}
        self._tries: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._patience = Patience()
        self._known: set[int] = set()

    @property
    def numbers(self) -> set[int]:
        """What is carried out now."""
        return {int(name) for name in self._workers.names if name.isdecimal()}

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
        for number in self.numbers - self._started.keys():
            # An earlier hub started it, and it outlived that one.
            with suppress(NotFound):
                self._started[number] = operations.get(self._hive, number)
        waiting = [one for one in operations.ready(self._hive) if one.number not in self.numbers]
        # No open database crosses a fork.
        self._hive.close()
        again += [pause for one in waiting if (pause := self._not_before.get(one.number, 0.0)) > now]
        for one in waiting:
            if self._not_before.get(one.number, 0.0) <= now and self._has_room(one):
                self._start(one, now)
        return min(again, default=None)

    def reap(self) -> bool:
        """Notice those that have ended. Says whether there was one."""
        ended = self._workers.reap()
        for number, code in ((int(name), code) for name, code in ended.items() if name.isdecimal()):
            self._started.pop(number, None)
            if code == holding.Busy.exit_code and number in self._tries:
                # Somebody else was faster: it waits on, and that was no failure.
                self._tries[number] -= 1
            if code < 0:
                self._log(f"operation {number} was ended by signal {-code}")
        return bool(ended)

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
            self._workers.start(str(number))
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
            for number in tried.keys() - waiting - self.numbers:
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
