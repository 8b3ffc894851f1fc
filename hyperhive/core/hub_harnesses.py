"""The harnesses that the hub has started, and how long it waits with one that never reports."""

import time
from typing import Final

from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hub_workers import Workers
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName

# The waits before a harness that ended without ever reporting is started again, in seconds: it may not have come so far
# as to count its start in the database.
HOLD: Final = (1.0, 2.0, 5.0, 15.0, 30.0)


class HubHarnesses:
    """The workers that are harnesses."""

    def __init__(self, workers: Workers, log: Log) -> None:
        self._workers = workers
        self._log = log
        self._held: dict[AgentName, float] = {}
        self._in_vain: dict[AgentName, int] = {}

    @property
    def names(self) -> set[AgentName]:
        """Whose harnesses live."""
        return {AgentName(name) for name in self._workers.names}

    def held_until(self, name: AgentName) -> float:
        """Before this (monotonic) the agent's harness is not started again."""
        return self._held.get(name, 0.0)

    def start(self, name: AgentName) -> None:
        """Start an agent's harness."""
        # Until it reports.
        self._in_vain.setdefault(name, 0)
        try:
            self._workers.start(name)
        except HyperhiveError as error:
            self._log(f"the harness of {name} cannot be started: {error}")
            self._hold(name)

    def has_reported(self, name: AgentName) -> None:
        """It has come so far as to meet the hub."""
        self._held.pop(name, None)
        self._in_vain.pop(name, None)

    def reap(self) -> bool:
        """Notice those that have ended. Says whether there was one: its agent is to be looked at again."""
        ended = self._workers.reap()
        for ended_name, code in ended.items():
            name = AgentName(ended_name)
            if code != 0:
                how = f"was ended by signal {-code}" if code < 0 else f"failed: {code}"
                self._log(f"the harness of {name} {how}")
            if name in self._in_vain:
                if code == 0:
                    # It found another harness, or nothing to do: that is no failure, but asking at once would be a loop.
                    self._in_vain[name] = 0
                self._hold(name)
        return bool(ended)

    def _hold(self, name: AgentName) -> None:
        times = self._in_vain.get(name, 0)
        self._held[name] = time.monotonic() + HOLD[min(times, len(HOLD) - 1)]
        self._in_vain[name] = times + 1
