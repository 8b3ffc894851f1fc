"""`agent.toml` is read strictly, written whole, and changed without losing what people wrote around it."""

import contextlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperhive.core.agent_config import DEFAULT_TOOLS, AgentConfig, AgentLimits, McpServer, Mount, Tools
from hyperhive.core.agent_toml import FILE_MOST, allow_tool, read, write
from hyperhive.core.errors import Invalid
from hyperhive.core.model import Network
from tests.support.configs import CONFIGS, RULES

EXAMPLE = b"""
role = "You look after the blog."
model = "sonnet"
send_to = ["*"]
network = "open"
tools = { allow = ["Bash", "Edit", "Read", "Write"], deny = [] }
env = { TZ = "UTC" }
limits = { memory = "4G", tasks = 512, turn_minutes = 120 }
mounts = [{ source = "/home/me/blog", target = "/workspace/blog", mode = "rw" }]
build = ["npm ci --prefix /opt/agent"]
[mcp_servers.matrix]
command = "/opt/agent/bin/matrix-mcp"
allowed_tools = ["send_message", "join_room"]
"""


def test_what_it_says_holds() -> None:
    assert read(EXAMPLE) == (
        AgentConfig(
            role="You look after the blog.",
            model="sonnet",
            tools=Tools(allow=("Bash", "Edit", "Read", "Write")),
            env={"TZ": "UTC"},
            mounts=(Mount(source="/home/me/blog", target="/workspace/blog", mode="rw"),),
            build=("npm ci --prefix /opt/agent",),
            mcp_servers={"matrix": McpServer("/opt/agent/bin/matrix-mcp", allowed_tools=("send_message", "join_room"))},
        ),
        [],
    )
    assert read(b"") == (AgentConfig(), [])


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("rol = 'x'", "object contains unknown field `rol`", "did you mean `role`?"),
        ("[tools]\nalow = []", "tools: object contains unknown field `alow`", "did you mean `allow`?"),
        ("[mcp_servers.x]\ncomand = 'x'", "mcp_servers.x: object contains unknown field `comand`", "did you mean `command`?"),
        ("[mcp_servers.x]\nargs = []", "mcp_servers.x: object missing required field `command`", "[mcp_servers.matrix], and"),
        ("[[mounts]]\nsorce = '/a'", "mounts[0]: object contains unknown field `sorce`", "did you mean `source`?"),
        ("[limits]\nmemory = '4'", "limits.memory: ", 'memory = "512M", or "4G"'),
        ('[limits]\nmemory = "4G\\n"', "limits.memory: ", 'memory = "512M", or "4G"'),
        (f"limits.tasks = {'9' * 4_000}", "limits.tasks: ", "tasks = 512"),
        ("limits.turn_minutes = nan", "limits.turn_minutes: ", "turn_minutes = 120"),
        ("limits.turn_minutes = inf", "limits.turn_minutes: ", "turn_minutes = 120"),
        ("role = 2020-01-01", "role: expected `str`, got `date`", 'role = "'),
        ('role = "\\u0000"', "role: it holds a NUL", "leave it out"),
        ('role = "\\ud800"', "is not TOML: ", "edit "),
        (f"role = {'9' * 5_000}", "is not TOML: ", "edit "),
        ("network = 'opn'", "network: invalid enum value 'opn'", 'network = "open", or "none"'),
        ("restart = 'never'", "restart: invalid enum value 'never'", 'restart = "manager", or "always"'),
        ("model = 'a b'", "model: 'a b' cannot be a model's name", "opus, "),
        ("tools.allow = ['bash']", "tools.allow: there is no tool bash", "did you mean `Bash`?"),
        ("env = { LD_PRELOAD = 'x' }", "env: 'LD_PRELOAD' is not", "choose "),
        ("mounts = [{ source = '/a', target = '/usr' }]", "mounts: nothing can be mounted at '/usr'", "choose "),
        ("mounts = [{ source = '/a', target = '/opt//agent' }]", "mounts: nothing can be mounted at '/opt//agent'", "choose "),
        ("mcp_servers = 1", "mcp_servers: expected `object`", "[mcp_servers.matrix]"),
        ('mcp_servers."a\\u001b[2J".command = 1', "mcp_servers.a\\x1b[2J.command: expected `str`", "[mcp_servers.matrix]"),
        ("".join(f"k{number} = 1\n" for number in range(10_000)), "object contains unknown field `k0`", "known keys: "),
        (f"{'x' * 10_000} = 1", "object contains unknown field `xxx", "known keys: "),
        ("[env]\n" + "".join(f"K{number} = '1'\n" for number in range(10_000)), "env: more than 200", "at most 200"),
        ("a = " + "[" * 100_000, "is not TOML: its brackets are too deep", "edit "),
        # It would be read for minutes.
        ("env." + "a." * 120_000 + "a = 1", "a key has too many parts", "edit "),
        ('a = ["""x"""", {' + "a . " * 60_000 + "a = 1}]", "a key has too many parts", "edit "),
        ("a." * 60_000 + "'a' = '", "a key has too many parts", "edit "),
        ("#" * FILE_MOST + "#", "is longer than 256 KiB", "put "),
    ],
    ids=range(31),
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_key_and_what_was_meant(text: str, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as wrong:
        read(text.encode(), source="agents/ada/agent.toml")
    assert wrong.value.message.startswith("agents/ada/agent.toml")
    assert message in wrong.value.message
    assert wrong.value.hint is not None
    assert wrong.value.hint.startswith(hint)
    assert len(wrong.value.message) <= 300
    assert (wrong.value.message + wrong.value.hint).isprintable()


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Invalid, match=r"agent\.toml is not UTF-8: see its byte 8"):
        read(b"role = '\xff'")


