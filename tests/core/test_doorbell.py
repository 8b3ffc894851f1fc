"""A bell is a file that waits; followers see one that is touched."""

from hyperhive.core import doorbell, messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from tests.core.hives import ADA, send


def test_a_bell_waits_until_somebody_takes_it_away(hive: Hive) -> None:
    doorbell.ring(hive.paths, ADA)
    doorbell.ring(hive.paths, ADA)
    doorbell.ring_hive(hive.paths)
    assert sorted(path.name for path in hive.paths.wake.iterdir()) == ["ada", "hive"]


def test_a_message_rings_for_its_recipient_and_for_no_operator(hive: Hive) -> None:
    send(hive, to=OPERATOR, sender=ADA)
    assert list(hive.paths.wake.iterdir()) == []
    send(hive)
    assert [path.name for path in hive.paths.wake.iterdir()] == ["ada"]


def test_a_bell_that_cannot_be_rung_loses_no_message(hive: Hive) -> None:
    hive.paths.wake.rmdir()
    assert messages.get(hive, send(hive).number).recipient == ADA


def test_every_commit_touches_the_file_that_followers_watch(hive: Hive) -> None:
    seen = []
    for _ in range(3):
        send(hive)
        seen.append(hive.paths.changed.stat().st_mtime_ns)
    assert sorted(set(seen)) == seen
    hive.paths.changed.unlink()
    send(hive)
    assert hive.paths.changed.exists()


def test_looking_touches_nothing(hive: Hive) -> None:
    before = hive.paths.changed.stat().st_mtime_ns
    messages.inbox(hive, ADA)
    assert hive.paths.changed.stat().st_mtime_ns == before
