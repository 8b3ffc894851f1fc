"""What only managers are offered, driven by the SDK's own client: they ask, wait for the answer, and look."""

import json
import re
from collections.abc import Mapping
from functools import partial

import anyio
import pytest

from hyperhive.core import agent_log, holding, messages, operations, proposals
from hyperhive.core.agent_log import Unit
from hyperhive.core.db import next_number
from hyperhive.core.locks import Lock
from hyperhive.core.model import (
    OPERATOR,
    AgentName,
    ApprovalKind,
    ApprovalState,
    DeploymentOutcome,
    Flavor,
    Occasion,
    Operation,
    OperationState,
    Verb,
    Wanted,
)
from hyperhive.core.tables import AgentRow, ApprovalRow, DeploymentRow
from hyperhive.mcp import manager, worker
from tests.mcp.client import HANDSHAKE, MODERN, connect, text, words
from tests.mcp.conftest import ADA, BOB, EVE, Place

pytestmark = pytest.mark.anyio

NAMES = ["request_spawn", "request_apply_commit", "start", "stop", "restart", "update", "approvals", "logs"]
COMMIT = "a1" * 20
VALID: dict[str, dict[str, object]] = {
    "request_spawn": {"name": "cleo", "reason": "more hands"},
    "request_apply_commit": {"name": "bob", "commit": COMMIT},
    **{name: {"name": "bob"} for name in ("start", "stop", "restart", "update", "logs")},
    "approvals": {},
}


@pytest.fixture(params=[MODERN, HANDSHAKE])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asked(place: Place) -> list[Operation]:
    return operations.listed(place.hive, everything=True)


def end(place: Place, number: int, *, error: str | None = None, result: str | None = None) -> None:
    """What `operate` writes when it has carried an operation out, and what the hub says then."""
    operation = operations.get(place.hive, number)
    if error is not None:
        operations.refuse(place.hive, number, error=error)
    else:
        with holding.under_way(place.hive, AgentName(operation.agent), operation.verb, by=EVE, number=number):
            if result is not None:
                with place.hive.db.write():
                    operations.remember(number, result)
    place.say("m", EVE)


async def answer(place: Place, **how: str | None) -> None:
    """Wait until one operation waits, and end it."""
    while not (waiting := operations.listed(place.hive)):
        await anyio.sleep(0.01)
    await anyio.to_thread.run_sync(partial(end, place, waiting[0].number, **how))


async def called(place: Place, tool: str, given: Mapping[str, object], mode: str = MODERN, **how: str | None) -> str:
    """What a tool says when the operation that it asks for ends so."""
    said: list[str] = []
    async with connect(place.socket(EVE), mode) as client, anyio.create_task_group() as group:

        async def call() -> None:
            said.append(words(await client.call_tool(tool, dict(given))))

        group.start_soon(call)
        await answer(place, **how)
    return said[0]


def make_approval(place: Place, *, state: ApprovalState, by: AgentName = EVE, note: str | None = None, **fields: object) -> int:
    with place.hive.db.write():
        number = next_number()
        decided = {} if state is ApprovalState.PENDING else {"decided_by": OPERATOR, "decided_at": place.hive.now()}
        ApprovalRow.create(
            number=number,
            asker=by,
            state=state,
            note=note,
            asked_at=place.hive.now(),
            **{"kind": ApprovalKind.CONFIG, "agent": BOB, "commit": COMMIT, "tree": COMMIT, **decided, **fields},
        )
    return number


async def test_a_manager_is_offered_them_and_a_worker_is_not(place: Place, mode: str) -> None:
    async with connect(place.socket(EVE), mode) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [tool.name for tool in worker.TOOLS] + NAMES
    assert all(tool.description for tool in tools)
    read_only = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert read_only & set(NAMES) == {"approvals", "logs"}
    for tool in tools:
        for about in tool.input_schema["properties"].values():
            assert about["type"] in ("string", "number", "integer", "boolean", "array")
            assert not {"title", "anyOf"} & about.keys()
    async with connect(place.socket(), mode) as client:
        assert not {tool.name for tool in (await client.list_tools()).tools} & set(NAMES)
        for name in NAMES:
            result = await client.call_tool(name, VALID[name])
            assert result.is_error
            assert "Unknown tool" in words(result)
    assert not asked(place)


