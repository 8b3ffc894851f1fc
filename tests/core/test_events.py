"""An agent's history: bounded, whatever text it holds, and no reason for a turn to fail."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperhive.core.errors import Unavailable
from hyperhive.core.events import DEEPEST, SWEEP, TEXT_MOST, EventLog, beyond, history, live_pointer
from hyperhive.core.hive import Hive
from hyperhive.core.model import EventKind
from tests.core.hives import ADA, program

WRITE = """
log = events.EventLog(hive, ADA)
log.add(EventKind.TEXT, {"text": "from elsewhere"}, at=hive.now())
print(log.keeps, flush=True)
sys.stdin.readline()
log.close()
"""


@pytest.fixture
def hive(empty: Hive) -> Hive:
    """A hive with a folder for ada."""
    empty.paths.agent(ADA).mkdir()
    return empty


@pytest.fixture
def log(hive: Hive) -> Iterator[EventLog]:
    """Ada's history, as its harness writes it."""
    written = EventLog(hive, ADA)
    yield written
    written.close()


def say(hive: Hive, log: EventLog, **data: Any) -> None:
    log.add(EventKind.TEXT, data, at=hive.now())


def test_what_was_written_can_be_read_in_its_order(hive: Hive, log: EventLog) -> None:
    for count in range(5):
        say(hive, log, text=f"line {count}")
    found = history(hive, ADA)
    assert [event.data["text"] for event in found] == [f"line {count}" for count in range(5)]
    assert [event.number for event in found] == [1, 2, 3, 4, 5]
    assert {(event.agent, event.kind) for event in found} == {(ADA, EventKind.TEXT)}
    assert [event.number for event in history(hive, ADA, after=3)] == [4, 5]
    assert [event.number for event in history(hive, ADA, limit=2)] == [4, 5]


def test_it_goes_on_where_the_last_harness_ended(hive: Hive) -> None:
    for _ in range(2):
        log = EventLog(hive, ADA)
        say(hive, log, text="x")
        log.close()
    assert [event.number for event in history(hive, ADA)] == [1, 2]


@pytest.mark.parametrize("kept", [250, 600])
def test_so_many_of_the_newest_are_kept_as_the_settings_say(hive: Hive, kept: int) -> None:
    hive.paths.settings.write_text(f"[keep]\nevents = {kept}\n", encoding="utf-8")
    log = EventLog(hive, ADA)
    for _ in range(kept + 2 * SWEEP):
        say(hive, log, text="x")
    log.close()
    found = history(hive, ADA)
    assert kept <= len(found) < kept + SWEEP
    assert found[-1].number == kept + 2 * SWEEP
    assert len(history(hive, ADA, limit=7)) == 7


def test_it_is_the_newest_that_are_kept_also_where_numbers_are_missing(hive: Hive, log: EventLog) -> None:
    for _ in range(10):
        say(hive, log, text="x")
    assert log._database is not None
    log._database.execute_sql("DELETE FROM event WHERE number IN (3, 8)")
    assert [beyond(log._database, newest) for newest in (0, 1, 2, 5, 7, 8, 100)] == [10, 9, 7, 4, 1, 0, 0]


def test_who_has_no_history_has_an_empty_one(hive: Hive) -> None:
    assert history(hive, ADA) == []
    assert not hive.paths.agent_events(ADA).exists()


def test_nobody_else_can_read_it_or_what_lies_beside_it(hive: Hive, log: EventLog) -> None:
    say(hive, log, text="secret")
    files = sorted(hive.paths.agent(ADA).iterdir())
    assert [file.name for file in files] == ["events.sqlite", "events.sqlite-shm", "events.sqlite-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


# ---- what it is given ----


def test_a_long_text_is_cut_and_says_so(hive: Hive, log: EventLog) -> None:
    say(hive, log, text="x" * (TEXT_MOST + 7), inner={"list": ["y" * (TEXT_MOST + 1)]})
    data = history(hive, ADA)[0].data
    assert data["text"] == "x" * TEXT_MOST + "… (7 characters more)"
    assert data["inner"]["list"][0].endswith("… (1 characters more)")


def test_what_no_encoding_has_is_a_question_mark_also_in_a_key(hive: Hive, log: EventLog) -> None:
    say(hive, log, text="a\ud83db", **{"k\ud800": 1})
    assert history(hive, ADA)[0].data == {"text": "a?b", "k?": 1}


def test_what_is_nested_too_deep_is_left_out(hive: Hive, log: EventLog) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    say(hive, log, deep=deep)
    found = history(hive, ADA)[0].data["deep"]
    for _ in range(DEEPEST):
        (found,) = found
    assert found == "…"


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
        ),
    )
)
@settings(suppress_health_check=list(HealthCheck))
def test_whatever_is_written_is_kept_and_can_be_read(hive: Hive, log: EventLog, data: dict[str, Any]) -> None:
    before = len(history(hive, ADA))
    log.add(EventKind.RESULT, data, at=hive.now())
    assert log.keeps
    assert len(history(hive, ADA)) == before + 1


