"""A container of namespaces around one program, over the host's own /usr, made by bwrap."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from hyperhive.core import process
from hyperhive.core.errors import Invalid, Unavailable
from hyperhive.core.model import Network
from hyperhive.core.runtimes import Inside, Listing, Place
from hyperhive.core.runtimes.enter import can_scope
from hyperhive.core.runtimes.machine import shown

RUN: Final = "/run/hyperhive"
PROGRAM: Final = "/opt/hyperhive/claude"
BUILD: Final = "/opt/agent"
SOURCE: Final = "/opt/source"
CONFIG: Final = "/config"
APPLIED: Final = "/applied"
USER: Final = "1000"
# Scratch space lives in memory: an agent that fills it must not fill the machine's.
SCRATCH_BYTES: Final = str(2 * 1024**3)
ERRAND_BYTES: Final = str(64 * 1024**2)

_CLOSED: Final = (
    "--unshare-all", "--unshare-user", "--uid", USER, "--gid", USER,
    # No namespace in the namespace: a user namespace of its own would give an agent the kernel's less trodden paths.
    "--disable-userns",
    "--cap-drop", "ALL",
    # Without it a killed bwrap leaves its tree running; without the next, TIOCSTI types on the operator's terminal.
    "--die-with-parent", "--new-session",
)  # fmt: skip


class Bubblewrap:
    """Namespaces of its own for mounts, processes, users, IPC, host name and, if asked for, the network."""

    name: Final = "bubblewrap"
    separates_users: Final = True
    listing: Listing | None = None
    booted: Final = None

    def __init__(self, *, root: Path = Path("/")) -> None:
        self._root = root

    @property
    def isolation(self) -> str:
        """A sentence about what keeps an agent in, for `doctor`."""
        who = "a user of its own for each agent" if os.geteuid() == 0 else "all agents are your user, apart by their containers"
        network = "an open network is the machine's own, with all that listens on loopback"
        if not (self._has_python() and can_scope()):
            network += " and on abstract sockets, X11 among them (Linux 6.12 and /usr/bin/python3 close those)"
        return f"kernel namespaces without capabilities; {who}; {network}"

    def inside(self, place: Place) -> Inside:
        """Where the agent finds its things."""
        socket = f"{RUN}/mcp.sock"
        if (self._root / "usr/bin/socat").exists():
            relay: tuple[str, ...] = ("socat", "-", f"UNIX-CONNECT:{socket}")
        else:
            relay = ("python3", "-S", "-E", "-I", f"{RUN}/relay.py", socket)
        return Inside(
            home="/state",
            state="/state",
            workspace="/workspace",
            claude="/claude",
            tmp="/tmp",
            run=RUN,
            socket=socket,
            program=PROGRAM if place.program else None,
            relay=relay,
            # It need not fork here, where bwrap's own process leads the session: so the exit code is the command's.
            terminal=("setsid", "--ctty", "--wait", "--"),
            path=process.PATH,
            config=CONFIG if place.config else None,
            applied=APPLIED if place.applied else None,
        )

    def wrap(
        self,
        place: Place,
        command: Sequence[str],
        *,
        cwd: str | None = None,
        env: Collection[str] = (),
        unit: str | None = None,
    ) -> list[str]:
        """The words that run `command` in the container. Raises `Invalid` as root without a user for the agent.

        It inherits the whole environment of the words, and ends with them.
        """
        if place.uid == 0 or (place.uid is None and os.geteuid() == 0):
            raise Invalid(
                f"{place.name} would run as root, from whom no container keeps anything",
                hint="hyperhive spawn NAME --user USER",
            )
        return [
            *_as_user(place.uid, place.gid),
            "bwrap", *_CLOSED,
            *(("--share-net",) if place.network is Network.OPEN else ()),
            "--hostname", place.name,
            *self._system(),
            "--ro-bind", f"{place.run}/passwd", "/etc/passwd",
            "--ro-bind", f"{place.run}/group", "/etc/group",
            "--ro-bind", f"{place.run}/gitconfig", "/etc/gitconfig",
            "--proc", "/proc",
            "--dev", "/dev",
            "--size", SCRATCH_BYTES, "--tmpfs", "/dev/shm",
            "--remount-ro", "/dev",
            "--size", SCRATCH_BYTES, "--perms", "1777", "--tmpfs", "/tmp",
            "--bind", str(place.state), "/state",
            "--bind", str(place.workspace), "/workspace",
            "--bind", str(place.claude), "/claude",
            # The directory, not the socket: a socket that is made anew is another inode.
            "--ro-bind", str(place.run), RUN,
            *(("--ro-bind", str(place.program), PROGRAM) if place.program else ()),
            *_build(place),
            *(("--bind", str(place.config), CONFIG) if place.config else ()),
            *(("--ro-bind", str(place.applied), APPLIED) if place.applied else ()),
            *_mounts(place),
            # Last, when every place to mount on is made: the folders above them are memory of the host's.
            "--remount-ro", "/",
            "--chdir", cwd or "/workspace",
            "--",
            *self._enter(place.tasks), *command,
        ]  # fmt: skip

    def _enter(self, tasks: int) -> tuple[str, ...]:
        """The last step inside. The limit is set there, where only this container's own processes count (getrlimit(2))."""
        if self._has_python():
            return ("python3", "-S", "-E", "-I", f"{RUN}/enter.py", str(tasks))
        return ("prlimit", f"--nproc={tasks}:{tasks}", "--")

    def _has_python(self) -> bool:
        return (self._root / "usr/bin/python3").exists()

    def errand(
        self,
        command: Sequence[str],
        *,
        uid: int | None,
        gid: int | None,
        binds: Sequence[str],
        env: Mapping[str, str],
        seconds: int,
        memory: int,
    ) -> list[str]:
        """The words of a short job in a container that is made for it, without network and with the machine's programs only.

        `binds` are bwrap's own words for what it sees besides; `env` is its whole environment; `seconds` of the processor and
        `memory` in bytes are the most that each of its processes gets.
        """
        variables = {"PATH": process.PATH, "HOME": "/tmp", "LANG": "C.UTF-8", **env}
        return [
            *_as_user(uid, gid),
            "bwrap", *_CLOSED, "--clearenv",
            *(word for key, value in variables.items() for word in ("--setenv", key, value)),
            *self._system(),
            "--proc", "/proc",
            "--dev", "/dev",
            "--size", ERRAND_BYTES, "--perms", "1777", "--tmpfs", "/tmp",
            *binds,
            "--remount-ro", "/",
            "--chdir", "/tmp",
            "--",
            "prlimit", "--nproc=64:64", f"--cpu={seconds}:{seconds}", f"--as={memory}:{memory}", "--core=0:0", "--", *command,
        ]  # fmt: skip

    def probe(self) -> list[str]:
        """The words of a harmless test that such a container can be made here."""
        nobody = 65534 if os.geteuid() == 0 else None
        return [
            *_as_user(nobody, nobody),
            "bwrap", *_CLOSED, *self._system(),
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/",
            "--", "prlimit", "--nproc=64:64", "--", "true",
        ]  # fmt: skip

    def explain(self, output: str) -> Unavailable:
        """Why the test failed and what to do about it."""
        for signs, sentence, hint in _REASONS:
            if any(sign in output for sign in signs):
                return Unavailable(sentence, hint=hint)
        last = output.strip().rpartition("\n")[2] or "it says nothing"
        return Unavailable(
            f"bubblewrap cannot make a container here: {last}", hint="try it: bwrap --unshare-all --ro-bind / / true"
        )

    def _system(self) -> Iterator[str]:
        """The host's programs and the part of /etc that they need, read-only."""
        for path, target in shown(self._root):
            yield from ("--ro-bind", path, path) if target is None else ("--symlink", target, path)


