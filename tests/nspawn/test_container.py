"""An agent in a booted container of its own, on a real systemd: one machine and one hive for all that is shown here."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hyperhive.core import folders, messages
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.config import UID_BASE
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, MessageState, Outcome, parse_name
from hyperhive.core.paths import SYSTEM_CONFIG, SYSTEM_STATE, Paths
from hyperhive.core.runtimes import enter
from hyperhive.core.runtimes.nspawn import Nspawn
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.conftest import BASE
from tests.security import attack
from tests.support.machines_hive import PROGRAM, MachinesHive
from tests.support.systemd_host import SystemdHost
from tests.support.terminal import Screen

pytestmark = [pytest.mark.systemd, pytest.mark.claude]
ADA = parse_name("ada")
# As it is called on the host.
SYSTEM = Hive(Paths(config=SYSTEM_CONFIG, state=SYSTEM_STATE))
CONTAINER = "hyperhive-container@ada.service"
SERVICE = """
[Service]
ExecStart=sh -c 'echo "as $$(id -u) in $$PWD for $ROOM"; exec sleep infinity'
Environment=ROOM=blog
"""


def brain(request: Request) -> Reply:
    """Answer the operator; `sleep` is a command that does not end, nor what it has left behind."""
    if "sleep" in request.prompt and "again" not in request.prompt:
        return use("Bash", command="setsid sleep 1111 & exec sleep 1111", timeout=600_000)
    if request.tool_results:
        return say(f"found {request.tool_results[-1].text.strip()}")
    return use("mcp__hyperhive__send", to=OPERATOR, body=f"heard: {request.prompt[-100:]}")


@pytest.fixture(scope="module")
def hive(host: SystemdHost) -> Iterator[MachinesHive]:
    home = BASE / "machine"
    home.mkdir()
    (home / "unit").write_text(SERVICE)
    with MachinesHive(host, home, brain, linger_seconds=0) as hive:
        hive.spawn("ada", limits={"tasks": 200, "memory": "1G"})
        edit = hive.say("config", "ada", "--file", "units/tell.service", "--edit", "--yes", EDITOR=f"cp {home / 'unit'}")
        assert "runs the service tell.service: sh -c" in edit.stdout
        yield hive


def settled(hive: MachinesHive) -> None:
    """Wait until the agent has no harness."""
    hive.until(lambda: not hive.has_harness("ada"), "the harness has ended")


def machines(hive: MachinesHive) -> set[str]:
    """Whose containers the machine knows of."""
    listing = Nspawn().listing
    return {str(name) for name in listing.read(hive.host.run(listing.words).stdout)}


def processes(hive: MachinesHive) -> list[str]:
    """What runs on the machine as a user of the agent's range."""
    base = hive.agent("ada").uid or 0
    lines = [line.split(maxsplit=1) for line in hive.host.run(["ps", "-eo", "uid=,args="]).stdout.splitlines()]
    return [args for uid, args in lines if base <= int(uid) < base + 65_536]


def leader(hive: MachinesHive) -> int:
    """The process that has made the agent's container."""
    return int(hive.host.systemctl("show", "--property=MainPID", "--value", CONTAINER))


def test_mail_becomes_a_turn_in_it(hive: MachinesHive) -> None:
    sent = hive.send("ada", "what is the time?")
    assert hive.ended(sent.number).state is MessageState.ACKNOWLEDGED
    assert "what is the time?" in hive.inbox()[-1].body
    assert hive.turn_ended().outcome is Outcome.OK
    settled(hive)
    # The CLI has ended with its harness, and the container goes on.
    assert machines(hive) == {"ada"}
    assert not [line for line in processes(hive) if "claude" in line]


def test_it_is_limited_as_the_configuration_says(hive: MachinesHive) -> None:
    said = hive.host.systemctl("show", CONTAINER, "--property=MemoryMax,MemorySwapMax,TasksMax,OOMPolicy,Delegate,KillMode")
    assert set(said.splitlines()) == {
        "MemoryMax=1073741824", "MemorySwapMax=0", "TasksMax=264", "OOMPolicy=continue", "Delegate=yes", "KillMode=mixed",
    }  # fmt: skip
    # In it, the agent's user has what it was given, and no more.
    assert hive.say("exec", "ada", "--", "bash", "-c", "ulimit -Hu").stdout == "200\n"
    assert hive.say("exec", "ada", "--", "systemctl", "is-system-running", check=False).stderr.startswith(
        "Failed to connect to bus"
    )


