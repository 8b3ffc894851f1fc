"""What a hive needs of its machine, looked at one by one."""

import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import bases, cgroups, containers, folders, install, process, programs, runtimes
from hyperhive.core.errors import CommandFailed, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive, make_folders
from hyperhive.core.locks import holder, is_held
from hyperhive.core.paths import find_paths

PYTHON: Final = (3, 11)
# Before this a WAL file that several processes write can be corrupted (https://sqlite.org/releaselog/3_51_3.html).
SQLITE: Final = (3, 51, 3)
# Which can fetch without writing down what it fetched, and is told where the settings of the machine are.
GIT: Final = (2, 32)
# Below this a hive will soon not take messages any more, in bytes.
FREE: Final = 512 * 1024 * 1024
# What Linux gives a user by default, and what other programs leave of it.
INOTIFY: Final = 128
# Enough for a program that does nothing: bytes, processes.
_TRIED_MEMORY: Final = 64 * 1024 * 1024
_TRIED_TASKS: Final = 64
_NOBODY: Final = 65534
_INOTIFY_LIMIT: Final = Path("/proc/sys/fs/inotify/max_user_instances")


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, what was found, and what to type where it is not well."""

    check: str
    level: Level
    message: str
    hint: str | None = None


def examine(environment: "os._Environ[str] | dict[str, str]") -> Iterator[Finding]:
    """Look at everything, also where something before is broken; each finding as soon as it is there."""
    yield _machine()
    yield _python()
    yield from _guarded("sqlite", _sqlite)
    hive: Hive | None = None
    try:
        paths = find_paths(environment)
        make_folders(paths)
        hive = Hive(paths)
    except HyperhiveError as error:
        yield Finding("folders", Level.ERROR, error.message, error.hint)
    if hive is not None:
        known = hive
        yield from _guarded("folders", lambda: _folders(known))
        yield from _guarded("settings", lambda: Finding("settings", Level.OK, _settings(known)))
        yield from _guarded("database", lambda: _database(known))
        yield from _guarded("container", lambda: _container(known))
        yield from _guarded("limits", lambda: _limits(known))
        yield from _guarded("claude", lambda: _claude(known))
    yield _relay()
    yield _git()
    yield _inotify(boots=hive is not None and _boots(hive))
    if hive is not None:
        yield _hub(hive, install.how_to_start(environment))
        hive.close()


def _guarded(check: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield look()
    except CommandFailed as error:
        yield Finding(check, Level.ERROR, f"{error.message}: {error.output.strip() or 'it says nothing'}", shlex.join(error.argv))
    except HyperhiveError as error:
        yield Finding(check, Level.ERROR, error.message, error.hint)


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    says = f"{platform.system()} {platform.release()} on {platform.machine()}, {os.cpu_count()} processors, {memory:.1f} GiB"
    if sys.platform != "linux":
        return Finding("machine", Level.ERROR, f"{says}: hyperhive needs Linux", "use a Linux machine, or a virtual one")
    return Finding("machine", Level.OK, says)


def _python() -> Finding:
    says = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info < PYTHON:
        return Finding("python", Level.ERROR, f"{says} is too old", f"install Python {'.'.join(map(str, PYTHON))} or newer")
    return Finding("python", Level.OK, says)


def _sqlite() -> Finding:
    try:
        import apsw
    except ImportError as error:
        raise Unavailable(f"apsw cannot be loaded: {error}", hint="pip install apsw") from None
    says = f"SQLite {apsw.sqlite_lib_version()} of apsw {apsw.apsw_version()}"
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < SQLITE:
        return Finding("sqlite", Level.ERROR, f"{says} may corrupt the database", "pip install -U apsw")
    return Finding("sqlite", Level.OK, says)


def _folders(hive: Hive) -> Finding:
    state = hive.paths.state
    for folder in (state, hive.paths.agents, hive.paths.run, hive.paths.locks, hive.paths.wake, hive.paths.log):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            return Finding("folders", Level.ERROR, f"{folder} cannot be written: {error.strerror}", f"ls -ld {folder}")
    if os.geteuid() == 0:
        # Agents have users of their own then, who must come to their folders.
        folders.check_walkable(hive.paths.agents / "any", _NOBODY, _NOBODY)
    free = shutil.disk_usage(state).free
    if free < FREE:
        return Finding("folders", Level.WARNING, f"{state} has only {free // 1024**2} MiB of room", f"df -h {state}")
    return Finding("folders", Level.OK, f"{state}, with {free / 1024**3:.1f} GiB of room")


def _settings(hive: Hive) -> str:
    settings = hive.settings
    where = str(hive.paths.settings) if hive.paths.settings.exists() else f"the defaults, for there is no {hive.paths.settings}"
    return f"{where}; at most {settings.places()} agents work at once"


def _database(hive: Hive) -> Finding:
    if not hive.paths.database.exists():
        return Finding("database", Level.OK, "none yet; the first agent makes one")
    found = hive.db.check()
    if found != "ok":
        return Finding(
            "database", Level.ERROR, f"{hive.paths.database} is damaged: {found}", "stop the hive and restore a backup"
        )
    return Finding("database", Level.OK, f"{hive.paths.database} is sound")


def _container(hive: Hive) -> Finding:
    runtime = runtimes.runtime_named(hive.settings.runtime)
    containers.check(hive, runtime)
    level = Level.WARNING if runtime.isolation.startswith("none") else Level.OK
    return Finding(
        "container", level, f"{runtime.name} works: {runtime.isolation}", None if level is Level.OK else 'runtime = "bubblewrap"'
    )


def _boots(hive: Hive) -> bool:
    """New agents get containers that boot; not so where the settings are wrong, which is said elsewhere."""
    try:
        return runtimes.runtime_named(hive.settings.runtime).booted is not None
    except HyperhiveError:
        return False


def _limits(hive: Hive) -> Finding:
    booted = runtimes.runtime_named(hive.settings.runtime).booted
    if booted is not None:
        return _limits_of_units(booted)
    # A name that no agent has.
    with cgroups.limit(hive, "doctor.", memory=_TRIED_MEMORY, tasks=_TRIED_TASKS) as limits:
        if limits.why_not is not None:
            says = f"the memory of agents is not limited: {limits.why_not.message}"
            return Finding("limits", Level.WARNING, says, limits.why_not.hint)
        hive.run([*limits.words, "true"])
        return Finding("limits", Level.OK, f"memory and tasks of agents are limited by {limits.how}")


def _limits_of_units(booted: runtimes.Booted) -> Finding:
    """The machine's systemd limits containers that are booted, as far as it may."""
    try:
        known = (booted.groups / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        known = []
    if {"memory", "pids"} <= set(known):
        return Finding("limits", Level.OK, "memory and tasks of agents are limited by systemd, for each container")
    says = f"systemd cannot limit the memory of agents: {booted.groups} has no memory controller"
    return Finding("limits", Level.WARNING, says, "boot with systemd.unified_cgroup_hierarchy=1")


def _claude(hive: Hive) -> Finding:
    found = programs.find_claude(hive.settings)
    version = bases.ask_version(hive, found)
    return Finding("claude", Level.OK, f"{version} at {found}")


def _relay() -> Finding:
    if socat := process.find("socat"):
        return Finding("relay", Level.OK, f"{socat} joins agents to their sockets")
    if python := process.find("python3"):
        return Finding("relay", Level.OK, f"{python} joins agents to their sockets; socat would need less memory")
    return Finding(
        "relay", Level.ERROR, "neither socat nor python3 is there to join agents to their sockets", "sudo apt-get install socat"
    )


def _git() -> Finding:
    get_it = "sudo apt-get install git"
    try:
        says = process.run(["git", "--version"]).text()
    except Unavailable:
        return Finding("git", Level.ERROR, "git is not installed, which keeps agents' configuration", get_it)
    found = re.search(r"(\d+)\.(\d+)", says)
    if found is None or tuple(map(int, found.groups())) < GIT:
        return Finding("git", Level.ERROR, f"{says} is too old: {'.'.join(map(str, GIT))} or newer is needed", get_it)
    return Finding("git", Level.OK, says)


def _inotify(*, boots: bool) -> Finding:
    try:
        most = int(_INOTIFY_LIMIT.read_text())
    except (OSError, ValueError):
        return Finding("inotify", Level.WARNING, f"{_INOTIFY_LIMIT} cannot be read", f"cat {_INOTIFY_LIMIT}")
    raise_it = f"sudo sysctl fs.inotify.max_user_instances={4 * INOTIFY}"
    try:
        from inotify_simple import INotify

        INotify().close()
    except OSError as error:
        return Finding("inotify", Level.ERROR, f"all {most} inotify instances are in use: {error.strerror}", raise_it)
    if most < INOTIFY:
        return Finding("inotify", Level.WARNING, f"this machine has only {most} inotify instances", raise_it)
    if boots and most < containers.INOTIFY_ENOUGH:
        says = f"{most} instances are enough for about {most // containers.INOTIFY_EACH} containers that boot"
        return Finding("inotify", Level.WARNING, says, f"sudo sysctl {containers.MORE_INOTIFY}")
    return Finding("inotify", Level.OK, f"{most} instances for each user, and one is free")


def _hub(hive: Hive, how_to_start: str) -> Finding:
    if is_held(hive.paths.lock("hub")):
        return Finding("hub", Level.OK, f"the hive is up ({holder(hive.paths.lock('hub'))})")
    return Finding("hub", Level.WARNING, "the hive is not up: messages wait", how_to_start)
