"""The SDK's own client drives every tool, in both protocols, through a real socket and a real child."""

import os

import anyio
import pytest
from mcp import Client

from hyperhive.core import leases, messages, questions, turns
from hyperhive.core.model import OPERATOR, MessageState, Outcome, Wanted
from hyperhive.core.tables import DATABASE, AgentRow, MessageRow
from hyperhive.mcp import worker
from tests.mcp.client import HANDSHAKE, MODERN, connect, text, tool_use, words
from tests.mcp.conftest import ADA, BOB, EVE, Place

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[MODERN, HANDSHAKE])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def settled(client: Client) -> None:
    """What was called before this has come to where it waits."""
    for _ in range(3):
        await client.call_tool("whoami")


async def test_all_tools_are_there_and_say_what_they_change(place: Place, mode: str) -> None:
    async with connect(place.socket(), mode) as client:
        tools = (await client.list_tools()).tools
        assert client.instructions
    assert [tool.name for tool in tools] == ["send", "recv", "inbox", "whoami", "agents", "ask_operator"]
    read_only = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert read_only == {"inbox", "whoami", "agents"}
    assert all(tool.description for tool in tools)


async def test_send_is_from_who_holds_the_socket(place: Place, mode: str) -> None:
    forged = {"sender": "operator", "from": "bob", "name": "bob", "_meta": {"sender": "bob"}}
    async with connect(place.socket(), mode) as client:
        said = text(await client.call_tool("send", {"to": "operator", "body": "hello", **forged}))
    (message,) = messages.inbox(place.hive, OPERATOR)
    assert said == f"sent as message {message.number}"
    assert (message.sender, message.body) == ("ada", "hello")


async def test_two_sockets_are_two_agents(place: Place) -> None:
    async with connect(place.socket(BOB)) as client:
        text(await client.call_tool("send", {"to": "ada", "body": "x"}))
        assert text(await client.call_tool("whoami")).startswith("bob, worker;")
    async with connect(place.socket(EVE)) as client:
        assert text(await client.call_tool("whoami")).startswith("eve, manager;")
    (message,) = messages.inbox(place.hive, ADA)
    assert message.sender == "bob"


async def test_the_same_key_sends_once(place: Place) -> None:
    async with connect(place.socket()) as client:
        said = {text(await client.call_tool("send", {"to": "bob", "body": "once", "key": "k"})) for _ in range(3)}
    assert len(said) == len(messages.inbox(place.hive, BOB)) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"to": "bop", "body": "x"}, "there is no agent bop (did you mean bob?)"),
        ({"to": "../../etc", "body": "x"}, "there is no agent ../../etc"),
        ({"to": "bob", "body": " "}, "the message is empty"),
        ({"to": "bob", "body": "x\0"}, "the message holds a NUL character"),
        ({"to": "bob", "body": "x" * 65_537}, "the message has 65537 bytes"),
        ({"to": "bob", "body": "x", "key": ""}, "a key has 1 to 200 characters"),
        ({"to": "bob"}, "body"),
        ({"to": ["bob"], "body": "x"}, "to"),
    ],
)
async def test_a_refusal_is_a_sentence(place: Place, arguments: dict[str, object], sentence: str) -> None:
    async with connect(place.socket()) as client:
        result = await client.call_tool("send", arguments)
        assert result.is_error
        assert sentence in words(result)
        assert "Traceback" not in words(result)
        text(await client.call_tool("whoami"))
    assert not messages.flow(place.hive)


async def test_a_bug_is_an_internal_error_and_a_line_in_the_log(place: Place) -> None:
    with place.hive.db.write():
        # No code writes this: reading it fails in a way that nobody foresaw.
        DATABASE.execute_sql("UPDATE agent SET flavor = 'x' WHERE name = 'eve'")
    async with connect(place.socket()) as client:
        result = await client.call_tool("agents")
    assert result.is_error
    assert words(result).startswith("internal error")
    assert "Traceback" not in words(result)
    log = (place.hive.paths.config / "hub.log").read_text()
    assert "ada: a bug in the tool agents" in log
    assert "Traceback" in log