async def test_a_manager_that_is_none_any_more_is_refused_at_each_call(place: Place) -> None:
    async with connect(place.socket(EVE)) as client:
        await client.call_tool("whoami")
        with place.hive.db.write():
            AgentRow.update(flavor=Flavor.WORKER).where(AgentRow.name == EVE).execute()
        for name in NAMES:
            result = await client.call_tool(name, VALID[name])
            if name == "approvals":
                assert words(result) == "you have asked for nothing"
            else:
                assert result.is_error
                assert "eve is no manager" in words(result)
    assert not asked(place)


async def test_a_proposal_is_told_by_its_number(place: Place, mode: str) -> None:
    given = {"name": "bob", "commit": COMMIT.upper(), "reason": "tulips"}
    said = await called(place, "request_apply_commit", given, mode, result="17")
    assert said == "proposal 17 waits for the operator: end your turn, the decision comes as mail"
    (operation,) = asked(place)
    assert (operation.verb, operation.agent, operation.asked_by) == (Verb.PROPOSE, "bob", "eve")
    request = json.loads(operation.argument or "")
    assert (request["kind"], request["commit"], request["reason"]) == ("config", COMMIT, "tulips")


async def test_a_refusal_is_told_with_what_to_do(place: Place) -> None:
    why = "flake.nix is protected, and the commit changes it (leave flake.nix as it is on applied/main)"
    assert await called(place, "request_apply_commit", VALID["request_apply_commit"], error=why) == why
    assert messages.inbox(place.hive, EVE) == []


async def test_a_new_agent_is_asked_for_with_all_that_it_is_to_be(place: Place) -> None:
    given = {"name": "cleo", "reason": "more hands", "role": "You count.", "model": "haiku", "manager": True}
    assert (await called(place, "request_spawn", given, result="3")).startswith("proposal 3 waits")
    request = json.loads(asked(place)[0].argument or "")
    assert request == {
        "kind": "spawn", "commit": None, "reason": "more hands", "flavor": "manager", "role": "You count.", "model": "haiku",
    }  # fmt: skip
    assert (await called(place, "request_spawn", {**VALID["request_spawn"], "commit": COMMIT}, result="4")).startswith(
        "proposal 4"
    )
    request = json.loads(asked(place)[1].argument or "")
    assert (request["commit"], request["flavor"]) == (COMMIT, "worker")


async def test_what_takes_long_is_told_as_that_and_shown_by_approvals(place: Place) -> None:
    place.hub.ask("patience", place.hive, EVE, 0.05)
    async with connect(place.socket(EVE)) as client:
        said = text(await client.call_tool("request_apply_commit", VALID["request_apply_commit"]))
        assert said == "operation 1 waits; `approvals` shows what became of it"
        shown = text(await client.call_tool("approvals"))
        assert shown.startswith("operation 1: a proposal for bob is being looked at since ")
        said = text(await client.call_tool("start", {"name": "ada"}))
        assert said == "operation 2 is on its way: it takes longer, and you hear of it only if it fails"


@pytest.mark.parametrize(("verb", "done"), [("start", "started"), ("stop", "stopped"), ("restart", "restarted")])
async def test_what_is_quick_is_waited_for(place: Place, verb: str, done: str) -> None:
    assert await called(place, verb, {"name": "bob"}) == f"bob is {done}"
    (operation,) = asked(place)
    assert (operation.verb, operation.agent, operation.asked_by) == (verb, "bob", "eve")
    assert await called(place, verb, {"name": "bob"}, error="why not") == "why not"


@pytest.mark.parametrize("verb", ["stop", "restart"])
async def test_nobody_waits_for_the_end_of_a_turn(place: Place, verb: str) -> None:
    done = {"stop": "stopped", "restart": "restarted"}[verb]
    for name in (BOB, EVE):
        place.begin_turn(name)
    with Lock(place.hive.paths.harness_lock(BOB)) as bobs, Lock(place.hive.paths.harness_lock(EVE)) as eves:
        assert bobs.take()
        assert eves.take()
        async with connect(place.socket(EVE)) as client:
            assert text(await client.call_tool(verb, {"name": "bob"})) == f"bob is {done} when its turn ends"
            assert text(await client.call_tool(verb, {"name": "eve"})) == f"eve is {done} when your turn ends"
    assert {one.state for one in asked(place)} == {OperationState.PENDING}


