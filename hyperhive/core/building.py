"""How a deployment is built: its commit is written out, its build commands run in a container of the agent's."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core import agent_toml, applied, beneath, builds, cgroups, folders, process, services
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import CommandFailed, HyperhiveError, Invalid, Unavailable
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, EventKind
from hyperhive.core.runtimes import Place, Runtime
from hyperhive.core.safe_text import clean

FILE: Final = "agent.toml"
FILE_MOST: Final = 256 * 1024
# How long all build commands of a deployment may take together, and after how much silence it is said how long it takes,
# in seconds.
BUILD_MOST: Final = 3600.0
SILENCE: Final = 10.0
# What of a build is kept: bytes in its log, lines among the agent's events, lines for the one who proposed it.
LOG_MOST: Final = 4 * 1024 * 1024
EVENTS_MOST: Final = 500
END: Final = 30
_END_MOST: Final = 256 * 1024
# And so many characters of each of those: a line may hold 64 KiB, and a manager's turn is to hold more than this.
END_LINE_MOST: Final = 300
_COPY: Final = ("cp", "-R", "/opt/source/.", "/opt/agent/")


class BuildFailed(HyperhiveError):
    """A build command failed; `end` is the end of what it printed."""

    exit_code = CommandFailed.exit_code
    http_status = CommandFailed.http_status

    def __init__(self, message: str, *, end: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.end = end


class BuildLog:
    """Where the lines of a build go: to its log, to the agent's events, to whoever watches."""

    def __init__(self, hive: Hive, name: AgentName, number: int, say: Callable[[str], None]) -> None:
        self._hive = hive
        self._number = number
        self._say = say
        self._room = LOG_MOST
        self._told = 0
        self._end: list[str] = []
        fd = os.open(log_of(hive, name, number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace")
        self._events = EventLog(hive, name, beside=True)

    @property
    def end(self) -> str:
        """The last lines."""
        return "\n".join(self._end)

    def __call__(self, line: str) -> None:
        """Take one line."""
        line = clean(line.expandtabs(4).replace("\n", " "))
        self._end = [*self._end[1 - END :], line if len(line) <= END_LINE_MOST else f"{line[:END_LINE_MOST]}…"]
        self._say(line)
        if self._room > 0:
            self._room -= len(line) + 1
            with suppress(OSError):
                self._file.write(line + "\n" if self._room > 0 else "… the rest was left out\n")
                self._file.flush()
        self._told += 1
        if self._told <= EVENTS_MOST:
            self._event(line)
        elif self._told == EVENTS_MOST + 1:
            self._event("… the rest is in the log of the build")

    def _event(self, line: str) -> None:
        self._events.add(EventKind.BUILD, {"deployment": self._number, "line": line}, at=self._hive.now())

    def close(self) -> None:
        """Close what was opened."""
        with suppress(OSError):
            self._file.close()
        self._events.close()


def log_of(hive: Hive, name: AgentName, number: int) -> Path:
    """The log of a deployment's build."""
    return hive.paths.build(name, number) / "build.log"


def log_end(hive: Hive, name: AgentName, number: int, *, lines: int = END) -> str:
    """The last lines of a build's log; empty where there is none."""
    try:
        with log_of(hive, name, number).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _END_MOST))
            text = log.read(_END_MOST).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.split("\n")[-lines - 1 :]).strip("\n")


def config_in(hive: Hive, name: AgentName, commit: str) -> tuple[AgentConfig, list[str]]:
    """The configuration that a commit holds, services and all, with warnings about what is left out. Raises `Invalid`."""
    data = applied.read(hive, name, commit, FILE, most=FILE_MOST)
    if data is None:
        raise Invalid(f"there is no {FILE} in the commit {commit[:12]}", hint=f"write {FILE} at the top of the repository")
    config, warnings = agent_toml.read(data)
    units = [entry for entry in applied.entries(hive, name, commit) if services.is_unit(entry.path)]
    if units:
        found = services.read(applied.read_files(hive, name, units, most=services.MOST * services.BYTES_MOST))
        config = msgspec.structs.replace(config, services=found)
    return config, warnings


def check_services(config: AgentConfig, runtime: Runtime) -> None:
    """Refuse services of the agent's own where no system runs that could start them. Raises `Invalid`."""
    if config.services and runtime.booted is None:
        raise Invalid(
            f"{services.FOLDER}{next(iter(config.services))}: a container of the kind {runtime.name} runs no services",
            hint="leave them out, or have an agent in the runtime nspawn",
        )


