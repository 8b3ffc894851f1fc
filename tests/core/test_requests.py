"""Destroying and purging an agent can be asked for by the operator, who need not wait for it."""

import pytest

from hyperhive.core import agents, operate, operations, requests, roster, tombstones
from hyperhive.core.errors import Conflict, Denied, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Flavor, OperationState, Verb, Wanted
from hyperhive.core.tables import AgentRow
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


def test_what_is_kept_is_listed_and_purged_for_the_operator(hive: Hive) -> None:
    with pytest.raises(Conflict, match="ada lives"):
        requests.purge(hive, ADA, by=OPERATOR)
    agents.destroy(hive, ADA, by=OPERATOR)
    (kept,) = tombstones.listed(hive)
    assert (kept.name, kept.flavor, kept.under_way) == (ADA, Flavor.WORKER, None)
    assert kept.destroyed_at is not None
    number = requests.purge(hive, ADA, by=OPERATOR)
    assert operate.run(hive, number).state is OperationState.DONE
    assert tombstones.listed(hive) == []
    with pytest.raises(NotFound):
        roster.get(hive, ADA)
    with pytest.raises(NotFound, match="no agent ada"):
        requests.purge(hive, ADA, by=OPERATOR)


def test_no_manager_purges_what_is_kept_not_even_with_a_row_of_its_own(hive: Hive) -> None:
    add_agent(hive, EVE, flavor=Flavor.MANAGER)
    agents.destroy(hive, ADA, by=OPERATOR)
    with pytest.raises(Denied, match="only the operator"):
        requests.purge(hive, ADA, by=EVE)
    with hive.db.write():
        number = operations.ask(hive, ADA, Verb.PURGE, by=EVE)
    with pytest.raises(Conflict, match="nobody carries out a purge"):
        operate.run(hive, number)
    assert [one.name for one in tombstones.listed(hive)] == [ADA]


def test_an_agent_that_was_made_anew_meanwhile_is_not_purged(hive: Hive) -> None:
    agents.destroy(hive, ADA, by=OPERATOR)
    number = requests.purge(hive, ADA, by=OPERATOR)
    with hive.db.write():
        AgentRow.update(wanted=Wanted.STARTED).where(AgentRow.name == ADA).execute()
    with pytest.raises(Conflict, match="ada lives"):
        operate.run(hive, number)
    assert operations.get(hive, number).state is OperationState.FAILED
    assert roster.get(hive, ADA).wanted is Wanted.STARTED
