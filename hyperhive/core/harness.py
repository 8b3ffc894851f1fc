"""The loop that gives one agent its turns: mail wakes it, the agent CLI runs, the end of the turn decides."""

import selectors
import signal
import socket
import time
import uuid
from contextlib import suppress
from typing import Any, Final

from hyperhive.core import api_gate, box, claude, eligibility, letters, messages, operations, process, roster, turns
from hyperhive.core.agent_config import OWN_SERVER
from hyperhive.core.cli_process import CliProcess
from hyperhive.core.errors import HyperhiveError, Unavailable
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.hub_link import Heard, HubLink
from hyperhive.core.locks import Lock, holder
from hyperhive.core.log import Log
from hyperhive.core.model import Activity, AgentName, EventKind, Network, Outcome, Verb
from hyperhive.core.tables import AgentRow

# How long the CLI may take until it answers and its tools are connected, in seconds.
READY_MOST: Final = 60.0
# How long an interrupted turn may take to say how it ended, in seconds.
INTERRUPT_MOST: Final = 3.0
# How long a CLI may take to end by itself between turns, in seconds.
CLOSE_MOST: Final = 2.0
# How often the truth is looked at without a wake: with the hub, and without it, in seconds.
TICK: Final = 30.0
TICK_ALONE: Final = 1.0
# A background task that ended makes the CLI begin a turn by itself, within so many seconds.
SETTLE: Final = 3.0
# How long a harness waits for a hub before it gives up, in seconds.
HUB_MOST: Final = 10.0


class NotReady(Exception):
    """No turn can begin; the reason is for people."""


class OpenTurn:
    """A turn that runs: `prompt` is its uuid, None for one that the CLI began by itself."""

    def __init__(self, number: int, *, prompt: str | None, limit: float) -> None:
        self.number = number
        self.prompt = prompt
        self.started = prompt is None
        self.begun = time.monotonic()
        self.deadline = self.begun + limit
        self.api_line: dict[str, Any] | None = None
        self.limit_info: dict[str, Any] | None = None
        self.lost_tools = False
        self.model: str | None = None
        # Why the harness ends it, once it does, and until when the CLI may say how it ended.
        self.ending: Outcome | None = None
        self.ending_error: str | None = None
        self.retry = False
        self.grace = 0.0
        self.cancels: list[int] = []


def run(hive: Hive, name: AgentName, log: Log | None = None) -> bool:
    """Give an agent its turns until there is nothing more for it. Says whether this process was its harness.

    Another harness of the agent, or nothing to do, ends it at once.
    """
    process.follow_parent()
    with hive.db.read():
        roster.living(name)
    log = log or Log(f"harness of {name}", hive.paths.agent_log(name) / "harness.log", quiet=process.has_parent())
    with Lock(hive.paths.harness_lock(name)) as lock:
        if not lock.take():
            log(f"{name} has a harness already: {holder(hive.paths.harness_lock(name))}")
            return False
        if not eligibility.eligible(hive, name):
            log(f"there is nothing for {name} to do now")
            return False
        harness = Harness(hive, name, log)
        try:
            harness.run()
        finally:
            # In this order: whoever is told of the end must find the lock free.
            lock.release()
            harness.hang_up()
    return True


