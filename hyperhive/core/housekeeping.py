"""What somebody who died, or a moment that passed, has left lying, put in order by whoever comes by."""

from collections.abc import Callable, Collection, Sequence

from hyperhive.core import approvals, deployments, doorbell, holding, notices, operations, questions, rests
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive


def tidy(hive: Hive, *, known: Collection[int] | None) -> list[str]:
    """End what is overdue or dead, and tell whom it concerns. Gives back what else is worth a line in a log.

    An operation that nobody took in time ends too, but for those that are `known` to somebody who will; None where that
    is not for the caller to say. One thing that cannot be done keeps nothing else from being done: then the first error is
    raised at the end.
    """
    found: list[str] = []
    failed: list[HyperhiveError] = []

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except HyperhiveError as error:
            failed.append(error)

    attempt(lambda: questions.resolve_overdue(hive))
    attempt(lambda: approvals.resolve_overdue(hive))
    attempt(lambda: approvals.withdraw_orphaned(hive))
    attempt(lambda: rests.lift_passed(hive))
    attempt(lambda: found.extend(_end_operations(hive, known)))
    # After them: an operation that has ended leaves a deployment that nobody carries out.
    attempt(lambda: deployments.end_dead(hive))
    if failed:
        raise failed[0]
    return found


def _end_operations(hive: Hive, known: Collection[int] | None) -> Sequence[str]:
    dead = holding.dead(hive)
    late = known is not None and operations.is_overdue(hive, known=known)
    if not dead and not late:
        return ()
    told = []
    with hive.db.write():
        buried = holding.bury(hive, dead)
        for one in buried:
            told += notices.tell_not_done(hive, one, holding.DIED)
        expired = operations.expire(hive, known=known) if known is not None else []
        for one in expired:
            told += notices.tell_not_done(hive, one, "nobody came to do it in ten minutes")
    for name in told:
        doorbell.ring(hive.paths, name)
    for one in buried:
        operations.ring_asker(hive, one.asked_by)
    return [f"operation {one.number}, {one.verb} of {one.agent}, waited for too long" for one in expired]
