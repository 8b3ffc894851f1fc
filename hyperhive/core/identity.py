"""Which user of the machine an agent runs as."""

import os
import pwd
from typing import Final

from hyperhive.core.config import UID_MOST, UID_RANGE
from hyperhive.core.db import next_number
from hyperhive.core.errors import Denied, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.tables import AgentRow

# The user inside an agent's range of uids.
USER_IN_RANGE: Final = 1000


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
    while True:
        begin = hive.settings.uid_base + UID_RANGE * next_number("uid")
        if begin + UID_RANGE - 1 > UID_MOST:
            raise Unavailable("every range of uids has been given to an agent", hint="set a lower `uid_base` in hive.toml")
        # Another `uid_base` may have led here before.
        if begin not in taken:
            return begin
