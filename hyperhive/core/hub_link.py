"""A harness's connection to the hub: a byte is a wake, its end means that the harness has ended."""

import os
import socket
from enum import IntFlag
from pathlib import Path
from typing import Final

from hyperhive.core.model import AgentName

WAKE: Final = b"w"
OTHERS_WAIT: Final = b"o"


class Heard(IntFlag):
    """What the hub has said."""

    NOTHING = 0
    WAKE = 1
    OTHERS_WAIT = 2
    GONE = 4


class HubLink:
    """The harness's end. Without a hub it is simply not connected."""

    def __init__(self, path: Path, name: AgentName) -> None:
        self._path = path
        self._name = name
        self._socket: socket.socket | None = None

    @property
    def is_up(self) -> bool:
        """The hub is there."""
        return self._socket is not None

    def fileno(self) -> int:
        """The descriptor to wait for."""
        assert self._socket is not None
        return self._socket.fileno()

    def connect(self) -> bool:
        """Say who this is. Gives back whether there is a hub."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            link.settimeout(2)
            link.connect(os.fspath(self._path))
            link.sendall(f"{self._name}\n".encode())
        except OSError:
            link.close()
            return False
        link.setblocking(False)
        self._socket = link
        return True

    def hear(self) -> Heard:
        """What has been said since the last look."""
        if self._socket is None:
            return Heard.GONE
        heard = Heard.NOTHING
        while True:
            try:
                data = self._socket.recv(64)
            except BlockingIOError:
                return heard
            except OSError:
                data = b""
            if not data:
                self.close()
                return heard | Heard.GONE
            if WAKE in data:
                heard |= Heard.WAKE
            if OTHERS_WAIT in data:
                heard |= Heard.OTHERS_WAIT

    def close(self) -> None:
        """Hang up: the hub looks at the agent again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
