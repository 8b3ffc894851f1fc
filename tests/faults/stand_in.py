"""A stand-in for the agent CLI, which speaks as much of its stream protocol as a harness needs, or breaks it on purpose.

It runs inside the container on the machine's own Python, so it imports nothing but the standard library.
"""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

SOCKET = "/run/hyperhive/mcp.sock"
LONG = 5 * 1024 * 1024
EATEN = 192 * 1024 * 1024
lock = threading.Lock()


def put(folder: Path) -> str:
    """Write it down as a program that every user may run, and give back where."""
    program = folder / "stand-in"
    if not program.exists():
        program.write_text("#!/usr/bin/python3 -SI\n" + Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
        program.chmod(0o755)
    return str(program)


def say(**line: object) -> None:
    """Print one line of the protocol."""
    data = json.dumps(line).encode() + b"\n"
    with lock:
        while data:
            data = data[os.write(1, data) :]


def answer(request: dict[str, object], **response: object) -> None:
    """Answer a control request well."""
    body = {"subtype": "success", "request_id": request["request_id"], "response": response}
    say(type="control_response", response=body)


def result(uuid: str, *, is_error: bool = False) -> None:
    """End a turn."""
    reason = "aborted_tools" if is_error else "completed"
    say(type="result", is_error=is_error, terminal_reason=reason, result="done", user_message_uuids=[uuid])
    say(type="command_lifecycle", command_uuid=uuid, state="completed")


class Tools:
    """The agent's own socket, as bare lines."""

    def __init__(self) -> None:
        self._lines = socket.socket(socket.AF_UNIX)
        self._lines.connect(SOCKET)
        self._heard = self._lines.makefile("rb")
        hello: dict[str, object] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "stand-in", "version": "1"},
        }
        self._ask("h", "initialize", hello)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, use: str, tool: str, **arguments: object) -> str:
        """Call a tool, and give back its words."""
        params: dict[str, object] = {"name": tool, "arguments": arguments, "_meta": {"claudecode/toolUseId": use}}
        found = self._ask(use, "tools/call", params)
        return str(found["content"][0]["text"])  # type: ignore[index]  # the shape of every answer of a tool

    def _ask(self, number: str, method: str, params: dict[str, object]) -> dict[str, object]:
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        for line in self._heard:
            heard = json.loads(line)
            if heard.get("id") == number:
                answered: dict[str, object] = heard["result"]
                return answered
        raise ConnectionError

    def _write(self, message: dict[str, object]) -> None:
        self._lines.sendall(json.dumps(message).encode() + b"\n")


def work(mode: str, uuid: str) -> None:
    """One turn."""
    say(type="command_lifecycle", command_uuid=uuid, state="started")
    say(type="system", subtype="init", model="stand-in", user_message_uuids=[uuid])
    if mode == "dies":
        os.write(2, b"segmentation fault, or so\n")
        os._exit(1)
    if mode == "eats":
        eaten = b"x" * EATEN
        os.write(2, b"has room for %d bytes\n" % len(eaten))
    if mode == "floods_turn":
        while True:
            say(type="noise", text="x" * 1000)
    if mode == "floods_errors":
        for _ in range(20_000):
            os.write(2, b"warning: " + b"y" * 200 + b"\n")
    if mode == "long_lines":
        say(type="assistant", message={"content": [{"type": "text", "text": "x" * LONG}]})
    if mode in ("asks", "asks_deaf"):
        for number in range(1000 if mode == "asks" else 8000):
            subtype = "hook_callback" if number % 3 == 0 else "can_use_tool"
            request = {"subtype": subtype, "tool_name": "Bash", "input": {"command": f"ls {number}"}}
            say(type="control_request", request_id=f"{number % 700:090}", request=request)
            say(type="control_cancel_request", request_id=f"{number - 10:090}")
    if mode == "waits":
        use = f"toolu_{uuid}"
        block = {"type": "tool_use", "id": use, "name": "mcp__hyperhive__recv", "input": {}}
        say(type="assistant", message={"content": [block]})
        try:
            text = Tools().call(use, "recv", wait_seconds=180)
        except OSError:
            # The hub has died: the harness is about to end this turn.
            return
        say(type="user", message={"content": [{"type": "tool_result", "tool_use_id": use, "content": text}]})
    result(uuid)


def begin(mode: str) -> None:
    """What it does before anybody has told it anything."""
    match mode:
        case "exits":
            os.write(2, b"the licence has expired\n")
            sys.exit(3)
        case "silent":
            sys.exit(0)
        case "rubbish":
            os.write(1, b"Welcome to the wrong program!\n" * 50)
            sys.exit(1)
        case "babbles":
            os.write(1, b"\xff\xfe[[[[\n" + b"[" * 100_000 + b"\n" + b"not json\n" * 50)
            while True:
                time.sleep(60)
        case "hangs":
            while True:
                time.sleep(60)
        case "floods":
            while True:
                os.write(1, b'{"type":"noise"}\n' * 1000)
        case "floods_without_end":
            while True:
                os.write(1, b"x" * 65536)
        case "long_lines":
            say(type="noise", text="x" * LONG)
        case _:
            pass


def main(mode: str) -> None:
    """Read what the harness says, until it says no more."""
    begin(mode)
    running = ""
    for line in sys.stdin:
        told = json.loads(line)
        if told["type"] == "user":
            running = told["uuid"]
            threading.Thread(target=work, args=(mode, running), daemon=True).start()
            while mode == "asks_deaf":
                time.sleep(60)
            continue
        if told["type"] == "control_response":
            continue
        match told["request"]["subtype"]:
            case "mcp_status":
                answer(told, mcpServers=[{"name": "hyperhive", "status": "connected"}])
            case "interrupt":
                answer(told, still_queued=[])
                result(running, is_error=True)
            case _:
                answer(told)


if __name__ == "__main__":
    if sys.argv[-1] == "--version":
        sys.stdout.write("0.0 (a stand-in)\n")
        sys.exit()
    main(sys.argv[1])
