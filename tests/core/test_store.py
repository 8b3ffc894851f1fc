"""The hive's database: whole transactions, any number of processes and threads, and a clear word for what goes wrong."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hyperhive.core import messages, migrations
from hyperhive.core.db import Store, next_number
from hyperhive.core.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, MessageState, Outcome
from hyperhive.core.tables import DATABASE, AgentRow, CounterRow, MessageRow
from tests.core.hives import ADA, BOB, add_agent, begin, end, hive_in, program, row_of, send

THREADS = 8


def test_a_block_that_fails_changes_nothing(hive: Hive) -> None:
    def change() -> None:
        AgentRow.update(model="opus").where(AgentRow.name == ADA).execute()
        raise KeyError

    with pytest.raises(KeyError), hive.db.write():
        change()
    assert row_of(hive, ADA).model is None


def test_what_a_caller_does_wrong_in_a_block_is_not_the_disks_fault(hive: Hive) -> None:
    with pytest.raises(FileNotFoundError), hive.db.read():
        os.stat("/nowhere/at/all")


def test_a_reader_sees_one_state_while_others_write(hive: Hive, home: Path) -> None:
    with hive.db.read():
        before = AgentRow.select().count()
        with program(home, 'from tests.core.hives import add_agent; add_agent(hive, EVE); print("done", flush=True)') as other:
            assert other.heard() == "done"
        assert AgentRow.select().count() == before
    with hive.db.read():
        assert AgentRow.select().count() == before + 1


def test_a_writing_block_in_a_reading_one_is_a_mistake(hive: Hive) -> None:
    with hive.db.read(), pytest.raises(RuntimeError), hive.db.write():
        pass
    with hive.db.write(), pytest.raises(RuntimeError), hive.db.write():
        pass


def test_the_version_changes_with_what_others_commit(hive: Hive, home: Path) -> None:
    before = hive.db.version()
    with program(home, 'messages.send(hive, sender=OPERATOR, to=ADA, body="hello"); print("done", flush=True)') as other:
        assert other.heard() == "done"
    assert hive.db.version() != before


def in_threads(act: Callable[[int], object]) -> list[BaseException]:
    """Do it in eight threads at once; gives back what went wrong."""
    wrong: list[BaseException] = []
    together = threading.Barrier(THREADS)

    def run(number: int) -> None:
        together.wait()
        try:
            act(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_eight_threads_share_a_store(hive: Hive) -> None:
    def act(number: int) -> None:
        try:
            for count in range(10):
                sent = messages.send(hive, sender=OPERATOR, to=ADA, body=f"{number} {count}")
                with hive.db.read():
                    assert MessageRow.get(MessageRow.number == sent.number).body == f"{number} {count}"
                with hive.db.write():
                    next_number()
        finally:
            hive.close()

    assert not in_threads(act)
    with hive.db.read():
        assert CounterRow.get(CounterRow.name == "number").value == THREADS * 10
    bodies = [message.body for message in messages.inbox(hive, ADA)]
    assert len(set(bodies)) == len(bodies) == THREADS * 10
    assert all([body for body in bodies if body.startswith(f"{n} ")] == [f"{n} {c}" for c in range(10)] for n in range(THREADS))


def test_eight_threads_open_a_fresh_hive_at_once(empty: Hive) -> None:
    assert not in_threads(lambda number: messages.inbox(empty, OPERATOR))
    assert empty.db.check() == "ok"


def test_eight_processes_open_a_fresh_hive_at_once(home: Path) -> None:
    code = """
