"""MCP over two file descriptors, a line a message, with limits for whoever is at the other end."""

import os
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import anyio.lowlevel
import mcp_types as types
import msgspec
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from pydantic import ValidationError

# One message, in bytes.
LINE_MOST: Final = 1024 * 1024
# Objects and lists within each other.
DEPTH_MOST: Final = 64
# Requests that were not answered yet.
IN_FLIGHT_MOST: Final = 32
# Messages a second in the long run, and at once: no model comes near either, and a flood costs the machine little.
PACE: Final = 100.0
BURST: Final = 200.0
# What a pipe that is said to be writable takes without blocking (pipe(7), PIPE_BUF).
_CHUNK: Final = 4096

Incoming = ContextReceiveStream[SessionMessage | Exception]
Outgoing = ContextSendStream[SessionMessage]


class Refused(Exception):
    """A line that is no message, and the JSON-RPC error that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LineTooLong(Refused):
    """The peer sent no line break in time; where the next message begins is not known any more."""


@asynccontextmanager
async def connection(reader: int, writer: int) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """The two streams that an MCP server runs over. They end when the peer hangs up or breaks the limits."""
    to_server, incoming = create_context_streams[SessionMessage | Exception](0)
    outgoing, from_server = create_context_streams[SessionMessage](0)
    wire = _Wire(writer)
    in_flight = _InFlight()
    async with anyio.create_task_group() as group:
        group.start_soon(_read, reader, wire, in_flight, to_server)
        group.start_soon(_write, from_server, wire, in_flight)
        yield incoming, outgoing
        group.cancel_scope.cancel()


def is_gone(fd: int) -> bool:
    """The peer has hung up, also where what it sent before was not read yet."""
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return any(event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def parse(line: bytes) -> types.JSONRPCMessage:
    """Read one message. Raises `Refused` for what is none."""
    try:
        # msgspec first: told apart as four kinds of message, a line of a million brackets costs pydantic a second.
        data = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(types.PARSE_ERROR, "this line is not JSON") from None
    except RecursionError:
        raise _too_deep() from None
    if _depth_over(data, DEPTH_MOST):
        raise _too_deep()
    try:
        return types.jsonrpc_message_adapter.validate_python(data, by_name=False)
    except ValidationError:
        raise Refused(types.INVALID_REQUEST, "this line is no JSON-RPC message") from None


class Lines:
    """Cuts what comes in into lines."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete now. Raises `LineTooLong`, after those that were good."""
        seen = len(self._rest)
        self._rest += data
        start = 0
        while (end := self._rest.find(b"\n", max(start, seen))) >= 0:
            if end - start > self._most:
                break
            yield bytes(self._rest[start:end])
            start = end + 1
        del self._rest[:start]
        if len(self._rest) > self._most:
            raise LineTooLong(types.INVALID_REQUEST, f"a message may have {self._most} bytes")


class _Wire:
    """The way out: one message after the other, whoever sends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._turn = anyio.Lock()

    async def send(self, message: types.JSONRPCMessage) -> None:
        data = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        async with self._turn:
            view = memoryview(data)
            while view:
                await _ready(anyio.wait_writable, self._fd)
                view = view[os.write(self._fd, view[:_CHUNK]) :]

    async def refuse(self, request: types.RequestId | None, error: Refused) -> None:
        await self.send(
            types.JSONRPCError(jsonrpc="2.0", id=request, error=types.ErrorData(code=error.code, message=error.message))
        )


class _InFlight:
    """How many requests wait for their answer."""

    def __init__(self) -> None:
        self._count = 0

    def take(self) -> bool:
        if self._count >= IN_FLIGHT_MOST:
            return False
        self._count += 1
        return True

    async def give_back(self) -> None:
        self._count -= 1


class _Pace:
    """Makes a peer that floods wait, so that it costs the others nothing."""

    def __init__(self) -> None:
        self._left = BURST
        self._at = time.monotonic()

    async def step(self) -> None:
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * PACE) - 1
        self._at = now
        if self._left < 0:
            await anyio.sleep(-self._left / PACE)


async def _read(fd: int, wire: _Wire, in_flight: _InFlight, to_server: ContextSendStream[SessionMessage | Exception]) -> None:
    lines = Lines(LINE_MOST)
    pace = _Pace()
    async with to_server:
        try:
            while data := await _receive(fd):
                for line in lines.feed(data):
                    await pace.step()
                    await _take(line, wire, in_flight, to_server)
        except LineTooLong as error:
            with suppress(OSError):
                await wire.refuse(None, error)
        except (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            # The peer is gone, or the server is: either way nothing more is to be read.
            return


async def _take(line: bytes, wire: _Wire, in_flight: _InFlight, to_server: ContextSendStream[SessionMessage | Exception]) -> None:
    """Hand one line to the server, or say what is wrong with it."""
    if not line.strip():
        return
    try:
        message = parse(line)
    except Refused as error:
        await wire.refuse(None, error)
        return
    if not isinstance(message, types.JSONRPCRequest):
        await to_server.send(SessionMessage(message))
    elif in_flight.take():
        # A request that the peer cancelled gets no answer; this tells of its end all the same.
        await to_server.send(SessionMessage(message, ServerMessageMetadata(on_request_unanswered=in_flight.give_back)))
    else:
        await wire.refuse(message.id, Refused(types.INVALID_REQUEST, f"at most {IN_FLIGHT_MOST} requests at once"))


async def _write(from_server: ContextReceiveStream[SessionMessage], wire: _Wire, in_flight: _InFlight) -> None:
    async with from_server:
        async for item in from_server:
            if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
                await in_flight.give_back()
            try:
                await wire.send(item.message)
            except OSError:
                # Nobody reads any more: what is left to say is dropped, and the reader ends the connection.
                continue


async def _receive(fd: int) -> bytes:
    await _ready(anyio.wait_readable, fd)
    try:
        return os.read(fd, 64 * 1024)
    except ConnectionResetError:
        return b""


async def _ready(wait: Callable[[int], Awaitable[None]], fd: int) -> None:
    try:
        await wait(fd)
    except PermissionError:
        # A regular file, which epoll does not take and which never keeps anybody waiting.
        await anyio.lowlevel.checkpoint()


def _depth_over(value: object, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep() -> Refused:
    return Refused(types.INVALID_REQUEST, f"a message may be {DEPTH_MOST} levels deep")
