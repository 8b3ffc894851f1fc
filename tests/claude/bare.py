"""The real agent CLI on the host, with a home of its own and nothing of this machine's."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from tests.support.machine import claude_program

Event: TypeAlias = dict[str, Any]

PATIENCE = 30.0
"""Seconds after which a test gives up on a line that does not come."""

KEY = {"ANTHROPIC_API_KEY": "sk-ant-api03-made-up"}
TOKEN = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-made-up"}
NO_LOGIN: dict[str, str] = {}


def environment(home: Path, url: str, login: Mapping[str, str] = KEY) -> dict[str, str]:
    """Give all that the CLI may know: folders below `home`, which are made, the scripted model, a made-up login."""
    for name in ("work", "config", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / "config"),
        "TMPDIR": str(home / "tmp"),
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        # Else it asks again for three minutes, with longer and longer waits.
        "CLAUDE_CODE_MAX_RETRIES": "0",
        **login,
    }


class Claude:
    """One long-lived `claude`, spoken to line by line, from `with` to its end."""

    def __init__(self, home: Path, url: str, *flags: str, login: Mapping[str, str] = KEY) -> None:
        """Start it in `home/work`; what it says beside its lines goes to `home/stderr`."""
        program = claude_program()
        assert program is not None
        self.events: list[Event] = []
        """The lines that were read so far."""
        self._lines: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._numbers = count(1)
        env = environment(home, url, login)
        with (home / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    program, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
                    "--permission-prompt-tool", "stdio", "--strict-mcp-config", *flags,
                ],
                env=env, cwd=home / "work", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, line: Event) -> None:
        """Give it one line."""
        self.say(json.dumps(line).encode() + b"\n")

    def say(self, line: bytes) -> None:
        """Give it one line as it is."""
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def prompt(self, text: str) -> str:
        """Give it what a person says, and return the uuid that this carries."""
        name = str(uuid.uuid4())
        self.write({"type": "user", "uuid": name, "message": {"role": "user", "content": text}})
        return name

    def control(self, subtype: str, **fields: object) -> Event:
        """Ask for something out of turn and return the response."""
        name = f"control-{next(self._numbers)}"
        self.write({"type": "control_request", "request_id": name, "request": {"subtype": subtype, **fields}})
        event = self.until(lambda line: line["type"] == "control_response" and line["response"]["request_id"] == name)
        response: Event = event["response"]
        return response

    def result(self) -> Event:
        """Return the next `result`."""
        return self.until(lambda line: line["type"] == "result")

    def reaches(self, prompt: str, state: str) -> Event:
        """Return the next line that says that this prompt is in this state."""
        return self.until(lambda line: line.get("command_uuid") == prompt and line.get("state") == state)

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the next line that is wanted, passing over those before it."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.events.append(line)
            if wanted(line):
                return line
        raise EOFError("claude ended")

    def end(self) -> int:
        """Close its input, let it finish, and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(EOFError):
            self.until(lambda line: False)
        return self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)
