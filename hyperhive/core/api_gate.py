"""The one way out of a container without a network: a proxy on a unix socket that reaches the model API and nothing else."""

import os
import queue
import re
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hyperhive.core.api_hosts import ApiHost, api_hosts
from hyperhive.core.config import Settings
from hyperhive.core.errors import Unavailable
from hyperhive.core.gate_connection import Connection, Stage
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName
from hyperhive.core.paths import Paths
from hyperhive.core.runtimes import Inside

# In the agent's run folder: a harness's, and that of a login on a terminal, which may run beside it.
# As short as the agent's other socket, for a socket's path may hold 107 bytes.
SOCKET: Final = "api.sock"
LOGIN_SOCKET: Final = "key.sock"
# On the container's own loopback, below the numbers that the kernel gives out by itself: a harness's, and a login's, for the
# two may share a container.
PORT: Final = 17_080
LOGIN_PORT: Final = 17_081
# Connections at once; more wait in line.
MOST: Final = 64
# How long an address of a host is tried, in seconds.
CONNECT_MOST: Final = 10.0
# How long nobody is let in when the process has no descriptor left, in seconds.
PAUSE: Final = 1.0
# How many different refusals are logged: an agent must not be able to fill the log.
TOLD_MOST: Final = 50
_NOT_SHOWN: Final = re.compile(r"[^ -~]")

# Port, its four hexadecimal digits, socket; then the command, which begins when the port is open or socat has ended.
# Without `forever` socat ends for good when it cannot fork once, as in a container that has used up its tasks for a moment.
# It holds none of the command's pipes, so that they end with the command.
_SOCAT: Final = f"""\
port=$1 digits=$2 path=$3; shift 3
listen=TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,backlog=128,max-children={MOST},forever,interval=0.1
socat "$listen" "UNIX-CONNECT:$path" </dev/null >/dev/null 2>&1 &
until grep -qs "0100007F:$digits 00000000:0000 0A" /proc/net/tcp || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
exec "$@"
"""


def variables(port: int = PORT) -> dict[str, str]:
    """What the environment of a program in the container must say, last.

    Measured with claude 2.1.330: it sends `http://` base URLs to the proxy as absolute URLs, loopback ones too, and asks for a
    tunnel (CONNECT) for every `https://`, those of its login included. Where the proxy refuses, it says so.
    """
    proxy = f"http://127.0.0.1:{port}"
    return {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    }


def inside_words(inside: Inside, command: Sequence[str], *, socket_name: str = SOCKET, port: int = PORT) -> list[str]:
    """The words that open the way inside, then become the command: the last step in the container."""
    path = f"{inside.run}/{socket_name}"
    if inside.relay[0] == "socat":
        return ["/bin/sh", "-c", _SOCAT, "sh", str(port), f"{port:04X}", path, *command]
    # The relay's python, with its options.
    return [*inside.relay[:-2], f"{inside.run}/forward.py", str(port), path, *command]


