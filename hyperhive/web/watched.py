"""The live pages of agents: one for each that somebody looks at."""

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from hyperhive.core.model import AgentName
from hyperhive.web.live import Board
from hyperhive.web.one_login import Login
from hyperhive.web.stream import Stream

# So many that nobody looks at are kept as they were, for who comes back.
_IDLE_MOST: Final = 8


class Desk(msgspec.Struct, frozen=True):
    """An agent's page: its rows, the stream below them, and its login from there."""

    board: Board
    stream: Stream
    login: Login

    def end(self) -> None:
        """Let all who have it open go."""
        self.board.end()
        self.login.end()


class Watched:
    """Gives all that watch an agent the same page. `make` makes one."""

    def __init__(self, make: Callable[[AgentName], Desk]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._desks: dict[AgentName, Desk] = {}
        self._ended = False

    def of(self, name: AgentName) -> Desk:
        """The page of an agent."""
        with self._lock:
            desk = self._desks.pop(name, None) or self._make(name)
            idle = [one for one, other in self._desks.items() if not other.board.is_open]
            for one in idle[: max(0, len(idle) + 1 - _IDLE_MOST)]:
                del self._desks[one]
            # The newest is the last.
            self._desks[name] = desk
            if self._ended:
                desk.end()
            return desk

    def end(self) -> None:
        """Let every page go; they come back when there is a server again."""
        with self._lock:
            self._ended = True
            for desk in self._desks.values():
                desk.end()
