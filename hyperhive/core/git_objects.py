"""Commits and files in a repository of the host's own, read and written without a work tree."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import git
from hyperhive.core.errors import Invalid, NotFound, Unavailable

_COMMIT_MOST: Final = 256 * 1024
_MESSAGE_MOST: Final = 16 * 1024
_SUBJECT_MOST: Final = 200
_PERSON: Final = re.compile(rb"(.*?) ?<(.*?)> (-?\d{1,18}) [+-]\d{4,}", re.DOTALL)


class Commit(msgspec.Struct, frozen=True):
    """One commit. Its author and its words are whatever the one who made it wrote; `at` is UTC."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    email: str
    subject: str
    message: str
    at: datetime


def commit_of(repository: Path, commit_id: str) -> Commit:
    """Read a commit. Raises `NotFound` when there is none of that id, `Invalid` for one that is far too long."""
    wanted = git.full_id(commit_id)
    said = git.begin(repository, ["cat-file", "--batch"], stdin=f"{wanted}\n".encode(), most=_COMMIT_MOST)
    header, _, rest = said.stdout.partition(b"\n")
    words = header.split()
    if len(words) != 3 or words[1] != b"commit":
        raise NotFound(f"there is no commit {wanted} in {repository.name}", hint="git rev-parse HEAD")
    if not said.is_whole:
        raise Invalid(f"commit {wanted} says more than {_COMMIT_MOST} bytes", hint="git commit --amend")
    return _parse(wanted, rest[: int(words[2])])


def commits_of(repository: Path, ids: Sequence[str]) -> list[Commit]:
    """Read commits that are known to be there, in their order."""
    found = _read_all(repository, ids, b"commit", most=_COMMIT_MOST * max(1, len(ids)))
    return [_parse(one, found[one]) for one in ids]


def read_files(repository: Path, ids: Sequence[str], *, most: int) -> dict[str, bytes]:
    """The content of files by their object ids. Raises `Invalid` when one is missing or together they exceed `most` bytes."""
    return _read_all(repository, ids, b"blob", most=most)


def tree_with(repository: Path, tree: str | None, files: Mapping[str, bytes], *, without: Iterable[str] = ()) -> str:
    """The id of a tree that is `tree` with these files in place of its own, and without some; None begins with nothing."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix=git.SCRATCH, dir=repository))
    except OSError as error:
        raise Unavailable(f"{repository} cannot be written: {error.strerror}", hint=f"df -h {repository}") from None
    try:
        env = {"GIT_INDEX_FILE": str(scratch / "index")}
        if tree is not None:
            git.run(repository, ["read-tree", tree], env=env)
        lines = [b"0 %s\t%s\0" % (b"0" * 40, path.encode()) for path in without]
        for path, data in files.items():
            written = git.run(repository, ["hash-object", "-w", "--no-filters", "--stdin"], stdin=data).strip()
            lines.append(b"100644 %s\t%s\0" % (written, path.encode()))
        git.run(repository, ["update-index", "-z", "--index-info"], stdin=b"".join(lines), env=env)
        return git.run(repository, ["write-tree"], env=env).decode().strip()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_commit(repository: Path, tree: str, *, parent: str | None, message: str, author: str, at: datetime) -> str:
    """Write a commit that no reference names yet; the same words give the same id. Gives back the id."""
    name = _name(author)
    stamp = f"@{int(at.timestamp())} +0000"
    env = {
        "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": f"{name}@hyperhive.invalid", "GIT_AUTHOR_DATE": stamp,
        "GIT_COMMITTER_NAME": "hyperhive", "GIT_COMMITTER_EMAIL": "hyperhive@hyperhive.invalid", "GIT_COMMITTER_DATE": stamp,
    }  # fmt: skip
    parents = ("-p", parent) if parent else ()
    text = message.replace("\0", "\u2400").encode("utf-8", "replace")
    return git.run(repository, ["commit-tree", tree, *parents, "-F", "-"], stdin=text, env=env).decode().strip()


def one_line(text: str, most: int = _SUBJECT_MOST) -> str:
    """The first line of a text, with no more than `most` characters."""
    line = " ".join(next(iter(text.strip().splitlines()), "").split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _read_all(repository: Path, ids: Sequence[str], kind: bytes, *, most: int) -> dict[str, bytes]:
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    asked = "".join(f"{one}\n" for one in wanted).encode()
    data = git.run(repository, ["cat-file", "--batch"], stdin=asked, most=most + 100 * len(wanted))
    found: dict[str, bytes] = {}
    at = 0
    for one in wanted:
        end = data.find(b"\n", at)
        words = data[at:end].split()
        if len(words) != 3 or words[1] != kind:
            raise Invalid(f"the object {one} is not in {repository.name}", hint=f"git --git-dir={repository} fsck")
        size = int(words[2])
        found[one] = data[end + 1 : end + 1 + size]
        at = end + size + 2
    return found


def _name(author: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", author).strip("-.")[:64] or "somebody"


def _parse(commit_id: str, data: bytes) -> Commit:
    """Take a commit apart (gitformat-pack(5) says nothing of it; `git cat-file -p HEAD` shows it)."""
    head, _, message = data.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)
    author, email, _ = _person(fields.get(b"author", [b""])[0])
    _, _, at = _person(fields.get(b"committer", [b""])[0])
    text = message.decode("utf-8", "replace")
    return Commit(
        id=commit_id,
        tree=fields.get(b"tree", [b""])[0].decode("ascii", "replace"),
        parents=tuple(parent.decode("ascii", "replace") for parent in fields.get(b"parent", [])),
        author=author,
        email=email,
        subject=one_line(text),
        message=text if len(text) <= _MESSAGE_MOST else f"{text[:_MESSAGE_MOST]}…",
        at=at,
    )


def _person(value: bytes) -> tuple[str, str, datetime]:
    found = _PERSON.fullmatch(value)
    if found is None:
        return "", "", datetime.fromtimestamp(0, UTC)
    name, email = (one_line(part.decode("utf-8", "replace")) for part in found.groups()[:2])
    try:
        return name, email, datetime.fromtimestamp(int(found[3]), UTC)
    except (OverflowError, ValueError, OSError):
        return name, email, datetime.fromtimestamp(0, UTC)
