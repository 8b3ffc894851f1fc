"""What is looked at and decided on the screen that watches a hive."""

from datetime import timedelta

import pytest

from hyperhive.cli import screen
from hyperhive.cli.watch.view import drawn
from hyperhive.core import approvals, messages, operate, operations, questions, spawning, turns
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import (
    OPERATOR,
    AgentName,
    ApprovalState,
    Blocked,
    EventKind,
    OperationState,
    Outcome,
    QuestionOutcome,
    Verb,
    parse_name,
)
from hyperhive.core.tables import AgentRow, ApprovalRow
from tests.cli import history
from tests.cli.watch.sight import Sight, ask_tool, propose

SIZES = pytest.mark.parametrize(("columns", "rows"), [(60, 20), (120, 40), (30, 8), (200, 9)])


def state_of(hive: Hive, number: int) -> ApprovalState:
    return approvals.get(hive, number).state


@pytest.fixture
def busy(hive: Hive, ada: AgentName) -> Hive:
    """A hive with several agents, in which something of each kind waits."""
    for name in ("bob", "mona", "a" + "b" * 30):
        spawning.spawn(hive, parse_name(name), by="operator")
    history.ask(hive, ada)
    history.turn(hive, ada, says="done")
    history.events(
        hive, ada, (EventKind.TEXT, {"text": "I look."}), (EventKind.TOOL, {"name": "Bash", "input": {"command": "ls"}})
    )
    history.ask(hive, parse_name("bob"))
    questions.ask(hive, asker=ada, text="Which colour?", choices=["red", "green"], ttl_seconds=3600)
    ask_tool(hive, parse_name("bob"))
    propose(hive, ada, "a gardener")
    with hive.db.write():
        AgentRow.update(
            blocked=Blocked.LIMITED,
            blocked_since=hive.now() - timedelta(minutes=5),
            blocked_until=hive.now() + timedelta(hours=1),
        ).where(AgentRow.name == "mona").execute()
    return hive


# ---- the first screen ----


def test_who_does_what_what_waits_and_what_the_selected_one_did_is_seen(busy: Hive) -> None:
    sight = Sight(busy, parse_name("ada"))
    rows = sight.rows
    assert rows[0].startswith("4 agents  0 at work  3 wait for you  1 message")
    assert rows[1] == "the hive is not up, so no agent works: `hyperhive up`"
    assert rows[2].startswith("── waits for you ─")
    kinds = [row.split()[1] for row in rows[3:6]]
    assert kinds == ["question", "tool", "config"]
    assert [row.partition("│ ")[2] for row in rows[3:6]] == ["Which colour?", "Bash: touch x", "Be a gardener"]
    assert sight.selected.startswith("ada")
    assert any(row.startswith(" !mona") and "limited 5m until " in row for row in rows)
    assert "1 waiting" in next(row for row in rows if row.startswith(" !bob"))
    at = next(at for at, row in enumerate(rows) if row.startswith("── ada ─"))
    assert rows[at + 1 : at + 4] == ["not logged in: `hyperhive login ada`", "│ I look.", "▸ Bash ls"]


def test_a_hive_that_is_up_is_not_called_down(busy: Hive) -> None:
    with Lock(busy.paths.lock("hub")) as hub:
        hub.take()
        assert "is not up" not in Sight(busy).text


@SIZES
def test_it_fits_any_terminal(columns: int, rows: int, busy: Hive) -> None:
    sight = Sight(busy, columns=columns, rows=rows)
    for key in ("j", "G", "e", "q", "l", "q", "?", "q", "i", "q", "g", "enter", "q", "a", "down", "escape", "tab", "k"):
        sight.press(key)
    assert sight.foot[-1].endswith("q leave")


@pytest.mark.parametrize(("columns", "rows"), [(29, 20), (60, 7), (1, 1)])
def test_a_terminal_that_is_too_small_says_so(columns: int, rows: int, busy: Hive) -> None:
    (line,) = drawn(busy, Sight(busy).desk, columns, rows)
    assert line[0][0].startswith("too small")


def test_an_empty_hive_says_what_to_type(hive: Hive) -> None:
    sight = Sight(hive).press("j", "a", "d", "c", "e", "l", "enter", "tab")
    assert "there is no agent yet: `hyperhive spawn NAME`" in sight.rows
    assert sight.foot == ["i inbox  ? keys  q leave"]


