"""The files of a commit, with what the host refuses among them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import git, git_objects
from hyperhive.core.errors import CommandFailed, Invalid
from hyperhive.core.safe_text import clean

FILES_MOST: Final = 2_000
BYTES_MOST: Final = 16 * 1024**2
PATH_MOST: Final = 1_000
LEVELS_MOST: Final = 20
LINK: Final = "120000"
RUNNABLE: Final = "100755"
_FILE: Final = "100644"
_LINK_MOST: Final = 4_096
# As many as Linux follows (path_resolution(7)).
_HOPS_MOST: Final = 40
_LISTING_MOST: Final = FILES_MOST * (PATH_MOST + 80)


class Entry(msgspec.Struct, frozen=True):
    """A file or a link in a commit: its path, its mode as git writes it, the id of its content, its size in bytes."""

    path: str
    mode: str
    id: str
    size: int

    @property
    def is_link(self) -> bool:
        """It is a symbolic link."""
        return self.mode == LINK


def entries_of(repository: Path, tree: str) -> list[Entry]:
    """Every file of a tree, none of which leads out of it. Raises `Invalid`, which names what is wrong."""
    try:
        said = git.begin(repository, ["ls-tree", "-r", "-z", "-l", "--full-tree", tree], most=_LISTING_MOST)
    except CommandFailed as error:
        # Also by a signal: a tree that is nested deep enough exhausts the stack of git 2.39.
        raise Invalid(f"the tree {tree} cannot be listed: {clean(error.output.strip())[-300:]}", hint="git fsck") from None
    if not said.is_whole:
        raise Invalid(f"the tree holds more than {FILES_MOST} files", hint="commit fewer files")
    found = [_entry(line) for line in said.stdout.split(b"\0") if line]
    if len(found) > FILES_MOST:
        raise Invalid(f"the tree holds {len(found)} files; {FILES_MOST} are the most", hint="commit fewer files")
    total = sum(entry.size for entry in found)
    if total > BYTES_MOST:
        raise Invalid(f"its files hold {total} bytes together; {BYTES_MOST} are the most", hint="commit fewer or smaller files")
    _check_places(found)
    _check_links(repository, found)
    return found


def read_file(repository: Path, tree: str, path: str, *, most: int) -> bytes | None:
    """A file of a tree, or None when it has none of that path. Raises `Invalid` for a link, and for more than `most` bytes."""
    check_path(path)
    line = git.run(repository, ["ls-tree", "-z", "-l", "--full-tree", tree, "--", path]).partition(b"\t")[0]
    mode, kind, object_id, size = line.decode("ascii").split() or ("", "", "", "")
    if kind != "blob":
        return None
    if mode == LINK:
        raise Invalid(f"{path} is a link", hint=f"commit a file in its place: git rm {path}")
    if not size.isdecimal() or int(size) > most:
        raise Invalid(f"{path} holds {size} bytes; {most} are the most", hint="make it smaller")
    return git_objects.read_files(repository, [object_id], most=most)[object_id]


def check_path(path: str) -> None:
    """Refuse a path that is no plain path below a folder, or that git itself would use. Raises `Invalid`."""
    shown = ascii(path if len(path) <= 80 else f"{path[:80]}…")
    if not path or len(path.encode("utf-8", "surrogateescape")) > PATH_MOST:
        raise Invalid(f"the path {shown} holds more than {PATH_MOST} bytes, or none", hint="git mv")
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000 for character in path):
        raise Invalid(f"the path {shown} holds a control character, or is not UTF-8", hint="git mv")
    parts = path.split("/")
    if len(parts) > LEVELS_MOST:
        raise Invalid(f"the path {shown} is deeper than {LEVELS_MOST} folders", hint="git mv")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise Invalid(f"the path {shown} is no plain path", hint="a path has no empty part, no dots alone and no .git")


def _entry(line: bytes) -> Entry:
    head, _, raw = line.partition(b"\t")
    mode, _, object_id, size = head.decode("ascii").split()
    path = raw.decode("utf-8", "surrogateescape")
    check_path(path)
    # ls-tree says one of these three modes for every file and link, whatever the tree says.
    if mode not in (_FILE, RUNNABLE, LINK):
        raise Invalid(f"{path} is no file and no link", hint=f"commit what is in a submodule: git rm --cached {path}")
    if not size.isdecimal():
        raise Invalid(f"the content of {path} is missing", hint="git fsck")
    return Entry(path, mode, object_id, int(size))


def _check_places(entries: Iterable[Entry]) -> None:
    """Every path is there once, and what lies above a file is a folder."""
    paths: set[str] = set()
    for entry in entries:
        if entry.path in paths:
            raise Invalid(f"{entry.path} is there twice", hint="git fsck")
        paths.add(entry.path)
    for path in paths:
        above = path.rpartition("/")[0]
        while above:
            if above in paths:
                raise Invalid(f"{above} is a file and a folder", hint="git fsck")
            above = above.rpartition("/")[0]


def _check_links(repository: Path, entries: list[Entry]) -> None:
    links = [entry for entry in entries if entry.is_link]
    for entry in links:
        if entry.size > _LINK_MOST:
            raise Invalid(f"the link {entry.path} is longer than {_LINK_MOST} bytes", hint=f"git rm {entry.path}")
    contents = git_objects.read_files(repository, [entry.id for entry in links], most=_LINK_MOST * max(1, len(links)))
    targets = {entry.path: contents[entry.id] for entry in links}
    for path in targets:
        if not stays_inside(path, targets):
            raise Invalid(f"the link {path} leads out of the tree", hint=f"git rm {path}")


def stays_inside(path: str, targets: Mapping[str, bytes]) -> bool:
    """Walk from the root of a tree along `path`, through the links in `targets`, without ever leaving the tree."""
    waiting = path.split("/")[::-1]
    at: list[str] = []
    hops = 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return False
            at.pop()
            continue
        target = targets.get("/".join([*at, part]))
        if target is None:
            at.append(part)
            continue
        hops += 1
        if hops > _HOPS_MOST or not target or target.startswith(b"/") or b"\0" in target:
            return False
        waiting += target.decode("utf-8", "surrogateescape").split("/")[::-1]
    return True
