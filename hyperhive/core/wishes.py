"""What the operator wishes of an agent that lives: another model, the end of its turn, a shorter conversation."""

from hyperhive.core import custody, doorbell, operations, roster, turns, waiting
from hyperhive.core.agent_config import check_model
from hyperhive.core.agent_view import Agent
from hyperhive.core.errors import Conflict, Expired
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, OperationState, Verb, Wanted
from hyperhive.core.tables import AgentRow


def set_model(hive: Hive, name: AgentName, model: str | None) -> Agent:
    """Choose the model of an agent's turns from the next one on; None goes back to its configuration's."""
    check_model(model)
    with hive.db.write():
        roster.living(name)
        AgentRow.update(model=model).where(AgentRow.name == name).execute()
    doorbell.ring(hive.paths, name)
    return roster.get(hive, name)


def cancel(hive: Hive, name: AgentName, *, by: str, retry: bool = False, timeout: float = 30.0) -> None:
    """End the turn that an agent is in; its messages end as cancelled, or come again with `retry`.

    Raises `Conflict` when no turn runs or it ended otherwise, `Expired` when it did not end in `timeout` seconds.
    """
    number = ask_to_cancel(hive, name, turn=running_turn(hive, name), by=by, retry=retry)
    if not waiting.until(lambda: operations.get(hive, number).ended_at is not None or custody.has_left(hive, name), timeout):
        raise Expired(f"the turn of {name} did not end", hint=f"`hyperhive kill {name}` ends everything at once")
    ended = operations.get(hive, number)
    if ended.state is not OperationState.DONE:
        why = ended.error or "its harness ended before"
        raise Conflict(f"the turn of {name} was not cancelled: {why}", hint=f"`hyperhive turns {name}`")


def running_turn(hive: Hive, name: AgentName) -> int:
    """The number of the turn that an agent is in. Raises `NotFound`, and `Conflict` when it is in none."""
    with hive.db.read():
        roster.living(name)
    running = turns.current(hive, name)
    if custody.has_left(hive, name) or running is None:
        raise Conflict(f"{name} has no turn that could be cancelled", hint=f"`hyperhive inbox {name}` shows what waits for it")
    return running.turn


def ask_to_cancel(hive: Hive, name: AgentName, *, turn: int, by: str, retry: bool = False) -> int:
    """Ask for the end of this turn of an agent, and of no other. Gives back the operation's number, which says how it went."""
    with hive.db.write():
        roster.living(name)
        number = operations.ask(hive, name, Verb.CANCEL, by=by, argument=f"{turn} retry" if retry else str(turn))
    doorbell.ring(hive.paths, name)
    return number


def compact(hive: Hive, name: AgentName, *, by: str) -> int:
    """Ask for an agent's conversation to be made shorter, before its next turn. Gives back the operation's number.

    Raises `Conflict` for an agent that has no conversation, or is not started.
    """
    with hive.db.write():
        row = roster.living(name)
        if row.conversation is None:
            raise Conflict(f"{name} has no conversation yet", hint=f'`hyperhive send {name} "…"` begins one')
        if row.wanted is not Wanted.STARTED:
            raise Conflict(f"{name} is not running", hint=f"`hyperhive start {name}`")
        number = operations.ask(hive, name, Verb.COMPACT, by=by)
    doorbell.ring(hive.paths, name)
    return number
