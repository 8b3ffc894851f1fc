"""What is installed is whole."""

import subprocess
import sys
import zipfile
from pathlib import Path

import hyperhive

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hyperhive"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    package = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert "hyperhive/py.typed" in package
    assert package <= names
    assert not [name for name in names if not name.startswith(("hyperhive/", f"hyperhive-{hyperhive.__version__}.dist-info/"))]
    assert "hyperhive = hyperhive.cli.main:main" in entry_points
