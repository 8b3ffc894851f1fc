"""An agent in a booted container of its own: what it can and cannot, how it is started, ended and found again."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from hyperhive.core import folders, messages
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, MessageState, Outcome, parse_name
from hyperhive.core.paths import SYSTEM_CONFIG, SYSTEM_STATE, Paths
from hyperhive.core.runtimes import enter
from hyperhive.core.runtimes.nspawn import Nspawn
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.security import attack
from tests.support.terminal import Screen
from tests.systemd.conftest import Model
from tests.systemd.hosted import HYPERHIVE, PYTHON, Hosted

pytestmark = [pytest.mark.systemd, pytest.mark.claude, pytest.mark.xdist_group("systemd")]
NORA = parse_name("nora")
CONTAINER = "hyperhive-container@nora.service"
MACHINE = "--machine=hyperhive-nora"
HUB = "hyperhive-hub.service"
AGENT = "hyperhive-agent@nora.service"
SERVICE = """
[Service]
ExecStart=sh -c 'echo "as $$(id -u) in $$PWD for $ROOM"; exec sleep infinity'
Environment=ROOM=blog
"""
LOOK = "from hyperhive.core import crash_watch, hive; crash_watch.look(hive.open_hive())"
# What of the machine a change in the container must not be one of.
SEEN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.security import attack
print(json.dumps([attack.namespaces(), attack.peers()]))
"""
CONNECT = """
import socket
print([socket.socket(socket.AF_UNIX).connect_ex(f"/run/{path}") for path in ("dbus/system_bus_socket", "systemd/private")])
"""


def brain(request: Request) -> Reply:
    """Answer the operator; `sleep` is a command that does not end, nor what it has left behind."""
    if "sleep" in request.prompt:
        return use("Bash", command="setsid sleep 1111 & exec sleep 1111", timeout=600_000)
    if request.tool_results:
        return say("I have answered.")
    return use("mcp__hyperhive__send", to=OPERATOR, body=f"heard: {request.prompt[-100:]}")


@pytest.fixture(scope="module")
def made(whole: Hosted) -> Iterator[Hosted]:
    """The hive with the agent nora in a container of this kind, with limits and a service of its own."""
    whole.use_claude()
    whole.spawn_inside("nora", runtime="nspawn", limits={"tasks": 200, "memory": "1G"})
    (whole.home / "unit").write_text(SERVICE)
    edited = edit(whole, "units/tell.service", whole.home / "unit")
    assert "runs the service tell.service: sh -c" in edited.stdout
    yield whole
    whole.run("destroy", "nora", "--purge", "--yes", check=False)


@pytest.fixture
def hive(made: Hosted, hosted: Hosted, model: Model) -> Hosted:
    hosted.use_claude()
    model.brain = brain
    return hosted


