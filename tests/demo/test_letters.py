"""The program that the manager writes in the demo: what it answers, how it checks itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperhive.demo import second_act, toolsmith


def run(tmp_path: Path, *words: str, answer: str = toolsmith.CHOICES[0], asked: str = "") -> subprocess.CompletedProcess[str]:
    """Run it as it is written for that answer, alone: with no library but Python's own."""
    file = tmp_path / toolsmith.PROGRAM
    file.write_text(toolsmith.program(answer))
    return subprocess.run(
        [sys.executable, "-I", "-S", file, *words], input=asked, capture_output=True, text=True, timeout=30, check=False
    )


def ask(tmp_path: Path, method: str, *, answer: str = toolsmith.CHOICES[0], **params: object) -> dict[str, Any]:
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    done = run(tmp_path, answer=answer, asked=f"{json.dumps(told)}\n{json.dumps(request)}\n")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    reply: dict[str, Any] = json.loads(line)
    assert (reply.pop("jsonrpc"), reply.pop("id")) == ("2.0", 1)
    return reply


def test_it_introduces_itself_with_one_tool(tmp_path: Path) -> None:
    result = ask(tmp_path, "initialize", protocolVersion="2025-11-25")["result"]
    assert result["protocolVersion"] == "2025-11-25"
    assert result["serverInfo"]["name"] == toolsmith.SERVER
    (tool,) = ask(tmp_path, "tools/list")["result"]["tools"]
    assert f"mcp__{toolsmith.SERVER}__{tool['name']}" == toolsmith.COUNT
    assert ask(tmp_path, "ping") == {"result": {}}


@pytest.mark.parametrize("method", ["server/discover", "resources/list"])
def test_what_it_does_not_know_is_an_error(tmp_path: Path, method: str) -> None:
    assert ask(tmp_path, method)["error"]["code"] == -32601


@pytest.mark.parametrize(("choice", "found"), [(0, second_act.FOUND), (1, second_act.FOUND - 1)])
def test_it_counts_as_the_operator_wants_it(tmp_path: Path, choice: int, found: int) -> None:
    arguments = {"letter": second_act.LETTER, "text": second_act.TEXT}
    reply = ask(tmp_path, "tools/call", answer=toolsmith.CHOICES[choice], name="count", arguments=arguments)
    assert reply == {"result": {"content": [{"type": "text", "text": str(found)}]}}


@pytest.mark.parametrize("answer", toolsmith.CHOICES)
def test_its_check_finds_nothing_wrong_with_it(tmp_path: Path, answer: str) -> None:
    done = run(tmp_path, "--check", answer=answer)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": right") == 3


def test_its_check_finds_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    text = toolsmith.program(toolsmith.CHOICES[0])
    file.write_text(text.replace(".count(letter.casefold())", ".count(letter)"))
    done = subprocess.run([sys.executable, file, "--check"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "0 H in hive: wrong" in done.stdout
