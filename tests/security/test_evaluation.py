"""What somebody proposes is read, and nothing of it runs, before the operator has approved it."""

from pathlib import Path

import pytest

from hyperhive.core import agent_toml, applied, approvals, building, builds, operate, operations, proposals, spawning
from hyperhive.core.agent_config import AgentConfig, McpServer
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import OPERATOR, AgentName, ApprovalState

ADA = AgentName("ada")
# Each would keep a careless reader busy for minutes, or end it.
HEAVY = {
    "a key of very many parts": ".".join(["a"] * 20_000) + " = 1",
    "brackets within each other": "role = " + "[" * 50_000 + "]" * 50_000,
    "tables within each other": "".join(f"[{'.'.join('a' * n)}]\n" for n in range(1, 200)),
    "a number of very many digits": "limits.tasks = " + "9" * 200_000,
    "very many keys": "\n".join(f"k{number} = 1" for number in range(20_000)),
    "very many servers": "\n".join(f"[mcp_servers.s{number}]\ncommand = 'x'" for number in range(5_000)),
    "a file that is too long": "# " + "x" * (building.FILE_MOST + 1),
}


@pytest.fixture
def hive(home: Path) -> Hive:
    """A hive with ada in a container of its own."""
    found = open_hive({"HYPERHIVE_HOME": str(home)})
    spawning.spawn(found, ADA, runtime="bubblewrap", by=OPERATOR)
    return found


@pytest.mark.box
@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_what_is_heavy_to_read_is_refused(hive: Hive, text: str) -> None:
    with pytest.raises(HyperhiveError, match=r"proposal \d+ failed: agent\.toml"):
        proposals.by_operator(hive, ADA, {building.FILE: text.encode()}, message="Be heavy")
    (failed,) = approvals.listed(hive, everything=True)
    assert failed.state is ApprovalState.FAILED


@pytest.mark.box
def test_nothing_that_is_proposed_runs_before_it_is_approved(hive: Hive) -> None:
    config = AgentConfig(
        build=("sh made.sh",), mcp_servers={"trap": McpServer(command="sh", args=("/opt/agent/made.sh",))}
    )  # fmt: skip
    approval = proposals.by_operator(
        hive,
        ADA,
        {
            building.FILE: agent_toml.write(config),
            "made.sh": b"echo ran >/opt/agent/canary\n",
            ".gitattributes": b"* filter=trap diff=trap merge=trap export-subst\n",
            ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "echo ran >/tmp/canary"\n',
        },
        message="Set traps",
    )
    assert approval.commit is not None
    applied.diff(hive, ADA, approval.compared_with, approval.commit, most=100_000)
    assert not hive.paths.build(ADA, approval.number).exists()
    approvals.deny(hive, approval.number, by=OPERATOR)
    for waiting in (one.number for one in operations.ready(hive)):
        operate.run(hive, waiting)
    assert not hive.paths.build(ADA, approval.number).exists()
    # The control: once it is approved, it does run, in its container.
    again = proposals.by_operator(
        hive, ADA, {building.FILE: agent_toml.write(config), "made.sh": b"echo ran >/opt/agent/canary\n"}, message="Again"
    )
    operate.run(hive, approvals.approve(hive, again.number, by=OPERATOR).operation or 0)
    made = builds.made_in(hive, ADA, again.number)
    assert made is not None
    assert (made / "canary").read_text() == "ran\n"
