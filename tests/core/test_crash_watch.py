"""What changes about an agent is told once, to whom it concerns, and what was asked for is no crash."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from hyperhive.core import agents, crash_watch, folders, login, messages, notices, spawning, turns
from hyperhive.core.db import Store
from hyperhive.core.errors import Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Flavor, Outcome, Wanted
from hyperhive.core.tables import ObservationRow
from tests.core.hives import ADA, BOB, EVE, Program, add_agent, one_turn, program, row_of, send, set_row
from tests.faults.chance import instants, rounds

MONA = AgentName("mona")
# A harness at work, until it is killed or told how to end.
HARNESS = """
name = AgentName(sys.argv[2])
with Lock(hive.paths.harness_lock(name)) as lock:
    lock.take()
    epoch = turns.begin_epoch(hive, name)
    print(epoch, flush=True)
    sys.stdin.readline()
    turns.end_epoch(hive, name, epoch=epoch)
"""
# One after the other, each a fork that takes a moment.
HARNESSES = """
import signal
from hyperhive.core import process
for line in sys.stdin:
    own = os.getpid()
    child = os.fork()
    if child == 0:
        process.die_with(own, signal.SIGKILL)
        with Lock(hive.paths.harness_lock(ADA)) as lock:
            lock.take()
            turns.begin_epoch(hive, ADA)
            print(os.getpid(), flush=True)
            time.sleep(600)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""