def build(
    hive: Hive,
    name: AgentName,
    number: int,
    commit: str,
    *,
    runtime: Runtime,
    uid: int | None,
    gid: int | None,
    say: Callable[[str], None],
) -> AgentConfig:
    """Make what deployment `number` of an agent needs: its files, what its commands make of them, its `agent.json`.

    `uid` and `gid` are the agent's user. Each line goes to `say`. Raises `BuildFailed`, and `Invalid`, `Denied` or
    `Unavailable` for a configuration that cannot be had here, or a disk that does not take it. What was left of an earlier
    try is removed first, and what a build that fails has made at its end: its log stays.
    """
    folder = hive.paths.build(name, number)
    try:
        return _build(hive, name, number, commit, folder, runtime=runtime, uid=uid, gid=gid, say=say)
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be written: {error.strerror}", hint=f"df -h {folder}") from None


def _build(
    hive: Hive,
    name: AgentName,
    number: int,
    commit: str,
    folder: Path,
    *,
    runtime: Runtime,
    uid: int | None,
    gid: int | None,
    say: Callable[[str], None],
) -> AgentConfig:
    if folder.exists():
        beneath.remove(folder.parent, folder.name)
    for above in (folder.parent, folder):
        # The agent's user walks through them, and lists nothing; nobody else does, for the files below are open. What lies
        # above them is every agent's, and the hive's.
        above.mkdir(exist_ok=True)
        if uid is not None:
            os.chown(above, -1, uid if gid is None else gid)
        above.chmod(0o700 if uid is None else 0o710)
    config, _ = config_in(hive, name, commit)
    check_services(config, runtime)
    applied.export(hive, name, commit, tree_of(hive, name, number))
    # What this machine cannot give is found out before anything runs.
    place = folders.place(hive, name, uid=uid, gid=gid, program=None, config=config)
    runtime.wrap(place, ["true"])
    if config.build:
        log = BuildLog(hive, name, number, say)
        try:
            with _workshop(folder, name, uid, gid) as (home, out):
                room = msgspec.structs.replace(
                    place, state=home, workspace=home, claude=home, mounts=(), build=out, source=tree_of(hive, name, number)
                )
                _make(hive, runtime, room, config, log)
        finally:
            log.close()
    builds.write_build(hive, name, number, config)
    return config


def discard(hive: Hive, name: AgentName, number: int) -> None:
    """Remove what a build made that somebody who died has left; its log and its files stay. Raises `Unavailable`."""
    folder = hive.paths.build(name, number)
    for made in ("home", "out"):
        if os.path.lexists(folder / made):
            beneath.remove(folder, made)


def tree_of(hive: Hive, name: AgentName, number: int) -> Path:
    """The files of a deployment's commit."""
    return hive.paths.build(name, number) / "tree"


@contextmanager
def _workshop(folder: Path, name: AgentName, uid: int | None, gid: int | None) -> Iterator[tuple[Path, Path]]:
    """A home that a build may fill, gone at its end, beside what it makes: neither login nor notes are in its reach."""
    with beneath.opened(folder) as fd:
        for made in ("home", "out"):
            folders.give(fd, made, uid, gid, name, folder / made)
    try:
        yield folder / "home", folder / "out"
    except BaseException:
        # It may be what has filled the disk.
        beneath.remove(folder, "out")
        raise
    finally:
        beneath.remove(folder, "home")


def _make(hive: Hive, runtime: Runtime, room: Place, config: AgentConfig, log: BuildLog) -> None:
    """Run the build commands, each in a container of its own over the same folders."""
    env = {**config.env, **runtime.inside(room).environment()}
    deadline = time.monotonic() + BUILD_MOST
    limits = cgroups.limit(hive, f"{room.name}.build", memory=config.limits.memory_bytes, tasks=config.limits.tasks)
    with limits:
        for words in (_COPY, *(("sh", "-c", command) for command in config.build)):
            if words is not _COPY:
                log(f"$ {words[2]}")
            try:
                _run([*limits.words, *runtime.wrap(room, words, cwd="/opt/agent")], env, deadline, log)
            except BuildFailed as error:
                if not limits.ran_out():
                    raise
                why = f"{error.message}; it had used up its memory limit of {config.limits.memory}"
                raise BuildFailed(why, end=error.end, hint="give it more: limits.memory in agent.toml") from None


def _run(words: list[str], env: dict[str, str], deadline: float, log: BuildLog) -> None:
    began = time.monotonic()
    try:
        for line in process.lines(words, env=env, timeout=max(1.0, deadline - time.monotonic()), tick=SILENCE):
            if line is None:
                log(f"… {time.monotonic() - began:.0f} s")
            else:
                log(line.decode("utf-8", "replace").rstrip("\r"))
    except CommandFailed as error:
        raise BuildFailed(f"the build failed: {_how(error.code)}", end=log.end, hint="mend it, and propose it again") from None
    except HyperhiveError as error:
        raise BuildFailed(f"the build failed: {error.message}", end=log.end, hint="mend it, and propose it again") from None


def _how(code: int) -> str:
    return f"a command was ended by signal {-code}" if code < 0 else f"a command ended with code {code}"
