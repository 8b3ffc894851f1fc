"""The whole hive with an agent that has no network."""

import os
from pathlib import Path

import pytest

from hyperhive.core.model import EventKind, Outcome
from hyperhive.demo.reply import Reply, say, use
from hyperhive.demo.request import Request
from tests.gate.servers import web
from tests.support.swarm import Swarm

pytestmark = [pytest.mark.box, pytest.mark.claude]


@pytest.mark.parametrize(("network", "codes"), [("none", "403 000"), ("open", "200 200")])
def test_an_agent_takes_turns_and_reaches_what_its_configuration_allows(home: Path, network: str, codes: str) -> None:
    with web() as other:
        probe = "curl -s -m 10 -o /dev/null -w '%{http_code}'"

        def brain(request: Request) -> Reply:
            if not request.tool_results:
                return use("Bash", command=f"echo $({probe} {other.url}) $({probe} --noproxy '*' {other.url})")
            return say(f"found {request.tool_results[0].text.strip()}")

        with Swarm(home, brain, linger_seconds=0) as swarm:
            ada = swarm.spawn("ada", network=network)
            run = swarm.hive.paths.agent_run(ada)
            for count in (1, 2):
                swarm.send("ada", "look around")
                assert swarm.turn_ended(count).outcome is Outcome.OK
                swarm.until(lambda: not swarm.has_harness("ada"), "the harness has ended")
                assert "api.sock" not in os.listdir(run)
            assert [event.data["text"] for event in swarm.events("ada", EventKind.TEXT)] == [f"found {codes}"] * 2
            assert bool(other.asked) is (network == "open")
