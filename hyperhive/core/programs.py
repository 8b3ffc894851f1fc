"""Where the agent CLI lies, and how an agent's own user comes to it."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

from hyperhive.core import process
from hyperhive.core.config import Settings
from hyperhive.core.errors import Unavailable
from hyperhive.core.folders import check_walkable, may
from hyperhive.core.hive import Hive

_READ_AND_RUN: Final = 5


def find_claude(settings: Settings) -> Path:
    """The agent CLI: what the settings name, else `claude` on the PATH, else the one that the extra `claude` brings.

    Raises `Unavailable` when there is none.
    """
    path = f"{process.PATH}:{os.environ.get('PATH', '')}"
    if settings.claude.command:
        wanted = settings.claude.command[0]
        found = shutil.which(os.path.expanduser(wanted), path=path)
        if found is None:
            raise Unavailable(f"{wanted}, which `claude.command` in hive.toml names, is no program", hint=f"ls -l {wanted}")
        return Path(found).resolve()
    found = shutil.which("claude", path=path) or _bundled()
    if found is None:
        raise Unavailable("the program claude is not here", hint="pip install 'hyperhive[claude]'")
    return Path(found).resolve()


def arguments(settings: Settings) -> tuple[str, ...]:
    """The words that `claude.command` in the settings gives after the program."""
    return settings.claude.command[1:]


def reachable(hive: Hive, program: Path, uid: int | None, gid: int | None = None) -> Path:
    """The program where the agent's user can walk to it and run it: itself, or a link or copy in the state folder.

    Raises `Unavailable` when there is no room for a copy.
    """
    group = uid if gid is None else gid
    if _can_run(program, uid, group):
        return program
    known = program.stat()
    kept = hive.paths.programs / f"{program.name}-{known.st_size}-{known.st_mtime_ns}"
    if not kept.exists():
        try:
            _bring(program, kept)
        except OSError as error:
            raise Unavailable(f"{program} cannot be copied to {kept}: {error.strerror}", hint=f"df {kept.parent}") from None
    check_walkable(kept, uid, group)
    return kept


def _can_run(program: Path, uid: int | None, gid: int | None) -> bool:
    try:
        check_walkable(program, uid, gid)
    except Unavailable:
        return False
    return may(program, uid, gid, _READ_AND_RUN)


def _bring(program: Path, kept: Path) -> None:
    """Put the program at its new place in one step."""
    new = kept.with_name(f".{kept.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    try:
        if program.stat().st_mode & 0o005 == 0o005:
            try:
                # The same file under a second name: no second copy of hundreds of megabytes.
                os.link(program, new)
                new.replace(kept)
                return
            except OSError:
                # Another file system, or one without links.
                pass
        shutil.copyfile(program, new)
        new.chmod(0o755)
        with new.open("rb") as file:
            os.fsync(file)
        new.replace(kept)
    finally:
        new.unlink(missing_ok=True)


def _bundled() -> str | None:
    """The program in the wheel claude-agent-sdk. Looked for only: importing the package takes a second."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = os.path.join(folder, "_bundled", "claude")
        if os.access(path, os.X_OK):
            return path
    return None
