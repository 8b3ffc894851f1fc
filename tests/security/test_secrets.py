"""A login is known to its agent's CLI and to a file that only the host reads, and to nothing else."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.identity import identity
from hyperhive.core.model import AgentName
from hyperhive.demo.reply import Reply, stall, use
from hyperhive.demo.request import Request
from tests.faults.aftermath import harness_of, read, tracebacks
from tests.support.swarm import PATIENCE, Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]

ADA = AgentName("ada")


@dataclass(frozen=True)
class Canaries:
    """The agent's login, a variable of its configuration, and one that the operator gives to every agent."""

    token: str
    variable: str
    setting: str


def canaries(home: Path) -> Canaries:
    """Secrets of one test alone: others may run on this machine at the same time."""
    mark = "-".join(home.parts[-2:])
    return Canaries(f"sk-ant-oat01-canary-token-{mark}", f"canary-variable-{mark}", f"canary-setting-{mark}")


def brain(request: Request) -> Reply:
    """A turn that runs a command, tells the operator, and hangs."""
    match len(request.all_results):
        case 0:
            return use("Bash", command="ls -la; true", description="look around")
        case 1:
            return use("mcp__hyperhive__send", to="operator", body="I look around")
        case _:
            return stall("thinking")


@contextmanager
def at_work(home: Path) -> Iterator[Swarm]:
    """A hive whose agent, logged in with a token, is in the middle of a turn; another agent is there."""
    secret = canaries(home)
    with Swarm(home, brain) as hive:
        hive.configure(env={"ANTHROPIC_API_KEY": "", "CANARY_SETTING": secret.setting})
        hive.spawn("ada", env={"CANARY": secret.variable})
        hive.spawn("bob")
        hyperhive(hive, "login", "ada", "--token", stdin=secret.token + "\n")
        hive.send("ada", "work")
        hive.api.wait_for_requests(3, PATIENCE)
        yield hive


def hyperhive(hive: Swarm, *command: str, stdin: str = "") -> str:
    """Run a command as the operator does; gives back all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "hyperhive", *command],
        env=hive.environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def told_by_processes(*secrets: str) -> list[str]:
    """The processes whose words, which everybody on the machine may read, hold a secret."""
    return [
        f"{pid}: {words.replace(bytes(1), b' ').decode('utf-8', 'replace')}"
        for pid in os.listdir("/proc")
        if pid.isdigit() and (words := read(pid, "cmdline")) and any(canary.encode() in words for canary in secrets)
    ]


def told_by_files(home: Path, canary: str) -> set[str]:
    """The files of the hive that hold a secret."""
    files = (path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(home)) for path in files if canary.encode() in path.read_bytes()}


def mode_of(path: Path) -> tuple[int, int]:
    """Who owns a file, and what it allows."""
    known = path.lstat()
    return known.st_uid, stat.S_IMODE(known.st_mode)


def test_a_login_is_nowhere_but_in_its_file_and_with_its_cli(home: Path) -> None:
    secret = canaries(home)
    with at_work(home) as hive:
        # The control: the token is what the model's API was shown.
        assert hive.api.requests[-1].headers["authorization"] == f"Bearer {secret.token}"
        assert not told_by_processes(*astuple(secret))
        harness = harness_of(hive.hive, "ada")
        assert harness is not None
        knowing = {pid for pid in os.listdir("/proc") if pid.isdigit() and secret.token.encode() in read(pid, "environ")}
        assert knowing
        assert {int(pid) for pid in knowing} <= set(process.descendants(harness))
        for words in (["ps", "--json"], ["ps"], ["show", "ada"], ["show", "ada", "--json"], ["events", "ada", "--full"],
                      ["events", "ada", "--json"], ["logs", "ada"], ["messages", "--json"], ["turns", "--json"],
                      ["cost", "--json"], ["inbox", "--json"], ["doctor"]):  # fmt: skip
            said = hyperhive(hive, *words)
            assert said, words
            # The operator's own choice for an agent is shown to the operator, in full, where the whole agent is asked for.
            hidden = astuple(secret) if words != ["show", "ada", "--json"] else (secret.token, secret.setting)
            assert not [canary for canary in hidden if canary in said], words
    state = hive.hive.paths.state
    build = f"state/builds/ada/{hive.agent('ada').deployed}/agent.json"
    assert told_by_files(home, secret.token) == {"state/agents/ada/token"}
    # A variable is configuration, which is kept in git and no place for secrets: `spawn --help` and agent.toml say so.
    assert told_by_files(home, secret.variable) == {build, build.replace("agent.json", "tree/agent.toml")}
    assert told_by_files(home, secret.setting) == {"hive.toml"}
    own = os.geteuid()
    assert mode_of(hive.hive.paths.agent_token(ADA)) == (own, 0o600)
    assert mode_of(home / build) == (own, 0o600)
    for folder in (hive.hive.paths.builds(ADA), (home / build).parent):
        # As root the agent's own group walks through; what lies in it is open.
        assert mode_of(folder)[0] == own
        assert mode_of(folder)[1] in (0o700, 0o710), folder
    for closed in (state / "log", state / "locks", state / "wake", hive.hive.paths.agent_log(ADA)):
        assert mode_of(closed) == (own, 0o700), closed
    for file in (hive.hive.paths.database, hive.hive.paths.agent_events(ADA)):
        assert mode_of(file) == (own, 0o600), file
    for file in hive.hive.paths.agent_run(ADA).iterdir():
        assert mode_of(file)[0] == own
        assert not mode_of(file)[1] & 0o022 or file.is_socket(), file
    assert not tracebacks(home)


@pytest.mark.root
def test_another_agents_user_reads_none_of_it(home: Path) -> None:
    secret = canaries(home)
    with at_work(home) as hive:
        script = 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; find "$0" -type f -exec cat {} +; true'

        def seen_by(name: str) -> bytes:
            uid = identity(hive.agent(name).uid, None)[0]
            words = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--", "sh", "-c", script, str(home)]
            return process.run(words, check=False).stdout

        assert not [canary for canary in (secret.token, secret.variable) if canary.encode() in seen_by("bob")]
        # The control: whoever is ada does see what its CLI was given.
        assert secret.token.encode() in seen_by("ada")


def test_a_secret_that_leaks_is_found_out(home: Path) -> None:
    # The control of the tests above, for words of a process and for files. Another secret, for they may run meanwhile.
    secret = "sk-ant-oat01-canary-that-leaks"
    (home / "log").write_text(f"it was started with {secret}")
    assert told_by_files(home, secret) == {"log"}
    words = [
        "bwrap",
        "--unshare-pid",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--setenv",
        "TOKEN",
        secret,
        "--",
        "sh",
        "-c",
        "echo; exec sleep 60",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as leaking:
        assert leaking.stdout is not None
        leaking.stdout.readline()
        found = told_by_processes(secret)
        leaking.kill()
    assert [told for told in found if re.match(rf"{leaking.pid}: bwrap .*--setenv TOKEN {secret}", told)]
