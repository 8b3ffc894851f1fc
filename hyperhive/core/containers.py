"""Agents' containers of the kinds that are booted: brought up as they are configured, kept up, taken down."""

import contextlib
import hashlib
import os
import shlex
from collections.abc import Iterator
from typing import Final

import msgspec

from hyperhive.core import container_root, doorbell, observations, operations, runtimes, waiting
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import CommandFailed, Conflict, Denied, Expired, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock, holder
from hyperhive.core.model import AgentName, Verb, Wanted
from hyperhive.core.runtimes import CLI, Booted, Place, Root, Runtime, runtime_named
from hyperhive.core.tables import AgentRow

# How many inotify instances systemd and its bus take in one container (measured with systemd 252), what must be left for the
# hive itself, and what is enough for many.
INOTIFY_EACH: Final = 5
INOTIFY_LEFT: Final = 8
INOTIFY_ENOUGH: Final = 1024
MORE_INOTIFY: Final = "fs.inotify.max_user_instances=4096"
# What says of an operation that starts an agent that only its container is missing, since the machine was started.
COME_BACK: Final = "the machine was started"
# How long a container may take to boot and to end, one that has ended to be forgotten, a unit in it to end, and how long
# somebody else may be at it, in seconds.
BOOT_MOST: Final = 75.0
HALT_MOST: Final = 30.0
GONE_MOST: Final = 5.0
END_MOST: Final = 15.0
WAIT_MOST: Final = 120.0
# What systemctl answers of a unit that it does not know: it has ended.
_NOT_LOADED: Final = 5


class Container(msgspec.Struct, frozen=True):
    """An agent's container as it is to be; `stamp` names all that a container must be booted anew for."""

    name: AgentName
    booted: Booted
    place: Place
    root: Root
    stamp: str


class _Started(msgspec.Struct, frozen=True):
    """What is written down of a container that was brought up: its stamp, the start of the machine, and its build."""

    stamp: str
    boot: str | None
    build: int | None = None


def check(hive: Hive, runtime: Runtime) -> None:
    """Refuse a kind of container that this hive cannot have here. Raises `Denied`, `Unavailable`, with what to do about it."""
    if runtime.booted is not None:
        if os.geteuid() != 0:
            raise Denied(f"only root may have containers of the kind {runtime.name}", hint="sudo hyperhive …")
        if not hive.paths.is_machines:
            # Their names are the machine's, and no two hives may share them.
            raise Denied(
                f"containers of the kind {runtime.name} belong to the machine's own hive, and this is another one",
                hint="leave HYPERHIVE_HOME out, or choose the runtime bubblewrap",
            )
    runtimes.check(runtime, run=hive.run)


def of_agent(runtime: Runtime, place: Place, config: AgentConfig, *, base: str | None) -> Container | None:
    """The container that an agent is to have, or None where its kind lasts only as long as a program. Raises `Invalid`.

    `base` is what its deployment stands on: another one has it booted anew.
    """
    booted = runtime.booted
    if booted is None:
        return None
    root = booted.root(place, config)
    # Not all of its files: those that follow the machine change whenever somebody installs something.
    own = {path: text for path, text in root.files.items() if path.startswith("/etc/systemd/")}
    named = msgspec.json.encode([booted.boot(place), sorted(own.items()), base])
    return Container(place.name, booted, place, root, hashlib.sha256(named).hexdigest())


def is_up(hive: Hive, booted: Booted, name: AgentName) -> bool:
    """The agent's container is there."""
    return name in booted.listing.read(hive.run(booted.listing.words).text())


def bring_up(hive: Hive, container: Container) -> bool:
    """Have it as it is to be; one that was brought up otherwise ends first. Says whether it was booted.

    Nothing of the agent's may be at work in it. Raises `Unavailable` when it does not boot.
    """
    with _held(hive, container.name):
        if _is_still_up(hive, container.booted, container.name) and _is_as(hive, container):
            return False
        _boot(hive, container)
        return True


def keep_up(hive: Hive, container: Container) -> None:
    """Have it, as it is, for somebody may be at work in it; one that is not there is booted. Raises as `bring_up` does."""
    with _held(hive, container.name):
        if not _is_still_up(hive, container.booted, container.name):
            _boot(hive, container)


def visit(hive: Hive, container: Container) -> None:
    """Have it for somebody who wants to run something in it. Raises `Conflict` where the agent is stopped."""
    with _held(hive, container.name):
        if _is_still_up(hive, container.booted, container.name):
            return
        with hive.db.read():
            row = AgentRow.get_or_none(AgentRow.name == container.name)
        if row is None or row.wanted is not Wanted.STARTED:
            raise Conflict(f"{container.name} is not running", hint=f"hyperhive start {container.name}")
        _boot(hive, container)


def bring_down(hive: Hive, name: AgentName) -> None:
    """End the agent's container with all that runs in it, if it has one. Raises `Unavailable` when it does not end."""
    booted = _booted(hive, name)
    if booted is None:
        return
    with _held(hive, name):
        _expect(hive, name, running=False)
        container_root.forget_note(hive, name)
        _halt(hive, booted, name)


def end(hive: Hive, name: AgentName, unit: str) -> None:
    """End a unit in the agent's container with all that it has started, if there is one of that name.

    Raises `Unavailable` when the container does not do so.
    """
    booted = _booted(hive, name)
    if booted is None:
        return
    # One that is just being brought up cannot be asked yet.
    with _held(hive, name):
        try:
            hive.run(booted.end(name, unit), timeout=END_MOST)
        except (CommandFailed, Expired) as error:
            if (isinstance(error, CommandFailed) and error.code == _NOT_LOADED) or not is_up(hive, booted, name):
                return
            raise Unavailable(
                f"{unit} in the container of {name} does not end: {error}", hint=f"hyperhive restart {name}"
            ) from None


