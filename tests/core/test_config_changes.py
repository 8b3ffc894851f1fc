"""Whatever a proposed configuration changes is said, in plain words, the dangerous first, without a secret."""

import pytest
from hypothesis import given

from hyperhive.core.agent_config import AgentConfig, AgentLimits, McpServer, Mount, Tools
from hyperhive.core.config_changes import TEXT_MOST, changes, spelled
from hyperhive.core.model import OPERATOR, Network, Restart
from tests.support.configs import CONFIGS

USUAL = AgentConfig()
BLOG = Mount(source="/home/me/blog", target="/workspace/blog", mode="rw")
BLOG_RO = Mount(source="/home/me/blog", target="/workspace/blog")
MATRIX = McpServer("/opt/agent/bin/matrix-mcp", allowed_tools=("send_message", "join_room"), env={"TOKEN": "hunter2"})


def limits(**given: object) -> AgentConfig:
    return AgentConfig(limits=AgentLimits(**given))  # type: ignore[arg-type]  # each case gives a field its own type


def unit(program: str, *lines: str) -> str:
    return "\n".join(["[Unit]", "", "[Service]", f"ExecStart={program}", *lines, ""])


@pytest.mark.parametrize(
    ("before", "after", "key", "grows", "sentence"),
    [
        (USUAL, AgentConfig(mounts=(BLOG,)), "mounts", True, "mounts /home/me/blog at /workspace/blog, writable"),
        (USUAL, AgentConfig(mounts=(BLOG_RO,)), "mounts", True, "mounts /home/me/blog at /workspace/blog, read-only"),
        (AgentConfig(mounts=(BLOG,)), USUAL, "mounts", False, "no longer mounts /home/me/blog at /workspace/blog, writable"),
        (AgentConfig(mounts=(BLOG_RO,)), AgentConfig(mounts=(BLOG,)), "mounts", True,
         "mounts /home/me/blog at /workspace/blog, writable (until now /home/me/blog at /workspace/blog, read-only)"),
        (AgentConfig(mounts=(BLOG,)), AgentConfig(mounts=(BLOG_RO,)), "mounts", False,
         "mounts /home/me/blog at /workspace/blog, read-only (until now /home/me/blog at /workspace/blog, writable)"),
        (USUAL, AgentConfig(mounts=(Mount(source="/a at /mnt/b, read-only", target="/mnt/c", mode="rw"),)), "mounts", True,
         "mounts '/a at /mnt/b, read-only' at /mnt/c, writable"),
        (AgentConfig(network=Network.NONE), USUAL, "network", True, "network: none → open"),
        (USUAL, AgentConfig(network=Network.NONE), "network", False, "network: open → none"),
        (USUAL, AgentConfig(build=("npm ci --prefix /opt/agent",)), "build", True,
         "runs npm ci --prefix /opt/agent while it is built"),
        (AgentConfig(build=("true",)), USUAL, "build", False, "no longer runs true while it is built"),
        (AgentConfig(build=("a", "b")), AgentConfig(build=("b", "a")), "build", True, "runs its build commands in another order"),
        (USUAL, AgentConfig(mcp_servers={"matrix": MATRIX}), "mcp_servers.matrix", True,
         "MCP server matrix: /opt/agent/bin/matrix-mcp (tools send_message, join_room) with TOKEN"),
        (USUAL, AgentConfig(mcp_servers={"x": McpServer("a", args=("b c",))}), "mcp_servers.x", True,
         "MCP server x: a 'b c' (all its tools)"),
        (USUAL, AgentConfig(mcp_servers={"x": McpServer("a", allowed_tools=())}), "mcp_servers.x", True,
         "MCP server x: a (each use is asked for)"),
        (AgentConfig(mcp_servers={"x": McpServer("a")}), AgentConfig(mcp_servers={"x": McpServer("b")}), "mcp_servers.x", True,
         "MCP server x: a (all its tools) → b (all its tools)"),
        (AgentConfig(mcp_servers={"x": McpServer("a", env={"T": "1"})}),
         AgentConfig(mcp_servers={"x": McpServer("a", env={"T": "2"})}),
         "mcp_servers.x", True, "MCP server x: a (all its tools) with T → a (all its tools) with T, another value of T"),
        (AgentConfig(mcp_servers={"matrix": MATRIX}), USUAL, "mcp_servers.matrix", False, "no longer has the MCP server matrix"),
        (USUAL, AgentConfig(services={"x.service": unit("/opt/agent/x --to y")}), "services.x.service", True,
         "runs the service x.service: /opt/agent/x --to y"),
        (AgentConfig(services={"x.service": unit("a")}), AgentConfig(services={"x.service": unit("b")}),
         "services.x.service", True, "runs the service x.service: a → b"),
        (AgentConfig(services={"x.service": unit("a")}), AgentConfig(services={"x.service": unit("a", "Restart=always")}),
         "services.x.service", True, "runs the service x.service: a → a, with other settings"),
        (AgentConfig(services={"x.service": unit("a")}), USUAL, "services.x.service", False,
         "no longer runs the service x.service"),
        (AgentConfig(tools=Tools(allow=())), AgentConfig(tools=Tools(allow=("Bash",))), "tools.allow", True,
         "uses Bash without asking"),
        (AgentConfig(tools=Tools(allow=("Bash",))), AgentConfig(tools=Tools(allow=())), "tools.allow", False,
         "no longer uses Bash without asking"),
        (USUAL, AgentConfig(tools=Tools(deny=("Bash",))), "tools.deny", False, "never uses Bash"),
        (AgentConfig(tools=Tools(deny=("Bash",))), USUAL, "tools.deny", True, "Bash is no longer denied"),
        (USUAL, AgentConfig(env={"TZ": "hunter2"}), "env.TZ", True, "sets the variable TZ"),
        (AgentConfig(env={"TZ": "UTC"}), AgentConfig(env={"TZ": "hunter2"}), "env.TZ", True,
         "sets the variable TZ to another value"),
        (AgentConfig(env={"TZ": "hunter2"}), USUAL, "env.TZ", False, "no longer sets the variable TZ"),
        (AgentConfig(send_to=(OPERATOR,)), USUAL, "send_to", True, "writes to: operator → everybody"),
        (USUAL, AgentConfig(send_to=()), "send_to", False, "writes to: everybody → nobody"),
        (AgentConfig(send_to=("ada",)), AgentConfig(send_to=("bob",)), "send_to", True, "writes to: ada → bob"),
        (AgentConfig(send_to=("ada", "bob")), AgentConfig(send_to=("bob",)), "send_to", False, "writes to: ada, bob → bob"),
        (USUAL, limits(memory="8G"), "limits.memory", True, "memory: 4G → 8G"),
        (USUAL, limits(memory="4095M"), "limits.memory", False, "memory: 4G → 4095M"),
        (USUAL, limits(tasks=513), "limits.tasks", True, "processes and threads: 512 → 513"),
        (USUAL, limits(turn_minutes=0.5), "limits.turn_minutes", False, "minutes for a turn: 120 → 0.5"),
        (USUAL, AgentConfig(restart=Restart.ALWAYS), "restart", False, "is started again by itself when its container crashes"),
        (AgentConfig(restart=Restart.ALWAYS), USUAL, "restart", False,
         "is not started again by itself when its container crashes"),
        (USUAL, AgentConfig(model="opus"), "model", False, "model: the agent CLI's own → opus"),
        (USUAL, AgentConfig(role="a\nb"), "role", False, "its role is now: a\\nb"),
        (AgentConfig(role="a"), USUAL, "role", False, "has no role of its own"),
    ],
    ids=range(41),
)  # fmt: skip
def test_each_change_is_one_plain_sentence(before: AgentConfig, after: AgentConfig, key: str, grows: bool, sentence: str) -> None:
    (change,) = changes(before, after)
    assert (change.key, change.grows, spelled(change)) == (key, grows, sentence)
    assert "hunter2" not in repr(change)


