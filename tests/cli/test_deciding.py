"""Deciding in the shell: what waits is shown, approved, denied; a build runs on the screen."""

import pytest

from hyperhive.core import builds, proposals, roster
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from tests.cli import shell
from tests.support.proposing import MONA, Manager


@pytest.fixture
def mona(hive: Hive) -> Manager:
    return Manager(hive)


@pytest.mark.box
def test_a_proposal_is_listed_approved_and_in_the_history(hive: Hive, ada: AgentName, mona: Manager) -> None:
    asked = mona.propose(ada, AgentConfig(role="You look after the blog."), reason="It needs a role")
    listed = shell.answer("pending").splitlines()
    assert listed[1].split() == [str(asked.number), "config", "ada", "mona", "0s", "It", "needs", "a", "role"]
    said = shell.answer("approve", str(asked.number), "--yes")
    assert "│ - its role is now: You look after the blog." in said
    assert f"{asked.number} is approved\nada runs deployment {asked.number}\n" in said
    assert builds.config_of(hive, ada, roster.get(hive, ada).deployed)[0].role == "You look after the blog."
    assert shell.run("pending").stderr == "nothing waits for you\n"
    assert f"* {asked.number}  deploy  deployed" in shell.answer("history", "ada")


@pytest.mark.box
def test_a_new_agent_is_made_when_it_is_approved(hive: Hive, mona: Manager) -> None:
    bob = AgentName("bob")
    asked = mona.ask(proposals.request_spawn(hive, bob, by=MONA, reason="help", role="You help."))
    said = shell.answer("approve", str(asked.number), "--yes")
    assert f"{asked.number}  bob  new worker  by mona" in said
    assert roster.get(hive, "bob").deployed == asked.number


@pytest.mark.box
def test_a_denial_reaches_the_one_who_asked(hive: Hive, ada: AgentName, mona: Manager) -> None:
    from hyperhive.core import applied, messages

    asked = mona.propose(ada, AgentConfig(role="x"))
    assert shell.answer("deny", str(asked.number), "--note", "not yet") == f"{asked.number} is denied\n"
    assert f"denied/{asked.number}" in str(applied.references(hive, ada))
    assert "not yet" in messages.inbox(hive, MONA)[-1].body
