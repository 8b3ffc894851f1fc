"""What waits for the operator's yes or no, and what became of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec
from peewee import Expression

from hyperhive.core import deployments, doorbell, notices
from hyperhive.core.columns import to_milliseconds
from hyperhive.core.db import next_number
from hyperhive.core.eligibility import SLACK
from hyperhive.core.errors import Conflict, Invalid, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.messages import NUMBER_MOST
from hyperhive.core.model import OPERATOR, AgentName, ApprovalKind, ApprovalState, Flavor, Occasion, Wanted
from hyperhive.core.tables import AgentRow, ApprovalRow

NOTE_MOST: Final = 4000
# Who decided what nobody decided in time.
CLOCK: Final = "hive"
_BEGIN_ANEW: Final = (
    "UPDATE approval SET deadline = ? + deadline - asked_at, asked_at = ?"
    " WHERE state = 'pending' AND deadline IS NOT NULL AND asked_at > ?"
)


class Approval(msgspec.Struct, frozen=True):
    """Something that the operator is asked to allow.

    For a configuration: `commit` with its `tree`, and `compared_with`, the commit that was applied when it was proposed.
    For a tool: its name, and its `input` as JSON text.
    """

    number: int
    kind: ApprovalKind
    agent: str
    asker: str
    state: ApprovalState
    reason: str
    flavor: Flavor | None
    commit: str | None
    tree: str | None
    compared_with: str | None
    tool: str | None
    input: str | None
    turn: int | None
    note: str | None
    decided_by: str | None
    asked_at: datetime
    deadline: datetime | None
    decided_at: datetime | None


class Approved(msgspec.Struct, frozen=True):
    """What was approved, and the operation that does it where something is to be done."""

    approval: Approval
    operation: int | None


def approve(hive: Hive, number: int, *, by: str, commit: str | None = None, compared_with: str | None = None) -> Approved:
    """Let an agent have what it asked for. A configuration is deployed by the operation that this gives back.

    `commit` is the one that was shown, and `compared_with` the one that it was shown against; without them, what the row
    says. Raises `NotFound`; `Conflict` when it was decided already, when it is another commit, or when what is applied
    has moved since.
    """
    with hive.db.write():
        row = _pending(hive, number)
        if commit is not None and commit != row.commit:
            raise Conflict(f"approval {number} is about the commit {row.commit}", hint=f"`hyperhive show {number}`")
        operation = onto = None
        if row.kind is ApprovalKind.CONFIG:
            agent = AgentRow.get_or_none(AgentRow.name == row.agent)
            if agent is None or agent.wanted is Wanted.DESTROYED:
                raise Conflict(f"{row.agent} is gone", hint=f"`hyperhive deny {number}`")
            onto = deployments.applied_commit(agent)
            _check_base(number, onto, compared_with or row.compared_with)
        elif row.kind is ApprovalKind.SPAWN:
            agent = AgentRow.get_or_none(AgentRow.name == row.agent)
            if agent is not None and agent.wanted is not Wanted.DESTROYED:
                raise Conflict(f"{row.agent} exists already", hint=f"`hyperhive deny {number}`")
        _decide(hive, row, ApprovalState.APPROVED, by=by, note=row.note)
        if row.kind is not ApprovalKind.TOOL:
            assert row.commit is not None
            operation = deployments.queue(
                hive,
                AgentName(row.agent),
                number=number,
                occasion=Occasion.SPAWN if row.kind is ApprovalKind.SPAWN else Occasion.DEPLOY,
                commit=row.commit,
                onto=onto,
                approval=number,
                by=by,
            )
        told = _tell(hive, row, f"approved by {by}")
    _ring(hive, row, told)
    # Whoever carries it out is found by the caller: itself, or the hub that it rings.
    return Approved(get(hive, number), operation)


def deny(hive: Hive, number: int, *, by: str, note: str = "") -> Approval:
    """Refuse what an agent asked for, with a note that reaches it. Raises `NotFound`, `Conflict`, `Invalid`."""
    if len(note) > NOTE_MOST or "\0" in note:
        raise Invalid(f"a note has at most {NOTE_MOST} characters", hint="say the rest with `hyperhive send`")
    with hive.db.write():
        row = _pending(hive, number)
        _decide(hive, row, ApprovalState.DENIED, by=by, note=note or None)
        told = _tell(hive, row, f"denied by {by}" + (f": {note}" if note else ""))
        if row.kind is not ApprovalKind.TOOL:
            deployments.unsettle(hive, AgentName(row.agent))
    _ring(hive, row, told)
    doorbell.ring_hive(hive.paths)
    return get(hive, number)


def get(hive: Hive, number: int) -> Approval:
    """One approval. Raises `NotFound`."""
    resolve_overdue(hive)
    with hive.db.read():
        row = ApprovalRow.get_or_none(ApprovalRow.number == number) if 0 < number <= NUMBER_MOST else None
    if row is None:
        raise _no_such(number)
    return approval_from(row)


def waiting(hive: Hive, number: int) -> Approval:
    """One that still waits. Raises `NotFound`, and `Conflict` that says who decided it, how and when."""
    with hive.db.read():
        return approval_from(_pending(hive, number))


def listed(
    hive: Hive,
    *,
    everything: bool = False,
    asker: str | None = None,
    kinds: Collection[ApprovalKind] = tuple(ApprovalKind),
    limit: int = 200,
) -> list[Approval]:
    """What waits for a decision, oldest first; with `everything` also the newest that are decided.

    `asker` picks an agent's, `kinds` what they are about.
    """
    resolve_overdue(hive)
    with hive.db.read():
        query = ApprovalRow.select().where(ApprovalRow.kind.in_(list(kinds)))
        if not everything:
            query = query.where(ApprovalRow.state == ApprovalState.PENDING)
        if asker is not None:
            query = query.where(ApprovalRow.asker == asker)
        return [approval_from(row) for row in query.order_by(ApprovalRow.number.desc()).limit(limit)][::-1]


# ---- tools ----


def ask_tool(
    hive: Hive, name: AgentName, *, epoch: int, turn: int, request: str, tool: str, given: str, deadline: datetime
) -> int:
    """An agent's turn asks for a tool that its configuration neither allows nor denies. Gives back the approval's number.

    `request` is what the agent CLI calls its question, `given` the tool's input as JSON text.
    """
    with hive.db.write():
        number = next_number()
        ApprovalRow.insert(
            number=number, kind=ApprovalKind.TOOL, agent=name, asker=name, state=ApprovalState.PENDING,
            tool=tool, input=given, epoch=epoch, turn=turn, request=request, asked_at=hive.now(), deadline=deadline,
        ).execute()  # fmt: skip
    return number


def withdraw_tools(
    hive: Hive, name: AgentName, *, epoch: int | None = None, turn: int | None = None, number: int | None = None
) -> int:
    """What an agent's turn asked for is of no use any more: one, all of a turn, or of all that came before. Within a write."""
    open_ones = _open() & (ApprovalRow.kind == ApprovalKind.TOOL) & (ApprovalRow.agent == name)
    if turn is not None:
        open_ones &= (ApprovalRow.epoch == epoch) & (ApprovalRow.turn == turn)
    if number is not None:
        open_ones &= ApprovalRow.number == number
    return _end(hive, open_ones, ApprovalState.WITHDRAWN, note="its turn has ended")


