"""Nobody waits for a message that is there, at whatever instant it came."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from hyperhive.core import process
from hyperhive.core.model import MessageState
from tests.faults.aftermath import tracebacks
from tests.faults.chance import instants, rounds
from tests.faults.puppet import Puppet, Waiter
from tests.faults.wrecks import ADA, Wreck, wreck


def test_no_recv_waits_while_there_is_a_message(home: Path) -> None:
    chance = instants("waits")
    with wreck(home, mode="good") as hive, Puppet(hive.hive, ADA) as puppet:
        puppet.begin()
        with Waiter(str(hive.hive.paths.agent_socket(ADA))) as model:
            for count in range(rounds(250)):
                model.wait()
                # A call needs a few milliseconds from here to its first look and its wait.
                _let_pass(chance.uniform(0, 0.008))
                sent = hive.send("ada", f"round {count}")
                words = model.woken()
                assert words is not None, f"round {count}: the wait ended by itself, though message {sent.number} was there"
                assert f"| round {count}" in words
    assert not tracebacks(home)


def test_a_hub_that_wakes_nobody_is_found_out(home: Path) -> None:
    # The control of the test above.
    with wreck(home, mode="good", variant="deaf") as hive, Puppet(hive.hive, ADA) as puppet:
        puppet.begin()
        with Waiter(str(hive.hive.paths.agent_socket(ADA))) as model:
            model.settle()
            model.wait(2)
            model.settle()
            hive.send("ada", "who hears this?")
            assert model.woken() is None


def test_a_recv_whose_turn_has_ended_takes_nothing(home: Path) -> None:
    with (
        wreck(home, mode="good") as hive,
        Puppet(hive.hive, ADA) as puppet,
        Waiter(str(hive.hive.paths.agent_socket(ADA))) as model,
    ):
        first = puppet.begin()
        model.wait()
        model.settle()
        puppet.end(first)
        puppet.begin()
        sent = hive.send("ada", "for the second turn")
        words = model.woken()
        assert words is not None
        assert "the turn that asked has ended" in words
        assert hive.message(sent.number).handed_out_at is None
        # The control: a call of the turn that runs does take it.
        model.wait()
        assert "| for the second turn" in (model.woken() or "")
    assert not tracebacks(home)


@pytest.mark.box
def test_no_agent_falls_asleep_over_a_message(home: Path) -> None:
    # The harness leaves as soon as it has nothing to do; each second message comes about then.
    chance = instants("sleeps")
    with wreck(home, mode="good", linger_seconds=0) as hive:
        for _ in range(rounds(8)):
            first = hive.send("ada", "first")
            hive.ended(first.number)
            _let_pass(chance.uniform(0, 0.25))
            second = hive.send("ada", "second")
            # Far below the half minute after which the hub looks by itself.
            hive.until(partial(_is_done, hive, second.number), "the second is done with", patience=20)
        assert not tracebacks(home)


@pytest.mark.box
def test_a_hub_that_stands_still_is_found_out(home: Path) -> None:
    # The control of the test above.
    with wreck(home, mode="good", linger_seconds=0) as hive:
        hive.ended(hive.send("ada", "first").number)
        hive.until(lambda: not process.descendants(hive.hub_pid), "it sleeps")
        os.kill(hive.hub_pid, signal.SIGSTOP)
        second = hive.send("ada", "second").number
        with pytest.raises(AssertionError, match="not within 2 s: the second is done with"):
            hive.until(partial(_is_done, hive, second), "the second is done with", patience=2)
        os.kill(hive.hub_pid, signal.SIGCONT)
        assert hive.ended(second).state is MessageState.ACKNOWLEDGED


def _is_done(hive: Wreck, number: int) -> bool:
    return hive.message(number).state.is_final


def _let_pass(seconds: float) -> None:
    """Let an instant go by, exactly: the scheduler's sleep is too coarse for these."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