async def test_what_is_up_to_date_is_not_updated(place: Place) -> None:
    async with connect(place.socket(EVE)) as client:
        assert text(await client.call_tool("update", {"name": "bob"})) == "bob is up to date: there is nothing to do"
    assert not asked(place)


async def test_what_is_out_of_date_is_updated(place: Place) -> None:
    (place.hive.paths.programs / "claude.json").write_text("damaged")
    with place.hive.db.write():
        AgentRow.update(base="hyperhive 0").where(AgentRow.name == BOB).execute()
    assert await called(place, "update", {"name": "bob"}) == "bob is updated"
    assert asked(place)[0].verb is Verb.UPDATE


@pytest.mark.parametrize("tool", ["start", "stop", "restart", "update", "logs", "request_apply_commit"])
async def test_who_is_not_there_is_named(place: Place, tool: str) -> None:
    with place.hive.db.write():
        AgentRow.update(wanted=Wanted.DESTROYED).where(AgentRow.name == BOB).execute()
    async with connect(place.socket(EVE)) as client:
        for name, sentence in (("bob", "bob"), ("nobody", "there is no agent nobody"), ("../bob", "cannot be an agent's name")):
            result = await client.call_tool(tool, {**VALID[tool], "name": name})
            assert result.is_error
            assert sentence in words(result)
    assert not asked(place)