def test_the_dangerous_comes_first() -> None:
    before = AgentConfig(network=Network.NONE, send_to=(OPERATOR,), tools=Tools(allow=("Read", "Edit")))
    after = AgentConfig(
        role="r", model="opus", env={"A": "b"}, limits=AgentLimits(memory="8G", tasks=1),
        mounts=(BLOG_RO, Mount("/x", "/mnt/x", "rw")),
        build=("true",), mcp_servers={"x": McpServer("y")}, tools=Tools(allow=("Read", "Bash")),
    )  # fmt: skip
    found = changes(before, after)
    assert [change.key for change in found] == [
        "mounts", "mounts", "mcp_servers.x", "build", "network", "tools.allow", "env.A", "send_to", "limits.memory",
        "tools.allow", "limits.tasks", "model", "role",
    ]  # fmt: skip
    assert spelled(found[0]) == "mounts /x at /mnt/x, writable"
    assert [change.grows for change in found] == [True] * 9 + [False] * 4


def test_of_a_new_agent_all_that_it_is_given_is_said() -> None:
    said = [spelled(change) for change in changes(None, AgentConfig(mounts=(BLOG,), tools=Tools(allow=("Bash",)), model="opus"))]
    assert said == [
        "mounts /home/me/blog at /workspace/blog, writable", "network: open", "uses Bash without asking", "writes to: everybody",
        "memory: 4G", "processes and threads: 512", "minutes for a turn: 120", "model: opus", "has no role of its own",
    ]  # fmt: skip


def test_a_long_text_is_cut_and_says_so() -> None:
    (change,) = changes(USUAL, AgentConfig(build=("true; " * 1_000 + "rm -rf /workspace",)))
    assert change.after is not None
    assert len(change.after) < TEXT_MOST + 40
    assert change.after.endswith("… (5517 more characters)")


@given(CONFIGS, CONFIGS)
def test_no_change_goes_unsaid(before: AgentConfig, after: AgentConfig) -> None:
    assert not changes(before, before)
    found = changes(before, after)
    assert bool(found) == (before != after)
    for change in [*found, *changes(None, after)]:
        assert change.before is not None or change.after is not None
        sentence = spelled(change)
        assert "\n" not in sentence
        assert len(sentence) < 2 * TEXT_MOST + 200


@given(CONFIGS)
def test_who_gets_less_gets_nothing_more(before: AgentConfig) -> None:
    least = AgentConfig(
        send_to=(), network=Network.NONE, tools=Tools(allow=(), deny=before.tools.deny),
        limits=AgentLimits(memory="1M", tasks=1, turn_minutes=5e-324),
    )  # fmt: skip
    assert not any(change.grows for change in changes(before, least))
