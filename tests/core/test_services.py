"""Which services an agent may have of its own, and that nothing else of a unit file comes through."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperhive.core import agent_config, services
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Invalid

BRIDGE = """\
# A bridge.
[Unit]
Description=Bridge \\
  to matrix
After=network.target store.service
Requires=store.service

[Service]
Type=exec
ExecStartPre=-/bin/mkdir -p /state/x
ExecStart=@/opt/agent/bridge bridge --to "a b" $HOME
Environment=ROOM=blog "B=1 2"
Restart=always
; no more

[Install]
WantedBy=multi-user.target
"""
WRITTEN = """\
[Unit]
Description=Bridge    to matrix
After=network.target store.service
Requires=store.service

[Service]
Type=exec
ExecStartPre=-/bin/mkdir -p /state/x
ExecStart=@/opt/agent/bridge bridge --to "a b" $HOME
Environment=ROOM=blog "B=1 2"
Restart=always
WorkingDirectory=/workspace
"""
STORE = b"[Service]\nExecStart=store\nWorkingDirectory=/state\n"


def read(text: str | bytes, name: str = "units/x.service") -> str:
    (found,) = services.read({name: text if isinstance(text, bytes) else text.encode()}).values()
    return found


def test_a_unit_is_written_anew_from_what_may_stand_in_it() -> None:
    found = services.read({"units/store.service": STORE, "units/bridge.service": BRIDGE.encode()})
    assert found == {"bridge.service": WRITTEN, "store.service": "[Unit]\n\n" + STORE.decode()}
    assert list(found) == ["bridge.service", "store.service"]
    assert services.spelled(WRITTEN) == ('ExecStartPre: -/bin/mkdir -p /state/x; @/opt/agent/bridge bridge --to "a b" $HOME')


def test_what_was_written_is_read_as_itself_from_agent_json() -> None:
    found = services.read({"units/store.service": STORE, "units/bridge.service": BRIDGE.encode()})
    config = AgentConfig(services=found)
    assert agent_config.parse(agent_config.encode(config)) == config
    found["bridge.service"] += "User=root\n"
    with pytest.raises(Invalid, match=r"bridge.service, line 13: 'User'"):
        agent_config.parse(agent_config.encode(AgentConfig(services=found)))
    with pytest.raises(Invalid, match="not as they were written"):
        services.check({"store.service": "# as if\n" + services.read({"units/store.service": STORE})["store.service"]})


def service(*lines: str) -> str:
    return "\n".join(["[Service]", "ExecStart=/bin/true", *lines])


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        # As root, or as somebody else.
        ("[Service]\nExecStart=+/bin/sh", r"line 2: ExecStart cannot begin with '\+/bin/sh'", "-, @ or :"),
        ("[Service]\nExecStart=-!/bin/sh", "cannot begin with", "path"),
        ('[Service]\nExecStart="+/bin/sh"', "cannot begin with", "path"),
        ("[Service]\nExecStart=%h/x", "cannot begin with", "path"),
        ("[Service]\nExecStart=/bin/a ; +/bin/sh", "more than one command", "a line ExecStart="),
        ("[Service]\nExecStart=/bin/a \\\n x ; \\\n +/bin/sh", "more than one command", ""),
        (service("User=root"), "'User' may not stand in", "runs as the agent's user"),
        (service("DynamicUser=yes"), "'DynamicUser'", "agent's user"),
        (service("PermissionsStartOnly=yes"), "'PermissionsStartOnly'", "agent-toml.md"),
        (service("NoNewPrivileges=no"), "'NoNewPrivileges'", ""),
        (service("AmbientCapabilities=CAP_SYS_ADMIN"), "'AmbientCapabilities'", ""),
        # What systemd itself would read, write or give away.
        (service("EnvironmentFile=/etc/shadow"), "'EnvironmentFile'", "`Environment`"),
        (service("StandardOutput=truncate:/etc/x"), "'StandardOutput'", ""),
        (service("RuntimeDirectory=systemd"), "'RuntimeDirectory'", ""),
        (service("LoadCredential=a:/b"), "'LoadCredential'", ""),
        (service("BindPaths=/"), "'BindPaths'", ""),
        # The system's own units.
        ("[Unit]\nWants=ssh.service\n" + service(), "line 2: Wants names what is no service", "Wants=x.service"),
        ("[Unit]\nConflicts=dbus.socket\n" + service(), "Conflicts", ""),
        ("[Unit]\nAfter=ssh.service\n" + service(), "After names no target", "After=network.target"),
        ("[Unit]\nBefore=sysinit.target\n" + service(), "Before", ""),
        # What is none.
        ("ExecStart=/bin/true", "neither a section nor a setting", "[Service]"),
        ("[Socket]\nListenStream=1", "neither a section", "[Service]"),
        (service("[Service"), "neither", ""),
        (service("execstart=/bin/x"), "'execstart'", "did you mean `ExecStart`?"),
        (service("Wants=x.service"), "'Wants' may not stand in [Service]".replace("[", r"\["), "it stands in [Unit]"),
        ("[Unit]\nDescription=nothing", "starts nothing", "ExecStart="),
        ("[Service]\nExecStart=", "starts nothing", "ExecStart="),
        # A backslash at the end, written anew, would take the next line along.
        ("[Service]\nExecStart=/bin/true\nEnvironment=A=b\\\\\n\n", "ends with a backslash", ""),
        ("[Service]\nExecStart=/bin/t\x00rue", "control character", ""),
        (service("Environment=A=\x1b[2J"), "control character", ""),
        (service("Environment=A=b\rUser=root"), "control character", ""),
        (service("Environment=" + "x" * 4000), "too long", "script"),
        (b"[Service]\nExecStart=/bin/\xff", "not UTF-8", ""),
        (b"[Service]\nExecStart=/bin/true\n" + b"# \n" * 6000, "longer than 16 KiB", "script"),
    ],
)  # fmt: skip
def test_what_could_do_more_than_the_agents_user_is_refused(text: str | bytes, sentence: str, hint: str) -> None:
    with pytest.raises(Invalid, match=sentence) as refused:
        read(text)
    assert hint in (refused.value.hint or "")
    assert refused.value.message.startswith("units/x.service")


@pytest.mark.parametrize(
    "name",
    [
        "units/X.service",
        "units/x.timer",
        "units/x.socket",
        "units/a/b.service",
        "units/x@.service",
        "units/.service",
        "units/x.service/y",
    ],
)
def test_a_file_that_is_no_service_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="cannot be a unit"):
        read(STORE, name)


@pytest.mark.parametrize("name", ["systemd-journald", "systemd", "dbus", "dbus-broker", "hyperhive-cli", "user-x"])
def test_a_name_of_the_systems_own_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="the system's own") as refused:
        read(STORE, f"units/{name}.service")
    assert refused.value.hint == f"units/my-{name}.service"


def test_too_many_are_refused() -> None:
    with pytest.raises(Invalid, match="21 files; 20"):
        services.read({f"units/s{number}.service": STORE for number in range(21)})


def test_the_reference_names_every_setting() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/agent-toml.md").read_text(encoding="utf-8").partition("## Services")[2]
    for section in ("Unit", "Service"):
        (row,) = re.findall(rf"^\| `\[{section}\]` \| (.*) \|$", text, re.MULTILINE)
        named = re.findall(r"`(\w+)`", row)
        for key in named:
            value = "x.service" if key in (*services.OWN, "After") else "/bin/true"
            read(f"[{section}]\n{key}={value}\n{service()}")
        assert set(named) == set(services.ALLOWED[section])


LINES = st.one_of(
    st.sampled_from(
        ["[Service]", "[Unit]", "[Install]", "ExecStart=/bin/true", "\\", "#", "; +/bin/sh", "ExecStop=a ; +b", "User=root"]
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(["ExecStart", "ExecStartPre", "Environment", "Description", "After", "User", "Type"]),
        st.text(st.sampled_from(" ;+!\\\t\"'%$=-@:/ab\r\n"), max_size=12),
    ),
)


@given(st.lists(LINES, max_size=8).map("\n".join))
@example("[Service]\nExecStart=/bin/x \\\nDescription=a ; +/bin/sh")
@example("[Service]\nExecStart=/bin/x\\\\\nEnvironment=a ; +/bin/sh")
def test_whatever_comes_through_is_one_plain_setting_a_line(text: str) -> None:
    try:
        found = read(text)
    except Invalid:
        return
    # Nothing is joined and nothing commented when it is read again, and no program begins as root.
    assert read(found) == found
    for line in found.splitlines():
        assert not line.endswith("\\")
        assert not line.startswith(("#", ";"))
        key, _, value = line.partition("=")
        if key.startswith("Exec"):
            assert value.lstrip("-@:")[:1] not in ("+", "!", '"', "'", ";", "%")
            assert ";" not in value.split()


def test_systemd_reads_the_same(tmp_path: Path) -> None:
    for name, text in services.read({"units/store.service": STORE, "units/bridge.service": BRIDGE.encode()}).items():
        (tmp_path / name).write_text(
            text.replace("/opt/agent/bridge", "/bin/true").replace("ExecStart=store", "ExecStart=/bin/true")
        )
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "bridge.service")], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
