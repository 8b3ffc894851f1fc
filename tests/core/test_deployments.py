"""A deployment puts a commit in the place of another, wholly or not at all, whoever dies on the way."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hyperhive.core import (
    agent_config,
    agent_toml,
    agents,
    applied,
    approvals,
    bases,
    building,
    builds,
    deploying,
    deployments,
    folders,
    holding,
    messages,
    meta,
    operate,
    operations,
    proposals,
    publishing,
    requests,
    roster,
    spawning,
)  # fmt: skip
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.approvals import Approval
from hyperhive.core.errors import Conflict, Denied, HyperhiveError, Invalid, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.model import (
    OPERATOR,
    AgentName,
    ApprovalKind,
    ApprovalState,
    DeploymentOutcome,
    Flavor,
    Occasion,
    OperationState,
    Verb,
    Wanted,
)  # fmt: skip
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow, EntryRow, OperationRow
from tests.core.hives import ADA, BOB, EVE, program, row_of

MAIN = "refs/heads/main"


@pytest.fixture
def hive(empty: Hive) -> Hive:
    """A hive with the worker ada, made of a commit."""
    spawning.spawn(empty, ADA, runtime="host", config=AgentConfig(role="first"), by=OPERATOR)
    return empty


def propose(hive: Hive, role: str, **config: object) -> Approval:
    """A change of ada's configuration by the operator, which waits."""
    data = agent_toml.write(AgentConfig(role=role, **config))  # type: ignore[arg-type]  # whatever a configuration takes
    return proposals.by_operator(hive, ADA, {building.FILE: data}, message=f"Be {role}")


def approve(hive: Hive, approval: Approval) -> int:
    """Decide, and give back the operation that was asked for."""
    operation = approvals.approve(hive, approval.number, by=OPERATOR).operation
    assert operation is not None
    return operation


def deploy(hive: Hive, role: str, **config: object) -> Approval:
    """Propose, approve and deploy."""
    approval = propose(hive, role, **config)
    operate.run(hive, approve(hive, approval))
    return approval


def role_of(hive: Hive) -> str:
    """What ada is for, as a harness would read it now."""
    return builds.config_of(hive, ADA, roster.get(hive, ADA).deployed)[0].role


def outcomes(hive: Hive) -> list[tuple[Occasion, DeploymentOutcome | None]]:
    """How ada's deployments ended."""
    return [(one.occasion, one.outcome) for one in deployments.history(hive, ADA)]


def tags(hive: Hive) -> set[str]:
    """The tags of ada's repository."""
    return {name.removeprefix("refs/tags/") for name in applied.references(hive, ADA) if name != MAIN}


def settle(hive: Hive) -> None:
    """What the hub does with what somebody who died has left."""
    for name in publishing.unsettled(hive):
        with hive.db.write():
            number = deployments.unsettle(hive, name)
        operate.run(hive, number)
    assert publishing.unsettled(hive) == []


def test_a_new_agent_begins_with_a_commit(hive: Hive) -> None:
    (first,) = deployments.history(hive, ADA)
    assert (first.occasion, first.outcome, first.approved_by) == (Occasion.SPAWN, DeploymentOutcome.DEPLOYED, OPERATOR)
    assert set(applied.references(hive, ADA).values()) == {first.commit}
    assert tags(hive) == {f"approved/{first.number}", f"deployed/{first.number}"}
    assert MAIN in applied.references(hive, ADA)
    assert first.commit is not None
    assert building.config_in(hive, ADA, first.commit)[0].role == "first"
    assert [(one.what, one.agent, one.deployment) for one in meta.log(hive)] == [("spawn", ADA, first.number)]
    assert first.base == bases.base_of(hive, "host")
    assert roster.get(hive, ADA).up_to_date


def test_an_approved_change_is_what_the_agent_is_given(hive: Hive) -> None:
    approval = deploy(hive, "second")
    assert role_of(hive) == "second"
    number = approval.number
    assert row_of(hive, ADA).deployed == number
    assert applied.references(hive, ADA)[MAIN] == approval.commit
    assert {f"proposal/{number}", f"approved/{number}", f"deployed/{number}"} <= tags(hive)
    assert not any(tag.startswith("building/") for tag in tags(hive))
    assert row_of(hive, ADA).news == f"You were given deployment {number}: your configuration was changed."
    assert next((one.what, one.subject) for one in meta.log(hive)) == ("deploy", "Be second")


