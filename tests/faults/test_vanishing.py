"""What vanishes without a word is told once; what was asked for, and what a turn has told already, is not."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hyperhive.core import agents, crash_watch, doorbell, messages, turns
from hyperhive.core.errors import Expired
from hyperhive.core.model import OPERATOR, Outcome
from tests.core.hives import program, row_of, set_row
from tests.core.test_crash_watch import HARNESSES
from tests.faults.aftermath import cli_of, end, harness_of, tracebacks
from tests.faults.chance import instants, rounds
from tests.faults.wrecks import ADA, Wreck, wreck


def crashes(hive: Wreck) -> int:
    """How many crashes the operator was told of, after one more look."""
    crash_watch.run(hive.hive)
    found = messages.inbox(hive.hive, OPERATOR, limit=10_000)
    return sum(message.body.startswith("container_crash: ") for message in found)


def in_turn(hive: Wreck) -> int:
    """Wait until ada is in a turn; gives back its harness."""
    hive.until(lambda: turns.current(hive.hive, ADA), "it works")
    harness = hive.until(lambda: harness_of(hive.hive, "ada"), "its harness lives")
    hive.until(lambda: cli_of(harness), "its CLI lives")
    return harness


@pytest.mark.box
def test_a_real_agent_that_vanishes_is_told_once_and_one_that_was_told_to_go_is_not(home: Path) -> None:
    with wreck(home, mode="waits", linger_seconds=60) as hive:
        crash_watch.run(hive.hive)
        sent = hive.send("ada", "work")
        # Its CLI: a failed turn, which says so itself, and the message comes again.
        assert end(cli_of(in_turn(hive)))
        hive.until(lambda: hive.outcomes()[:1] == [Outcome.FAILED], "the turn has failed")
        assert hive.message(sent.number).attempt == 1
        assert crashes(hive) == 0
        # Its harness.
        assert end(in_turn(hive))
        hive.until(lambda: Outcome.LOST in hive.outcomes(), "the next harness has come")
        assert crashes(hive) == 1
        # What was asked for, each in the middle of a turn.
        for stop in (agents.kill, partial(agents.stop, now=True)):
            in_turn(hive)
            stop(hive.hive, ADA, by=OPERATOR)
            assert crashes(hive) == 1
            agents.start(hive.hive, ADA, by=OPERATOR)
        in_turn(hive)
        agents.restart(hive.hive, ADA, by=OPERATOR, now=True)
        in_turn(hive)
        # The hub ends its harnesses in order, also when it dies itself.
        hive.kill_hub()
        hive.until(lambda: not hive.has_harness("ada"), "its harness has ended with the hub")
        assert crashes(hive) == 1
        hive.start_hub()
        in_turn(hive)
        agents.destroy(hive.hive, ADA, by=OPERATOR)
        assert crashes(hive) == 1
        assert not tracebacks(home)


def test_no_stop_that_was_asked_for_is_told_however_it_falls(home: Path) -> None:
    chance = instants("stops")
    stops: list[Callable[[Wreck], object]] = [
        lambda hive: agents.kill(hive.hive, ADA, by=OPERATOR),
        lambda hive: agents.destroy(hive.hive, ADA, by=OPERATOR),
        killed_while_stopping,
        ended_in_order,
    ]
    with Wreck(home, mode="good", up=False) as hive, program(home, HARNESSES) as harnesses:
        hive.runtime = "host"
        hive.spawn("ada")
        crash_watch.run(hive.hive)
        before = crashes(hive)
        for _ in range(rounds(24)):
            harnesses.tell()
            assert int(harnesses.heard()) == harness_of(hive.hive, "ada")
            stop = chance.choice(stops)
            # A look may fall before, and always falls after.
            if chance.random() < 0.5:
                crash_watch.run(hive.hive)
            stop(hive)
            assert harnesses.heard() == "gone"
            if chance.random() < 0.5:
                assert crashes(hive) == before
            if stop is stops[1]:
                hive.spawn("ada")
            else:
                agents.start(hive.hive, ADA, by=OPERATOR)
            assert crashes(hive) == before
        # The control: the same without a word is one.
        harnesses.tell()
        os.kill(int(harnesses.heard()), signal.SIGKILL)
        assert harnesses.heard() == "gone"
        assert crashes(hive) == before + 1


def killed_while_stopping(hive: Wreck) -> None:
    """Somebody stops it, and it is killed before its turn has ended."""
    with pytest.raises(Expired):
        agents.stop(hive.hive, ADA, by=OPERATOR, timeout=0.0)
    assert end(harness_of(hive.hive, "ada"))


def ended_in_order(hive: Wreck) -> None:
    """It writes down its end before it goes."""
    turns.end_epoch(hive.hive, ADA, epoch=row_of(hive.hive, ADA).epoch)
    set_row(hive.hive, ADA, empty_starts=0)
    assert end(harness_of(hive.hive, "ada"))
    doorbell.ring(hive.hive.paths, ADA)
