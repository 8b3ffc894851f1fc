"""Whatever may be there only once: the second steps aside with a clear word, and the first does not notice."""

import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.core import turns
from hyperhive.core.model import MessageState
from tests.faults.aftermath import harness_of, tracebacks
from tests.faults.wrecks import ADA, Wreck, wreck
from tests.support.swarm import PATIENCE


def second(hive: Wreck, *command: str) -> tuple[int, str]:
    """Run a command that is running already; gives back its exit code, and what it said to a person."""
    done = subprocess.run(
        [sys.executable, "-m", "hyperhive", *command],
        env=hive.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_the_second_up_says_who_holds_the_hive(home: Path) -> None:
    with Wreck(home, mode="good", up=False) as hive:
        first = subprocess.Popen([sys.executable, "-m", "hyperhive", "up"], env=hive.environment, stderr=subprocess.DEVNULL)
        try:
            hive.until(lambda: (home / "state/run/hub.sock").exists(), "it is up")
            code, said = second(hive, "up")
            assert code == 5
            assert f"error: this hive is up already: pid {first.pid} since " in said
            assert first.poll() is None
        finally:
            first.terminate()
            first.wait(PATIENCE)
        # The control: once the first has ended, the same command is no second one.
        again = subprocess.Popen([sys.executable, "-m", "hyperhive", "up"], env=hive.environment, stderr=subprocess.PIPE)
        try:
            assert again.stderr is not None
            assert b"is up" in again.stderr.readline()
        finally:
            again.terminate()
            again.communicate(timeout=PATIENCE)


@pytest.mark.box
def test_the_second_hub_leaves_the_first_its_sockets(home: Path) -> None:
    with wreck(home, mode="good") as hive:
        hive.ended(hive.send("ada", "work").number)
        before = [path.lstat().st_ino for path in (hive.hive.paths.hub_socket, hive.hive.paths.agent_socket(ADA))]
        code, said = second(hive, "hub")
        assert code == 5
        assert f"error: this hive has a hub already: pid {hive.hub_pid} since " in said
        assert [path.lstat().st_ino for path in (hive.hive.paths.hub_socket, hive.hive.paths.agent_socket(ADA))] == before
        assert hive.ended(hive.send("ada", "more work").number).state is MessageState.ACKNOWLEDGED
        assert not tracebacks(home)


@pytest.mark.box
def test_the_second_harness_leaves_the_first_its_turn(home: Path) -> None:
    with wreck(home, mode="waits") as hive:
        hive.send("ada", "work")
        current = hive.until(lambda: turns.current(hive.hive, ADA), "it works")
        first = harness_of(hive.hive, "ada")
        code, said = second(hive, "harness", "ada")
        assert code == 0
        assert f"ada has a harness already: pid {first} since " in said
        assert (turns.current(hive.hive, ADA), harness_of(hive.hive, "ada")) == (current, first)
        assert hive.agent("ada").epoch == 1
        assert not tracebacks(home)
