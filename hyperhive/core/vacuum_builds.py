"""An agent's old builds, removed but for those that something may still need."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hyperhive.core import beneath, containers
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import AgentName
from hyperhive.core.tables import AgentRow, DeploymentRow

# A build, or what is left of one whose removal was cut short (`beneath.remove`).
_BUILD: Final = re.compile(r"([1-9][0-9]{0,17})|\.([1-9][0-9]{0,17})\.purged")


def sweep(hive: Hive, name: AgentName) -> Iterator[int]:
    """Remove an agent's builds but for its newest ones, what is deployed, and what is under way; none while a harness lives.

    Gives 1 for each. A rollback needs none of them, for it builds its commit anew. Raises `Unavailable` for what cannot be
    removed.
    """
    # The harness' CLI may have been started on an earlier build, and sees it until its turn ends.
    if is_held(hive.paths.harness_lock(name)):
        return
    folder = hive.paths.builds(name)
    # In this order: a deployment is a row before it is a folder, so each that is found has its row by then.
    found = _builds(folder)
    needed = _needed(hive, name)
    superseded = sorted((number for number in found if number not in needed), reverse=True)
    for number in superseded[hive.settings.keep.builds :]:
        try:
            beneath.remove(folder, str(number))
        except Unavailable:
            if folder.exists():
                raise
            # The agent was purged meanwhile, with all that was ever built for it.
            return
        yield 1


def _builds(folder: Path) -> set[int]:
    """The numbers of the builds that are there, whole or in part."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise Unavailable(f"{folder} cannot be read: {error.strerror}", hint=f"ls -la {folder}") from None
    return {int(match[1] or match[2]) for match in map(_BUILD.fullmatch, names) if match}


def _needed(hive: Hive, name: AgentName) -> set[int]:
    """What is deployed, also for a tombstone, which a new agent of the name takes over; what has not ended; what runs still."""
    with hive.db.read():
        agent = AgentRow.get_or_none(AgentRow.name == name)
        under_way = DeploymentRow.select(DeploymentRow.number).where(DeploymentRow.agent == name, DeploymentRow.outcome.is_null())
        needed = {row.number for row in under_way} | {agent.deployed if agent is not None else None}
    # A container that is booted goes on with what it was brought up with until a turn has it booted anew.
    return {number for number in (*needed, containers.build_seen(hive, name)) if number is not None}
