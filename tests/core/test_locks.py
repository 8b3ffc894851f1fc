"""Locks end with whoever took them, and asking takes nothing."""

import os
import threading
from pathlib import Path

import pytest

from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, end_holder, holder, is_held
from hyperhive.core.process import born
from tests.core.hives import program

HOLD = """
lock = Lock(hive.paths.lock("it"))
print(lock.take(), flush=True)
sys.stdin.readline()
"""


def test_a_lock_has_one_holder_also_within_one_process(tmp_path: Path) -> None:
    one, two = Lock(tmp_path / "it"), Lock(tmp_path / "it")
    assert one.take()
    assert one.is_mine
    assert not two.take()
    assert not one.take()
    assert not two.is_mine
    one.release()
    assert two.take()
    two.release()
    two.release()


def test_a_block_gives_it_back(tmp_path: Path) -> None:
    with Lock(tmp_path / "it") as lock:
        lock.take()
    assert not is_held(tmp_path / "it")


def test_another_process_is_refused_and_named_until_it_dies(home: Path, hive: Hive) -> None:
    path = hive.paths.lock("it")
    with program(home, HOLD) as other:
        assert other.heard() == "True"
        assert is_held(path)
        assert holder(path).startswith(f"pid {other.pid} since 20")
        assert "\n" not in holder(path)
        assert not Lock(path).take()
        other.kill()
        assert not is_held(path)
        with Lock(path) as lock:
            assert lock.take()


def test_a_lock_nobody_ever_took_is_free_and_asking_makes_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "it")
    assert not (tmp_path / "it").exists()
    assert holder(tmp_path / "it") == "somebody"


def test_whoever_asks_keeps_nobody_from_taking(tmp_path: Path) -> None:
    path = tmp_path / "it"
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            is_held(path)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(500):
            with Lock(path) as lock:
                assert lock.take()
    finally:
        ended.set()
        for asker in askers:
            asker.join()


def test_a_lock_that_is_given_back_is_free_although_a_forked_process_has_its_descriptor(tmp_path: Path) -> None:
    heard, said = os.pipe()
    lock = Lock(tmp_path / "it")
    lock.take()
    pid = os.fork()
    if pid == 0:
        os.close(said)
        os.read(heard, 1)
        os._exit(0)
    lock.release()
    try:
        assert not is_held(tmp_path / "it")
    finally:
        os.close(said)
        os.waitpid(pid, 0)
        os.close(heard)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened: No such file"):
        Lock(tmp_path / "gone" / "it").take()


def test_what_cannot_be_asked_is_not_taken_for_free(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    with pytest.raises(Unavailable, match="cannot be opened"):
        is_held(tmp_path / "it")


# ---- ending the holder ----


def test_the_holder_is_ended(home: Path, hive: Hive) -> None:
    path = hive.paths.lock("it")
    with program(home, HOLD) as other:
        assert other.heard() == "True"
        end_holder(path)
        assert other.wait() == -9
    assert not is_held(path)


def test_nobody_is_ended_whose_number_only_happens_to_be_in_the_note(home: Path, hive: Hive) -> None:
    path = hive.paths.lock("it")
    with program(home, HOLD) as bystander, Lock(path) as lock:
        bystander.heard()
        lock.take()
        began = born(bystander.pid)
        assert began is not None
        # As if its number had been another's when that one wrote the note.
        for note in (f"pid {bystander.pid} since now\nborn {began - 1}\n", f"pid {bystander.pid} since now", "pid x\n", ""):
            path.write_text(note, encoding="utf-8")
            end_holder(path)
        path.write_text(f"pid {2**22 + 1} since now\nborn 1\n", encoding="utf-8")
        end_holder(path)
        bystander.tell()
        assert bystander.wait() == 0


def test_nobody_is_ended_for_a_lock_that_is_free(home: Path, hive: Hive) -> None:
    path = hive.paths.lock("it")
    with program(
        home, 'lock = Lock(hive.paths.lock("it")); lock.take(); lock.release(); print("free", flush=True); sys.stdin.readline()'
    ) as other:
        assert other.heard() == "free"
        end_holder(path)
        other.tell()
        assert other.wait() == 0
