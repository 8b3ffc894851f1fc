"""The logs that are kept of an agent, one for each unit of it."""

from enum import StrEnum
from pathlib import Path

from hyperhive.core import systemd, units
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log, goes_to_journald
from hyperhive.core.model import AgentName


class Unit(StrEnum):
    """Whose lines these are: of the program that drives the agent, or of the container that it lives in."""

    HARNESS = "harness"
    CONTAINER = "container"


def file_of(hive: Hive, name: AgentName, unit: Unit) -> Path:
    """Where the lines of a unit are kept."""
    return hive.paths.agent_log(name) / f"{unit}.log"


def who(name: AgentName, unit: Unit) -> str:
    """How the lines of a unit begin."""
    return f"{unit} of {name}"


def open_log(hive: Hive, name: AgentName, unit: Unit, *, quiet: bool = True) -> Log:
    """What a unit writes its lines with. What journald keeps of them is kept once."""
    is_kept = not quiet and unit is Unit.HARNESS and goes_to_journald() and systemd.is_of_unit(units.of_agent(name))
    return Log(who(name, unit), None if is_kept else file_of(hive, name, unit), quiet=quiet, boot=hive.boot())
