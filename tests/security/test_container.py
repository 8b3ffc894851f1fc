"""An agent does not get out of its container."""

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.model import Network
from hyperhive.core.runtimes import enter, runtime_named
from tests.runtimes import boxes
from tests.security import attack

pytestmark = pytest.mark.box
kinds = pytest.mark.parametrize("kind", boxes.KINDS)
SCRIPT = Path(attack.__file__).read_text()
# What an open network brings along: it is the machine's own.
OPEN = {"reach_the_network"}
# Where the kernel cannot keep a program from them, `doctor` says so.
KEPT_OUT = set() if enter.can_scope() else {"reach_an_abstract_socket"}
KEYCTL = enter.KEYCTL.get(os.uname().machine, -1)


class Machine:
    """A neighbour, a service, a process and a secret of the host, all within reach of whoever has no container."""

    def __init__(self, stack: ExitStack, kind: str, folder: Path) -> None:
        self.mark = secrets.token_hex(8)
        neighbour = boxes.make(kind, "bob", number=1)
        self.given = {
            "mark": self.mark,
            "abstract": f"hh-{self.mark}",
            "secret": str(folder / "secret"),
            "service": str(folder / "bus"),
            "neighbour_note": str(neighbour.place.state / "note"),
            "neighbour_socket": str(neighbour.hive.paths.agent_socket(neighbour.place.name)),
            "keyctl": KEYCTL,
            "namespaces": attack.namespaces(),
            "peers": attack.peers(),
        }
        (folder / "secret").write_text("canary")
        (folder / "secret").chmod(0o644)
        boxes.own(neighbour, neighbour.place.state / "note", "canary")
        for address in (str(self.given["service"]), str(self.given["neighbour_socket"]), f"\0hh-{self.mark}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(64)
            if address[0] != "\0":
                os.chmod(address, 0o666)
        network = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.given["port"] = network.getsockname()[1]
        # A process of an ordinary agent's own user: the worst case.
        same = (
            []
            if kind == "host" or not boxes.IS_ROOT
            else ["setpriv", f"--reuid={boxes.ORDINARY}", f"--regid={boxes.ORDINARY}", "--clear-groups", "--"]
        )
        victim = stack.enter_context(
            subprocess.Popen([*same, "cat"], env={"PATH": os.defpath, "MARK": self.mark}, stdin=subprocess.PIPE)
        )
        self.given["pid"] = victim.pid
        stack.callback(victim.kill)

    def attacked_from(self, box: boxes.Box, *before: str) -> set[str]:
        """The attempts that succeed from there, the operator's session holding a key."""
        words = [sys.executable, "-c", WITH_A_KEY, str(KEYCTL), self.mark, *before]
        done = box.run("python3", "-c", SCRIPT, json.dumps(self.given), before=words)
        assert done.returncode == 0, done.stderr
        return set(json.loads(done.stdout))


# Begin a session keyring, put a key into it, go on: keyctl(KEYCTL_JOIN_SESSION_KEYRING), add_key(…, SESSION_KEYRING).
WITH_A_KEY = """
import ctypes, os, sys
number = int(sys.argv[1])
if number > 0:
    ctypes.CDLL(None).syscall(number, 1, None)
    ctypes.CDLL(None).syscall({250: 248, 219: 217, 271: 269, 280: 278}[number], b"user", sys.argv[2].encode(), b"key", 3, -3)
os.execvp(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@kinds
def test_nothing_outside_can_be_reached(kind: str, stack: ExitStack, outside: Path) -> None:
    machine = Machine(stack, kind, outside)
    assert machine.attacked_from(boxes.make(kind)) == OPEN | KEPT_OUT


@kinds
def test_without_a_network_not_even_that(kind: str, stack: ExitStack, outside: Path) -> None:
    machine = Machine(stack, kind, outside)
    assert machine.attacked_from(boxes.make(kind, config=AgentConfig(network=Network.NONE))) == set()


# These need a service, a disk or a home that a machine may lack, or a limit that only a container has.
NOT_EVERYWHERE = {
    "reach_the_system_services", "open_a_disk", "list_homes", "use_an_inherited_descriptor", "raise_its_limit", "press_sysrq",
    "write_where_it_is_read_only", "share_the_machines_namespaces", *(() if KEYCTL > 0 else ("take_the_operators_keys",)),
}  # fmt: skip


@pytest.mark.root
def test_without_a_container_the_same_attempts_succeed_for_root(stack: ExitStack, outside: Path) -> None:
    machine = Machine(stack, "host", outside)
    # What would change the machine itself happens in namespaces that vanish with the attack.
    apart = ("unshare", "--mount", "--uts", "--propagation", "private", "--")
    assert machine.attacked_from(boxes.make("host"), *apart) | NOT_EVERYWHERE == set(attack.ATTEMPTS) | NOT_EVERYWHERE


def test_without_a_container_an_ordinary_user_reaches_all_that_is_its_own(stack: ExitStack, outside: Path) -> None:
    machine = Machine(stack, "ordinary", outside)
    done = machine.attacked_from(replace(boxes.make("ordinary"), runtime=runtime_named("host")))
    assert done >= {
        "read_a_secret", "see_another_agents_notes", "plant_a_file_at_another_agent", "speak_through_another_agents_socket",
        "reach_a_service_of_the_host", "reach_an_abstract_socket", "reach_the_network", "signal_a_process", "see_a_process",
        "find_any_process_with_the_mark", "share_the_machines_namespaces",
    }  # fmt: skip
    assert not done & attack.HARMFUL