def _as_user(uid: int | None, gid: int | None) -> tuple[str, ...]:
    """As root bwrap would keep the kernel's uid 0 and its rights, whatever `--uid` says."""
    if uid is None:
        return ()
    user, group = str(uid), str(uid if gid is None else gid)
    return ("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--")


def _build(place: Place) -> Iterator[str]:
    if place.build is not None:
        yield from ("--ro-bind" if place.source is None else "--bind", str(place.build), BUILD)
    if place.source is not None:
        yield from ("--ro-bind", str(place.source), SOURCE)


def _mounts(place: Place) -> Iterator[str]:
    for mount in place.mounts:
        yield from ("--bind" if mount.is_writable else "--ro-bind", mount.source, mount.target)


_UBUNTU: Final = (
    r"printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\n  userns,\n}\n'"
    " | sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"
)
# What bwrap 0.8 prints (https://github.com/containers/bubblewrap, bubblewrap.c), what it means, what to do.
_REASONS: Final = (
    (
        ("program bwrap is not here", "execute bwrap: No such file", "exec bwrap: No such file"),
        "bubblewrap is not installed",
        "sudo apt-get install bubblewrap",
    ),
    (
        ("program setpriv is not here", "execvp prlimit: No such file"),
        "setpriv or prlimit of util-linux is not installed",
        "sudo apt-get install util-linux",
    ),
    (
        ("Unknown option --disable-userns", "Unknown option --size", "Unknown option --perms"),
        "bubblewrap is too old: 0.8 or newer is needed",
        "sudo apt-get install bubblewrap, or a newer release of this system",
    ),
    (
        ("setting up uid map: Permission denied", "loopback: Failed RTM_NEWADDR"),
        "AppArmor forbids bubblewrap to make user namespaces, as Ubuntu does since 23.10",
        _UBUNTU,
    ),
    (
        ("No permissions to creat",),
        "this kernel forbids user namespaces to ordinary users",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        ("max_*_namespaces exceeded", "namespace failed: No space left"),
        "this kernel gives out no more user namespaces",
        "sudo sysctl user.max_user_namespaces=65536",
    ),
)