async def test_inbox_looks_and_takes_nothing(place: Place, mode: str) -> None:
    for number in range(120):
        messages.send(place.hive, sender=BOB if number % 2 else OPERATOR, to=ADA, body=f"body {number}\n" + "y" * 400)
    async with connect(place.socket(), mode) as client:
        shown = {limit: text(await client.call_tool("inbox", {"limit": limit})) for limit in (-5, 2, 100, 5000)}
    assert [found.count("\nmessage ") + 1 for found in shown.values()] == [1, 2, 100, 100]
    assert "| body 0\n" in shown[2]
    assert "more characters)" in shown[2]
    assert all(message.state is MessageState.PENDING for message in messages.inbox(place.hive, ADA))


async def test_inbox_tells_what_this_turn_holds_already(place: Place) -> None:
    async with connect(place.socket()) as client:
        assert text(await client.call_tool("inbox")) == "nothing waits for you"
        place.begin_turn()
        assert "(handed out in this turn):\n| begin" in text(await client.call_tool("inbox"))


async def test_whoami_tells_name_flavor_recipients_and_turn(place: Place) -> None:
    async with connect(place.socket()) as client:
        assert text(await client.call_tool("whoami")) == "ada, worker; may write to everybody; no turn runs"
        current = place.begin_turn()
        assert text(await client.call_tool("whoami")).endswith(f"turn {current.turn}")


async def test_agents_tells_names_and_states_and_nothing_private(place: Place) -> None:
    with place.hive.db.write():
        AgentRow.update(wanted=Wanted.STOPPED, user="secret-user", model="secret-model", blocked_reason="secret-reason").where(
            AgentRow.name == BOB
        ).execute()
        AgentRow.update(wanted=Wanted.DESTROYED).where(AgentRow.name == EVE).execute()
    async with connect(place.socket()) as client:
        assert text(await client.call_tool("agents")) == "ada, worker, idle\nbob, worker, stopped"


async def test_ask_operator_comes_back_at_once_and_the_answer_is_mail(place: Place, mode: str) -> None:
    given = {"text": "Which?", "choices": ["a", "b"], "choices_only": True, "ttl_seconds": 3600, "default": "b", "asker": "bob"}
    async with connect(place.socket(), mode) as client:
        said = text(await client.call_tool("ask_operator", given))
        (asked,) = questions.listed(place.hive)
        assert said == f"asked as question {asked.number}; the answer comes as mail and wakes you: end your turn"
        assert (asked.asker, asked.text, asked.choices, asked.choices_only) == ("ada", "Which?", ("a", "b"), True)
        assert asked.deadline is not None
        assert ((asked.deadline - asked.asked_at).total_seconds(), asked.default) == (3600, "b")
        questions.answer(place.hive, asked.number, by=OPERATOR, text="a")
        assert "| operator_answered: question 1 was answered by operator." in text(await client.call_tool("inbox"))