# One that takes the agent, and dies before it counts its epoch.
EARLY = """
with Lock(hive.paths.harness_lock(AgentName(sys.argv[2]))) as lock:
    lock.take()
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def watched(hive: Hive) -> Hive:
    """A hive with the workers ada and bob and the manager eve, all logged in, and seen before."""
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    for name in (ADA, BOB, EVE):
        hive.paths.agent(name).mkdir()
        folders.write_token(hive, name, "a-token-of-the-tests")
    assert told(hive) == []
    return hive


def told(hive: Hive) -> list[str]:
    """What a pass tells, each by its first word, with whom it is about."""
    with crash_watch.alone(hive):
        seen = crash_watch.look(hive)
    assert seen.troubles == ()
    return [f"{one.text.partition(':')[0]} {one.agent}" for one in seen.told]


def inbox(hive: Hive, name: str = EVE) -> list[str]:
    """All that anybody was ever told by hyperhive itself, without the times."""
    return [message.body for message in messages.inbox(hive, name, everything=True) if message.sender == notices.SENDER]


def crashes(hive: Hive, name: str = EVE) -> int:
    return sum(body.startswith("container_crash: ") for body in inbox(hive, name))


@contextmanager
def work(home: Path, name: AgentName = ADA) -> Iterator[Program]:
    """A harness that has begun its epoch; it dies with the block, if it lives then."""
    with program(home, HARNESS, name) as harness:
        assert harness.heard()
        yield harness


def die(home: Path, name: AgentName = ADA) -> None:
    """A harness that begins its epoch and is killed."""
    with work(home, name):
        pass


def turn(hive: Hive, outcome: Outcome) -> None:
    """A whole turn by a harness that ends in order."""
    one_turn(hive, outcome)
    turns.end_epoch(hive, ADA, epoch=row_of(hive, ADA).epoch)


def another_boot(monkeypatch: pytest.MonkeyPatch, boot: str = "another") -> None:
    monkeypatch.setattr(Hive, "boot", lambda self: boot)


# ---- a harness that dies ----


def test_a_harness_that_died_is_told_once(watched: Hive, home: Path) -> None:
    with work(home):
        assert told(watched) == []
    assert told(watched) == ["container_crash ada"]
    assert inbox(watched) == [
        "container_crash: ada died in its epoch 1, and nobody had asked for it. `hyperhive logs ada` tells more."
    ]
    assert told(watched) == []
    # The next one that dies is another crash.
    die(home)
    assert told(watched) == ["container_crash ada"]
    assert crashes(watched) == 2
    assert sorted(bell.name for bell in watched.paths.wake.iterdir()) == [EVE]


def test_the_next_harness_tells_it_where_nobody_has_looked(watched: Hive, home: Path) -> None:
    die(home)
    with work(home):
        assert crashes(watched) == 1
        assert told(watched) == []
    assert told(watched) == ["container_crash ada"]
    die(home)
    assert crashes(watched) == 2


def test_a_harness_that_died_before_its_epoch_began_is_no_second_crash(watched: Hive, home: Path) -> None:
    die(home)
    with program(home, EARLY, ADA) as next_one:
        assert next_one.heard() == "in"
        # It lives, and tells by itself when it begins.
        assert told(watched) == []
    assert told(watched) == ["container_crash ada"]
    with program(home, EARLY, ADA) as next_one:
        assert next_one.heard() == "in"
    assert told(watched) == []


def test_a_harness_that_ends_in_order_is_no_crash(watched: Hive, home: Path) -> None:
    with work(home) as harness:
        harness.tell()
        assert harness.wait() == 0
    assert told(watched) == []
    assert inbox(watched) == []


def test_a_stop_that_was_asked_for_is_no_crash_however_it_ends(watched: Hive, home: Path) -> None:
    with work(home) as harness:
        agents.kill(watched, ADA, by=OPERATOR)
        assert harness.wait() == -9
    assert told(watched) == []
    # One that is killed from outside while it is being stopped.
    agents.start(watched, ADA, by=OPERATOR)
    with work(home):
        set_row(watched, ADA, wanted=Wanted.STOPPED)
    assert told(watched) == []
    agents.start(watched, ADA, by=OPERATOR)
    assert told(watched) == []
    # The same without anybody who looks meanwhile.
    for let_work in (agents.start, agents.restart):
        with work(home):
            set_row(watched, ADA, wanted=Wanted.STOPPED)
        let_work(watched, ADA, by=OPERATOR)
        assert told(watched) == []
    assert crashes(watched) == 0


def test_the_control_a_stop_that_does_not_say_so_first_is_a_crash(watched: Hive, home: Path) -> None:
    die(home)
    assert told(watched) == ["container_crash ada"]
    set_row(watched, ADA, wanted=Wanted.STOPPED)
    assert told(watched) == []


def test_a_harness_that_ended_with_the_machine_is_no_crash(watched: Hive, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die(home)
    another_boot(monkeypatch)
    assert told(watched) == []
    turns.begin_epoch(watched, ADA)
    assert inbox(watched) == []


def test_one_that_died_before_it_was_ever_seen_is_only_recorded_and_one_that_lives_is_told_of_later(
    hive: Hive, home: Path
) -> None:
    die(home)
    with work(home, BOB):
        told(hive)
        assert crashes(hive, OPERATOR) == 0
    assert told(hive) == ["container_crash bob"]


def test_each_kill_is_told_once_whoever_finds_it_first(watched: Hive, home: Path) -> None:
    chance = instants("crash-watch")
    with program(home, HARNESSES) as harnesses:
        harnesses.tell()
        pid = int(harnesses.heard())
        for number in range(1, rounds(40) + 1):
            os.kill(pid, signal.SIGKILL)
            assert harnesses.heard() == "gone"
            first = chance.choice(["the watch", "the next harness", "both"])
            if first == "the watch":
                told(watched)
            harnesses.tell()
            if first == "both":
                told(watched)
            pid = int(harnesses.heard())
            if first == "the next harness":
                told(watched)
            assert crashes(watched) == number, first


# ---- whom it concerns ----


def test_managers_hear_of_it_and_the_operator_of_managers(watched: Hive, home: Path) -> None:
    add_agent(watched, MONA, flavor=Flavor.MANAGER)
    told(watched)
    die(home)
    told(watched)
    assert (crashes(watched, EVE), crashes(watched, MONA), crashes(watched, OPERATOR)) == (1, 1, 0)
    die(home, EVE)
    told(watched)
    assert (crashes(watched, EVE), crashes(watched, MONA), crashes(watched, OPERATOR)) == (1, 1, 1)


def test_where_there_is_no_manager_the_operator_hears_of_it(watched: Hive, home: Path) -> None:
    set_row(watched, EVE, wanted=Wanted.DESTROYED)
    die(home)
    assert told(watched) == ["container_crash ada"]
    assert crashes(watched, OPERATOR) == 1


# ---- logins ----


def test_a_login_that_comes_and_goes_is_told_each_time_once(watched: Hive) -> None:
    watched.paths.agent_token(ADA).unlink()
    assert told(watched) == ["needs_login ada"]
    assert told(watched) == []
    folders.write_token(watched, ADA, "another-token")
    assert told(watched) == ["logged_in ada"]
    assert told(watched) == []


def test_a_login_that_is_refused_in_a_turn_is_told_there_and_not_again(watched: Hive) -> None:
    send(watched)
    turn(watched, Outcome.LOGIN)
    assert [body.partition(":")[0] for body in inbox(watched)] == ["needs_login"]
    assert told(watched) == []
    # Letting it try again is no login; a turn that works is one.
    agents.start(watched, ADA, by=OPERATOR)
    assert told(watched) == []
    turn(watched, Outcome.LOGIN)
    assert len(inbox(watched)) == 1
    agents.start(watched, ADA, by=OPERATOR)
    turn(watched, Outcome.OK)
    assert [body.partition(":")[0] for body in inbox(watched)] == ["needs_login", "logged_in"]
    assert told(watched) == []


def test_the_operators_login_is_told_as_it_happens(watched: Hive) -> None:
    send(watched)
    turn(watched, Outcome.LOGIN)
    login.set_token(watched, ADA, "sk-ant-oat01-new")
    assert [body.partition(":")[0] for body in inbox(watched)] == ["needs_login", "logged_in"]
    assert told(watched) == []


def test_what_came_between_is_not_lost_by_joining(watched: Hive) -> None:
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        for _ in range(2):
            watched.paths.agent_token(ADA).unlink()
            told(watched)
            clock.shift(timedelta(seconds=10))
            folders.write_token(watched, ADA, "another-token")
            told(watched)
            clock.shift(timedelta(seconds=10))
    assert [body.partition(":")[0] for body in inbox(watched)] == ["needs_login", "logged_in"] * 2


# ---- what it stands on ----


def test_only_becoming_out_of_date_is_told(watched: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    base: list[str | None] = ["1"]
    monkeypatch.setattr("hyperhive.core.bases.known_base", lambda hive, runtime: base[0])
    set_row(watched, ADA, base="1")
    assert told(watched) == []
    base[0] = "2"
    assert told(watched) == ["needs_update ada"]
    # Between two versions there may be no program for a moment.
    for base[0] in (None, "2"):
        assert told(watched) == []
    set_row(watched, ADA, base="2")
    assert told(watched) == []
    base[0] = "3"
    assert told(watched) == ["needs_update ada"]


# ---- what is seen first ----


def test_the_first_look_after_a_reboot_only_records(watched: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    another_boot(monkeypatch)
    watched.paths.agent_token(ADA).unlink()
    assert told(watched) == []
    assert inbox(watched) == []
    folders.write_token(watched, ADA, "another-token")
    assert told(watched) == ["logged_in ada"]


def test_who_was_never_seen_is_only_recorded(watched: Hive) -> None:
    add_agent(watched, MONA)
    assert told(watched) == []
    with watched.db.read():
        row = ObservationRow.get(ObservationRow.agent == MONA)
    assert (row.running, row.logged_in, row.up_to_date, row.boot) == (True, False, True, watched.boot())


def test_what_a_new_agent_lacks_is_told_once(empty: Hive) -> None:
    spawning.spawn(empty, EVE, flavor=Flavor.MANAGER, runtime="host", by=OPERATOR)
    spawning.spawn(empty, ADA, runtime="host", by=OPERATOR)
    assert told(empty) == ["needs_login ada", "needs_login eve"]
    assert told(empty) == []
    assert [body.partition(" ")[0] for body in inbox(empty)] == ["spawned:", "needs_login:"]
    assert [body.partition(" (")[0] for body in inbox(empty, OPERATOR)] == ["needs_login: eve is not logged in"]


def test_a_turn_that_comes_before_the_first_look_tells_it_in_its_place(empty: Hive) -> None:
    spawning.spawn(empty, ADA, runtime="host", by=OPERATOR)
    send(empty)
    turn(empty, Outcome.LOGIN)
    assert told(empty) == []
    assert [body.partition(" (")[0] for body in inbox(empty, OPERATOR)] == ["needs_login: ada is not logged in"]


def test_a_new_agent_that_has_a_login_is_no_news(empty: Hive) -> None:
    empty.paths.settings.write_text('[claude]\nenv = { ANTHROPIC_API_KEY = "k" }\n', encoding="utf-8")
    spawning.spawn(empty, ADA, runtime="host", by=OPERATOR)
    assert told(empty) == []


def test_one_that_is_made_anew_is_seen_anew_and_one_that_is_purged_is_forgotten(empty: Hive, home: Path) -> None:
    spawning.spawn(empty, ADA, runtime="host", by=OPERATOR)
    told(empty)
    agents.destroy(empty, ADA, by=OPERATOR)
    assert told(empty) == []
    spawning.spawn(empty, ADA, runtime="host", by=OPERATOR)
    assert told(empty) == ["needs_login ada"]
    agents.destroy(empty, ADA, by=OPERATOR)
    agents.purge(empty, ADA, by=OPERATOR)
    with empty.db.read():
        assert not ObservationRow.select().exists()


# ---- one transaction, one watcher ----


def test_a_change_that_cannot_be_told_is_not_stored_either(watched: Hive, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die(home)
    with monkeypatch.context() as broken:
        broken.setattr("hyperhive.core.observations.notices.notify", fails)
        with pytest.raises(RuntimeError):
            told(watched)
    assert told(watched) == ["container_crash ada"]


def fails(*_: object) -> None:
    raise RuntimeError


def test_nothing_is_written_where_nothing_has_changed(watched: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "write", fails)
    assert told(watched) == []


def test_who_comes_second_steps_aside_with_a_word(watched: Hive) -> None:
    with crash_watch.alone(watched), pytest.raises(Conflict, match=r"being watched already: pid \d+ since"):
        told(watched)
    assert not is_held(watched.paths.lock("crash-watch"))
    assert told(watched) == []
