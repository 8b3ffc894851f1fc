"""An agent's old events go, whoever the agent is and whatever it wrote; its newest stay, and its harness goes on writing."""

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from hyperhive.core import vacuum, vacuum_events
from hyperhive.core.events import EventLog, history
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, EventKind, Wanted
from tests.core.hives import ADA, BOB, program, set_row

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def folders(hive: Hive) -> None:
    for name in (ADA, BOB):
        hive.paths.agent(name).mkdir()


def write(hive: Hive, count: int, *, ago: timedelta, name: AgentName = ADA) -> None:
    """Events of one instant."""
    log = EventLog(hive, name)
    for _ in range(count):
        log.add(EventKind.TEXT, {"text": "x"}, at=hive.now() - ago)
    log.close()


def settings(hive: Hive, **keep: int) -> None:
    said = "".join(f"{key} = {value}\n" for key, value in keep.items())
    hive.paths.settings.write_text(f"[keep]\n{said}", encoding="utf-8")


def numbers(hive: Hive, name: AgentName = ADA) -> list[int]:
    return [event.number for event in history(hive, name)]


def test_events_go_after_a_week_but_for_the_newest_two_hundred(hive: Hive) -> None:
    write(hive, 250, ago=8 * DAY)
    assert vacuum.run(hive).events == 50
    assert numbers(hive) == list(range(51, 251))
    assert vacuum.run(hive).events == 0


def test_young_ones_stay_up_to_two_thousand(hive: Hive) -> None:
    settings(hive, events=3000)
    write(hive, 300, ago=8 * DAY)
    write(hive, 2100, ago=7 * DAY)
    settings(hive)
    del hive.settings
    assert vacuum.run(hive).events == 300 + 100
    assert numbers(hive) == list(range(401, 2401))


def test_the_days_and_the_numbers_stand_in_the_settings(hive: Hive) -> None:
    settings(hive, event_days=2, event_floor=10, events=30)
    write(hive, 25, ago=3 * DAY)
    write(hive, 5, ago=2 * DAY)
    assert vacuum.run(hive).events == 20
    write(hive, 40, ago=HOUR)
    assert vacuum.run(hive).events == 20
    assert numbers(hive) == list(range(41, 71))


def test_those_of_a_destroyed_agent_go_too_and_those_that_no_row_tells_of(hive: Hive) -> None:
    settings(hive, event_floor=1)
    write(hive, 3, ago=40 * DAY)
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    shutil.copytree(hive.paths.agent(ADA), hive.paths.agents / "gone")
    assert vacuum.run(hive).events == 4
    assert numbers(hive) == [3]


