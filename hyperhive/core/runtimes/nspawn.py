"""A booted systemd of the agent's own over the host's /usr, in a container that systemd-nspawn makes."""

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import HyperhiveError, Invalid, Unavailable
from hyperhive.core.model import AgentName, Network, parse_name
from hyperhive.core.runtimes import Inside, Listing, Place, Root, nspawn_root
from hyperhive.core.runtimes.bubblewrap import APPLIED, BUILD, CONFIG, PROGRAM, RUN, USER, Bubblewrap
from hyperhive.core.runtimes.machine import shown

# Before an agent's name, so that no machine of the operator's own is taken for an agent's.
PREFIX: Final = "hyperhive-"
SLICE: Final = "machine.slice"
# The users of a container: as many as an agent's range holds.
USERS: Final = 65_536
# What the system in the container needs besides what an agent may use, in processes and threads.
SYSTEM_TASKS: Final = 64
# How long a container may take to boot, and to end, in seconds. Beyond that it is killed.
BOOT_MOST: Final = 60
HALT_MOST: Final = 10
_MACHINED: Final = "org.freedesktop.machine1"
_LISTING: Final = (
    "busctl", "--json=short", "call", _MACHINED, "/org/freedesktop/machine1", f"{_MACHINED}.Manager", "ListMachines",
)  # fmt: skip
_ENTER: Final = Path(__file__).with_name("enter.py")

# Of the container's unit, much as NixOS has it (nixos/modules/virtualisation/nixos-containers.nix).
_CONTAINER: Final = (
    "--property=Type=notify", "--property=KillMode=mixed", "--property=Delegate=yes", "--property=OOMPolicy=continue",
    f"--property=TimeoutStartSec={BOOT_MOST}", f"--property=TimeoutStopSec={HALT_MOST}",
    # An agent may be started anew as often as somebody likes.
    "--property=StartLimitIntervalSec=0",
)  # fmt: skip
# systemd-run says 0 or 255 of a program that a signal has ended; a shell says which, and outlasts what is typed for the program.
# What it would say of it itself is nobody's output.
_CODE: Final = 'trap : HUP INT QUIT TERM; exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); exit $?'
# Of a program in it. It is killed with all that it has started, as a container is that ends with its program.
_PROGRAM: Final = (
    f"--uid={USER}", f"--gid={USER}", "--property=KillSignal=SIGKILL", "--property=OOMPolicy=continue",
    *(f"--property={line}" for line in nspawn_root.CLOSED),
)  # fmt: skip


