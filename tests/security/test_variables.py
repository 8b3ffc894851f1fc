"""No variable that an agent is given makes the host load its code as root."""

from pathlib import Path

import pytest

from hyperhive.core import roster, spawning
from hyperhive.core.agent_config import AgentConfig, check_env, decode
from hyperhive.core.config import read_settings
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import open_hive
from hyperhive.core.model import OPERATOR, AgentName, Network

BY_THE_LOADER = (
    "LD_AUDIT",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "MALLOC_TRACE",
    "SHELLOPTS",
    "PS4",
)


@pytest.mark.parametrize("name", [*BY_THE_LOADER, "HOME", "PATH", "HYPERHIVE_BOX"])
def test_what_the_loader_or_the_shell_reads_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=name):
        check_env({name: "/workspace/evil.so"})


def test_the_settings_are_checked_too(home: Path) -> None:
    file = home / "hive.toml"
    file.write_text('[claude]\nenv = { LD_AUDIT = "/tmp/x.so" }\n', encoding="utf-8")
    with pytest.raises(Invalid, match="LD_AUDIT"):
        read_settings(file)


def test_ordinary_variables_pass() -> None:
    check_env({"TZ": "UTC", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "LANG": "C.UTF-8", "LC_ALL": "C"})


def test_what_the_reader_would_refuse_is_not_spawned(home: Path) -> None:
    # Else the agent would live with the fallback for a damaged configuration, and not with what was asked for.
    hive = open_hive({"HYPERHIVE_HOME": str(home)})
    with pytest.raises(Invalid, match="1X"):
        spawning.spawn(
            hive, AgentName("ada"), config=AgentConfig(env={"1X": "1"}, network=Network.NONE), runtime="host", by=OPERATOR
        )
    assert not roster.listed(hive, everything=True)
    hive.close()


def test_a_damaged_configuration_opens_no_network() -> None:
    config, warnings = decode(b"{")
    assert config.network is Network.NONE
    assert warnings