def test_many_dots_in_a_text_are_no_long_key() -> None:
    dots = ".".join("ab" * 100)
    for text in (f'role = "{dots}"', f"role = '''\n{dots}''''", f'role = """\n\\""" {dots}""" # {dots}', f"# {dots}"):
        read(text.encode())


@pytest.mark.parametrize("server", ["command = 'x'", "", "comand = 1"])
def test_a_server_that_is_named_as_our_own_is_left_out_and_the_rest_stands(server: str) -> None:
    config, (warning,) = read(f"role = 'r'\n[mcp_servers.hyperhive]\n{server}\n[mcp_servers.b]\ncommand = 'y'".encode())
    assert config == AgentConfig(role="r", mcp_servers={"b": McpServer(command="y")})
    assert warning == "an MCP server may not be named hyperhive: left out"


# What is nearly right finds more than what is only bytes.
PIECES = st.sampled_from(
    ["role", "tools", "allow", "env", "limits", "memory", "mounts", "mcp_servers", "hyperhive", "command", "[", "]", "[[", "]]",
     "{", "}", ".", "=", ",", "\n", '"', "'", '"""', "'''", "\\u0000", "\\ud800", "\0", "\r", "#", "1", "-inf", "nan",
     "1979-05-27T07:32:00Z", "0x" + "f" * 40, "9" * 5_000, "true", '"4G"', '"x"', "é"]
)  # fmt: skip


@given(st.binary(max_size=200) | st.lists(PIECES, max_size=40).map(lambda pieces: " ".join(pieces).encode()))
def test_whatever_comes_in_is_read_or_refused(data: bytes) -> None:
    for what in (lambda: read(data), lambda: allow_tool(data, "Bash(x)")):
        with contextlib.suppress(Invalid):
            what()


@given(CONFIGS)
@example(AgentConfig(role="\n", env={"A": "\n\nx"}))
def test_what_is_written_is_read_the_same(config: AgentConfig) -> None:
    assert read(write(config)) == (config, [])


def keys_of(struct: type[msgspec.Struct]) -> list[str]:
    """What may stand in the file: services are files of their own."""
    return [field for field in struct.__struct_fields__ if field != "services"]


def test_services_are_no_key() -> None:
    with pytest.raises(Invalid, match="files of their own") as refused:
        read(b'[services]\n"x.service" = "[Service]"\n')
    assert refused.value.hint == "units/matrix-bridge.service"


def test_a_new_file_says_every_key_and_changes_nothing() -> None:
    text = write(AgentConfig()).decode()
    active = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert active == ["[tools]", "[env]", "[limits]"]
    for struct in (AgentConfig, Tools, AgentLimits, Mount, McpServer):
        for field in keys_of(struct):
            assert f"# {field} = " in text or f"[{field}]" in text or f"# [{field}." in text, field


def test_the_examples_of_a_new_file_are_right() -> None:
    # What opens with `key =` or a header behind the # is an example; the rest is what people read.
    lines = write(AgentConfig()).decode().splitlines()
    text = "\n".join(
        line.removeprefix("# ") if line.startswith(("# [", "# role =", "# source")) or " = " in line else line for line in lines
    )
    config, warnings = read(text.encode())
    assert (config.role, config.tools.deny, config.env, len(config.mounts), list(config.mcp_servers)) == (
        "You look after the blog.", ("WebSearch",), {"TZ": "UTC"}, 1, ["matrix"],
    )  # fmt: skip
    assert config.tools.allow == DEFAULT_TOOLS
    assert not warnings


def test_only_what_is_not_as_by_default_is_active() -> None:
    text = write(AgentConfig(role="a\nb", network=Network.NONE, limits=AgentLimits(turn_minutes=30))).decode()
    active = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert active == ['role = """', "a", 'b"""', 'network = "none"', "[tools]", "[env]", "[limits]", "turn_minutes = 30"]


