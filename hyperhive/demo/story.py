"""The guided demo: an operator, a manager and a worker do a small job together, and every step is checked."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Final

from hyperhive.core import programs, runtimes
from hyperhive.core.config import Settings
from hyperhive.core.errors import Unavailable
from hyperhive.demo import script
from hyperhive.demo.acts import Story, token_variable
from hyperhive.demo.model_api import Brain, ModelApi
from hyperhive.demo.screen import Screen
from hyperhive.demo.stage import Stage

# The most seconds that one step may take, with the script, with a real model.
PATIENCE: Final = 60.0
PATIENCE_LIVE: Final = 600.0


def run(live: bool = False, *, keep: bool = False, brain: Brain = script.play, patience: float | None = None) -> int:
    """Play the demo, and give back 0 when every step happened, else 1.

    `live` takes a real model and the user's own login; `keep` leaves the hive's folder; `brain` and `patience` (seconds a
    step) are for tests. Raises `Unavailable` when this machine cannot play it, before anything is begun.
    """
    _check_machine()
    screen = Screen()
    with _signals_end_it(), ExitStack() as stack:
        claude = _real_model() if live else _scripted_model(stack.enter_context(ModelApi(brain)))
        stage = stack.enter_context(Stage(claude, keep=keep))
        try:
            return Story(stage, screen, live=live, keep=keep, patience=patience or (PATIENCE_LIVE if live else PATIENCE)).tell()
        except KeyboardInterrupt:
            screen.fail("interrupted: the hive ends")
            raise


def _check_machine() -> None:
    programs.find_claude(Settings())
    runtimes.check(runtimes.runtime_named(runtimes.AUTO))


def _scripted_model(api: ModelApi) -> Mapping[str, str]:
    # Any words will do for a key, as nobody checks it; and one try is enough, as nobody is far away.
    return {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "scripted", "CLAUDE_CODE_MAX_RETRIES": "0"}


def _real_model() -> Mapping[str, str]:
    if token_variable() is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Unavailable(
            "a real model needs your login, and there is no terminal to ask for it",
            hint="ANTHROPIC_API_KEY=… hyperhive demo --live, or CLAUDE_CODE_OAUTH_TOKEN=…",
        )
    # Who has a gateway of their own goes through it here too.
    return {key: os.environ[key] for key in ("ANTHROPIC_BASE_URL",) if os.environ.get(key)}


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: in order."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    heard = (number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN)
    before = {number: signal.signal(number, leave) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
