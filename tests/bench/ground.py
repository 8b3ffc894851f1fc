"""Where the measurements happen: a folder of their own, and nothing of whoever runs them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def ground() -> Iterator[Path]:
    """A folder that ends with the measurements. This process keeps no variable of its caller's but PATH and LANG."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    # Short, for a unix socket's path holds 107 bytes; open to walk through, for agents have users of their own.
    base = Path(tempfile.mkdtemp(prefix="hh-", dir="/tmp"))
    try:
        base.chmod(0o755)
        os.environ.clear()
        os.environ.update({**kept, "HOME": str(base), "TMPDIR": str(base), "HYPERHIVE_HOME": str(base / "no-hive")})
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def apart(log: Path) -> Iterator[IO[str]]:
    """What the hive's processes say on standard error goes to a file; gives the real standard error."""
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8") as real, log.open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield real
        finally:
            os.dup2(real.fileno(), 2)


def folder(base: Path, name: str) -> Path:
    """A new folder for one hive."""
    made = base / name
    made.mkdir(mode=0o755)
    return made