class Nspawn:
    """Each container is a machine of its own for the host's systemd, with a root user that is nobody outside."""

    name: Final = "nspawn"
    separates_users: Final = True

    def __init__(self, *, root: Path = Path("/")) -> None:
        self._root = root
        self._bubblewrap = Bubblewrap(root=root)

    @property
    def isolation(self) -> str:
        """A sentence about what keeps an agent in, for `doctor`."""
        return f"a system of its own for each agent, none of whose users is one of the machine's; {self._bubblewrap.isolation}"

    @property
    def listing(self) -> Listing:
        """How to learn which containers are there: from the machine's list of machines (org.freedesktop.machine1(5))."""
        return Listing(_LISTING, _listed)

    @property
    def booted(self) -> "Nspawn":
        """Its containers are booted."""
        return self

    def inside(self, place: Place) -> Inside:
        """Where the agent finds its things: where bubblewrap puts them."""
        # A terminal that is a unit's standard input is its own as it begins.
        return msgspec.structs.replace(self._bubblewrap.inside(place), terminal=())

    def wrap(
        self,
        place: Place,
        command: Sequence[str],
        *,
        cwd: str | None = None,
        env: Collection[str] = (),
        unit: str | None = None,
    ) -> list[str]:
        """The words that run `command` in the container, as a unit that outlives them if they are killed.

        What is built is built in a container of bubblewrap's: there need be none of this kind yet, and both have the same
        programs at the same places. Raises `Invalid` without a user for the agent.
        """
        if place.source is not None:
            return self._bubblewrap.wrap(place, command, cwd=cwd)
        _check(place)
        return [
            "systemd-run", f"--machine={PREFIX}{place.name}", "--pipe", "--wait", "--collect", "--quiet",
            *((f"--unit={unit}", f"--description={unit}") if unit else ()),
            *_PROGRAM, f"--property=LimitNPROC={place.tasks}", f"--working-directory={cwd or '/workspace'}",
            *(f"--setenv={name}" for name in env),
            # The manager in the container would put variables in place of these.
            "--", *(word.replace("$", "$$") for word in ("sh", "-c", _CODE, "sh", *command)),
        ]  # fmt: skip

    def probe(self) -> list[str]:
        """The words of a harmless test that such a container can be made here."""
        return ["sh", "-c", 'systemd-nspawn --version >/dev/null && exec "$@"', "sh", *_LISTING]

    def explain(self, output: str) -> Unavailable:
        """Why the test failed and what to do about it."""
        for signs, sentence, hint in _REASONS:
            if any(sign in output for sign in signs):
                return Unavailable(sentence, hint=hint)
        last = output.strip().rpartition("\n")[2] or "it says nothing"
        return Unavailable(f"systemd cannot make a container here: {last}", hint="machinectl list")

    # ---- the containers themselves ----

    def unit(self, name: AgentName) -> str:
        """What the machine's systemd calls the container."""
        return f"hyperhive-container@{name}.service"

    @property
    def groups(self) -> Path:
        """Where the machine's control groups are."""
        return self._root / "sys/fs/cgroup"

    def group(self, name: AgentName) -> Path:
        """The container's own among them."""
        return self.groups / SLICE / self.unit(name)

    def root(self, place: Place, config: AgentConfig) -> Root:
        """What its root is made of, places to mount on among them."""
        return nspawn_root.root(self._root, place, [target for _, target, _ in self._binds(place)], config)

    def boot(self, place: Place) -> list[str]:
        """The words that start the container as a unit of the machine's systemd, which lasts when they have ended."""
        _check(place)
        if place.base is None or place.root is None:
            raise Invalid(f"{place.name} has no range of users of its own", hint="hyperhive spawn NAME, without --user")
        return [
            # What has ended is forgotten at once, whatever ended it, so that its name is free.
            "systemd-run", "--quiet", "--collect", f"--unit={self.unit(place.name)}", f"--slice={SLICE}",
            f"--description=the container of the agent {place.name}",
            *_CONTAINER,
            f"--property=MemoryMax={place.memory}", "--property=MemorySwapMax=0",
            f"--property=TasksMax={place.tasks + SYSTEM_TASKS}",
            "--", *self._nspawn(place, place.root),
        ]  # fmt: skip

    def halt(self, name: AgentName) -> list[str]:
        """The words that end the container: its unit's, for only that lets go of the machine's name after a kill."""
        return ["systemctl", "stop", self.unit(name)]

    def end(self, name: AgentName, unit: str) -> list[str]:
        """The words that end one unit in it with all that it has started."""
        return ["systemctl", f"--machine={PREFIX}{name}", "stop", unit]

    def journal(self, place: Place) -> list[str]:
        """The words in front of journalctl's options that lead to the container's journal, also when it has ended.

        `journalctl --machine` would read as root what the container wrote, and follow its links.
        """
        owner = str(place.base)
        return [
            "setpriv", "--reuid", owner, "--regid", owner, "--clear-groups", "--no-new-privs", "--",
            "journalctl", f"--directory={place.var}/log/journal",
        ]  # fmt: skip

    def _nspawn(self, place: Place, root: Path) -> Iterator[str]:
        # Its limits are those of the unit. The rest holds for all that ever runs in it.
        yield from (sys.executable, "-S", "-E", "-I", str(_ENTER), "-")
        yield from (
            "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--notify-ready=yes", "--console=read-only",
            f"--machine={PREFIX}{place.name}", f"--hostname={place.name}",
            f"--directory={root}", "--read-only",
            # Picked ranges would leave bound folders to nobody; these are the agent's.
            f"--private-users={place.base}:{USERS}", "--no-new-privileges=yes",
            "--link-journal=no", "--resolv-conf=off", "--timezone=off",
            *(("--private-network",) if place.network is Network.NONE else ()),
        )  # fmt: skip
        for source, target, is_writable in self._binds(place):
            yield f"--bind{'' if is_writable else '-ro'}={_escaped(source)}:{_escaped(target)}"

    def _binds(self, place: Place) -> Iterator[tuple[str, str, bool]]:
        """What of the machine is seen in it: from where, at which place, whether it may be changed."""
        for path, link in shown(self._root):
            if link is None and path not in nspawn_root.OWN_ETC:
                yield path, path, False
        yield str(place.var), "/var", True
        yield str(place.state), "/state", True
        yield str(place.workspace), "/workspace", True
        yield str(place.claude), "/claude", True
        # The directory, not the socket: a socket that is made anew is another inode.
        yield str(place.run), RUN, False
        if place.program is not None:
            yield str(place.program), PROGRAM, False
        if place.build is not None:
            yield str(place.build), BUILD, False
        if place.config is not None:
            yield str(place.config), CONFIG, True
        if place.applied is not None:
            yield str(place.applied), APPLIED, False
        for mount in place.mounts:
            yield mount.source, mount.target, mount.is_writable


class _Machines(msgspec.Struct, frozen=True):
    """Name, class, service and path of each machine, as busctl prints them."""

    data: list[list[tuple[str, str, str, str]]]


def _listed(output: str) -> frozenset[AgentName]:
    """Whose containers are there. Raises `Unavailable` for what is no such list."""
    try:
        (machines,) = msgspec.json.decode(output, type=_Machines).data
    except (msgspec.DecodeError, ValueError):
        raise Unavailable("systemd's list of machines cannot be read", hint="machinectl list") from None
    return frozenset(name for machine, *_ in machines if (name := _agent(machine)) is not None)


def _agent(machine: str) -> AgentName | None:
    try:
        return parse_name(machine.removeprefix(PREFIX)) if machine.startswith(PREFIX) else None
    except HyperhiveError:
        return None


def _check(place: Place) -> None:
    if os.geteuid() != 0 or place.uid in (None, 0):
        raise Invalid(
            f"{place.name} has no user of its own, and only an agent that root has made gets one",
            hint=f"hyperhive purge {place.name}, then spawn it anew",
        )


def _escaped(path: str) -> str:
    """A path as a part of one of systemd-nspawn's mounts."""
    return path.replace("\\", "\\\\").replace(":", "\\:")


_REASONS: Final = (
    (
        ("systemd-nspawn: not found", "systemd-nspawn: command not found", "execute systemd-nspawn: No such file"),
        "systemd-nspawn is not installed",
        "sudo apt-get install systemd-container",
    ),
    (
        ("busctl: not found", "System has not been booted", "connect to bus", "connect to system bus", "Host is down"),
        "systemd does not run this machine, and only it can keep such containers",
        'runtime = "bubblewrap" in hive.toml, or --runtime bubblewrap',
    ),
    (
        ("machine1 was not provided", "org.freedesktop.machine1"),
        "systemd-machined does not answer",
        "systemctl status systemd-machined",
    ),
)