def test_nothing_outside_can_be_reached_from_it(hive: MachinesHive) -> None:
    hive.say("spawn", "bob", "--runtime", "bubblewrap")
    bob = parse_name("bob")
    note = hive.hive.paths.agent_state(bob) / "note"
    note.write_text("canary")
    os.chown(note, UID_BASE + 65_536 + 1000, -1)
    secret = BASE / "secret"
    secret.write_text("canary")
    service = BASE / "service"
    with ExitStack() as stack, hive.host.network():
        for address in (str(service), "\0hh-of-the-host"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(8)
        service.chmod(0o666)
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        # Of the machine's first process.
        seen = "from tests.security import attack; import json; print(json.dumps([attack.namespaces(), attack.peers()]))"
        spaces, peers = json.loads(
            hive.host.run([sys.executable, "-c", seen], env={"PYTHONPATH": str(Path(__file__).parents[2])}).stdout
        )
        given = {
            "mark": "no-such-mark", "abstract": "hh-of-the-host", "secret": str(secret), "service": str(service),
            "neighbour_note": str(hive.hive.paths.agent_state(bob) / "note"), "port": port, "pid": leader(hive),
            "neighbour_socket": str(hive.hive.paths.agent_socket(bob)), "keyctl": enter.KEYCTL.get(os.uname().machine, -1),
            "namespaces": spaces, "peers": peers,
        }  # fmt: skip
        script = Path(attack.__file__).read_text()
        done = set(json.loads(hive.say("exec", "ada", "--", "python3", "-c", script, json.dumps(given)).stdout))
    # An open network is the machine's own. The other two are the container's: a /var, and a systemd that refuses to be asked.
    assert done == {"reach_the_network", "list_homes", "reach_the_system_services"} | (
        set() if enter.can_scope() else {"reach_an_abstract_socket"}
    )
    tried = (
        "import socket; asked = 'dbus/system_bus_socket', 'systemd/private'; "
        "print([socket.socket(socket.AF_UNIX).connect_ex(f'/run/{path}') for path in asked])"
    )
    assert hive.say("exec", "ada", "--", "python3", "-c", tried).stdout == "[13, 13]\n"
    hive.say("destroy", "bob", "--purge", "--yes")


def test_a_command_in_it_is_as_in_any_other(hive: MachinesHive) -> None:
    ran = hive.say(
        "exec", "ada", "--", "sh", "-c", 'cat; echo "$1" "$0" >&2; kill -TERM $$', "100%", "$HOME", stdin="given", check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("given", "$HOME 100%\n", 128 + 15)
    ran = hive.say("exec", "ada", "--", "no-such-program", check=False)
    assert (ran.returncode, "no program no-such-program" in ran.stderr) == (127, True)
    ran = hive.say(
        "exec", "ada", "--", "sh", "-c", "id -un; pwd; echo $HOME; cat /etc/hostname; grep NoNewPrivs /proc/self/status"
    )
    assert ran.stdout.split() == ["agent", "/workspace", "/state", "ada", "NoNewPrivs:", "1"]


def test_a_terminal_in_it_is_the_commands_own(hive: MachinesHive, screens: list[Screen]) -> None:
    python, env = Path(sys.executable), f"PATH={os.environ['PATH']}"
    words = ["env", "--chdir=/", "--ignore-environment", env, "TERM=vt100", str(python), "-m", "hyperhive", "exec", "ada", "--"]
    script = 'tty; echo "$TERM $(stty size)"; trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 1; done'
    screen = Screen("/usr/bin/nsenter", *hive.host.enter[1:], *words, "bash", "-c", script)
    screens.append(screen)
    screen.size(33, 44)
    screen.wait_for("vt100")
    screen.wait_for("ready")
    listing = ["--machine=hyperhive-ada", "list-units", "--all", "--plain", "--no-legend", "hyperhive-visit-*"]
    assert hive.host.systemctl(*listing).startswith("hyperhive-visit-")
    screen.type("\x03")
    screen.wait_for("interrupted")
    assert screen.end() == 7
    assert hive.host.systemctl(*listing) == ""


def test_who_leaves_takes_along_what_was_started(hive: MachinesHive) -> None:
    words = hive.host.words([*PROGRAM, "exec", "ada", "--", "sh", "-c", "sleep 2222 & sleep 2222"])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as visit:
        hive.until(lambda: sum("sleep 2222" in line for line in processes(hive)) >= 2, "the command runs")
        hive.host.run(["pkill", "--full", f"^{sys.executable} -m hyperhive exec ada"])
        visit.wait(30)
    assert not [line for line in processes(hive) if "2222" in line]


def test_a_service_of_its_configuration_runs_in_it_as_the_agent(hive: MachinesHive) -> None:
    hive.until(lambda: "as 1000 in /workspace for blog" in journal(hive, "--unit=tell.service"), "the service has told")
    assert any("sleep infinity" in line for line in processes(hive))
    # As the operator would look.
    by_machine = hive.host.run(["journalctl", "--machine=hyperhive-ada", "--unit=tell.service", "--output=cat"]).stdout
    assert "as 1000 in /workspace for blog" in by_machine
    # A name that is none of the agent's own is refused before anybody is asked.
    unit = hive.home / "evil"
    unit.write_text("[Service]\nExecStart=+/bin/sh\n")
    ran = hive.say("config", "ada", "--file", "units/evil.service", "--edit", "--yes", EDITOR=f"cp {unit}", check=False)
    assert (ran.returncode, "cannot begin with '+/bin/sh'" in ran.stderr) == (2, True)


def journal(hive: MachinesHive, *words: str) -> str:
    """What the container's journal holds, read as hyperhive does."""
    ada = hive.agent("ada")
    base = ada.uid or 0
    config = AgentConfig()
    place = folders.place(SYSTEM, ADA, uid=base + 1000, base=base, program=None, config=config)
    return hive.host.run([*Nspawn().journal(place), "--output=cat", *words], check=False).stdout


def logged(hive: MachinesHive, *words: str) -> list[str]:
    """What the agent's journal says of its container, without the times."""
    lines = hive.say("logs", "ada", "--unit", "container", "-n", "5000", *words).stdout.splitlines()
    assert all(line[24:].startswith(" container ") for line in lines)
    return [line[24:].removeprefix(" container ") for line in lines]


def test_its_journal_shows_what_its_services_say_and_what_the_machine_says_of_it(hive: MachinesHive) -> None:
    lines = logged(hive)
    assert any(line.startswith("sh[") and "as 1000 in " in line for line in lines)
    assert any(line.startswith("systemd[1]: Started ") and "the container of the agent ada" in line for line in lines)
    # A journal that the agent has spoilt hides nothing else, and leads to nothing of the machine's.
    folder = SYSTEM.paths.agent_container(ADA) / "var/log/journal"
    for spoil in (f"ln -s /var/log/journal {folder}", f"mkdir -p {folder}/x; mkfifo {folder}/x/system.journal", "true"):
        hive.host.run(["sh", "-ec", f"mv {folder} {folder}.kept; {spoil}"])
        try:
            lines = logged(hive)
        finally:
            hive.host.run(["sh", "-ec", f"rm -rf {folder}; mv {folder}.kept {folder}"])
        assert any("the container of the agent ada" in line for line in lines)
        assert not any("as 1000 in " in line for line in lines)
        assert not any("hyperhive-hub.service" in line for line in lines)
    assert any("as 1000 in " in line for line in logged(hive))


def test_stop_start_and_restart_are_the_containers_too(hive: MachinesHive) -> None:
    before = leader(hive)
    hive.say("restart", "ada")
    hive.until(lambda: any("sleep infinity" in line for line in processes(hive)), "the service runs again")
    assert leader(hive) != before
    hive.say("stop", "ada")
    assert machines(hive) == set()
    assert not processes(hive)
    ran = hive.say("exec", "ada", "--", "true", check=False)
    assert (ran.returncode, ran.stderr) == (5, "error: ada is not running\nhint: hyperhive start ada\n")
    # What it wrote while it ran can be read.
    assert "as 1000" in journal(hive, "--unit=tell.service")
    hive.say("start", "ada")
    assert machines(hive) == {"ada"}


def test_after_its_maker_was_killed_it_can_be_started_at_once_and_again(hive: MachinesHive) -> None:
    for words in (("start", "ada"), ("restart", "ada")):
        hive.host.run(["kill", "-KILL", str(leader(hive))])
        hive.say(*words)
        assert machines(hive) == {"ada"}
    hive.host.run(["kill", "-KILL", str(leader(hive))])
    hive.until(lambda: machines(hive) == set(), "the machine knows that it is gone")
    assert not processes(hive)
    # Mail brings it up, too.
    assert hive.ended(hive.send("ada", "are you there?").number).state is MessageState.ACKNOWLEDGED


def clis(hive: MachinesHive) -> list[str]:
    """The agent CLIs that run in the container."""
    return hive.host.run(["pgrep", "--full", "^/opt/hyperhive/claude"], check=False).stdout.split()


def asleep(hive: MachinesHive) -> int:
    """Have the agent in a turn that does not end. Gives back the number of its message."""
    inbox = messages.inbox(hive.hive, ADA, everything=True)
    held = [message.number for message in inbox if message.body == "sleep" and not message.state.is_final]
    number = held[0] if held else hive.send("ada", "sleep").number
    hive.until(lambda: sum(line.endswith("sleep 1111") for line in processes(hive)) >= 2, "the turn sleeps")
    return number


def test_a_killed_harness_leaves_no_cli_to_the_next_one(hive: MachinesHive) -> None:
    asleep(hive)
    container, (first,) = leader(hive), clis(hive)
    hive.host.run(["pkill", "-KILL", "--full", f"^{sys.executable} -m hyperhive harness ada"])
    # The next epoch ends it, in the same container.
    hive.until(lambda: first not in clis(hive), "it ends")
    hive.until(lambda: clis(hive), "another one runs")
    assert len(clis(hive)) == 1
    assert leader(hive) == container


def test_kill_leaves_nothing_running_and_gives_the_mail_back(hive: MachinesHive) -> None:
    number = asleep(hive)
    hive.say("kill", "ada")
    assert not processes(hive)
    assert machines(hive) == set()
    assert hive.message(number).state is MessageState.PENDING


def test_without_a_network_it_reaches_its_model_and_nothing_else(hive: MachinesHive) -> None:
    hive.spawn("nell", network="none")
    port = hive.api.url.rpartition(":")[2]
    asked = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})) != 0)"
    assert hive.say("exec", "nell", "--", "python3", "-c", asked).stdout == "True\n"
    assert hive.ended(hive.send("nell", "do you hear me?").number).state is MessageState.ACKNOWLEDGED
    assert "do you hear me?" in hive.inbox()[-1].body
    hive.say("destroy", "nell", "--purge", "--yes")


