"""The kinds of container that an agent can live in, each as the words that start a program in it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from hyperhive.core import process
from hyperhive.core.agent_config import Mount
from hyperhive.core.errors import CommandFailed, Invalid, Unavailable
from hyperhive.core.model import AgentName, Network


class Place(msgspec.Struct, frozen=True):
    """Where an agent lives on the host: its folders, its user, what else its container holds.

    `uid` and `gid` are None for this process' own user; `program` is the agent CLI; `build` is what its deployment was
    built into, which is writable while it is being built, from `source`; `tasks` limits processes and threads together.
    A manager's `config` are its proposals, which it changes; `applied` are the repositories of what was accepted, which
    it reads.
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
    build: Path | None = None
    source: Path | None = None
    config: Path | None = None
    applied: Path | None = None


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

    def inside(self, place: Place) -> Inside:
        """Where the agent finds its things."""
        ...

    def wrap(self, place: Place, command: Sequence[str], *, cwd: str | None = None) -> list[str]:
        """The words that run `command` in the container, in `cwd` (a path inside; else the workspace).

        Secrets go into the environment of these words, never among them. Raises `Invalid` for a place that this kind
        of container cannot give.
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

    return {"bubblewrap": Bubblewrap(), "host": Host()}


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