def test_nothing_is_deployed_before_somebody_has_approved_it(hive: Hive) -> None:
    approval = propose(hive, "second")
    settle(hive)
    assert approval.state is ApprovalState.PENDING
    assert role_of(hive) == "first"
    assert outcomes(hive) == [(Occasion.SPAWN, DeploymentOutcome.DEPLOYED)]
    assert f"approved/{approval.number}" not in tags(hive)


def test_what_is_denied_keeps_its_tag_and_changes_nothing(hive: Hive) -> None:
    approval = propose(hive, "second")
    approvals.deny(hive, approval.number, by=OPERATOR, note="not now")
    for one in operations.ready(hive):
        operate.run(hive, one.number)
    assert f"denied/{approval.number}" in tags(hive)
    assert role_of(hive) == "first"
    with pytest.raises(Conflict, match=f"approval {approval.number} was already denied by operator at .* UTC: not now"):
        approvals.approve(hive, approval.number, by=OPERATOR)


def test_a_newer_proposal_of_the_same_asker_takes_the_place_of_the_older(hive: Hive) -> None:
    older, newer = propose(hive, "second"), propose(hive, "third")
    assert [one.number for one in approvals.listed(hive)] == [newer.number]
    with pytest.raises(Conflict, match=f"replaced by proposal {newer.number}"):
        approvals.approve(hive, older.number, by=OPERATOR)


def test_a_commit_that_is_not_the_one_that_was_shown_is_not_approved(hive: Hive) -> None:
    approval = propose(hive, "second")
    with pytest.raises(Conflict, match="is about the commit"):
        approvals.approve(hive, approval.number, by=OPERATOR, commit="0" * 40)
    assert approvals.get(hive, approval.number).state is ApprovalState.PENDING


def test_what_was_compared_with_something_else_is_not_approved(hive: Hive) -> None:
    approval = propose(hive, "second")
    _other_change(hive)
    with pytest.raises(Conflict, match=f"proposal {approval.number} was compared with"):
        approvals.approve(hive, approval.number, by=OPERATOR)
    # Somebody who was shown it against what is applied now may decide.
    now = applied.references(hive, ADA)[MAIN]
    operate.run(hive, approvals.approve(hive, approval.number, by=OPERATOR, compared_with=now).operation or 0)
    assert role_of(hive) == "second"


def _other_change(hive: Hive) -> None:
    """Somebody else's change of ada, deployed meanwhile."""
    with hive.db.read():
        main = deployments.applied_commit(AgentRow.get(AgentRow.name == ADA))
    commit = applied.write_commit(
        hive, ADA, {"notes": b"x"}, parent=main, message="Note", author="eve", at=hive.now()
    )  # fmt: skip
    with hive.db.write():
        operation = deployments.queue(hive, ADA, occasion=Occasion.DEPLOY, commit=commit, onto=main, approval=None, by=OPERATOR)
    operate.run(hive, operation)


def test_of_two_that_were_approved_over_the_same_the_second_fails(hive: Hive) -> None:
    one = propose(hive, "second")
    # As another asker's, which does not take the first one's place.
    with hive.db.write():
        ApprovalRow.update(asker="eve").where(ApprovalRow.number == one.number).execute()
    two = propose(hive, "third")
    first, second = approve(hive, one), approve(hive, two)
    operate.run(hive, first)
    with pytest.raises(Conflict, match=f"deployment {two.number} was decided over"):
        operate.run(hive, second)
    assert role_of(hive) == "second"
    assert deployments.get(hive, two.number).outcome is DeploymentOutcome.FAILED
    assert operations.get(hive, second).state is OperationState.FAILED
    assert f"failed/{two.number}" in tags(hive)


def test_a_rollback_is_a_new_commit_with_the_old_files(hive: Hive) -> None:
    deploy(hive, "second")
    before = applied.references(hive, ADA)[MAIN]
    number, operation = deploying.roll_back(hive, ADA, by=OPERATOR)
    operate.run(hive, operation)
    assert role_of(hive) == "first"
    assert row_of(hive, ADA).deployed == number
    commit = applied.commit_of(hive, ADA, applied.references(hive, ADA)[MAIN])
    assert commit.parents == (before,)
    assert [what for what, _ in outcomes(hive)] == [Occasion.SPAWN, Occasion.DEPLOY, Occasion.ROLLBACK]
    # Back again, by its number.
    (_, second, _) = deployments.history(hive, ADA)
    _, operation = deploying.roll_back(hive, ADA, to=second.number, by=OPERATOR)
    operate.run(hive, operation)
    assert role_of(hive) == "second"


