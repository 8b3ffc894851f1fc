"""Which user of the machine an agent runs as."""

import os
import pwd
from typing import Final

from hyperhive.core.config import UID_BASE, UID_MOST, UID_RANGE
from hyperhive.core.db import next_number
from hyperhive.core.errors import Denied, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.tables import AgentRow

# The user inside an agent's range of uids.
USER_IN_RANGE: Final = 1000
# The upper half of the ranges is for hives that are not the machine's own; the last one is left to what offsets need.
OTHERS_BASE: Final = (UID_BASE + UID_MOST + 1) // 2
OTHERS_MOST: Final = (UID_MOST + 1 - OTHERS_BASE) // UID_RANGE - 1


def identity(uid: int | None, user: str | None) -> tuple[int | None, int | None]:
    """The uid and gid that an agent runs as on the host, or None twice for this process' own.

    `uid` is where the agent's range of uids begins. Raises `NotFound` for a user that the machine does not know.
    """
    if user is not None:
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):
            raise NotFound(f"this machine has no user {ascii(user)[1:-1]}", hint="getent passwd") from None
        return entry.pw_uid, entry.pw_gid
    return (None, None) if uid is None else (uid + USER_IN_RANGE, uid + USER_IN_RANGE)


def check_user(user: str | None) -> None:
    """Refuse a user that this process cannot run an agent as. Raises `Denied`, `NotFound`."""
    if user is not None and os.geteuid() != 0:
        raise Denied("only root may run an agent as another user", hint="leave --user out: your agents run as you")
    identity(None, user)


def new_range(hive: Hive) -> int:
    """Where a new agent's range of uids begins; no other agent was ever given it. Within a write."""
    taken = {row.uid for row in AgentRow.select(AgentRow.uid)}
    base = hive.settings.uid_base or (UID_BASE if hive.paths.is_machines else None)
    while True:
        number = next_number("uid")
        begin = _of_another_hive(hive, number) if base is None else base + UID_RANGE * number
        if begin is None or begin + UID_RANGE - 1 > UID_MOST:
            raise Unavailable("every range of uids has been given to an agent", hint="set a lower `uid_base` in hive.toml")
        # Another `uid_base` may have led here before.
        if begin not in taken:
            return begin


def _of_another_hive(hive: Hive, number: int) -> int | None:
    """The range `number` of a hive that is not the machine's own, or None when there are no more.

    No two hives of a machine know of each other, so each takes what only it can be led to: its state folder's number on
    its disk says with which of the ranges it begins, and how far into them. Ranges of two hives may overlap, but the one
    user that runs in each would be the same in one of 65,536 such cases.
    """
    if number > OTHERS_MOST:
        return None
    import hashlib

    folder = hive.paths.state.stat()
    own = int.from_bytes(hashlib.sha256(f"{folder.st_dev} {folder.st_ino}".encode()).digest()[:8], "big")
    slot, offset = divmod(own, UID_RANGE)
    return OTHERS_BASE + (slot + number) % OTHERS_MOST * UID_RANGE + offset
