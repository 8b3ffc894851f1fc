"""An agent's CLI, kept ready for the next prompt: started with what holds now, connected to its tools, on the right model."""

import selectors
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hyperhive.core import agent_log, box, cgroups, claude, containers, process
from hyperhive.core.agent_config import OWN_SERVER
from hyperhive.core.agent_log import Unit
from hyperhive.core.agent_record import AgentRecord
from hyperhive.core.cli_process import CliProcess
from hyperhive.core.errors import HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Network
from hyperhive.core.runtimes import CLI

if TYPE_CHECKING:
    from hyperhive.core.api_gate import Gate

# How long the CLI may take until it answers and its tools are connected, in seconds.
READY_MOST: Final = 60.0
# How long a CLI may take to end by itself between turns, in seconds.
CLOSE_MOST: Final = 2.0


class NotReady(Exception):
    """No turn can begin; the reason is for people."""


class CliSession:
    """The CLI of one harness: none, or one at a time.

    `wait` is the harness's own: it acts on whatever happens until a time, and calls `answered` for the CLI's answers.
    `leaves` says that the harness was told to end.
    """

    def __init__(
        self,
        hive: Hive,
        name: AgentName,
        record: AgentRecord,
        selector: selectors.BaseSelector,
        *,
        wait: Callable[[float], None],
        leaves: Callable[[], bool],
    ) -> None:
        self.cli: CliProcess | None = None
        self.box: box.Box | None = None
        self.model: str | None = None
        # The hub was gone since the CLI was started: its connection to its tools is dead, and it does not know.
        self.is_cut = False
        # `--resume` found no such conversation.
        self.resumed_in_vain = False
        self._hive = hive
        self._name = name
        self._record = record
        self._selector = selector
        self._wait = wait
        self.leaves = leaves
        self._gate: Gate | None = None
        self._limits: cgroups.Limits | None = None
        self._started_with = ""
        self._answers: dict[str, dict[str, Any]] = {}

    @property
    def is_gone(self) -> bool:
        """There is no CLI, or it has ended by itself."""
        return self.cli is None or self.cli.ended

    @property
    def turn_limit(self) -> float:
        """How long a turn may take, in seconds."""
        return self.box.config.limits.turn_minutes * 60 if self.box is not None else 0.0

    @property
    def conversation(self) -> str:
        """The conversation that the CLI is in."""
        assert self.cli is not None
        return self.cli.conversation

    def turn_begins(self) -> None:
        """From now on `last_words` tells of memory that was used up."""
        if self._limits is not None:
            self._limits.begin()

    @property
    def last_words(self) -> str:
        """Why the CLI may have ended, for a person: that its memory was used up, else the end of what it said."""
        if self.box is not None and self._limits is not None and self._limits.ran_out():
            return f"it had used up its memory limit of {self.box.config.limits.memory}"
        return self.cli.last_words if self.cli is not None else ""

    def make_ready(self, *, busy: bool) -> None:
        """Have a CLI that was started with what holds now, answers, and has its tools. Raises `NotReady`.

        One that is `busy` with a background task is not ended for what has changed.
        """
        try:
            prepared = box.prepare(self._hive, self._name)
        except HyperhiveError as error:
            raise NotReady(error.whole) from None
        changed = prepared.started_with != self._started_with
        if self.cli is not None and (self.cli.ended or ((changed or self.is_cut) and not busy)):
            if not self.cli.ended and changed:
                self._record.note("what the agent was started with has changed: its CLI is started anew")
            self.end(grace=CLOSE_MOST)
        self.box = prepared
        self._record.remember_warnings(prepared.warnings)
        if self.cli is None:
            self._start(prepared, resume=prepared.conversation)
        if not self._is_connected():
            if not self.resumed_in_vain:
                raise NotReady(self._why_not_connected())
            self._record.note("the conversation could not be found, so a new one begins")
            self.end(grace=0.0)
            self._start(prepared, resume=None)
            if not self._is_connected():
                raise NotReady(self._why_not_connected())
        if prepared.model != self.model:
            self._choose_model(prepared.model)

    def end(self, *, grace: float) -> None:
        """End the CLI and everything below it; it has `grace` seconds to end by itself."""
        if self.cli is None:
            return
        for fd in (self.cli.stdout, self.cli.stderr):
            with suppress(KeyError):
                self._selector.unregister(fd)
        self.cli.close(grace=grace)
        self.cli = None
        self._give_limits_up()

    def close(self) -> None:
        """End the CLI now, and all that was opened for it."""
        self.end(grace=0.0)
        if self._gate is not None:
            self._gate.close()

    def answered(self, response: dict[str, Any]) -> None:
        """The CLI has answered a request."""
        if self.cli is not None:
            self.cli.answered = True
        self._answers[str(response.get("request_id"))] = response

    def _start(self, prepared: box.Box, *, resume: str | None) -> None:
        conversation = resume or str(uuid.uuid4())
        words = claude.arguments(
            prepared.inside, prepared.config, conversation=conversation, resume=resume is not None, model=prepared.model
        )
        self._started_with = prepared.started_with
        self.model = prepared.model
        self.is_cut = False
        self.resumed_in_vain = False
        command = [*prepared.program, *words]
        try:
            if prepared.config.network is Network.NONE:
                # Few agents need it.
                from hyperhive.core import api_gate

                self._gate = self._gate or api_gate.Gate(
                    self._hive.paths, self._name, self._hive.settings, prepared.place.gid, self._record.log
                )
                self._gate.start()
                command = api_gate.inside_words(prepared.inside, command)
            if prepared.container is not None and containers.bring_up(self._hive, prepared.container):
                self._record.log("its container was booted")
            self._limits = prepared.limit(self._hive)
            if self._limits.why_not is not None:
                self._record.log(f"its memory is not limited: {self._limits.why_not.message}")
            env = {**prepared.env, process.BOX: prepared.mark}
            self.cli = CliProcess(
                [*self._limits.words, *prepared.words(command, env=env, unit=CLI)],
                env,
                conversation=conversation,
                log=self._record.log,
                errors=agent_log.open_log(self._hive, self._name, Unit.CONTAINER),
                end=self._end_inside,
            )
        except HyperhiveError as error:
            self._give_limits_up()
            raise NotReady(error.message) from None
        self._selector.register(self.cli.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(self.cli.stderr, selectors.EVENT_READ, "stderr")

    def _end_inside(self) -> None:
        """End the CLI where the end of what this process has started does not reach it."""
        if self.box is None or self.box.container is None:
            return
        try:
            containers.end_cli(self._hive, self._name)
        except HyperhiveError as error:
            # Whoever begins the next epoch ends it first, or does not begin.
            self._record.log(f"the agent CLI may still run: {error}")

    def _give_limits_up(self) -> None:
        if self._limits is not None:
            self._limits.close()
            self._limits = None

    def _is_connected(self) -> bool:
        """Ask the CLI for its servers until hyperhive's is connected."""
        deadline = time.monotonic() + READY_MOST
        while (answer := self._asked("mcp_status", deadline=deadline)) is not None:
            status = _server_status(answer)
            if status == "connected":
                return True
            if status != "pending" or time.monotonic() > deadline:
                self._record.log(f"the agent's tools are {status}")
                return False
            self._wait(time.monotonic() + 0.1)
        return False

    def _why_not_connected(self) -> str:
        cli = self.cli
        if cli is None:
            # A turn of its own ended it meanwhile, and has said why.
            return "the agent CLI has ended"
        if cli.answered and not cli.ended:
            return "the agent CLI runs, and could not reach its tools"
        if cli.rubbish and not cli.answered:
            return "the agent CLI printed something that is not its protocol; is `claude.command` in hive.toml the right program?"
        if not cli.ended:
            return f"the agent CLI does not answer: {cli.last_words or 'it says nothing'}"
        return f"the agent CLI has ended: {self.last_words or 'it said nothing'}"

    def _choose_model(self, model: str | None) -> None:
        answer = self._asked("set_model", deadline=time.monotonic() + READY_MOST, **({"model": model} if model else {}))
        if answer is None:
            raise NotReady(self._why_not_connected())
        if answer.get("subtype") != "success":
            raise NotReady(f"the model {model} cannot be used: {answer.get('error')} (`hyperhive model {self._name} --unset`)")
        self.model = model

    def _asked(self, subtype: str, *, deadline: float, **fields: Any) -> dict[str, Any] | None:
        """The CLI's answer to a request, or None when it ended or did not answer."""
        cli = self.cli
        if cli is None:
            return None
        try:
            number = cli.ask(subtype, **fields)
        except Unavailable:
            # What it said before it ended tells why.
            while not cli.ended and time.monotonic() < deadline:
                self._wait(deadline)
            return None
        while number not in self._answers and not cli.ended and not self.leaves() and time.monotonic() < deadline:
            self._wait(deadline)
        return self._answers.pop(number, None)


def _server_status(answer: dict[str, Any]) -> str:
    """How hyperhive's own server stands in an answer to `mcp_status`."""
    response = answer.get("response")
    servers = response.get("mcpServers") if isinstance(response, dict) else None
    for server in servers if isinstance(servers, list) else []:
        if isinstance(server, dict) and server.get("name") == OWN_SERVER:
            return str(server.get("status"))
    return "missing"