def edit(hive: Hosted, file: str, text: Path, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Put a text into nora's configuration and deploy it, as an operator with an editor does."""
    # The folder of settings is seen at its place.
    inside = SYSTEM_CONFIG / text.name
    return hive.run("config", "nora", "--file", file, "--edit", "--yes", env={"EDITOR": f"cp {inside}"}, check=check)


def machines(hive: Hosted) -> set[str]:
    """Whose containers the machine knows of."""
    listing = Nspawn().listing
    return {str(name) for name in listing.read(hive.host.run(listing.words).stdout)}


def processes(hive: Hosted) -> list[str]:
    """What runs on the machine as a user of the agent's range."""
    base = hive.agent("nora").uid or 0
    lines = [line.split(maxsplit=1) for line in hive.host.run(["ps", "-eo", "uid=,args="]).stdout.splitlines()]
    return [args for uid, args in lines if base <= int(uid) < base + 65_536]


def clis(hive: Hosted) -> list[str]:
    """The agent CLIs that run in containers of this kind."""
    return hive.host.run(["pgrep", "--full", "^/opt/hyperhive/claude"], check=False).stdout.split()


def leader(hive: Hosted) -> int:
    """The process that has made the agent's container."""
    return hive.pid_of(CONTAINER)


def kill_container(hive: Hosted) -> None:
    """End the container as an accident would."""
    hive.kill(CONTAINER)
    hive.until(lambda: machines(hive) == set(), "the machine knows that it is gone")


def journal(hive: Hosted, *words: str) -> str:
    """What the container's journal holds, read as hyperhive does."""
    base = hive.agent("nora").uid or 0
    hosts = Hive(Paths(config=SYSTEM_CONFIG, state=SYSTEM_STATE))
    place = folders.place(hosts, NORA, uid=base + 1000, base=base, program=None, config=AgentConfig())
    return hive.host.run([*Nspawn().journal(place), "--output=cat", *words], check=False).stdout


def asleep(hive: Hosted) -> int:
    """Have the agent in a turn that does not end. Gives back the number of its message."""
    inbox = messages.inbox(hive.hive, NORA, everything=True)
    held = [message.number for message in inbox if message.body == "sleep" and not message.state.is_final]
    number = held[0] if held else hive.send("nora", "sleep").number
    hive.until(lambda: sum(line.endswith("sleep 1111") for line in processes(hive)) >= 2, "the turn sleeps")
    return number


def crashes(hive: Hosted) -> int:
    """How many crashes the operator was told of, after one more look of the watch."""
    hive.host.run([PYTHON, "-c", LOOK])
    return sum("the container of nora ended" in message.body for message in hive.inbox())


def test_mail_becomes_a_turn_in_it(hive: Hosted) -> None:
    sent = hive.send("nora", "what is the time?")
    assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
    assert "what is the time?" in hive.inbox()[-1].body
    assert hive.turn_ended(name="nora").outcome is Outcome.OK
    # The CLI ends with its harness, and the container goes on.
    hive.until(lambda: not hive.has_harness("nora"), "the harness has ended")
    assert clis(hive) == []
    assert machines(hive) == {"nora"}


def test_it_is_limited_as_the_configuration_says(hive: Hosted) -> None:
    said = hive.host.systemctl("show", CONTAINER, "--property=MemoryMax,MemorySwapMax,TasksMax,OOMPolicy,Delegate,KillMode")
    assert set(said.splitlines()) == {
        "MemoryMax=1073741824", "MemorySwapMax=0", "TasksMax=264", "OOMPolicy=continue", "Delegate=yes", "KillMode=mixed",
    }  # fmt: skip
    # In it, the agent's user has what it was given, and no more.
    assert hive.run("exec", "nora", "--", "bash", "-c", "ulimit -Hu").stdout == "200\n"
    assert hive.host.systemctl(MACHINE, "is-system-running") == "running"


def test_nothing_outside_can_be_reached_from_it(hive: Hosted) -> None:
    bob = hive.spawn_inside("bob", runtime="bubblewrap")
    user = (hive.agent("bob").uid or 0) + 1000
    (hive.hive.paths.agent_state(bob) / "note").write_text("canary")
    os.chown(hive.hive.paths.agent_state(bob) / "note", user, user)
    (hive.home / "secret").write_text("canary")
    spaces, peers = json.loads(hive.host.run([PYTHON, "-c", SEEN, Path(__file__).parents[2]]).stdout)
    with ExitStack() as stack, hive.host.network():
        for address in (str(hive.home / "bus"), "\0hh-of-the-host"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(8)
        (hive.home / "bus").chmod(0o666)
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        given = {
            "mark": "no-such-mark", "abstract": "hh-of-the-host", "secret": str(SYSTEM_CONFIG / "secret"),
            "service": str(SYSTEM_CONFIG / "bus"), "port": port, "pid": leader(hive), "namespaces": spaces, "peers": peers,
            "neighbour_note": f"{SYSTEM_STATE}/agents/bob/state/note",
            "neighbour_socket": f"{SYSTEM_STATE}/run/agents/bob/mcp.sock",
            "keyctl": enter.KEYCTL.get(os.uname().machine, -1),
        }  # fmt: skip
        script = Path(attack.__file__).read_text()
        done = set(json.loads(hive.run("exec", "nora", "--", "python3", "-c", script, json.dumps(given)).stdout))
    # An open network is the machine's own. The others are the container's: its /var, and a systemd that does not answer.
    kept_out = set() if enter.can_scope() else {"reach_an_abstract_socket"}
    assert done == {"reach_the_network", "list_homes", "reach_the_system_services"} | kept_out
    assert hive.run("exec", "nora", "--", "python3", "-c", CONNECT).stdout == "[13, 13]\n"


def test_a_command_in_it_is_as_in_any_other(hive: Hosted) -> None:
    script = 'cat; echo "$1" "$0" >&2; kill -TERM $$'
    ran = hive.run("exec", "nora", "--", "sh", "-c", script, "100%", "$HOME", stdin="given", check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("given", "$HOME 100%\n", 128 + 15)
    ran = hive.run("exec", "nora", "--", "no-such-program", check=False)
    assert (ran.returncode, "no program no-such-program" in ran.stderr) == (127, True)
    script = "id -un; pwd; echo $HOME; cat /etc/hostname; grep NoNewPrivs /proc/self/status"
    assert hive.run("exec", "nora", "--", "sh", "-c", script).stdout.split() == [
        "agent", "/workspace", "/state", "nora", "NoNewPrivs:", "1",
    ]  # fmt: skip


def test_a_terminal_in_it_is_the_commands_own(hive: Hosted, screens: list[Screen]) -> None:
    words = ["env", "--chdir=/", "--ignore-environment", f"PATH={os.environ['PATH']}", "TERM=vt100", *HYPERHIVE, "exec", "nora"]
    script = 'tty; echo "$TERM $(stty size)"; trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 1; done'
    screen = Screen("/usr/bin/nsenter", *hive.host.enter[1:], *words, "--", "bash", "-c", script)
    screens.append(screen)
    screen.size(33, 44)
    screen.wait_for("vt100 33 44")
    screen.wait_for("ready")
    listing = [MACHINE, "list-units", "--all", "--plain", "--no-legend", "hyperhive-visit-*"]
    assert hive.host.systemctl(*listing).startswith("hyperhive-visit-")
    screen.type("\x03")
    screen.wait_for("interrupted")
    assert screen.end() == 7
    assert hive.host.systemctl(*listing) == ""


def test_who_leaves_takes_along_what_was_started(hive: Hosted) -> None:
    words = hive.host.words([*HYPERHIVE, "exec", "nora", "--", "sh", "-c", "sleep 2222 & sleep 2222"])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as visit:
        hive.until(lambda: sum(line == "sleep 2222" for line in processes(hive)) == 2, "the command runs")
        hive.host.run(["pkill", "--full", f"^{' '.join(HYPERHIVE)} exec nora"])
        visit.wait(30)
    assert not [line for line in processes(hive) if "2222" in line]


def test_a_service_of_its_configuration_runs_in_it_as_the_agent(hive: Hosted) -> None:
    told = "as 1000 in /workspace for blog"
    hive.until(lambda: told in journal(hive, "--unit=tell.service"), "the service has told")
    assert any("sleep infinity" in line for line in processes(hive))
    # As the operator would look.
    assert told in hive.host.run(["journalctl", MACHINE, "--unit=tell.service", "--output=cat"]).stdout
    # What would be more than the agent's user is refused before anybody is asked.
    (hive.home / "evil").write_text("[Service]\nExecStart=+/bin/sh\n")
    ran = edit(hive, "units/evil.service", hive.home / "evil", check=False)
    assert (ran.returncode, "cannot begin with '+/bin/sh'" in ran.stderr) == (2, True)


def logged(hive: Hosted) -> list[str]:
    """What the agent's journal says of its container, without the times."""
    lines = hive.run("logs", "nora", "--unit", "container", "-n", "5000").stdout.splitlines()
    assert all(line[24:].startswith(" container ") for line in lines)
    return [line[24:].removeprefix(" container ") for line in lines]


def test_its_journal_shows_what_its_services_say_and_what_the_machine_says_of_it(hive: Hosted) -> None:
    lines = logged(hive)
    assert any(line.startswith("sh[") and "as 1000 in " in line for line in lines)
    assert any(line.startswith("systemd[1]: Started ") and "the container of the agent nora" in line for line in lines)
    # A journal that the agent has spoilt hides nothing else, and leads to nothing of the machine's.
    folder = SYSTEM_STATE / "agents/nora/container/var/log/journal"
    for spoil in (f"ln -s /var/log/journal {folder}", f"mkdir -p {folder}/x; mkfifo {folder}/x/system.journal", "true"):
        hive.host.run(["sh", "-ec", f"mv {folder} {folder}.kept; {spoil}"])
        try:
            lines = logged(hive)
        finally:
            hive.host.run(["sh", "-ec", f"rm -rf {folder}; mv {folder}.kept {folder}"])
        assert any("the container of the agent nora" in line for line in lines)
        assert not any("as 1000 in " in line for line in lines)
        assert not any("hyperhive-hub.service" in line for line in lines)
    assert any("as 1000 in " in line for line in logged(hive))


def test_stop_start_and_restart_are_the_containers_too(hive: Hosted) -> None:
    before = leader(hive)
    hive.run("restart", "nora")
    assert leader(hive) not in (0, before)
    hive.run("stop", "nora")
    assert machines(hive) == set()
    assert processes(hive) == []
    ran = hive.run("exec", "nora", "--", "true", check=False)
    assert (ran.returncode, ran.stderr) == (5, "error: nora is not running\nhint: hyperhive start nora\n")
    # What it wrote while it ran can be read.
    assert "as 1000" in journal(hive, "--unit=tell.service")
    hive.run("start", "nora")
    assert machines(hive) == {"nora"}


def test_after_its_maker_was_killed_it_can_be_started_at_once_and_again(hive: Hosted) -> None:
    for words in (("start", "nora"), ("restart", "nora")):
        hive.kill(CONTAINER)
        hive.run(*words)
        assert machines(hive) == {"nora"}
    kill_container(hive)
    assert processes(hive) == []
    # Mail brings it up, too.
    assert hive.ended(hive.send("nora", "are you there?").number).state is MessageState.ACKNOWLEDGED


def test_one_that_vanishes_is_told_once_and_one_that_was_stopped_is_not(hive: Hosted) -> None:
    hive.run("start", "nora")
    before = crashes(hive)
    kill_container(hive)
    assert crashes(hive) == before + 1
    assert crashes(hive) == before + 1
    # What somebody brings up before the watch looks has ended all the same.
    hive.run("start", "nora")
    kill_container(hive)
    hive.run("exec", "nora", "--", "true")
    assert crashes(hive) == before + 2
    for words in (("restart", "nora"), ("stop", "nora"), ("start", "nora")):
        hive.run(*words)
        assert crashes(hive) == before + 2


def test_the_cli_ends_with_its_harness_however_that_ends(hive: Hosted) -> None:
    asleep(hive)
    container, (first,) = leader(hive), clis(hive)
    hive.kill(AGENT)
    # What is started then finds none, in the same container.
    hive.until(lambda: first not in clis(hive), "it ends")
    hive.until(lambda: clis(hive), "another one runs")
    assert len(clis(hive)) == 1
    assert leader(hive) == container
    # Where its tools are lost before its turn, a harness ends in order, and there is nothing to kill.
    asleep(hive)
    # By the unit itself, where nobody starts another one.
    hive.host.systemctl("stop", HUB)
    hive.kill(AGENT)
    hive.until(lambda: clis(hive) == [], "it ends without a hub")
    hive.host.systemctl("start", HUB)


def test_kill_leaves_nothing_running_and_gives_the_mail_back(hive: Hosted) -> None:
    number = asleep(hive)
    hive.run("kill", "nora")
    assert processes(hive) == []
    assert machines(hive) == set()
    assert hive.message(number).state is MessageState.PENDING


def test_without_a_network_it_reaches_its_model_and_nothing_else(hive: Hosted) -> None:
    hive.spawn_inside("nell", runtime="nspawn", network="none")
    port = hive.api.url.rpartition(":")[2]
    asked = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})) != 0)"
    assert hive.run("exec", "nell", "--", "python3", "-c", asked).stdout == "True\n"
    assert hive.ended(hive.send("nell", "do you hear me?").number).state is MessageState.ACKNOWLEDGED
    assert "do you hear me?" in hive.inbox()[-1].body
    hive.run("destroy", "nell", "--purge", "--yes")


