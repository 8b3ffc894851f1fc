"""Where a server listens: an address that is waited for, and whoever has it is named."""

import errno
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from hyperhive.core.errors import Conflict, Invalid, Unavailable

# How long the port of a process that ends is waited for, in seconds, and how often it is tried.
PATIENCE: Final = 10.0
_PAUSE: Final = 0.1
_BACKLOG: Final = 256
# How much of the command of whoever has an address is shown, in characters.
_COMMAND_MOST: Final = 80
_UNIX: Final = "unix:"
_LISTENS: Final = "0A"
_EVERY: Final = ("0.0.0.0", "::")


class Address(msgspec.Struct, frozen=True):
    """A host and a port, or the path of a socket."""

    host: str
    port: int
    path: Path | None = None

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_UNIX}{self.path}" if self.path is not None else f"{host}:{self.port}"

    @property
    def url(self) -> str | None:
        """What a browser on this machine is given; none for a socket, which only a proxy reaches."""
        if self.path is not None:
            return None
        host = "127.0.0.1" if self.host in _EVERY else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def names(self, others: Sequence[str]) -> frozenset[str]:
        """The names under which it may be reached; `others` are the operator's own, which hold for any port."""
        own = {"localhost", "127.0.0.1", "[::1]"} | ({self.host} - {*_EVERY})
        hosts = {f"[{host}]" if ":" in host and not host.startswith("[") else host for host in own}
        here = (
            set() if self.path is not None else {f"{host}:{self.port}" for host in hosts} | (hosts if self.port == 80 else set())
        )
        return frozenset(name.lower() for name in {*here, *others})


def parse(text: str) -> Address:
    """Read `HOST:PORT` or `unix:PATH`. Raises `Invalid`."""
    if text.startswith(_UNIX) and len(text) > len(_UNIX):
        return Address("", 0, Path(text.removeprefix(_UNIX)).absolute())
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 0 <= int(port) < 65_536):
        raise Invalid(f"{text!a} is no address", hint="127.0.0.1:8420, or unix:PATH")
    return Address(host, int(port))


def listen(address: Address, say: Callable[[str], None], *, patience: float = PATIENCE) -> socket.socket:
    """A socket that listens there, once whoever has it has let go, for which `patience` seconds are waited; `say` is told so.

    Raises `Conflict`, which names the program that has it; `Unavailable` for what this machine does not let it have.
    """
    until = time.monotonic() + patience
    said = False
    while True:
        try:
            return _bound(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(
                    f"{address} cannot be listened on: {error.strerror or error}", hint="--bind HOST:PORT"
                ) from None
        if time.monotonic() > until:
            who = holder(address)
            raise Conflict(
                f"{address} is taken by {who or 'another program'}", hint="end that, or choose another: --bind HOST:PORT"
            )
        if not said:
            said = True
            say(f"{address} is taken by {holder(address) or 'another program'}; waiting until it is free")
        time.sleep(_PAUSE)


def actual(address: Address, listener: socket.socket) -> Address:
    """The address that a socket got: of a port of 0, the one that was free."""
    return address if address.path is not None else Address(address.host, listener.getsockname()[1])


def holder(address: Address) -> str | None:
    """The program that listens there, as far as this user may know: `nginx (pid 812)`."""
    inodes = set(_listening_at(address.path) if address.path is not None else _listening(address.port))
    for folder in _folders(Path("/proc")):
        if folder.name.isdigit() and inodes & set(_sockets(folder)):
            with suppress(OSError):
                return f"{_command(folder)} (pid {folder.name})"
    return None


def _bound(address: Address) -> socket.socket:
    if address.path is not None:
        return _bound_at(address.path)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        # What an ended process has left in TIME_WAIT holds nobody up; another that listens still does.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _bound_at(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Unavailable(f"{path} is there, and is no socket", hint="--bind unix:PATH")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
            try:
                tried.connect(str(path))
            except ConnectionRefusedError:
                # Nobody listens there any more.
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    return made


def _listening(port: int) -> Iterator[str]:
    """The inodes of what listens on a port (proc_pid_net(5))."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]


def _listening_at(path: Path) -> Iterator[str]:
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            words = line.split(maxsplit=7)
            if len(words) == 8 and words[7] == str(path):
                yield words[6]


def _sockets(folder: Path) -> Iterator[str]:
    for one in _folders(folder / "fd"):
        with suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(one)):
                yield found[1]


def _command(folder: Path) -> str:
    words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ").split()
    line = " ".join(words) or (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return line if len(line) <= _COMMAND_MOST else line[:_COMMAND_MOST] + "…"


def _folders(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