def test_keys_select(busy: Hive) -> None:
    sight = Sight(busy)
    first = sight.selected
    assert "question" in first
    assert "tool" in sight.press("j").selected
    assert "config" in sight.press("down").selected
    assert sight.press("j").selected.startswith("abbb")
    assert "config" in sight.press("k").selected
    assert sight.press("tab").selected.startswith("abbb")
    assert sight.press("G").selected.startswith("mona")
    assert sight.press("j").selected.startswith("mona")
    assert sight.press("tab").selected == first
    assert sight.press("end", "home").selected == first


def test_many_agents_scroll_and_the_selected_one_is_always_seen(hive: Hive) -> None:
    with hive.db.write():
        for number in range(300):
            AgentRow.create(
                name=f"a{number:03}", flavor="worker", host="h", runtime="host", wanted="started", created_at=hive.now()
            )
    sight = Sight(hive)
    for _ in range(40):
        sight.press("pagedown", "j")
    assert sight.selected.startswith("a299")
    assert any("of 300 ─" in row for row in sight.rows)
    sight.press("g")
    for number in range(30):
        assert sight.selected.startswith(f"a{number:03}")
        sight.press("j")


def test_what_is_selected_stays_so_whatever_comes_and_goes(busy: Hive) -> None:
    sight = Sight(busy, parse_name("bob"))
    spawning.spawn(busy, parse_name("aaa"), by="operator")
    questions.ask(busy, asker=parse_name("aaa"), text="And?")
    sight.desk.see()
    assert sight.selected.startswith("bob")
    sight.press("g")
    question = int(sight.selected.split()[0])
    questions.cancel(busy, question, by=OPERATOR)
    sight.desk.see()
    assert "tool" in sight.selected


def test_what_agents_do_is_seen_as_it_comes(busy: Hive, ada: AgentName) -> None:
    sight = Sight(busy, ada)
    history.events(busy, ada, (EventKind.TEXT, {"text": "And now this."}))
    sight.desk.glance()
    assert "│ And now this." in sight.rows


def test_a_store_that_cannot_be_read_is_said_and_ends_nothing(busy: Hive, ada: AgentName) -> None:
    busy.paths.agent_events(ada).write_bytes(b"rubbish" * 1000)
    sight = Sight(busy, ada)
    assert "the events of ada cannot be read" in sight.text
    assert "the events of ada cannot be read" in " ".join(sight.press("e").foot)
    assert sight.press("k").selected


# ---- deciding ----


def test_a_tool_is_approved_once_all_of_it_was_seen(hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada, "true\n" * 50 + "rm -rf /")
    sight = Sight(hive).press("a")
    assert sight.foot == [f"approve {number}, for ada?", "space shows the other 43 lines first  n goes back"]
    assert "│ Bash" in sight.rows
    sight.press("y", "Y", "enter", "1")
    assert state_of(hive, number) is ApprovalState.PENDING
    while "│ rm -rf /" not in sight.rows:
        assert state_of(hive, number) is ApprovalState.PENDING
        sight.press("y", " ")
    sight.press("y")
    assert state_of(hive, number) is ApprovalState.APPROVED
    assert sight.foot[0] == f"{number} is approved"
    assert sight.desk.page is None


def test_going_back_decides_nothing(hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada)
    sight = Sight(hive)
    for keys in (["a", "n"], ["a", "escape"], ["a", "q"], ["d", "escape"], ["d", "x", "escape"], ["enter", "q", "y"]):
        sight.press(*keys, "q")
    assert state_of(hive, number) is ApprovalState.PENDING


def test_what_was_decided_meanwhile_is_told_in_place(hive: Hive, ada: AgentName) -> None:
    number = ask_tool(hive, ada)
    sight = Sight(hive).press("a")
    approvals.deny(hive, number, by="somebody", note="not today")
    sight.press("y")
    assert f"approval {number} was already denied by somebody" in sight.foot[0]
    assert state_of(hive, number) is ApprovalState.DENIED
    assert any(row.endswith("denied") for row in sight.rows)
    assert "│ not today" in sight.rows
    assert "approve" not in sight.press("a", "d").foot[-1]


def test_a_proposal_is_approved_as_it_was_shown(hive: Hive, ada: AgentName) -> None:
    asked = propose(hive, ada, "a gardener")
    sight = Sight(hive, rows=50).press("a")
    assert "│ - its role is now: a gardener" in sight.rows
    (hive.paths.wake / "hive").unlink(missing_ok=True)
    sight.press("y")
    assert state_of(hive, asked.number) is ApprovalState.APPROVED
    assert "".join(sight.foot[:2]) == f"{asked.number} is approved; it waits for `hyperhive up`, ten minutes at most"
    (one,) = operations.listed(hive)
    assert (one.verb, one.state, one.argument) == (Verb.DEPLOY, OperationState.PENDING, str(asked.number))
    assert (hive.paths.wake / "hive").exists()


