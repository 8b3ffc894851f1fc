"""A browser's end of a WebSocket, without a browser."""

import socket
from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

# How long something is waited for that must come, in seconds.
PATIENCE: Final = 30.0


class Reader:
    """A browser's end of a WebSocket."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.socket.settimeout(PATIENCE)
        self.connection = WSConnection(ConnectionType.CLIENT)

    @classmethod
    def open(cls, url: str, *, cookie: str) -> Self:
        """Open the live connection of a dashboard."""
        host = url.removeprefix("http://")
        name, _, port = host.partition(":")
        reader = cls(socket.create_connection((name, int(port)), timeout=PATIENCE))
        headers = [(b"Cookie", cookie.encode()), (b"Origin", url.encode())]
        reader.socket.sendall(reader.connection.send(Request(host=host, target="/live", extra_headers=headers)))
        reader.begin()
        return reader

    def shake_hands(self) -> dict[str, object]:
        """Ask for a WebSocket; gives back what a server makes of it."""
        asked = self.connection.send(Request(host="h", target="/live"))
        headers = dict(line.split(": ", 1) for line in asked.decode().split("\r\n")[1:] if line)
        return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}

    def begin(self) -> None:
        """Take the server's answer to that."""
        assert isinstance(next(self._next()), AcceptConnection)

    def say(self, have: dict[str, str]) -> None:
        """Say what it has."""
        self.tell(msgspec.json.encode({"have": have}).decode())

    def tell(self, text: str) -> None:
        """Say anything."""
        self.socket.sendall(self.connection.send(TextMessage(data=text)))

    def hear(self) -> str | int:
        """What is sent next that changes something; at the end the code that the connection was closed with."""
        text = ""
        while True:
            for event in self._next():
                match event:
                    case TextMessage(data=data, message_finished=finished):
                        text += data
                        if finished:
                            content: str | None = msgspec.json.decode(text).get("content")
                            text = ""
                            if content is not None:
                                return content
                    case CloseConnection(code=code):
                        return int(code)
                    case other:
                        raise AssertionError(other)

    def _next(self) -> Iterator[Any]:
        while True:
            yield from self.connection.events()
            data = self.socket.recv(65536)
            assert data, "it was closed without a word"
            self.connection.receive_data(data)
