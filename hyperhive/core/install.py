"""A hive put under the care of systemd: units written and enabled, or taken away again."""

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from hyperhive import __version__
from hyperhive.core import crontab, process
from hyperhive.core.errors import Conflict, Denied, HyperhiveError, Invalid, Unavailable
from hyperhive.core.hive import Hive, make_folders
from hyperhive.core.locks import holder, is_held
from hyperhive.core.paths import Paths, find_paths
from hyperhive.core.runtimes import CLI
from hyperhive.core.systemd import Manager
from hyperhive.core.units import MARK, PREFIX, Ground, Unit, of_agent, units

HUB: Final = "hyperhive-hub.service"
# Empty after the machine was started anew.
_PASSING: Final = ("/tmp", "/var/tmp", "/run", "/dev/shm")
# Where another hive or interpreter than the default would be meant.
_KEPT: Final = ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
_ELSEWHERE: Final = "sudo python3 -m venv /opt/hyperhive, and install hyperhive there"


class Installed(msgspec.Struct, frozen=True):
    """What was done: files by what became of them, units that were started, what a person should know beside it."""

    folder: Path
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    started: tuple[str, ...]
    notes: tuple[str, ...]


class Uninstalled(msgspec.Struct, frozen=True):
    """What was removed, what was left for it is not hyperhive's own, and the agents' containers that run on."""

    folder: Path
    removed: tuple[str, ...]
    left: tuple[str, ...]
    containers: tuple[str, ...]


def plan(paths: Paths, manager: Manager, commands: Collection[str], environment: Mapping[str, str]) -> list[Unit]:
    """The units that `install` would write; `commands` are those that this version has.

    Raises `Invalid` for another hive than this user's default one, `Denied` for another user's systemd, `Unavailable`
    for an interpreter that the units could not rely on.
    """
    _check_hive(paths, manager, environment)
    _check_interpreter(manager)
    ground = Ground(
        manager=manager,
        version=__version__,
        python=Path(sys.executable),
        paths=paths,
        variables=variables(manager, environment),
        touch=Path(process.find("touch") or "/usr/bin/touch"),
        cli=CLI,
    )
    return units(ground, commands)


def default_manager() -> Manager:
    """Whose systemd this user's hive belongs to."""
    return Manager.SYSTEM if os.geteuid() == 0 else Manager.USER


def folder_of(manager: Manager, environment: Mapping[str, str]) -> Path:
    """Where an operator's own units lie (systemd.unit(5))."""
    if manager is Manager.SYSTEM:
        return Path("/etc/systemd/system")
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def install(hive: Hive, manager: Manager, commands: Collection[str], environment: Mapping[str, str]) -> Installed:
    """Write the units that differ, and have systemd keep the hive up. Doing it again changes nothing.

    Raises as `plan` does; `Unavailable` where no systemd runs, `Conflict` while the hive is up otherwise, or where a file
    of that name is somebody else's.
    """
    wanted = plan(hive.paths, manager, commands, environment)
    manager.check()
    _check_up(hive, manager)
    folder = folder_of(manager, environment)
    there = _ours(folder)
    for unit in wanted:
        if unit.name not in there and (folder / unit.name).exists():
            raise Conflict(f"{folder / unit.name} was not written by `hyperhive install`", hint=f"less {folder / unit.name}")
    make_folders(hive.paths)
    written = [unit for unit in wanted if there.get(unit.name) != unit.text]
    removed = sorted(there.keys() - {unit.name for unit in wanted})
    _take_away(manager, folder, removed)
    _write(folder, written)
    if written or removed:
        manager.run("daemon-reload")
    kept_up = [unit.name for unit in wanted if unit.is_kept_up]
    manager.run("enable", "--quiet", *kept_up)
    living = manager.living(f"{PREFIX}*")
    # What runs with an older text begins anew; harnesses and operations end by themselves.
    anew = [unit.name for unit in written if unit.name in there]
    started = [name for name in kept_up if name in anew or name not in living]
    if started:
        manager.run("restart", *started)
    return Installed(
        folder=folder,
        written=tuple(unit.name for unit in written),
        unchanged=tuple(unit.name for unit in wanted if unit not in written),
        removed=tuple(removed),
        started=tuple(started),
        notes=tuple(_notes(manager)),
    )


def uninstall(paths: Paths, manager: Manager, environment: Mapping[str, str]) -> Uninstalled:
    """Stop and remove all that `install` has written. What the hive keeps stays; turns that run are interrupted."""
    _check_hive(paths, manager, environment)
    manager.check()
    folder = folder_of(manager, environment)
    there = _ours(folder)
    _take_away(manager, folder, there)
    if there:
        manager.run("daemon-reload")
    left = tuple(sorted(path.name for path in folder.glob(f"{PREFIX}*") if path.is_file()))
    containers = tuple(sorted(manager.living(f"{PREFIX}container@*")))
    return Uninstalled(folder=folder, removed=tuple(sorted(there)), left=left, containers=containers)


def crontab_of(commands: Collection[str], environment: Mapping[str, str]) -> list[str]:
    """The lines of a crontab that keep a hive up where no systemd runs. Raises `Unavailable` as `plan` does."""
    manager = default_manager()
    _check_interpreter(manager)
    kept = {key: environment[key] for key in ("HYPERHIVE_HOME",) if environment.get(key)}
    return crontab.lines(commands, {**variables(manager, environment), **kept})


