"""The operator's settings, as `hive.toml` states them."""

import os
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args

import msgspec

from hyperhive.core.agent_config import check_env
from hyperhive.core.errors import Invalid, Unavailable

S = TypeVar("S", bound=msgspec.Struct)
Count = Annotated[int, msgspec.Meta(ge=1)]
# A century at most: what is to stay for ever has no setting.
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
# So many are kept.
Kept = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
# A week, in seconds: longer is meant as for ever, and what waits for a file must be told a number.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=604_800)]

# Above what systemd hands out for containers, below the signed limit (https://systemd.io/UIDS-GIDS/): the machine's own
# hive begins here.
UID_BASE: Final = 0x7000_0000
UID_RANGE: Final = 65_536
UID_MOST: Final = 0x7FFF_FFFF
# One working agent, the agent CLI included, in bytes.
MEMORY_FOR_ONE: Final = 500 * 1024 * 1024


class ClaudeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the agent CLI is run: `command` replaces the program, `env` is added to its environment."""

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much anybody may send: bytes a message, waiting texts an inbox, texts an agent may send in a minute."""

    message_bytes: Count = 65_536
    inbox: Count = 1_000
    sends_per_minute: Count = 120


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long what is over is kept, in days, and how many events and builds of an agent.

    Events go after `event_days`, but for the newest `event_floor` of an agent; then all but the newest `events`.
    """

    message_days: Days = 30
    operation_days: Days = 30
    event_days: Days = 7
    event_floor: Kept = 200
    events: Kept = 2_000
    builds: Kept = 5
    log_days: Days = 30


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the dashboard listens, `HOST:PORT` or `unix:PATH`, and the other names under which browsers reach it."""

    bind: str = "127.0.0.1:8420"
    hosts: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`hive.toml`. Times are seconds; `max_active` of 0 means: from the machine's memory, no `uid_base`: one of its own.

    `permission_seconds` is how long a tool that an agent asks for waits for the operator before it is refused.
    """

    runtime: str = "auto"
    max_active: Annotated[int, msgspec.Meta(ge=0)] = 0
    linger_seconds: Seconds = 120.0
    permission_seconds: Seconds = 600.0
    uid_base: Annotated[int, msgspec.Meta(ge=UID_RANGE, le=UID_MOST - UID_RANGE)] | None = None
    claude: ClaudeSettings = ClaudeSettings()
    limits: Limits = Limits()
    keep: Keep = Keep()
    web: WebSettings = WebSettings()

    def places(self) -> int:
        """How many agents may work at once."""
        if self.max_active > 0:
            return self.max_active
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(2, memory // MEMORY_FOR_ONE)


def read_settings(file: Path) -> Settings:
    """Read `hive.toml`; a missing one means the defaults.

    Raises `Invalid` with the file and the key for what is wrong in it, `Unavailable` when it cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{file} cannot be read: {error}", hint=f"ls -l {file}") from None
    settings = parse_toml(text, Settings, source=str(file))
    check_env(settings.claude.env)
    return settings


def parse_toml(text: str, shape: type[S], *, source: str) -> S:
    """Read TOML into a value. Raises `Invalid`, which names `source` and the key."""
    return convert(plain_toml(text, source=source), shape, source=source)


def plain_toml(text: str, *, source: str) -> dict[str, Any]:
    """Read TOML into plain data. Raises `Invalid`, which names `source`."""
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:  # also for a number of too many digits
        raise Invalid(f"{source} is not TOML: {error}", hint=f"edit {source}") from None
    except RecursionError:
        raise Invalid(f"{source} is not TOML: its brackets are too deep", hint=f"edit {source}") from None


def convert(data: dict[str, Any], shape: type[S], *, source: str, at: str = "") -> S:
    """Turn plain data into a value; `at` is the key that it stands below. Raises `Invalid`, which names `source` and the key."""
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise Invalid(f"{source}: {_say(str(error), at)}", hint=_meant(str(error), shape) or f"edit {source}") from None


def _say(error: str, at: str) -> str:
    """msgspec's words with the key at the front: `claude.env: expected …`."""
    what, _, where = error.partition(" - at `$.")
    key = ".".join(part for part in (at, where.removesuffix("`")) if part)
    return f"{key}: {what[:1].lower()}{what[1:]}" if key else what[:1].lower() + what[1:]


def _meant(error: str, shape: type[msgspec.Struct]) -> str | None:
    """The known key that comes nearest to an unknown one."""
    if "unknown field" not in error:
        return None
    import difflib

    unknown = error.split("`")[1]
    keys: set[str] = set()
    pending: list[type[msgspec.Struct]] = [shape]
    while pending:
        for field in msgspec.structs.fields(pending.pop()):
            keys.add(field.encode_name)
            # Also what a table or a list is of: `dict[str, McpServer]`.
            for part in (field.type, *get_args(field.type)):
                if isinstance(part, type) and issubclass(part, msgspec.Struct):
                    pending.append(part)
    near = difflib.get_close_matches(unknown, sorted(keys), n=1)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(keys))}"