async def test_ask_operator_needs_a_text_alone(place: Place, mode: str) -> None:
    async with connect(place.socket(BOB), mode) as client:
        text(await client.call_tool("ask_operator", {"text": "Why?"}))
        nothing = {"choices": None, "ttl_seconds": None, "default": None}
        text(await client.call_tool("ask_operator", {"text": "How?", **nothing}))
    found = questions.listed(place.hive)
    assert [(one.asker, one.text) for one in found] == [("bob", "Why?"), ("bob", "How?")]
    assert {(one.choices, one.choices_only, one.deadline, one.default) for one in found} == {((), False, None, None)}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "text"),
        ({"text": " "}, "the question is empty"),
        ({"text": "x" * 16_385}, "the question has 16385 bytes"),
        ({"text": "x", "choices": ["a"] * 2}, "two choices are the same (give each choice once)"),
        ({"text": "x", "choices": ["a\nb"]}, "cannot be a choice"),
        ({"text": "x", "choices": [["a"]]}, "choices"),
        ({"text": "x", "choices_only": True}, "only choices are taken, and there are none"),
        ({"text": "x", "ttl_seconds": 0}, "a question cannot wait 0 seconds"),
        ({"text": "x", "ttl_seconds": 1e300}, "a question cannot wait 1e+300 seconds"),
        ({"text": "x", "default": "y"}, "there is no deadline (give ttl_seconds)"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_in_a_sentence(
    place: Place, arguments: dict[str, object], sentence: str
) -> None:
    async with connect(place.socket()) as client:
        result = await client.call_tool("ask_operator", arguments)
        assert result.is_error
        assert sentence in words(result)
        assert "Traceback" not in words(result)
        text(await client.call_tool("whoami"))
    assert questions.listed(place.hive) == []


async def test_no_tool_costs_words_that_say_nothing(place: Place) -> None:
    async with connect(place.socket()) as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        for about in tool.input_schema["properties"].values():
            assert about["type"] in ("string", "number", "integer", "boolean", "array")
            assert not {"title", "anyOf"} & about.keys()


async def test_recv_refuses_when_no_turn_runs(place: Place, mode: str) -> None:
    sent = place.send("early")
    async with connect(place.socket(), mode) as client:
        result = await client.call_tool("recv", {"wait_seconds": 60})
        assert result.is_error
        assert "no turn runs" in words(result)
    assert place.message(sent.number).state is MessageState.PENDING


async def test_recv_hands_out_what_waits_for_the_turn_that_runs(place: Place, mode: str) -> None:
    current = place.begin_turn()
    sent = place.send("more", sender=BOB)
    async with connect(place.socket(), mode) as client:
        got = text(await client.call_tool("recv", {"wait_seconds": 60}, meta=tool_use("toolu_1")))
        assert got.startswith(f"message {sent.number} from bob, ")
        assert got.endswith(" UTC:\n| more")
    with place.hive.db.read():
        row = MessageRow.get(MessageRow.number == sent.number)
    assert (row.state, row.epoch, row.turn, row.tool_use, row.confirmed) == (
        MessageState.DELIVERED, current.epoch, current.turn, "toolu_1", False,
    )  # fmt: skip


async def test_what_recv_handed_out_is_done_only_when_it_was_confirmed(place: Place) -> None:
    current = place.begin_turn()
    async with connect(place.socket()) as client:
        seen = place.send("seen")
        text(await client.call_tool("recv", meta=tool_use("toolu_1")))
        unseen = place.send("unseen")
        text(await client.call_tool("recv", meta=tool_use("toolu_2")))
        leases.confirm(place.hive, ADA, epoch=current.epoch, tool_use="toolu_1")
        turns.end(place.hive, ADA, epoch=current.epoch, turn=current.turn, outcome=Outcome.OK, usage=turns.Usage())
        assert place.message(seen.number).state is MessageState.ACKNOWLEDGED
        assert place.message(unseen.number).state is MessageState.PENDING
        epoch = turns.begin_epoch(place.hive, ADA)
        begun = turns.begin(place.hive, ADA, epoch=epoch, model=None, conversation="c")
        assert begun is not None
        assert [message.is_again for message in begun.messages] == [True]


@pytest.mark.parametrize("identity", [None, 7, "", "x" * 201, ["toolu_1"]])
async def test_without_a_tool_use_the_lease_has_a_name_of_its_own(place: Place, identity: object) -> None:
    place.begin_turn()
    sent = place.send("x")
    async with connect(place.socket()) as client:
        text(await client.call_tool("recv", meta=tool_use(identity)))
    with place.hive.db.read():
        row = MessageRow.get(MessageRow.number == sent.number)
    assert str(row.tool_use).startswith("process ")


async def test_a_message_handed_out_before_is_marked(place: Place) -> None:
    place.begin_turn()
    place.send("x")
    async with connect(place.socket()) as client:
        text(await client.call_tool("recv"))
        turns.begin_epoch(place.hive, ADA)
        place.begin_turn()  # takes `begin`, the old and the new, and `x`
        turns.begin_epoch(place.hive, ADA)
        assert "(handed out before: check what was already done):" in text(await client.call_tool("inbox"))


@pytest.mark.parametrize("wait", [0, -3, -1e300])
async def test_recv_that_may_not_wait_only_looks(place: Place, wait: float) -> None:
    place.begin_turn()
    async with connect(place.socket()) as client:
        assert text(await client.call_tool("recv", {"wait_seconds": wait})) == "no new message"


async def test_recv_that_waited_in_vain_says_how_to_wait(place: Place) -> None:
    place.begin_turn()
    async with connect(place.socket()) as client:
        said = text(await client.call_tool("recv", {"wait_seconds": 0.1}))
    assert said == "no message came in 0.1 seconds: end your turn, and the next one will wake you"


async def test_a_message_wakes_a_blocked_recv(place: Place, mode: str) -> None:
    place.begin_turn()
    # Longer than this may not be waited: the answer must come from the wake, not from the look at the end.
    got: list[str] = []
    async with connect(place.socket(), mode) as client, anyio.create_task_group() as group:

        async def receive() -> None:
            got.append(text(await client.call_tool("recv", {"wait_seconds": 1e9})))

        group.start_soon(receive)
        await settled(client)
        assert not got
        sent = await anyio.to_thread.run_sync(place.send, "wake up")
    assert got[0].startswith(f"message {sent.number} from operator, ")


async def test_no_recv_waits_while_a_message_is_there(place: Place) -> None:
    place.begin_turn()

    async def send(body: str) -> None:
        await anyio.to_thread.run_sync(place.send, body)

    async with connect(place.socket()) as client:
        for number in range(100):
            async with anyio.create_task_group() as group:
                # Sent at any moment of the call: before its look, in it, between it and the wait, or in the wait.
                group.start_soon(send, f"body {number}")
                assert f"| body {number}" in text(await client.call_tool("recv", {"wait_seconds": 15}))


async def test_of_two_that_wait_one_gets_the_message(place: Place) -> None:
    place.begin_turn()
    async with connect(place.socket()) as first, connect(place.socket()) as second:
        assert len(place.children()) == 2
        got: list[str] = []
        async with anyio.create_task_group() as group:

            async def receive(client: Client) -> None:
                got.append(text(await client.call_tool("recv", {"wait_seconds": 100})))

            group.start_soon(receive, first)
            group.start_soon(receive, second)
            await settled(first)
            await settled(second)
            await anyio.to_thread.run_sync(place.send, "one")
            while len(got) < 1:
                await settled(first)
            await settled(second)
            assert len(got) == 1
            await anyio.to_thread.run_sync(place.send, "two")
        assert sorted(said.splitlines()[-1] for said in got) == ["| one", "| two"]


async def test_a_waiting_recv_says_that_it_lives(place: Place, mode: str) -> None:
    place.hub.ask("patience", place.hive, ADA, 0.05)
    place.begin_turn()
    told: list[float] = []
    enough = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert total == worker.WAIT_MOST
        told.append(progress)
        if len(told) == 3:
            enough.set()

    async with connect(place.socket(), mode) as client, anyio.create_task_group() as group:

        async def receive() -> None:
            text(await client.call_tool("recv", {"wait_seconds": 1000}, progress_callback=hear))

        group.start_soon(receive)
        await enough.wait()
        await anyio.to_thread.run_sync(place.send, "x")
    assert told == sorted(told)


async def test_recv_leaves_when_others_wait_for_a_place(place: Place) -> None:
    place.hub.ask("patience", place.hive, ADA, 0.05)
    place.begin_turn()
    got: list[str] = []
    async with connect(place.socket()) as client:
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                got.append(text(await client.call_tool("recv", {"wait_seconds": 180})))

            group.start_soon(receive)
            await settled(client)
            assert not got
            await anyio.to_thread.run_sync(place.say, "o")
        # Whoever calls again at once is told again.
        got.append(text(await client.call_tool("recv", {"wait_seconds": 180})))
        # A message goes before the hint.
        place.send("x")
        assert text(await client.call_tool("recv", {"wait_seconds": 180})).endswith("| x")
    assert got == [worker.OTHERS, worker.OTHERS]


async def test_recv_ends_when_its_turn_has_ended(place: Place) -> None:
    place.begin_turn()
    async with connect(place.socket()) as client, anyio.create_task_group() as group:

        async def receive() -> None:
            result = await client.call_tool("recv", {"wait_seconds": 100})
            assert result.is_error
            assert "the turn that asked has ended" in words(result)

        group.start_soon(receive)
        await settled(client)
        turns.begin_epoch(place.hive, ADA)
        sent = await anyio.to_thread.run_sync(place.send, "for the next turn")
    assert place.message(sent.number).state is MessageState.PENDING


async def test_a_cancelled_recv_leases_nothing_and_the_connection_lives(place: Place, mode: str) -> None:
    place.begin_turn()
    async with connect(place.socket(), mode) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "recv", {"wait_seconds": 100})
            await settled(client)
            group.cancel_scope.cancel()
        await settled(client)
        sent = await anyio.to_thread.run_sync(place.send, "x")
        await settled(client)
        assert place.message(sent.number).state is MessageState.PENDING
        assert text(await client.call_tool("recv")).endswith("| x")


async def test_a_child_that_was_killed_is_replaced_by_connecting_again(place: Place) -> None:
    async with connect(place.socket()) as client:
        text(await client.call_tool("whoami"))
        (pid,) = place.children()
        os.kill(pid, 9)
    async with connect(place.socket()) as client:
        text(await client.call_tool("whoami"))
