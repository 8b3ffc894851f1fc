"""An agent's extra MCP servers: one that does not run is said, and keeps no turn from ending well."""

from pathlib import Path

import pytest

from hyperhive.core.model import Outcome
from hyperhive.demo.reply import Reply, say
from hyperhive.demo.request import Request
from tests.support.swarm import Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]


def test_a_server_that_does_not_run_is_shown_and_the_agent_works_on(home: Path) -> None:
    def brain(_: Request) -> Reply:
        return say("done")

    with Swarm(home, brain) as hive:
        hive.spawn("ada", mcp_servers={"broken": {"command": "false"}})
        hive.send("ada", "work")
        assert hive.turn_ended().outcome is Outcome.OK
        assert hive.agent("ada").warnings == ["its MCP server 'broken' does not run"]
