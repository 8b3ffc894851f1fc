"""The folders an agent lives in: who owns them, what the host puts there, how they end."""

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.core import beneath
from hyperhive.core.agent_config import AgentConfig, Mount, check_mount
from hyperhive.core.beneath import Size, measure
from hyperhive.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Flavor

if TYPE_CHECKING:
    from hyperhive.core.runtimes import Place

# The agent's own; everything else of it is the host's.
OWN: Final = ("state", "workspace", "claude", "tmp")
_READ, _WRITE, _WALK = 4, 2, 1
_TOKEN_MOST: Final = 64 * 1024


def prepare(hive: Hive, name: AgentName, *, uid: int | None, gid: int | None = None, flavor: Flavor = Flavor.WORKER) -> None:
    """Make the agent's folders where they are missing; kept ones stay as they are.

    A manager gets one for its proposals, too. `uid` and `gid` (else the same number) are the agent's user, None where it
    is this process' own. Raises `Unavailable` when that user cannot walk to them, `Conflict` when kept ones belong to
    somebody else.
    """
    group = uid if gid is None else gid
    home, run = hive.paths.agent(name), hive.paths.agent_run(name)
    try:
        run.mkdir(mode=0o700, exist_ok=True)
        if group is not None:
            os.chown(run, -1, group)
        # At once what it stays: the agent may be at work in it while another command prepares it again.
        for folder, mode in (
            (home, 0o700 if uid is None else 0o711),
            (hive.paths.agent_log(name), 0o700),
            (run, 0o700 if group is None else 0o750),
        ):
            folder.mkdir(mode=mode, exist_ok=True)
            folder.chmod(mode)
        check_walkable(home / "state", uid, group)
        with beneath.opened(home) as fd:
            for folder_name in OWN:
                give(fd, folder_name, uid, group, name, home / folder_name)
        from importlib import resources

        scripts = resources.files("hyperhive.core.runtimes")
        for file, text in (
            ("relay.py", scripts.joinpath("relay.py").read_text(encoding="utf-8")),
            ("forward.py", scripts.joinpath("forward.py").read_text(encoding="utf-8")),
            ("enter.py", scripts.joinpath("enter.py").read_text(encoding="utf-8")),
            ("passwd", _passwd(name)),
            ("group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
            ("gitconfig", _gitconfig(name)),
        ):
            _put(run, file, text, mode=0o644)
        if flavor is Flavor.MANAGER:
            give_proposed(hive, name, uid=uid, gid=gid)
    except OSError as error:
        raise Unavailable(
            f"{error.filename or home} cannot be made: {error.strerror}", hint=f"look at it: ls -la {home} {run}"
        ) from None


def give_proposed(hive: Hive, manager: AgentName, *, uid: int | None, gid: int | None = None) -> None:
    """Make the folder of a manager's proposals, its own, where it is missing. Raises `Conflict`, `Unavailable`."""
    path = hive.paths.proposed(manager)
    check_walkable(path, uid, uid if gid is None else gid)
    with beneath.opened(path.parent) as fd:
        give(fd, path.name, uid, uid if gid is None else gid, manager, path)


def place(
    hive: Hive,
    name: AgentName,
    *,
    uid: int | None,
    gid: int | None = None,
    base: int | None = None,
    program: Path | None,
    config: AgentConfig,
    flavor: Flavor = Flavor.WORKER,
    build: Path | None = None,
) -> "Place":
    """Where the agent lives, with what its configuration mounts and its deployment built. `prepare` has made it.

    Raises `Invalid`, `Denied`, `Unavailable` for a mount that cannot be given.
    """
    from hyperhive.core.runtimes import Place

    group = uid if gid is None else gid
    paths = hive.paths
    for mount in config.mounts:
        _check_mount(hive, name, mount, config.mounts, uid, group)
    return Place(
        name=name,
        uid=uid,
        gid=group,
        state=paths.agent_state(name),
        workspace=paths.agent_workspace(name),
        claude=paths.agent_claude(name),
        tmp=paths.agent(name) / "tmp",
        run=paths.agent_run(name),
        program=program,
        network=config.network,
        mounts=config.mounts,
        tasks=config.limits.tasks,
        memory=config.limits.memory_bytes,
        config=paths.proposed(name) if flavor is Flavor.MANAGER else None,
        applied=paths.applied_folder if flavor is Flavor.MANAGER else None,
        build=build,
        base=base,
        root=None if base is None else paths.agent_container(name) / "root",
        var=None if base is None else paths.agent_container(name) / "var",
    )


def purge(hive: Hive, name: AgentName) -> None:
    """Remove the folders that the agent lives in. Its container must be gone.

    Raises `Unavailable` with what could not be removed; purging again goes on.
    """
    for folder in (hive.paths.agent_run(name), hive.paths.agent(name)):
        if folder.parent.is_dir():
            beneath.remove(folder.parent, folder.name)


def size_of(hive: Hive, name: AgentName, *, seconds: float = 2.0) -> Size:
    """How much the agent's folders hold, and when they last changed; looks no longer than `seconds`."""
    return measure(hive.paths.agent(name), seconds=seconds)


def is_login_there(hive: Hive, name: AgentName) -> bool:
    """The agent CLI has written a login into its folder."""
    try:
        # The folder's name is the host's to give, and a link in it is looked at, not followed.
        known = os.lstat(f"{hive.paths.agent_claude(name)}/.credentials.json")
    except OSError:
        return False
    return stat.S_ISREG(known.st_mode)


def write_token(hive: Hive, name: AgentName, token: str) -> None:
    """Keep a login token where only the host reads it."""
    file = hive.paths.agent_token(name)
    try:
        _put(file.parent, file.name, f"{token}\n", mode=0o600)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}", hint=f"ls -la {file.parent}") from None