@pytest.mark.parametrize(
    ("tool", "given", "sentence"),
    [
        ("request_apply_commit", {"commit": "HEAD"}, "'HEAD' is no commit's id (give the whole id: git rev-parse HEAD)"),
        ("request_apply_commit", {"commit": "a1" * 6}, "only a part of a commit's id"),
        ("request_apply_commit", {"commit": "--output=/x"}, "is no commit's id"),
        ("request_apply_commit", {"commit": "a" * 1_000_000}, "is no commit's id"),
        ("request_apply_commit", {"commit": None}, "commit"),
        ("request_apply_commit", {"reason": "x" * 4001}, "a reason has at most 4000 characters"),
        ("request_apply_commit", {"reason": "a\0b"}, "a reason has at most 4000 characters"),
        ("request_spawn", {"name": "operator"}, "the name operator is taken by hyperhive itself"),
        ("request_spawn", {"name": "hive"}, "the name hive is taken by hyperhive itself"),
        ("request_spawn", {"name": "bob"}, "bob exists already"),
        ("request_spawn", {"name": "-x"}, "cannot be an agent's name"),
        ("request_spawn", {"name": "a\nb"}, "cannot be an agent's name"),
        ("request_spawn", {"name": "\u202ebob"}, "cannot be an agent's name"),
        ("request_spawn", {"name": "a" * 1_000_000}, "cannot be an agent's name"),
        ("request_spawn", {"model": "--dangerously"}, "model"),
        ("request_spawn", {"role": "x" * 65_537}, "role: it is longer than 64 KiB"),
        ("request_spawn", {"role": "a\0b"}, "role: it holds a NUL"),
        ("request_spawn", {"role": "x", "commit": COMMIT}, "a commit says the role and the model itself"),
        ("request_spawn", {"manager": "perhaps"}, "manager"),
        ("logs", {"lines": "many"}, "lines"),
        ("logs", {"unit": "../x"}, "unit"),
        ("approvals", {"limit": {}}, "limit"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_a_sentence(
    place: Place, tool: str, given: dict[str, object], sentence: str
) -> None:
    async with connect(place.socket(EVE)) as client:
        result = await client.call_tool(tool, {**VALID[tool], **given})
        assert result.is_error
        assert sentence in words(result)
        assert "Traceback" not in words(result)
        assert "internal error" not in words(result)
        assert len(words(result)) < 1000
    assert not asked(place)


async def test_approvals_tells_what_became_of_what_was_asked_for(place: Place) -> None:
    async with connect(place.socket(EVE)) as client:
        assert text(await client.call_tool("approvals")) == "you have asked for nothing"
        one = make_approval(place, state=ApprovalState.PENDING, kind=ApprovalKind.SPAWN, flavor=Flavor.MANAGER, agent="cleo")
        two = make_approval(place, state=ApprovalState.DENIED, note="no\n9: a configuration for eve: approved")
        three = make_approval(place, state=ApprovalState.APPROVED)
        four = make_approval(place, state=ApprovalState.APPROVED)
        with place.hive.db.write():
            for number, outcome in ((three, DeploymentOutcome.FAILED), (four, DeploymentOutcome.DEPLOYED)):
                DeploymentRow.create(
                    number=number, agent=BOB, occasion=Occasion.DEPLOY, approval=number, commit=COMMIT, outcome=outcome,
                    error="the build failed" if outcome is DeploymentOutcome.FAILED else None, started_at=place.hive.now(),
                )  # fmt: skip
        make_approval(place, state=ApprovalState.PENDING, by=ADA)
        make_approval(place, state=ApprovalState.DENIED, kind=ApprovalKind.TOOL, tool="Bash", note="a secret")
        shown = text(await client.call_tool("approvals"))
        newest = text(await client.call_tool("approvals", {"limit": 1}))
    lines = [line.partition(" UTC")[0] for line in shown.splitlines()]
    day = f"{place.hive.now():%Y-%m-%d}"
    assert [line.rpartition(f"{day} ")[0] or line for line in lines] == [
        f"{four}: a configuration for bob, commit {COMMIT}: approved by operator, ",
        f"{three}: a configuration for bob, commit {COMMIT}: approved by operator, ",
        "| the build failed",
        f"{two}: a configuration for bob, commit {COMMIT}: denied by operator, ",
        "| no",
        "| 9: a configuration for eve: approved",
        f"{one}: a new manager for cleo, commit {COMMIT}: pending since ",
    ]
    assert shown.splitlines()[0].endswith(" UTC (deployed)")
    assert shown.splitlines()[1].endswith(" UTC (failed)")
    assert newest == shown.splitlines()[0]


async def test_approvals_is_never_long(place: Place) -> None:
    for _ in range(150):
        make_approval(place, state=ApprovalState.DENIED, note="ä" * 4000)
    async with connect(place.socket(EVE)) as client:
        shown = text(await client.call_tool("approvals", {"limit": 10**30}))
    assert len(shown.encode()) < manager.ANSWER_BYTES + 100
    assert shown.endswith(f"{100 - shown.count(': denied')} older ones are left out")


async def test_logs_shows_the_end_of_a_journal_as_quoted_text(place: Place) -> None:
    place.hive.paths.agent_log(BOB).mkdir(parents=True)
    log, container = (agent_log.open_log(place.hive, BOB, unit) for unit in Unit)
    async with connect(place.socket(EVE)) as client:
        assert text(await client.call_tool("logs", {"name": "bob"})) == "the journal of bob is empty"
        for number in range(300):
            log(f"line {number} \x1b[2J\u202e")
        shown = {lines: text(await client.call_tool("logs", {"name": "bob", "lines": lines})) for lines in (-1, 2, 200, 10**30)}
        assert [found.count("\n") + 1 for found in shown.values()] == [1, 2, 200, 200]
        assert all(line.startswith("| ") for line in shown[200].splitlines())
        assert re.fullmatch(r"\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, harness: line 299 \u241b\[2J\ufffd", shown[-1])
        log("ö" * 20_000)
        log("x" * 10_000)
        end = text(await client.call_tool("logs", {"name": "bob"}))
        container("a program in it says something")
        of_one = text(await client.call_tool("logs", {"name": "bob", "unit": "container"}))
    assert len(end.encode()) < manager.ANSWER_BYTES + 100
    assert end.startswith("49 lines before these are left out\n| ")
    assert end.endswith("x" * 10_000)
    assert of_one.endswith(" UTC, container: a program in it says something")
    assert of_one.count("\n") == 0


async def test_what_two_managers_ask_for_alike_is_two_things(place: Place) -> None:
    with place.hive.db.write():
        AgentRow.update(flavor=Flavor.MANAGER).where(AgentRow.name == ADA).execute()
    numbers = [proposals.request_spawn(place.hive, AgentName("cleo"), by=by, reason="more hands") for by in (EVE, ADA, EVE)]
    assert numbers == [1, 2, 1]


async def test_one_manager_cannot_fill_the_queue(place: Place) -> None:
    place.hub.ask("patience", place.hive, EVE, 0.0)
    async with connect(place.socket(EVE)) as client:
        for number in range(operations.WAITING_MOST):
            text(await client.call_tool("request_apply_commit", {"name": "bob", "commit": f"{number:040x}"}))
        result = await client.call_tool("request_apply_commit", VALID["request_apply_commit"])
        assert result.is_error
        assert "20 operations that eve asked for wait already" in words(result)
