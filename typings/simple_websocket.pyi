"""What hyperhive uses of simple-websocket, which has no types of its own."""

from socket import socket

from wsproto import WSConnection

class ConnectionClosed(Exception): ...

class Server:
    connected: bool
    sock: socket
    ws: WSConnection
    def send(self, data: str | bytes) -> None: ...
    def receive(self, timeout: float | None = None) -> str | bytes | None: ...
    def close(self, reason: int | None = None, message: str | None = None) -> None: ...
