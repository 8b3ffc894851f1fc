"""What is wrong in `hive.toml` or `agent.json` is named with its file and key, and never a dead agent."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.core import agent_config, builds
from hyperhive.core.agent_config import AgentConfig, AgentLimits, McpServer, Mount, check_env, decode, encode, parse_mount
from hyperhive.core.config import Settings, read_settings
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Network
from tests.core.hives import ADA


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

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.builds(
        AgentConfig,
        role=TEXT,
        model=st.none() | st.sampled_from(["opus", "claude-x[1m]"]),
        send_to=st.lists(TEXT).map(tuple),
        network=st.sampled_from(Network),
        env=st.dictionaries(st.sampled_from(["A", "B_1"]), TEXT.filter(lambda text: "\0" not in text)),
        limits=st.builds(AgentLimits, tasks=st.integers(1, 10**6), turn_minutes=st.floats(0.01, 10_080)),
        mounts=st.lists(st.just(Mount(source="/srv/x", target="/mnt/x", mode="rw"))).map(tuple),
        mcp_servers=st.dictionaries(TEXT.filter(lambda name: name != "hyperhive"), st.builds(McpServer, command=TEXT)),
    )
)
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
