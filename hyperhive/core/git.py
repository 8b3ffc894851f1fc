"""How the host runs git: in repositories of its own, with nobody's settings, reading no more than it asked for."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hyperhive.core import beneath, process
from hyperhive.core.errors import CommandFailed, Invalid, Unavailable
from hyperhive.core.output import Output, collect

MAIN: Final = "refs/heads/main"
# The tree without files; every git knows it, also where it was never written.
EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# What lies in a repository under this beginning is only needed while something runs.
SCRATCH: Final = "scratch-"
_MOST: Final = 16 * 1024**2
_ID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PART_OF_ID: Final = re.compile(r"[0-9a-f]{4,63}")

ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    # Attributes choose drivers, and can call a file binary: a tree's own must count nowhere (gitattributes(5)).
    "core.attributesFile=/dev/null",
    f"attr.tree={EMPTY_TREE}",
    "protocol.allow=never",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsync=all",
    "core.quotePath=false",
    # So that a limit on memory is kept without failing on what is in order.
    "core.bigFileThreshold=16m",
    "core.packedGitWindowSize=32m",
    "core.packedGitLimit=256m",
    "core.deltaBaseCacheLimit=32m",
    "pack.threads=1",
)


def full_id(text: str) -> str:
    """A commit's id, whole and in small letters. Raises `Invalid` for anything else, also for a part of one."""
    word = text.strip().lower() if len(text) <= 100 else ""
    if _ID.fullmatch(word):
        return word
    shown = ascii(text if len(text) <= 64 else f"{text[:64]}…")
    what = "only a part of a commit's id" if _PART_OF_ID.fullmatch(word) else "no commit's id"
    raise Invalid(f"{shown} is {what}", hint="give the whole id: git rev-parse HEAD")


def words(repository: Path, command: Sequence[str], *, settings: Sequence[str] = ()) -> list[str]:
    """The words of a git command in a repository of the host's own."""
    chosen = (word for setting in (*_SETTINGS, *settings) for word in ("-c", setting))
    return ["git", f"--git-dir={repository}", *chosen, *command]


def run(
    repository: Path,
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    most: int = _MOST,
    timeout: float = 60.0,
) -> bytes:
    """Run git to its end and give back all that it printed.

    Raises `Invalid` for more than `most` bytes, `CommandFailed`, `Expired`, `Unavailable`.
    """
    said = begin(repository, command, stdin=stdin, env=env, most=most, timeout=timeout)
    if not said.is_whole:
        raise Invalid(f"git {command[0]} has more to say than {most} bytes")
    return said.stdout


def begin(
    repository: Path,
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    most: int,
    beyond: int = 0,
    timeout: float = 60.0,
) -> Output:
    """Run git and give back the beginning of what it printed; after `beyond` more bytes it is ended.

    Raises `CommandFailed`, `Expired`, `Unavailable`.
    """
    return run_words(words(repository, command), stdin=stdin, env=env, most=most, beyond=beyond, timeout=timeout)


def run_words(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    most: int,
    beyond: int = 0,
    timeout: float = 60.0,
) -> Output:
    """As `begin`, with the words as they are. They end with the thread that starts them."""
    child = process.start([*process.with_parent(), *argv], env={**ENVIRONMENT, **(env or {})}, stdin=process.PIPE)
    said = collect(child, argv=argv, stdin=stdin, most=most, beyond=beyond, timeout=timeout)
    if said.code:
        raise CommandFailed(argv, code=said.code, output=said.stderr.decode("utf-8", "replace"))
    return said


def create(repository: Path, *, readable: bool) -> None:
    """Make a bare repository of the host's own where there is none; `readable` lets every user read it.

    It gets its name when it is whole. Raises `Unavailable` when the disk does not take it.
    """
    if repository.is_dir():
        return
    new = repository.with_name(f".{repository.name}.new")
    shared = ("--shared=0644",) if readable else ()
    command = ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", *shared, "--", str(new)]
    try:
        beneath.remove(new.parent, new.name)
        run_words(command, most=0, beyond=_MOST)
        new.chmod(0o755 if readable else 0o700)
        new.rename(repository)
        sync(repository.parent)
    except OSError as error:
        raise Unavailable(f"{repository} cannot be made: {error.strerror}", hint=f"df -h {repository.parent}") from None


def tidy(repository: Path) -> None:
    """Remove what a git that was killed has left in the way of the next. Nobody else may write there meanwhile."""
    for folder, below, files in os.walk(repository):
        for name in [name for name in below if name.startswith(SCRATCH)]:
            beneath.remove(Path(folder), name)
        below[:] = [name for name in below if name != "objects"]
        # No reference may be called so (git-check-ref-format(1)).
        for file in files:
            if file.endswith(".lock"):
                Path(folder, file).unlink()


def sync(folder: Path) -> None:
    """Have the disk take what was named, moved or removed in a folder."""
    with beneath.opened(folder) as fd:
        os.fsync(fd)
