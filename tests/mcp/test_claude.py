"""The real agent CLI drives every tool over the agent's socket, with a scripted model."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from hyperhive.core import messages, questions
from hyperhive.core.model import OPERATOR, MessageState
from hyperhive.core.tables import MessageRow
from hyperhive.demo.model_api import ModelApi
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from hyperhive.mcp import server, worker
from tests.claude.bare import Claude
from tests.mcp.conftest import Place, wait_for_end

pytestmark = pytest.mark.claude

PIPE = """
import os, socket, sys, threading
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    os.write(1, data)
"""


def tool(name: str) -> str:
    return f"mcp__hyperhive__{name}"


def flags(path: str) -> list[str]:
    """What a harness says of the agent's socket when it starts the CLI."""
    own = {"command": sys.executable, "args": ["-S", "-E", "-I", "-c", PIPE, path], "alwaysLoad": True}
    return ["--mcp-config", json.dumps({"mcpServers": {"hyperhive": own}}), "--allowedTools", tool("*"), "--tools", "Bash"]


def test_every_tool_works_and_is_loaded_with_its_instructions(home: Path, place: Place) -> None:
    place.begin_turn()
    waiting = place.send("look here")
    script: list[Reply] = [
        use(tool("whoami")) + use(tool("agents")) + use(tool("inbox"), limit=5),
        use(tool("recv"), wait_seconds=10),
        use(tool("send"), to="operator", body="all done", key="k"),
        use(tool("ask_operator"), text="Which?", choices=["a", "b"], choices_only=True, ttl_seconds=600, default="b"),
        use(tool("send"), to="nobody-here", body="x"),
        say("end"),
    ]
    with ModelApi(lambda request: script[request.number - 1]) as api, Claude(home, api.url, *flags(place.socket())) as claude:
        claude.prompt("begin")
        assert claude.result()["result"] == "end"
        assert claude.control("mcp_status")["response"]["mcpServers"][0]["status"] == "connected"
        results = api.requests[-1].all_results
        uses = [
            block["id"]
            for event in claude.events if event["type"] == "assistant"
            for block in event["message"]["content"] if block["type"] == "tool_use" and block["name"] == tool("recv")
        ]  # fmt: skip
    assert {tool(one.name) for one in worker.TOOLS} <= set(api.requests[0].tools)
    assert server.INSTRUCTIONS in json.dumps(api.requests[0].body, ensure_ascii=False)
    assert "readOnlyHint" not in json.dumps(api.requests[0].body)
    told = {result.text for result in results[:3]}
    assert any(text.startswith("ada, worker;") for text in told)
    assert "ada, worker, idle\nbob, worker, idle\neve, manager, idle" in told
    assert any(text.endswith("| look here") for text in told)
    assert results[3].text.startswith(f"message {waiting.number} from operator, ")
    assert [result.is_error for result in results] == [False] * 6 + [True]
    (asked,) = questions.listed(place.hive)
    assert results[5].text.startswith(f"asked as question {asked.number}; ")
    assert (asked.asker, asked.choices, asked.choices_only, asked.default) == ("ada", ("a", "b"), True, "b")
    assert "there is no agent nobody-here" in results[-1].text
    assert [message.body for message in messages.inbox(place.hive, OPERATOR)] == ["all done"]
    with place.hive.db.read():
        row = MessageRow.get(MessageRow.number == waiting.number)
    # The harness reads the same name in the CLI's own stream: that is how it confirms what the model was given.
    assert (row.state, [row.tool_use]) == (MessageState.DELIVERED, uses)


def test_an_interrupt_takes_a_recv_back(home: Path, place: Place) -> None:
    place.begin_turn()
    script: list[Reply] = [use(tool("recv"), wait_seconds=180), use(tool("whoami")), say("end")]
    with ModelApi(lambda request: script[request.number - 1]) as api, Claude(home, api.url, *flags(place.socket())) as claude:
        claude.prompt("begin")
        claude.until(lambda line: line["type"] == "assistant")
        claude.control("interrupt")
        assert claude.result()["is_error"]
        # A call on the same connection: the server has heard of the interrupt before it answers this.
        claude.prompt("go on")
        assert claude.result()["result"] == "end"
        assert len(place.children()) == 1
        sent = place.send("too late")
        assert claude.end() == 0
    assert place.message(sent.number).state is MessageState.PENDING


def test_a_child_killed_in_a_turn_is_replaced_at_the_next_call(home: Path, place: Place) -> None:
    killed = threading.Event()

    def brain(request: Request) -> Reply:
        match request.number:
            case 2:
                (pid,) = place.children()
                os.kill(pid, signal.SIGKILL)
                wait_for_end(pid)
                killed.set()
                return use("Bash", command="true")
            case 1 | 3:
                return use(tool("whoami"))
            case _:
                return say("end")

    with ModelApi(brain) as api, Claude(home, api.url, *flags(place.socket()), "--allowedTools", f"{tool('*')},Bash") as claude:
        claude.prompt("begin")
        assert claude.result()["result"] == "end"
        first, _, last = api.requests[-1].all_results
    assert killed.is_set()
    assert first.text == last.text
    assert first.text.startswith("ada, worker;")