def test_an_old_event_behind_young_ones_goes_and_a_young_one_before_old_ones_stays(hive: Hive) -> None:
    settings(hive, event_floor=1)
    for ago in (DAY, 9 * DAY, DAY, 9 * DAY, 9 * DAY):
        write(hive, 1, ago=ago)
    assert vacuum.run(hive).events == 2
    assert numbers(hive) == [1, 3, 5]


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
def test_nothing_goes_too_early_when_the_clock_jumps_by_a_day(
    hive: Hive, jump: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(hive, event_floor=0)
    almost = 7 * DAY - timedelta(minutes=1)
    write(hive, 1, ago=almost)
    write(hive, 1, ago=almost - jump)
    right = Hive.now
    monkeypatch.setattr(Hive, "now", lambda self: right(self) + jump)
    # What was written while the clock was as wrong as now is as old as it seems; all else is younger than a week.
    assert vacuum.run(hive).events == 0
    monkeypatch.setattr(Hive, "now", right)
    assert vacuum.run(hive).events == 0
    assert numbers(hive) == [1, 2]


def test_without_a_doubt_about_the_clock_something_would_go_too_early(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(hive, event_floor=0)
    write(hive, 1, ago=7 * DAY - HOUR)
    monkeypatch.setattr(vacuum, "DOUBT", 0 * DAY)
    right = Hive.now
    monkeypatch.setattr(Hive, "now", lambda self: right(self) + DAY)
    assert vacuum.run(hive).events == 1


def test_a_clock_a_year_ahead_leaves_the_newest(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    write(hive, 210, ago=HOUR)
    right = Hive.now
    monkeypatch.setattr(Hive, "now", lambda self: right(self) + 365 * DAY)
    assert vacuum.run(hive).events == 10
    assert numbers(hive) == list(range(11, 211))


# ---- beside a harness ----


def test_no_transaction_removes_many_and_none_is_open_between_two(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(hive, event_floor=0)
    write(hive, 2 * vacuum_events.BATCH + 7, ago=9 * DAY)
    left = []

    def rest(_: float) -> None:
        # At once, or not at all.
        with apsw.Connection(str(hive.paths.agent_events(ADA))) as other:
            other.execute("INSERT INTO event (at, kind, data) VALUES (?, 'text', '{}')", (2**53,))
            left.append(len(list(other.execute("SELECT 1 FROM event WHERE at < ?", (2**53,)))))

    monkeypatch.setattr("time.sleep", rest)
    assert vacuum.run(hive).events == 2 * vacuum_events.BATCH + 7
    assert left == [vacuum_events.BATCH + 7, 7, 0]


def test_a_harness_that_writes_meanwhile_loses_nothing(hive: Hive, home: Path) -> None:
    settings(hive, event_floor=0)
    write(hive, 5 * vacuum_events.BATCH, ago=9 * DAY)
    code = """
log = events.EventLog(hive, ADA)
for _ in range(600):
    log.add(EventKind.TEXT, {"text": "new"}, at=hive.now())
    print(_, flush=True)
print(log.keeps, flush=True)
log.close()
"""
    with program(home, code) as harness:
        assert harness.heard() == "0"
        assert vacuum.run(hive).events == 5 * vacuum_events.BATCH
        assert harness.is_running
        for number in range(1, 600):
            assert harness.heard() == str(number)
        assert harness.heard() == "True"
        assert harness.wait() == 0
    assert numbers(hive) == list(range(5 * vacuum_events.BATCH + 1, 5 * vacuum_events.BATCH + 601))


# ---- stores that cannot be used ----


def a_folder(hive: Hive) -> None:
    hive.paths.agent_events(ADA).mkdir()


def rubbish(hive: Hive) -> None:
    hive.paths.agent_events(ADA).write_bytes(b"no database at all" * 100)


def damaged_within(hive: Hive) -> None:
    write(hive, 1000, ago=9 * DAY)
    store = hive.paths.agent_events(ADA)
    whole = store.read_bytes()
    # The first page, which tells of the table, is left.
    store.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


@pytest.mark.parametrize("fault", [a_folder, rubbish, damaged_within])
def test_a_damaged_store_is_said_and_the_others_are_swept(hive: Hive, fault: Callable[[Hive], None]) -> None:
    settings(hive, event_floor=0)
    fault(hive)
    write(hive, 3, ago=9 * DAY, name=BOB)
    swept = vacuum.run(hive)
    assert swept.events == 3
    (trouble,) = swept.troubles
    assert trouble.message.startswith("the events of ada cannot be swept: ")
    assert trouble.hint == f"ls -l {hive.paths.agent_events(ADA)}"


def test_a_damaged_database_keeps_no_events_and_no_logs_from_being_swept(hive: Hive) -> None:
    settings(hive, event_floor=0)
    write(hive, 3, ago=9 * DAY)
    hive.close()
    hive.paths.database.write_bytes(b"no database at all" * 1000)
    old = hive.paths.log / "hub.log"
    old.touch()
    os.utime(old, (0, 0))
    swept = vacuum.run(hive)
    assert (swept.events, swept.logs, swept.messages) == (3, 1, 0)
    assert [trouble.message for trouble in swept.troubles] == [f"{hive.paths.database} is damaged"]


def test_a_store_that_is_not_there_is_not_made(hive: Hive) -> None:
    assert vacuum.run(hive).troubles == ()
    assert not hive.paths.agent_events(ADA).exists()


# ---- out of an agent's reach ----


def test_what_an_agent_puts_into_its_own_folders_is_not_looked_at(hive: Hive) -> None:
    settings(hive, event_floor=0)
    write(hive, 3, ago=9 * DAY, name=BOB)
    agents_own = (hive.paths.agent_state(ADA), hive.paths.agent_workspace(ADA), hive.paths.agent_claude(ADA))
    for folder in agents_own:
        folder.mkdir()
        shutil.copy(hive.paths.agent_events(BOB), folder / "events.sqlite")
        (folder / "vacuum").write_text("never", encoding="utf-8")
    before = {file: file.read_bytes() for folder in agents_own for file in folder.iterdir()}
    assert vacuum.run(hive).events == 3
    assert {file: file.read_bytes() for folder in agents_own for file in folder.iterdir()} == before