def test_there_may_be_nothing_to_go_back_to(hive: Hive) -> None:
    with pytest.raises(Conflict, match="ada has no earlier deployment"):
        deploying.roll_back(hive, ADA, by=OPERATOR)
    with pytest.raises(NotFound, match="ada never ran on a deployment 99"):
        deploying.roll_back(hive, ADA, to=99, by=OPERATOR)


def test_an_agent_on_an_older_base_is_deployed_anew_and_only_then(hive: Hive) -> None:
    assert deploying.update(hive, ADA, by=OPERATOR) is None
    with hive.db.write():
        AgentRow.update(base="hyperhive 0.0.1, host, claude 1").execute()
    assert not roster.get(hive, ADA).up_to_date
    renewed = deploying.update(hive, ADA, by=OPERATOR)
    assert renewed is not None
    assert (renewed.occasion, renewed.outcome) == (Occasion.UPDATE, DeploymentOutcome.DEPLOYED)
    assert renewed.commit == applied.references(hive, ADA)[MAIN]
    assert roster.get(hive, ADA).up_to_date
    assert deploying.update(hive, ADA, by=OPERATOR) is None
    assert len(outcomes(hive)) == 2


def test_what_was_made_before_there_was_git_is_taken_over(hive: Hive) -> None:
    with hive.db.write():
        DeploymentRow.update(commit=None).execute()
        EntryRow.delete().execute()
    applied.purge(hive, ADA)
    assert publishing.unsettled(hive) == [ADA]
    settle(hive)
    (first,) = deployments.history(hive, ADA)
    assert first.commit is not None
    assert building.config_in(hive, ADA, first.commit)[0].role == "first"
    assert applied.references(hive, ADA)[MAIN] == first.commit


def test_what_destroys_and_purges_stands_in_the_log(hive: Hive) -> None:
    approval = propose(hive, "second")
    agents.destroy(hive, ADA, by=OPERATOR)
    assert approvals.get(hive, approval.number).state is ApprovalState.WITHDRAWN
    made = spawning.spawn(hive, ADA, by=OPERATOR)
    assert made.reused
    assert role_of(hive) == "first"
    agents.destroy(hive, ADA, by=OPERATOR)
    agents.purge(hive, ADA, by=OPERATOR)
    assert [one.what for one in meta.log(hive)] == ["purge", "destroy", "spawn", "destroy", "spawn"]
    assert not hive.paths.applied(ADA).exists()
    assert not hive.paths.builds(ADA).exists()
    spawning.spawn(hive, ADA, runtime="host", by=OPERATOR)
    assert role_of(hive) == ""
    assert len(deployments.history(hive, ADA)) == 1


def test_what_nobody_may_change_is_refused_at_once(hive: Hive) -> None:
    with pytest.raises(Denied, match=r"proposal \d+ failed: flake\.nix is protected"):
        proposals.by_operator(hive, ADA, {"flake.nix": b"{}"}, message="Build it otherwise")
    (failed,) = approvals.listed(hive, everything=True)
    assert failed.state is ApprovalState.FAILED
    assert f"failed/{failed.number}" in tags(hive)
    assert approvals.listed(hive) == []


@pytest.mark.parametrize("text", ["rolle = 1", "mounts = 3", "[mcp_servers.a]\n", "\x00", "[[[[", "network = 'wide'"])
def test_a_file_that_is_wrong_is_refused_with_its_name(hive: Hive, text: str) -> None:
    with pytest.raises(Invalid, match=r"proposal \d+ failed: agent\.toml"):
        proposals.by_operator(hive, ADA, {building.FILE: text.encode()}, message="Be wrong")
    assert approvals.listed(hive) == []


def test_a_change_of_nothing_is_refused(hive: Hive) -> None:
    with pytest.raises(Conflict, match="changes nothing"):
        propose(hive, "first")


