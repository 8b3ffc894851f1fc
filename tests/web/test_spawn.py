"""The operator asks for an agent in a browser; it waits with what the managers ask for."""

import pytest

from hyperhive.core import approvals, operations, roster
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, ApprovalKind, Flavor
from tests.web.visitor import Visitor


def test_an_agent_that_is_asked_for_waits_to_be_approved(operator: Visitor, hive: Hive) -> None:
    form = {"name": "lily", "flavor": "manager", "model": "opus", "role": "You look after\r\nthe lilies."}
    answer = operator.post("/spawn", form)
    (asked,) = approvals.listed(hive)
    assert f"lily waits as approval {asked.number}" in answer.text
    assert (asked.kind, asked.asker, asked.agent, asked.flavor) == (ApprovalKind.SPAWN, OPERATOR, "lily", Flavor.MANAGER)
    with pytest.raises(NotFound):
        roster.get(hive, "lily")
    review = operator.get(f"/approvals/{asked.number}/review").text
    assert "the lilies." in review
    assert "opus" in review
    assert f'id="approval-{asked.number}"' in operator.get("/").text
    assert operator.post(f"/approvals/{asked.number}/approve", {"commit": asked.commit or ""}).status_code == 200
    assert [one.agent for one in operations.listed(hive)] == ["lily"]


@pytest.mark.parametrize(
    ("form", "status", "why"),
    [
        ({"name": ""}, 422, "cannot be an agent&#39;s name"),
        ({"name": "Ada Lovelace"}, 422, "cannot be an agent&#39;s name"),
        ({"name": "operator"}, 422, "taken by hyperhive itself"),
        ({"name": "ada"}, 409, "ada exists already"),
        ({"name": "eve", "flavor": "<b>queen</b>"}, 422, "is no flavor"),
        ({"name": "eve", "model": "a model; rm -rf /"}, 422, "cannot be a model&#39;s name"),
        ({"name": "eve", "role": "x\0y"}, 422, ""),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(
    operator: Visitor, hive: Hive, form: dict[str, str], status: int, why: str
) -> None:
    answer = operator.post("/spawn", form)
    assert answer.status_code == status
    assert why in answer.text
    assert "<b>" not in answer.text
    assert approvals.listed(hive, everything=True) == []
