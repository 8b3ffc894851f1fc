"""An agent's container made ready: where it lies, what it is given, how a command runs in it."""

import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from hyperhive.core import cgroups, claude, container_root, containers, folders, login, process, programs, proposed, terminal
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.builds import config_of, made_in, write_changed
from hyperhive.core.containers import Container
from hyperhive.core.errors import HyperhiveError, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.identity import identity
from hyperhive.core.locks import Lock
from hyperhive.core.model import AgentName, ApprovalKind, ApprovalState, Flavor, Network, Wanted
from hyperhive.core.roster import living
from hyperhive.core.runtimes import Inside, Place, Runtime, check, runtime_named
from hyperhive.core.tables import AgentRow, ApprovalRow

# How long the repositories of a manager may take to be made before a turn of it, in seconds.
LEND_MOST: Final = 30
# The shell's own word for it: a program that the container lacks is no failure of the container.
_LOOK: Final = 'case $1 in */*) test -f "$1" && test -x "$1";; *) command -v -- "$1" >/dev/null;; esac || echo absent'
_TERM: Final = re.compile(r"[A-Za-z0-9.+_-]{1,40}")


class NoProgram(NotFound):
    """The container has no such program."""

    # What a shell says of one.
    exit_code = 127


class Box(msgspec.Struct, frozen=True):
    """What is needed to run something as an agent. `program` is the agent CLI's words inside, `started_with` names all of it.

    `container` is what all of it runs in, where such containers are booted.
    """

    name: AgentName
    runtime: Runtime
    place: Place
    inside: Inside
    config: AgentConfig
    deployed: int | None
    model: str | None
    conversation: str | None
    env: dict[str, str]
    program: list[str]
    mark: str
    started_with: str
    warnings: list[str]
    container: Container | None = None

    def words(self, command: Sequence[str], *, env: Collection[str] = (), unit: str | None = None) -> list[str]:
        """The command, wrapped in the agent's container; `env` and `unit` as a runtime's `wrap` takes them."""
        return self.runtime.wrap(self.place, command, env=env, unit=unit)

    def limit(self, hive: Hive) -> cgroups.Limits:
        """The limits that hold for all that runs in the agent's container, together."""
        limits = self.config.limits
        if self.container is not None:
            # It has them itself.
            return cgroups.of_unit(self.container.booted.group(self.name))
        return cgroups.limit(hive, self.name, memory=limits.memory_bytes, tasks=limits.tasks)

    def run(self, hive: Hive, command: Sequence[str]) -> int:
        """Run a command in the container on this terminal; gives back its exit code.

        Raises `Unavailable` when such a container cannot be made here, `Conflict` when it is to be there and is not,
        `NoProgram` when it lacks the program.
        """
        with self._visited(hive, command[0]) as unit, self.limit(hive) as limits:
            return terminal.run_in_box(self.runtime, self.place, command, self._visit(), before=limits.words, unit=unit)

    def ask(self, hive: Hive, command: Sequence[str], *, hint: str, env: Mapping[str, str] | None = None) -> int:
        """As `run`, for a command that asks, with more variables. Raises `Invalid` with the hint where nobody can answer."""
        with self._visited(hive, command[0]) as unit, self.limit(hive) as limits:
            return terminal.ask_in_box(
                self.runtime, self.place, command, {**self._visit(), **(env or {})}, hint=hint, before=limits.words, unit=unit
            )

    @contextmanager
    def converse(self, hive: Hive, command: Sequence[str], *, env: Mapping[str, str]) -> Iterator["process.Process"]:
        """Run a command in the container that is talked with over pipes, its errors among its words; it ends with the block.

        Raises as `run`. To be used in a thread that goes on until then: some containers end with the one that began them.
        """
        given = {**self._visit(), **env}
        with self._visited(hive, command[0]) as unit, self.limit(hive) as limits:
            words = [*limits.words, *self.words(command, env=given, unit=unit)]
            child = process.start(words, env=given, stdin=process.PIPE, stderr=process.STDOUT)
            try:
                yield child
            finally:
                process.end_group(child)

    @contextmanager
    def _visited(self, hive: Hive, program: str) -> Iterator[str | None]:
        """Be in the container for a program, as the unit that it is to be, which ends with this."""
        if self.container is None:
            self._look_for(program)
            yield None
            return
        containers.visit(hive, self.container)
        self._look_for(program)
        unit = f"hyperhive-visit-{secrets.token_hex(4)}.service"
        try:
            with terminal.leaving_in_order():
                yield unit
        finally:
            containers.end(hive, self.name, unit)

    def _look_for(self, program: str) -> None:
        # Beforehand: what the container's maker and the command itself say of their failures cannot be told apart.
        words = self.words(["sh", "-c", _LOOK, "sh", program], env=self._visit())
        if check(self.runtime, words, run=partial(process.run, env=self._visit())).stdout:
            raise NoProgram(
                f"there is no program {ascii(program)[1:-1]} in the container of {self.name}",
                hint=f"hyperhive exec {self.name} -- ls /usr/bin",
            )

    def _visit(self) -> dict[str, str]:
        """The environment of what the operator runs."""
        # So that what draws on the operator's terminal knows what it can do.
        term = {"TERM": os.environ["TERM"]} if _TERM.fullmatch(os.environ.get("TERM", "")) else {}
        return {**term, **self.env, process.VISIT: self.mark}


