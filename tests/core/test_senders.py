"""Whoever is killed while it sends: what it was told is accepted is there once, and the rest can be sent again."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hyperhive.core import messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from tests.core.hives import ADA, add_agent, hive_in

ROUNDS = 30
Say = Callable[[str], None]


def send_then_say(hive: Hive, key: str, say: Say) -> None:
    messages.send(hive, sender=OPERATOR, to=ADA, body=key, key=key)
    say(key)


def say_then_send(hive: Hive, key: str, say: Say) -> None:
    """A sender that believes that what it has handed over is on disk."""
    say(key)
    messages.send(hive, sender=OPERATOR, to=ADA, body=key, key=key)


def killed_sender(home: Path, send: Callable[[Hive, str, Say], None], begin: int, chance: random.Random) -> list[str]:
    """A process that sends until it is killed, at some moment; gives back what it said is accepted."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(heard)
            hive = hive_in(home)
            for number in range(begin, begin + 10_000):
                send(hive, f"m{number}", lambda line: void(os.write(said, f"{line}\n".encode())))
        finally:
            os._exit(1)
    os.close(said)
    with open(heard, encoding="ascii") as lines:
        first = [lines.readline().strip() for _ in range(chance.randrange(1, 6))]
        # The moment, not a wait for something.
        time.sleep(chance.random() * 0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return [*first, *lines.read().split()]


def void(_: object) -> None:
    """What a write gives back is of no use here."""


def lost(home: Path, send: Callable[[Hive, str, Say], None], rounds: int) -> int:
    """How many messages that were said to be accepted are missing after so many killed senders. None may be there twice."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    hive = hive_in(home)
    with suppress(Exception):
        add_agent(hive, ADA)
    missing, begin = 0, 0
    for _ in range(rounds):
        hive.close()
        accepted = killed_sender(home, send, begin, chance)
        bodies = [message.body for message in messages.inbox(hive, ADA, everything=True)]
        assert len(set(bodies)) == len(bodies)
        missing += len(set(accepted) - set(bodies))
        if missing:
            break
        # Whoever was killed is started again, and does not know how far it came.
        begin = int(accepted[-1][1:])
        messages.read(hive, None)
        for number in range(begin, begin + 3):
            messages.send(hive, sender=OPERATOR, to=ADA, body=f"m{number}", key=f"m{number}")
        bodies = [message.body for message in messages.inbox(hive, ADA, everything=True)]
        assert len(set(bodies)) == len(bodies)
        begin += 3
    assert hive.db.check() == "ok"
    hive.close()
    return missing


def test_no_accepted_message_is_missing_and_none_is_there_twice(home: Path) -> None:
    assert lost(home, send_then_say, ROUNDS) == 0


def test_a_sender_that_promises_too_early_is_found(home: Path) -> None:
    assert lost(home, say_then_send, 20 * ROUNDS) > 0


@pytest.mark.parametrize("processes", [8])
def test_what_many_send_at_once_is_there_once_and_in_each_ones_order(home: Path, processes: int) -> None:
    hive = hive_in(home)
    add_agent(hive, ADA)
    hive.close()
    children = []
    for who in range(processes):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for number in range(25):
                    messages.send(hive, sender=OPERATOR, to=ADA, body=f"{who} {number}", key=f"{who} {number}")
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * processes
    bodies = [message.body for message in messages.inbox(hive, ADA)]
    assert len(bodies) == len(set(bodies)) == processes * 25
    for who in range(processes):
        assert [body for body in bodies if body.startswith(f"{who} ")] == [f"{who} {number}" for number in range(25)]
    hive.close()


def test_the_same_key_from_many_at_once_is_one_message(home: Path) -> None:
    hive = hive_in(home)
    add_agent(hive, ADA)
    hive.close()
    heard, said = os.pipe()
    children = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                number = messages.send(hive, sender=OPERATOR, to=ADA, body="once", key="k").number
                os.write(said, f"{number}\n".encode())
            finally:
                os._exit(0)
        children.append(pid)
    os.close(said)
    for pid in children:
        os.waitpid(pid, 0)
    with open(heard, encoding="ascii") as lines:
        assert lines.read().split() == ["1"] * 8
    assert len(messages.inbox(hive, ADA)) == 1
    hive.close()