def test_one_that_does_not_start_is_told_and_can_be_started_later(hive: MachinesHive) -> None:
    hive.host.systemctl("mask", "--runtime", "hyperhive-container@zoe.service")
    ran = hive.say("spawn", "zoe", check=False)
    assert ran.returncode == 7
    assert "error: the container of zoe does not start: " in ran.stderr
    assert "hint: journalctl --unit=hyperhive-container@zoe.service" in ran.stderr
    hive.host.systemctl("unmask", "--runtime", "hyperhive-container@zoe.service")
    hive.say("start", "zoe")
    assert machines(hive) == {"zoe"}
    hive.say("destroy", "zoe", "--purge", "--yes")


def test_another_hive_of_the_machine_gets_none(hive: MachinesHive, home: Path) -> None:
    ran = hive.say("spawn", "eve", "--runtime", "nspawn", check=False, HYPERHIVE_HOME=str(home))
    assert (ran.returncode, "belong to the machine's own hive" in ran.stderr) == (4, True)
    ran = hive.say("spawn", "eve", "--user", "nobody", check=False)
    assert (ran.returncode, "has users of its own" in ran.stderr) == (2, True)


def test_the_doctor_says_what_keeps_agents_in(hive: MachinesHive) -> None:
    found = {one["check"]: one for one in hive.told("doctor")}
    assert found["container"]["message"].startswith("nspawn works: a system of its own for each agent")
    assert "systemd" in found["limits"]["message"]


def test_a_purge_leaves_nothing_of_it(hive: MachinesHive) -> None:
    hive.say("start", "ada")
    base = hive.agent("ada").uid or 0
    owned = [
        "find",
        "/var/lib/hyperhive",
        "/run",
        "/var/log",
        "/tmp",
        "/etc",
        "-uid",
        f"+{base - 1}",
        "-uid",
        f"-{base + 65_536}",
    ]
    assert any(line.endswith("container/var/log/journal") for line in hive.host.run(owned).stdout.splitlines())
    hive.say("destroy", "ada", "--purge", "--yes")
    assert hive.host.run(owned).stdout == ""
    assert not hive.hive.paths.agent(ADA).exists()
    named = ["find", "/run", "/etc", "/var", "-name", "*ada*", "-not", "-path", "*/locks/*"]
    hive.until(lambda: hive.host.run(named).stdout == "", "nothing is called like it but its locks")
