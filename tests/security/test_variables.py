"""No variable that an agent is given makes the host load its code as root."""

from pathlib import Path

import pytest

from hyperhive.core.agent_config import check_env
from hyperhive.core.config import read_settings
from hyperhive.core.errors import Invalid

BY_THE_LOADER = (
    "LD_AUDIT",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "MALLOC_TRACE",
)


@pytest.mark.parametrize("name", [*BY_THE_LOADER, "HOME", "PATH", "HYPERHIVE_BOX"])
def test_what_the_loader_reads_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=name):
        check_env({name: "/workspace/evil.so"})


def test_the_settings_are_checked_too(home: Path) -> None:
    file = home / "hive.toml"
    file.write_text('[claude]\nenv = { LD_AUDIT = "/tmp/x.so" }\n', encoding="utf-8")
    with pytest.raises(Invalid, match="LD_AUDIT"):
        read_settings(file)


def test_ordinary_variables_pass() -> None:
    check_env({"TZ": "UTC", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "LANG": "C.UTF-8", "LC_ALL": "C"})
