"""What all live pages of the process share: the one that watches the hive, and the places that there are."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hyperhive.core import follow
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log

# So many pages may be open; each holds a thread of the server, which has more than these.
CLIENTS_MOST: Final = 96


class Pulse:
    """Beats whenever something of the hive may have changed. A machine has few inotify instances, so a process has one."""

    def __init__(self, hive: Hive, log: Log) -> None:
        self._hive = hive
        self._log = log
        self._news = threading.Condition()
        self._beats = 0
        self._listeners = 0
        self._runs = False
        self._clients = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have one of the places for open pages. Raises `Unavailable` when there is none left."""
        with self._news:
            if self._clients >= CLIENTS_MOST:
                raise Unavailable(f"{self._clients} pages are open already", hint="close some")
            self._clients += 1
        try:
            yield
        finally:
            with self._news:
                self._clients -= 1

    def looks(self) -> Iterator[None]:
        """Now, then each time that something may have changed, or every few seconds."""
        with self._news:
            self._listeners += 1
        try:
            seen = -1
            while True:
                with self._news:
                    self._see_to_it()
                    while self._beats == seen and self._news.wait(follow.LOOK):
                        pass
                    seen = self._beats
                yield
        finally:
            with self._news:
                self._listeners -= 1

    def _see_to_it(self) -> None:
        if not self._runs:
            self._runs = True
            threading.Thread(target=self._watch, name="pulse", daemon=True).start()

    def _watch(self) -> None:
        try:
            # Whoever looked before this watched is told to look again by its first turn.
            for _ in follow.looks(self._hive):
                with self._news:
                    if not self._listeners:
                        self._runs = False
                        return
                    self._beats += 1
                    self._news.notify_all()
        except Exception:
            self._log.exception("the watcher ended")
            with self._news:
                self._runs = False
