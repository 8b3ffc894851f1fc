"""A link lets in once and for a minute, a session for a month, a token until it is taken back; no secret is kept."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hyperhive.core import access
from hyperhive.core.access import AccessKind
from hyperhive.core.errors import Denied, Invalid, NotFound
from hyperhive.core.hive import Hive

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def enter(hive: Hive) -> str:
    return access.enter(hive, access.invite(hive), label="Firefox")


def test_a_link_lets_in_once(hive: Hive) -> None:
    link = access.invite(hive)
    session = access.enter(hive, link, label="Firefox")
    assert access.check(hive, AccessKind.SESSION, session).label == "Firefox"
    with pytest.raises(Denied, match="used already"):
        access.enter(hive, link, label="Firefox")


def test_of_many_with_the_same_link_one_gets_in(hive: Hive) -> None:
    link = access.invite(hive)

    def attempt(_: int) -> bool:
        try:
            access.enter(hive, link, label="")
        except Denied:
            return False
        finally:
            hive.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_link_is_good_for_a_minute_and_a_session_for_thirty_days(hive: Hive) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        early, late = access.invite(hive), access.invite(hive)
        clock.shift(timedelta(seconds=59))
        session = access.enter(hive, early, label="")
        clock.shift(timedelta(seconds=1))
        with pytest.raises(Denied):
            access.enter(hive, late, label="")
        clock.move_to(NOON + timedelta(days=30, seconds=58))
        access.check(hive, AccessKind.SESSION, session)
        clock.shift(timedelta(seconds=1))
        with pytest.raises(Denied, match="not logged in"):
            access.check(hive, AccessKind.SESSION, session)
        assert access.listed(hive) == []


def test_a_clock_that_is_set_back_makes_no_link_live_longer_than_a_day(hive: Hive) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        link = access.invite(hive)
        clock.move_to(NOON - timedelta(days=2))
        enter(hive)
        clock.move_to(NOON + timedelta(seconds=1))
        with pytest.raises(Denied):
            access.enter(hive, link, label="")


def test_a_token_is_no_session_and_a_session_no_token(hive: Hive) -> None:
    session, token = enter(hive), access.make_token(hive, label="backup")
    assert access.check(hive, AccessKind.TOKEN, token).label == "backup"
    for kind, secret in [(AccessKind.TOKEN, session), (AccessKind.SESSION, token), (AccessKind.SESSION, access.invite(hive))]:
        with pytest.raises(Denied):
            access.check(hive, kind, secret)


def test_what_is_taken_back_lets_nobody_in(hive: Hive) -> None:
    session, token = enter(hive), access.make_token(hive, label="backup")
    first, second = access.listed(hive)
    assert access.revoke(hive, first.number) == first
    with pytest.raises(Denied):
        access.check(hive, AccessKind.SESSION, session)
    with pytest.raises(NotFound):
        access.revoke(hive, first.number)
    access.check(hive, AccessKind.TOKEN, token)
    assert second.kind is AccessKind.TOKEN
    link = access.invite(hive)
    assert access.revoke_all(hive) == 1
    with pytest.raises(Denied):
        access.check(hive, AccessKind.TOKEN, token)
    with pytest.raises(Denied):
        access.enter(hive, link, label="")


def test_no_secret_is_in_the_hives_files(hive: Hive) -> None:
    link = access.invite(hive)
    found = [link, access.enter(hive, access.invite(hive), label=""), access.make_token(hive, label="backup")]
    hive.close()
    kept = b"".join(file.read_bytes() for file in hive.paths.state.rglob("*") if file.is_file())
    assert b"backup" in kept
    assert not [secret for secret in found if secret.encode() in kept]


def test_when_something_was_used_last_is_known_to_ten_minutes(hive: Hive) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        session = enter(hive)
        access.check(hive, AccessKind.SESSION, session)
        clock.shift(timedelta(minutes=9))
        access.check(hive, AccessKind.SESSION, session)
        assert access.listed(hive)[0].seen_at == NOON
        clock.shift(timedelta(minutes=2))
        access.check(hive, AccessKind.SESSION, session)
        assert access.listed(hive)[0].seen_at == NOON + timedelta(minutes=11)


@pytest.mark.parametrize("label", ["", "a\nb", "x" * 201])
def test_a_label_can_be_shown(hive: Hive, label: str) -> None:
    with pytest.raises(Invalid):
        access.make_token(hive, label=label)


@pytest.mark.parametrize("secret", ["", "\udc80", "x" * 100_000, "\0"])
def test_any_text_may_be_tried_as_a_secret(hive: Hive, secret: str) -> None:
    for attempt in (lambda: access.enter(hive, secret, label=""), lambda: access.check(hive, AccessKind.SESSION, secret)):
        with pytest.raises(Denied):
            attempt()