class Harness:
    """One agent, one epoch."""

    def __init__(self, hive: Hive, name: AgentName, log: Log) -> None:
        self._hive = hive
        self._name = name
        self._log = log
        self._epoch = 0
        self._link = HubLink(hive.paths.hub_socket, name)
        self._box: box.Box | None = None
        self._cli: CliProcess | None = None
        self._gate: api_gate.Gate | None = None
        self._started_with = ""
        self._model: str | None = None
        self._turn: OpenTurn | None = None
        self._tasks: set[str] = set()
        self._own_tool_uses: dict[str, str] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._cancelled_prompt: str | None = None
        self._resumed_in_vain = False
        # The hub was gone since the CLI was started: its connection to its tools is dead, and it does not know.
        self._tools_cut = False
        self._told_to_leave = False
        self._others_wait = False
        self._woken = True
        self._next_look = 0.0
        self._last_turn_at: float | None = None
        self._settle_until = 0.0
        self._selector = selectors.DefaultSelector()
        self._signals, self._signalled = socket.socketpair()
        self._events: EventLog

    def run(self) -> None:
        """Work until there is nothing more to do, the agent is stopped, or a signal says to leave."""
        process.adopt_orphans()
        self._catch_signals()
        earlier = self._predecessor_died()
        self._events = EventLog(self._hive.paths, self._name)
        try:
            if earlier:
                process.end_marked(process.BOX, str(self._hive.paths.agent(self._name)))
            self._epoch = turns.begin_epoch(self._hive, self._name)
            self._remember_events()
            self._log(f"epoch {self._epoch} begins")
            if earlier:
                self._say(EventKind.NOTE, {"text": "the harness before this one died; what it held comes again"})
            self._work()
            turns.end_epoch(self._hive, self._name, epoch=self._epoch)
            self._log(f"epoch {self._epoch} ends")
        except turns.Fenced as error:
            self._log(f"{error}: leaving")
        finally:
            self._end_cli(grace=0.0)
            if self._gate is not None:
                self._gate.close()
            self._events.close()
            self._selector.close()

    def hang_up(self) -> None:
        """Close the connection to the hub, which then looks at the agent again."""
        self._link.close()

    # ---- what to do next ----

    def _work(self) -> None:
        if not self._meet_hub():
            self._rest("the hub does not run, so the agent would have no tools")
            return
        while self._turn is not None or not self._leaves():
            if self._turn is not None:
                self._pump(self._turn.deadline)
                continue
            self._take_wishes()
            if self._leaves() or not eligibility.is_allowed(self._hive, self._name):
                return
            try:
                if not self._link.is_up and not self._meet_hub():
                    self._rest("the hub does not run, so the agent would have no tools")
                    return
                if eligibility.eligible(self._hive, self._name):
                    self._next_turn()
                elif not self._linger():
                    return
            except NotReady as error:
                self._end_cli(grace=0.0)
                self._rest(str(error))
                return

    def _next_turn(self) -> None:
        """Make the CLI ready, then begin: a compaction that was asked for, else a turn over the mail."""
        self._make_ready()
        if self._turn is not None:
            # Meanwhile the CLI has begun a turn of its own, for a task that ended: one after the other.
            return
        asked = operations.take(self._hive, self._name, Verb.COMPACT)
        if asked:
            self._compact([number for number, _, _ in asked])
            return
        assert self._cli is not None
        assert self._box is not None
        begun = turns.begin(self._hive, self._name, epoch=self._epoch, model=self._model, conversation=self._cli.conversation)
        if begun is None:
            return
        text = letters.prompt(begun.messages, begun.news)
        turn = self._open(begun.number, prompt=str(uuid.uuid4()))
        self._say(
            EventKind.PROMPT, {"turn": begun.number, "messages": [message.number for message in begun.messages], "text": text}
        )
        self._say(EventKind.STATE, {"state": Activity.THINKING.value})
        self._tell(turn, text)

    def _compact(self, operations_taken: list[int]) -> None:
        assert self._cli is not None
        number = turns.begin_without_mail(
            self._hive,
            self._name,
            epoch=self._epoch,
            model=self._model,
            conversation=self._cli.conversation,
            activity=Activity.COMPACTING,
        )
        turn = self._open(number, prompt=str(uuid.uuid4()))
        self._say(EventKind.STATE, {"state": Activity.COMPACTING.value})
        self._tell(turn, "/compact")
        while self._turn is turn:
            self._pump(turn.deadline)
        for operation in operations_taken:
            operations.finish(self._hive, operation)

    def _linger(self) -> bool:
        """Wait for more mail. Says whether to go on."""
        if self._last_turn_at is None or self._is_cli_gone():
            return False
        turn_limit = self._box.config.limits.turn_minutes * 60 if self._box else 0.0
        stay = turn_limit if self._tasks else 0.0 if self._others_wait else self._hive.settings.linger_seconds
        deadline = max(self._last_turn_at + stay, self._settle_until)
        if time.monotonic() >= deadline:
            return False
        self._pump(deadline)
        return not self._is_cli_gone()

    def _is_cli_gone(self) -> bool:
        """The CLI has ended by itself, between two turns: there is nothing to linger for."""
        return self._turn is None and (self._cli is None or self._cli.ended)

    def _rest(self, reason: str) -> None:
        if self._leaves():
            # It was told to go before a turn could begin: nothing is wrong with the agent.
            return
        self._log(f"no turn: {reason}")
        self._say(EventKind.NOTE, {"text": f"no turn could begin: {reason}"})
        turns.not_ready(self._hive, self._name, epoch=self._epoch, reason=reason)

    def _take_wishes(self) -> None:
        """What the operator asked of this harness."""
        self._woken = False
        self._next_look = time.monotonic() + (TICK if self._link.is_up else TICK_ALONE)
        for number, verb, argument in operations.take(self._hive, self._name, Verb.CANCEL, Verb.LEAVE):
            if verb is Verb.LEAVE:
                self._told_to_leave = True
                operations.finish(self._hive, number)
            elif self._turn is None:
                operations.finish(self._hive, number, error="no turn runs")
            else:
                self._turn.cancels.append(number)
                self._turn.retry = argument == "retry"
                self._interrupt(Outcome.CANCELLED, "the operator cancelled it")

    # ---- the CLI ----

    def _make_ready(self) -> None:
        """A CLI that was started with what holds now, answers, and has its tools. Raises `NotReady`."""
        try:
            prepared = box.prepare(self._hive, self._name)
        except HyperhiveError as error:
            raise NotReady(f"{error.message}" + (f" ({error.hint})" if error.hint else "")) from None
        changed = prepared.started_with != self._started_with
        if self._cli is not None and (self._cli.ended or changed or self._tools_cut) and not self._tasks:
            if not self._cli.ended and changed:
                self._say(EventKind.NOTE, {"text": "what the agent was started with has changed: its CLI is started anew"})
            self._end_cli(grace=CLOSE_MOST)
        self._box = prepared
        self._remember_warnings(prepared.warnings)
        if self._cli is None:
            self._start_cli(prepared, resume=prepared.conversation)
        assert self._cli is not None
        if not self._connected():
            if not self._resumed_in_vain:
                raise NotReady(self._why_not_connected())
            self._say(EventKind.NOTE, {"text": "the conversation could not be found, so a new one begins"})
            self._end_cli(grace=0.0)
            self._start_cli(prepared, resume=None)
            if not self._connected():
                raise NotReady(self._why_not_connected())
        if prepared.model != self._model:
            self._choose_model(prepared.model)

    def _start_cli(self, prepared: box.Box, *, resume: str | None) -> None:
        conversation = resume or str(uuid.uuid4())
        words = claude.arguments(
            prepared.inside, prepared.config, conversation=conversation, resume=resume is not None, model=prepared.model
        )
        self._started_with = prepared.started_with
        self._model = prepared.model
        self._tools_cut = False
        self._resumed_in_vain = False
        self._tasks.clear()
        self._own_tool_uses.clear()
        command = [*prepared.program, *words]
        try:
            if prepared.config.network is Network.NONE:
                self._gate = self._gate or api_gate.Gate(
                    self._hive.paths, self._name, self._hive.settings, prepared.place.gid, self._log
                )
                self._gate.start()
                command = api_gate.inside_words(prepared.inside, command)
            self._cli = CliProcess(
                prepared.words(command),
                {**prepared.env, process.BOX: prepared.mark},
                conversation=conversation,
                log=self._log,
            )
        except HyperhiveError as error:
            raise NotReady(error.message) from None
        self._selector.register(self._cli.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(self._cli.stderr, selectors.EVENT_READ, "stderr")

    def _end_cli(self, *, grace: float) -> None:
        if self._cli is None:
            return
        for fd in (self._cli.stdout, self._cli.stderr):
            with suppress(KeyError):
                self._selector.unregister(fd)
        self._cli.close(grace=grace)
        self._cli = None
        self._tasks.clear()

    def _connected(self) -> bool:
        """Ask the CLI for its servers until hyperhive's is connected."""
        deadline = time.monotonic() + READY_MOST
        while (answer := self._asked("mcp_status", deadline=deadline)) is not None:
            status = _server_status(answer)
            if status == "connected":
                return True
            if status != "pending" or time.monotonic() > deadline:
                self._log(f"the agent's tools are {status}")
                return False
            self._pump(time.monotonic() + 0.1)
        return False

    def _why_not_connected(self) -> str:
        assert self._cli is not None
        if self._cli.answered and not self._cli.ended:
            return "the agent CLI runs, and could not reach its tools"
        if self._cli.rubbish and not self._cli.answered:
            return "the agent CLI printed something that is not its protocol; is `claude.command` in hive.toml the right program?"
        if not self._cli.ended:
            return f"the agent CLI does not answer: {self._cli.last_words or 'it says nothing'}"
        return f"the agent CLI has ended: {self._cli.last_words or 'it said nothing'}"

    def _choose_model(self, model: str | None) -> None:
        answer = self._asked("set_model", deadline=time.monotonic() + READY_MOST, **({"model": model} if model else {}))
        if answer is None:
            raise NotReady(self._why_not_connected())
        if answer.get("subtype") != "success":
            raise NotReady(f"the model {model} cannot be used: {answer.get('error')} (`hyperhive model {self._name} --unset`)")
        self._model = model

    def _asked(self, subtype: str, *, deadline: float, **fields: Any) -> dict[str, Any] | None:
        """The CLI's answer to a control request, or None when it ended or did not answer."""
        assert self._cli is not None
        try:
            number = self._cli.ask(subtype, **fields)
        except Unavailable:
            # What it said before it ended tells why.
            while not self._cli.ended and time.monotonic() < deadline:
                self._pump(deadline)
            return None
        while number not in self._answers and not self._cli.ended and not self._leaves() and time.monotonic() < deadline:
            self._pump(deadline)
        return self._answers.pop(number, None)

    # ---- the turn ----

    def _open(self, number: int, *, prompt: str | None) -> OpenTurn:
        assert self._box is not None
        self._turn = OpenTurn(number, prompt=prompt, limit=self._box.config.limits.turn_minutes * 60)
        return self._turn

    def _tell(self, turn: OpenTurn, text: str) -> None:
        assert self._cli is not None
        assert turn.prompt is not None
        try:
            self._cli.tell(turn.prompt, text)
        except Unavailable as error:
            self._log(error.message)
            self._cli.ended = True
            self._died()

    def _interrupt(self, outcome: Outcome, why: str) -> None:
        """End the turn that runs; the CLI has a moment to say how it ended."""
        turn = self._turn
        if turn is None or turn.ending is not None:
            return
        turn.ending, turn.ending_error = outcome, why
        turn.grace = time.monotonic() + INTERRUPT_MOST
        self._say(EventKind.NOTE, {"text": f"interrupted: {why}"})
        assert self._cli is not None
        try:
            self._cli.ask("interrupt")
        except Unavailable:
            turn.grace = 0.0

    def _decide(self, verdict: claude.Verdict, tokens: claude.Tokens) -> None:
        """Store how the turn ended; its messages are decided in the same transaction."""
        turn = self._turn
        assert turn is not None
        if turn.ending is not None:
            verdict = claude.Verdict(turn.ending, turn.ending_error)
        elif turn.lost_tools:
            verdict = claude.Verdict(Outcome.TOOLS_LOST, "the agent could not reach its tools")
        self._turn = None
        self._last_turn_at = time.monotonic()
        seconds = self._last_turn_at - turn.begun
        turns.end(
            self._hive,
            self._name,
            epoch=self._epoch,
            turn=turn.number,
            outcome=verdict.outcome,
            usage=turns.Usage(model=turn.model, **{field: getattr(tokens, field) for field in tokens.__struct_fields__}),
            error=verdict.error,
            until=verdict.until,
            retry=turn.retry,
        )
        for number in turn.cancels:
            operations.finish(self._hive, number)
        self._say(
            EventKind.TURN,
            {
                "turn": turn.number,
                "outcome": verdict.outcome.value,
                "seconds": round(seconds, 3),
                "cost_usd": tokens.cost_usd,
                "error": verdict.error,
            },
        )
        self._say(EventKind.STATE, {"state": Activity.IDLE.value})
        self._log(f"turn {turn.number} ended: {verdict.outcome}" + (f" ({verdict.error})" if verdict.error else ""))
        if verdict.outcome is Outcome.TOOLS_LOST:
            # Its own idea of the connection is out of date: the next turn begins with a new one.
            self._end_cli(grace=0.0)

    def _died(self) -> None:
        """The CLI's stream has ended; a turn that runs failed, whatever the exit code."""
        if self._turn is None:
            return
        words = self._cli.last_words if self._cli is not None else ""
        self._decide(
            claude.Verdict(Outcome.FAILED, f"the agent CLI ended in the middle of the turn: {words}".rstrip(": ")),
            claude.Tokens(),
        )
        self._end_cli(grace=0.0)

    def _watch_turn(self) -> None:
        """End the turn that has gone on for too long, or that was interrupted and does not end."""
        turn = self._turn
        if turn is None:
            return
        now = time.monotonic()
        if turn.ending is None and now >= turn.deadline:
            assert self._box is not None
            turn.ending = Outcome.FAILED
            turn.ending_error = f"the turn took longer than {self._box.config.limits.turn_minutes:g} minutes"
            turn.grace = 0.0
            self._say(EventKind.NOTE, {"text": f"interrupted: {turn.ending_error}"})
        if turn.ending is not None and now >= turn.grace:
            self._end_cli(grace=0.0)
            self._decide(claude.Verdict(turn.ending, turn.ending_error), claude.Tokens())

    # ---- one look at everything that can happen ----

    def _pump(self, until: float) -> None:
        """Wait for something to happen, at most until that time, and act on it."""
        turn = self._turn
        deadline = min(until, self._next_look, turn.grace if turn is not None and turn.ending is not None else until)
        if turn is not None and turn.ending is None:
            deadline = min(deadline, turn.deadline)
        for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
            match key.data:
                case "stdout":
                    self._read()
                case "stderr":
                    if self._cli is not None and not self._cli.read_errors():
                        self._selector.unregister(self._cli.stderr)
                case "hub":
                    self._hear()
                case _:
                    self._signals.recv(64)
        if self._woken or time.monotonic() >= self._next_look:
            self._take_wishes()
        if self._leaves() and self._turn is not None:
            self._interrupt(Outcome.INTERRUPTED, "the agent was told to leave")
        self._watch_turn()

    def _read(self) -> None:
        cli = self._cli
        if cli is None:
            return
        for line in cli.read():
            self._on_line(line)
        if cli.ended and self._cli is cli:
            with suppress(KeyError):
                self._selector.unregister(cli.stdout)
            cli.read_errors()
            self._died()

    def _on_line(self, line: dict[str, Any]) -> None:
        match line.get("type"):
            case "control_response":
                response = line.get("response")
                if isinstance(response, dict):
                    if self._cli is not None:
                        self._cli.answered = True
                    self._answers[str(response.get("request_id"))] = response
                return
            case "command_lifecycle":
                self._on_lifecycle(line)
                return
            case "rate_limit_event":
                if self._turn is not None and isinstance(info := line.get("rate_limit_info"), dict):
                    self._turn.limit_info = info
                return
            case "result":
                self._on_result(line)
                return
            case "system" if line.get("subtype") == "init":
                self._on_init(line)
            case "system" if line.get("subtype") == "background_tasks_changed":
                tasks = line.get("tasks")
                self._settle_until = time.monotonic() + SETTLE
                self._tasks = (
                    {str(task.get("task_id")) for task in tasks if isinstance(task, dict)} if isinstance(tasks, list) else set()
                )
            case "assistant" if line.get("is_api_error_message") or line.get("error"):
                if self._turn is not None:
                    self._turn.api_line = line
            case _:
                pass
        for tool_use, tool in claude.uses_of(line):
            if tool.startswith(f"mcp__{OWN_SERVER}__"):
                self._own_tool_uses[tool_use] = tool
        for result in claude.results_of(line):
            self._on_tool_result(result)
        for kind, data in claude.events_of(line):
            self._say(kind, data)

    def _on_lifecycle(self, line: dict[str, Any]) -> None:
        turn = self._turn
        if turn is None or turn.prompt is None or line.get("command_uuid") != turn.prompt:
            return
        if line.get("state") == "started":
            turn.started = True
        elif line.get("state") == "cancelled" and not turn.started:
            # Never begun: what it held comes again, and no attempt is counted.
            turn.ending = turn.ending or Outcome.INTERRUPTED
            self._decide(claude.Verdict(Outcome.INTERRUPTED, "the agent CLI did not begin it"), claude.Tokens())

    def _on_init(self, line: dict[str, Any]) -> None:
        assert self._cli is not None
        if self._turn is None:
            number = turns.begin_without_mail(
                self._hive,
                self._name,
                epoch=self._epoch,
                model=self._model,
                conversation=self._cli.conversation,
                activity=Activity.THINKING,
            )
            self._open(number, prompt=None)
            self._say(EventKind.STATE, {"state": Activity.THINKING.value, "why": "a background task has ended"})
        assert self._turn is not None
        if isinstance(model := line.get("model"), str):
            self._turn.model = model[:100]
        self._remember_conversation(self._cli.conversation)
        broken = [
            str(server.get("name"))
            for server in line.get("mcp_servers") or []
            if isinstance(server, dict)
            and server.get("status") not in ("connected", "pending")
            and server.get("name") != OWN_SERVER
        ]
        if self._box is not None:
            self._remember_warnings([*self._box.warnings, *(f"its MCP server {name[:60]!r} does not run" for name in broken)])

    def _on_result(self, line: dict[str, Any]) -> None:
        turn = self._turn
        if turn is None:
            self._resumed_in_vain |= "No conversation found" in str(line.get("errors"))
            return
        decided = line.get("user_message_uuids")
        mine = (
            turn.prompt in decided
            if isinstance(decided, list)
            else turn.started and (turn.prompt is None or "origin" not in line)
        )
        tokens = claude.usage_of(line)
        if not mine:
            # A background task's own turn, while this prompt still waits in line: its cost is this turn's company.
            self._say(EventKind.NOTE, {"text": "a background task has ended, and the agent looked at it"})
            return
        self._decide(claude.verdict_of(line, api_line=turn.api_line, limit=turn.limit_info), tokens)

    def _on_tool_result(self, result: tuple[str, bool, str]) -> None:
        tool_use, good, _ = result
        tool = self._own_tool_uses.pop(tool_use, None)
        if tool is None:
            if self._turn is not None and claude.lost_tools(result) and f"mcp__{OWN_SERVER}__" in result[2]:
                self._turn.lost_tools = True
            return
        if good and tool.endswith("__recv"):
            messages.confirm(self._hive, self._name, epoch=self._epoch, tool_use=tool_use)
        elif self._turn is not None and claude.lost_tools(result):
            self._turn.lost_tools = True

    # ---- the hub, signals, the record ----

    def _meet_hub(self) -> bool:
        deadline = time.monotonic() + HUB_MOST
        while not self._link.connect():
            if self._leaves() or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        self._selector.register(self._link.fileno(), selectors.EVENT_READ, "hub")
        return True

    def _hear(self) -> None:
        fd = self._link.fileno()
        heard = self._link.hear()
        if heard & Heard.GONE:
            self._selector.unregister(fd)
            self._log("the hub is gone")
            self._tools_cut = True
            self._next_look = 0.0
        self._woken |= bool(heard & Heard.WAKE)
        self._others_wait |= bool(heard & Heard.OTHERS_WAIT)

    def _catch_signals(self) -> None:
        self._signals.setblocking(False)
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._leave())
        self._selector.register(self._signals, selectors.EVENT_READ, "signal")

    def _leave(self) -> None:
        self._told_to_leave = True

    def _leaves(self) -> bool:
        return self._told_to_leave

    def _predecessor_died(self) -> bool:
        with self._hive.db.read():
            row = AgentRow.get(AgentRow.name == self._name)
            return row.ended_epoch < row.epoch

    def _say(self, kind: EventKind, data: dict[str, Any]) -> None:
        kept = self._events.keeps
        self._events.add(kind, data, at=self._hive.now())
        if kept != self._events.keeps:
            self._remember_events()

    def _remember_events(self) -> None:
        self._record(keeps_events=self._events.keeps)

    def _remember_conversation(self, conversation: str) -> None:
        if self._box is None or self._box.conversation != conversation:
            self._record(conversation=conversation)

    def _remember_warnings(self, warnings: list[str]) -> None:
        self._record(warnings="\n".join(warnings))

    def _record(self, **fields: Any) -> None:
        """Write down something about the agent where it has changed."""
        with self._hive.db.read():
            row = AgentRow.get(AgentRow.name == self._name)
            if all(getattr(row, field) == value for field, value in fields.items()):
                return
        with self._hive.db.write():
            AgentRow.update(**fields).where(AgentRow.name == self._name, AgentRow.epoch == self._epoch).execute()


def _server_status(answer: dict[str, Any]) -> str:
    """How hyperhive's own server stands in an answer to `mcp_status`."""
    response = answer.get("response")
    servers = response.get("mcpServers") if isinstance(response, dict) else None
    for server in servers if isinstance(servers, list) else []:
        if isinstance(server, dict) and server.get("name") == OWN_SERVER:
            return str(server.get("status"))
    return "missing"
