"""How much is kept of agents that were destroyed."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hyperhive.core import folders
from hyperhive.core.agent_view import Agent
from hyperhive.core.beneath import Size
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Wanted

# How long their folders are looked through, in seconds.
_MEASURED_MOST: Final = 3.0


def sizes(hive: Hive, found: Sequence[Agent]) -> dict[str, Size]:
    """How much is kept of those that were destroyed; looks a few seconds in all."""
    until = time.monotonic() + _MEASURED_MOST
    gone = [AgentName(agent.name) for agent in found if agent.wanted is Wanted.DESTROYED]
    return {name: folders.size_of(hive, name, seconds=max(0.0, until - time.monotonic())) for name in gone}


def with_sizes(found: Sequence[Agent], kept: Mapping[str, Size]) -> list[dict[str, Any]]:
    """Agents, each with how much is kept of it."""
    return [{**msgspec.to_builtins(one, builtin_types=[]), "kept": kept.get(one.name)} for one in found]
