"""Both ends of a connection as a test wants them: the SDK's own client, or bare lines."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

import anyio
import mcp_types as types
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, RequestParamsMeta, TextContent

MODERN, HANDSHAKE = "auto", "legacy"


@asynccontextmanager
async def over_socket(path: str) -> AsyncIterator[TransportStreams]:
    """The client's side of a socket: written against the protocol, not against the server's transport."""
    stream = await anyio.connect_unix(path)
    to_client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception]()
    outgoing, from_client = anyio.create_memory_object_stream[SessionMessage]()

    async def read() -> None:
        lines = BufferedByteReceiveStream(stream)
        async with to_client:
            try:
                while True:
                    line = await lines.receive_until(b"\n", 16 * 1024 * 1024)
                    await to_client.send(SessionMessage(types.jsonrpc_message_adapter.validate_json(line)))
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def write() -> None:
        async with from_client:
            async for item in from_client:
                await stream.send(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")

    async with stream, anyio.create_task_group() as group:
        group.start_soon(read)
        group.start_soon(write)
        yield incoming, outgoing
        group.cancel_scope.cancel()


def connect(path: str, mode: str = MODERN) -> Client:
    return Client(over_socket(path), mode=mode, cache=None)


def text(result: CallToolResult) -> str:
    """The words of a result that is no error."""
    assert not result.is_error, words(result)
    return words(result)


def words(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def tool_use(identity: object) -> RequestParamsMeta:
    """What the agent CLI adds to every call, or something else in its place."""
    return cast(RequestParamsMeta, {"claudecode/toolUseId": identity})


class Bare:
    """A peer that writes whatever it likes."""

    def __init__(self, path: str, *, greet: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self._lines = self.socket.makefile("rb")
        if greet:
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bare", "version": "1"}}
            assert "result" in self.ask("initialize", hello)
            self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def say(self, message: dict[str, Any]) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def write(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> dict[str, Any] | None:
        """The next line, or None when the other end has hung up."""
        line = self._lines.readline()
        heard: dict[str, Any] | None = json.loads(line) if line else None
        return heard

    def request(self, number: int, method: str, params: dict[str, Any] | None = None) -> None:
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}})

    def call(self, number: int, name: str, **arguments: Any) -> None:
        self.request(number, "tools/call", {"name": name, "arguments": arguments})

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and hear the answer to just that."""
        self.request(0, method, params)
        while True:
            heard = self.hear()
            assert heard is not None
            if heard.get("id") == 0:
                return heard

    def settle(self) -> None:
        """All that was said before has been seen by the server, and what it began has come to where it waits."""
        for _ in range(3):
            assert "result" in self.ask("tools/call", {"name": "whoami", "arguments": {}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()
