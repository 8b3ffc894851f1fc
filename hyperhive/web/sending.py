"""How something is sent to a browser that may not take it."""

import socket
import struct
from typing import Final

from simple_websocket import Server
from wsproto.events import TextMessage

# A browser that takes nothing for so long is let go; it comes back, and says what it has. Seconds.
SLOW: Final = 10


def send(client: Server, text: str) -> None:
    """Send a text whole. Raises `OSError` when it is not taken in time, `ConnectionClosed` when nobody is there."""
    if not client.connected:
        client.send("")
    # simple-websocket hands the bytes over once and does not look how many were taken.
    client.sock.sendall(client.ws.send(TextMessage(data=text)))


def limit(client: Server) -> None:
    """Let no send to this client wait for longer than it may (socket(7), SO_SNDTIMEO), nor a peer that is gone (tcp(7))."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SLOW, 0))
    if client.sock.family != socket.AF_UNIX:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SLOW * 2000)