def test_a_proposal_whose_base_has_moved_is_compared_afresh_before_it_is_approved(hive: Hive, ada: AgentName) -> None:
    asked = propose(hive, ada, "one")
    with hive.db.write():
        # Another's proposal, which the next one does not take the place of.
        ApprovalRow.update(asker="mona").where(ApprovalRow.number == asked.number).execute()
    sight = Sight(hive, rows=50).press("a")
    done = approvals.approve(hive, propose(hive, ada, "two").number, by=OPERATOR)
    assert done.operation is not None
    operate.see_through(hive, done.operation, say=lambda line: None)
    sight.press("y")
    assert state_of(hive, asked.number) is ApprovalState.PENDING
    assert "is applied now" in " ".join(sight.foot)
    assert '│ -role = "two"' in sight.rows
    sight.press("a", "y")
    assert state_of(hive, asked.number) is ApprovalState.APPROVED


def test_what_is_denied_says_why(hive: Hive, ada: AgentName) -> None:
    first, second = ask_tool(hive, ada), ask_tool(hive, ada)
    sight = Sight(hive).press("d")
    assert sight.foot[0] == f"deny {first}, for ada: why? ada reads it; it may stay empty"
    sight.type("not heer").press("backspace", "backspace", "r", "e").press("enter")
    assert (state_of(hive, first), approvals.get(hive, first).note) == (ApprovalState.DENIED, "not here")
    assert sight.foot[0] == f"{first} is denied"
    sight.press("d", "enter")
    assert (state_of(hive, second), approvals.get(hive, second).note) == (ApprovalState.DENIED, None)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], "red"),
        (["2", "enter"], "green"),
        (["down", "up", "j", "enter"], "green"),
        (["G", "enter", "n", "o", "enter"], "no"),
    ],
)
def test_a_question_is_answered_with_a_choice_or_in_words(keys: list[str], answer: str, hive: Hive, ada: AgentName) -> None:
    number = questions.ask(hive, asker=ada, text="Which colour?", choices=["red", "green"]).number
    sight = Sight(hive).press("a")
    assert sight.foot[:4] == [f"answer {number}, to ada", ">  1 │ red", "   2 │ green", "     a text of your own…"]
    sight.press(*keys)
    found = questions.get(hive, number)
    assert (found.outcome, found.answer) == (QuestionOutcome.ANSWERED, answer)
    assert sight.foot[0] == f"question {number} is answered"


def test_where_only_choices_are_taken_none_else_is_offered(hive: Hive, ada: AgentName) -> None:
    questions.ask(hive, asker=ada, text="Which?", choices=["a", "b"], choices_only=True)
    sight = Sight(hive).press("a", "G")
    assert sight.foot[2] == ">  2 │ b"
    assert "a text of your own" not in sight.text


def test_many_choices_scroll(hive: Hive, ada: AgentName) -> None:
    number = questions.ask(hive, asker=ada, text="Which?", choices=[f"choice {at}" for at in range(1, 21)]).number
    sight = Sight(hive).press("a", *["j"] * 16)
    assert "> 17 │ choice 17" in sight.rows
    sight.press("enter")
    assert questions.get(hive, number).answer == "choice 17"


def test_an_answer_that_is_refused_stays_to_be_mended(hive: Hive, ada: AgentName) -> None:
    number = questions.ask(hive, asker=ada, text="What?").number
    sight = Sight(hive).press("a", "enter")
    assert questions.get(hive, number).outcome is None
    sight.paste("ä" * 16_000).press("enter")
    assert "at most 16384 are taken" in "".join(sight.foot[:2])
    assert sight.foot[-2].startswith("> …")
    sight.press("ctrl-u").type("short").press("enter")
    assert questions.get(hive, number).answer == "short"


def test_a_question_is_cancelled_and_a_tool_is_not(hive: Hive, ada: AgentName) -> None:
    number = questions.ask(hive, asker=ada, text="What?").number
    ask_tool(hive, ada)
    sight = Sight(hive).press("d")
    assert sight.foot[0] == "a question is answered with a, or cancelled with c"
    sight.press("c", "n")
    assert questions.get(hive, number).outcome is None
    sight.press("c", "y")
    assert questions.get(hive, number).outcome is QuestionOutcome.CANCELLED
    assert sight.press("c").foot[0] == "what is asked for is approved with a, or denied with d"


