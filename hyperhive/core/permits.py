"""The tools that an agent's turn may use only if the operator says so: asked for, waited for, answered once."""

import time
from datetime import timedelta
from typing import Any, Final

import msgspec

from hyperhive.core import approvals, tool_request, turns
from hyperhive.core.agent_record import AgentRecord
from hyperhive.core.approvals import Approval
from hyperhive.core.cli_session import CliSession
from hyperhive.core.errors import HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, AgentName, ApprovalState, EventKind
from hyperhive.core.open_turn import OpenTurn
from hyperhive.core.tool_request import ToolRequest

# How many may wait at once, and how many a turn may ask for.
OPEN_MOST: Final = 20
ASKED_MOST: Final = 200
# How soon is looked again where the store did not answer, in seconds.
AGAIN: Final = 1.0
NOT_ALLOWED: Final = "This was not allowed: "
NO_TURN: Final = "the turn has ended, so the operator cannot be asked. Ask again in your next turn."
FINAL: Final = "This is final for this task: do not work around it."


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits for the operator, as the approval of that number."""

    number: int
    tool: str


class Permits:
    """What one harness has asked the operator for its agent. What the turn has asked for is forgotten with the turn."""

    def __init__(self, hive: Hive, name: AgentName, record: AgentRecord, session: CliSession) -> None:
        self._hive = hive
        self._name = name
        self._record = record
        self._session = session
        self._open: dict[str, Waiting] = {}
        self._asked = 0
        # When one of them is overdue, on the clock that is never set.
        self.next_look = float("inf")

    def ask(self, turn: OpenTurn | None, line: dict[str, Any]) -> None:
        """The CLI asks whether a tool may run: put it to the operator, or refuse what cannot be."""
        asked = tool_request.parse(line)
        if asked is None or asked.request in self._open:
            self._record.log("the agent CLI asked for something that cannot be answered")
            return
        if turn is None or turn.ending is not None:
            self._refuse(asked, NO_TURN)
            return
        if asked.fault is not None:
            self._refuse(asked, asked.fault)
            return
        if len(self._open) >= OPEN_MOST or self._asked >= ASKED_MOST:
            self._refuse(
                asked, f"{len(self._open)} requests wait for the operator, and this turn has made {self._asked}: too many"
            )
            return
        try:
            number = approvals.ask_tool(
                self._hive,
                self._name,
                epoch=self._record.epoch,
                turn=turn.number,
                request=asked.request,
                tool=asked.tool,
                given=asked.given,
                deadline=self._hive.now() + timedelta(seconds=self._hive.settings.permission_seconds),
            )
        except HyperhiveError as error:
            self._refuse(asked, f"the operator could not be asked: {error.message}")
            return
        self._asked += 1
        if not self._open:
            turn.wait()
            self._show(Activity.WAITING)
        self._open[asked.request] = Waiting(number, asked.tool)
        self.next_look = min(self.next_look, time.monotonic() + self._hive.settings.permission_seconds)
        self._say(number, asked.tool, f"waits for the operator (`hyperhive approve {number}`): {asked.tool}")

    def drop(self, turn: OpenTurn | None, line: dict[str, Any]) -> None:
        """The CLI wants no answer any more: nobody can decide it now."""
        name = line.get("request_id")
        waiting = self._open.pop(name, None) if isinstance(name, str) else None
        if waiting is None:
            return
        try:
            with self._hive.db.write():
                approvals.withdraw_tools(self._hive, self._name, number=waiting.number)
        except HyperhiveError as error:
            # The end of the turn does it too.
            self._record.log(f"approval {waiting.number} cannot be withdrawn yet: {error}")
        self._say(waiting.number, waiting.tool, f"not asked for any more: {waiting.tool}")
        self._go_on(turn)

    def look(self, turn: OpenTurn | None) -> None:
        """Answer what has been decided, or is overdue."""
        if not self._open or turn is None or turn.ending is not None:
            self.next_look = float("inf")
            return
        try:
            found = [(request, approvals.get(self._hive, waiting.number)) for request, waiting in self._open.items()]
        except HyperhiveError as error:
            self._record.log(f"what the operator decided cannot be read yet: {error}")
            self.next_look = time.monotonic() + AGAIN
            return
        for request, approval in found:
            if approval.state is not ApprovalState.PENDING:
                # First, so that it is answered at most once whatever comes now.
                del self._open[request]
                self._tell(request, approval)
        now = self._hive.now()
        waits = [
            (approval.deadline - now).total_seconds()
            for _, approval in found
            if approval.deadline and approval.state is ApprovalState.PENDING
        ]
        self.next_look = time.monotonic() + max(0.0, min(waits)) if waits else float("inf")
        self._go_on(turn)

    def end(self) -> None:
        """The turn has ended, and with it what it asked for; a sub-agent that still waits is told."""
        for request, waiting in self._open.items():
            self._write(tool_request.deny(request, f"{NOT_ALLOWED}{NO_TURN}"))
            self._say(waiting.number, waiting.tool, f"not asked for any more, for the turn has ended: {waiting.tool}")
        self._open.clear()
        self._asked = 0
        self.next_look = float("inf")

    def _tell(self, request: str, approval: Approval) -> None:
        tool = approval.tool or ""
        match approval.state:
            case ApprovalState.APPROVED if approval.input is not None:
                # The text that was shown, whatever the CLI has said since.
                self._write(tool_request.allow(request, approval.input))
                how = f"approved by {approval.decided_by}"
            case ApprovalState.DENIED:
                note = f": {approval.note}" if approval.note else "."
                self._write(tool_request.deny(request, f"The operator denied this{note}\n{FINAL}"))
                how = f"denied by {approval.decided_by}" + (f" ({approval.note})" if approval.note else "")
            case ApprovalState.EXPIRED:
                limit = f"{self._hive.settings.permission_seconds:g} s"
                self._write(tool_request.deny(request, f"The operator did not decide within {limit}.\n{FINAL}"))
                how = f"not decided within {limit}"
            case _:
                how = approval.state.value
        self._say(approval.number, tool, f"{how}: {tool}")

    def _refuse(self, asked: ToolRequest, why: str) -> None:
        """Answer no without asking anybody."""
        self._record.note(f"{asked.tool or 'a tool'} was refused: {why}")
        self._write(tool_request.deny(asked.request, f"{NOT_ALLOWED}{why}"))

    def _go_on(self, turn: OpenTurn | None) -> None:
        if not self._open and turn is not None and turn.waits:
            turn.go_on()
            self._show(Activity.THINKING)

    def _show(self, activity: Activity) -> None:
        try:
            turns.set_activity(self._hive, self._name, epoch=self._record.epoch, activity=activity)
        except HyperhiveError as error:
            self._record.log(f"that the agent is {activity} cannot be written down: {error}")
        self._record.say(EventKind.STATE, {"state": activity.value})

    def _say(self, number: int, tool: str, text: str) -> None:
        self._record.say(EventKind.ASK, {"approval": number, "tool": tool, "text": text})

    def _write(self, answer: bytes) -> None:
        cli = self._session.cli
        if cli is None or cli.ended:
            return
        try:
            cli.answer(answer)
        except Unavailable as error:
            self._record.log(error.message)
            cli.ended = True
