"""Where journald keeps something of an agent: of its harness' unit, of its container's, in its container."""

import os

import msgspec

from hyperhive.core import folders, install, units
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_log import Unit
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import runtime_named
from hyperhive.core.systemd import Manager
from hyperhive.core.tables import AgentRow


class Place(msgspec.Struct, frozen=True):
    """The words of journalctl that lead to a journal; one that `is_foreign` is the container's own to write."""

    words: list[str]
    is_foreign: bool


def kept_by_journald(hive: Hive, agent: AgentRow, unit: Unit) -> list[Place]:
    """The journals of a unit, none where journald keeps nothing of it."""
    name = AgentName(agent.name)
    if unit is Unit.HARNESS:
        manager = install.keeper(hive.paths, os.environ)
        option = "--unit" if manager is Manager.SYSTEM else "--user-unit"
        return [] if manager is None else [Place(["journalctl", f"{option}={units.of_agent(name)}"], is_foreign=False)]
    booted = runtime_named(agent.runtime).booted
    if booted is None or agent.uid is None or agent.user is not None:
        return []
    uid, gid = identity(agent.uid, agent.user)
    place = folders.place(hive, name, uid=uid, gid=gid, base=agent.uid, program=None, config=AgentConfig())
    found = [Place(["journalctl", f"--unit={booted.unit(name)}"], is_foreign=False)]
    if place.var is not None and place.var.exists():
        found.append(Place(booted.journal(place), is_foreign=True))
    return found
