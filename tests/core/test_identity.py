"""Which users agents run as: no two agents of a machine are the same one."""

from pathlib import Path

import pytest

from hyperhive.core.config import UID_BASE, UID_MOST, UID_RANGE
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.identity import OTHERS_BASE, OTHERS_MOST, USER_IN_RANGE, identity, new_range
from hyperhive.core.tables import CounterRow
from tests.core.hives import hive_in


def ranges(hive: Hive, count: int) -> list[int]:
    """Where the next ranges of a hive begin."""
    with hive.db.write():
        return [new_range(hive) for _ in range(count)]


def users(begins: list[int]) -> set[int]:
    """The users that agents with these ranges run as."""
    return {user for begin in begins for user in identity(begin, None) if user is not None}


def test_two_hives_have_no_user_in_common(home: Path) -> None:
    found = []
    for number in range(8):
        hive = hive_in(home / str(number))
        found.append(users(ranges(hive, 50)))
        hive.close()
    assert len(set[int]().union(*found)) == 8 * 50


def test_a_hive_has_its_own_ranges_wherever_its_folder_is_moved_to(home: Path) -> None:
    hive = hive_in(home / "here")
    (first,) = ranges(hive, 1)
    hive.close()
    (home / "here").rename(home / "there")
    moved = hive_in(home / "there")
    # Side by side, also where the last of all ranges is followed by the first.
    assert (ranges(moved, 1)[0] - first) % UID_RANGE == 0
    moved.close()


def test_the_machines_own_hive_begins_where_it_always_did(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.core.paths.SYSTEM_STATE", hive.paths.state)
    assert ranges(hive, 2) == [UID_BASE + UID_RANGE, UID_BASE + 2 * UID_RANGE]


def test_another_hive_stays_out_of_the_lower_half_and_gives_out_every_range_once(hive: Hive) -> None:
    found = ranges(hive, OTHERS_MOST)
    assert len(users(found)) == OTHERS_MOST
    assert min(found) >= OTHERS_BASE
    assert max(found) + UID_RANGE - 1 <= UID_MOST
    assert {begin % UID_RANGE for begin in found} == {found[0] % UID_RANGE}
    with pytest.raises(Unavailable, match="every range of uids") as refused:
        ranges(hive, 1)
    assert refused.value.hint == "set a lower `uid_base` in hive.toml"


def test_what_the_settings_say_holds_for_every_hive(hive: Hive) -> None:
    hive.paths.settings.write_text(f"uid_base = {UID_RANGE * 100}\n", encoding="utf-8")
    assert ranges(hive, 1) == [UID_RANGE * 101]
    with hive.db.write():
        CounterRow.update(value=UID_MOST // UID_RANGE - 101).where(CounterRow.name == "uid").execute()
    assert users(ranges(hive, 1)) == {UID_MOST // UID_RANGE * UID_RANGE + USER_IN_RANGE}
    with pytest.raises(Unavailable, match="every range of uids"):
        ranges(hive, 1)
