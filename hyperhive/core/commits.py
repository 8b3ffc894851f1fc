"""The commits of an agent's repository, with the names that say what became of each."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import applied, git, git_objects
from hyperhive.core.errors import Invalid
from hyperhive.core.git_objects import Commit
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, parse_name

LIMIT: Final = 50
_ENDING: Final = ".git"
# How far a proposal comes, step by step.
_STEPS: Final = ("proposal", "approved", "denied", "building", "deployed", "failed")


class Marked(msgspec.Struct, frozen=True):
    """A commit with its names, `proposal/12` for one, in the order of their numbers; `is_applied` says that it is `main`."""

    commit: Commit
    names: tuple[str, ...]
    is_applied: bool


def repositories(hive: Hive) -> list[AgentName]:
    """Whoever has a repository: every agent, also one that was destroyed, or is only asked for."""
    found = []
    for path in hive.paths.applied_folder.glob(f"*{_ENDING}"):
        # What is half made has a name that no agent can bear.
        with suppress(Invalid):
            found.append(parse_name(path.name.removesuffix(_ENDING)))
    return sorted(found)


def listed(hive: Hive, name: AgentName, *, limit: int = LIMIT, skip: int = 0) -> list[Marked]:
    """What was applied, proposed or refused, and all that it was made on, the newest first; `skip` leaves out so many.

    Raises `NotFound` where there is no repository.
    """
    repository = applied.repository_of(hive, name)
    names = _names(hive, name)
    if not names:
        return []
    command = ["rev-list", "--date-order", f"--max-count={limit}", f"--skip={skip}", "--stdin"]
    ids = git.run(repository, command, stdin="".join(f"{one}\n" for one in names).encode()).decode().split()
    return [_marked(commit, names.get(commit.id, [])) for commit in _commits(repository, ids)]


def get(hive: Hive, name: AgentName, commit_id: str) -> Marked:
    """One commit. Raises `NotFound`, `Invalid`."""
    return _marked(applied.commit_of(hive, name, commit_id), _names(hive, name).get(git.full_id(commit_id), []))


def _names(hive: Hive, name: AgentName) -> dict[str, list[str]]:
    """The references of a repository by the commits that they name."""
    found: dict[str, list[str]] = {}
    for reference, commit_id in applied.references(hive, name).items():
        found.setdefault(commit_id, []).append(reference)
    return found


def _marked(commit: Commit, references: Sequence[str]) -> Marked:
    tags = [reference.removeprefix("refs/tags/") for reference in references if reference != git.MAIN]
    tags.sort(key=_order)
    return Marked(commit, tuple(tags), git.MAIN in references)


def _order(tag: str) -> tuple[int, int, str]:
    what, _, number = tag.rpartition("/")
    # Whoever may write on this machine may have made tags of its own.
    return (int(number) if number.isdecimal() else 0, _STEPS.index(what) if what in _STEPS else 0, tag)


def _commits(repository: Path, ids: Sequence[str]) -> list[Commit]:
    try:
        return git_objects.commits_of(repository, ids)
    except Invalid:
        # One that says far too much must not hide the others.
        return [_commit(repository, one) for one in ids]


def _commit(repository: Path, commit_id: str) -> Commit:
    try:
        return git_objects.commit_of(repository, commit_id)
    except Invalid as error:
        return Commit(
            id=commit_id, tree="", parents=(), author="", email="", subject=error.message, message=error.message,
            at=datetime.fromtimestamp(0, UTC),
        )  # fmt: skip
