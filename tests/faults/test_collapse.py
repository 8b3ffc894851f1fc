"""The whole hive killed at once: nothing runs on, nothing is corrupt, nothing is lost."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from hyperhive.core import agents, turns
from hyperhive.core.locks import holder, is_held
from hyperhive.core.model import OPERATOR, AgentName, Message, MessageState, Outcome
from tests.faults.aftermath import children_of_hub, end, harness_of, held_locks, processes_of, tracebacks
from tests.faults.wrecks import Wreck
from tests.support.swarm import PATIENCE

pytestmark = pytest.mark.box

NAMES = [f"agent-{count}" for count in range(8)]


def test_eight_agents_that_wait_survive_the_death_of_everything(home: Path) -> None:
    with Wreck(home, mode="waits", up=False, max_active=len(NAMES)) as hive:
        hive.use("waits")
        for name in NAMES:
            hive.spawn(name)
        sent = [hive.send(name, "work") for name in NAMES]
        with _up(hive) as up:
            _all_wait(hive, sent, epoch=1)
            # The hub alone: `up` starts another, and each agent begins anew.
            hub = _holder(hive.hive.paths.lock("hub"))
            assert end(hub)
            hive.until(lambda: _holder(hive.hive.paths.lock("hub")) not in (None, hub), "up has started another hub")
            _all_wait(hive, sent, epoch=2)
            # `up` alone: what it started has to notice.
            assert processes_of(home)
            up.kill()
            up.wait(PATIENCE)
            hive.until(lambda: not processes_of(home), f"nothing runs on: {processes_of(home)}")
            _is_whole(hive, sent)
        with _up(hive) as up:
            _all_wait(hive, sent, epoch=3)
            # All of hyperhive's own at the same moment: only the kernel is left to end the rest.
            own = [up.pid, _holder(hive.hive.paths.lock("hub")), *(harness_of(hive.hive, name) for name in NAMES)]
            killed = [end(pid) for pid in own]
            assert all(killed)
            up.wait(PATIENCE)
            hive.until(lambda: not processes_of(home), f"nothing runs on: {processes_of(home)}")
            assert hive.hive.db.check() == "ok"
            assert not held_locks(hive.hive)
        hive.use("good")
        with _up(hive):
            assert [hive.ended(message.number).state for message in sent] == [MessageState.ACKNOWLEDGED] * len(NAMES)
        _is_quiet(hive)
        assert not tracebacks(home)


def test_a_process_that_runs_on_is_found_out(home: Path) -> None:
    # The control of the test above, for the environment and for the words of a process.
    for words, value, is_ours in (([], f"{home}/state", True), ([str(home)], "", True), ([f"{home}0"], f"{home}0", False)):
        program = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", *words]
        with subprocess.Popen(program, env={"X": value}, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            assert (child.pid in processes_of(home)) is is_ours
            child.kill()


def test_the_end_of_up_interrupts_in_order(home: Path) -> None:
    with Wreck(home, mode="waits", up=False) as hive:
        hive.use("waits")
        hive.spawn("ada")
        sent = hive.send("ada", "work")
        with _up(hive) as up:
            hive.until(lambda: turns.current(hive.hive, AgentName("ada")), "it works")
            up.send_signal(signal.SIGINT)
            assert up.wait(PATIENCE) == 0
        _is_quiet(hive)
        assert hive.outcomes() == [Outcome.INTERRUPTED]
        assert (hive.message(sent.number).state, hive.message(sent.number).attempt) == (MessageState.PENDING, 0)
        agents.destroy(hive.hive, AgentName("ada"), by=OPERATOR)


def _all_wait(hive: Wreck, sent: list[Message], *, epoch: int) -> None:
    for name in NAMES:
        hive.until(partial(_works, hive, AgentName(name), epoch), f"{name} works")
    hub = _holder(hive.hive.paths.lock("hub"))
    assert hub is not None
    hive.until(lambda: len(children_of_hub(hub)) == len(NAMES), "all wait in recv")
    assert {hive.message(message.number).state for message in sent} == {MessageState.DELIVERED}


def _works(hive: Wreck, name: AgentName, epoch: int) -> bool:
    current = turns.current(hive.hive, name)
    return current is not None and current.epoch >= epoch


def _is_whole(hive: Wreck, sent: list[Message]) -> None:
    _is_quiet(hive)
    assert {hive.message(message.number).state for message in sent} == {MessageState.PENDING}
    assert {hive.message(message.number).attempt for message in sent} == {0}


def _is_quiet(hive: Wreck) -> None:
    assert hive.hive.db.check() == "ok"
    assert not held_locks(hive.hive)
    assert not processes_of(hive.home)


def _holder(lock: Path) -> int | None:
    words = holder(lock).split() if is_held(lock) else []
    return int(words[1]) if words[:1] == ["pid"] else None


@contextmanager
def _up(hive: Wreck) -> Iterator[subprocess.Popen[bytes]]:
    """`hyperhive up`, ended in order if it lives at the end."""
    up = subprocess.Popen(
        [sys.executable, "-m", "hyperhive", "up"],
        env=hive.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield up
    finally:
        up.terminate()
        up.wait(PATIENCE)
        hive.until(lambda: not processes_of(hive.home), "nothing of the hive is left")