def prepare(hive: Hive, name: AgentName) -> Box:
    """Make an agent's container ready. Raises `NotFound`, and `Unavailable` for what the machine lacks."""
    with hive.db.read():
        row = living(name)
    config, warnings = config_of(hive, name, row.deployed)
    runtime = runtime_named(row.runtime)
    uid, gid = identity(row.uid, row.user)
    base = row.uid if runtime.booted is not None and row.user is None else None
    folders.prepare(hive, name, uid=uid, gid=gid, flavor=row.flavor)
    if base is not None:
        container_root.prepare(hive, name, base)
    program = programs.reachable(hive, programs.find_claude(hive.settings), uid, gid)
    place = folders.place(
        hive,
        name,
        uid=uid,
        gid=gid,
        base=base,
        program=program,
        config=config,
        flavor=row.flavor,
        build=made_in(hive, name, row.deployed),
    )
    container = containers.of_agent(runtime, place, config, base=row.base)
    inside = runtime.inside(place)
    if inside.program is None:
        raise Unavailable("the agent CLI is not there", hint="pip install 'hyperhive[claude]'")
    if inside.applied is not None:
        warnings = [*warnings, *_lend(hive, name, uid, gid, inside.applied)]
    mark = str(hive.paths.agent(name))
    env = claude.environment(
        inside, config, settings=hive.settings.claude.env, login=login.variables(folders.read_token(hive, name))
    )
    if config.network is Network.NONE:
        # Few agents need it.
        from hyperhive.core import api_gate

        env |= api_gate.variables()
    given = {"mcp.json": claude.servers(inside, config), "prompt.md": prompt(name, row.flavor, config).encode()}
    for file, data in given.items():
        write_changed(place.run / file, data, mode=0o640, gid=gid)
    state = program.stat()
    return Box(
        name=name,
        runtime=runtime,
        place=place,
        inside=inside,
        config=config,
        deployed=row.deployed,
        model=row.model or config.model,
        conversation=row.conversation,
        env=env,
        program=[inside.program, *programs.arguments(hive.settings)],
        mark=mark,
        started_with=claude.digest(
            row.deployed,
            config,
            sorted(env.items()),
            given,
            state.st_ino,
            state.st_mtime_ns,
            state.st_size,
            container and container.stamp,
        ),
        warnings=warnings,
        container=container,
    )


def bring_up(hive: Hive, name: AgentName) -> None:
    """Have an agent's container as it is configured now, where such containers are booted.

    One that a harness works in is left as it is; that harness, or its end, brings it up. Raises as `prepare` does.
    """
    with hive.db.read():
        if runtime_named(living(name).runtime).booted is None:
            return
    container = prepare(hive, name).container
    assert container is not None
    # Held, so that no harness begins to work in what is about to end. Who wants to begin is rung for afterwards.
    with Lock(hive.paths.harness_lock(name)) as lock:
        if lock.take():
            containers.bring_up(hive, container)
        else:
            containers.keep_up(hive, container)


def settle(hive: Hive, name: AgentName) -> None:
    """Leave an agent's container as is wanted now. By its harness, when it has done its work. Raises as `prepare` does."""
    with hive.db.read():
        row = living(name)
    if runtime_named(row.runtime).booted is None:
        return
    if row.wanted is not Wanted.STARTED:
        containers.bring_down(hive, name)
    elif (container := prepare(hive, name).container) is not None:
        containers.bring_up(hive, container)


def prompt(name: AgentName, flavor: Flavor, config: AgentConfig) -> str:
    """What the agent CLI's own system prompt is followed by."""
    from hyperhive import prompts

    role = f"\n# Your role\n\n{config.role.strip()}\n" if config.role.strip() else ""
    return f"You are the agent `{name}`.\n\n{prompts.text(flavor)}\n{role}"


def _lend(hive: Hive, manager: AgentName, uid: int | None, gid: int | None, seen: str) -> list[str]:
    """See to it that a manager has a repository for each agent; where that fails it works without, and this says why."""
    waiting = ApprovalRow.select(ApprovalRow.agent).where(
        ApprovalRow.kind == ApprovalKind.SPAWN, ApprovalRow.asker == manager, ApprovalRow.state == ApprovalState.PENDING
    )
    with hive.db.read():
        living = AgentRow.select(AgentRow.name).where(AgentRow.wanted != Wanted.DESTROYED)
        names = sorted({row.name for row in living} | {row.agent for row in waiting})
    try:
        proposed.ensure(hive, manager, uid=uid, gid=gid, names=list(map(AgentName, names)), seen=seen, seconds=LEND_MOST)
    except HyperhiveError as error:
        return [error.whole]
    return []
