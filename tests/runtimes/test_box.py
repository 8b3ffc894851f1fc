"""What an agent finds in its container, for real."""

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.agent_config import AgentConfig, AgentLimits, Mount
from hyperhive.core.errors import Unavailable
from hyperhive.core.model import Network
from hyperhive.core.runtimes import check, runtime_named
from hyperhive.core.runtimes.bubblewrap import Bubblewrap
from tests.runtimes import boxes

pytestmark = pytest.mark.box
kinds = pytest.mark.parametrize("kind", boxes.KINDS)
both = pytest.mark.parametrize("kind", [*boxes.KINDS, "host"])


@kinds
def test_an_agent_is_somebody_somewhere(kind: str) -> None:
    box = boxes.make(kind)
    assert box.out("id", "-un") == "agent"
    assert box.out("id") == "uid=1000(agent) gid=1000(agent) groups=1000(agent)"
    assert box.out("hostname") == "ada"
    assert box.out("pwd") == "/workspace"
    assert box.run("pwd", cwd="/state").stdout == "/state\n"
    assert box.out("sh", "-c", "echo $HOME $TMPDIR $CLAUDE_CONFIG_DIR") == "/state /tmp /claude"


@kinds
def test_it_writes_to_its_own_folders_and_nowhere_else(kind: str) -> None:
    box = boxes.make(kind)
    tried = (
        "/state/a /workspace/a /claude/a /tmp/a /dev/shm/a /a /usr/a /etc/a /etc/passwd /run/a /run/hyperhive/a /dev/a /proc/a"
    )
    script = f"for f in {tried}; do {{ : > $f; }} 2>/dev/null && echo $f; done; true"
    assert box.out("bash", "-c", script).split() == ["/state/a", "/workspace/a", "/claude/a", "/tmp/a", "/dev/shm/a"]
    assert (box.place.workspace / "a").stat().st_uid == (box.place.uid or (boxes.ORDINARY if boxes.IS_ROOT else os.getuid()))


@kinds
def test_it_can_name_hosts_users_and_certificates(kind: str) -> None:
    box = boxes.make(kind)
    assert box.out("getent", "hosts", "localhost")
    for file in ("hosts", "nsswitch.conf", "resolv.conf", "ld.so.cache", "ssl/certs", "alternatives"):
        if Path("/etc", file).exists():
            box.out("test", "-r", f"/etc/{file}")
    if Path("/etc/resolv.conf").exists():
        assert box.out("cat", "/etc/resolv.conf") == Path("/etc/resolv.conf").read_text().strip()


@kinds
def test_a_program_of_the_host_runs_inside(kind: str, home: Path) -> None:
    program = home / "fake-claude"
    program.write_text("#!/usr/bin/env python3\nimport sys; print('I am', sys.argv)\n")
    program.chmod(0o755)
    box = boxes.make(kind, program=program)
    inside = box.runtime.inside(box.place).program
    assert inside == "/opt/hyperhive/claude"
    assert box.out(inside, "-p") == "I am ['/opt/hyperhive/claude', '-p']"


@kinds
def test_mounts_are_there_as_they_were_asked_for(kind: str, outside: Path) -> None:
    for name in ("read", "write"):
        (outside / name).mkdir()
        (outside / name / "file").write_text(name)
        (outside / name).chmod(0o777)
    mounts = (Mount(str(outside / "read"), "/mnt/deep/read"), Mount(str(outside / "write"), "/workspace/blog", "rw"))
    box = boxes.make(kind, config=AgentConfig(mounts=mounts))
    assert box.out("cat", "/mnt/deep/read/file", "/workspace/blog/file") == "readwrite"
    assert box.run("touch", "/mnt/deep/read/new").returncode != 0
    box.out("touch", "/workspace/blog/new")
    assert (outside / "write/new").exists()
    assert box.run("touch", "/mnt/other").returncode != 0


@both
@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exec no-such-thing", 127)]
)
def test_the_exit_code_passes_through(kind: str, script: str, code: int) -> None:
    done = boxes.make(kind).run("sh", "-c", script).returncode
    assert (done if done >= 0 else 128 - done) == code


@kinds
def test_a_command_that_is_not_there_is_said_so(kind: str) -> None:
    done = boxes.make(kind).run("no-such-thing")
    assert (done.returncode, done.stderr.strip()) == (127, "no-such-thing: No such file or directory")


