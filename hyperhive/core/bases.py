"""What a deployment stands on: hyperhive, the kind of container, the agent CLI, each with its version."""

import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from hyperhive import __version__
from hyperhive.core import programs
from hyperhive.core.builds import write_whole
from hyperhive.core.errors import HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import clean


def base_of(hive: Hive, runtime: str) -> str:
    """What an agent that is deployed now stands on: hyperhive, the kind of container, the agent CLI."""
    return _base(runtime, version(hive))


def known_base(hive: Hive, runtime: str) -> str | None:
    """The same, by one look at what was found last; None where nothing was."""
    try:
        known = msgspec.json.decode(_note(hive).read_bytes(), type=_Known)
        return _base(runtime, known.version if _stamp(Path(known.path)) == known.stamp else f"{known.version}, changed")
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return _base(runtime, "unknown")


def version(hive: Hive) -> str:
    """The agent CLI's own word about its version; `none` where there is no agent CLI. Asked once for each program."""
    try:
        program = programs.find_claude(hive.settings)
        stamp = _stamp(program)
    except (Unavailable, OSError):
        return "none"
    words = programs.arguments(hive.settings)
    with suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(_note(hive).read_bytes(), type=_Known)
        if (known.path, known.stamp, known.words) == (str(program), stamp, words):
            return known.version
    try:
        said = ask_version(hive, program)
    except HyperhiveError:
        # A program that does not even say its version is told of when it is to work.
        return "unknown"
    with suppress(OSError):
        write_whole(_note(hive), msgspec.json.encode(_Known(path=str(program), stamp=stamp, words=words, version=said)))
    return said


def ask_version(hive: Hive, program: Path) -> str:
    """What the agent CLI answers to `--version`. Raises `CommandFailed`, `Expired`."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-version-") as folder:
        # A folder of its own, for it writes into its home even when it is asked for its version alone.
        env = {
            "HOME": folder,
            "CLAUDE_CONFIG_DIR": folder,
            "TMPDIR": folder,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        said = hive.run([str(program), *programs.arguments(hive.settings), "--version"], env=env, timeout=30.0).text()
    return clean(said.partition("\n")[0][:100]) or "without a version"


class _Known(msgspec.Struct, frozen=True):
    """What was found last."""

    path: str
    stamp: str
    words: tuple[str, ...]
    version: str


def _note(hive: Hive) -> Path:
    return hive.paths.programs / "claude.json"


def _stamp(program: Path) -> str:
    known = program.stat()
    return f"{known.st_ino}-{known.st_size}-{known.st_mtime_ns}"


def _base(runtime: str, claude: str) -> str:
    return f"hyperhive {__version__}, {runtime}, claude {claude}"
