"""What an agent has now: a login, a base that is up to date, a container that runs."""

import os
from collections.abc import Iterable
from typing import Final

from hyperhive.core import bases, folders
from hyperhive.core.builds import is_there
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Wanted
from hyperhive.core.runtimes import Listing, runtime_named
from hyperhive.core.tables import AgentRow

_LOGIN_VARIABLES: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")


class Conditions:
    """Answers about many agents; what is the same for all of them is looked at once. `runtimes` are those that they live in."""

    def __init__(self, hive: Hive, runtimes: Iterable[str]) -> None:
        self._hive = hive
        known = frozenset(runtimes)
        self._standing = {runtime: bases.known_base(hive, runtime) for runtime in known}
        self._has_shared_login = any(hive.settings.claude.env.get(key) for key in _LOGIN_VARIABLES)
        # How the containers that boot are listed, by runtime.
        self.listings = {runtime: listing for runtime in known if (listing := _listing(runtime)) is not None}

    def is_logged_in(self, agent: AgentRow) -> bool:
        """It has a login, or shares one, and no turn was refused since that changed or last worked."""
        if agent.login_refused_at is not None:
            return False
        name, paths = AgentName(agent.name), self._hive.paths
        return self._has_shared_login or os.path.exists(paths.agent_token(name)) or folders.is_login_there(self._hive, name)

    def is_up_to_date(self, agent: AgentRow) -> bool | None:
        """What it was deployed on is what would be now, and its build is there; None where the machine does not tell."""
        if not is_there(self._hive, AgentName(agent.name), agent.deployed):
            return False
        if agent.base is None:
            return True
        now = self._standing[agent.runtime]
        return None if now is None else agent.base == now

    def is_running(self, agent: AgentRow, *, seen: bool) -> bool:
        """Its container runs; `seen` is what was last seen of one that boots. One of another kind has nothing to keep running."""
        return seen if agent.runtime in self.listings else agent.wanted is Wanted.STARTED


def _listing(runtime: str) -> Listing | None:
    try:
        return runtime_named(runtime).listing
    except Invalid:
        # Its row is of another release.
        return None
