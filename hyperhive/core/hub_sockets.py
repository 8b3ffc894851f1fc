"""The agents' sockets, one each, by which an agent is known; whoever connects is served by a child of the hub."""

import os
import selectors
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.hub_link import OTHERS_WAIT
from hyperhive.core.identity import identity
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName, Wanted
from hyperhive.core.tables import AgentRow


class Child(Protocol):
    """A process that serves one connection to an agent's socket."""

    def wake(self, byte: bytes) -> None:
        """Say something to it, without waiting."""
        ...

    def end(self) -> None:
        """End it at once."""
        ...

    def reap(self) -> bool:
        """Forget it if it has ended, and say whether it has."""
        ...


class Children(Protocol):
    """Makes the processes that serve the agents' connections."""

    def prepare(self) -> None:
        """Do once what every child needs."""
        ...

    def spawn(self, connection: socket.socket, name: AgentName) -> Child | None:
        """Serve a connection in a child; None when the agent has too many. The database must be closed."""
        ...

    def of(self, name: AgentName) -> Sequence[Child]:
        """The living children of an agent."""
        ...


class AgentSockets:
    """The sockets that are open now. `others_wait` is what every new child is told."""

    def __init__(self, hive: Hive, children: Children, selector: selectors.BaseSelector, log: Log) -> None:
        self.others_wait = False
        self._hive = hive
        self._children = children
        self._selector = selector
        self._log = log
        self._listeners: dict[AgentName, tuple[socket.socket, int]] = {}
        self._serving: list[Child] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def reap(self) -> None:
        """Forget the children that have ended."""
        self._serving = [child for child in self._serving if not child.reap()]

    def close(self) -> None:
        """End every child at once, and hear nobody any more."""
        for child in self._serving:
            child.end()
        for listener, _ in self._listeners.values():
            listener.close()

    def open_all(self) -> None:
        """Give every agent a socket that is its own, and take those of agents that are gone away."""
        with self._hive.db.read():
            rows = list(AgentRow.select(AgentRow.name, AgentRow.uid, AgentRow.user).where(AgentRow.wanted != Wanted.DESTROYED))
        living = {AgentName(row.name): row for row in rows}
        for name in [name for name in self._listeners if name not in living]:
            self._close(name)
        for name, row in living.items():
            path = self._hive.paths.agent_socket(name)
            if name in self._listeners:
                with suppress(OSError):
                    if path.lstat().st_ino == self._listeners[name][1]:
                        continue
                self._close(name)
            if not path.parent.is_dir():
                # Its spawn is not so far, and rings when it is.
                continue
            try:
                self._open(name, identity(row.uid, row.user)[1])
            except (OSError, HyperhiveError) as error:
                self._log(f"the socket of {name} cannot be opened: {error}")

    def _open(self, name: AgentName, group: int | None) -> None:
        path = self._hive.paths.agent_socket(name)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind(os.fspath(path))
        # Its folder is the host's own and closed to other agents.
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(0o660)
        listener.listen(32)
        listener.setblocking(False)
        self._listeners[name] = (listener, path.lstat().st_ino)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._admit(name, listener))

    def _close(self, name: AgentName) -> None:
        listener, inode = self._listeners.pop(name)
        self._selector.unregister(listener)
        listener.close()
        path = self._hive.paths.agent_socket(name)
        with suppress(OSError):
            if path.lstat().st_ino == inode:
                path.unlink()

    def _admit(self, name: AgentName, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            child = self._children.spawn(connection, name)
        except HyperhiveError as error:
            self._log(str(error))
            return
        if child is None:
            self._log(f"{name} has too many connections: one was closed")
        else:
            self._serving.append(child)
            if self.others_wait:
                child.wake(OTHERS_WAIT)
