"""The repositories that a manager edits, each put there by a process of the manager's own user."""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Final

from hyperhive.core import beneath, folders, git
from hyperhive.core.errors import CommandFailed, Expired, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import check
from hyperhive.core.runtimes.bubblewrap import APPLIED, CONFIG, Bubblewrap
from hyperhive.core.safe_text import clean

SECONDS: Final = 120
_MEMORY: Final = 1024**3
_ERROR_MOST: Final = 300
# How often a wait looks, in seconds.
_LOOK: Final = 0.02
# Each gets its name when it is whole. `mv -n -T` puts nothing into, and nothing over, what has come meanwhile.
_CLONE: Final = """
set -eu
me=$1 applied=$2 code=0; shift 2
git config --global safe.directory '*'
put() {
    set -e
    new=/config/.$name.new
    rm -rf -- "$new"
    git clone --quiet --no-local --template= --origin applied -- "$applied/$name.git" "$new"
    if ! git -C "$new" rev-parse --quiet --verify HEAD > /dev/null; then
        # Nothing is applied yet: it goes on from what was proposed last.
        git -C "$new" symbolic-ref HEAD refs/heads/main
        git -C "$new" config branch.main.remote applied
        git -C "$new" config branch.main.merge refs/heads/main
        last=$(git -C "$new" for-each-ref --sort=-version:refname --count=1 --format='%(refname)' 'refs/tags/proposal/*')
        if [ -n "$last" ]; then git -C "$new" reset --quiet --hard "$last"; fi
    fi
    git -C "$new" config user.name "$me"
    git -C "$new" config user.email "$me@hyperhive.invalid"
    mv -n -T -- "$new" "/config/$name"
    if [ -e "$new" ]; then rm -rf -- "$new"; else echo "$name"; fi
}
for name; do
    # One that cannot be had keeps none of the others back. Not `|| code=$?`, which would go on after a step that failed.
    set +e
    (put)
    [ $? -eq 0 ] || code=1
done
exit $code
"""


def ensure(
    hive: Hive,
    manager: AgentName,
    *,
    uid: int | None,
    gid: int | None,
    names: Sequence[AgentName],
    seen: str = APPLIED,
    seconds: int = SECONDS,
) -> list[AgentName]:
    """Give a manager its folder, with a clone of each agent's applied repository that it has no entry for.

    `seen` is where the manager sees the applied repositories. A repository in which nothing is applied yet is cloned with
    what was proposed last. Gives back the names that were added. Raises `Conflict`, `Unavailable` when one cannot be made,
    `Expired` after `seconds`; the others may be there.
    """
    folders.give_proposed(hive, manager, uid=uid, gid=gid)
    if not _missing(hive, manager, names):
        return []
    with Lock(hive.paths.proposed_lock(manager)) as lock:
        deadline = time.monotonic() + seconds
        while not lock.take():
            if time.monotonic() > deadline:
                raise Expired(f"{CONFIG} of {manager} is being filled for long", hint="hyperhive doctor")
            time.sleep(_LOOK)
        # Whoever held it may have made them.
        missing = _missing(hive, manager, names)
        if not missing:
            return []
        binds = ["--ro-bind", str(hive.paths.applied_folder), seen]
        added = _run(hive, manager, uid, gid, [_CLONE, "sh", manager, seen, *missing], binds, seconds)
    return [name for name in missing if name in added]


def is_there(hive: Hive, manager: AgentName, name: AgentName) -> bool:
    """The manager has an entry of that name, whatever it is."""
    with contextlib.suppress(OSError), beneath.opened(hive.paths.proposed(manager), os.O_PATH | beneath.FOLDER) as fd:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
        return True
    return False


def purge(hive: Hive, manager: AgentName) -> None:
    """Remove a manager's folder. Its container must be gone. Raises `Unavailable` with what could not be removed."""
    beneath.remove(hive.paths.proposed_folder, manager)


def _missing(hive: Hive, manager: AgentName, names: Sequence[AgentName]) -> list[AgentName]:
    """Those of these agents that have a repository, and no entry in the manager's folder."""
    try:
        # Looked at name by name: how much else lies there is the manager's affair.
        with beneath.opened(hive.paths.proposed(manager), os.O_PATH | beneath.FOLDER) as fd:
            return [name for name in names if not _is_in(fd, name) and hive.paths.applied(name).is_dir()]
    except OSError as error:
        folder = hive.paths.proposed(manager)
        raise Unavailable(f"{folder} cannot be looked into: {error.strerror}", hint=f"ls -ld {folder}") from None


def _is_in(folder: int, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _run(
    hive: Hive,
    manager: AgentName,
    uid: int | None,
    gid: int | None,
    script: Sequence[str],
    binds: Sequence[str],
    seconds: int,
) -> list[str]:
    """Run a script as the manager's user in a box that holds its folder; gives back the lines that it says."""
    words = Bubblewrap().errand(
        ["sh", "-c", *script],
        uid=uid,
        gid=gid,
        binds=[*binds, "--bind", str(hive.paths.proposed(manager)), CONFIG],
        env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"},
        seconds=seconds,
        memory=_MEMORY,
    )
    try:
        said = git.run_words(words, most=64 * 1024, timeout=seconds)
    except CommandFailed as error:
        check(Bubblewrap(), run=hive.run)
        said_last = clean(error.output.strip().rpartition("\n")[2])[:_ERROR_MOST]
        raise Unavailable(
            f"a repository cannot be put into {CONFIG} of {manager}: {said_last}", hint="hyperhive doctor"
        ) from None
    return said.stdout.decode("utf-8", "replace").splitlines()
