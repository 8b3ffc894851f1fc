"""How an agent gets the login that its turns use; only ever by the operator."""

import re
from typing import Final

from hyperhive.core import doorbell, folders, observations, roster, turns
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Blocked
from hyperhive.core.tables import AgentRow

_TOKEN: Final = re.compile(r"[\x21-\x7e]{8,4096}")
# What an API key begins with; everything else is a long-lived OAuth token (`claude setup-token`).
_API_KEY: Final = "sk-ant-api"


def set_token(hive: Hive, name: AgentName, token: str) -> None:
    """Keep a token for an agent, in a file that only the host reads. Raises `Invalid` for what cannot be one."""
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise Invalid("that is not a token", hint="`claude setup-token` makes one")
    with hive.db.read():
        roster.living(name)
    folders.write_token(hive, name, token)
    logged_in(hive, name)


def logged_in(hive: Hive, name: AgentName) -> None:
    """The agent's login has changed: it may try again."""
    with hive.db.write():
        row = roster.living(name)
        if row.blocked is Blocked.LOGIN:
            AgentRow.update(blocked=Blocked.NONE, blocked_since=None, blocked_until=None, blocked_reason=None).where(
                AgentRow.name == name
            ).execute()
        AgentRow.update(login_refused_at=None).where(AgentRow.name == name).execute()
        told = observations.note_login(hive, name, holds=True)
        turns.add_news(name, "The operator has logged you in.")
    for who in [name, *observations.to_ring(told)]:
        doorbell.ring(hive.paths, who)


def variables(token: str | None) -> dict[str, str]:
    """What the agent CLI is given a token in (https://code.claude.com/docs/en/authentication)."""
    if token is None:
        return {}
    return {"ANTHROPIC_API_KEY" if token.startswith(_API_KEY) else "CLAUDE_CODE_OAUTH_TOKEN": token}
