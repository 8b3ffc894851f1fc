"""What is left of an agent, removed: its folders, its repository, its rows."""

from hyperhive.core import applied, builds, folders, observations, proposed
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Occasion
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow, EntryRow, MessageRow, OperationRow, TurnRow


def forget(hive: Hive, name: AgentName, *, by: str | None = None) -> None:
    """Remove all of an agent: folders, repository, then rows; `by` has it stand in the deploy log."""
    applied.purge(hive, name)
    proposed.purge(hive, name)
    builds.purge(hive, name)
    folders.purge(hive, name)
    with hive.db.write():
        for table in (TurnRow, OperationRow, DeploymentRow, ApprovalRow):
            table.delete().where(table.agent == name).execute()
        _forget_row(name)
        if by is not None:
            EntryRow.create(agent=name, occasion=Occasion.PURGE, by=by, at=hive.now())


def forget_agent(hive: Hive, name: AgentName) -> None:
    """Remove an agent that came to nothing; what was asked for and tried stays written down."""
    folders.purge(hive, name)
    with hive.db.write():
        _forget_row(name)


def _forget_row(name: AgentName) -> None:
    """Remove an agent's row. Within a write."""
    # A later agent of the name has keys of its own.
    MessageRow.update(key=None).where(MessageRow.sender == name).execute()
    observations.forget(name)
    AgentRow.delete().where(AgentRow.name == name).execute()