def test_what_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(Invalid, match="is no text"):
        write(AgentConfig(role="a\ud800"))
    with pytest.raises(Invalid, match="is longer than 256 KiB"):
        write(AgentConfig(build=("a" * 32_000,) * 10))
    with pytest.raises(Invalid, match="model"):
        write(AgentConfig(model="-x"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('tools = { allow = ["Read"], deny = ["Bash"] } # why\n',
         'tools = { allow = ["Read", "Edit"], deny = ["Bash"] } # why\n'),
        ('[tools]\nallow = [\n  "Read", # why\n  "Bash",\n] # end\n\n# next\n[limits]\ntasks = 5\n',
         '[tools]\nallow = [\n  "Read", # why\n  "Bash",\n  "Edit",\n] # end\n\n# next\n[limits]\ntasks = 5\n'),
        ('[tools]\nallow = []\n', '[tools]\nallow = ["Edit"]\n'),
        ('tools.allow = ["Read"]\n# next\nrole = "x"\n', 'tools.allow = ["Read", "Edit"]\n# next\nrole = "x"\n'),
    ],
)  # fmt: skip
def test_a_tool_is_allowed_and_nothing_else_changes(before: str, after: str) -> None:
    assert allow_tool(before.encode(), "Edit").decode() == after


@pytest.mark.parametrize(
    "text",
    ["", "# only this\n", 'role = "x"\n', "[tools]", "[tools]\n", "[tools]\ndeny = []\n# next\n[limits]\n", "tools.deny = []\n",
     "tools = {}\n", '[mcp_servers.x]\ncommand = "y"\n', 'role = """\n[tools]\n"""\n', "[tools]\r\ndeny = []\r\n[limits]\r\n"],
)  # fmt: skip
def test_without_a_list_it_starts_from_the_defaults(text: str) -> None:
    before, _ = read(text.encode())
    changed = allow_tool(text.encode(), "Bash(npm test:*)")
    after, _ = read(changed)
    tools = Tools(allow=(*DEFAULT_TOOLS, "Bash(npm test:*)"), deny=before.tools.deny)
    assert after == msgspec.structs.replace(before, tools=tools)
    kept = iter(changed.decode().splitlines())
    # Each line is still there, in the same order; an inline table has grown.
    assert all(any(line.rstrip("}") in other for other in kept) for line in text.splitlines())


def test_a_comment_after_the_last_rule_does_not_break_the_list() -> None:
    changed = allow_tool(b'[tools]\nallow = [\n  "Read"\n  # last\n]\n', "Edit")
    assert set(read(changed)[0].tools.allow) == {"Read", "Edit"}
    assert b"# last" in changed


def test_a_tool_that_is_allowed_already_changes_nothing() -> None:
    assert allow_tool(EXAMPLE, "Read") == EXAMPLE
    assert allow_tool(b"", "Read") == b""


def test_a_tool_is_not_allowed_in_what_cannot_be_read_and_not_by_a_bad_rule() -> None:
    with pytest.raises(Invalid, match="unknown field"):
        allow_tool(b"rol = 1", "Read")
    with pytest.raises(Invalid, match="is no rule about a tool"):
        allow_tool(b"", "Read,Bash")


@given(CONFIGS, RULES)
def test_a_tool_is_allowed_in_every_written_file(config: AgentConfig, rule: str) -> None:
    before = write(config)
    changed = allow_tool(before, rule)
    allow = config.tools.allow if rule in config.tools.allow else (*config.tools.allow, rule)
    expected = msgspec.structs.replace(config, tools=msgspec.structs.replace(config.tools, allow=allow))
    assert read(changed) == (expected, [])
    assert [line for line in before.splitlines() if line.startswith(b"#")] == [
        line for line in changed.splitlines() if line.startswith(b"#")
    ]


REFERENCE = (Path(__file__).parents[2] / "docs/reference/agent-toml.md").read_text(encoding="utf-8")


def test_the_reference_has_every_key_with_its_default() -> None:
    sections = {text.partition("\n")[0]: text for text in re.split("^## ", REFERENCE, flags=re.MULTILINE)}
    # What must be given is empty here.
    usual: dict[str, msgspec.Struct] = {
        "At the top": AgentConfig(), "tools": Tools(), "limits": AgentLimits(), "mounts": Mount("", ""),
        "mcp_servers": McpServer(""),
    }  # fmt: skip
    for section, value in usual.items():
        rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", sections[section], re.MULTILINE)
        assert [key for key, _ in rows] == keys_of(type(value))
        for key, default in rows:
            if default.startswith("`"):
                given = tomllib.loads(f"x = {default.strip('`')}")["x"]
                assert given == msgspec.to_builtins(getattr(value, key)) or given == list(getattr(value, key)), key
            elif default == "must be given":
                assert getattr(value, key) == "", key
            else:
                assert default == "see below" or getattr(value, key) is None, key


def test_the_example_of_the_reference_is_read() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    config, warnings = read(example.encode())
    assert not warnings
    assert {field for field in keys_of(AgentConfig) if getattr(config, field) == getattr(AgentConfig(), field)} == {
        "network", "restart", "limits",
    }  # fmt: skip


def test_who_only_reads_does_not_import_what_writes() -> None:
    program = "import sys; from hyperhive.core import agent_toml; agent_toml.read(b''); print('tomlkit' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
