"""The host's own repository of one agent's configuration: what was proposed, accepted and deployed, which managers may read."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from hyperhive.core import beneath, git, git_export, git_objects, git_trees
from hyperhive.core.errors import CommandFailed, Invalid, NotFound
from hyperhive.core.git_objects import Commit
from hyperhive.core.git_trees import Entry
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

INCOMING: Final = "refs/incoming/"
QUARANTINE: Final = "tmp_objdir-"
_REFERENCE: Final = re.compile(r"refs/heads/main|refs/tags/[a-z]+/[1-9][0-9]{0,17}")
_LEFT_OVER: Final = "tmp_"
_NAMES_MOST: Final = 4 * 1024**2
# How far a difference is read to say how long it is.
_DIFF_BEYOND: Final = 64 * 1024**2


def create(hive: Hive, name: AgentName) -> None:
    """Make the agent's repository if it is missing; one that is half made never counts. Raises `Unavailable`."""
    git.create(hive.paths.applied(name), readable=True)


def repository_of(hive: Hive, name: AgentName) -> Path:
    """Where the agent's repository lies. Raises `NotFound` when there is none."""
    path = hive.paths.applied(name)
    if not path.is_dir():
        raise NotFound(f"nothing was ever configured for {name} by commits", hint="hyperhive ps")
    return path


def exists(hive: Hive, name: AgentName) -> bool:
    """The agent has a repository."""
    return hive.paths.applied(name).is_dir()


def write_commit(
    hive: Hive,
    name: AgentName,
    files: Mapping[str, bytes | None],
    *,
    parent: str | None,
    message: str,
    author: str,
    at: datetime,
) -> str:
    """Write a commit: the tree of `parent` with these files in place of its own, or these alone. No reference is moved.

    None takes a file away. The same words give the same commit. Gives back its id. Raises `Invalid` for a path, `NotFound` for
    the parent.
    """
    for path in files:
        git_trees.check_path(path)
    repository = repository_of(hive, name)
    before = None if parent is None else commit_of(hive, name, parent)
    given = {path: data for path, data in files.items() if data is not None}
    tree = git_objects.tree_with(repository, before.tree if before else None, given, without=files.keys() - given.keys())
    return git_objects.write_commit(repository, tree, parent=before.id if before else None, message=message, author=author, at=at)


def rewrite(hive: Hive, name: AgentName, commit_id: str, *, parent: str, message: str, author: str, at: datetime) -> str:
    """Write a commit with the tree of an earlier one on top of `parent`. No reference is moved. Raises `NotFound`."""
    tree = commit_of(hive, name, commit_id).tree
    on = commit_of(hive, name, parent).id
    return git_objects.write_commit(repository_of(hive, name), tree, parent=on, message=message, author=author, at=at)


def commit_of(hive: Hive, name: AgentName, commit_id: str) -> Commit:
    """Read a commit. Raises `NotFound`, and `Invalid` for what is no whole id."""
    return git_objects.commit_of(repository_of(hive, name), commit_id)


def entries(hive: Hive, name: AgentName, commit_id: str) -> list[Entry]:
    """Every file of a commit. Raises `Invalid`, which says what in it the host does not take, and `NotFound`."""
    return git_trees.entries_of(repository_of(hive, name), commit_of(hive, name, commit_id).tree)


def read(hive: Hive, name: AgentName, commit_id: str, path: str, *, most: int) -> bytes | None:
    """A file of a commit, or None when it has none of that path.

    Raises `Invalid` for a link, and for more than `most` bytes; `NotFound` for the commit.
    """
    tree = commit_of(hive, name, commit_id).tree
    return git_trees.read_file(repository_of(hive, name), tree, path, most=most)


def read_files(hive: Hive, name: AgentName, files: Sequence[Entry], *, most: int) -> dict[str, bytes]:
    """The content of some of a commit's `entries` by path. Raises `Invalid` for a link, and for more than `most` bytes."""
    for entry in files:
        if entry.is_link:
            raise Invalid(f"{entry.path} is a link", hint=f"commit a file in its place: git rm {entry.path}")
    found = git_objects.read_files(repository_of(hive, name), [entry.id for entry in files], most=most)
    return {entry.path: found[entry.id] for entry in files}


def export(hive: Hive, name: AgentName, commit_id: str, folder: Path) -> None:
    """Write the files of a commit below a new folder of the host's own, whole or not at all.

    Raises `Conflict` when the folder is there, `Invalid` for what the host does not take, `NotFound`, `Unavailable`.
    """
    found = entries(hive, name, commit_id)
    git_export.write_files(repository_of(hive, name), found, folder)