sys.stdin.readline()
messages.send(hive, sender=OPERATOR, to=OPERATOR, body=sys.argv[2])
print("sent", flush=True)
"""
    others = [program(home, code, str(number)) for number in range(8)]
    started = [other.__enter__() for other in others]
    for one in started:
        one.tell()
    assert [one.heard() for one in started] == ["sent"] * 8
    for other in others:
        other.__exit__(None, None, None)
    hive = hive_in(home)
    assert sorted(message.body for message in messages.inbox(hive, OPERATOR)) == [str(number) for number in range(8)]
    assert hive.db.check() == "ok"
    hive.close()


def test_nobody_else_can_read_the_database_or_what_lies_beside_it(hive: Hive) -> None:
    send(hive)
    files = sorted(path for path in hive.paths.state.iterdir() if path.name.startswith("hive.sqlite"))
    assert [file.name for file in files] == ["hive.sqlite", "hive.sqlite-shm", "hive.sqlite-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_the_file_is_safe_against_a_power_cut(hive: Hive) -> None:
    with hive.db.read():
        pragmas = [
            DATABASE.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


# ---- a fork ----


def test_a_database_that_was_open_at_a_fork_is_refused(hive: Hive) -> None:
    send(hive)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            messages.inbox(hive, ADA)
        except RuntimeError:
            code = 7
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert len(messages.inbox(hive, ADA)) == 1


def test_a_database_that_was_closed_before_a_fork_is_opened_anew_on_both_sides(hive: Hive) -> None:
    send(hive, "before")
    hive.close()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            send(hive, "child")
            hive.close()
            code = 0
        finally:
            os._exit(code)
    send(hive, "parent")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sorted(message.body for message in messages.inbox(hive, ADA)) == ["before", "child", "parent"]
    assert hive.db.check() == "ok"


# ---- what the disk and others may do ----


def test_a_lock_that_a_foreign_program_holds_for_three_seconds_reaches_nobody(hive: Hive) -> None:
    foreign = apsw.Connection(str(hive.paths.database))
    foreign.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(3.0, lambda: foreign.execute("COMMIT"))
    timer.start()
    assert send(hive).number == 1
    timer.join()
    foreign.close()


def test_a_writer_that_is_killed_lets_the_next_one_in(hive: Hive, home: Path) -> None:
    code = """
with hive.db.write():
    AgentRow.update(model="opus").execute()
    print("in", flush=True)
    time.sleep(600)
