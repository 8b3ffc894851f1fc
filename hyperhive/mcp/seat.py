"""Who sits at the other end of a connection: decided by the socket, never by what is said over it."""

from collections.abc import Callable
from dataclasses import dataclass

from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName
from hyperhive.mcp.wake import Wake


@dataclass(frozen=True)
class Seat:
    """One connection of one agent. `is_gone` says, without waiting, that the peer has hung up."""

    hive: Hive
    name: AgentName
    wake: Wake
    is_gone: Callable[[], bool]
    log: Log
