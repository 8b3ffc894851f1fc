"""The turn that an agent is in: begun, followed line by line through the CLI's stream, decided at its end."""

import time
import uuid
from typing import Any, Final

from hyperhive.core import claude, leases, letters, operations, turns
from hyperhive.core.agent_config import OWN_SERVER
from hyperhive.core.agent_record import AgentRecord
from hyperhive.core.cli_session import CliSession
from hyperhive.core.errors import Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity, AgentName, EventKind, Outcome
from hyperhive.core.open_turn import OpenTurn
from hyperhive.core.permits import Permits

# How long an interrupted turn may take to say how it ended, in seconds.
INTERRUPT_MOST: Final = 3.0
# How long, and how often, the end of a turn is tried to be stored on a disk that does not take it, in seconds.
STORE_MOST: Final = 600.0
STORE_PAUSE: Final = 2.0
# A background task that ended makes the CLI begin a turn by itself, within so many seconds.
SETTLE: Final = 3.0
_OWN_TOOL: Final = f"mcp__{OWN_SERVER}__"


class TurnDesk:
    """One turn at a time, of one agent in one epoch."""

    def __init__(self, hive: Hive, name: AgentName, record: AgentRecord, session: CliSession) -> None:
        self.turn: OpenTurn | None = None
        # Background tasks of the CLI that still run.
        self.tasks: set[str] = set()
        self.last_turn_at: float | None = None
        self.settled_at = 0.0
        self._hive = hive
        self._name = name
        self._record = record
        self._session = session
        self._own_tool_uses: dict[str, str] = {}
        self._permits = Permits(hive, name, record, session)

    # ---- beginnings ----

    def begin(self) -> None:
        """Begin a turn over the mail that waits, if any still does."""
        session = self._session
        begun = turns.begin(
            self._hive, self._name, epoch=self._record.epoch, model=session.model, conversation=session.conversation
        )
        if begun is None:
            return
        text = letters.prompt(begun.messages, begun.news)
        turn = self._open(begun.number, prompt=str(uuid.uuid4()))
        numbers = [message.number for message in begun.messages]
        self._record.say(EventKind.PROMPT, {"turn": begun.number, "messages": numbers, "text": text})
        self._record.say(EventKind.STATE, {"state": Activity.THINKING.value})
        self._tell(turn, text)

    def begin_compaction(self, asked: list[int]) -> None:
        """Begin to make the conversation shorter, as these operations ask."""
        turn = self._open(self._begin_without_mail(Activity.COMPACTING), prompt=str(uuid.uuid4()))
        turn.asked = asked
        self._record.say(EventKind.STATE, {"state": Activity.COMPACTING.value})
        self._tell(turn, "/compact")

    def _begin_without_mail(self, activity: Activity) -> int:
        return turns.begin_without_mail(
            self._hive,
            self._name,
            epoch=self._record.epoch,
            model=self._session.model,
            conversation=self._session.conversation,
            activity=activity,
        )

    def _open(self, number: int, *, prompt: str | None) -> OpenTurn:
        self._session.turn_begins()
        self.turn = OpenTurn(number, prompt=prompt, limit=self._session.turn_limit)
        return self.turn

    def _tell(self, turn: OpenTurn, text: str) -> None:
        cli = self._session.cli
        assert cli is not None
        assert turn.prompt is not None
        try:
            cli.tell(turn.prompt, text)
        except Unavailable as error:
            self._record.log(error.message)
            cli.ended = True
            self.cli_ended()

    # ---- ends ----

    def interrupt(self, outcome: Outcome, why: str) -> None:
        """End the turn that runs; the CLI has a moment to say how it ended."""
        turn = self.turn
        if turn is None or turn.ending is not None:
            return
        turn.ending, turn.ending_error = outcome, why
        turn.grace = time.monotonic() + INTERRUPT_MOST
        self._record.note(f"interrupted: {why}")
        assert self._session.cli is not None
        try:
            self._session.cli.ask("interrupt")
        except Unavailable:
            turn.grace = 0.0

    def next_look(self) -> float:
        """When `watch` has something to do, if nothing happens before."""
        return min(self.turn.next_deadline(), self._permits.next_look) if self.turn is not None else float("inf")

    def look(self) -> None:
        """See what the operator has decided."""
        self._permits.look(self.turn)

    def watch(self) -> None:
        """End the turn that has gone on for too long, that was interrupted and does not end, or whose CLI takes no answers."""
        if time.monotonic() >= self._permits.next_look:
            self.look()
        turn = self.turn
        if turn is None:
            return
        if self._session.is_gone:
            self.cli_ended()
            return
        now = time.monotonic()
        if turn.ending is None and now >= turn.deadline:
            turn.ending = Outcome.FAILED
            turn.ending_error = f"the turn took longer than {self._session.turn_limit / 60:g} minutes"
            turn.grace = 0.0
            self._record.note(f"interrupted: {turn.ending_error}")
        if turn.ending is not None and now >= turn.grace:
            self._end_cli()
            self._decide(claude.Verdict(turn.ending, turn.ending_error), claude.Tokens())

    def cli_ended(self) -> None:
        """The CLI's stream has ended; a turn that runs failed, whatever the exit code."""
        self.tasks.clear()
        if self.turn is None:
            return
        error = f"the agent CLI ended in the middle of the turn: {self._session.last_words}".rstrip(": ")
        self._decide(claude.Verdict(Outcome.FAILED, error), claude.Tokens())
        self._end_cli()

    def _decide(self, verdict: claude.Verdict, tokens: claude.Tokens) -> None:
        """Store how the turn ended; its messages are decided in the same transaction."""
        turn = self.turn
        assert turn is not None
        if turn.ending is not None:
            verdict = claude.Verdict(turn.ending, turn.ending_error)
        elif turn.lost_tools:
            verdict = claude.Verdict(Outcome.TOOLS_LOST, "the agent could not reach its tools")
        elif turn.failure is not None and verdict.outcome is Outcome.OK:
            verdict = claude.Verdict(Outcome.FAILED, turn.failure)
        used = tokens + turn.company
        self.turn = None
        self.last_turn_at = time.monotonic()
        self._store(
            turn, verdict, turns.Usage(model=turn.model, **{field: getattr(used, field) for field in used.__struct_fields__})
        )
        self._permits.end()
        done = verdict.outcome in (Outcome.OK, Outcome.CANCELLED)
        for number in turn.asked:
            operations.finish(self._hive, number, error=None if done else verdict.error or verdict.outcome.value)
        self._record.say(
            EventKind.TURN,
            {
                "turn": turn.number,
                "outcome": verdict.outcome.value,
                "seconds": round(self.last_turn_at - turn.begun, 3),
                "cost_usd": used.cost_usd,
                "error": verdict.error,
            },
        )
        self._record.say(EventKind.STATE, {"state": Activity.IDLE.value})
        self._record.log(f"turn {turn.number} ended: {verdict.outcome}" + (f" ({verdict.error})" if verdict.error else ""))
        if verdict.outcome is Outcome.TOOLS_LOST:
            # The CLI's own idea of the connection is out of date: the next turn begins with a new one.
            self._end_cli()

    def _store(self, turn: OpenTurn, verdict: claude.Verdict, usage: turns.Usage) -> None:
        """Put the end of a turn on disk; a disk that takes nothing is waited for, for what was done must not be done again."""
        deadline = time.monotonic() + STORE_MOST
        while True:
            try:
                turns.end(
                    self._hive,
                    self._name,
                    epoch=self._record.epoch,
                    turn=turn.number,
                    outcome=verdict.outcome,
                    usage=usage,
                    error=verdict.error,
                    until=verdict.until,
                    retry=turn.retry,
                )
            except Unavailable as error:
                if time.monotonic() > deadline or self._session.leaves():
                    raise
                self._record.log(f"turn {turn.number} has ended ({verdict.outcome}) and cannot be stored yet: {error}")
                time.sleep(STORE_PAUSE)
            else:
                return

    def _end_cli(self) -> None:
        self._session.end(grace=0.0)
        self.tasks.clear()
        self._own_tool_uses.clear()

    # ---- what the CLI says ----

    def read(self, line: dict[str, Any]) -> None:
        """One line of the CLI's stream."""
        match line.get("type"):
            case "control_response":
                if isinstance(response := line.get("response"), dict):
                    self._session.answered(response)
                return
            case "control_request":
                self._permits.ask(self.turn, line)
                return
            case "control_cancel_request":
                self._permits.drop(self.turn, line)
                return
            case "command_lifecycle":
                self._on_lifecycle(line)
                return
            case "rate_limit_event":
                if self.turn is not None and isinstance(info := line.get("rate_limit_info"), dict):
                    self.turn.limit_info = info
                return
            case "result":
                self._on_result(line)
                return
            case "system" if line.get("subtype") == "init":
                self._on_init(line)
            case "system" if line.get("compact_result") == "failed":
                if self.turn is not None:
                    self.turn.failure = f"the conversation could not be made shorter: {line.get('compact_error')}"
            case "system" if line.get("subtype") == "background_tasks_changed":
                self.tasks = claude.tasks_of(line)
                self.settled_at = time.monotonic() + SETTLE
            case "assistant" if line.get("is_api_error_message") or line.get("error"):
                if self.turn is not None:
                    self.turn.api_line = line
            case _:
                pass
        for tool_use, tool in claude.uses_of(line):
            if tool.startswith(_OWN_TOOL):
                self._own_tool_uses[tool_use] = tool
        for result in claude.results_of(line):
            self._on_tool_result(result)
        for kind, data in claude.events_of(line):
            self._record.say(kind, data)

    def _on_lifecycle(self, line: dict[str, Any]) -> None:
        turn = self.turn
        if turn is None or turn.prompt is None or line.get("command_uuid") != turn.prompt:
            return
        if line.get("state") == "started":
            turn.started = True
        elif line.get("state") == "cancelled" and not turn.started:
            # Never begun: what it held comes again, and no attempt is counted.
            turn.ending = turn.ending or Outcome.INTERRUPTED
            self._decide(claude.Verdict(Outcome.INTERRUPTED, "the agent CLI did not begin it"), claude.Tokens())

    def _on_init(self, line: dict[str, Any]) -> None:
        if self.turn is None:
            self._open(self._begin_without_mail(Activity.THINKING), prompt=None)
            self._record.say(EventKind.STATE, {"state": Activity.THINKING.value, "why": "a background task has ended"})
        assert self.turn is not None
        if isinstance(model := line.get("model"), str):
            self.turn.model = model[:100]
        self._record.remember_conversation(self._session.conversation)
        broken = [f"its MCP server {name[:60]!r} does not run" for name in claude.broken_servers_of(line) if name != OWN_SERVER]
        if self._session.box is not None:
            self._record.remember_warnings([*self._session.box.warnings, *broken])

    def _on_result(self, line: dict[str, Any]) -> None:
        turn = self.turn
        if turn is None:
            self._session.resumed_in_vain |= "No conversation found" in str(line.get("errors"))
            return
        tokens = claude.usage_of(line)
        # The CLI names the prompts that a result decides; an older one only says when it began which.
        decided = line.get("user_message_uuids")
        if isinstance(decided, list):
            mine = turn.prompt in decided
        else:
            mine = turn.started and (turn.prompt is None or "origin" not in line)
        if mine:
            self._decide(claude.verdict_of(line, api_line=turn.api_line, limit=turn.limit_info), tokens)
        else:
            turn.company += tokens
            self._record.note("a background task has ended, and the agent looked at it")

    def _on_tool_result(self, result: tuple[str, bool, str]) -> None:
        tool_use, good, _ = result
        tool = self._own_tool_uses.pop(tool_use, None)
        if tool is None:
            # What another tool printed may say anything.
            return
        if good and tool.endswith("__recv"):
            leases.confirm(self._hive, self._name, epoch=self._record.epoch, tool_use=tool_use)
        elif self.turn is not None and claude.lost_tools(result):
            self.turn.lost_tools = True
