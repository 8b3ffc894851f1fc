"""Git by hand: what a person, or somebody hostile, would do in a repository."""

import hashlib
import os
import subprocess
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from hyperhive.core import applied
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

ADA, MONA = AgentName("ada"), AgentName("mona")
AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def git(repository: Path, *words: str, stdin: bytes | None = None, **env: str) -> str:
    """Run git and give back what it printed, without the last line break."""
    done = subprocess.run(
        ["git", *words], cwd=repository, input=stdin, capture_output=True, timeout=60, check=False,
        env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def write(hive: Hive, files: Mapping[str, bytes], *, parent: str | None = None, message: str = "Change it") -> str:
    """A commit in ada's applied repository."""
    return applied.write_commit(hive, ADA, files, parent=parent, message=message, author="mona", at=AT)


def put(repository: Path, kind: str, data: bytes) -> str:
    """Write any object, also one that git itself would refuse to write."""
    whole = b"%s %d\0%s" % (kind.encode(), len(data), data)
    object_id = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    objects = repository / "objects" if (repository / "objects").is_dir() else repository / ".git/objects"
    file = objects / object_id[:2] / object_id[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(whole))
    return object_id


def put_tree(repository: Path, *entries: tuple[str, bytes, str]) -> str:
    """Write a tree of (mode, name, id), in the order that is given."""
    return put(
        repository, "tree", b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(one)) for mode, name, one in entries)
    )


def put_commit(
    repository: Path, tree: str, *parents: str, message: bytes = b"by hand\n", who: bytes = b"Eve <e@e> 1 +0000"
) -> str:
    """Write a commit of any tree."""
    lines = [b"tree %s" % tree.encode(), *(b"parent %s" % parent.encode() for parent in parents)]
    return put(repository, "commit", b"\n".join([*lines, b"author " + who, b"committer " + who, b"", message]))
