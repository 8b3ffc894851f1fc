"""How long a proposal takes to come before the operator, and what was approved until it is what the agent runs on."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hyperhive.core import agent_toml, approvals, deployments, doorbell, folders, operations, proposals, proposed
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.model import OPERATOR, AgentName, DeploymentOutcome, Flavor
from hyperhive.core.runtimes import runtime_named
from hyperhive.core.tables import AgentRow
from hyperhive.demo.reply import say
from tests.bench.figures import Aim, Figure, Sample
from tests.bench.ground import folder
from tests.support.swarm import Swarm

ROUNDS = 8


def measure(base: Path) -> Iterator[Figure]:
    """A manager's commits, one after the other, each proposed, approved and deployed by the hub's own processes."""
    submits, deploys, peers = [], [], []
    with Swarm(folder(base, "deciding"), lambda _: say("done")) as swarm:
        eve, ada = swarm.spawn("eve", manager=True), swarm.spawn("ada")
        hive = swarm.hive
        for number in range(ROUNDS):
            peers.append(_timed_python())
            commit = _commit(hive, eve, ada, f"role {number}")
            began = time.perf_counter()
            approval = _submitted(swarm, ada, eve, commit)
            submits.append(time.perf_counter() - began)
            began = time.perf_counter()
            _deployed(swarm, approval)
            deploys.append(time.perf_counter() - began)
    peer = Sample("an interpreter that imports what they all need", tuple(peers))
    yield Figure(
        "deciding.submit", Sample("from a manager's request until it waits for the operator", tuple(submits)),
        beside=peer, aim=Aim(median=1.0),
    )  # fmt: skip
    yield Figure(
        "deciding.deploy", Sample("from approve until it is deployed, without a build", tuple(deploys)),
        beside=peer, aim=Aim(median=2.0),
    )  # fmt: skip


def _submitted(swarm: Swarm, name: AgentName, manager: AgentName, commit: str) -> int:
    """Ask for a commit, and wait until it is before the operator. Gives back the approval's number."""
    operation = proposals.request(swarm.hive, name, by=manager, commit=commit)
    swarm.until(lambda: operations.get(swarm.hive, operation).ended_at, "the proposal is there")
    ended = operations.get(swarm.hive, operation)
    assert ended.result is not None, ended.error
    return int(ended.result)


def _deployed(swarm: Swarm, approval: int) -> None:
    """Approve, and wait until it is what the agent runs on."""
    approvals.approve(swarm.hive, approval, by=OPERATOR)
    doorbell.ring_hive(swarm.hive.paths)
    swarm.until(lambda: deployments.get(swarm.hive, approval).outcome is DeploymentOutcome.DEPLOYED, "it is deployed")


def _commit(hive: Hive, manager: AgentName, name: AgentName, role: str) -> str:
    """A commit in the manager's container, as the manager would make it."""
    with hive.db.read():
        row = AgentRow.get(AgentRow.name == manager)
    uid, gid = identity(row.uid, row.user)
    folders.prepare(hive, manager, uid=uid, gid=gid, flavor=Flavor.MANAGER)
    runtime = runtime_named(row.runtime)
    place = folders.place(hive, manager, uid=uid, gid=gid, program=None, config=AgentConfig(), flavor=Flavor.MANAGER)
    proposed.ensure(hive, manager, uid=uid, gid=gid, names=[name])
    script = (
        f"cd /config/{name} && git fetch -q applied && git reset -q --hard applied/main && cat >agent.toml && "
        'git add agent.toml && git commit -q -m "$1" && git rev-parse HEAD'
    )
    done = subprocess.run(
        runtime.wrap(place, ["sh", "-c", script, "sh", role]), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/state"},
        input=agent_toml.write(AgentConfig(role=role)), stdout=subprocess.PIPE, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.decode().strip()


def _timed_python() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import click, peewee, apsw, platformdirs"], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began
