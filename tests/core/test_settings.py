"""What is wrong in `hive.toml` or `agent.json` is named with its file and key, and never a dead agent."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from hyperhive.core import agent_config, agent_toml, builds
from hyperhive.core.agent_config import AgentConfig, McpServer, Mount, Tools, check_env, decode, encode, parse_mount
from hyperhive.core.config import Settings, read_settings
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Network
from tests.core.hives import ADA
from tests.support.configs import CONFIGS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hive.toml"


# ---- hive.toml ----


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert read_settings(file) == Settings()
    assert Settings().places() >= 2


def test_what_it_says_holds(file: Path) -> None:
    file.write_text(
        'max_active = 3\nlinger_seconds = 0\n[claude]\ncommand = ["claude", "-v"]\nenv = { A = "b" }\n', encoding="utf-8"
    )
    read = read_settings(file)
    assert (read.places(), read.linger_seconds, read.claude.command, read.claude.env) == (3, 0, ("claude", "-v"), {"A": "b"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("max_activ = 3", "object contains unknown field `max_activ`", "did you mean `max_active`?"),
        ("zzz = 3", "object contains unknown field `zzz`", "known keys: "),
        ("[claude]\ncomand = []", "claude: object contains unknown field `comand`", "did you mean `command`?"),
        ('max_active = "3"', "max_active: expected `int`, got `str`", "edit "),
        ("max_active = -1", "max_active: expected `int` >= 0", "edit "),
        ("permission_seconds = -1", "permission_seconds: expected `float` >= 0.0", "edit "),
        ("linger_seconds = -0.5", "linger_seconds: expected `float` >= 0.0", "edit "),
        ("linger_seconds = inf", "linger_seconds: expected `float` <= 604800.0", "edit "),
        ("linger_seconds = nan", "linger_seconds: expected `float` >= 0.0", "edit "),
        ("uid_base = 0", "uid_base: expected `int` >= 65536", "edit "),
        ("uid_base = 4294967296", "uid_base: expected `int` <= ", "edit "),
        ("[limits]\ninbox = 0", "limits.inbox: expected `int` >= 1", "edit "),
        ("[claude.env]\nA = 1", "claude.env[...]: expected `str`, got `int`", "edit "),
        ("max_active = ", "is not TOML: Invalid value (at end of document)", "edit "),
        ("a = " + "[" * 100_000, "is not TOML: its brackets are too deep", "edit "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_key(file: Path, text: str, message: str, hint: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Invalid) as wrong:
        read_settings(file)
    assert wrong.value.message.startswith(str(file))
    assert message in wrong.value.message
    assert wrong.value.hint is not None
    assert wrong.value.hint.startswith(hint)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    file.write_bytes(b"a = '\xff'")
    with pytest.raises(Unavailable, match="cannot be read"):
        read_settings(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(Unavailable, match="Is a directory"):
        read_settings(file)


# ---- agent.json ----


@given(CONFIGS)
@settings(database=None)
def test_what_is_written_is_read_the_same(config: AgentConfig) -> None:
    assert decode(encode(config)) == (config, [])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"rol": ""}', b'{"role": 1}', b"[" * 100_000, b'{"network": "some"}',
        b'{"limits": {"turn_minutes": 0}}', b'{"limits": {"turn_minutes": 1e300}}', b'{"limits": {"tasks": -1}}',
        b'{"env": {"LD_PRELOAD": "x"}}', b'{"env": {"A=B": "x"}}', b'{"model": "-x"}',
        b'{"mounts": [{"source": "../x", "target": "/mnt/x"}]}', b'{"mounts": [{"source": "/x", "target": "/usr"}]}',
        b'{"limits": {"memory": "4G\\n"}}', b'{"tools": {"allow": ["bash"]}, "mcp_servers": {"x": 1}}',
    ],
)  # fmt: skip
def test_what_is_damaged_means_the_least_and_a_warning(data: bytes) -> None:
    config, (warning,) = decode(data)
    assert config == AgentConfig(send_to=(OPERATOR,), network=Network.NONE)
    assert warning.startswith("its configuration is damaged and not used: ")
    with pytest.raises(Invalid):
        agent_config.parse(data)


def test_a_server_that_is_named_as_our_own_is_left_out_and_the_rest_stands() -> None:
    servers = {"hyperhive": McpServer(command="x"), "other": McpServer(command="y")}
    config, (warning,) = decode(encode(AgentConfig(role="r", mcp_servers=servers)))
    assert (config.role, list(config.mcp_servers)) == ("r", ["other"])
    assert "hyperhive" in warning


@pytest.mark.parametrize(
    "servers",
    ["1", "[]", '{"x": 1}', '{"x": {}}', '{"x": {"command": ""}}', '{"x": {"command": "y", "more": 1}}',
     '{"a__b": {"command": "x"}}'],
)  # fmt: skip
def test_damaged_servers_mean_none_and_the_rest_stands(servers: str) -> None:
    data = f'{{"role": "r", "network": "none", "tools": {{"deny": ["Bash"]}}, "mcp_servers": {servers}}}'.encode()
    config, (warning,) = decode(data)
    assert config == AgentConfig(role="r", network=Network.NONE, tools=Tools(deny=("Bash",)))
    assert warning.startswith("its MCP servers are damaged and not used: mcp_servers") or "`$.mcp_servers" in warning


# What is refused in either file: the configuration, and the key that is said.
REFUSED: list[tuple[AgentConfig, str]] = [
    *((AgentConfig(tools=Tools(allow=(rule,))), "tools.allow: ") for rule in (
        "", " ", "Bash,Edit", "Bash Edit", "-x", "--model", "Bash(", "Bash()", "Bash(a)b", "Bash(a(b))", "Bash(a\nb)",
        "Bash(a\x85)", "(a)", "a\nb", "Bash(" + "a" * 200 + ")", "bash", "WEBFETCH(x)", "é",
    )),
    (AgentConfig(tools=Tools(deny=("read",))), "tools.deny: "),
    (AgentConfig(tools=Tools(allow=("Read" * 40,) * 1_000)), "tools.allow: "),
    (AgentConfig(role="a\0"), "role: "),
    (AgentConfig(role="é" * 40_000), "role: "),
    (AgentConfig(model="-x"), "model: "),
    (AgentConfig(send_to=("Ada",)), "send_to: "),
    (AgentConfig(send_to=("",)), "send_to: "),
    (AgentConfig(send_to=("hive",)), "send_to: "),
    (AgentConfig(env={"LD_PRELOAD": "x"}), "env: "),
    (AgentConfig(env={"A": "x" * 40_000}), "env: "),
    (AgentConfig(env={f"A{number}": "x" * 1_000 for number in range(100)}), "env: "),
    (AgentConfig(env={f"A{number}": "x" for number in range(201)}), "env: "),
    (AgentConfig(mounts=(Mount(source="x", target="/mnt/x"),)), "mounts: "),
    (AgentConfig(mounts=(Mount(source="/x", target="/mnt/x", mode="rwx"),)), "mounts: "),
    (AgentConfig(mounts=(Mount(source="/x", target="/mnt/" + "x" * 5_000),)), "mounts: "),
    (AgentConfig(mounts=(Mount(source="/x", target="/mnt/x"),) * 101), "mounts: "),
    (AgentConfig(build=("",)), "build: "),
    (AgentConfig(build=("a\0",)), "build: "),
    (AgentConfig(build=("true",) * 51), "build: "),
    *((AgentConfig(mcp_servers={name: McpServer(command="x")}), "mcp_servers: ") for name in (
        "", "a b", "a__b", "a_", "é", "a" * 65, "a\n", "hyperhive__x",
    )),
    *((AgentConfig(mcp_servers={"x": server}), "mcp_servers.x: ") for server in (
        McpServer(command=""), McpServer(command="a\0"), McpServer(command="a", args=("\0",)),
        McpServer(command="a", args=("x",) * 201), McpServer(command="a", env={"HOME": "x"}),
        *(McpServer(command="a", allowed_tools=(tool,)) for tool in ("", "a,b", "a*", "**", "a b", "a\n", "a" * 129)),
    )),
    (AgentConfig(mcp_servers={f"x{number}": McpServer(command="x") for number in range(101)}), "mcp_servers: "),
    (AgentConfig(mcp_servers={"x": McpServer(command="x", allowed_tools=("a" * 100,) * 1_000)}), "mcp_servers: "),
]  # fmt: skip


@pytest.mark.parametrize(("config", "key"), REFUSED, ids=range(len(REFUSED)))
def test_what_no_agent_can_have_is_refused_with_its_key(config: AgentConfig, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        agent_config.parse(encode(config))
    assert refused.value.message.startswith(key)
    assert len(refused.value.message) < 500
    assert refused.value.hint
    with pytest.raises(Invalid, match=re.escape(key)):
        agent_toml.write(config)


def test_a_configuration_of_an_earlier_version_is_read() -> None:
    data = b"""{"role": "r", "model": null, "send_to": ["*"], "network": "open", "tools": {"allow": ["Bash"], "deny": []},
        "env": {}, "limits": {"tasks": 512, "turn_minutes": 120.0}, "mounts": [], "mcp_servers": {}}"""
    assert decode(data) == (AgentConfig(role="r", tools=Tools(allow=("Bash",))), [])


def test_what_is_no_text_is_not_written() -> None:
    with pytest.raises(Invalid, match="is no text"):
        encode(AgentConfig(role="a\ud800"))


def test_a_build_is_there_whole_and_the_hosts_own(empty: Hive) -> None:
    file = builds.write_build(empty, ADA, 3, AgentConfig(role="r"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["agent.json"]
    assert builds.config_of(empty, ADA, 3)[0].role == "r"
    assert builds.config_of(empty, ADA, 4)[0].send_to == (OPERATOR,)


def test_a_build_that_cannot_be_written_is_named(empty: Hive) -> None:
    empty.paths.builds(ADA).write_text("in the way", encoding="utf-8")
    with pytest.raises(Unavailable, match="cannot be written"):
        builds.write_build(empty, ADA, 3, AgentConfig())


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/workspace/a", Mount(source="/a", target="/workspace/a", mode="ro")),
        ("/a:/mnt/a:rw", Mount(source="/a", target="/mnt/a", mode="rw")),
    ],
)
def test_a_mount_is_read_from_one_word(text: str, mount: Mount) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    "text",
    ["", "/a", "a:/mnt/a", "/a:mnt/a", "/a:/mnt/a:x", "/a:/mnt/../etc", "/a/../b:/mnt/a", "/a:/workspace", "/a:/mnt/",
     "/a:/etc/x", "/a:/state/x", "/a\0:/mnt/a", "/a:/mnt/a:rw:ro"],
)  # fmt: skip
def test_a_mount_that_hides_or_climbs_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_mount(text)
    assert refused.value.hint


@pytest.mark.parametrize(
    "key", ["", "1A", "A B", "A=B", "HOME", "PATH", "LD_PRELOAD", "NODE_OPTIONS", "CLAUDE_CONFIG_DIR", "Ä", "A\n"]
)
def test_a_variable_that_would_change_what_runs_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        check_env({key: "x"})
    with pytest.raises(Invalid):
        check_env({"FINE": "a\0b"})