def end_cli(hive: Hive, name: AgentName) -> None:
    """End the agent CLI in the agent's container, if it runs there; where the container does not do so, it ends itself.

    Raises `Unavailable` when that does not help either.
    """
    try:
        end(hive, name, CLI)
    except Unavailable:
        bring_down(hive, name)


def build_seen(hive: Hive, name: AgentName) -> int | None:
    """The number of the build that the agent's container was brought up with last, which it may see still."""
    started = _started(hive, name)
    return None if started is None else started.build


def ask_back(hive: Hive) -> list[AgentName]:
    """Ask for the containers that ended with the machine. Gives back whose they are."""
    names = _forgotten(hive)
    if names:
        with hive.db.write():
            for name in names:
                operations.ask(hive, name, Verb.START, by=operations.HIVE, argument=COME_BACK)
    return names


def _forgotten(hive: Hive) -> list[AgentName]:
    """The agents that are wanted started and whose containers were not brought up since the machine was started."""
    with hive.db.read():
        rows = list(AgentRow.select(AgentRow.name, AgentRow.runtime).where(AgentRow.wanted == Wanted.STARTED))
    booted = {kind for kind in {row.runtime for row in rows} if runtime_named(kind).booted is not None}
    boot = hive.boot()
    found = []
    for row in rows:
        if row.runtime in booted:
            started = _started(hive, AgentName(row.name))
            if started is None or started.boot != boot:
                found.append(AgentName(row.name))
    return found


def _booted(hive: Hive, name: AgentName) -> Booted | None:
    with hive.db.read():
        row = AgentRow.get_or_none(AgentRow.name == name)
    return None if row is None else runtime_named(row.runtime).booted


@contextlib.contextmanager
def _held(hive: Hive, name: AgentName) -> Iterator[None]:
    """Only one process brings a container up or down."""
    path = hive.paths.container_lock(name)
    with Lock(path) as lock:
        if not waiting.until(lock.take, WAIT_MOST):
            raise Expired(f"the container of {name} is held by {holder(path)}", hint="hyperhive doctor")
        yield


def _is_still_up(hive: Hive, booted: Booted, name: AgentName) -> bool:
    """The container is there; one that should be and is not is told of, for it will be there again when the watch looks."""
    if is_up(hive, booted, name):
        return True
    started = _started(hive, name)
    if started is not None and started.boot == hive.boot():
        with hive.db.write():
            told = observations.note_running(hive, name, running=False, asked_for=False)
        for who in observations.to_ring(told):
            doorbell.ring(hive.paths, who)
    return False


def _expect(hive: Hive, name: AgentName, *, running: bool) -> None:
    """Whoever looks is to find it so: what is done on purpose is no crash."""
    with hive.db.write():
        observations.note_running(hive, name, running=running, asked_for=True)


def _boot(hive: Hive, container: Container) -> None:
    name, booted = container.name, container.booted
    _expect(hive, name, running=False)
    check_inotify()
    # What is left of one that was killed keeps the name, and only its end lets go of it.
    _halt(hive, booted, name)
    container_root.make(hive, container.place, container.root)
    try:
        hive.run(booted.boot(container.place), timeout=BOOT_MOST)
    except CommandFailed as error:
        last = error.output.strip().rpartition("\n")[2] or f"code {error.code}"
        raise Unavailable(
            f"the container of {name} does not start: {last}", hint=f"journalctl --unit={booted.unit(name)}"
        ) from None
    build = container.place.build
    number = None if build is None else int(build.relative_to(hive.paths.builds(name)).parts[0])
    note = _Started(container.stamp, hive.boot(), number)
    container_root.write_note(hive, name, msgspec.json.encode(note))
    _expect(hive, name, running=True)


def check_inotify() -> None:
    """Refuse to boot where the system in a container would find no inotify instances, and wait for them for ever.

    Those of all containers are counted as the one user's that has made them (user_namespaces(7), inotify(7)). Raises
    `Unavailable`.
    """
    from inotify_simple import INotify

    taken: list[INotify] = []
    try:
        for _ in range(INOTIFY_EACH + INOTIFY_LEFT):
            taken.append(INotify())
    except OSError:
        raise Unavailable(
            "the machine gives out too few inotify instances for one more container", hint=f"sudo sysctl {MORE_INOTIFY}"
        ) from None
    finally:
        for one in taken:
            one.close()


def _halt(hive: Hive, booted: Booted, name: AgentName) -> None:
    try:
        hive.run(booted.halt(name), timeout=HALT_MOST)
    except CommandFailed as error:
        if error.code != _NOT_LOADED:
            raise Unavailable(
                f"the container of {name} does not end: {error.output.strip()}", hint=shlex.join(error.argv)
            ) from None
    # Its name is free a moment later.
    if not waiting.until(lambda: not is_up(hive, booted, name), GONE_MOST):
        raise Unavailable(f"the container of {name} does not end", hint="machinectl list")


def _is_as(hive: Hive, container: Container) -> bool:
    """The one that was brought up last is as it is to be."""
    started = _started(hive, container.name)
    return started is not None and started.stamp == container.stamp


def _started(hive: Hive, name: AgentName) -> _Started | None:
    try:
        return msgspec.json.decode(container_root.read_note(hive, name), type=_Started)
    except (OSError, msgspec.DecodeError):
        return None