def test_a_server_of_our_own_name_is_left_out_and_said(hive: Hive) -> None:
    text = b"[mcp_servers.hyperhive]\ncommand = 'x'\n[mcp_servers.other]\ncommand = 'y'\n"
    approval = proposals.by_operator(hive, ADA, {building.FILE: text}, message="Two servers")
    assert approval.note == agent_config.OWN_SERVER_SAID
    operate.run(hive, approve(hive, approval))
    assert list(builds.config_of(hive, ADA, approval.number)[0].mcp_servers) == ["other"]


# ---- asked for by a manager ----


@pytest.fixture
def manager(hive: Hive) -> Hive:
    """The same hive with a manager."""
    spawning.spawn(hive, EVE, runtime="host", flavor=Flavor.MANAGER, by=OPERATOR)
    return hive


def notices_of(hive: Hive) -> list[str]:
    """What the manager was told, each notice's first word."""
    return [one.body.split(":")[0] for one in messages.inbox(hive, EVE)]


@pytest.mark.box
def test_a_new_agent_that_a_manager_asked_for_comes_to_be_when_it_is_approved(manager: Hive) -> None:
    asked = proposals.request_spawn(manager, BOB, by=EVE, reason="much to do", role="You help.")
    done = operate.run(manager, asked)
    (approval,) = approvals.listed(manager)
    assert done.result == str(approval.number)
    with pytest.raises(NotFound):
        roster.get(manager, "bob")
    operate.run(manager, approve(manager, approval))
    made = roster.get(manager, "bob")
    assert (made.deployed, made.wanted) == (approval.number, Wanted.STARTED)
    assert builds.config_of(manager, BOB, made.deployed)[0].role == "You help."
    assert notices_of(manager) == ["approval_resolved", "spawned"]