def test_one_that_does_not_start_is_told_and_can_be_started_later(hive: Hosted) -> None:
    hive.host.systemctl("mask", "--runtime", "hyperhive-container@zoe.service")
    ran = hive.run("spawn", "zoe", "--runtime", "nspawn", check=False)
    assert ran.returncode == 7
    assert "error: the container of zoe does not start: " in ran.stderr
    assert "hint: journalctl --unit=hyperhive-container@zoe.service" in ran.stderr
    hive.host.systemctl("unmask", "--runtime", "hyperhive-container@zoe.service")
    hive.run("start", "zoe")
    assert "zoe" in machines(hive)
    hive.run("destroy", "zoe", "--purge", "--yes")


def test_no_other_hive_and_no_user_of_the_machine_gets_one(hive: Hosted) -> None:
    ran = hive.run("spawn", "eve", "--runtime", "nspawn", check=False, env={"HYPERHIVE_HOME": "/var/tmp/other"})
    assert (ran.returncode, "belong to the machine's own hive" in ran.stderr) == (4, True)
    ran = hive.run("spawn", "eve", "--runtime", "nspawn", "--user", "nobody", check=False)
    assert (ran.returncode, "has users of its own" in ran.stderr) == (2, True)


def test_the_doctor_says_what_keeps_agents_in(hive: Hosted) -> None:
    hive.configure(runtime="nspawn")
    found = {one["check"]: one for one in msgspec.json.decode(hive.run("doctor", "--json", check=False).stdout)}
    hive.configure(runtime="bubblewrap")
    assert found["container"]["message"].startswith("nspawn works: a system of its own for each agent")
    assert "systemd" in found["limits"]["message"]


def test_after_a_restart_of_the_machine_it_is_there_again(hive: Hosted) -> None:
    hive.run("start", "nora")
    before = crashes(hive)
    hive.host.reboot()
    hive.until(lambda: machines(hive) == {"nora"}, "the hub has brought it up")
    assert crashes(hive) == before
    hive.until(lambda: any("sleep infinity" in line for line in processes(hive)), "its service runs")


def test_a_purge_leaves_nothing_of_it(hive: Hosted) -> None:
    hive.run("start", "nora")
    base = hive.agent("nora").uid or 0
    owned = ["find", "/var", "/run", "/tmp", "/etc", "-uid", f"+{base - 1}", "-uid", f"-{base + 65_536}"]
    assert any(line.endswith("container/var/log/journal") for line in hive.host.run(owned).stdout.splitlines())
    hive.run("destroy", "nora", "--purge", "--yes")
    assert hive.host.run(owned).stdout == ""
    assert not hive.hive.paths.agent(NORA).exists()
    named = ["find", "/run", "/etc", "/var", "-name", "*nora*", "-not", "-path", "*/locks/*", "-not", "-path", "*/objects/*"]
    hive.until(lambda: hive.host.run(named).stdout == "", "nothing is called like it but its locks")
