"""A container without a network: the real agent CLI works in it, and nothing else comes out of it."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import api_gate, programs
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.model import Network
from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.gate.servers import Web, make, web
from tests.runtimes import boxes
from tests.support.machine import claude_program

pytestmark = pytest.mark.box
kinds = pytest.mark.parametrize("kind", boxes.KINDS)
forwarders = pytest.mark.parametrize("forwarder", ["socat", "python3"])
PROXY = f"http://127.0.0.1:{api_gate.PORT}"


@pytest.fixture
def other() -> Iterator[Web]:
    """A server of this machine that no agent is meant to reach."""
    with web() as server:
        yield server


class Closed:
    """An agent's container without a network, its gate open."""

    def __init__(self, box: boxes.Box, forwarder: str) -> None:
        self.box = box
        self._inside = box.runtime.inside(box.place)
        assert self._inside.relay[0] == "socat", "these tests need socat"
        if forwarder == "python3":
            relay = ("python3", "-S", "-E", "-I", f"{self._inside.run}/relay.py", self._inside.socket)
            self._inside = msgspec.structs.replace(self._inside, relay=relay)

    def words(self, *command: str) -> list[str]:
        return api_gate.inside_words(self._inside, command)

    def sh(self, script: str, **env: str) -> list[str]:
        """The lines that a script prints, as the agent may run it."""
        return self.box.out(*self.words("bash", "-c", script), **api_gate.variables(), **env).splitlines()

    def code(self, *curl: str) -> str:
        """The status that curl sees, or how it failed."""
        return self.sh('curl -s -o /dev/null -m 20 -w "%{http_code} " "$@" || echo "curl $?"'.replace('"$@"', " ".join(curl)))[-1]


@contextmanager
def closed(
    kind: str, forwarder: str, home: Path, base_url: str, *, program: Path | None = None, limits: AgentLimits | None = None
) -> Iterator[Closed]:
    config = AgentConfig(network=Network.NONE, limits=limits or AgentLimits())
    box = boxes.make(kind, config=config, program=program)
    gid = (box.place.gid or boxes.ORDINARY) if boxes.IS_ROOT else None
    with make(box.hive, home / "gate.log", {"ANTHROPIC_BASE_URL": base_url}, gid=gid):
        yield Closed(box, forwarder)


def brain(request: Request) -> Reply:
    if not request.tool_results:
        return use("Bash", command="echo made > /workspace/file && cat /workspace/file")
    return say(f"the tool said {request.tool_results[0].text.strip()}")


def environment(url: str) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-ant-api03-made-up",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
    }


@pytest.mark.claude
@kinds
@forwarders
def test_the_agent_cli_takes_a_turn(kind: str, forwarder: str, home: Path) -> None:
    found = claude_program()
    assert found is not None
    with ModelApi(brain) as api:
        probe = boxes.make(kind)
        uid = probe.place.uid or (boxes.ORDINARY if boxes.IS_ROOT else None)
        program = programs.reachable(probe.hive, found, uid)
        with closed(kind, forwarder, home, api.url, program=program) as agent:
            command = agent.words("/opt/hyperhive/claude", "-p", "--allowedTools", "Bash", "--", "go")
            assert agent.box.out(*command, **environment(api.url), **api_gate.variables()) == "the tool said made"
            assert len(api.requests) == 2
            # The same without the way out reaches nothing, so it was the gate that carried those.
            alone = agent.box.run("/opt/hyperhive/claude", "-p", "go", **environment(api.url))
            assert (alone.returncode, len(api.requests)) == (1, 2)
            assert "API Error" in alone.stdout


@kinds
@forwarders
def test_it_reaches_the_api_and_nothing_else(kind: str, forwarder: str, home: Path, other: Web) -> None:
    with web() as api, closed(kind, forwarder, home, api.url) as agent:
        assert agent.code(f"{api.url}/v1") == "200"
        # Neither by itself ("couldn't connect"), nor through the gate, plainly or by a tunnel, by whatever name.
        assert agent.code("--noproxy '*'", f"{api.url}/v1") == "000 curl 7"
        assert agent.code("--noproxy '*'", other.url) == "000 curl 7"
        assert agent.code("--noproxy '*'", "http://192.0.2.1/") == "000 curl 7"
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]"):
            assert agent.code(f"http://{host}:{other.port}/") == "403"
            assert agent.code("-p", f"http://{host}:{other.port}/") == "000 curl 56"
        assert agent.code("https://example.com/") == "000 curl 56"
        assert agent.sh("getent hosts example.com || echo no name") == ["no name"]
        assert len(api.asked) == 1
        assert other.asked == []
        told = (home / "gate.log").read_text()
        assert f"refused: 127.0.0.1:{other.port}\n" in told
        assert "refused: example.com:443\n" in told


