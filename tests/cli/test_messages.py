"""Sending, showing, taking and following messages."""

import pytest

from hyperhive.core import agents, leases, messages
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, MessageKind, MessageState, Outcome
from tests.cli import history, shell


def test_a_message_to_a_hive_that_is_not_up_is_kept_and_that_is_said(hive: Hive, ada: AgentName) -> None:
    ended = shell.run("send", "ada", "hello")
    assert (ended.exit_code, ended.stdout) == (0, "sent as message 1\n")
    assert "the hive is not up; the message is kept" in ended.stderr
    assert messages.get(hive, 1).state is MessageState.PENDING


def test_a_message_to_an_agent_that_cannot_read_it_now_is_kept_and_that_is_said(hive: Hive, ada: AgentName) -> None:
    with Lock(hive.paths.lock("hub")) as hub:
        assert hub.take()
        assert "ada is not logged in: `hyperhive login ada`; the message is kept" in shell.run("send", "ada", "x").stderr
        agents.stop(hive, ada, by=OPERATOR)
        assert "ada is stopped: `hyperhive start ada`; the message is kept" in shell.run("send", "ada", "x").stderr
        shell.answer("login", "ada", "--token", given="sk-ant-oat01-0123456789")
        agents.start(hive, ada, by=OPERATOR)
        assert shell.run("send", "ada", "x").stderr == ""


def test_a_text_is_read_from_standard_input(hive: Hive, ada: AgentName) -> None:
    shell.answer("send", "ada", "-", given="Grüße\nzwei Zeilen\n")
    assert messages.get(hive, 1).body == "Grüße\nzwei Zeilen\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"\xff", "standard input is not UTF-8 text"),
        (b" \n", "the message is empty"),
        (b"a\0b", "the message holds a NUL character"),
        (b"x" * 65_537, "the message has 65537 bytes, and at most 65536 are taken"),
        (b"x" * 3_000_000, "the message has 1048577 bytes, and at most 65536 are taken"),
    ],
    ids=["bytes", "empty", "NUL", "long", "very long"],
)
def test_what_is_no_message_is_refused(given: bytes, said: str, hive: Hive, ada: AgentName) -> None:
    assert shell.complaint("send", "ada", "-", given=given, code=2)[0] == said
    assert messages.flow(hive) == []


def test_bytes_that_are_no_text_are_refused_as_an_argument_too(hive: Hive, ada: AgentName) -> None:
    assert shell.complaint("send", "ada", "a\udcff", code=2)[0] == "the message is not valid text"


def test_a_full_inbox_is_said(hive: Hive, ada: AgentName) -> None:
    hive.paths.settings.write_text("[limits]\ninbox = 1\n")
    shell.answer("send", "ada", "one")
    assert shell.complaint("send", "ada", "two", code=5)[0] == "the inbox of ada is full: 1 messages wait"


def test_the_inbox_shows_what_waits_and_read_takes_it(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "the first\nline two")
    history.tell(hive, ada, "the second")
    said = shell.answer("inbox")
    assert said.splitlines()[1:3] == ["│ the first", "│ line two"]
    assert said.startswith("1  ada → operator  0s ago  pending\n")
    assert shell.answer("read", "1").splitlines()[1] == "│ the first"
    assert "the first" not in shell.answer("inbox")
    assert "the first" in shell.answer("inbox", "--all")
    assert shell.complaint("read", "1", "7", code=3)[0] == "there is no message 7 in your inbox"
    assert shell.run("read", "--all").stderr == "1 message read\n"
    assert shell.run("inbox").stderr == "nothing waits for you\n"
    shell.complaint("read", code=2)
    shell.complaint("read", "1", "--all", code=2)


def test_the_flow_says_why_a_message_died(hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada, "impossible")
    for _ in range(leases.ATTEMPTS):
        history.turn(hive, ada, Outcome.FAILED, error="it broke\nbadly")
    lines = shell.answer("messages").splitlines()
    assert lines[:3] == ["1  operator → ada  0s ago  dead, 3 failed attempts", "   because: it broke badly", "│ impossible"]


