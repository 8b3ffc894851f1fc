"""The processes that serve the agents' connections: forked from the hub, one a connection, gone with it."""

import fcntl
import gc
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from hyperhive.core import process
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName
from hyperhive.core.paths import Paths
from hyperhive.core.safe_text import clean
from hyperhive.core.tables import DATABASE

CHILDREN_MOST: Final = 8
# How much memory a child may take beyond what it was born with, in bytes.
MEMORY_MOST: Final = 128 * 1024 * 1024


class Child:
    """The process behind one connection. Its descriptor becomes readable when it ends; then it is to be reaped."""

    def __init__(self, pid: int, name: AgentName, *, pidfd: int, pipe: int, forget: Callable[["Child"], None]) -> None:
        self.pid = pid
        self.name = name
        self._pidfd = pidfd
        self._pipe = pipe
        self._forget = forget

    def fileno(self) -> int:
        """A descriptor of the process (pidfd_open(2)), for a selector; closed by `reap`."""
        return self._pidfd

    def wake(self, byte: bytes) -> None:
        """Tell it something. Never waits; a child that is gone is told nothing."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._pipe, byte)

    def end(self) -> None:
        """End it at once; it is reaped as any other."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reap(self) -> bool:
        """Forget it if it has ended, and say whether it has. Take it out of the selector first."""
        if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG) is None:
            return False
        os.close(self._pidfd)
        os.close(self._pipe)
        self._forget(self)
        return True


class Children:
    """The children of one hub. Call it from the main thread: they die with the thread that started them."""

    def __init__(self, paths: Paths, log: Log, *, limit: int = CHILDREN_MOST) -> None:
        self._paths = paths
        self._log = log
        self._limit = limit
        self._living: dict[AgentName, list[Child]] = {}

    def prepare(self) -> None:
        """Import what the children need, once for all of them: more than a second of work."""
        from hyperhive.mcp import sdk_log, server

        sdk_log.install(self._log)
        server.warm_up()

    def of(self, name: AgentName) -> list[Child]:
        """The children that serve this agent."""
        return list(self._living.get(name, ()))

    def spawn(self, connection: socket.socket, name: AgentName) -> Child | None:
        """Give a connection of this agent to a child of its own; None, and closed at once, when it has too many.

        The connection is the child's from now on. The caller has closed the database: no connection to it may cross a
        fork. Raises `Unavailable` when no process can be started.
        """
        with connection:
            if DATABASE.obj is not None and not DATABASE.obj.is_closed():
                raise RuntimeError("the database is open, and would be carried over a fork")
            if len(self._living.get(name, ())) >= self._limit:
                return None
            try:
                child = self._fork(connection, name)
            except OSError as error:
                raise Unavailable(f"no process can be started for {name}: {error.strerror}", hint="hyperhive doctor") from None
        self._living.setdefault(name, []).append(child)
        return child

    def _fork(self, connection: socket.socket, name: AgentName) -> Child:
        hub = os.getpid()
        heard, said = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # No handler of the hub's may run in the child, not even in its first moment.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._live(connection.fileno(), heard, name, hub)
        except OSError:
            os.close(said)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(heard)
        return Child(pid, name, pidfd=os.pidfd_open(pid), pipe=said, forget=self._lose)

    def _lose(self, child: Child) -> None:
        family = self._living[child.name]
        family.remove(child)
        if not family:
            del self._living[child.name]

    def _live(self, connection: int, pipe: int, name: AgentName, hub: int) -> NoReturn:
        """All that a child ever does. Whatever happens, it does not come back into the hub's code."""
        code = 1
        try:
            # The hub's objects stay as they are: one that were collected here would close a descriptor that is not its own.
            gc.freeze()
            _reset_signals()
            process.die_with(hub, signal.SIGKILL)
            connection, pipe = _keep_only(connection, pipe)
            _limit_memory()
            _serve(Hive(self._paths), name, connection, pipe, self._log)
            code = 0
        except BaseException:
            self._log(clean(f"{name}: a child ended with an error\n{traceback.format_exc().rstrip()}"))
        finally:
            os._exit(code)


def _serve(hive: Hive, name: AgentName, connection: int, pipe: int, log: Log) -> None:
    from hyperhive.mcp import server

    try:
        server.serve_socket(hive, name, connection, pipe, log)
    finally:
        hive.close()


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Ctrl-C at a terminal reaches the whole group: the hub decides what ends, and its children end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _keep_only(connection: int, pipe: int) -> tuple[int, int]:
    """Close every descriptor but these and standard error; give back their new numbers."""
    low, high = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (connection, pipe))
    start = 3
    for kept in sorted((low, high)):
        os.closerange(start, kept)
        start = kept + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1):
        os.dup2(null, standard)
    os.close(null)
    return low, high


def _limit_memory() -> None:
    # statm counts pages: size, resident, shared, text, lib, data (proc(5)).
    with open("/proc/self/statm", encoding="ascii") as file:
        data = int(file.read().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = data + MEMORY_MOST
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)
