"""The code is linted, laid out in one way, and runs programs in one place."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ruff(*arguments: str, source: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments], cwd=ROOT, input=source, capture_output=True, text=True, check=False
    )


def test_nothing_is_left_to_lint() -> None:
    checked = ruff("check", "--output-format", "concise")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_layout_is_ruffs() -> None:
    checked = ruff("format", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "source", ["import subprocess", "from subprocess import run", "import os\n\nos.system('true')", "from os import popen"]
)
def test_only_one_module_may_run_programs(source: str) -> None:
    def check(path: str) -> int:
        return ruff("check", "--select", "TID251", "--stdin-filename", path, "-", source=source).returncode

    assert check("hyperhive/core/agents.py") == 1
    assert check("hyperhive/cli/agents.py") == 1
    assert check("hyperhive/core/process.py") == 0
