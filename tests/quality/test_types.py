"""The types are strict, with nothing left over."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_types_are_strict() -> None:
    checked = mypy()
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("def f(x): return x", "no-untyped-def"),
        ("class A:\n    def f(self) -> None: ...\nclass B(A):\n    def f(self) -> None: ...", "explicit-override"),
        ("x: int = 'a'  # type: ignore", "ignore-without-code"),
    ],
)
def test_the_checker_is_as_strict_as_it_says(tmp_path: Path, source: str, code: str) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(source)
    checked = mypy(str(file))
    assert checked.returncode == 1
    assert f"[{code}]" in checked.stdout