@pytest.mark.parametrize(("key", "argument"), [("y", ""), ("r", " retry")])
def test_the_turn_that_is_shown_is_cancelled_and_its_end_is_told(key: str, argument: str, hive: Hive, ada: AgentName) -> None:
    history.ask(hive, ada)
    sight = Sight(hive, ada).press("c")
    assert "ada has no turn that could be cancelled" in sight.foot[0]
    with Lock(hive.paths.harness_lock(ada)) as harness:
        harness.take()
        epoch = turns.begin_epoch(hive, ada)
        begun = turns.begin(hive, ada, epoch=epoch, model=None, conversation="c")
        assert begun is not None
        sight.press("x").desk.see()
        assert "thinking" in sight.selected
        assert sight.foot == ["c cancel turn  e events  l journal  i inbox  ? keys  q leave"]
        sight.press("c")
        assert sight.foot[0].startswith(f"cancel turn {begun.number} of ada?")
        sight.press(key)
        assert sight.foot[0] == "the turn of ada is being cancelled"
        ((number, verb, asked),) = operations.take(hive, ada, Verb.CANCEL)
        assert (verb, asked) == (Verb.CANCEL, f"{begun.number}{argument}")
        sight.desk.see()
        assert "cancelling…" in sight.selected
        turns.end(hive, ada, epoch=epoch, turn=begun.number, outcome=Outcome.CANCELLED, usage=turns.Usage())
        operations.finish(hive, number)
        sight.desk.see()
        assert sight.foot[0] == "the turn of ada is cancelled"
        sight.press("c")
        assert "no turn" in sight.foot[0]


# ---- pages ----


def test_events_are_followed_until_one_scrolls_back(hive: Hive, ada: AgentName) -> None:
    history.events(hive, ada, *((EventKind.TEXT, {"text": f"line {number}"}) for number in range(50)))
    sight = Sight(hive, ada).press("e")
    assert "─ goes on with what comes ─" in sight.text
    assert "│ line 49" in sight.rows
    history.events(hive, ada, (EventKind.TEXT, {"text": "line 50"}))
    sight.desk.glance()
    assert "│ line 50" in sight.rows
    sight.press("b")
    seen = sight.rows
    history.events(hive, ada, (EventKind.TEXT, {"text": "line 51"}))
    sight.desk.glance()
    assert sight.rows[3:-2] == seen[3:-2]
    assert "1 more below" not in seen[2]
    assert "more below" in sight.rows[2]
    assert "G to the end" in sight.foot[0]
    assert "│ line 51" in sight.press("G").rows
    assert sight.press("q").desk.page is None


def test_the_journal_is_followed(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, "epoch 1 begins")
    sight = Sight(hive, ada, columns=100).press("l")
    assert any(row.endswith("Z harness   epoch 1 begins") for row in sight.rows)
    history.journal(hive, ada, "epoch 1 ends")
    assert sight.desk.page is not None
    assert sight.desk.page.filenos()
    sight.desk.hear()
    assert any(row.endswith("Z harness   epoch 1 ends") for row in sight.rows)
    watched = sight.desk.page.filenos()
    sight.press("e")
    assert sight.desk.page.filenos() != watched or not watched
    sight.desk.close()


def test_the_inbox_shows_what_is_not_taken_yet(hive: Hive, ada: AgentName) -> None:
    history.tell(hive, ada, "hello")
    sight = Sight(hive).press("i")
    assert "│ hello" in sight.rows
    history.tell(hive, ada, "and more")
    sight.desk.see()
    assert "│ and more" in sight.rows
    messages.read(hive, None)
    sight.desk.see()
    assert "nothing waits for you" in sight.rows


def test_help_names_every_key_that_the_foot_names(busy: Hive) -> None:
    sight = Sight(busy, columns=120, rows=40)
    named: set[str] = set()
    for key in ("j", "j", "G", "e", "b", "q"):
        named |= {word.split()[0] for word in sight.press(key).foot[-1].split("  ")}
    known = " ".join(row.split("  ")[0] for row in sight.press("?").rows)
    assert {key for key in named if key != "?"} <= set(known.split())


def test_a_page_is_laid_out_anew_when_the_size_changes(busy: Hive, ada: AgentName) -> None:
    history.events(busy, ada, (EventKind.TEXT, {"text": "word " * 40}))
    sight = Sight(busy, ada, columns=120, rows=40).press("e")
    wide = sum("word" in row for row in sight.rows)
    sight.columns = 60
    assert sum("word" in row for row in sight.rows) > wide
    assert max(screen.cells(row) for row in sight.rows) <= 60
