"""How a command carries out an operation: what is built is shown line by line."""

from collections.abc import Iterator
from contextlib import contextmanager

from hyperhive.cli import notes, screen
from hyperhive.core import deployments, doorbell, operate, operations
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import AgentName, OperationState


def line(text: str) -> None:
    """Show a line of a build."""
    screen.quote(text, style="dim")


def deploy(hive: Hive, name: AgentName, number: int, operation: int, *, detach: bool) -> None:
    """Carry out a deployment, or leave it to the hive. Raises what went wrong, having said that nothing was changed."""
    if detach:
        leave(hive, f"deployment {number} of {name}")
        return
    with failing(hive, name, number):
        try:
            operate.see_through(hive, operation, say=line)
        except KeyboardInterrupt:
            _say_where_it_is(hive, name, number, operation)
            raise
    screen.line(f"{name} runs deployment {number}")
    notes.hive_is_down(hive)


def leave(hive: Hive, what: str) -> None:
    """Leave something to the hive."""
    doorbell.ring_hive(hive.paths)
    screen.line(f"{what} is left to the hive")
    if not is_held(hive.paths.lock("hub")):
        minutes = operations.PENDING_MOST.total_seconds() / 60
        screen.talk(f"note: the hive is not up; it waits for `{notes.how_to_start()}`, {minutes:g} minutes at most")


@contextmanager
def failing(hive: Hive, name: AgentName, number: int) -> Iterator[None]:
    """Say beside the error what became of a deployment that failed."""
    try:
        yield
    except HyperhiveError:
        if deployments.get(hive, number).outcome is not None:
            screen.talk(f"note: nothing of {name} was changed; `hyperhive deploy {number}` tries it again")
        raise


def _say_where_it_is(hive: Hive, name: AgentName, number: int, operation: int) -> None:
    """Somebody has pressed Ctrl-C."""
    match operations.get(hive, operation).state:
        case OperationState.PENDING:
            screen.talk(f"note: deployment {number} waits for the hive; `hyperhive show {number}`")
        case OperationState.RUNNING:
            screen.talk(f"note: deployment {number} goes on in another process; `hyperhive show {number}`")
        case OperationState.DONE:
            screen.talk(f"note: {name} runs deployment {number}")
        case _:
            screen.talk(f"interrupted: nothing of {name} was changed; `hyperhive deploy {number}` tries it again")
