"""An agent is who its socket says: it reaches no other, and nothing that it says makes it another."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive.core import agents, box, process
from hyperhive.core.identity import identity
from hyperhive.core.model import OPERATOR, AgentName, MessageState
from hyperhive.core.tables import MessageRow
from tests.faults.aftermath import tracebacks
from tests.faults.puppet import Puppet
from tests.faults.wrecks import ADA, Wreck, wreck
from tests.mcp.client import Bare

BOB = AgentName("bob")
# Whatever a server might take for the name of the one who speaks.
WORDS = (
    "sender", "from", "from_", "name", "agent", "as", "me", "who", "user", "identity", "recipient", "seat", "call", "self",
    "turn", "epoch", "hive",
)  # fmt: skip
GIVEN: dict[str, Any] = {"to": OPERATOR, "body": "hello", "wait_seconds": 0, "limit": 5}
SECRET = "only bob may read this"
PROBE = """
import json, os, socket, sys
found = []
for path in json.loads(sys.argv[1]):
    if path.startswith("->"):
        path, target = "/workspace/link", path[2:]
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(path)
            found.append(path)
        except OSError:
            pass
print(json.dumps(found))
"""


@contextmanager
def conversation(home: Path, variant: str | None = None) -> Iterator[tuple[Wreck, Bare]]:
    """A connection to the socket of ada, who is in a turn; bob is there and has a letter."""
    with wreck(home, mode="good", variant=variant) as hive, Puppet(hive.hive, ADA) as puppet:
        hive.spawn("bob")
        agents.stop(hive.hive, BOB, by=OPERATOR)
        hive.send("bob", SECRET)
        puppet.begin()
        with Bare(str(hive.hive.paths.agent_socket(ADA))) as peer:
            yield hive, peer


def taken_for_another(hive: Wreck, peer: Bare) -> list[str]:
    """Call every tool with every word that might name the caller, and say where it was believed."""
    tools = peer.ask("tools/list")["result"]["tools"]
    assert len(tools) >= 5
    believed = []
    for tool in tools:
        required = tool["inputSchema"].get("required", [])
        arguments = {key: GIVEN[key] for key in [*required, "wait_seconds"] if key in GIVEN}
        forged: list[dict[str, Any]] = [{"arguments": arguments | {word: "bob"}} for word in WORDS if word not in arguments]
        everywhere = dict.fromkeys(WORDS, "bob")
        forged += [
            {"arguments": arguments, "_meta": everywhere},
            {"arguments": arguments, **everywhere, "name": tool["name"]},
            {"arguments": arguments | {"_meta": everywhere}},
        ]
        for number, params in enumerate(forged, 1):
            answer = peer.ask("tools/call", {**params, "name": tool["name"]})
            said = json.dumps(answer)
            if SECRET in said or (tool["name"] == "whoami" and "bob, " in said):
                believed.append(f"{tool['name']} {number}: {said}")
    with hive.hive.db.read():
        believed += [f"message {row.number} is from {row.sender}" for row in MessageRow.select() if row.sender == "bob"]
        (letter,) = MessageRow.select().where(MessageRow.recipient == "bob")
        if letter.state is not MessageState.PENDING or letter.handed_out_at is not None:
            believed.append("the letter to bob was taken")
    return believed


def test_no_argument_makes_an_agent_another(home: Path) -> None:
    with conversation(home) as (hive, peer):
        assert not taken_for_another(hive, peer)
        with hive.hive.db.read():
            assert MessageRow.select().where(MessageRow.sender == "ada").count() > len(WORDS)
        assert not tracebacks(home)


def test_a_hub_that_confuses_its_agents_is_found_out(home: Path) -> None:
    # The control of the test above.
    with conversation(home, variant="confuses_names") as (hive, peer):
        found = taken_for_another(hive, peer)
        assert any(sentence.startswith("whoami") for sentence in found)
        assert any(sentence.endswith("is from bob") for sentence in found)


@pytest.mark.box
@pytest.mark.root
def test_no_other_socket_is_within_reach(home: Path) -> None:
    with wreck(home, mode="good") as hive:
        hive.spawn("bob")
        own, bobs, hub = (str(path) for path in (
            hive.hive.paths.agent_socket(ADA), hive.hive.paths.agent_socket(BOB), hive.hive.paths.hub_socket,
        ))  # fmt: skip
        hive.until(lambda: os.path.exists(own) and os.path.exists(bobs), "the hub serves both")
        prepared = box.prepare(hive.hive, ADA)

        def reached(paths: list[str], *, inside: bool) -> list[str]:
            command = ["python3", "-c", PROBE, json.dumps(paths)]
            uid = identity(hive.agent("ada").uid, None)[0]
            as_ada = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--", *command]
            done = process.run(prepared.words(command) if inside else as_ada, env=prepared.env if inside else None)
            found: list[str] = json.loads(done.stdout)
            return found

        others = [path for target in (bobs, hub) for path in (target, f"/proc/1/root{target}", f"/proc/self/root{target}")]
        inside = prepared.inside.socket
        hidden = [*others, "/run/hyperhive/../bob/mcp.sock", "/run/hub.sock", f"->{bobs}", "->/run/hyperhive/../bob/mcp.sock"]
        # The control: the same probe reaches what is its own, in its container and as its user.
        assert reached([inside, f"->{inside}", own, *hidden], inside=True) == [inside, "/workspace/link"]
        assert reached([own, bobs, hub], inside=False) == [own]
        assert not tracebacks(home)
