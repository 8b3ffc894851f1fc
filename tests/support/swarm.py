"""A whole hive for a test: the real hub, harnesses, containers and claude, with a scripted model."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from hyperhive.core import events, messages, roster, spawning, turns
from hyperhive.core.agent_config import AgentConfig, AgentLimits
from hyperhive.core.agent_view import Agent
from hyperhive.core.hive import open_hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Event, EventKind, Flavor, Message, Outcome, Turn, parse_name
from hyperhive.demo.model_api import Brain, ModelApi
from tests.support import machine

V = TypeVar("V")

PATIENCE = 40.0
KEY = "sk-ant-api03-scripted-key-of-the-tests"


class Swarm:
    """A hive in `home`, up from `with` to its end."""

    def __init__(self, home: Path, brain: Brain, *, runtime: str = "bubblewrap", up: bool = True, **settings: object) -> None:
        self.home = home
        self.runtime = runtime
        self.api = ModelApi(brain)
        self._settings = {"linger_seconds": 30, "runtime": runtime, **settings}
        self._up = up
        self._hub: subprocess.Popen[bytes] | None = None
        self.environment = {"HYPERHIVE_HOME": str(home), "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        self.hive = open_hive(self.environment)

    def __enter__(self) -> Self:
        self.api.__enter__()
        self.configure()
        if self._up:
            self.start_hub()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop_hub()
        if error is not None:
            self.show_logs()
        self.hive.close()
        self.api.__exit__(kind, error, trace)

    def configure(self, *, env: Mapping[str, str] | None = None, command: list[str] | None = None, **settings: object) -> None:
        """Write `hive.toml`; what is not given stays as it was."""
        self._settings |= settings
        program = command or [str(machine.claude_program())]
        variables = {"ANTHROPIC_BASE_URL": self.api.url, "ANTHROPIC_API_KEY": KEY, "CLAUDE_CODE_MAX_RETRIES": "0", **(env or {})}
        lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in self._settings.items()]
        pairs = ", ".join(f"{key} = {msgspec.json.encode(value).decode()}" for key, value in variables.items() if value)
        lines += ["[claude]", f"command = {msgspec.json.encode(program).decode()}", f"env = {{ {pairs} }}"]
        (self.home / "hive.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.hive.__dict__.pop("settings", None)

    def start_hub(self) -> None:
        """Start the hub and wait until it holds its lock."""
        self._hub = subprocess.Popen(
            [sys.executable, "-m", "hyperhive", "hub"], env=self.environment, stdin=subprocess.DEVNULL, stdout=2
        )
        self.until(lambda: is_held(self.hive.paths.lock("hub")), "the hub holds its lock")

    def stop_hub(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the hub and wait until it, and all that it started, is gone."""
        if self._hub is None:
            return
        self._hub.send_signal(number)
        self._hub.wait(PATIENCE)
        self._hub = None
        names = [agent.name for agent in roster.listed(self.hive)]
        self.until(lambda: not any(self.has_harness(name) for name in names), "the harnesses have ended with the hub")

    @property
    def hub_pid(self) -> int:
        """The hub's process."""
        assert self._hub is not None
        return self._hub.pid

    def spawn(self, name: str = "ada", *, manager: bool = False, turn_seconds: float = 60.0, **config: object) -> AgentName:
        """Make an agent."""
        shape = msgspec.convert({"limits": AgentLimits(turn_minutes=turn_seconds / 60), **config}, AgentConfig, strict=False)
        checked = parse_name(name)
        spawning.spawn(
            self.hive,
            checked,
            flavor=Flavor.MANAGER if manager else Flavor.WORKER,
            config=shape,
            runtime=self.runtime,
            by=OPERATOR,
        )
        return checked

    def send(self, to: str, body: str, *, sender: str = OPERATOR, key: str | None = None) -> Message:
        """Send a message as the operator, or as an agent."""
        return messages.send(self.hive, sender=sender, to=to, body=body, key=key)

    def agent(self, name: str) -> Agent:
        """The agent as it is now."""
        return roster.get(self.hive, name)

    def message(self, number: int) -> Message:
        """The message as it is now."""
        return messages.get(self.hive, number)

    def inbox(self) -> list[Message]:
        """What waits for the operator."""
        return messages.inbox(self.hive, OPERATOR)

    def turns(self, name: str = "ada") -> list[Turn]:
        """The agent's turns."""
        return turns.listed(self.hive, name)

    def events(self, name: str = "ada", kind: EventKind | None = None) -> list[Event]:
        """The agent's history."""
        found = events.history(self.hive, parse_name(name))
        return [event for event in found if kind is None or event.kind is kind]

    def has_harness(self, name: str) -> bool:
        """The agent's harness lives."""
        return is_held(self.hive.paths.harness_lock(AgentName(name)))

    def until(self, found: Callable[[], V | None], what: str, *, patience: float = PATIENCE) -> V:
        """Wait until something is so, and give it back; fail with `what` when it does not become so."""
        deadline = time.monotonic() + patience
        while not (value := found()):
            assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
            time.sleep(0.01)
        return value

    def ended(self, number: int) -> Message:
        """Wait until a message is done with, and give it back."""
        return self.until(
            lambda: message if (message := self.message(number)).state.is_final else None, f"message {number} is done with"
        )

    def turn_ended(self, count: int = 1, name: str = "ada") -> Turn:
        """Wait until the agent has ended so many turns, and give the last of them back."""

        def found() -> Turn | None:
            done = [turn for turn in self.turns(name) if turn.outcome is not None]
            return done[count - 1] if len(done) >= count else None

        return self.until(found, f"{name} has ended {count} turns")

    def outcomes(self, name: str = "ada") -> list[Outcome | None]:
        """How the agent's turns ended."""
        return [turn.outcome for turn in self.turns(name)]

    def show_logs(self) -> None:
        """Print what the processes said about themselves, for a test that failed."""
        for file in sorted((self.home / "state").rglob("*.log")) + sorted((self.home / "state").rglob("bug-*")):
            sys.stderr.write(f"--- {file}\n{file.read_text(encoding='utf-8')[-4000:]}\n")


@contextmanager
def swarm(home: Path, brain: Brain, **settings: object) -> Iterator[Swarm]:
    """A hive that is up, with one agent `ada`."""
    with Swarm(home, brain, **settings) as found:  # type: ignore[arg-type]  # settings are whatever hive.toml takes
        found.spawn("ada")
        yield found
