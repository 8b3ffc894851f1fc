"""The root of a booted container as it lies on the disk: made anew before each boot, written by nobody else."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyperhive.core import beneath
from hyperhive.core.builds import write_changed, write_whole
from hyperhive.core.errors import Unavailable
from hyperhive.core.folders import give
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from hyperhive.core.runtimes import Place, Root

_NOTE: Final = "started.json"
_RESOLVER: Final = Path("/etc/resolv.conf")
_WORKSPACE: Final = "/workspace/"


def prepare(hive: Hive, name: AgentName, base: int) -> None:
    """Make what a container stands on, where it is missing; the agent's range of users begins at `base`.

    Nobody else of the machine may walk into it but its root user. Raises `Unavailable`, `Conflict` as `folders.prepare` does.
    """
    folder = hive.paths.agent_container(name)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, -1, base)
        folder.chmod(0o710)
        with beneath.opened(folder) as fd:
            give(fd, "var", base, base, name, folder / "var")
        # Where names are asked for now: the container sees no other copy of it.
        write_changed(hive.paths.agent_run(name) / "resolv.conf", _resolver(), mode=0o644)
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be made: {error.strerror}", hint=f"ls -la {folder}") from None


def make(hive: Hive, place: Place, root: Root) -> None:
    """Write all of it, in place of what was there. The container must have ended. Raises `Unavailable`."""
    assert place.root is not None
    assert place.base is not None
    folder = place.root
    try:
        if os.path.lexists(folder):
            beneath.remove(folder.parent, folder.name)
        folder.mkdir(mode=0o755)
        for path in root.folders:
            _folder(folder, path)
        for path, text in root.files.items():
            _folder(folder, os.path.dirname(path))
            file = folder / path[1:]
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644)
        for path, target in root.links.items():
            _folder(folder, os.path.dirname(path))
            (folder / path[1:]).symlink_to(target)
        # Its root user's, who cannot change it either: what sets the system up trusts no folder in a stranger's.
        os.chown(folder, place.base, place.base)
        folder.chmod(0o755)
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be made: {error.strerror}", hint=f"df -h {folder.parent}") from None
    _make_targets(hive, place)


def write_note(hive: Hive, name: AgentName, data: bytes) -> None:
    """Keep what is to be known of the container that was brought up. Raises `Unavailable`."""
    file = hive.paths.agent_container(name) / _NOTE
    try:
        write_whole(file, data)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}", hint=f"df -h {file.parent}") from None


def read_note(hive: Hive, name: AgentName) -> bytes:
    """What was kept. Raises `OSError` where nothing was."""
    return (hive.paths.agent_container(name) / _NOTE).read_bytes()


def forget_note(hive: Hive, name: AgentName) -> None:
    """Nothing of it is there any more on purpose."""
    with suppress(OSError):
        (hive.paths.agent_container(name) / _NOTE).unlink()


def _resolver() -> bytes:
    try:
        return _RESOLVER.read_bytes()
    except OSError:
        return b""


def _folder(root: Path, path: str) -> None:
    """A folder with all above it, open to everybody in the container, whatever this process makes others like."""
    at = root
    for part in path.split("/"):
        if part:
            at = at / part
            if not at.is_dir():
                at.mkdir(mode=0o755)
                at.chmod(0o755)


def _make_targets(hive: Hive, place: Place) -> None:
    """The folders in the workspace that something is mounted on, made by the agent's user: the workspace is its own."""
    own = [mount.target.removeprefix(_WORKSPACE) for mount in place.mounts if mount.target.startswith(_WORKSPACE)]
    if own:
        user = ["--reuid", str(place.uid), "--regid", str(place.gid), "--clear-groups", "--no-new-privs"]
        hive.run(["setpriv", *user, "--", "mkdir", "--parents", "--", *(f"{place.workspace}/{target}" for target in own)])
