"""What the hub has started: a process for each agent that works, or for each operation that is carried out."""

import os
import signal
import sys
from contextlib import suppress
from typing import Protocol

from hyperhive.core import process
from hyperhive.core.log import Log


class Workers(Protocol):
    """Workers of one kind, each known by whom or what it is for: an agent's name, an operation's number."""

    @property
    def names(self) -> set[str]:
        """Those that live, as far as the hub knows."""
        ...

    def start(self, name: str) -> None:
        """Start one. Raises `HyperhiveError` when it cannot be started."""
        ...

    def reap(self) -> dict[str, int]:
        """Those that have ended since the last time, with their exit codes; negative is the signal that ended one."""
        ...

    def ended(self, name: str, status: str) -> None:
        """One has rung as it ended; `status` is how, as systemd says it."""
        ...

    def look(self) -> None:
        """Put right what the hub knows, which may have missed something."""
        ...

    def end(self) -> None:
        """The hub ends: tell those to end in order that cannot outlive it."""
        ...

    def kill(self) -> None:
        """End those at once that were told to end and did not."""
        ...


class Processes:
    """Workers that are the hub's own processes, and end with it."""

    def __init__(self, command: str, log: Log) -> None:
        """`command` is hyperhive's, and takes the name."""
        self._command = command
        self._log = log
        self._living: dict[str, process.Process] = {}

    @property
    def names(self) -> set[str]:
        """Whose processes live."""
        return set(self._living)

    def start(self, name: str) -> None:
        """Start one. Raises `Unavailable`."""
        argv = [sys.executable, "-m", "hyperhive", self._command, name]
        self._living[name] = process.start(argv, env=process.parented(os.environ), stdout=2, stderr=2)

    def reap(self) -> dict[str, int]:
        """Notice those that have ended."""
        ended = {name: code for name, child in self._living.items() if (code := child.poll()) is not None}
        for name in ended:
            del self._living[name]
        return ended

    def ended(self, name: str, status: str) -> None:
        """A unit of an earlier hub's: nobody waits for it."""

    def look(self) -> None:
        """The kernel tells of every end."""

    def end(self) -> None:
        """Tell all to end in order."""
        for child in self._living.values():
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End those that did not."""
        for name, child in self._living.items():
            self._log(f"hyperhive {self._command} {name} did not end, and is killed")
            process.end_group(child)
        self._living.clear()