def keeper(paths: Paths, environment: Mapping[str, str]) -> Manager | None:
    """Whose systemd runs the harnesses of a hive, as far as this user has put it there; None where none does."""
    manager = default_manager()
    # This user may have no other hive than the one that is named.
    with suppress(Unavailable):
        if (folder_of(manager, environment) / of_agent("")).exists() and _is_default(paths, environment):
            return manager
    return None


def how_to_start(environment: Mapping[str, str]) -> str:
    """What to type so that this user's hive is kept up."""
    manager = default_manager()
    if not environment.get("HYPERHIVE_HOME") and (folder_of(manager, environment) / HUB).exists():
        return shlex.join(manager.words("start", HUB))
    return "hyperhive up"


def _take_away(manager: Manager, folder: Path, names: Collection[str]) -> None:
    """Stop units with all their instances, and remove their files."""
    if not names:
        return
    # The hub first and alone: it would start again what is stopped after it.
    for chosen in (HUB,), (f"{PREFIX}*",):
        living = {unit for unit in manager.living(*chosen) if _file_of(unit) in names}
        if living:
            manager.run("stop", *sorted(living))
    manager.run("disable", "--quiet", *sorted(names))
    for name in names:
        (folder / name).unlink(missing_ok=True)
    # Those that had failed, or did not stop in order.
    manager.run("reset-failed", *sorted(name.replace("@.", "@*.") for name in names), check=False)


def _file_of(unit: str) -> str:
    """The file of a unit: that of its template for an instance."""
    before, at, after = unit.partition("@")
    return f"{before}@.{after.rpartition('.')[2]}" if at else unit


def _ours(folder: Path) -> dict[str, str]:
    """The unit files there that this command has written, with their texts."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"{PREFIX}*")):
        with suppress(OSError, UnicodeDecodeError):
            text = path.read_text(encoding="utf-8")
            if text.startswith(MARK):
                found[path.name] = text
    return found


def _write(folder: Path, wanted: Collection[Unit]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for unit in wanted:
            # Whole or not at all: systemd may look at any time.
            new = folder / f".{unit.name}.new"
            new.write_text(unit.text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(folder / unit.name)
    except OSError as error:
        raise Unavailable(
            f"{error.filename or folder} cannot be written: {error.strerror}", hint="hyperhive install --dry-run"
        ) from None


def _check_hive(paths: Paths, manager: Manager, environment: Mapping[str, str]) -> None:
    if not _is_default(paths, environment):
        raise Invalid(
            "units belong to a user's default hive, and HYPERHIVE_HOME names another",
            hint="`hyperhive up`, or `hyperhive cron`, keeps that one up",
        )
    is_root = os.geteuid() == 0
    if manager is Manager.SYSTEM and not is_root:
        raise Denied("the units of the machine are root's", hint="`sudo hyperhive install`, or `hyperhive install --user`")
    if manager is Manager.USER and is_root:
        raise Invalid("the hive of root is the machine's", hint="`hyperhive install` without --user")


def _is_default(paths: Paths, environment: Mapping[str, str]) -> bool:
    """It is the hive that this user has where nothing names another."""
    return find_paths({key: value for key, value in environment.items() if key != "HYPERHIVE_HOME"}) == paths


def _check_interpreter(manager: Manager) -> None:
    """The units run what may be changed by nobody but their user, and is still there after the machine was started anew."""
    import hyperhive

    python = Path(sys.executable)
    for path in (python, python.resolve(), Path(hyperhive.__file__).resolve()):
        if any(path.is_relative_to(passing) for passing in _PASSING):
            raise Unavailable(f"{path} may be gone when the machine is started anew", hint=_ELSEWHERE)
        if manager is Manager.SYSTEM and (whose := _changeable(path)) is not None:
            raise Unavailable(f"root would run {path}, and others than root may change {whose}", hint=_ELSEWHERE)


def _changeable(path: Path) -> Path | None:
    """The file, or the folder above it, that somebody else than root may change; None where nobody may."""
    for part in (path, *path.parents):
        found = part.lstat()
        # Who may write into a sticky folder may not replace what is another's.
        open_to = 0o022 if not found.st_mode & stat.S_ISVTX else 0
        if found.st_uid != 0 or (found.st_mode & open_to and not stat.S_ISLNK(found.st_mode)):
            return part
    return None


def _check_up(hive: Hive, manager: Manager) -> None:
    for lock in ("up", "hub"):
        path = hive.paths.lock(lock)
        if is_held(path) and HUB not in manager.living(HUB):
            raise Conflict(f"this hive is up already: {holder(path)}", hint="end it first, with Ctrl-C where it runs")


def variables(manager: Manager, environment: Mapping[str, str]) -> dict[str, str]:
    """What decides over the hive's folders and the agent CLI, and systemd does not know."""
    found = {"LANG": "C.UTF-8", "PATH": process.PATH}
    if manager is Manager.USER:
        found |= {key: environment[key] for key in _KEPT if environment.get(key)}
    claude = shutil.which("claude", path=environment.get("PATH", ""))
    folder = os.path.dirname(claude) if claude else None
    is_safe = claude is not None and (manager is Manager.USER or _changeable(Path(claude)) is None)
    if folder and is_safe and folder not in process.PATH.split(":"):
        found["PATH"] = f"{process.PATH}:{folder}"
    return found


def _notes(manager: Manager) -> list[str]:
    if manager is Manager.SYSTEM:
        return []
    user = str(os.geteuid())
    with suppress(HyperhiveError):
        if process.run(["loginctl", "show-user", "--property=Linger", "--value", user]).text() == "yes":
            return []
    return [f"the hive ends when you log out, until you say: sudo loginctl enable-linger {user}"]