class Gate:
    """A thread of this process that carries an agent's connections; it ends with the process, however that ends.

    Nothing of it is raised once it has started.
    """

    def __init__(
        self,
        paths: Paths,
        name: AgentName,
        settings: Settings,
        gid: int | None,
        log: Log,
        *,
        socket_name: str = SOCKET,
    ) -> None:
        """`gid` is the agent's group, None where the agent is this process' own user."""
        self._path = paths.agent_run(name) / socket_name
        self._settings = settings
        self._gid = gid
        self._log = log
        self._told: set[str] = set()
        self._allowed: tuple[ApiHost, ...] = ()
        self._connections: set[Connection] = set()
        self._reached: queue.SimpleQueue[tuple[Connection, socket.socket | None, str]] = queue.SimpleQueue()
        # Held by whoever adds to the queue, so that nothing is added when nobody looks any more.
        self._lock = threading.Lock()
        self._closed = False
        self._paused_until = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, in place of a gate that was there before; nothing happens if this one listens already.

        Raises `Invalid` for a base URL in the settings that is none, `Unavailable` when it cannot listen.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        self._closed = False
        self._allowed = api_hosts(self._settings.claude.env)
        try:
            self._listener, self._inode = _listen(self._path, self._gid)
            self._bell, self._rings = socket.socketpair()
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be made: {error.strerror}", hint=f"ls -la {self._path.parent}") from None
        self._bell.setblocking(False)
        self._rings.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="api-gate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody and remove the socket. Closing twice is no fault."""
        with self._lock:
            self._closed = True
        if self._thread is None:
            return
        self._ring()
        self._thread.join(5.0)
        # Not the socket of a gate that came after this one.
        with suppress(OSError):
            if os.stat(self._path, follow_symlinks=False).st_ino == self._inode:
                os.unlink(self._path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- in the thread ----

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._bell:
            try:
                selector.register(self._bell, selectors.EVENT_READ)
                while not self._closed:
                    self._look(selector)
            except Exception:
                # The agent then learns that its API cannot be reached; its harness goes on.
                self._log.exception("the way to the model API is closed by a fault")
            finally:
                self._end(selector)

    def _look(self, selector: selectors.BaseSelector) -> None:
        """Wait for something to happen, and act on it."""
        now = time.monotonic()
        has_room = len(self._connections) < MOST and now >= self._paused_until
        _watch(selector, self._listener, selectors.EVENT_READ if has_room else 0, None)
        times = [connection.deadline for connection in self._connections]
        if now < self._paused_until:
            times.append(self._paused_until)
        changed: set[Connection] = set()
        for key, events in selector.select(max(0.0, min(times) - now) if times else None):
            if key.fileobj is self._listener:
                changed |= self._accept()
            elif key.fileobj is self._bell:
                changed |= self._answer_bell()
            else:
                sock, connection = key.fileobj, key.data
                assert isinstance(sock, socket.socket)
                assert isinstance(connection, Connection)
                self._let(connection, sock, events)
                changed.add(connection)
        now = time.monotonic()
        changed |= {connection for connection in self._connections if connection.deadline <= now}
        for connection in changed & self._connections:
            if connection.stage is Stage.OVER or connection.deadline <= now:
                self._drop(selector, connection)
            else:
                for sock, wanted in connection.sockets():
                    _watch(selector, sock, wanted, connection)

    def _let(self, connection: Connection, sock: socket.socket, events: int) -> None:
        try:
            connection.happened(sock, events)
        except Exception:
            # One connection less; the others go on.
            self._log.exception("a connection to the model API ends by a fault")
            connection.stage = Stage.OVER

    def _accept(self) -> set[Connection]:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return set()
        except OSError as error:
            self._tell(f"nobody is let in for a while: {error.strerror}")
            self._paused_until = time.monotonic() + PAUSE
            return set()
        connection = Connection(client, self._allowed, reach=self._reach, tell=self._tell)
        self._connections.add(connection)
        return {connection}

    def _reach(self, connection: Connection, host: ApiHost) -> None:
        """Connect in a thread of its own: asking for an address cannot be done without waiting."""
        try:
            threading.Thread(target=self._connect, args=(connection, host), daemon=True).start()
        except RuntimeError as error:
            connection.reached(None, str(error))

    def _connect(self, connection: Connection, host: ApiHost) -> None:
        reached: socket.socket | None = None
        why = ""
        try:
            reached = socket.create_connection((host.host, host.port), CONNECT_MOST)
            reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except (OSError, UnicodeError) as error:
            why = str(error)
        with self._lock:
            if not self._closed:
                self._reached.put((connection, reached, why))
                self._ring()
                return
        if reached is not None:
            reached.close()

    def _answer_bell(self) -> set[Connection]:
        with suppress(BlockingIOError):
            self._bell.recv(4096)
        changed: set[Connection] = set()
        while True:
            try:
                connection, host, why = self._reached.get_nowait()
            except queue.Empty:
                return changed
            connection.reached(host, why)
            changed.add(connection)

    def _drop(self, selector: selectors.BaseSelector, connection: Connection) -> None:
        # A connect that still goes on finds it over.
        connection.stage = Stage.OVER
        self._connections.discard(connection)
        for sock, _ in connection.sockets():
            # First this: the number of a closed socket is soon another's.
            _watch(selector, sock, 0, None)
            sock.close()

    def _end(self, selector: selectors.BaseSelector) -> None:
        with self._lock:
            self._closed = True
        for connection in tuple(self._connections):
            self._drop(selector, connection)
        self._answer_bell()
        self._rings.close()

    def _ring(self) -> None:
        # Full means that it will look; closed, that it has ended.
        with suppress(OSError):
            self._rings.send(b"!")

    def _tell(self, text: str) -> None:
        """Log something once. It may hold what an agent has written."""
        shown = _NOT_SHOWN.sub("?", text)[:200]
        if shown in self._told or len(self._told) > TOLD_MOST:
            return
        self._told.add(shown)
        self._log(f"network none: {shown}" if len(self._told) <= TOLD_MOST else "network none: more refusals are not logged")


def _listen(path: Path, gid: int | None) -> tuple[socket.socket, int]:
    """A socket that has its group and mode from the moment that it has its name; gives back its inode too."""
    new = path.with_name(f".{path.stem}.new")
    listener = socket.socket(socket.AF_UNIX)
    try:
        new.unlink(missing_ok=True)
        listener.bind(os.fspath(new))
        if gid is not None:
            os.chown(new, -1, gid, follow_symlinks=False)
        new.chmod(0o660)
        listener.listen(MOST)
        listener.setblocking(False)
        inode = new.stat().st_ino
        new.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener, inode


def _watch(selector: selectors.BaseSelector, sock: socket.socket, events: int, data: Connection | None) -> None:
    """Wait for these events of a socket from now on, or for none."""
    known = selector.get_map().get(sock)
    if known is None and events:
        selector.register(sock, events, data)
    elif known is not None and not events:
        selector.unregister(sock)
    elif known is not None and known.events != events:
        selector.modify(sock, events, data)
