"""A person's first quarter of an hour, typed: up, spawn, send, watch, read, stop."""

import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, parse_name
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.cli import shell
from tests.support.swarm import Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]


def brain(request: Request) -> Reply:
    """Write a file, tell the operator, end."""
    match len(request.tool_results):
        case 0:
            return say("I write it.") + use("Write", file_path="/workspace/haiku.txt", content="An old silent pond\n")
        case _ if "mcp__hyperhive__send" not in str(request.messages):
            return use("mcp__hyperhive__send", to=OPERATOR, body="The haiku is in haiku.txt.")
        case _:
            return say("Done.")


def test_the_first_steps_of_the_readme_work(home: Path) -> None:
    with Swarm(home, brain, up=False) as swarm:
        up = subprocess.Popen([*shell.HYPERHIVE, "up"], stderr=subprocess.PIPE, text=True)
        try:
            swarm.until(lambda: is_held(swarm.hive.paths.lock("hub")), "the hive is up")
            assert shell.complaint("up", code=5)[0].startswith("this hive is up already: pid ")
            assert shell.answer("spawn", "ada") == "ada is there\n"
            sent = shell.process("send", "ada", "Write a haiku into haiku.txt", "--wait")
            assert sent.returncode == 0, sent.stderr
            assert "│ The haiku is in haiku.txt." in sent.stdout
            assert (swarm.hive.paths.agent_workspace(parse_name("ada")) / "haiku.txt").read_text() == "An old silent pond\n"
            told = shell.answer("events", "ada")
            assert "▸ Write /workspace/haiku.txt · -0 +1\n│ +An old silent pond\n" in told
            assert "▸ hyperhive.send to=operator body=The haiku is in haiku.txt." in told
            assert "│ The haiku is in haiku.txt." in shell.answer("inbox")
            (turn,) = msgspec.json.decode(shell.answer("turns", "--json"))
            assert turn["outcome"] == "ok"
            (agent,) = msgspec.json.decode(shell.answer("ps", "--json"))
            assert agent["last_turn"]["outcome"] == "ok"
            assert "epoch 1 begins" in shell.answer("logs", "ada")
            assert shell.answer("exec", "ada", "--", "true") == ""
            assert shell.answer("stop", "ada") == "ada is stopped\n"
            assert "$0." in shell.answer("cost")
        finally:
            up.send_signal(signal.SIGINT)
            _, said = up.communicate(timeout=60)
        assert up.returncode == 0
        assert "Traceback" not in said
        assert not is_held(swarm.hive.paths.lock("hub"))