def withdraw_orphaned(hive: Hive) -> None:
    """What was asked for by a turn whose harness is dead is of no use any more."""
    with hive.db.read():
        waiting = ApprovalRow.select(ApprovalRow.agent).where(_open(), ApprovalRow.kind == ApprovalKind.TOOL).distinct()
        names = [AgentName(row.agent) for row in waiting]
    if not (names := [name for name in names if not is_held(hive.paths.harness_lock(name))]):
        return
    with hive.db.write():
        for name in names:
            # A harness that has come meanwhile may have asked for something already.
            if not is_held(hive.paths.harness_lock(name)):
                withdraw_tools(hive, name)


def withdraw(hive: Hive, name: AgentName, *, note: str) -> int:
    """Nothing that waits about an agent can be decided any more. Within a write."""
    return _end(hive, _open() & (ApprovalRow.agent == name), ApprovalState.WITHDRAWN, note=note)


def resolve_overdue(hive: Hive) -> list[AgentName]:
    """End what nobody has decided before its deadline. Gives back whose it was; they are rung for."""
    now = hive.now()
    has_deadline = _open() & ApprovalRow.deadline.is_null(False)
    overdue = has_deadline & (ApprovalRow.deadline <= now)
    early = has_deadline & (ApprovalRow.asked_at > now + SLACK)
    with hive.db.read():
        if not ApprovalRow.select().where(overdue | early).exists():
            return []
    with hive.db.write():
        # As with questions: the clock was set back, and nobody knows how much of their time is over.
        hive.db.ask(_BEGIN_ANEW, to_milliseconds(now), to_milliseconds(now), to_milliseconds(now + SLACK))
        names = {AgentName(row.agent) for row in ApprovalRow.select(ApprovalRow.agent).where(overdue)}
        _end(hive, overdue, ApprovalState.EXPIRED, note="nobody decided it in time")
    for name in names:
        doorbell.ring(hive.paths, name)
    return sorted(names)