@kinds
def test_with_an_open_network_the_same_reaches_the_machine(kind: str, other: Web) -> None:
    box = boxes.make(kind)
    assert box.out("curl", "-s", "--noproxy", "*", other.url) == "yes"
    assert len(other.asked) == 1


@kinds
def test_the_gates_socket_takes_an_agent_no_further(kind: str, home: Path, other: Web) -> None:
    script = f"printf 'CONNECT 127.0.0.1:{other.port} HTTP/1.1\\r\\n\\r\\n' | socat -t 20 - UNIX-CONNECT:/run/hyperhive/api.sock"
    with web() as api, closed(kind, "socat", home, api.url) as agent:
        assert agent.sh(script)[0] == "HTTP/1.1 403 Forbidden"
        assert agent.sh("rm /run/hyperhive/api.sock 2>/dev/null || echo refused") == ["refused"]
    assert other.asked == []


@pytest.mark.root
def test_another_agents_gate_is_out_of_reach(home: Path) -> None:
    with web() as api, closed("own-user", "socat", home, api.url) as ada:
        bob = boxes.make("own-user", "bob", number=1)
        path = ada.box.hive.paths.agent_run(ada.box.place.name) / "api.sock"
        as_bob = ["setpriv", f"--reuid={bob.place.uid}", f"--regid={bob.place.gid}", "--clear-groups", "--"]
        assert bob.out("ls", "/run/hyperhive").split().count("api.sock") == 0
        tried = subprocess.run(
            [*as_bob, "socat", "-", f"UNIX-CONNECT:{path}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert "Permission denied" in tried.stderr


@kinds
@forwarders
def test_two_hundred_at_once_are_all_served(kind: str, forwarder: str, home: Path) -> None:
    with web() as api, closed(kind, forwarder, home, api.url) as agent:
        many = f"curl -s -Z --parallel-max 200 -m 100 '{api.url}/[1-200]'"
        assert agent.sh(many) == ["yes"] * 200
        assert len(api.asked) == 200


@kinds
@forwarders
def test_the_command_is_what_it_would_be_without_the_gate(kind: str, forwarder: str, home: Path) -> None:
    with closed(kind, forwarder, home, "http://127.0.0.1:9") as agent:
        # Its end ends the container, its pipes too, though the forwarder is its child; the words stay apart.
        done = agent.box.run(*agent.words("sh", "-c", 'cat; echo "$1" >&2; exit 7', "sh", "a  b $HOME"), input="in")
        assert (done.returncode, done.stdout, done.stderr) == (7, "in", "a  b $HOME\n")
        assert agent.box.run(*agent.words("/nowhere")).returncode == 127


FORKS = """
import os, signal, sys, time, urllib.request
url, children = sys.argv[1], []
try:
    while True:
        children.append(os.fork())
        if not children[-1]:
            signal.pause()
except BlockingIOError:
    print(len(children) > 10)
try:
    urllib.request.urlopen(url, timeout=1).read()
except OSError as error:
    print("refused")
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(urllib.request.urlopen(url, timeout=20).read())
"""


@kinds
@forwarders
def test_a_container_that_had_used_up_its_tasks_finds_its_way_again(kind: str, forwarder: str, home: Path) -> None:
    with web() as api, closed(kind, forwarder, home, api.url, limits=AgentLimits(tasks=40)) as agent:
        agent.box.place.workspace.joinpath("forks.py").write_text(FORKS)
        assert agent.sh(f"python3 forks.py {api.url}") == ["True", "refused", "b'yes\\n'"]


def test_the_ports_digits_are_those_the_kernel_shows() -> None:
    assert int(f"{api_gate.PORT:04X}", 16) == api_gate.PORT
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 1024 < api_gate.PORT < low
    assert os.path.basename(api_gate.LOGIN_SOCKET) == api_gate.LOGIN_SOCKET
