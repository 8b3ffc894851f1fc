"""A hub, with its harnesses, that is the real one but for one deliberate change."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hyperhive.cli.main import main
from hyperhive.core import cli_process, cli_session, leases, letters, process
from hyperhive.core.model import AgentName, Message, MessageState
from hyperhive.core.tables import MessageRow

ROOT = Path(__file__).parents[2]
MODULE = "tests.faults.variants"


def words(variant: str, *command: str) -> list[str]:
    """The words that run a command of hyperhive with a change."""
    return [sys.executable, "-m", MODULE, variant, *command]


def impatient() -> None:
    """Waits two seconds, not a minute, for a CLI that does not answer or does not read."""
    vars(cli_session).update(READY_MOST=2.0)
    vars(cli_process).update(WRITE_MOST=2.0)


def deaf() -> None:
    """Wakes nobody who waits in `recv`; whoever waits says so after half a second."""
    from hyperhive.mcp import children, worker

    vars(worker).update(PROGRESS=0.5)
    type.__setattr__(children.Child, "wake", lambda self, byte: None)


def confuses_names() -> None:
    """Takes whoever connects for bob."""
    from hyperhive.mcp import children

    serve = vars(children)["_serve"]
    vars(children).update(_serve=lambda hive, name, *rest: serve(hive, AgentName("bob"), *rest))


def acknowledges_at_lease() -> None:
    """Holds a message for done as soon as it was handed out."""
    lease = leases.lease

    def broken(*arguments: Any, **named: Any) -> list[Message]:
        handed = lease(*arguments, **named)
        MessageRow.update(state=MessageState.ACKNOWLEDGED, ended_at=arguments[0].now()).where(
            MessageRow.number.in_([message.number for message in handed])
        ).execute()
        return handed

    vars(leases).update(lease=broken)


def never_marks() -> None:
    """Hands out a second time as if it were the first."""
    vars(letters).update(_mark=lambda message: "")


def repeats() -> None:
    """Hands out again what is acknowledged already."""
    acknowledge = leases.acknowledge

    def broken(hive: Any, name: Any, **named: Any) -> None:
        acknowledge(hive, name, **named)
        MessageRow.update(state=MessageState.PENDING, attempt=1).where(
            MessageRow.recipient == name, MessageRow.state == MessageState.ACKNOWLEDGED, MessageRow.attempt == 0
        ).execute()

    vars(leases).update(acknowledge=broken)


VARIANTS: dict[str, Callable[[], None]] = {
    change.__name__: change for change in (impatient, deaf, confuses_names, acknowledges_at_lease, never_marks, repeats)
}


def run(variant: str, command: Sequence[str]) -> None:
    """Change what is to be changed, then be hyperhive; what a hub starts is changed in the same way."""
    VARIANTS[variant]()
    start = process.start

    def start_changed(argv: Sequence[str], **options: Any) -> "process.Process":
        own = list(argv[1:3]) == ["-m", "hyperhive"]
        return start(words(variant, *argv[3:]) if own else argv, **options)

    vars(process).update(start=start_changed)
    sys.argv = ["hyperhive", *command]
    main()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
