"""The dashboard as a process: gunicorn with threads, over a socket that listens already."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker
from typing_extensions import override

from hyperhive.core import process
from hyperhive.core.errors import Conflict, HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.listening import PATIENCE, Address, actual, listen
from hyperhive.core.locks import Lock, holder
from hyperhive.core.log import Log
from hyperhive.core.paths import Paths
from hyperhive.web import here
from hyperhive.web.app import make
from hyperhive.web.pulse import CLIENTS_MOST

# One for each open page, and some for what is asked for meanwhile.
THREADS: Final = CLIENTS_MOST + 32
# How long what is being answered may take when the server ends, in seconds.
_GRACE: Final = 5
LOCK: Final = "web"
_PAUSE: Final = 0.1


class Worker(ThreadWorker):
    """A worker that lets the open pages go when it is told to end: they would hold its threads for ever."""

    @override
    def init_process(self) -> None:
        # The one that started this process may be killed.
        process.die_with(os.getppid(), signal.SIGTERM)
        super().init_process()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        here.end(self.wsgi)
        super().handle_exit(sig, frame)

    @override
    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        # Also for Ctrl-C, which reaches this process as well.
        here.end(self.wsgi)
        super().handle_quit(sig, frame)


class Server(BaseApplication):
    """gunicorn, told everything here and nothing by files or the environment."""

    def __init__(self, paths: Paths, listener: socket.socket, hosts: frozenset[str], log: Log) -> None:
        self._paths = paths
        self._listener = listener
        self._hosts = hosts
        self._log = log
        super().__init__()

    @override
    def load_config(self) -> None:
        settings: dict[str, object] = {
            "bind": f"fd://{self._listener.fileno()}",
            "worker_class": Worker,
            "threads": THREADS,
            "worker_connections": 1000,
            "graceful_timeout": _GRACE,
            "timeout": 60,
            "keepalive": 30,
            # Nothing is written where nobody looks for it: neither a control socket in somebody's home nor a log of pages.
            "control_socket_disable": True,
            "accesslog": None,
            "loglevel": "warning",
            "proc_name": "hyperhive web",
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    @override
    def load(self) -> object:
        # In the worker, behind the fork: no open database crosses one.
        app = make(Hive(self._paths), hosts=self._hosts, log=self._log)
        # The first page is drawn before somebody waits for it; what is wrong is said to whoever comes.
        with suppress(HyperhiveError):
            here.board(app).look()
        return app


def run(hive: Hive, address: Address, say: Callable[[str], None], *, ready: Callable[[Address], None]) -> None:
    """Serve until SIGINT or SIGTERM. `say` is told what is waited for; `ready` is told where it listens: a port of 0 is any.

    Raises `Conflict` when this hive has a dashboard already, or when another program has the address.
    """
    process.follow_parent()
    others = hive.settings.web.hosts
    with Lock(hive.paths.lock(LOCK)) as lock:
        _take(lock, hive.paths.lock(LOCK))
        listener = listen(address, say)
        where = actual(address, listener)
        ready(where)
        hive.close()
        Server(hive.paths, listener, where.names(others), Log("web", hive.paths.log / "web.log")).run()


def _take(lock: Lock, path: Path) -> None:
    """Be the one dashboard of the hive, once an earlier one has ended, which holds the lock as long as it answers somebody."""
    until = time.monotonic() + PATIENCE
    while not lock.take():
        if time.monotonic() > until:
            raise Conflict(f"this hive has a dashboard already: {holder(path)}", hint="hyperhive web login")
        time.sleep(_PAUSE)
