"""What a deployment stands on: hyperhive, the kind of container, the agent CLI, each with its version."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from hyperhive import __version__
from hyperhive.core import process, programs
from hyperhive.core.builds import write_whole
from hyperhive.core.errors import CommandFailed, HyperhiveError, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.safe_text import clean

# How long the agent CLI may take to say its version, in seconds: its first start on a machine takes some.
VERSION_MOST: Final = 10.0
# How much of its answer is read, in bytes.
_ANSWER: Final = 4096


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


def ask_version(hive: Hive, program: Path, *, seconds: float = VERSION_MOST) -> str:
    """What the agent CLI answers to `--version`. Raises `CommandFailed`, `Expired` after so many seconds, `Unavailable`."""
    # Who only compares what is known asks nobody.
    import tempfile

    from hyperhive.core.output import collect

    argv = [str(program), *programs.arguments(hive.settings), "--version"]
    with tempfile.TemporaryDirectory(prefix="hyperhive-version-") as folder:
        # A folder of its own, for it writes into its home even when it is asked for its version alone.
        env = {
            "HOME": folder,
            "CLAUDE_CONFIG_DIR": folder,
            "TMPDIR": folder,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        # Whatever the program is, no more is read of it than a version takes.
        said = collect(process.start(argv, env=env, stdin=process.PIPE), argv=argv, most=_ANSWER, beyond=_ANSWER, timeout=seconds)
    if said.code is None:
        raise Unavailable(
            f"{program} prints without end when it is asked for its version", hint="look at `claude.command` in hive.toml"
        )
    if said.code != 0:
        raise CommandFailed(argv, code=said.code, output=(said.stdout + said.stderr).decode("utf-8", "replace"))
    return clean(said.stdout.decode("utf-8", "replace").partition("\n")[0][:100]) or "without a version"


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
