"""What a number names: approvals, questions, deployments and operations share one counter."""

from hyperhive.core import approvals, deployments, operations, questions
from hyperhive.core.approvals import Approval
from hyperhive.core.deployments import Deployment
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.messages import NUMBER_MOST
from hyperhive.core.model import Operation
from hyperhive.core.questions import Question

# An approval's deployment has its number too: what was asked for stands for both.
_KINDS = (approvals.get, questions.get, deployments.get, operations.get)


def named(hive: Hive, number: int) -> Approval | Question | Deployment | Operation:
    """What has this number. Raises `NotFound`."""
    for get in _KINDS if 0 < number <= NUMBER_MOST else ():
        try:
            return get(hive, number)
        except NotFound:
            continue
    raise NotFound(f"nothing has the number {number}", hint="`hyperhive pending` shows what waits")


def deployment_of(hive: Hive, approval: int) -> Deployment | None:
    """The deployment that an approval led to, if it came so far."""
    try:
        return deployments.get(hive, approval)
    except NotFound:
        return None