def next_deadline(hive: Hive) -> datetime | None:
    """When the next one that waits is overdue, or None."""
    with hive.db.read():
        row = (
            ApprovalRow.select(ApprovalRow.deadline)
            .where(_open(), ApprovalRow.deadline.is_null(False))
            .order_by(ApprovalRow.deadline)
            .first()
        )
    return None if row is None else row.deadline


def approval_from(row: ApprovalRow) -> Approval:
    """The value of a row."""
    return Approval(**{field: getattr(row, field) for field in Approval.__struct_fields__})


def _pending(hive: Hive, number: int) -> ApprovalRow:
    """The row of what still waits. Within a read or write. Raises `NotFound`, and `Conflict` that says who decided it and how."""
    row = ApprovalRow.get_or_none(ApprovalRow.number == number) if 0 < number <= NUMBER_MOST else None
    if row is None:
        raise _no_such(number)
    if row.state is ApprovalState.PENDING and row.deadline is not None and row.deadline <= hive.now():
        # The one who asked is told by whoever looks next.
        raise Conflict(f"approval {number} has expired at {row.deadline:%H:%M:%S} UTC", hint="`hyperhive pending`")
    if row.state is not ApprovalState.PENDING:
        raise _decided(row)
    return row


def _decide(hive: Hive, row: ApprovalRow, state: ApprovalState, *, by: str, note: str | None) -> None:
    # Two people may press at once: the WHERE decides who was first.
    changed = (
        ApprovalRow.update(state=state, decided_by=by, decided_at=hive.now(), note=note)
        .where(ApprovalRow.number == row.number, ApprovalRow.state == ApprovalState.PENDING)
        .execute()
    )
    if not changed:
        raise _decided(ApprovalRow.get(ApprovalRow.number == row.number))


def _check_base(number: int, applied: str | None, compared_with: str | None) -> None:
    if applied != compared_with:
        raise Conflict(
            f"proposal {number} was compared with {(compared_with or 'nothing')[:12]}, and {(applied or 'nothing')[:12]} is "
            "applied now",
            hint=f"`hyperhive show {number}` compares it afresh; `hyperhive deny {number}` asks for a newer one",
        )


def _tell(hive: Hive, row: ApprovalRow, how: str) -> list[AgentName]:
    """Tell the one who asked, where it is no tool: a tool's answer goes to the turn that waits for it. Within a write."""
    if row.kind is ApprovalKind.TOOL or row.asker == OPERATOR:
        return []
    what = "a new agent" if row.kind is ApprovalKind.SPAWN else "the configuration of"
    about = f"{what} {row.agent}" + (f", commit {row.commit}" if row.commit else "")
    return notices.notify(hive, notices.living([row.asker]), f"approval_resolved: proposal {row.number} ({about}) was {how}.")


def _ring(hive: Hive, row: ApprovalRow, told: list[AgentName]) -> None:
    if row.kind is ApprovalKind.TOOL:
        doorbell.ring(hive.paths, AgentName(row.agent))
    for name in told:
        doorbell.ring(hive.paths, name)


def _open() -> Expression:
    return ApprovalRow.state == ApprovalState.PENDING


def _end(hive: Hive, which: Expression, state: ApprovalState, *, note: str) -> int:
    return int(ApprovalRow.update(state=state, decided_by=CLOCK, decided_at=hive.now(), note=note).where(which).execute())


def _decided(row: ApprovalRow) -> Conflict:
    when = f" at {row.decided_at:%Y-%m-%d %H:%M:%S} UTC" if row.decided_at else ""
    return Conflict(
        f"approval {row.number} was already {row.state} by {row.decided_by}{when}" + (f": {row.note}" if row.note else ""),
        hint="`hyperhive pending`",
    )


def _no_such(number: int) -> NotFound:
    return NotFound(f"there is no approval {number}", hint="`hyperhive pending` shows what waits")
