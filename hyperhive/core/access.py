"""Who may use the dashboard: links that let in once, sessions of browsers, tokens of scripts, each kept as a hash alone."""

import hashlib
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from hyperhive.core.errors import Denied, HyperhiveError, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.tables import AccessRow

LINK_SECONDS: Final = 60
SESSION_DAYS: Final = 30
LABEL_MOST: Final = 200
# How exactly it is known when something was used last: each time it is written down costs a commit.
_SEEN: Final = timedelta(minutes=10)


class AccessKind(StrEnum):
    """What lets somebody in."""

    LINK = "link"
    SESSION = "session"
    TOKEN = "token"


class Access(msgspec.Struct, frozen=True):
    """A way in, without its secret: `label` says whose it is. Times are UTC; a token has no end."""

    number: int
    kind: AccessKind
    label: str
    made_at: datetime
    seen_at: datetime | None
    ends_at: datetime | None


def invite(hive: Hive) -> str:
    """Make a secret that lets one browser in, once, within a minute."""
    return _make(hive, AccessKind.LINK, label="", ends_at=hive.now() + timedelta(seconds=LINK_SECONDS))


def enter(hive: Hive, secret: str, *, label: str) -> str:
    """Take the secret of a link, and give back that of a session of 30 days. Raises `Denied` for one used or too old.

    `label` says which browser it is.
    """
    now = hive.now()
    session = secrets.token_urlsafe(32)
    with hive.db.write():
        # Two may come with the same link: the row that is gone says who was first.
        taken = (
            AccessRow.delete()
            .where(AccessRow.hash == _hash(secret), AccessRow.kind == AccessKind.LINK, AccessRow.ends_at > now)
            .execute()
        )
        # Whatever has ended goes when somebody comes; a clock that was set back makes nothing live longer.
        AccessRow.delete().where((AccessRow.ends_at <= now) | (AccessRow.made_at > now + timedelta(days=1))).execute()
        if taken:
            _insert(hive, AccessKind.SESSION, session, label=label, ends_at=now + timedelta(days=SESSION_DAYS))
    if not taken:
        raise Denied("this link was used already, or is older than a minute", hint="`hyperhive web login` makes another")
    return session


def make_token(hive: Hive, *, label: str) -> str:
    """Make a token for a script; it holds until it is taken back. Raises `Invalid` for a label that cannot be shown."""
    if not (0 < len(label) <= LABEL_MOST and label.isprintable()):
        raise Invalid(f"a label has 1 to {LABEL_MOST} characters that can be printed", hint="hyperhive web token backup")
    return _make(hive, AccessKind.TOKEN, label=label, ends_at=None)


def check(hive: Hive, kind: AccessKind, secret: str) -> Access:
    """The session or token of this secret. Raises `Denied` where there is none, or none any more."""
    now = hive.now()
    with hive.db.read():
        row = AccessRow.get_or_none(AccessRow.hash == _hash(secret), AccessRow.kind == kind)
        found = None if row is None or (row.ends_at is not None and row.ends_at <= now) else _access_from(row)
    if found is None:
        raise Denied("you are not logged in", hint="`hyperhive web login` makes a link that lets you in")
    if found.seen_at is None or abs(now - found.seen_at) > _SEEN:
        # On a full disk it is let in all the same.
        with suppress(HyperhiveError), hive.db.write():
            AccessRow.update(seen_at=now).where(AccessRow.number == found.number).execute()
    return found


def listed(hive: Hive) -> list[Access]:
    """Every session and token that still holds, the oldest first."""
    now = hive.now()
    with hive.db.read():
        query = AccessRow.select().where(
            AccessRow.kind != AccessKind.LINK, AccessRow.ends_at.is_null() | (AccessRow.ends_at > now)
        )
        return [_access_from(row) for row in query.order_by(AccessRow.number)]


def revoke(hive: Hive, number: int) -> Access:
    """Let a session or token in no more. Raises `NotFound`."""
    with hive.db.write():
        row = AccessRow.get_or_none(AccessRow.number == number, AccessRow.kind != AccessKind.LINK)
        if row is None:
            raise NotFound(f"there is no session and no token {number}", hint="`hyperhive web sessions`")
        AccessRow.delete().where(AccessRow.number == number).execute()
    return _access_from(row)


def revoke_all(hive: Hive) -> int:
    """Let nobody in any more: every link, session and token. Gives back how many sessions and tokens there were."""
    with hive.db.write():
        count = AccessRow.select().where(AccessRow.kind != AccessKind.LINK).count()
        AccessRow.delete().execute()
    return int(count)


def _make(hive: Hive, kind: AccessKind, *, label: str, ends_at: datetime | None) -> str:
    secret = secrets.token_urlsafe(32)
    with hive.db.write():
        _insert(hive, kind, secret, label=label, ends_at=ends_at)
    return secret


def _insert(hive: Hive, kind: AccessKind, secret: str, *, label: str, ends_at: datetime | None) -> None:
    AccessRow.insert(kind=kind, hash=_hash(secret), label=label[:LABEL_MOST], made_at=hive.now(), ends_at=ends_at).execute()


def _hash(secret: str) -> str:
    # Of 256 random bits: nobody finds them by trying, so a slow hash would only slow down those who may.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _access_from(row: AccessRow) -> Access:
    return Access(
        number=row.number,
        kind=AccessKind(row.kind),
        label=row.label,
        made_at=row.made_at,
        seen_at=row.seen_at,
        ends_at=row.ends_at,
    )
