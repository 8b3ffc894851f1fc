"""The throw-away systemd that tests use: what it passes on, what it keeps to itself, and that nothing is left of it."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.systemd_host import ROOT, SystemdHost

pytestmark = pytest.mark.systemd


def groups() -> set[str]:
    return {path.name for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") for path in Path(root).glob("hyperhive-host-*")}


def processes() -> set[str]:
    return {
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cgroup")
        if _text(path).rpartition("0::")[2].startswith("/hyperhive-host-")
    }


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_it_runs_a_systemd_and_passes_on_what_programs_say(host: SystemdHost) -> None:
    assert host.systemctl("is-system-running") == "running"
    ran = host.run(["sh", "-c", "cat; echo to the side >&2; exit 7"], stdin="a word", check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("a word", "to the side\n", 7)


def test_the_project_runs_in_it_on_a_home_of_the_test(host: SystemdHost, home: Path) -> None:
    host.run([sys.executable, "-m", "hyperhive", "spawn", "ada", "--runtime", "host"], env={"HYPERHIVE_HOME": str(home)})
    assert (home / "state/agents/ada").is_dir()


def test_what_is_written_in_it_stays_in_it(host: SystemdHost) -> None:
    for path in ("/tmp", "/var/lib", "/etc", "/run"):
        host.run(["touch", f"{path}/written-by-a-test"])
        assert not Path(path, "written-by-a-test").exists()
    ran = host.run(["touch", ROOT / "written-by-a-test"], check=False)
    assert "Read-only file system" in ran.stderr


def test_a_socket_of_the_test_can_be_of_its_network(host: SystemdHost) -> None:
    with host.network(), socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port})).sendall(b'from inside')"
        host.run([sys.executable, "-c", program])
        with server.accept()[0] as peer:
            assert peer.recv(64) == b"from inside"
    with socket.create_server(("127.0.0.1", 0)) as outside:
        program = f"import socket; socket.create_connection(('127.0.0.1', {outside.getsockname()[1]}))"
        assert "Connection refused" in host.run([sys.executable, "-c", program], check=False).stderr


@pytest.mark.parametrize("again", [SystemdHost.reboot, SystemdHost.cut_power])
def test_it_can_be_booted_again_with_what_was_written(again: Callable[[SystemdHost], None]) -> None:
    with SystemdHost() as host:
        before = host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
        host.run(["sh", "-c", "touch /etc/kept; sync"])
        again(host)
        assert host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != before
        host.run(["test", "-e", "/etc/kept"])


@pytest.mark.parametrize("killed", ["the tests", "the keeper", "nobody"])
def test_nothing_is_left_of_it_whoever_is_killed(killed: str, tmp_path: Path) -> None:
    before, mounts, busy = groups(), Path("/proc/self/mountinfo").read_text(), processes()
    program = """
        import sys
        from tests.support.systemd_host import SystemdHost
        with SystemdHost() as host:
            print(host._keeper.pid, flush=True)
            sys.stdin.readline()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as tests:
        assert tests.stdout is not None
        keeper = int(tests.stdout.readline())
        assert processes() - busy
        if killed != "nobody":
            os.kill(tests.pid if killed == "the tests" else keeper, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (processes() - busy) or (killed != "the keeper" and groups() - before):
        assert time.monotonic() < deadline, (processes() - busy, groups() - before)
        time.sleep(0.01)
    assert Path("/proc/self/mountinfo").read_text() == mounts
    if killed == "the keeper":
        # Its control group is empty, and is removed by the next one.
        assert groups() - before == {f"hyperhive-host-{keeper}"}
        with SystemdHost():
            assert f"hyperhive-host-{keeper}" not in groups()
