"""A server comes up on the address it was told, on no other, and says who has it where it cannot."""

import os
import socket
from pathlib import Path

import pytest

from hyperhive.core.errors import Conflict, Invalid, Unavailable
from hyperhive.core.listening import Address, holder, listen, parse
from tests.core.hives import program

TAKES = """
import socket
one = socket.socket({family}, socket.SOCK_STREAM)
one.bind({where})
one.listen()
print(one.getsockname()[1] if one.family == socket.AF_INET else "", flush=True)
sys.stdin.readline()
"""
WHERE = "('127.0.0.1', 0)"


@pytest.fixture
def path(home: Path) -> Path:
    """Where a socket may be."""
    return home / "web.sock"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8420", "127.0.0.1", 8420), ("[::1]:1", "::1", 1), ("hive.example.org:80", "hive.example.org", 80)],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse(text) == Address(host, port)
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["", "8420", ":8420", "host:", "host:x", "host:65536", "host:-1", "unix:", "host:\uff18"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no address"):
        parse(text)


def test_it_is_known_by_the_names_of_this_machine_and_by_those_that_were_given() -> None:
    assert parse("127.0.0.1:8420").names([]) == {"127.0.0.1:8420", "localhost:8420", "[::1]:8420"}
    assert parse("0.0.0.0:80").names(["Hive.example.org"]) >= {"localhost", "localhost:80", "hive.example.org"}
    assert "0.0.0.0:80" not in parse("0.0.0.0:80").names([])
    assert parse("unix:/run/x").names(["hive.example.org"]) == {"hive.example.org"}


def test_what_other_programs_have_is_waited_for_and_then_they_are_named(home: Path) -> None:
    with program(home, TAKES.format(family="socket.AF_INET", where=WHERE)) as other:
        address = Address("127.0.0.1", int(other.heard()))
        with pytest.raises(Conflict, match=rf"127.0.0.1:{address.port} is taken by .*python.*… \(pid {other.pid}\)"):
            listen(address, print, patience=0.0)


def test_an_address_that_becomes_free_is_taken(home: Path) -> None:
    with program(home, TAKES.format(family="socket.AF_INET", where=WHERE)) as other:
        address = Address("127.0.0.1", int(other.heard()))
        said: list[str] = []

        def end_it(word: str) -> None:
            said.append(word)
            other.tell()

        with listen(address, end_it, patience=30.0) as found:
            assert len(said) == 1
            assert f"(pid {other.pid}); waiting until it is free" in said[0]
            assert found.getsockname() == ("127.0.0.1", address.port)
            assert str(os.getpid()) in (holder(address) or "")


def test_what_an_ended_server_left_behind_holds_nobody_up() -> None:
    with listen(Address("127.0.0.1", 0), print) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            served, _ = first.accept()
            # Who closes first keeps the port in TIME_WAIT.
            served.close()
            assert client.recv(1) == b""
    listen(Address("127.0.0.1", port), print, patience=0.0).close()


def test_the_socket_of_an_ended_server_is_made_anew_and_is_its_users_alone(path: Path) -> None:
    address = Address("", 0, path)
    listen(address, print).close()
    with listen(address, print, patience=0.0):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(Conflict, match=rf"unix:{path} is taken by .* \(pid {os.getpid()}\)"):
            listen(address, print, patience=0.0)


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("dear")
    with pytest.raises(Unavailable, match="is no socket"):
        listen(Address("", 0, path), print)
    assert path.read_text() == "dear"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_what_this_machine_does_not_have_is_said(host: str) -> None:
    with pytest.raises(Unavailable, match=host):
        listen(Address(host, 8420), print)
