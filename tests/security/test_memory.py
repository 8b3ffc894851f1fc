"""An agent that uses up its memory or its tasks takes nobody else down."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.core import agents, cgroups, doctor, spawning
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, Outcome
from tests.cli import shell
from tests.faults.aftermath import tracebacks
from tests.faults.wrecks import ADA, Wreck
from tests.runtimes import boxes
from tests.security.test_fork_bomb import BOMB, WORK

pytestmark = [pytest.mark.box, pytest.mark.cgroup]
as_root = pytest.mark.root

MIB = 1024 * 1024
LITTLE, MUCH, TASKS = 64 * MIB, 192 * MIB, 100

# Fills so much memory, says so, and keeps it until it is asked.
EAT = """
import sys
block = b"x" * int(sys.argv[1])
print("full", flush=True)
sys.stdin.read(1)
print(len(block), flush=True)
"""

# Holds a group until it is killed.
HOLD = """
import signal, sys
from hyperhive.core import cgroups
from hyperhive.core.hive import open_hive
limits = cgroups.limit(open_hive(), "ada", memory=64 << 20, tasks=100)
print(*limits.words, sep="\\n", flush=True)
signal.pause()
"""


@pytest.fixture
def hive() -> Iterator[Hive]:
    """The hive of this test, which leaves no group behind."""
    opened = open_hive()
    yield opened
    cgroups.tidy(opened)
    assert not groups(opened)
    opened.close()


def groups(hive: Hive) -> dict[str, Path]:
    """The groups of a hive by their names, those for memory where each kind has its own."""
    folders = [link.readlink() for link in hive.paths.groups.iterdir() if "memory" in link.name]
    return {entry.name: entry for folder in folders if folder.is_dir() for entry in folder.iterdir() if entry.is_dir()}


def limited(hive: Hive, leaf: str = "ada", *, memory: int = LITTLE, tasks: int = TASKS) -> cgroups.Limits:
    limits = cgroups.limit(hive, leaf, memory=memory, tasks=tasks)
    assert limits.why_not is None
    return limits


@contextmanager
def eater(box: boxes.Box, size: int, limits: cgroups.Limits) -> Iterator["subprocess.Popen[str]"]:
    """A program in a container that eats memory."""
    child = subprocess.Popen(
        [*limits.words, *box.words(["python3", "-c", EAT, str(size)])], env=box.env(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@as_root
def test_who_eats_too_much_is_ended_and_a_neighbour_works_on(hive: Hive) -> None:
    ada, bob = boxes.make("own-user"), boxes.make("own-user", "bob", number=1)
    with (
        limited(hive, "bob") as bobs,
        eater(bob, LITTLE // 4, bobs) as good,
        limited(hive) as adas,
        eater(ada, MUCH, adas) as bad,
    ):
        assert good.stdout
        assert good.stdout.readline() == "full\n"
        # 128 and SIGKILL, as the container passes it on.
        assert (bad.communicate()[0], bad.returncode) == ("", 137)
        assert adas.ran_out()
        assert not bobs.ran_out()
        assert good.communicate("x") == (f"{LITTLE // 4}\n", "")
        assert good.returncode == 0
        adas.begin()
        assert not adas.ran_out()


@as_root
def test_without_the_limit_it_gets_it_all(hive: Hive) -> None:
    with cgroups.Limits() as none, eater(boxes.make("own-user"), MUCH, none) as child:
        assert child.communicate("x") == (f"full\n{MUCH}\n", "")
    with limited(hive, memory=2 * MUCH) as more, eater(boxes.make("own-user"), MUCH, more) as child:
        assert child.communicate("x") == (f"full\n{MUCH}\n", "")


@as_root
def test_what_is_written_into_the_scratch_space_counts(hive: Hive) -> None:
    fill = ("sh", "-c", f"head -c {MUCH} /dev/zero >/tmp/much && echo written")
    with limited(hive) as limits:
        assert boxes.make("own-user").run(*fill, before=limits.words).stdout == ""
        assert limits.ran_out()
    with limited(hive, memory=2 * MUCH) as limits:
        assert boxes.make("own-user").run(*fill, before=limits.words).stdout == "written\n"


@as_root
def test_two_programs_of_one_agent_share_its_limit(hive: Hive) -> None:
    ada = boxes.make("own-user")
    size = LITTLE * 5 // 8
    with limited(hive) as first, limited(hive) as second, eater(ada, size, first) as one:
        assert one.stdout
        assert one.stdout.readline() == "full\n"
        with eater(ada, size, second) as two:
            two.communicate("x")
        assert second.ran_out()
    with limited(hive) as alone, eater(ada, size, alone) as one:
        assert one.communicate("x")[0].startswith("full\n")


@as_root
@pytest.mark.parametrize(("tasks", "least", "most"), [(TASKS, TASKS // 2, TASKS), (3 * TASKS, TASKS + 1, 3 * TASKS)])
def test_a_fork_bomb_stops_at_the_groups_limit(hive: Hive, tasks: int, least: int, most: int) -> None:
    # The container itself would allow many more.
    ada = boxes.make("own-user")
    with limited(hive, memory=2 * MUCH, tasks=tasks) as limits:
        child = subprocess.Popen(
            [*limits.words, *ada.words(["python3", "-c", BOMB])], env=ada.env(), stdout=subprocess.PIPE, text=True, cwd="/"
        )
        try:
            assert child.stdout
            assert least <= int(child.stdout.readline()) <= most
            assert boxes.make("own-user", "bob", number=1).out("bash", "-c", WORK) == "done"
        finally:
            child.kill()
            child.communicate()


def test_a_program_is_under_its_limits_before_it_runs(hive: Hive) -> None:
    with limited(hive) as limits:
        done = subprocess.run([*limits.words, "cat", "/proc/self/cgroup"], capture_output=True, text=True, check=True)
        parent = groups(hive)["ada"].parent
        assert f"/hyperhive/{parent.name}/ada\n" in done.stdout
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    assert "/ada\n" not in own


def test_a_program_that_cannot_be_limited_does_not_run(hive: Hive) -> None:
    limits = limited(hive)
    words = limits.words
    limits.close()
    done = subprocess.run([*words, "echo", "it runs"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode != 0) == ("", True)


def test_words_of_an_agent_are_no_script(hive: Hive) -> None:
    hostile = ["$(id)", "; id", "`id`", "--", "-c", ""]
    with limited(hive) as limits:
        done = subprocess.run([*limits.words, "printf", "<%s>", *hostile], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"<{word}>" for word in hostile)


def test_the_last_who_uses_a_group_removes_it(hive: Hive) -> None:
    first, second = limited(hive), limited(hive)
    first.close()
    assert list(groups(hive)) == ["ada"]
    second.close()
    assert not groups(hive)


def test_a_limit_that_is_changed_holds_for_who_runs_already(hive: Hive) -> None:
    with limited(hive, memory=LITTLE), limited(hive, memory=MUCH):
        with limited(hive, memory=LITTLE) as limits:
            done = subprocess.run([*limits.words, sys.executable, "-c", EAT, str(MUCH)], capture_output=True, check=False)
            assert done.returncode == -signal.SIGKILL
        file = groups(hive)["ada"] / "memory.max"
        if not file.exists():
            file = groups(hive)["ada"] / "memory.memsw.limit_in_bytes"
        assert file.read_text(encoding="ascii") == f"{LITTLE}\n"


def test_a_killed_harness_leaves_no_group_for_ever(hive: Hive) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        words = [holder.stdout.readline().rstrip("\n")]
        while words[-1] != "--":
            words.append(holder.stdout.readline().rstrip("\n"))
        with limited(hive, "bob"):
            # Somebody holds it, so it stays.
            assert sorted(groups(hive)) == ["ada", "bob"]
        survivor = subprocess.Popen([*words, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert survivor.stdin
        assert survivor.stdout
        survivor.stdin.write(b"it runs\n")
        survivor.stdin.flush()
        assert survivor.stdout.readline() == b"it runs\n"
    finally:
        holder.kill()
        holder.communicate()
    cgroups.tidy(hive)
    # Something runs in it, so it stays.
    assert list(groups(hive)) == ["ada"]
    survivor.communicate()
    with limited(hive, "bob"):
        assert list(groups(hive)) == ["bob"]


def test_two_hives_do_not_meet(hive: Hive, home: Path) -> None:
    other = open_hive({"HYPERHIVE_HOME": str(home / "other")})
    with limited(hive), limited(other):
        assert groups(hive)["ada"] != groups(other)["ada"]
        cgroups.tidy(other)
        assert groups(hive)["ada"].is_dir()
    assert not groups(hive)
    assert not groups(other)
    other.close()


def test_a_turn_says_that_the_memory_was_used_up(home: Path) -> None:
    with Wreck(home, mode="eats") as swarm:
        swarm.spawn("ada", limits=AgentLimits(memory="64M"))
        sent = swarm.send("ada", "work")
        dead = swarm.ended(sent.number)
        says = "the agent CLI ended in the middle of the turn: it had used up its memory limit of 64M"
        assert says in (dead.reason or "")
        assert swarm.outcomes() == [Outcome.FAILED] * 3
        assert [turn.error for turn in swarm.turns()] == [says] * 3
        swarm.spawn("bob", limits=AgentLimits(memory="1G"))
        swarm.ended(swarm.send("bob", "work").number)
        assert swarm.outcomes("bob") == [Outcome.OK]
        agents.destroy(swarm.hive, ADA, by=OPERATOR)
        assert "ada" not in groups(swarm.hive)
        assert not tracebacks(home)
    assert not groups(swarm.hive)


def test_a_command_of_the_operator_has_the_agents_limit(hive: Hive) -> None:
    spawning.spawn(hive, ADA, config=AgentConfig(limits=AgentLimits(memory="64M")), by=OPERATOR)
    eat = ("exec", "ada", "--", "python3", "-c", EAT)
    assert shell.process(*eat, str(MUCH), given=b"x").returncode == 137
    assert shell.process(*eat, str(LITTLE // 8), given=b"x").returncode == 0


def test_doctor_says_by_what_agents_are_limited(hive: Hive) -> None:
    found = {finding.check: finding for finding in doctor.examine({"HYPERHIVE_HOME": str(hive.paths.config)})}["limits"]
    assert found.level is doctor.Level.OK
    assert "memory and tasks of agents are limited by control groups" in found.message
