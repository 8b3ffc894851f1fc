"""Setting up a clone: what is done, what is done only once, what is said when it cannot be done."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("bash", "env", "dirname", "cat", "id", "sha256sum", "rm", "mkdir", "chmod")


class Clone:
    """A clone of the two files that matter, on a machine that has only the programs it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder / "clone", folder / "bin", folder / "log"
        (self.folder / "tools").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "tools/setup", self.folder / "tools/setup")
        shutil.copy(ROOT / "pyproject.toml", self.folder / "pyproject.toml")
        for program in NEEDED:
            found = shutil.which(program)
            assert found is not None
            (self.bin / program).symlink_to(found)

    def program(self, name: str, script: str = "exit 0", *, folder: Path | None = None) -> None:
        """Put a program on this machine that writes down how it was called."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.log}\n{script}\n')
        path.chmod(0o755)

    def setup(self, **environ: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        return subprocess.run(
            [self.folder / "tools/setup"],
            env={"PATH": str(self.bin), "HOME": os.environ["HOME"], **environ},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def calls(self, start: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(start)]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A machine with everything but a virtual environment."""
    clone = Clone(tmp_path)
    for program in ("bwrap", "socat", "git", "systemd-nspawn"):
        clone.program(program)
    # A python whose `-m venv` makes an environment with a python like itself.
    clone.program(
        "python3", 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cat "$0" >"$3/bin/python"; chmod +x "$3/bin/python"; fi'
    )
    return clone


def test_the_packages_are_installed_once_for_each_list_of_them(clone: Clone) -> None:
    first, installed_first = clone.setup(), clone.calls("python3 -m pip install")
    again, installed_again = clone.setup(), clone.calls("python3 -m pip install")
    assert first.returncode == again.returncode == 0
    assert len(installed_first) == 1
    assert installed_first[0].endswith("--editable .[claude,dev,web]")
    assert not installed_again
    assert again.stderr == ""
    with (clone.folder / "pyproject.toml").open("a") as file:
        file.write("# another dependency\n")
    clone.setup()
    assert len(clone.calls("python3 -m pip install")) == 1


def test_an_installation_that_failed_is_tried_again(clone: Clone) -> None:
    working = (clone.bin / "python3").read_text()
    clone.program("python3", working + '\n[ "$2" != pip ]')
    assert clone.setup().returncode != 0
    clone.program("python", working, folder=clone.folder / ".venv/bin")
    assert clone.setup().returncode == 0
    assert clone.calls("python -m pip install")


def test_an_old_python_is_refused(clone: Clone) -> None:
    clone.program("python3", 'case "$*" in *version_info*) exit 1;; --version) echo Python 3.9.2;; esac')
    ran = clone.setup()
    assert ran.returncode == 1
    assert "Python 3.11 or newer is needed, found Python 3.9.2" in ran.stderr


def test_a_newer_python_is_found_beside_an_old_one(clone: Clone) -> None:
    (clone.bin / "python3").rename(clone.bin / "python3.12")
    clone.program("python3", 'case "$*" in *version_info*) exit 1;; esac')
    assert clone.setup().returncode == 0


def test_the_python_that_is_asked_for_is_taken_or_refused(clone: Clone) -> None:
    ran = clone.setup(PYTHON="python9")
    assert ran.returncode == 1
    assert "python9 is missing or older than Python 3.11" in ran.stderr


def test_a_python_without_venv_is_said_with_what_to_install(clone: Clone) -> None:
    clone.program("python3", 'case "$*" in *ensurepip*) exit 1;; *print*) echo python3.11;; esac')
    ran = clone.setup()
    assert ran.returncode == 1
    assert "sudo apt-get install python3.11-venv" in ran.stderr


def test_missing_programs_are_named_where_they_cannot_be_installed(clone: Clone) -> None:
    for program in ("bwrap", "socat"):
        (clone.bin / program).unlink()
    ran = clone.setup()
    assert ran.returncode == 0
    assert "please install: bubblewrap socat (on Debian and Ubuntu: sudo apt-get install bubblewrap socat)" in ran.stderr


@pytest.mark.root
def test_a_program_is_installed_by_the_name_of_its_package(clone: Clone) -> None:
    (clone.bin / "systemd-nspawn").unlink()
    clone.program("apt-get")
    assert clone.setup().returncode == 0
    assert [call.split()[-1] for call in clone.calls("apt-get")] == ["systemd-container"]


@pytest.mark.root
def test_a_browser_is_installed_only_where_no_test_may_be_skipped(clone: Clone) -> None:
    clone.program("apt-get")
    assert clone.setup().returncode == 0
    assert clone.calls("apt-get") == []
    assert clone.setup(HYPERHIVE_NO_SKIP="1").returncode == 0
    assert [call.split()[-1] for call in clone.calls("apt-get")] == ["chromium"]


@pytest.mark.root
def test_root_installs_missing_programs_by_apt(clone: Clone) -> None:
    (clone.bin / "socat").unlink()
    clone.program("apt-get", 'case "$*" in *update*) >lists;; *) [ -e lists ];; esac')
    ran = clone.setup()
    assert ran.returncode == 0
    assert [call.split()[-1] for call in clone.calls("apt-get")] == ["socat", "update", "socat"]
    assert all("DPkg::Lock::Timeout=300" in call for call in clone.calls("apt-get"))


@pytest.mark.root
def test_an_apt_that_fails_ends_as_a_clear_line(clone: Clone) -> None:
    (clone.bin / "socat").unlink()
    clone.program("apt-get", "exit 100")
    ran = clone.setup()
    assert ran.returncode == 0
    assert "please install: socat" in ran.stderr