@pytest.mark.box
def test_an_agent_that_cannot_be_made_is_not_there_and_can_be_tried_again(manager: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    operate.run(manager, proposals.request_spawn(manager, BOB, by=EVE, reason="much to do"))
    (approval,) = approvals.listed(manager)

    def full(*_: object, **__: object) -> None:
        raise Invalid("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(builds, "write_build", full)
        with pytest.raises(Invalid):
            operate.run(manager, approve(manager, approval))
    with pytest.raises(NotFound):
        roster.get(manager, "bob")
    assert deployments.get(manager, approval.number).outcome is DeploymentOutcome.FAILED
    assert notices_of(manager) == ["approval_resolved", "deploy_failed"]
    again, operation = deploying.again(manager, approval.number, by=OPERATOR)
    operate.run(manager, operation)
    assert roster.get(manager, "bob").deployed == again


@pytest.mark.box
def test_the_operator_is_told_what_a_new_agent_would_take_over(manager: Hive) -> None:
    operate.run(manager, proposals.request_spawn(manager, BOB, by=EVE, reason="much to do"))
    (fresh,) = approvals.listed(manager)
    assert fresh.note is None
    approvals.deny(manager, fresh.number, by=OPERATOR)
    folders.write_token(manager, ADA, "secret")
    with manager.db.write():
        AgentRow.update(user="root").where(AgentRow.name == ADA).execute()
    agents.destroy(manager, ADA, by=OPERATOR)
    with manager.db.read():
        main = deployments.applied_commit(AgentRow.get(AgentRow.name == ADA))
    operate.run(manager, proposals.request_spawn(manager, ADA, by=EVE, reason="once more", role="Read your notes to me."))
    (approval,) = approvals.listed(manager)
    assert approval.note == (
        "It takes over what is kept of an earlier ada: notes, workspace, conversation, login, and runs as the user root."
    )
    assert approval.commit != main
    with pytest.raises(Conflict, match=r"already denied by operator at [^:]*:\d\d:\d\d UTC$"):
        approvals.deny(manager, fresh.number, by=OPERATOR)


def test_the_operator_asks_for_an_agent_as_a_manager_does(hive: Hive) -> None:
    asked = proposals.spawn_by_operator(hive, EVE, flavor=Flavor.MANAGER, role="You look after the roses.", model="opus")
    assert (asked.kind, asked.asker, asked.flavor, asked.state) == (
        ApprovalKind.SPAWN, OPERATOR, Flavor.MANAGER, ApprovalState.PENDING,
    )  # fmt: skip
    assert asked.commit is not None
    with pytest.raises(NotFound):
        roster.get(hive, EVE)
    newer = proposals.spawn_by_operator(hive, EVE, role="You look after the roses.")
    assert approvals.get(hive, asked.number).state is ApprovalState.WITHDRAWN
    operate.run(hive, approve(hive, newer))
    made = roster.get(hive, EVE)
    assert (made.flavor, made.model) == (Flavor.WORKER, None)
    assert builds.config_of(hive, EVE, made.deployed)[0].role == "You look after the roses."
    with pytest.raises(Conflict, match="eve exists already"):
        proposals.spawn_by_operator(hive, EVE)
    with pytest.raises(Invalid):
        proposals.spawn_by_operator(hive, BOB, model="no such\nmodel")
    with pytest.raises(Invalid):
        proposals.spawn_by_operator(hive, BOB, reason="x" * 5000)
    assert operations.listed(hive) == []


def test_what_the_operator_denied_itself_is_told_to_nobody(hive: Hive) -> None:
    asked = proposals.spawn_by_operator(hive, EVE)
    approvals.deny(hive, asked.number, by=OPERATOR, note="no")
    assert messages.flow(hive) == []


def test_an_agent_that_is_asked_for_without_words_takes_over_what_is_kept(hive: Hive) -> None:
    agents.destroy(hive, ADA, by=OPERATOR)
    before = deployments.history(hive, ADA)[-1].commit
    asked = proposals.spawn_by_operator(hive, ADA)
    assert asked.commit == before
    assert "It takes over what is kept of an earlier ada" in (asked.note or "")
    operate.run(hive, approve(hive, asked))
    assert role_of(hive) == "first"


def test_an_update_says_which_deployment_it_builds(hive: Hive) -> None:
    with hive.db.write():
        AgentRow.update(base="older").where(AgentRow.name == ADA).execute()
    number = requests.update(hive, ADA, by=OPERATOR)
    assert number is not None
    assert operations.get(hive, number).deployment is None
    operate.run(hive, number)
    assert operations.get(hive, number).deployment == roster.get(hive, ADA).deployed


def test_one_who_is_no_manager_may_not_ask(hive: Hive) -> None:
    with pytest.raises(Denied, match="ada is no manager"):
        proposals.request_spawn(hive, BOB, by=ADA, reason="")
    with pytest.raises(Denied, match="ada is no manager"):
        proposals.request(hive, ADA, by=ADA, commit="0" * 40)


# ---- what somebody who died has left ----

_STEPS = (
    "publishing.settle", "applied.publish", "building.build", "applied.export", "building.builds.write_build",
    "bases.base_of", "deploying._make_so", "meta.record",
)  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", _STEPS)
def test_a_deployment_that_was_killed_is_wholly_old_or_wholly_new(home: Path, hive: Hive, step: str, when: str) -> None:
    approval = propose(hive, "second")
    operation = approve(hive, approval)
    code = f"""
from hyperhive.core import applied, bases, building, deploying, holding, meta, operate, publishing
real = {step}
def die(*args, **kwargs):
    if "{when}" == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), 9)
{step} = die
operate.run(hive, int(sys.argv[2]))
"""
    with program(home, code, str(operation)) as other:
        assert other.wait() == -9
    settle(hive)
    outcome = deployments.get(hive, approval.number).outcome
    is_new = outcome is DeploymentOutcome.DEPLOYED
    assert is_new == (step == "meta.record")
    assert role_of(hive) == ("second" if is_new else "first")
    assert row_of(hive, ADA).deployed == deployments.history(hive, ADA)[-1 if is_new else 0].number
    _is_in_order(hive, approval.number, outcome)
    assert operations.get(hive, operation).state is OperationState.FAILED
    if not is_new:
        number, again = deploying.again(hive, approval.number, by=OPERATOR)
        operate.run(hive, again)
        assert role_of(hive) == "second"
        _is_in_order(hive, number, DeploymentOutcome.DEPLOYED)


def _is_in_order(hive: Hive, number: int, outcome: DeploymentOutcome | None) -> None:
    assert outcome is not None
    assert f"{outcome.value}/{number}" in tags(hive)
    assert not any(tag.startswith("building/") for tag in tags(hive))
    with hive.db.read():
        assert applied.references(hive, ADA)[MAIN] == deployments.applied_commit(AgentRow.get(AgentRow.name == ADA))
        assert not EntryRow.select().where(EntryRow.published == False).exists()
    assert [one.deployment for one in meta.log(hive, name=ADA)] == [
        one.number for one in reversed(deployments.history(hive, ADA)) if one.outcome is DeploymentOutcome.DEPLOYED
    ]


@pytest.fixture
def broken(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """While this is so, ada's references cannot be written. To be ended by its `undo`."""

    def full(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(applied, "_update", full)
        yield patch


def test_what_is_deployed_stays_so_also_where_git_does_not_take_it(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = approve(hive, propose(hive, "second"))
    real = publishing.publish

    def late(hive: Hive, name: AgentName, *, built_now: int | None = None) -> None:
        if built_now is None:
            raise Unavailable("the disk is full")
        real(hive, name, built_now=built_now)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish", late)
        assert operate.run(hive, operation).state is OperationState.DONE
    assert role_of(hive) == "second"
    for one in operations.ready(hive):
        operate.run(hive, one.number)
    assert publishing.unsettled(hive) == []
    _is_in_order(hive, row_of(hive, ADA).deployed or 0, DeploymentOutcome.DEPLOYED)


def test_what_failed_keeps_no_tag_of_its_building_also_where_git_does_not_take_that(
    hive: Hive, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = propose(hive, "second")
    real = applied._update

    def full(*_: object, **__: object) -> None:
        monkeypatch.setattr(applied, "_update", full)
        raise Unavailable("the disk is full")

    monkeypatch.setattr(builds, "write_build", full)
    with pytest.raises(Unavailable):
        operate.run(hive, approve(hive, approval))
    assert f"building/{approval.number}" in tags(hive)
    # It is tried again, and again.
    for one in operations.ready(hive):
        with pytest.raises(Unavailable):
            operate.run(hive, one.number)
    assert publishing.unsettled(hive) == [ADA]
    monkeypatch.setattr(applied, "_update", real)
    settle(hive)
    _is_in_order(hive, approval.number, DeploymentOutcome.FAILED)


def test_a_proposal_that_waits_is_told_of_also_where_git_does_not_take_its_tag(hive: Hive, broken: pytest.MonkeyPatch) -> None:
    approval = propose(hive, "second")
    assert approval.state is ApprovalState.PENDING
    broken.undo()
    for one in operations.ready(hive):
        operate.run(hive, one.number)
    assert f"proposal/{approval.number}" in tags(hive)


def test_a_deployment_that_waited_for_too_long_is_failed(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    approval = propose(hive, "second")
    operation = approve(hive, approval)
    assert publishing.unsettled(hive) == []
    later = hive.now() + operations.PENDING_MOST * 2
    monkeypatch.setattr(hive, "now", lambda: later)
    assert operations.is_overdue(hive)
    with hive.db.write():
        assert [one.number for one in operations.expire(hive)] == [operation]
    settle(hive)
    assert deployments.get(hive, approval.number).outcome is DeploymentOutcome.FAILED
    assert role_of(hive) == "first"


def test_what_waits_for_one_agent_is_done_in_the_order_in_which_it_was_asked_for(hive: Hive) -> None:
    with hive.db.write():
        first = operations.ask(hive, ADA, Verb.STOP, by=OPERATOR)
        second = operations.ask(hive, ADA, Verb.START, by=OPERATOR)
        assert operations.ask(hive, ADA, Verb.START, by=OPERATOR) == second
    assert [one.number for one in operations.ready(hive)] == [first]
    operate.run(hive, first)
    assert roster.get(hive, ADA).wanted is Wanted.STOPPED
    assert [one.number for one in operations.ready(hive)] == [second]
    operate.run(hive, second)
    assert roster.get(hive, ADA).wanted is Wanted.STARTED
    with pytest.raises(Conflict, match=f"operation {second} is done already"):
        operate.run(hive, second)


def test_while_something_is_done_to_an_agent_the_next_one_waits(hive: Hive) -> None:
    with hive.db.write():
        number = operations.ask(hive, ADA, Verb.STOP, by=OPERATOR)
    with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
        assert operations.ready(hive) == []
        with pytest.raises(holding.Busy):
            operate.run(hive, number)
    assert operations.get(hive, number).state is OperationState.PENDING
    operate.run(hive, number)


def test_nobody_may_fill_the_line(hive: Hive) -> None:
    with hive.db.write():
        for number in range(operations.WAITING_MOST):
            operations.ask(hive, ADA, Verb.PROPOSE, by="eve", argument=str(number))
        with pytest.raises(Conflict, match="wait already"):
            operations.ask(hive, ADA, Verb.PROPOSE, by="eve", argument="more")


def test_the_operator_decides_as_often_as_it_likes(hive: Hive) -> None:
    names = [AgentName(f"a{number}") for number in range(operations.WAITING_MOST + 5)]
    with hive.db.write():
        for name in names:
            deployments.unsettle(hive, name)
            operations.ask(hive, name, Verb.UPDATE, by=OPERATOR)
    approve(hive, propose(hive, "second"))
    approvals.deny(hive, propose(hive, "third").number, by=OPERATOR)
    of_ada = [one.verb for one in operations.listed(hive, limit=100) if one.agent == ADA]
    assert of_ada == [Verb.DEPLOY, Verb.PUBLISH]


def test_an_operation_that_failed_says_why(hive: Hive) -> None:
    with hive.db.write():
        number = operations.ask(hive, BOB, Verb.START, by="ada")
        # So long ago that nobody waits for the answer any more.
        OperationRow.update(asked_at=hive.now() - timedelta(minutes=1)).where(OperationRow.number == number).execute()
    with pytest.raises(HyperhiveError):
        operate.run(hive, number)
    ended = operations.get(hive, number)
    assert ended.state is OperationState.FAILED
    assert "there is no agent bob" in (ended.error or "")
    assert [one.body.split(":")[0] for one in messages.inbox(hive, ADA)] == ["operation_failed"]


# ---- what has changed meanwhile ----


def test_what_was_decided_for_an_agent_that_is_gone_is_not_done_to_the_next_of_its_name(hive: Hive) -> None:
    approval = propose(hive, "second")
    operation = approve(hive, approval)
    agents.destroy(hive, ADA, by=OPERATOR)
    assert operations.get(hive, operation).state is OperationState.EXPIRED
    failed = deployments.get(hive, approval.number)
    assert (failed.outcome, failed.error) == (DeploymentOutcome.FAILED, "ada was destroyed")
    spawning.spawn(hive, ADA, by=OPERATOR)
    assert operations.ready(hive) == []
    assert role_of(hive) == "first"


def test_an_operation_that_a_purge_took_along_is_nobodys(hive: Hive) -> None:
    operations.refuse(hive, 4711, error="it is gone")


def test_a_spawn_that_failed_in_a_shell_is_typed_again(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    agents.destroy(hive, ADA, by=OPERATOR)

    def full(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(builds, "write_build", full)
        with pytest.raises(Unavailable):
            spawning.spawn(hive, ADA, by=OPERATOR)
    failed = deployments.history(hive, ADA)[-1]
    assert failed.outcome is DeploymentOutcome.FAILED
    with pytest.raises(Conflict, match=f"deployment {failed.number} was no proposal"):
        deploying.again(hive, failed.number, by=OPERATOR)
    spawning.spawn(hive, ADA, by=OPERATOR)


@pytest.mark.box
def test_a_request_for_an_agent_that_has_come_to_be_meanwhile_does_not_wait_for_anybody(manager: Hive) -> None:
    asked = proposals.request_spawn(manager, BOB, by=EVE, reason="much to do")
    spawning.spawn(manager, BOB, runtime="host", by=OPERATOR)
    with pytest.raises(Conflict, match="the agent bob exists already"):
        operate.run(manager, asked)
    agents.destroy(manager, EVE, by=OPERATOR)
    with manager.db.write():
        again = operations.ask(manager, BOB, Verb.PROPOSE, by=EVE, argument='{"kind":"config","commit":null}')
    with pytest.raises(NotFound, match="eve was destroyed"):
        operate.run(manager, again)
    assert approvals.listed(manager) == []


def test_what_a_killed_build_has_made_goes_when_that_is_noticed(home: Path, hive: Hive) -> None:
    operation = approve(hive, propose(hive, "second"))
    number = deployments.history(hive, ADA)[-1].number
    folder = hive.paths.build(ADA, number)
    code = """
from hyperhive.core import building, operate
real = building.applied.export
def die(hive, name, commit, tree):
    real(hive, name, commit, tree)
    for made in ("home", "out"):
        (tree.parent / made).mkdir()
    os.kill(os.getpid(), 9)
building.applied.export = die
operate.run(hive, int(sys.argv[2]))
"""
    with program(home, code, str(operation)) as other:
        assert other.wait() == -9
    assert (folder / "out").is_dir()
    settle(hive)
    assert [path.name for path in folder.iterdir()] == ["tree"]


# ---- what somebody has removed by hand ----


def test_a_build_that_is_gone_is_built_again(hive: Hive) -> None:
    shutil.rmtree(hive.paths.builds(ADA))
    assert role_of(hive) == ""
    assert not roster.get(hive, ADA).up_to_date
    assert deploying.update(hive, ADA, by=OPERATOR) is not None
    assert roster.get(hive, ADA).up_to_date
    assert role_of(hive) == "first"


def test_a_repository_that_is_gone_is_told_of_and_the_agent_can_be_made_anew(hive: Hive) -> None:
    spawning.spawn(hive, BOB, runtime="host", by=OPERATOR)
    applied.purge(hive, ADA)
    with pytest.raises(Unavailable, match="the repository of ada is gone"):
        propose(hive, "second")
    assert role_of(hive) == "first"
    agents.destroy(hive, ADA, by=OPERATOR)
    agents.purge(hive, ADA, by=OPERATOR)
    spawning.spawn(hive, ADA, runtime="host", config=AgentConfig(role="new"), by=OPERATOR)
    assert role_of(hive) == "new"
    assert publishing.unsettled(hive) == []
    assert [one.what for one in meta.log(hive, name=ADA)] == ["spawn", "purge", "destroy", "spawn"]


def test_a_deploy_log_that_is_gone_begins_anew(hive: Hive) -> None:
    shutil.rmtree(hive.paths.meta)
    deploy(hive, "second")
    assert [one.what for one in meta.log(hive)] == ["deploy"]


# ---- many at once ----

DECIDERS = 64
ROUNDS = 3


def decide(hive: Hive, approval: Approval, who: int) -> str:
    """What one of many does, in one word: a shell that approves, one that denies, one who was shown another commit, a hub."""
    try:
        match who % 4:
            case 0:
                operate.run(
                    hive, approvals.approve(hive, approval.number, by=f"shell{who}", commit=approval.commit).operation or 0
                )
                return "approved"
            case 1:
                approvals.deny(hive, approval.number, by=f"denier{who}")
                return "denied"
            case 2:
                approvals.approve(hive, approval.number, by=f"misled{who}", commit="0" * 40)
                return "misled"
            case _:
                for one in operations.ready(hive):
                    operate.run(hive, one.number)
                return "looked"
    except Conflict:
        return "conflict"


def test_of_many_who_decide_at_once_one_wins_and_what_is_deployed_is_what_was_shown(hive: Hive) -> None:
    for number in range(ROUNDS):
        before = applied.references(hive, ADA)[MAIN]
        approval = propose(hive, f"role {number}")
        hive.close()
        ready, go = os.pipe()
        heard, said = os.pipe()
        children = []
        for who in range(DECIDERS):
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(go)
                    # Until all are there: the end of the pipe lets them go together.
                    os.read(ready, 1)
                    os.write(said, f"{decide(hive, approval, who)}\n".encode())
                finally:
                    os._exit(0)
            children.append(pid)
        for end in (ready, said, go):
            os.close(end)
        for pid in children:
            os.waitpid(pid, 0)
        with open(heard, encoding="ascii") as lines:
            words = Counter(line.strip() for line in lines)
        for one in operations.ready(hive):
            operate.run(hive, one.number)
        found = approvals.get(hive, approval.number)
        assert words.total() == DECIDERS
        assert words["misled"] == 0
        # The one who won may have found the hub at it already.
        assert words["approved"] <= (found.state is ApprovalState.APPROVED)
        assert words["denied"] == (found.state is ApprovalState.DENIED)
        is_approved = found.state is ApprovalState.APPROVED
        assert (found.decided_by or "").startswith("shell" if is_approved else "denier")
        assert applied.references(hive, ADA)[MAIN] == (approval.commit if is_approved else before)
        assert [one.approved_by for one in deployments.history(hive, ADA) if one.number == approval.number] == (
            [found.decided_by] if is_approved else []
        )
        with hive.db.read():
            done = OperationRow.select().where(OperationRow.verb == Verb.DEPLOY, OperationRow.argument == str(approval.number))
            assert [row.state for row in done] == [OperationState.DONE] * is_approved
