"""What a harness writes down about its agent: events, and the columns that `ps` shows."""

from typing import Any

from hyperhive.core import turns
from hyperhive.core.errors import Unavailable
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName, EventKind
from hyperhive.core.tables import AgentRow


class AgentRecord:
    """One agent's record, by the harness of one epoch."""

    def __init__(self, hive: Hive, name: AgentName, log: Log) -> None:
        self.log = log
        self.epoch = 0
        self._hive = hive
        self._name = name
        self._events = EventLog(hive, name)

    def say(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Add an event to the agent's history; never fails."""
        kept = self._events.keeps
        self._events.add(kind, data, at=self._hive.now())
        if kept != self._events.keeps:
            self.remember_events()

    def note(self, text: str) -> None:
        """Add a remark to the agent's history."""
        self.say(EventKind.NOTE, {"text": text})

    def remember_events(self) -> None:
        """Whether the history is kept."""
        self._write(keeps_events=self._events.keeps)

    def remember_conversation(self, conversation: str) -> None:
        """Where the next CLI goes on."""
        self._write(conversation=conversation)

    def remember_warnings(self, warnings: list[str]) -> None:
        """What of the agent's configuration is not used."""
        self._write(warnings="\n".join(warnings))

    def predecessor_died(self) -> bool:
        """The harness before this one did not end in order, nor with the machine. To be asked before the epoch begins."""
        with self._hive.db.read():
            row = AgentRow.get(AgentRow.name == self._name)
            return row.ended_epoch < row.epoch and not turns.is_anew(row, self._hive.boot())

    def close(self) -> None:
        """Close the history."""
        self._events.close()

    def _write(self, **fields: Any) -> None:
        """Change columns of the agent's row, where they have changed. A disk that takes nothing ends no turn."""
        try:
            with self._hive.db.read():
                row = AgentRow.get(AgentRow.name == self._name)
                if all(getattr(row, field) == value for field, value in fields.items()):
                    return
            with self._hive.db.write():
                AgentRow.update(**fields).where(AgentRow.name == self._name, AgentRow.epoch == self.epoch).execute()
        except Unavailable as error:
            self.log(f"{', '.join(fields)} cannot be written down: {error}")
