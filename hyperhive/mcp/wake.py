"""How a call that waits for mail learns that it is worth looking again."""

import os
import time
from typing import Final, Protocol

import anyio

from hyperhive.core.hive import Hive
from hyperhive.core.hub_link import OTHERS_WAIT

# So long the word holds that others wait for a place: the hub repeats it every 30 seconds while it is so.
OTHERS_HOLD: Final = 60.0


class Wake(Protocol):
    """Tells everybody who waits on this connection. Nobody who took `news` before looking misses anything."""

    @property
    def news(self) -> anyio.Event:
        """Set at the next occasion to look."""
        ...

    @property
    def others_wait(self) -> bool:
        """Other agents wait until this one ends its turn."""
        ...

    async def listen(self) -> None:
        """Hear what is said, until cancelled."""
        ...


class PipeWake:
    """Hears the hub through a pipe. It is read all the time, so it never fills, and several calls may wait at once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._news = anyio.Event()
        self._others_until = 0.0

    @property
    def news(self) -> anyio.Event:
        """Set when the next byte comes."""
        return self._news

    @property
    def others_wait(self) -> bool:
        """The hub has said so within the last minute."""
        return time.monotonic() < self._others_until

    async def listen(self) -> None:
        """Read the pipe until the hub is gone."""
        while True:
            await anyio.wait_readable(self._fd)
            heard = os.read(self._fd, 4096)
            if not heard:
                return
            if OTHERS_WAIT in heard:
                self._others_until = time.monotonic() + OTHERS_HOLD
            self._news.set()
            self._news = anyio.Event()


class StoreWake:
    """Looks once a second whether anybody has committed anything: for a server that no hub knows."""

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._news = anyio.Event()

    @property
    def news(self) -> anyio.Event:
        """Set when the database has changed."""
        return self._news

    @property
    def others_wait(self) -> bool:
        """Nobody says so without a hub."""
        return False

    async def listen(self) -> None:
        """Compare the version of the database, until cancelled."""
        version = self._hive.db.version()
        while True:
            await anyio.sleep(1)
            if (now := self._hive.db.version()) != version:
                version = now
                self._news.set()
                self._news = anyio.Event()
