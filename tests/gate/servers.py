"""What stands behind a gate in tests, how a client speaks to it, what it said."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from hyperhive.core.api_gate import Gate
from hyperhive.core.config import ClaudeSettings, Settings
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.log import Log
from hyperhive.core.model import parse_name

PATIENCE = 30.0
ADA = parse_name("ada")


class Web(ThreadingHTTPServer):
    """A web server on loopback that says yes, and keeps what it was asked."""

    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up early is no fault of the server's."""

    @property
    def port(self) -> int:
        return self.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert isinstance(self.server, Web)
        self.server.asked.append((self.requestline, dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"yes\n")

    do_POST = do_GET

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Listener:
    """A port on loopback that takes one connection after another, and keeps all that was sent to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[bytes] = []

    def take(self) -> bytes:
        """All that the next connection says until it ends."""
        self._socket.settimeout(PATIENCE)
        peer, _ = self._socket.accept()
        with peer:
            peer.settimeout(PATIENCE)
            return read_all(peer)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listener() -> Iterator[Listener]:
    with contextlib.closing(Listener()) as found:
        yield found


class Gated:
    """A gate that is open, in the test's own process."""

    def __init__(self, hive: Hive, log: Path) -> None:
        self.hive = hive
        self.path = hive.paths.agent_run(ADA) / "api.sock"
        self._log = log

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        # As forwarders do: with a time-out set, a full line would be an error instead of a wait.
        try:
            client.connect(str(self.path))
        except OSError:
            client.close()
            raise
        client.settimeout(PATIENCE)
        return client

    def ask(self, *parts: bytes) -> bytes:
        """Say something, and read all that comes until the end."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return read_all(client)

    def tunnel(self, target: str) -> socket.socket:
        """A tunnel that was granted."""
        client = self.connect()
        client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        granted = b""
        while not granted.endswith(b"\r\n\r\n"):
            data = client.recv(1)
            assert data, granted
            granted += data
        assert granted.startswith(b"HTTP/1.1 200 "), granted
        return client

    @property
    def said(self) -> list[str]:
        """The lines of the log, without their time."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line.partition("ada: ")[2] for line in lines]


def make(hive: Hive, log: Path, env: Mapping[str, str], *, gid: int | None = None, socket_name: str = "api.sock") -> Gate:
    """A gate of the agent ada, not yet open."""
    settings = Settings(claude=ClaudeSettings(env=dict(env)))
    return Gate(hive.paths, ADA, settings, gid, Log("ada", log, quiet=True), socket_name=socket_name)


@contextmanager
def gated(home: Path, base_url: str) -> Iterator[Gated]:
    """An open gate to a model API at that URL."""
    hive = open_hive()
    hive.paths.agent_run(ADA).mkdir(exist_ok=True)
    with make(hive, home / "gate.log", {"ANTHROPIC_BASE_URL": base_url}):
        yield Gated(hive, home / "gate.log")


def read_all(peer: socket.socket) -> bytes:
    """Read to the end; a hang-up in the middle of what was said is an end too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := peer.recv(65536):
            data += part
    return data
