"""The swarm's history: a repository with one commit for each change that was recorded."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from hyperhive.core import git, git_objects, git_trees
from hyperhive.core.errors import Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName

# What can be recorded, and which of these somebody approved.
WHATS: Final = ("spawn", "deploy", "rollback", "update", "destroy", "purge")
_APPROVED: Final = ("spawn", "deploy", "rollback")
_ENDS: Final = ("destroy", "purge")
_FILE_MOST: Final = 64 * 1024
_LOG_MOST: Final = 1_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the swarm. Numbers only grow; `base` is what the agent's container was built on, `by` who decided."""

    number: int
    agent: str
    what: str
    deployment: int | None = None
    commit: str | None = None
    by: str
    at: datetime
    base: str | None = None
    subject: str = ""


class MetaEntry(Entry, frozen=True, kw_only=True):
    """The same as it was recorded: `id` is its commit in the meta repository."""

    id: str


def record(hive: Hive, entry: Entry) -> None:
    """Write down a change; one that is written down already is left as it is. The caller holds the lock `hive.meta`.

    Raises `Invalid` for a word that is none of `WHATS`, `Unavailable` when the disk does not take it.
    """
    if entry.what not in WHATS:
        raise Invalid(f"{entry.what!r} is nothing that is recorded", hint=f"one of {', '.join(WHATS)}")
    repository = hive.paths.meta
    git.create(repository, readable=False)
    if entry.number <= last(hive):
        return
    git.tidy(repository)
    parent = _head(repository)
    tree = git_objects.commit_of(repository, parent).tree if parent else None
    path = f"agents/{entry.agent}.json"
    if entry.what in _ENDS:
        after = git_objects.tree_with(repository, tree, {}, without=[path])
    else:
        approved_by = entry.by if entry.what in _APPROVED else _approver(repository, tree, path)
        after = git_objects.tree_with(repository, tree, {path: _state(entry, approved_by)})
    commit = git_objects.write_commit(repository, after, parent=parent, message=_message(entry), author=entry.by, at=entry.at)
    git.run(repository, ["update-ref", git.MAIN, commit, parent or "0" * 40])


def last(hive: Hive) -> int:
    """The number of the newest change that is written down, 0 when there is none."""
    newest = _entries(hive, "^Entry: [0-9][0-9]*$", 1)
    return newest[0].number if newest else 0


def log(hive: Hive, *, name: AgentName | None = None, limit: int = 50) -> list[MetaEntry]:
    """What was written down, of one agent or of all, newest first."""
    return _entries(hive, f"^Agent: {name}$" if name else "^Entry: [0-9][0-9]*$", min(limit, _LOG_MOST))


def _approver(repository: Path, tree: str | None, path: str) -> Any:
    """Who approved what the agent was built from before."""
    data = git_trees.read_file(repository, tree, path, most=_FILE_MOST) if tree else None
    return msgspec.json.decode(data).get("approved_by") if data else None


def _state(entry: Entry, approved_by: str | None) -> bytes:
    """What lies in the tree for an agent that lives."""
    fields = {
        "agent": entry.agent,
        "approved_by": approved_by,
        "base": entry.base,
        "commit": entry.commit,
        "deployment": entry.deployment,
    }
    return msgspec.json.format(msgspec.json.encode(fields, order="sorted"), indent=2) + b"\n"


def _message(entry: Entry) -> str:
    """A subject, then trailers in the last paragraph (git-interpret-trailers(1)); every value is one line."""
    what = f"{entry.what} {entry.agent}" + (f" {entry.deployment}" if entry.deployment is not None else "")
    subject = git_objects.one_line(entry.subject)
    trailers = {
        "Agent": entry.agent,
        "What": entry.what,
        "Deployment": entry.deployment,
        "Commit": entry.commit,
        "Base": entry.base,
        "Approved-by" if entry.what in _APPROVED else "By": entry.by,
        "Entry": entry.number,
    }
    lines = [f"{key}: {git_objects.one_line(str(value))}" for key, value in trailers.items() if value is not None]
    return "\n".join([f"{what}: {subject}" if subject else what, "", *lines, ""])


def _head(repository: Path) -> str | None:
    found = git.run(repository, ["for-each-ref", "--format=%(objectname)", git.MAIN]).decode().strip()
    return found or None


def _entries(hive: Hive, pattern: str, limit: int) -> list[MetaEntry]:
    repository = hive.paths.meta
    head = _head(repository) if repository.is_dir() else None
    if head is None:
        return []
    # A subject cannot look like a trailer: it begins with what was done.
    command = ["rev-list", f"--max-count={limit}", f"--grep={pattern}", head]
    ids = git.run(repository, command).decode().split()
    return [entry for commit in git_objects.commits_of(repository, ids) if (entry := _read(commit)) is not None]


def _read(commit: git_objects.Commit) -> MetaEntry | None:
    """Read a change back from its commit; None for a commit that an operator made."""
    subject, _, rest = commit.message.partition("\n\n")
    fields: dict[str, Any] = dict(line.split(": ", 1) for line in rest.splitlines() if ": " in line)
    head = f"{fields.get('What')} {fields.get('Agent')}" + (f" {fields['Deployment']}" if "Deployment" in fields else "")
    try:
        return MetaEntry(
            number=int(fields["Entry"]),
            agent=fields["Agent"],
            what=fields["What"],
            deployment=int(fields["Deployment"]) if "Deployment" in fields else None,
            commit=fields.get("Commit"),
            by=fields.get("Approved-by") or fields["By"],
            at=commit.at,
            base=fields.get("Base"),
            subject=subject.removeprefix(head).removeprefix(": "),
            id=commit.id,
        )
    except (KeyError, ValueError):
        return None