@both
def test_the_container_ends_with_the_one_who_started_it(kind: str) -> None:
    box = boxes.make(kind)
    # Without a container only the program itself ends: what it has started is looked after by the harness.
    words = box.words(["sh", "-c", "echo up; exec sleep 1000" if kind == "host" else "echo up; sleep 1000 & wait"])
    starter = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *words],
        env=box.env(), stdout=subprocess.PIPE,
    )  # fmt: skip
    with starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"up\n"
        starter.kill()
        # The pipe ends when nobody holds it any more: the container is gone.
        ended, _, _ = select.select([starter.stdout], [], [], 30)
        assert ended
        assert starter.stdout.read() == b""


@both
def test_no_descriptor_of_the_host_comes_along(kind: str) -> None:
    with open("/etc/hosts") as leaked:
        os.set_inheritable(leaked.fileno(), True)
        box = boxes.make(kind)
        child = process.start(box.words(["sh", "-c", "ls /proc/$$/fd"]), env=box.env())
        out, _ = child.communicate(timeout=60)
    assert set(out.split()) <= {b"0", b"1", b"2", b"10"}


@contextmanager
def echo_server(path: Path) -> Iterator[list[bytes]]:
    """A hub's child in small: answers each line in capitals, ends the connection at `bye`; gives the lines it got."""
    got: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    got.append(line)
                    stream.write(line.upper())
                    stream.flush()
                    if line == b"bye\n":
                        return
                got.append(b"")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield got
        finally:
            thread.join(30)
            assert not thread.is_alive()


def relays(box: boxes.Box) -> dict[str, tuple[str, ...]]:
    """The relay that the container has, and the one for containers without socat."""
    inside = box.runtime.inside(box.place)
    return {"own": inside.relay, "script": ("python3", "-S", "-E", "-I", f"{inside.run}/relay.py", inside.socket)}


@both
@pytest.mark.parametrize("which", ["own", "script"])
def test_the_relay_carries_both_ways_until_the_socket_ends(kind: str, which: str) -> None:
    box = boxes.make(kind)
    with echo_server(box.hive.paths.agent_socket(box.place.name)) as got, box.start(*relays(box)[which]) as child:
        assert child.stdin
        assert child.stdout
        for line in ("hello\n", "x" * 300_000 + "\n", "bye\n"):
            child.stdin.write(line)
            child.stdin.flush()
            assert child.stdout.readline() == line.upper()
        assert child.stdout.read() == ""
        assert child.wait(30) == 0
    assert len(got) == 3


@both
@pytest.mark.parametrize("which", ["own", "script"])
def test_the_relay_ends_with_its_input(kind: str, which: str) -> None:
    box = boxes.make(kind)
    with echo_server(box.hive.paths.agent_socket(box.place.name)) as got:
        child = box.start(*relays(box)[which])
        child.communicate(timeout=30)
        assert child.returncode == 0
    assert got == [b""]


@kinds
def test_without_a_network_there_is_only_a_loopback_of_its_own(kind: str) -> None:
    box = boxes.make(kind, config=AgentConfig(network=Network.NONE))
    assert box.out("sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]


@kinds
def test_the_tasks_of_one_container_are_counted_alone(kind: str) -> None:
    script = "for i in $(seq 30); do sleep 60 & done; wait -n; echo all"
    few = boxes.make(kind, "ada", config=AgentConfig(limits=AgentLimits(tasks=40)))
    other = boxes.make(kind, "bob", number=1, config=AgentConfig(limits=AgentLimits(tasks=40)))
    first = few.start("bash", "-c", "for i in $(seq 30); do sleep 1000 & done; echo up; wait")
    try:
        assert first.stdout
        assert first.stdout.readline() == "up\n"
        assert other.out("bash", "-c", script.replace("sleep 60", "sleep 0.1")) == "all"
        assert few.out("bash", "-c", script.replace("sleep 60", "sleep 0.1")) == "all"
    finally:
        first.kill()
        first.communicate()


def test_what_doctor_tries_works_here() -> None:
    check(runtime_named("bubblewrap"))
    check(runtime_named("host"))


def test_a_missing_bubblewrap_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    with pytest.raises(Unavailable) as missing:
        check(Bubblewrap())
    assert missing.value.hint


@pytest.mark.root
def test_a_missing_bubblewrap_is_said_so_to_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "setpriv").symlink_to("/usr/bin/setpriv")
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="bubblewrap is not installed"):
        check(Bubblewrap())


def test_forbidden_user_namespaces_are_said_so() -> None:
    # In a user namespace that allows no more of them below it, as sysctl would for the machine.
    limit = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]
    with pytest.raises(Unavailable) as forbidden:
        check(Bubblewrap(), run=lambda argv: process.run([*words, *argv[argv.index("bwrap") :]]))
    assert "no more user namespaces" in forbidden.value.message