"""
    with program(home, code) as other:
        assert other.heard() == "in"
        other.kill()
        assert send(hive).number == 1
    assert row_of(hive, ADA).model is None


def test_a_full_disk_is_named_and_nothing_is_half_done(hive: Hive) -> None:
    kept = send(hive, "kept")
    with hive.db.read():
        pages = DATABASE.execute_sql("PRAGMA page_count").fetchone()[0]
        DATABASE.execute_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match=rf"the disk that holds {hive.paths.state} is full: nothing was changed") as full:
        send(hive, "x" * 60_000)
    assert full.value.hint == f"df -h {hive.paths.state}"
    # Reading and acknowledging go on.
    assert [message.body for message in messages.inbox(hive, ADA)] == ["kept"]
    epoch, begun = begin(hive)
    end(hive, epoch, begun.number, Outcome.OK)
    assert messages.get(hive, kept.number).state is MessageState.ACKNOWLEDGED
    with hive.db.read():
        DATABASE.execute_sql("PRAGMA max_page_count = 1000000")
    assert send(hive, "x" * 60_000).number == kept.number + 1


def said_without_rights(act: Callable[[], object]) -> str:
    """The error that a process gets which is not root, for root may write everywhere."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            act()
        except HyperhiveError as error:
            os.write(said, f"{type(error).__name__}: {error.message}; {error.hint}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(said)
    with open(heard, encoding="utf-8") as file:
        return file.read()


def test_a_folder_that_may_not_be_written_is_named(hive: Hive) -> None:
    paths = hive.paths
    hive.close()
    paths.state.chmod(0o555)
    paths.locks.chmod(0o555)
    try:
        there = said_without_rights(lambda: messages.inbox(hive, OPERATOR))
        paths.database.unlink()
        missing = said_without_rights(lambda: messages.inbox(hive, OPERATOR))
    finally:
        paths.state.chmod(0o700)
        paths.locks.chmod(0o700)
    assert there in (
        f"Unavailable: {paths.database} cannot be written; ls -ld {paths.state}",
        # An ordinary user is the file's own, and stops only at the lock.
        f"Unavailable: {paths.lock('db')} cannot be written: Permission denied; ls -ld {paths.state}",
    )
    assert missing == f"Unavailable: {paths.database} cannot be written: Permission denied; ls -ld {paths.state}"


def test_a_file_that_is_no_database_is_named(home: Path) -> None:
    hive = hive_in(home)
    hive.paths.database.write_bytes(b"this is not a database, but it is long enough to be looked at" * 10)
    with pytest.raises(Unavailable, match=r"hive\.sqlite is damaged") as damaged:
        messages.inbox(hive, OPERATOR)
    assert damaged.value.hint == "restore a backup"
    hive.close()


def test_a_database_whose_pages_are_damaged_is_named(hive: Hive) -> None:
    for count in range(200):
        send(hive, f"{count} " * 500)
    hive.close()
    data = bytearray(hive.paths.database.read_bytes())
    data[4096 * 3 :] = b"\xa5" * (len(data) - 4096 * 3)
    hive.paths.database.write_bytes(data)
    with pytest.raises(Unavailable, match="is damaged"):
        messages.inbox(hive, ADA, everything=True)


def test_a_newer_schema_is_refused_with_what_to_do(hive: Hive) -> None:
    with hive.db.read():
        DATABASE.execute_sql(f"PRAGMA user_version = {len(migrations.STEPS) + 1}")
    hive.close()
    with pytest.raises(Unavailable, match="newer hyperhive") as newer:
        send(hive)
    assert newer.value.hint == "install that version, or restore a backup"


def test_a_schema_that_became_newer_while_a_process_ran_is_seen_when_it_opens_it_again(hive: Hive) -> None:
    send(hive)
    other = apsw.Connection(str(hive.paths.database))
    other.execute(f"PRAGMA user_version = {len(migrations.STEPS) + 1}")
    other.close()
    hive.close()
    with pytest.raises(Unavailable, match="newer hyperhive"):
        send(hive)


# ---- migrations ----


def test_a_migration_that_is_cut_short_leaves_nothing_and_is_done_again(empty: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = migrations.STEPS
    broken = (*whole, ("broken", ("CREATE TABLE half (a INTEGER)", "CREATE TABEL")))
    monkeypatch.setattr("hyperhive.core.db.STEPS", broken)
    with pytest.raises(HyperhiveError, match="syntax error"):
        messages.inbox(empty, OPERATOR)
    monkeypatch.setattr("hyperhive.core.db.STEPS", whole)
    assert messages.inbox(empty, OPERATOR) == []
    with empty.db.read():
        assert DATABASE.execute_sql("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone()[0] == 0
        done = [name for (name,) in DATABASE.execute_sql("SELECT name FROM migration ORDER BY at, rowid").fetchall()]
    assert done == [name for name, _ in whole]


def test_a_database_of_the_first_release_loses_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.core.db.STEPS", migrations.STEPS[:1])
    old = hive_in(home)
    with old.db.write():
        DATABASE.execute_sql(
            "INSERT INTO agent (name, flavor, host, runtime, wanted, blocked, blocked_times, epoch, ended_epoch, empty_starts,"
            " news, activity, keeps_events, warnings, created_at)"
            " VALUES ('ada', 'worker', 'here', 'host', 'started', 'none', 0, 1, 0, 0, '', 'thinking', 1, '', 0)"
        )
        for number, state in enumerate(("pending", "delivered", "acknowledged"), 1):
            DATABASE.execute_sql(
                "INSERT INTO message (number, sender, recipient, kind, body, state, epoch, turn, confirmed, attempt, sent_at)"
                f" VALUES ({number}, 'operator', 'ada', 'text', 'x', '{state}', 1, 1, 1, 0, 0)"
            )
    old.close()
    monkeypatch.undo()
    hive = open_hive({"HYPERHIVE_HOME": str(home)})
    _, begun = begin(hive)
    assert [message.number for message in begun.messages] == [1, 2]
    assert messages.get(hive, 3).state is MessageState.ACKNOWLEDGED
    assert hive.db.check() == "ok"
    hive.close()


def test_two_hives_in_one_process_are_two(home: Path, hive: Hive, tmp_path: Path) -> None:
    other = hive_in(home / "other")
    add_agent(other, BOB)
    send(other, to=BOB)
    assert messages.inbox(hive, BOB) == []
    assert len(messages.inbox(other, BOB)) == 1
    other.close()


def test_closing_what_was_never_opened_does_nothing(home: Path) -> None:
    Store(hive_in(home).paths).close()


def test_another_programs_lock_that_never_ends_is_a_conflict(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.core.db.BUSY", 0.1)
    impatient = hive_in(hive.paths.config)
    foreign = apsw.Connection(str(hive.paths.database))
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(Conflict, match="another program holds the database"):
        send(impatient)
    foreign.close()
    impatient.close()