# ---- a store that cannot be used ----


def broken(hive: Hive) -> None:
    hive.paths.agent_events(ADA).mkdir()


def damaged(hive: Hive) -> None:
    hive.paths.agent_events(ADA).write_bytes(b"no database at all" * 100)


@pytest.mark.parametrize("fault", [broken, damaged])
def test_a_store_that_cannot_be_opened_is_replaced_by_one_that_can_be_watched(hive: Hive, fault: Any) -> None:
    fault(hive)
    log = EventLog(hive, ADA)
    assert not log.keeps
    say(hive, log, text="still here")
    assert [event.data["text"] for event in history(hive, ADA)] == ["still here"]
    elsewhere = Path(live_pointer(hive.paths, ADA).read_text(encoding="utf-8"))
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    log.close()
    assert not elsewhere.parent.exists()
    with pytest.raises(Unavailable, match="the events of ada cannot be read"):
        history(hive, ADA)


def test_a_store_that_is_full_is_left_and_the_event_is_not_lost(hive: Hive, log: EventLog) -> None:
    say(hive, log, text="before")
    assert log._database is not None
    pages = log._database.execute_sql("PRAGMA page_count").fetchone()[0]
    log._database.execute_sql(f"PRAGMA max_page_count = {pages}")
    say(hive, log, text="x" * 60_000)
    say(hive, log, text="after")
    assert not log.keeps
    assert [len(event.data["text"]) for event in history(hive, ADA)] == [60_000, 5]
    log.close()
    assert [event.data["text"] for event in history(hive, ADA)] == ["before"]


def test_without_any_place_to_write_the_turn_goes_on(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(hive)
    monkeypatch.setattr(tempfile, "tempdir", str(hive.paths.state / "gone"))
    log = EventLog(hive, ADA)
    say(hive, log, text="unheard")
    assert not log.keeps
    log.close()


def test_it_can_be_read_while_another_process_writes(home: Path, hive: Hive) -> None:
    with program(home, WRITE) as harness:
        assert harness.heard() == "True"
        assert [event.data["text"] for event in history(hive, ADA)] == ["from elsewhere"]
        harness.tell()
        assert harness.wait() == 0


def test_what_a_killed_harness_left_elsewhere_is_removed_by_the_next(home: Path, hive: Hive) -> None:
    broken(hive)
    with program(home, WRITE) as harness:
        assert harness.heard() == "False"
        elsewhere = Path(live_pointer(hive.paths, ADA).read_text(encoding="utf-8"))
        harness.kill()
    assert [event.data["text"] for event in history(hive, ADA)] == ["from elsewhere"]
    hive.paths.agent_events(ADA).rmdir()
    log = EventLog(hive, ADA)
    assert log.keeps
    assert not elsewhere.parent.exists()
    assert history(hive, ADA) == []
    log.close()


def test_a_pointer_that_leads_nowhere_hides_no_history(hive: Hive, log: EventLog) -> None:
    say(hive, log, text="kept")
    live_pointer(hive.paths, ADA).write_text("/tmp/hyperhive-events-gone/events.sqlite", encoding="utf-8")
    assert len(history(hive, ADA)) == 1


def test_a_pointer_that_was_tampered_with_removes_nothing_else(hive: Hive, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    link = tmp_path / "hyperhive-events-link"
    link.symlink_to(precious)
    for folder in (precious, link):
        live_pointer(hive.paths, ADA).write_text(f"{folder}/events.sqlite", encoding="utf-8")
        EventLog(hive, ADA).close()
        assert (precious / "file").exists()


def test_an_event_of_a_kind_that_is_not_known_is_named(hive: Hive, log: EventLog) -> None:
    assert log._database is not None
    log._database.execute_sql("INSERT INTO event (at, kind, data) VALUES (0, 'dance', '{}')")
    with pytest.raises(Unavailable, match="dance"):
        history(hive, ADA)