def read_token(hive: Hive, name: AgentName) -> str | None:
    """The login token that was kept, if any."""
    file = hive.paths.agent_token(name)
    try:
        return beneath.read_beneath(file.parent, file.name, _TOKEN_MOST).decode("utf-8").strip() or None
    except NotFound:
        return None


def check_walkable(path: Path, uid: int | None, gid: int | None) -> None:
    """Refuse a path that the agent's user cannot walk to. Raises `Unavailable`, which names the closed folder."""
    for folder in reversed(path.parents):
        if not may(folder, uid, gid, _WALK):
            raise Unavailable(f"user {uid} cannot walk through {folder}", hint=f"chmod o+x {folder}")


def may(path: Path, uid: int | None, gid: int | None, rights: int) -> bool:
    """The user has all these rights (4 read, 2 write, 1 walk or run) on a path, by its mode. None is this process' user."""
    if uid is None:
        return os.access(path, rights)
    known = path.stat()
    if known.st_uid == uid:
        granted = known.st_mode >> 6
    elif known.st_gid == gid:
        granted = known.st_mode >> 3
    else:
        granted = known.st_mode
    return granted & rights == rights


def give(parent: int, name: str, uid: int | None, gid: int | None, agent: AgentName, path: Path) -> None:
    """Make a folder that is the agent's own from the moment that it has its name."""
    owner = os.geteuid() if uid is None else uid
    try:
        known = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        new = f".{name}.new"
        # One that is there was left by somebody who died right here: it is empty, and known to nobody.
        with contextlib.suppress(FileExistsError):
            os.mkdir(new, 0o700, dir_fd=parent)
        if uid is not None:
            os.chown(new, uid, -1 if gid is None else gid, dir_fd=parent, follow_symlinks=False)
        os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        return
    if not stat.S_ISDIR(known.st_mode) or known.st_uid != owner:
        # Never put right by the host: what the agent may have used may hold its links.
        raise Conflict(
            f"{path} belongs to user {known.st_uid}, and the agent is user {owner}",
            hint=f"`hyperhive purge {agent}`, or choose the user that it had",
        )


def _put(folder: Path, name: str, text: str, *, mode: int) -> None:
    """Write a file of the host's in one step; nothing happens if it is so already."""
    data = text.encode()
    with beneath.opened(folder) as at:
        try:
            if beneath.read_beneath(folder, name, len(data)) == data:
                return
        except (NotFound, Invalid, Denied):
            pass
        new = f".{name}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=at)
        with beneath.opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, beneath=at) as fd:
            os.fchmod(fd, mode)
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(fd)
        os.rename(new, name, src_dir_fd=at, dst_dir_fd=at)


def _passwd(name: AgentName) -> str:
    return (
        "root:x:0:0:root:/:/usr/sbin/nologin\n"
        f"agent:x:1000:1000:{name}:/state:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    )


def _gitconfig(name: AgentName) -> str:
    """Who the agent is in git. In its container nothing is another's trap that is not its own already."""
    return (
        f"[user]\n\tname = {name}\n\temail = {name}@hyperhive.invalid\n[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n"
    )


def _check_mount(hive: Hive, name: AgentName, mount: Mount, others: tuple[Mount, ...], uid: int | None, gid: int | None) -> None:
    check_mount(mount)
    source = Path(mount.source)
    real = Path(os.path.realpath(source))
    if real != source:
        raise Invalid(f"{source}, which {name} mounts, is a link", hint=f"--mount {real}:{mount.target}:{mount.mode}")
    for own in (hive.paths.state, hive.paths.config):
        kept = Path(os.path.realpath(own))
        if real == kept or real in kept.parents or kept in real.parents:
            raise Invalid(f"{source} holds the hive itself, or lies in it", hint="mount another folder")
    for other in others:
        # The agent could put a link in its way between two starts, and get what the link points to.
        if other.is_writable and Path(other.source) in source.parents:
            raise Invalid(f"{source} lies in {other.source}, which {name} may change", hint="mount only the upper one")
    check_walkable(source, uid, gid)
    if not source.is_dir():
        hint = "mount the folder that it lies in" if source.exists() else f"mkdir -p {source}"
        raise Unavailable(f"there is no folder {source}, which {name} mounts", hint=hint)
    needed = _READ | _WALK | (_WRITE if mount.is_writable else 0)
    if not may(source, uid, gid, needed):
        raise Denied(f"{name} may not {_deed(mount)} {source}", hint=_mount_hint(source, mount))
    _check_target(hive, name, mount)


def _deed(mount: Mount) -> str:
    return "change what is in" if mount.is_writable else "read"


def _mount_hint(source: Path, mount: Mount) -> str:
    owner = source.stat().st_uid
    if not mount.is_writable:
        return f"chmod o+rx {source}"
    if owner == 0:
        return f"give the folder to a user, then `hyperhive spawn … --user` that one: chown -R USER {source}"
    try:
        return f"run the agent as the folder's owner: `hyperhive spawn … --user {pwd.getpwuid(owner).pw_name}`"
    except KeyError:
        return f"run the agent as the folder's owner, whose number is {owner}"


def _check_target(hive: Hive, name: AgentName, mount: Mount) -> None:
    """What is mounted in the workspace needs a folder there, or nothing: a link would lead elsewhere."""
    if not mount.target.startswith("/workspace/"):
        return
    at = hive.paths.agent_workspace(name)
    for part in Path(mount.target).relative_to("/workspace").parts:
        at = at / part
        try:
            known = at.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(known.st_mode):
            raise Unavailable(
                f"{mount.target} cannot be mounted: there is something else in the way at {at}", hint=f"ls -la {at}"
            )
