"""The repositories that a manager edits, each put there by a process of the manager's own user."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Final

from hyperhive.core import beneath, folders, git, git_trees
from hyperhive.core.errors import CommandFailed, Conflict
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import check
from hyperhive.core.runtimes.bubblewrap import APPLIED, CONFIG, Bubblewrap

_SECONDS: Final = 120
_MEMORY: Final = 1024**3
# Each gets its name when it is whole. `mv -n -T` puts nothing into, and nothing over, what has come meanwhile.
_BEGIN: Final = """
set -eu
me=$1 applied=$2; shift 2
git config --global safe.directory '*'
finish() {
    git -C "$new" config user.name "$me"
    git -C "$new" config user.email "$me@hyperhive.invalid"
    mv -n -T -- "$new" "/config/$name"
    if [ -e "$new" ]; then rm -rf -- "$new"; else echo "$name"; fi
}
"""
_CLONE: Final = (
    _BEGIN
    + """
for name; do
    new=/config/.$name.new
    rm -rf -- "$new"
    git clone --quiet --no-local --template= --origin applied -- "$applied/$name.git" "$new"
    finish
done
"""
)
_TEMPLATE: Final = (
    _BEGIN
    + """
name=$1 new=/config/.$1.new
rm -rf -- "$new"
git init --quiet --template= --initial-branch=main -- "$new"
git -C "$new" fast-import --quiet --done
git -C "$new" reset --quiet --hard
git -C "$new" remote add applied "$applied/$name.git"
git -C "$new" config branch.main.remote applied
git -C "$new" config branch.main.merge refs/heads/main
finish
"""
)


def ensure(
    hive: Hive,
    manager: AgentName,
    *,
    uid: int | None,
    gid: int | None,
    names: Sequence[AgentName],
    seen: str = APPLIED,
) -> list[AgentName]:
    """Give a manager its folder, with a clone of each agent's applied repository that it has no entry for.

    `seen` is where the manager sees the applied repositories. Gives back the names that were added. Raises `Conflict`,
    `Unavailable`, `CommandFailed`.
    """
    folders.give_proposed(hive, manager, uid=uid, gid=gid)
    missing = [name for name in names if hive.paths.applied(name).is_dir() and not is_there(hive, manager, name)]
    if not missing:
        return []
    binds = ["--ro-bind", str(hive.paths.applied_folder), seen]
    added = _run(hive, manager, uid, gid, [_CLONE, "sh", manager, seen, *missing], binds)
    return [name for name in missing if name in added]


def template(
    hive: Hive,
    manager: AgentName,
    *,
    uid: int | None,
    gid: int | None,
    name: AgentName,
    files: Mapping[str, bytes],
    seen: str = APPLIED,
) -> None:
    """Give a manager a repository for an agent that does not exist yet, with these files in its first commit.

    Raises `Conflict` when the manager has something of that name, `Invalid` for a path, `Unavailable`, `CommandFailed`.
    """
    folders.give_proposed(hive, manager, uid=uid, gid=gid)
    is_new = not is_there(hive, manager, name)
    if not is_new or not _run(
        hive, manager, uid, gid, [_TEMPLATE, "sh", manager, seen, name], [], _stream(hive, manager, name, files)
    ):
        raise Conflict(f"{manager} has something called {name} already", hint=f"ls -la {CONFIG}/{name}")


def is_there(hive: Hive, manager: AgentName, name: AgentName) -> bool:
    """The manager has an entry of that name, whatever it is."""
    with contextlib.suppress(OSError), beneath.opened(hive.paths.proposed(manager), os.O_PATH | beneath.FOLDER) as fd:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
        return True
    return False


def purge(hive: Hive, manager: AgentName) -> None:
    """Remove a manager's folder. Its container must be gone. Raises `Unavailable` with what could not be removed."""
    beneath.remove(hive.paths.proposed_folder, manager)


def _run(
    hive: Hive,
    manager: AgentName,
    uid: int | None,
    gid: int | None,
    script: Sequence[str],
    binds: Sequence[str],
    stdin: bytes = b"",
) -> list[str]:
    """Run a script as the manager's user in a box that holds its folder; gives back the lines that it says."""
    words = Bubblewrap().errand(
        ["sh", "-c", *script],
        uid=uid,
        gid=gid,
        binds=[*binds, "--bind", str(hive.paths.proposed(manager)), CONFIG],
        env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"},
        seconds=_SECONDS,
        memory=_MEMORY,
    )
    try:
        said = git.run_words(words, stdin=stdin, most=64 * 1024, timeout=_SECONDS)
    except CommandFailed:
        check(Bubblewrap(), run=hive.run)
        raise
    return said.stdout.decode("utf-8", "replace").splitlines()


def _stream(hive: Hive, manager: AgentName, name: AgentName, files: Mapping[str, bytes]) -> bytes:
    """One commit in the words of git-fast-import(1)."""
    message = f"Begin with what {name} needs at the least\n".encode()
    head = f"commit refs/heads/main\ncommitter {manager} <{manager}@hyperhive.invalid> {int(hive.now().timestamp())} +0000\n"
    parts = [head.encode(), b"data %d\n%s\n" % (len(message), message)]
    for path, data in files.items():
        git_trees.check_path(path)
        quoted = path.replace("\\", "\\\\").replace('"', '\\"').encode()
        parts.append(b'M 100644 inline "%s"\ndata %d\n%s\n' % (quoted, len(data), data))
    return b"".join([*parts, b"done\n"])
