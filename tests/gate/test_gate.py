"""The gate alone: whom it lets through, what it says to the others, how it ends."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.core import gate_connection
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.hive import open_hive
from tests.gate import hellos
from tests.gate.servers import ADA, Gated, Listener, Web, gated, listener, make, read_all, web


@pytest.fixture
def api() -> Iterator[Web]:
    with web() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Web]:
    """A server of this machine that no agent is meant to reach."""
    with web() as server:
        yield server


@pytest.fixture
def gate(home: Path, api: Web) -> Iterator[Gated]:
    with gated(home, api.url) as found:
        yield found


def test_a_request_to_the_api_is_carried_and_answered(gate: Gated, api: Web) -> None:
    answer = gate.ask(f"POST {api.url}/v1?x=1 HTTP/1.1\r\nHost: inner\r\nContent-Length: 5\r\n\r\n".encode(), b"he", b"llo")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nyes\n")
    ((line, headers, body),) = api.asked
    assert (line, body) == ("POST /v1?x=1 HTTP/1.1", b"hello")
    assert headers == {"Host": f"127.0.0.1:{api.port}", "Content-Length": "5", "Connection": "close"}
    assert gate.said == []


def test_a_tunnel_to_an_api_without_tls_is_carried(gate: Gated, api: Web) -> None:
    with gate.tunnel(f"127.0.0.1:{api.port}") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_all(client).endswith(b"yes\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0.0.0.0"])
def test_another_port_of_the_same_host_is_refused(gate: Gated, other: Web, host: str) -> None:
    target = f"{host}:{other.port}"
    for request in (f"CONNECT {target} HTTP/1.1\r\n\r\n", f"GET http://{target}/ HTTP/1.1\r\n\r\n"):
        answer = gate.ask(request.encode())
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert answer.endswith(b"this agent has no network: it reaches its model API and nothing else\n")
    assert other.asked == []
    assert gate.said == [f"network none: refused: {target}"]


@pytest.mark.parametrize(
    "target",
    ["example.com:443", "api.anthropic.com:443", "claude.ai:443", "api.anthropic.com.example.com:443", "platform.claude.com:80"],
)
def test_a_host_that_is_not_on_the_list_is_refused_and_told(gate: Gated, target: str) -> None:
    assert gate.ask(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")
    assert gate.said == [f"network none: refused: {target}"]


def test_a_large_request_that_is_refused_still_gets_its_answer(gate: Gated) -> None:
    head = b"POST http://example.com/ HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n"
    assert gate.ask(head, bytes(3_000_000)).startswith(b"HTTP/1.1 403 ")


def test_the_next_request_of_a_connection_reaches_no_other_host(gate: Gated, api: Web, other: Web) -> None:
    first = f"GET {api.url}/a HTTP/1.1\r\n\r\n".encode()
    gate.ask(first + f"GET {other.url}/b HTTP/1.1\r\nHost: 127.0.0.1:{other.port}\r\n\r\n".encode())
    assert [line for line, _, _ in api.asked] == ["GET /a HTTP/1.1"]
    assert other.asked == []


def test_rubbish_and_endless_heads_are_refused(gate: Gated, api: Web) -> None:
    assert gate.ask(b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert gate.ask(f"GET {api.url}/ HTTP/1.1\r\nX: ".encode() + b"x" * 40_000).startswith(b"HTTP/1.1 431 ")
    assert api.asked == []


def test_what_an_agent_writes_cannot_fill_or_colour_the_log(gate: Gated) -> None:
    for number in range(200):
        gate.ask(f"CONNECT host-{number}:443 HTTP/1.1\r\n\r\n".encode())
        gate.ask(b"CONNECT host-0:443 HTTP/1.1\r\n\r\n")
    gate.ask(b"CONNECT \x1b]52;c;eA==\x07:443 HTTP/1.1\r\n\r\n")
    assert len(gate.said) == 51
    assert gate.said[-1] == "network none: more refusals are not logged"
    assert all(line.isascii() and line.isprintable() for line in gate.said)


def test_an_api_that_does_not_answer_is_a_bad_gateway(home: Path) -> None:
    with listener() as closed:
        port = closed.port
    with gated(home, f"http://127.0.0.1:{port}") as gate:
        assert gate.ask(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 502 ")
        assert gate.said == [f"network none: 127.0.0.1:{port} could not be reached: [Errno 111] Connection refused"]


@pytest.fixture
def secure() -> Iterator[Listener]:
    """Stands for an API that speaks TLS: it keeps what it hears."""
    with listener() as found:
        yield found


def test_tls_to_the_host_that_was_asked_for_passes(home: Path, secure: Listener) -> None:
    hello = hellos.real("localhost")
    with gated(home, f"https://localhost:{secure.port}") as gate, gate.tunnel(f"localhost:{secure.port}") as client:
        for at in range(0, len(hello), 100):
            client.sendall(hello[at : at + 100])
        client.sendall(b"and more")
        client.shutdown(socket.SHUT_WR)
        assert secure.take() == hello + b"and more"
        assert gate.said == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (hellos.real("example.com"), "refused: TLS to example.com in a tunnel to localhost"),
        (hellos.real(None), "refused: TLS to no name in a tunnel to localhost"),
        (hellos.by_hand(hellos.names("localhost"), hellos.ENCRYPTED), "refused: TLS to localhost in a tunnel to localhost"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "refused: what was sent to localhost is no TLS (not TLS)"),
        (b"SSH-2.0-x\r\n", "refused: what was sent to localhost is no TLS (not TLS)"),
    ],
)
def test_nothing_else_passes_where_tls_is_spoken(home: Path, secure: Listener, said: bytes, told: str) -> None:
    with gated(home, f"https://localhost:{secure.port}") as gate, gate.tunnel(f"localhost:{secure.port}") as client:
        client.sendall(said)
        assert read_all(client) == b""
        assert secure.take() == b""
        assert gate.said == [f"network none: {told}"]


def test_a_bare_address_has_no_name_in_tls(home: Path, secure: Listener) -> None:
    target = f"127.0.0.1:{secure.port}"
    with gated(home, f"https://{target}") as gate:
        for name, passes in ((None, True), ("example.com", False)):
            with gate.tunnel(target) as client:
                client.sendall(hellos.real(name))
                client.shutdown(socket.SHUT_WR)
                assert bool(secure.take()) is passes


def test_where_tls_is_spoken_plain_requests_are_refused(home: Path, secure: Listener) -> None:
    with gated(home, f"https://localhost:{secure.port}") as gate:
        assert gate.ask(f"GET http://localhost:{secure.port}/ HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")


def test_large_answers_arrive_whole_though_the_reader_is_slow(home: Path) -> None:
    size = 20_000_000
    with listener() as server, gated(home, f"http://127.0.0.1:{server.port}") as gate:

        def answer() -> None:
            peer, _ = server._socket.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(bytes(size))

        thread = threading.Thread(target=answer)
        thread.start()
        assert len(gate.ask(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode())) == size
        thread.join()


def test_who_hangs_up_is_hung_up_on(home: Path, secure: Listener) -> None:
    with gated(home, f"http://127.0.0.1:{secure.port}") as gate:
        with gate.tunnel(f"127.0.0.1:{secure.port}") as client:
            client.sendall(b"a question")
        assert secure.take() == b"a question"


def test_two_hundred_at_once_are_all_served(gate: Gated, api: Web) -> None:
    request = f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode()
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(gate.ask(request))) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer[-4:] for answer in answers] == [b"yes\n"] * 200
    assert len(api.asked) == 200


def test_those_who_come_and_say_nothing_are_sent_away(gate: Gated, api: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_connection, "ASK_MOST", 0.05)
    ended: list[bytes] = []
    silent = [threading.Thread(target=lambda: ended.append(gate.ask(b"GET "))) for _ in range(200)]
    for thread in silent:
        thread.start()
    assert gate.ask(f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode())[-4:] == b"yes\n"
    for thread in silent:
        thread.join()
    assert ended == [b""] * 200


def test_a_connection_that_has_gone_silent_ends(home: Path, secure: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_connection, "SILENT_MOST", 0.05)
    with gated(home, f"http://127.0.0.1:{secure.port}") as gate, gate.tunnel(f"127.0.0.1:{secure.port}") as client:
        assert read_all(client) == b""
        assert secure.take() == b""


def test_a_fault_in_one_connection_ends_that_one(gate: Gated, api: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    request = f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode()
    with monkeypatch.context() as patch:
        patch.setattr(gate_connection, "read_request", lambda head: 1 / 0)
        assert gate.ask(request) == b""
    assert gate.ask(request)[-4:] == b"yes\n"
    assert "a connection to the model API ends by a fault" in gate.said


def test_the_socket_is_the_agents_groups(home: Path) -> None:
    hive = open_hive()
    hive.paths.agent_run(ADA).mkdir()
    gid = 64_333 if os.geteuid() == 0 else os.getgid()
    with make(hive, home / "log", {}, gid=gid):
        known = (hive.paths.agent_run(ADA) / "api.sock").stat()
        assert (stat.S_IMODE(known.st_mode), known.st_gid, known.st_uid) == (0o660, gid, os.geteuid())
    assert os.listdir(hive.paths.agent_run(ADA)) == []


def test_a_later_gate_takes_over_and_the_earlier_one_leaves_it_alone(home: Path, api: Web) -> None:
    hive = open_hive()
    hive.paths.agent_run(ADA).mkdir()
    env = {"ANTHROPIC_BASE_URL": api.url}
    ask = f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode()
    here = Gated(hive, home / "log")
    with make(hive, home / "log", env, socket_name="key.sock"), make(hive, home / "log", env):
        earlier = make(hive, home / "log", env)
        earlier.start()
        earlier.start()
        with make(hive, home / "log", env):
            earlier.close()
            earlier.close()
            assert here.ask(ask)[-4:] == b"yes\n"
            assert sorted(os.listdir(here.path.parent)) == ["api.sock", "key.sock"]
    assert os.listdir(here.path.parent) == []


def test_what_keeps_it_from_beginning_is_said(home: Path) -> None:
    hive = open_hive()
    with pytest.raises(Unavailable, match=r"api\.sock cannot be made: No such file") as missing:
        make(hive, home / "log", {}).start()
    assert missing.value.hint
    with pytest.raises(Invalid, match="ANTHROPIC_BASE_URL"):
        make(hive, home / "log", {"ANTHROPIC_BASE_URL": "x"}).start()
    make(hive, home / "log", {}).close()


IN_A_PROCESS = """
import os, signal, sys
from pathlib import Path
from hyperhive.core import process
from hyperhive.core.hive import open_hive
from tests.gate.servers import make

gate = make(open_hive(), Path(sys.argv[1]), {"ANTHROPIC_BASE_URL": sys.argv[2]})
gate.start()
child = process.start(["sleep", "1000"])
print(child.pid, flush=True)
signal.pause()
"""


def test_the_gate_ends_with_its_process_though_a_child_lives_on(home: Path, api: Web) -> None:
    hive = open_hive()
    hive.paths.agent_run(ADA).mkdir()
    here = Gated(hive, home / "log")
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_PROCESS, str(home / "log"), api.url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        try:
            with here.connect() as held:
                assert here.ask(f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode())[-4:] == b"yes\n"
                owner.send_signal(signal.SIGKILL)
                owner.wait()
                assert read_all(held) == b""
            with pytest.raises(ConnectionRefusedError):
                here.connect()
        finally:
            os.kill(child, signal.SIGKILL)
    with make(hive, home / "log", {"ANTHROPIC_BASE_URL": api.url}):
        assert here.ask(f"GET {api.url}/ HTTP/1.1\r\n\r\n".encode())[-4:] == b"yes\n"
