"""Many agents at once, as a hive that has worked for a while knows them."""

import socket
from datetime import timedelta

from hyperhive.core import agent_config, approvals, questions
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.db import next_number
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, DeploymentOutcome, Flavor, MessageKind, MessageState, Outcome, Wanted
from hyperhive.core.tables import AgentRow, DeploymentRow, MessageRow, TurnRow


def crowd(hive: Hive, count: int) -> list[AgentName]:
    """Make so many started agents, each with a deployment, a read message and an ended turn, in one transaction.

    `hyperhive spawn` would write the same, and wait for the disk ten times for each.
    """
    names = [AgentName(f"agent-{number}") for number in range(1, count + 1)]
    now = hive.now()
    begun = now - timedelta(minutes=5)
    with hive.db.write():
        for name in names:
            number = next_number()
            AgentRow.create(
                name=name, flavor=Flavor.WORKER, host=socket.gethostname(), runtime="bubblewrap", wanted=Wanted.STARTED,
                deployed=number, epoch=1, ended_epoch=1, conversation=f"conversation-{number}", created_at=begun,
            )  # fmt: skip
            DeploymentRow.create(
                number=number, agent=name, commit="0" * 40, outcome=DeploymentOutcome.DEPLOYED, started_at=begun, ended_at=begun
            )
            turn = TurnRow.create(agent=name, epoch=1, outcome=Outcome.OK, model="sonnet", started_at=begun, ended_at=now)
            MessageRow.create(
                sender=OPERATOR, recipient=name, kind=MessageKind.TEXT, body="please look at it", state=MessageState.ACKNOWLEDGED,
                epoch=1, turn=turn.number, confirmed=True, sent_at=begun, handed_out_at=begun, ended_at=now,
            )  # fmt: skip
            build = hive.paths.build(name, number)
            build.mkdir(parents=True)
            (build / "agent.json").write_bytes(agent_config.encode(AgentConfig(role="You look after the blog.")))
            hive.paths.agent_claude(name).mkdir(parents=True)
            hive.paths.agent_run(name).mkdir(parents=True)
            with Lock(hive.paths.lock(f"{name}.harness")) as lock:
                lock.take()
    return names


def asked(hive: Hive, names: list[AgentName]) -> None:
    """Let each of these agents wait for an answer, and for a decision about a tool."""
    for name in names:
        questions.ask(hive, asker=name, text="Which of the two?", choices=("this", "that"))
        deadline = hive.now() + timedelta(minutes=10)
        approvals.ask_tool(hive, name, epoch=1, turn=1, request="r", tool="Bash", given='{"command": "make"}', deadline=deadline)