def test_a_notice_says_in_plain_words_what_it_is_about(hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada, "impossible")
    history.turn(hive, ada, Outcome.LOGIN, error="Not logged in")
    (stored,) = (message.body for message in messages.flow(hive) if message.kind is MessageKind.NOTICE)
    assert stored.startswith("needs_login: ada is not logged in (")
    assert stored.endswith("). Only the operator can do that: `hyperhive login ada`.")
    for words in (["inbox"], ["messages"], ["read", "2"]):
        lines = shell.answer(*words).splitlines()
        assert any(line.startswith("2  hive → operator  0s ago, notice: needs login  ") for line in lines)
        assert "│ " + stored.removeprefix("needs_login: ") in lines
    assert f'"body": "{stored}"' in shell.answer("messages", "--json")


def test_a_word_with_a_colon_that_an_agent_wrote_stays_in_its_message(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "needs_login: me")
    assert shell.answer("inbox").splitlines() == ["1  ada → operator  0s ago  pending", "│ needs_login: me"]


def test_the_flow_shows_the_start_of_a_long_message(hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada, "\n".join(map(str, range(100))))
    assert shell.answer("messages").splitlines()[-1] == "│ … 94 more lines"
    assert "│ 99" in shell.answer("inbox", "ada")


def test_send_with_wait_shows_what_the_agent_answers(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "something older")
    with shell.running("send", "ada", "what?", "--wait") as child:
        assert child.stderr is not None
        while "waiting until ada has done it" not in (said := child.stderr.readline()):
            assert said
        history.turn(hive, ada, says="this!")
        stdout, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "│ this!" in stdout
    assert "older" not in stdout


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
def test_send_with_wait_says_that_it_was_not_done(outcome: Outcome, hive: Hive, ada: AgentName) -> None:
    with shell.running("send", "ada", "what?", "--wait") as child:
        assert child.stderr is not None
        while "waiting until ada has done it" not in (said := child.stderr.readline()):
            assert said
        for _ in range(leases.ATTEMPTS if outcome is Outcome.FAILED else 1):
            history.turn(hive, ada, outcome, error="it broke")
        stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 8
    assert stdout == ""
    word = "dead: it broke" if outcome is Outcome.FAILED else "cancelled: its turn was cancelled"
    assert stderr == f"error: message 1 is {word}\nhint: hyperhive events ada\n"


def test_send_with_wait_of_a_key_that_was_done_comes_back_at_once(hive: Hive, ada: AgentName) -> None:
    shell.answer("send", "ada", "x", "--key", "k")
    history.turn(hive, ada, says="did it")
    assert "│ did it" in shell.answer("send", "ada", "x", "--key", "k", "--wait")
    assert '"state": "acknowledged"' in shell.answer("send", "ada", "x", "--key", "k", "--wait", "--json")


def test_the_inbox_can_be_followed(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "before")
    with shell.running("inbox", "--follow") as child:
        lines = shell.stdout_of(child)
        assert [lines.readline(), lines.readline()][1] == "│ before\n"
        history.ask(hive, ada, "not for you")
        history.tell(hive, ada, "after")
        messages.read(hive, None)
        assert [lines.readline(), lines.readline()][1] == "│ after\n"


def test_the_flow_can_be_followed_with_how_far_each_message_comes(hive: Hive, ada: AgentName) -> None:
    with shell.running("messages", "--follow", "--json") as child:
        lines = shell.stdout_of(child)
        history.ask(hive, ada, "hello")
        assert '"state":"pending"' in lines.readline()
        history.turn(hive, ada)
        seen = lines.readline()
        # A follower sees how it is when it looks: what lasted for an instant may be past.
        assert '"state":"acknowledged"' in seen or '"state":"acknowledged"' in lines.readline()
