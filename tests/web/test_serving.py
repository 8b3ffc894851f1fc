"""The process that serves: how it begins, how it ends, what it needs."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.core import access
from hyperhive.core.access import AccessKind
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from tests.cli import shell
from tests.web.reader import PATIENCE, Reader
from tests.web.site import Site

# As on a machine where nothing of the extra was installed.
WITHOUT = """
import sys
sys.modules.update({name: None for name in ("flask", "flask_sock", "flask_wtf", "gunicorn")})
from hyperhive.cli.main import hyperhive
hyperhive.main(sys.argv[1:])
"""


def until(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def page(site: Site) -> Reader:
    """An open page that has said what it has."""
    opened = Reader.open(site.url, cookie=site.cookie)
    opened.say({})
    assert "agent-ada" in str(opened.hear())
    return opened


def closed(opened: Reader) -> int | None:
    """The code with which a page is let go, or None where it is left without a word."""
    try:
        while not isinstance(code := opened.hear(), int):
            pass
    except (AssertionError, ConnectionError):
        return None
    finally:
        opened.socket.close()
    return code


def test_it_ends_in_order_though_pages_are_open(site: Site) -> None:
    pages = [page(site) for _ in range(3)]
    assert site.stop(signal.SIGTERM) == 0
    assert [closed(one) for one in pages] == [1012] * 3


def test_ctrl_c_ends_it_as_well(site: Site) -> None:
    opened = page(site)
    assert site.stop(signal.SIGINT) == 0
    assert closed(opened) == 1012


def test_a_second_one_takes_over_at_once_at_the_same_address(site: Site, hive: Hive) -> None:
    opened, url = page(site), site.url
    site.stop(signal.SIGTERM)
    closed(opened)
    site.start()
    assert site.url == url
    page(site).socket.close()


def test_no_process_stays_when_it_is_killed(site: Site, hive: Hive) -> None:
    opened = page(site)
    site.stop(signal.SIGKILL)
    assert closed(opened) == 1012
    until(lambda: not is_held(hive.paths.lock("web")), "its worker has ended")


def test_who_has_the_address_is_named_and_no_other_is_taken(hive: Hive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with shell.running("web", "--bind", f"127.0.0.1:{port}") as waiting:
            assert waiting.stderr is not None
            said = waiting.stderr.readline()
            assert f"127.0.0.1:{port} is taken by " in said
            assert f"(pid {os.getpid()}); waiting" in said
            other.close()
            assert f"listens on http://127.0.0.1:{port};" in waiting.stderr.readline()


def test_a_socket_is_served_as_well(hive: Hive, home: Path) -> None:
    (home / "hive.toml").write_text('[web]\nhosts = ["hive.example.org"]\n')
    path = home / "web.sock"
    with shell.running("web", "--bind", f"unix:{path}") as serving:
        assert serving.stderr is not None
        assert str(path) in serving.stderr.readline()
        link = shell.answer("web", "login").strip()
        assert link.startswith("https://hive.example.org/login/")
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(path))
            where = link.removeprefix("https://hive.example.org")
            asked.sendall(f"GET {where} HTTP/1.0\r\nHost: hive.example.org\r\nX-Forwarded-Proto: https\r\n\r\n".encode())
            answer = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
        assert " 200 OK" in answer.partition("\r\n")[0]
        assert "; Secure;" in answer


def test_a_link_leads_to_where_it_is_served_now(site: Site) -> None:
    link = shell.answer("web", "login").strip()
    assert link.startswith(f"{site.url}/login/")
    with urllib.request.urlopen(link, timeout=PATIENCE) as answer:
        assert answer.status == 200


def test_a_link_for_what_is_not_served_says_so(hive: Hive) -> None:
    ended = shell.run("web", "login")
    assert ended.stdout.startswith("http://127.0.0.1:8420/login/")
    assert "the dashboard is not up" in ended.stderr


def test_who_may_use_it_is_listed_and_taken_back(hive: Hive) -> None:
    assert "nobody is logged in" in shell.run("web", "sessions").stderr
    session = access.enter(hive, access.invite(hive), label="Fire\x1b[31mfox")
    token = shell.answer("web", "token", "backup").strip()
    assert access.check(hive, AccessKind.TOKEN, token).label == "backup"
    listed = shell.answer("web", "sessions")
    assert "session" in listed
    assert "backup" in listed
    assert "\x1b" not in listed
    assert token not in listed
    number = access.check(hive, AccessKind.SESSION, session).number
    assert shell.answer("web", "logout", str(number)) == f"session {number} is logged out\n"
    assert shell.answer("web", "logout", "--all") == "everybody is logged out: 1 browser or token\n"
    assert access.listed(hive) == []
    assert shell.complaint("web", "logout", code=2) == ("say which one, or --all", "hyperhive web sessions")
    assert "no session and no token 9" in shell.complaint("web", "logout", "9", code=3)[0]


def test_sessions_have_these_keys_in_json(hive: Hive) -> None:
    import msgspec

    access.make_token(hive, label="backup")
    (found,) = msgspec.json.decode(shell.answer("web", "sessions", "--json"))
    assert set(found) == {"number", "kind", "label", "made_at", "seen_at", "ends_at"}
    assert (found["kind"], found["label"], found["ends_at"]) == ("token", "backup", None)


@pytest.mark.parametrize("words", [["web"], ["web", "login"], ["up", "--web"]], ids=" ".join)
def test_what_is_missing_is_said_with_what_to_install(hive: Hive, words: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 7
    assert "needs what is not installed here: flask, flask_sock, flask_wtf, gunicorn" in ended.stderr
    assert "pip install 'hyperhive[web]'" in ended.stderr


@pytest.mark.parametrize("words", [["ps"], ["web", "--help"], ["web", "sessions"]], ids=" ".join)
def test_no_other_command_needs_any_of_it(hive: Hive, words: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_hive_that_is_up_serves_it_too_and_ends_it(hive: Hive, home: Path) -> None:
    (home / "hive.toml").write_text('[web]\nbind = "127.0.0.1:0"\n')
    with shell.running("up", "--web") as up:
        assert up.stderr is not None
        said = [up.stderr.readline()]
        while "the dashboard listens on " not in said[-1]:
            assert said[-1], said
            said.append(up.stderr.readline())
        link = shell.answer("web", "login").strip()
        with urllib.request.urlopen(link, timeout=PATIENCE) as answer:
            assert answer.status == 200
        up.send_signal(signal.SIGTERM)
        assert up.wait(PATIENCE) == 0
        assert not is_held(hive.paths.lock("web"))