def diff(hive: Hive, name: AgentName, before: str | None, after: str, *, most: int) -> str:
    """What changed between two commits (None: since nothing), as a unified diff of at most `most` characters.

    A line at its end says how much was left out. No setting or attribute of the commits counts. Raises `NotFound`.
    """
    repository, trees = repository_of(hive, name), _trees(hive, name, before, after)
    command = ["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--submodule=short"]
    said = git.begin(repository, [*command, *trees], most=most, beyond=_DIFF_BEYOND)
    text = said.stdout.decode("utf-8", "replace")
    if said.is_whole:
        return text
    kept = text[: text.rfind("\n") + 1]
    left = said.dropped + len(said.stdout) - len(kept.encode())
    more = "more than " if said.code is None else ""
    return f"{kept}… {more}{left} bytes of the difference are left out\n"


def changed_files(hive: Hive, name: AgentName, before: str | None, after: str) -> list[str]:
    """The paths that were added, changed or removed between two commits (None: since nothing).

    Raises `NotFound`, and `Invalid` where they are too many to tell.
    """
    command = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", *_trees(hive, name, before, after)]
    names = git.run(repository_of(hive, name), command, most=_NAMES_MOST)
    return [path.decode("utf-8", "replace") for path in names.split(b"\0") if path]


def descends(hive: Hive, name: AgentName, commit_id: str, ancestor: str) -> bool:
    """The commit was made on top of the other, or is the same. Raises `NotFound`."""
    repository = repository_of(hive, name)
    words = ["merge-base", "--is-ancestor", commit_of(hive, name, ancestor).id, commit_of(hive, name, commit_id).id]
    try:
        git.run(repository, words)
    except CommandFailed as error:
        if error.code == 1:
            return False
        raise
    return True


def references(hive: Hive, name: AgentName) -> dict[str, str]:
    """Every branch and tag with the commit that it names."""
    return _references(repository_of(hive, name), "refs/heads/", "refs/tags/")


def publish(hive: Hive, name: AgentName, wanted: Mapping[str, str]) -> None:
    """Make `refs/heads/main` and the tags exactly what `wanted` says. May be killed at any instant, and done again.

    The caller holds the agent's operation lock. Raises `Invalid` for a reference that is neither.
    """
    for reference in wanted:
        if not _REFERENCE.fullmatch(reference):
            raise Invalid(f"{reference!a} is no reference of an agent's repository")
    repository = repository_of(hive, name)
    now = references(hive, name)
    changes = [
        f"update {reference}\0{git.full_id(commit_id)}\0\0"
        for reference, commit_id in wanted.items()
        if now.get(reference) != git.full_id(commit_id)
    ]
    changes += [f"delete {reference}\0\0" for reference in now if reference not in wanted]
    if changes:
        git.tidy(repository)
        _forget_torn(repository)
        _update(repository, changes)


def forget_incoming(hive: Hive, name: AgentName) -> None:
    """Remove what transfers and commits that were cut short have left.

    The caller holds the agent's operation lock, so that nobody else writes in the repository.
    """
    repository = hive.paths.applied(name)
    if not repository.is_dir():
        return
    git.tidy(repository)
    for folder in (repository / "objects", *repository.glob("objects/??"), repository / "objects/pack"):
        for found in os.listdir(folder) if folder.is_dir() else ():
            if found.startswith(_LEFT_OVER):
                beneath.remove(folder, found)
            elif found.endswith(".keep"):
                (folder / found).unlink(missing_ok=True)
    left = _references(repository, INCOMING)
    if left:
        _update(repository, [f"delete {reference}\0\0" for reference in left])


def purge(hive: Hive, name: AgentName) -> None:
    """Remove the agent's repository. Raises `Unavailable` with what could not be removed."""
    path = hive.paths.applied(name)
    beneath.remove(path.parent, path.name)


def _trees(hive: Hive, name: AgentName, before: str | None, after: str) -> tuple[str, str]:
    first = git.EMPTY_TREE if before is None else commit_of(hive, name, before).tree
    return first, commit_of(hive, name, after).tree


def _references(repository: Path, *below: str) -> dict[str, str]:
    listed = git.run(repository, ["for-each-ref", "--format=%(objectname) %(refname)", *below]).decode("utf-8", "replace")
    return {reference: commit_id for commit_id, _, reference in (line.partition(" ") for line in listed.splitlines())}


def _update(repository: Path, changes: list[str]) -> None:
    """One transaction: all of it is refused, or all is done (git-update-ref(1))."""
    git.run(repository, ["update-ref", "--stdin", "-z"], stdin="".join(["start\0", *changes, "prepare\0commit\0"]).encode())


def _forget_torn(repository: Path) -> None:
    """Remove references that a power cut left empty: what they named is in the rows, from which all of them come."""
    for folder, _, files in os.walk(repository / "refs"):
        for file in files:
            if Path(folder, file).stat().st_size == 0:
                Path(folder, file).unlink()
