"""Writes the files of a commit into a folder of the host's own, as they are in it."""

import contextlib
import os
from pathlib import Path
from typing import Final

from hyperhive.core import beneath, git
from hyperhive.core.errors import Conflict, Unavailable
from hyperhive.core.git_objects import read_files
from hyperhive.core.git_trees import BYTES_MOST, RUNNABLE, Entry

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_files(repository: Path, entries: list[Entry], folder: Path) -> None:
    """Write checked entries below `folder`, which appears when it is whole.

    Neither archive nor checkout: those let attributes of the tree act, which leave files out and run filters. Raises
    `Conflict` when the folder is there, `Unavailable` when the disk does not take it.
    """
    if os.path.lexists(folder):
        raise Conflict(f"{folder} is there already", hint=f"ls -la {folder}")
    contents = read_files(repository, [entry.id for entry in entries], most=BYTES_MOST)
    new = folder.with_name(f".{folder.name}.new")
    try:
        beneath.remove(new.parent, new.name)
        new.mkdir()
        new.chmod(0o755)
        made = {"": new}
        # Links last: then no file can be written through one.
        for entry in sorted(entries, key=lambda entry: entry.is_link):
            _write(_folder(made, entry.path.rpartition("/")[0]) / entry.path.rpartition("/")[2], entry, contents[entry.id])
        for made_folder in made.values():
            git.sync(made_folder)
        new.rename(folder)
        git.sync(folder.parent)
    except OSError as error:
        with contextlib.suppress(Unavailable):
            beneath.remove(new.parent, new.name)
        raise Unavailable(f"{folder} cannot be written: {error.strerror}", hint=f"df -h {folder.parent}") from None


def _folder(made: dict[str, Path], path: str) -> Path:
    if path not in made:
        folder = _folder(made, path.rpartition("/")[0]) / path.rpartition("/")[2]
        folder.mkdir()
        folder.chmod(0o755)
        made[path] = folder
    return made[path]


def _write(file: Path, entry: Entry, data: bytes) -> None:
    if entry.is_link:
        os.symlink(data, os.fsencode(file))
        return
    with open(os.open(file, _NEW, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fchmod(out.fileno(), 0o755 if entry.mode == RUNNABLE else 0o644)
        os.fsync(out.fileno())
