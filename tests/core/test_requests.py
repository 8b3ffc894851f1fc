"""Destroying an agent can be asked for by the operator, who need not wait for it."""

import pytest

from hyperhive.core import operate, operations, requests, roster
from hyperhive.core.errors import Conflict, Denied, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Flavor, OperationState, Verb, Wanted
from tests.core.hives import ADA, EVE, add_agent


def test_what_the_operator_asked_for_is_carried_out_by_whoever_takes_it(hive: Hive) -> None:
    number = requests.destroy(hive, ADA, by=OPERATOR)
    assert (hive.paths.wake / "hive").exists()
    assert operate.run(hive, number).state is OperationState.DONE
    assert roster.get(hive, ADA).wanted is Wanted.DESTROYED
    with pytest.raises(NotFound, match="ada was destroyed"):
        requests.destroy(hive, ADA, by=OPERATOR)


def test_no_manager_destroys_an_agent_not_even_with_a_row_of_its_own(hive: Hive) -> None:
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    with pytest.raises(Denied, match="only the operator"):
        requests.destroy(hive, ADA, by=EVE)
    with hive.db.write():
        number = operations.ask(hive, ADA, Verb.DESTROY, by=EVE)
    with pytest.raises(Conflict, match="nobody carries out a destroy"):
        operate.run(hive, number)
    assert roster.get(hive, ADA).wanted is Wanted.STARTED
