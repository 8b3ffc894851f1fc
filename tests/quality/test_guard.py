"""The guard around the real home holds."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.sandbox import Guard, RealHomeTouched, guarded_paths, memory

ROOT = Path(__file__).parents[2]


def test_the_environment_is_the_tests_own(real_home: Guard, home: Path) -> None:
    for variable in ("HOME", "TMPDIR", "CLAUDE_CONFIG_DIR", "HYPERHIVE_HOME"):
        path = os.environ[variable]
        assert path.startswith(f"{memory()}/hh-"), f"{variable}={path}"
        assert not any(path.startswith(guarded) for guarded in real_home.paths)
    assert os.environ["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert not [name for name in os.environ if name.startswith(("XDG_", "AWS_")) or name.endswith(("_KEY", "_TOKEN"))]


def test_a_hive_in_the_home_has_room_for_its_sockets(home: Path) -> None:
    longest = home / "state/run/agents" / ("a" * 31) / "mcp.sock"
    assert len(os.fsencode(longest)) <= 107


def test_other_users_can_walk_into_the_home(home: Path) -> None:
    assert all(folder.stat().st_mode & 0o001 for folder in (home, *home.parents))


def test_the_guarded_paths_are_those_of_the_account_and_of_the_environment() -> None:
    paths = guarded_paths({"HOME": "/h/me", "XDG_STATE_HOME": "/h/state", "CLAUDE_CONFIG_DIR": "/h/claude"}, "/h/account")
    assert {
        "/h/me/.claude", "/h/me/.config/hyperhive", "/h/account/.local/state/hyperhive", "/h/state/hyperhive", "/h/claude",
        "/var/lib/hyperhive", "/etc/hyperhive",
    } <= set(paths)  # fmt: skip


@pytest.mark.parametrize("folder", ["/var/lib/hyperhive", "/etc/hyperhive"])
def test_touching_a_guarded_path_is_refused(real_home: Guard, folder: str) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: Path(folder, "hive.toml").read_text(),
        lambda: os.mkdir(folder),
        lambda: os.rename("/tmp/hh-nothing", f"{folder}/hive.toml"),
        lambda: list(Path(folder).iterdir()),
        lambda: os.remove(os.fsencode(folder) + b"/hive.toml"),
    ]
    for attempt in attempts:
        with pytest.raises(RealHomeTouched):
            attempt()
    assert len(real_home.forget()) == len(attempts)


def run_tests(tmp_path: Path, guarded: Path, body: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a test of its own under the same conftest, with another folder as the real home."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *  # noqa: F403  # the same guard\n")
    (tmp_path / "test_it.py").write_text(f"import os, subprocess, sys, contextlib, pytest\n{body}\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "--confcutdir", tmp_path,
         "-p", "no:cacheprovider", tmp_path],
        cwd=ROOT, env={**os.environ, "HYPERHIVE_TESTS_GUARD": str(guarded), "HYPERHIVE_NO_SKIP": "0", **environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_test_that_swallows_the_refusal_fails(tmp_path: Path) -> None:
    guarded = tmp_path / "real"
    ran = run_tests(
        tmp_path, guarded, f"def test_it():\n    with contextlib.suppress(Exception):\n        open({str(guarded / 'x')!r})"
    )
    assert ran.returncode == 1
    assert f"touched the real home: ['open {guarded}/x']" in ran.stdout


def test_a_program_that_a_test_runs_cannot_change_the_real_home_unseen(tmp_path: Path) -> None:
    guarded = tmp_path / "real"
    ran = run_tests(tmp_path, guarded, f"def test_it():\n    subprocess.run(['mkdir', {str(guarded)!r}], check=True)")
    assert ran.returncode == 1
    assert f"{guarded} changed while the tests ran" in ran.stdout


def test_a_quiet_test_passes(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, tmp_path / "real", "def test_it():\n    pass")
    assert ran.returncode == 0, ran.stdout


def test_a_skip_is_named_with_its_reason(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, tmp_path / "real", "def test_it():\n    pytest.skip('no moon tonight')")
    assert ran.returncode == 0
    assert "test_it.py::test_it: no moon tonight" in ran.stdout
    assert "1 skipped" in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("body", ["def test_it():\n    pytest.skip('no moon tonight')", "pytest.importorskip('no_such_module')"])
def test_a_skip_is_a_failure_where_none_is_allowed(tmp_path: Path, body: str) -> None:
    ran = run_tests(tmp_path, tmp_path / "real", body, HYPERHIVE_NO_SKIP="1")
    assert ran.returncode != 0
    assert "was skipped, and nothing may be skipped here" in ran.stdout
