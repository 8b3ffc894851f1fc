"""The screen as lines of text, and keys that are pressed on it, without a terminal."""

from datetime import timedelta

import msgspec

from hyperhive.cli import screen
from hyperhive.cli.watch.desk import Desk
from hyperhive.cli.watch.keys import Key
from hyperhive.cli.watch.painter import cut
from hyperhive.cli.watch.view import drawn
from hyperhive.core import agent_toml, approvals, proposals
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.approvals import Approval
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName


class Sight:
    """One who looks at a hive and presses keys."""

    def __init__(self, hive: Hive, name: AgentName | None = None, *, columns: int = 60, rows: int = 20) -> None:
        self.desk = Desk(hive, name)
        self.columns, self.height = columns, rows
        self._hive = hive

    @property
    def rows(self) -> list[str]:
        """What is seen."""
        lines = drawn(self._hive, self.desk, self.columns, self.height)
        assert len(lines) == self.height
        rows = ["".join(text for text, _ in cut(line, self.columns)).rstrip() for line in lines]
        assert max(map(screen.cells, rows)) <= self.columns
        return rows

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    @property
    def foot(self) -> list[str]:
        """What stands below the last line of ours."""
        rows = self.rows
        last = max(at for at, row in enumerate(rows) if row == "─" * self.columns)
        return rows[last + 1 :]

    @property
    def selected(self) -> str:
        """The row that is selected."""
        (row,) = [row for row in self.rows if row.startswith(">")]
        return row.strip(">! ")

    def press(self, *names: str) -> "Sight":
        """Press keys by their names, looking at the screen after each."""
        for name in names:
            self.desk.press(Key(name))
            _ = self.rows
        return self

    def type(self, text: str) -> "Sight":
        return self.press(*text)

    def paste(self, text: str) -> "Sight":
        self.desk.press(Key("paste", pasted=text))
        return self


def ask_tool(hive: Hive, name: AgentName, command: str = "touch x") -> int:
    """An agent asks for a tool, as its harness would put it."""
    given = msgspec.json.encode({"command": command}).decode()
    deadline = hive.now() + timedelta(hours=1)
    return approvals.ask_tool(hive, name, epoch=1, turn=4, request="r", tool="Bash", given=given, deadline=deadline)


def propose(hive: Hive, name: AgentName, role: str) -> Approval:
    """A proposal of the operator's own, which needs no container."""
    files = {"agent.toml": agent_toml.write(AgentConfig(role=role))}
    return proposals.by_operator(hive, name, files, message=f"Be {role}")
