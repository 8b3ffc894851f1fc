"""The tests' own surroundings: a temporary home in place of the real one, which nothing may touch."""

import atexit
import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path

KEPT = {"PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "CI", "VIRTUAL_ENV", "HYPERHIVE_NO_SKIP", "HYPERHIVE_TESTS_GUARD", "ROUNDS",
        "SEED"}  # fmt: skip
KEPT_PREFIXES = ("PYTEST_", "PYTHON", "HYPOTHESIS_")

# Events of the interpreter whose first arguments are paths (https://docs.python.org/3/library/audit_events.html).
PATH_EVENTS = {
    "open", "os.chdir", "os.chmod", "os.chown", "os.getxattr", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.removexattr",
    "os.rename", "os.rmdir", "os.scandir", "os.setxattr", "os.symlink", "os.truncate", "os.utime", "shutil.chown",
    "shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree", "sqlite3.connect",
}  # fmt: skip


# A whole run of the tests needs less, in bytes.
MEMORY_LEAST = 2 * 1024**3


class RealHomeTouched(AssertionError):
    """A test, or the code it ran, reached for the settings or the data of whoever runs the tests."""


def guarded_paths(environ: dict[str, str], account_home: str) -> tuple[str, ...]:
    """Every path that belongs to the real user: hyperhive's folders, and the agent CLI's login."""
    homes = {environ.get("HOME", account_home), account_home}
    paths = {"/var/lib/hyperhive", "/etc/hyperhive"}
    for home in homes:
        paths |= {f"{home}/{name}" for name in (".claude", ".claude.json", ".config/hyperhive", ".local/state/hyperhive")}
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        if environ.get(variable):
            paths.add(f"{environ[variable]}/hyperhive")
    paths |= {environ[variable] for variable in ("CLAUDE_CONFIG_DIR", "HYPERHIVE_HOME") if environ.get(variable)}
    return tuple(sorted(os.path.abspath(path) for path in paths))


def names_in(path: str) -> frozenset[str] | None:
    """What lies directly in a guarded path, or None when it does not exist.

    SQLite's companion files are left out: they come and go while a real hive works.
    """
    if os.path.isdir(path):
        return frozenset(name for name in os.listdir(path) if not name.endswith(("-wal", "-shm")))
    return frozenset() if os.path.lexists(path) else None


class Guard:
    """Refuses every access of this interpreter to the guarded paths, and remembers it."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        self.touched: list[str] = []
        self.before = {path: names_in(path) for path in paths}
        self._looking = False
        sys.addaudithook(self._hear)

    def changed(self) -> list[str]:
        """The guarded paths that are not as they were when the tests began: the work of a program that a test ran."""
        self._looking = True
        try:
            return [path for path in self.paths if names_in(path) != self.before[path]]
        finally:
            self._looking = False

    def forget(self) -> list[str]:
        """Hand out what was touched since the last time, and forget it."""
        touched, self.touched = self.touched, []
        return touched

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if event not in PATH_EVENTS or self._looking:
            return
        for argument in args[:2]:
            path = self._guarded(argument)
            if path is not None:
                self.touched.append(f"{event} {path}")
                raise RealHomeTouched(f"a test touched the real {path} ({event})")

    def _guarded(self, argument: object) -> str | None:
        if not isinstance(argument, str | bytes | os.PathLike):
            return None
        path = os.path.abspath(os.fsdecode(argument))
        return next((path for root in self.paths if path == root or path.startswith(root + "/")), None)


def memory() -> str:
    """A folder whose files are quick to write: what a power cut leaves is not the business of these tests.

    Some machines have such a one that is small, or lets no program in it run.
    """
    folder = "/dev/shm"
    if not os.access(folder, os.W_OK):
        return "/tmp"
    known = os.statvfs(folder)
    fits = known.f_bavail * known.f_frsize >= MEMORY_LEAST and not known.f_flag & os.ST_NOEXEC
    return folder if fits else "/tmp"


def enter() -> tuple[Guard, Path]:
    """Replace the environment of this process, begin to guard the real home, and give the folder that stands in for it."""
    guard = os.environ.get("HYPERHIVE_TESTS_GUARD")
    if guard is None:  # else a parallel worker, whose environment is already the tests' own
        guard = os.pathsep.join(guarded_paths(dict(os.environ), pwd.getpwuid(os.getuid()).pw_dir))
    # Short, for a unix socket's path holds 107 bytes; open to walk through, for agents have users of their own.
    base = Path(tempfile.mkdtemp(prefix="hh-", dir=memory()))
    base.chmod(0o755)
    atexit.register(_leave, base, os.getpid())
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    for name in ("home", "tmp"):
        (base / name).mkdir()
    os.environ |= {
        "HYPERHIVE_TESTS_GUARD": guard,
        "HYPERHIVE_HOME": str(base / "no-hive"),
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "CLAUDE_CONFIG_DIR": str(base / "home/claude"),
        # Nothing listens on port 9: a claude that forgets its scripted API must not find the real one.
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "tests", "GIT_AUTHOR_EMAIL": "tests@localhost",
        "GIT_COMMITTER_NAME": "tests", "GIT_COMMITTER_EMAIL": "tests@localhost",
    }  # fmt: skip
    tempfile.tempdir = None  # it remembers the TMPDIR of before
    return Guard(tuple(guard.split(os.pathsep))), base


def _leave(base: Path, owner: int) -> None:
    # A forked child that ends in the ordinary way must not take the folder with it.
    if os.getpid() == owner:
        shutil.rmtree(base, ignore_errors=True)
