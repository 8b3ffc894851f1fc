"""What is done to agents on purpose while somebody looks: it explains why one runs no more."""

from typing import Final

from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, OperationState, Verb
from hyperhive.core.tables import OperationRow

# What takes an agent's container or harness away for a while, or for ever; the rest does not touch them.
_VERBS: Final = tuple(verb for verb in Verb if not verb.is_for_harness and verb not in (Verb.PROPOSE, Verb.PUBLISH))
_OPEN: Final = "SELECT number FROM operation WHERE state IN ('pending', 'running')"
_LAST: Final = "SELECT value FROM counter WHERE name = 'number'"


class Interventions:
    """All that is done to agents from this object's making on, also what began before; make it before you look."""

    def __init__(self, hive: Hive) -> None:
        with hive.db.read():
            self._open = {number for (number,) in hive.db.ask(_OPEN)}
            ((self._last,),) = hive.db.ask(_LAST)

    def explain(self, name: AgentName) -> bool:
        """Something of it has been done to this agent, or is being done. Within a read or write."""
        # One that only waited is no explanation, as long as nobody has begun it.
        begun = OperationRow.select().where(
            OperationRow.agent == name,
            OperationRow.verb.in_(_VERBS),
            OperationRow.started_at.is_null(False),
            OperationRow.number.in_(sorted(self._open)) | (OperationRow.number > self._last),
        )
        return begun.exists()


def is_open(name: AgentName) -> bool:
    """Something of it waits for this agent, or is being done to it. Within a read or write."""
    states = (OperationState.PENDING, OperationState.RUNNING)
    return (
        OperationRow.select()
        .where(OperationRow.agent == name, OperationRow.verb.in_(_VERBS), OperationRow.state.in_(states))
        .exists()
    )
