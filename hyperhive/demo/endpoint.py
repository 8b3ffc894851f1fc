"""The HTTP side of the scripted model: connections, paths, streams."""

import contextlib
import json
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from typing_extensions import override

from hyperhive.demo import sse
from hyperhive.demo.reply import Failure, Message, Reply, Stall
from hyperhive.demo.request import Json, Request

Answer: TypeAlias = Callable[[Json, Mapping[str, str], float], tuple[Request, Reply]]
"""Takes body, headers in lower case, and time of arrival."""


class Endpoint(ThreadingHTTPServer):
    """Listens on 127.0.0.1 and asks `answer` for each reply, in a thread of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer, port: int) -> None:
        """Listen on that port, on a free one for 0."""
        self.answer: Final = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def hang_up(self) -> None:
        """Close every connection: threads that wait for a client wake up and leave."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # it has hung up already
                    connection.shutdown(socket.SHUT_RDWR)

    @override
    def server_bind(self) -> None:
        # HTTPServer would look its own name up, which can leave the machine.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    @override
    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        super().shutdown_request(request)
        with self._lock:
            self._open.discard(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @override
    def handle(self) -> None:
        # An interrupted agent CLI hangs up in the middle of an answer.
        with contextlib.suppress(ConnectionError):
            super().handle()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are kept, and the terminal belongs to the demo."""

    def do_GET(self) -> None:
        self._send(404, _error("not_found_error", f"the scripted model has no {self.path}"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        arrived = time.monotonic()
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        match urlsplit(self.path).path:
            case "/v1/messages":
                self._answer(raw, arrived)
            case "/v1/messages/count_tokens":
                self._send(200, {"input_tokens": sse.tokens(raw)})
            case _:
                self.do_GET()

    def _answer(self, raw: bytes, arrived: float) -> None:
        assert isinstance(self.server, Endpoint)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request, reply = self.server.answer(json.loads(raw), headers, arrived)
        match reply:
            case Failure():
                self._send(reply.status, _error(reply.kind, reply.message), reply.headers)
            case Stall():
                self._stall(reply, sse.opening(request.model, input_tokens=sse.tokens(raw)))
            case Message() if request.body.get("stream") is True:
                self._stream(reply, sse.opening(request.model, input_tokens=sse.tokens(raw)))
            case Message():
                self._send(200, sse.whole(reply, model=request.model, input_tokens=sse.tokens(raw)))

    def _stream(self, message: Message, opening: bytes) -> None:
        self._begin_stream()
        if not message.seconds:
            self._chunk(opening + b"".join(sse.pieces(message)) + sse.closing(message))
        else:
            self._chunk(opening)
            pieces = list(sse.pieces(message))
            for piece in pieces:
                if self._hung_up(message.seconds / len(pieces)):
                    self.close_connection = True
                    return
                self._chunk(piece)
            self._chunk(sse.closing(message))
        self._chunk(b"")

    def _stall(self, stall: Stall, opening: bytes) -> None:
        self._begin_stream()
        self._chunk(opening)
        if stall.text:
            self._chunk(sse.text_start(0) + sse.text_piece(0, stall.text))
        self._hung_up(None)
        self.close_connection = True

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _hung_up(self, seconds: float | None) -> bool:
        """Wait so long, or for ever, unless the client or the server hangs up first."""
        # poll and not select, which cannot take a descriptor above 1023.
        waiting = select.poll()
        waiting.register(self.connection, select.POLLIN)
        return bool(waiting.poll(None if seconds is None else seconds * 1000))

    def _send(self, status: int, value: Json, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}
