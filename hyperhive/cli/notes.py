"""What a person should know beside the answer."""

import os

from hyperhive.cli import screen, words
from hyperhive.core.agent_view import Agent
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import Blocked, Wanted


def how_to_start() -> str:
    """What to type so that the hive comes up: `hyperhive up`, or what starts it where systemd keeps it."""
    # Seldom needed.
    from hyperhive.core import install

    return install.how_to_start(os.environ)


def hive_is_down(hive: Hive) -> None:
    """Say so when nobody starts the agents."""
    if not is_held(hive.paths.lock("hub")):
        screen.talk(f"note: the hive is not up, so no agent works; `{how_to_start()}` starts it")


def waits(hive: Hive, agent: Agent, *, what: str = "the message") -> None:
    """Say why this agent does not read now what was written to it."""
    if not is_held(hive.paths.lock("hub")):
        screen.talk(f"note: the hive is not up; {what} is kept until `{how_to_start()}`")
    if reason := _held_back(hive, agent):
        screen.talk(f"note: {reason}; {what} is kept")


def _held_back(hive: Hive, agent: Agent) -> str | None:
    if agent.wanted is not Wanted.STARTED:
        return f"{agent.name} is stopped: `hyperhive start {agent.name}`"
    match agent.blocked:
        case Blocked.LIMITED if agent.blocked_until is not None:
            return f"{agent.name} has to rest until {words.moment(agent.blocked_until, hive.now())}"
        case Blocked.CRASHED:
            return f"{agent.name} crashed too often: `hyperhive logs {agent.name}`, then `hyperhive start {agent.name}`"
        case Blocked.LOGIN:
            return f"{agent.name} is not logged in: `hyperhive login {agent.name}`"
        case _:
            return None if agent.logged_in else f"{agent.name} is not logged in: `hyperhive login {agent.name}`"
