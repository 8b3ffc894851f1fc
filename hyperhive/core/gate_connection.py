"""One connection through the API gate: what it asked for, how far it is, what waits to be carried."""

import socket
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final

from hyperhive.core.api_hosts import ApiHost
from hyperhive.core.client_hello import read_hello
from hyperhive.core.proxy_request import ProxyRequest, read_request

# The longest head of a request, and how much waits on its way before the sender must, in bytes.
HEAD_MOST: Final = 16 * 1024
WAITING_MOST: Final = 256 * 1024
CHUNK: Final = 64 * 1024
# How long a client may take to say what it wants, to get through to a host, to take a further part of the last, in seconds.
ASK_MOST: Final = 30.0
REACH_MOST: Final = 60.0
LEAVE_MOST: Final = 5.0
# How long a connection may be silent: an answer that is not streamed may take ten minutes, in seconds.
SILENT_MOST: Final = 900.0
_END: Final = b"\r\n\r\n"


class Stage(Enum):
    """How far a connection is."""

    ASKING = auto()
    REACHING = auto()
    # Through to a host that speaks TLS, and nothing was sent yet.
    PROVING = auto()
    OPEN = auto()
    # Only what waits for the client is still carried.
    LEAVING = auto()
    OVER = auto()


class Connection:
    """A client's socket and, once it is reached, the host's. The gate watches and closes them; nothing here blocks or raises."""

    def __init__(
        self,
        client: socket.socket,
        allowed: Sequence[ApiHost],
        *,
        reach: Callable[["Connection", ApiHost], None],
        tell: Callable[[str], None],
    ) -> None:
        """`reach` begins to connect, and `reached` is called when that has ended; `tell` is told what was refused."""
        client.setblocking(False)
        self.client = client
        self.host: socket.socket | None = None
        self.stage = Stage.ASKING
        self.deadline = time.monotonic() + ASK_MOST
        self._allowed = allowed
        self._reach = reach
        self._tell = tell
        self._asked = bytearray()
        self._request: ProxyRequest | None = None
        self._target: ApiHost | None = None
        self._to_client = bytearray()
        self._to_host = bytearray()
        self._client_ended = False
        # The first line of a plain request's answer, until it is whole.
        self._answered = bytearray()
        self._begun = False

    def sockets(self) -> tuple[tuple[socket.socket, int], ...]:
        """Both sockets with what to wait for: none of it while the other side is slow."""
        stage = self.stage
        hears_client = stage in (Stage.ASKING, Stage.PROVING, Stage.LEAVING) or (
            stage is Stage.OPEN and len(self._to_host) < WAITING_MOST
        )
        client = (EVENT_READ if hears_client and not self._client_ended else 0) | (EVENT_WRITE if self._to_client else 0)
        if self.host is None:
            return ((self.client, client),)
        is_open = stage is Stage.OPEN
        host = (EVENT_READ if is_open and len(self._to_client) < WAITING_MOST else 0) | (
            EVENT_WRITE if is_open and self._to_host else 0
        )
        return ((self.client, client), (self.host, host))

    def is_over(self) -> bool:
        """Both sockets are to be closed."""
        return self.stage is Stage.OVER

    def happened(self, sock: socket.socket, events: int) -> None:
        """Act on what a socket is ready for."""
        if self.is_over():
            return
        try:
            if events & EVENT_READ:
                self._hear(sock)
            if events & EVENT_WRITE and not self.is_over():
                self._carry(sock)
        except OSError:
            if sock is self.host:
                self._leave()
            else:
                self.stage = Stage.OVER

    def reached(self, host: socket.socket | None, why: str) -> None:
        """The host is connected, or could not be."""
        if self.stage is not Stage.REACHING or self._request is None or self._target is None:
            if host is not None:
                host.close()
            return
        if host is None:
            self._tell(f"{self._request.target} could not be reached: {why}")
            self._answer("502 Bad Gateway", "the model API cannot be reached")
            return
        host.setblocking(False)
        self.host = host
        self._to_host += self._request.head + self._asked
        self._asked.clear()
        if self._request.is_tunnel:
            self._to_client += b"HTTP/1.1 200 Connection established\r\n\r\n"
        if self._request.is_tunnel and self._target.is_secure:
            self._wait(Stage.PROVING, ASK_MOST)
            self._prove()
        else:
            self._wait(Stage.OPEN, SILENT_MOST)

    def _hear(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(CHUNK)
        except BlockingIOError:
            return
        if sock is self.host:
            self.deadline = time.monotonic() + SILENT_MOST
            self._to_client += self._said_last(data)
            if not data:
                self._leave()
            return
        if not data:
            # Whoever hangs up wants no more: a model must not go on writing for a turn that was ended.
            self._client_ended = True
            waiting = self._to_client if self.stage is Stage.LEAVING else self._to_host
            if not (self.stage in (Stage.OPEN, Stage.LEAVING) and waiting):
                self.stage = Stage.OVER
            return
        match self.stage:
            case Stage.ASKING:
                self._asked += data
                self._read_request()
            case Stage.PROVING:
                self._to_host += data
                self._prove()
            case Stage.OPEN:
                self.deadline = time.monotonic() + SILENT_MOST
                self._to_host += data
            case _:
                # What is said after the answer was given is thrown away, so that the answer is read.
                pass

    def _said_last(self, data: bytes) -> bytes:
        """Tell the client of a plain request that this is the last answer of the connection: not every server does."""
        if self._begun or self._request is None or self._request.is_tunnel:
            return data
        self._answered += data
        line, end, rest = self._answered.partition(b"\r\n")
        if data and not end and len(self._answered) < HEAD_MOST:
            return b""
        self._begun = True
        whole = bytes(self._answered)
        self._answered.clear()
        return bytes(line + end + b"Connection: close" + end + rest) if end and line.startswith(b"HTTP/1.") else whole

    def _carry(self, sock: socket.socket) -> None:
        waiting = self._to_host if sock is self.host else self._to_client
        try:
            del waiting[: sock.send(waiting)]
        except BlockingIOError:
            return
        if self.stage is Stage.LEAVING:
            self.deadline = time.monotonic() + LEAVE_MOST
        if waiting:
            return
        if self._client_ended and (sock is self.host or self.stage is Stage.LEAVING):
            self.stage = Stage.OVER
        elif sock is self.client and self.stage is Stage.LEAVING:
            sock.shutdown(socket.SHUT_WR)

    def _read_request(self) -> None:
        head, end, rest = self._asked.partition(_END)
        if not end:
            if len(self._asked) > HEAD_MOST:
                self._answer("431 Request Header Fields Too Large", "the head of the request is too long")
            return
        try:
            if len(head) > HEAD_MOST:
                raise ValueError("it is too long")
            request = read_request(bytes(head))
        except ValueError as error:
            self._answer("400 Bad Request", f"that is no request to a proxy: {error}")
            return
        target = next((host for host in self._allowed if (host.host, host.port) == (request.host, request.port)), None)
        if target is None or (target.is_secure and not request.is_tunnel):
            self._refuse(request.target)
            return
        self._asked, self._request, self._target = rest, request, target
        self._wait(Stage.REACHING, REACH_MOST)
        self._reach(self, target)

    def _prove(self) -> None:
        """Let nothing through but TLS to the host that was asked for.

        The addresses of large providers serve everybody's hosts: the name decides which.
        """
        assert self._target is not None
        try:
            hello = read_hello(bytes(self._to_host))
        except ValueError as error:
            self._tell(f"refused: what was sent to {self._target.host} is no TLS ({error})")
            self.stage = Stage.OVER
            return
        if hello is None:
            return
        if hello.name != self._target.tls_name or hello.is_veiled:
            self._tell(f"refused: TLS to {hello.name or 'no name'} in a tunnel to {self._target.host}")
            self.stage = Stage.OVER
            return
        self._wait(Stage.OPEN, SILENT_MOST)

    def _refuse(self, target: str) -> None:
        self._tell(f"refused: {target}")
        self._answer("403 Forbidden", "this agent has no network: it reaches its model API and nothing else")

    def _answer(self, status: str, text: str) -> None:
        body = f"{text}\n".encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._to_client += head.encode("ascii") + body
        self._asked.clear()
        self._leave()

    def _leave(self) -> None:
        """Nothing more comes from the host: the client gets what waits for it, then its end."""
        self._to_host.clear()
        self._wait(Stage.LEAVING, LEAVE_MOST)
        if self._client_ended and not self._to_client:
            self.stage = Stage.OVER
        elif not self._to_client:
            try:
                self.client.shutdown(socket.SHUT_WR)
            except OSError:
                self.stage = Stage.OVER

    def _wait(self, stage: Stage, seconds: float) -> None:
        self.stage = stage
        self.deadline = time.monotonic() + seconds
