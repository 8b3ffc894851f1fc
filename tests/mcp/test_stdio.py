"""`serve_stdio`: the same tools on standard input and output, for people and tests."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from hyperhive.core import messages, turns
from hyperhive.core.model import OPERATOR
from tests.mcp.client import text
from tests.mcp.conftest import ADA, ROOT, make_hive

SERVE = "from hyperhive.core.hive import open_hive; from hyperhive.mcp.server import serve_stdio; serve_stdio(open_hive(), {!r})"


@pytest.mark.anyio
async def test_it_speaks_and_wakes_without_a_hub(home: Path) -> None:
    hive = make_hive(home)
    messages.send(hive, sender=OPERATOR, to=ADA, body="begin")
    turns.begin(hive, ADA, epoch=turns.begin_epoch(hive, ADA), model=None, conversation="c")
    parameters = StdioServerParameters(
        command=sys.executable, args=["-c", SERVE.format("ada")], cwd=ROOT, env={**os.environ, "HYPERHIVE_HOME": str(home)}
    )
    async with Client(parameters) as client:
        assert text(await client.call_tool("whoami")).startswith("ada, worker;")
        got: list[str] = []
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                # Less than the twenty seconds after which every call looks by itself.
                got.append(text(await client.call_tool("recv", {"wait_seconds": 15})))

            group.start_soon(receive)
            for _ in range(3):
                await client.call_tool("whoami")
            messages.send(hive, sender=OPERATOR, to=ADA, body="news")
        assert got[0].endswith("| news")
    hive.close()


def test_a_file_may_be_its_input(home: Path, tmp_path: Path) -> None:
    make_hive(home).close()
    file = tmp_path / "in"
    file.write_bytes(b"garbage\n")
    with file.open() as lines:
        ran = subprocess.run(
            [sys.executable, "-c", SERVE.format("ada")], cwd=ROOT, stdin=lines, capture_output=True, text=True, check=False
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"code":-32700' in ran.stdout


def test_an_agent_that_does_not_exist_is_refused(home: Path) -> None:
    make_hive(home).close()
    ran = subprocess.run([sys.executable, "-c", SERVE.format("zoe")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "NotFound: there is no agent zoe" in ran.stderr
