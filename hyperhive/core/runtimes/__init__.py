"""The kinds of container that an agent can live in, each as the words that start a program in it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from hyperhive.core import process
from hyperhive.core.agent_config import AgentConfig, Mount
from hyperhive.core.errors import CommandFailed, Invalid, Unavailable
from hyperhive.core.model import AgentName, Network

# The unit of the agent CLI in a container that is booted: one name, so that whoever comes next ends what another has left.
CLI: Final = "hyperhive-cli.service"


class Place(msgspec.Struct, frozen=True):
    """Where an agent lives on the host: its folders, its user, what else its container holds.

    `uid` and `gid` are None for this process' own user; `base` is where its range of uids begins, if it has one. `program` is
    the agent CLI; `build` is what its deployment was built into, which is writable while it is being built, from `source`.
    `tasks` limits processes and threads together, `memory` bytes. A manager's `config` are its proposals, which it changes;
    `applied` are the repositories of what was accepted, which it reads. `root` and `var` are what a container that is booted
    stands on: the host's own folder, and one of the container's.
    """

    name: AgentName
    uid: int | None
    gid: int | None
    state: Path
    workspace: Path
    claude: Path
    tmp: Path
    run: Path
    program: Path | None
    network: Network
    mounts: tuple[Mount, ...]
    tasks: int
    memory: int
    build: Path | None = None
    source: Path | None = None
    config: Path | None = None
    applied: Path | None = None
    base: int | None = None
    root: Path | None = None
    var: Path | None = None


class Inside(msgspec.Struct, frozen=True):
    """The same as the agent sees it.

    `relay` is a command that joins its stdin and stdout to the agent's socket; `terminal` are the words before a
    command that make the terminal on its stdin its own; `gitconfig` is where git's settings lie, if not where git looks by
    itself. `config` and `applied` are a manager's.
    """

    home: str
    state: str
    workspace: str
    claude: str
    tmp: str
    run: str
    socket: str
    program: str | None
    relay: tuple[str, ...]
    terminal: tuple[str, ...]
    path: str
    config: str | None
    applied: str | None
    gitconfig: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables that every program in the container gets, before those of the agent's configuration."""
        return {
            "HOME": self.home,
            "PATH": self.path,
            "TMPDIR": self.tmp,
            "CLAUDE_CONFIG_DIR": self.claude,
            "USER": "agent",
            "LOGNAME": "agent",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            **({"GIT_CONFIG_SYSTEM": self.gitconfig} if self.gitconfig else {}),
        }


class Listing(msgspec.Struct, frozen=True):
    """How to learn which containers of one kind run: the words of a program, and whose they are by what it printed."""

    words: tuple[str, ...]
    read: Callable[[str], frozenset[AgentName]]


class Root(msgspec.Struct, frozen=True):
    """What the host puts into the root of a container that is booted: folders, texts of files and targets of links, by path."""

    folders: tuple[str, ...]
    files: Mapping[str, str]
    links: Mapping[str, str]


class Booted(Protocol):
    """The containers of a kind that is booted: each lives on when no program of hyperhive's runs in it."""

    @property
    def listing(self) -> Listing:
        """How to learn which containers are there."""
        ...

    def unit(self, name: AgentName) -> str:
        """What the machine's systemd calls the container."""
        ...

    @property
    def groups(self) -> Path:
        """Where the machine's control groups are (cgroup v2)."""
        ...

    def group(self, name: AgentName) -> Path:
        """The container's own among them."""
        ...

    def root(self, place: Place, config: AgentConfig) -> Root:
        """What its root is made of, with the services of the agent's own that its configuration brings."""
        ...

    def boot(self, place: Place) -> list[str]:
        """The words that start the container over its root; they end when it has booted. Raises `Invalid` as `wrap` does."""
        ...

    def halt(self, name: AgentName) -> list[str]:
        """The words that end the container with all that runs in it, also what is left of one that was killed.

        They fail where there is none.
        """
        ...

    def end(self, name: AgentName, unit: str) -> list[str]:
        """The words that end one unit in it with all that the unit has started. They fail where there is none."""
        ...

    def journal(self, place: Place) -> list[str]:
        """The words in front of journalctl's options that lead to the container's journal, also when it has ended."""
        ...


class Runtime(Protocol):
    """A kind of container. It says words and runs nothing."""

    @property
    def name(self) -> str:
        """What the settings and `ps` call it."""
        ...

    @property
    def isolation(self) -> str:
        """A sentence about what keeps an agent in, for `doctor`."""
        ...

    @property
    def separates_users(self) -> bool:
        """As root, each agent has a user of its own in it."""
        ...

    @property
    def listing(self) -> Listing | None:
        """How to learn which containers run; None for a kind that lives only as long as a program in it."""
        ...

    @property
    def booted(self) -> Booted | None:
        """How its containers are started and ended, where they are booted; None where each lasts as long as its program."""
        ...

    def inside(self, place: Place) -> Inside:
        """Where the agent finds its things."""
        ...

    def wrap(
        self,
        place: Place,
        command: Sequence[str],
        *,
        cwd: str | None = None,
        env: Collection[str] = (),
        unit: str | None = None,
    ) -> list[str]:
        """The words that run `command` in the container, in `cwd` (a path inside; else the workspace).

        Secrets go into the environment of these words, never among them: `env` names what of it the command is to have.
        `unit` is what the command is called in a container that is booted, to be ended by. Raises `Invalid` for a place
        that this kind of container cannot give.
        """
        ...

    def probe(self) -> list[str]:
        """The words of a harmless test that this kind of container works here."""
        ...

    def explain(self, output: str) -> Unavailable:
        """Why the test failed and what to do about it, from what it printed."""
        ...


def runtimes() -> dict[str, Runtime]:
    """Every kind of container by its name."""
    from hyperhive.core.runtimes.bubblewrap import Bubblewrap
    from hyperhive.core.runtimes.host import Host
    from hyperhive.core.runtimes.nspawn import Nspawn

    return {"bubblewrap": Bubblewrap(), "nspawn": Nspawn(), "host": Host()}


AUTO: Final = "auto"


def runtime_named(name: str) -> Runtime:
    """The kind of container of that name; `auto` is bubblewrap. Raises `Invalid` for an unknown one."""
    known = runtimes()
    runtime = known.get("bubblewrap" if name == AUTO else name)
    if runtime is None:
        raise Invalid(f"there is no runtime {name!r}", hint=f"known runtimes: {', '.join([AUTO, *known])}")
    return runtime


def check(
    runtime: Runtime,
    words: Sequence[str] | None = None,
    *,
    run: Callable[[Sequence[str]], process.Completed] = process.run,
) -> process.Completed:
    """Try whether this kind of container works here, by its probe, or by `words` that cannot fail inside.

    Gives back what they printed. Raises `Unavailable` with what to do about it.
    """
    try:
        return run(words or runtime.probe())
    except CommandFailed as error:
        raise runtime.explain(error.output) from None
    except Unavailable as error:
        raise runtime.explain(error.message) from None
