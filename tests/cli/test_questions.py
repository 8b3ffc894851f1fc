"""Questions in the shell: shown, answered, cancelled, completed."""

import pytest
from click.shell_completion import ShellComplete

from hyperhive.cli.main import hyperhive
from hyperhive.core import agents, messages, questions
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, AgentName, QuestionOutcome
from tests.cli import shell


def ask(hive: Hive, name: AgentName, text: str = "Which database?", **more: object) -> int:
    return questions.ask(hive, asker=name, text=text, **more).number  # type: ignore[arg-type]  # as given


def completions(*words: str, incomplete: str = "") -> list[tuple[str, str | None]]:
    found = ShellComplete(hyperhive, {}, "hyperhive", "_HYPERHIVE_COMPLETE").get_completions(list(words), incomplete)
    return [(one.value, one.help) for one in found]


def test_questions_are_shown_with_their_choices_and_what_comes_without_an_answer(hive: Hive, ada: AgentName) -> None:
    first = ask(
        hive, ada, "Which?\nSay.", choices=["sqlite", "postgres"], choices_only=True, ttl_seconds=3600, default="postgres"
    )
    second = ask(hive, ada, choices=["a"], ttl_seconds=3600, default="neither")
    third = ask(hive, ada, ttl_seconds=3600)
    deadlines = [f"{one.deadline.astimezone():%H:%M}" for one in questions.listed(hive) if one.deadline]
    lines = [line.replace(f"{hive.now().astimezone():%Y-%m-%d} ", "") for line in shell.answer("questions").splitlines()]
    assert lines == [
        f"{first}  ada  0s ago  open",
        "│ Which?",
        "│ Say.",
        "   choices:",
        "│ 1. sqlite",
        "│ 2. postgres",
        f"   without an answer by {deadlines[0]}: choice 2",
        f"{second}  ada  0s ago  open",
        "│ Which database?",
        "   choices, or a text of your own:",
        "│ 1. a",
        f"   without an answer by {deadlines[1]}:",
        "│ neither",
        f"{third}  ada  0s ago  open",
        "│ Which database?",
        f"   expires at {deadlines[2]}",
    ]


def test_nothing_to_answer_is_said_beside_the_answer(hive: Hive) -> None:
    assert shell.run("questions").stderr == "no question waits for you\n"
    assert shell.run("questions", "--all").stderr == "there was no question yet\n"
    assert shell.run("questions").stdout == ""


def test_an_answer_is_kept_for_an_agent_that_cannot_read_it_now_and_that_is_said(hive: Hive, ada: AgentName) -> None:
    number = ask(hive, ada)
    ended = shell.run("answer", str(number), "sqlite, please")
    assert (ended.exit_code, ended.stdout) == (0, f"question {number} is answered\n")
    assert "note: the hive is not up; the answer is kept until `hyperhive up`\n" in ended.stderr
    assert questions.get(hive, number).answer == "sqlite, please"
    (notice,) = messages.inbox(hive, ada)
    assert notice.body.endswith("> sqlite, please")
    assert shell.run("questions").stdout == ""
    assert shell.answer("questions", "--all").splitlines()[-2:] == ["   answered by operator, 0s ago", "│ sqlite, please"]


def test_with_a_hive_that_is_up_only_the_agents_own_state_is_said(hive: Hive, ada: AgentName) -> None:
    shell.answer("login", "ada", "--token", given="sk-ant-oat01-0123456789")
    with Lock(hive.paths.lock("hub")) as hub:
        assert hub.take()
        assert shell.run("answer", str(ask(hive, ada)), "x").stderr == ""
        agents.stop(hive, ada, by=OPERATOR)
        said = shell.run("answer", str(ask(hive, ada)), "x").stderr
        assert said == "note: ada is stopped: `hyperhive start ada`; the answer is kept\n"


def test_an_answer_is_read_from_standard_input(hive: Hive, ada: AgentName) -> None:
    number = ask(hive, ada)
    assert shell.complaint("answer", str(number), "-", given=b"\xff", code=2)[0] == "standard input is not UTF-8 text"
    assert shell.complaint("answer", str(number), "-", given=b"x" * 16_385, code=2)[0].startswith("the answer has 16385 bytes")
    assert shell.complaint("answer", str(number), "-", given=b" \n", code=2)[0] == "the answer is empty"
    shell.answer("answer", str(number), "-", given="Grüße\nzwei Zeilen\n")
    assert questions.get(hive, number).answer == "Grüße\nzwei Zeilen\n"


@pytest.mark.parametrize("said", ["dark blue", "2"])
@pytest.mark.parametrize("choices_only", [True, False])
def test_a_choice_is_its_text_or_its_number(said: str, choices_only: bool, hive: Hive, ada: AgentName) -> None:
    number = ask(hive, ada, choices=["red", "dark blue"], choices_only=choices_only)
    shell.answer("answer", str(number), "--choice", said)
    assert questions.get(hive, number).answer == "dark blue"


@pytest.mark.parametrize("words", [["--choice", "postgers"], ["postgers"]], ids=" ".join)
def test_a_misspelt_choice_is_followed_by_all_and_the_nearest(words: list[str], hive: Hive, ada: AgentName) -> None:
    number = ask(hive, ada, choices=["sqlite", "postgres"], choices_only=True)
    error, hint = shell.complaint("answer", str(number), *words, code=2)
    assert error == f"question {number} has these choices: 1 “sqlite”, 2 “postgres”"
    assert hint == f"hyperhive answer {number} --choice 2"
    assert questions.get(hive, number).outcome is None


def test_a_question_is_cancelled_and_the_agent_is_told(hive: Hive, ada: AgentName) -> None:
    number = ask(hive, ada)
    ended = shell.run("cancel-question", str(number))
    assert (ended.exit_code, ended.stdout) == (0, f"question {number} is cancelled\n")
    assert "the notice is kept" in ended.stderr
    assert questions.get(hive, number).outcome is QuestionOutcome.CANCELLED
    assert "[cancelled]" in messages.inbox(hive, ada)[0].body


@pytest.mark.parametrize(
    "words", [["answer", "99", "x"], ["answer", "99", "--choice", "1"], ["cancel-question", "99"]], ids=" ".join
)
def test_a_wrong_number_is_not_found(words: list[str], hive: Hive) -> None:
    assert shell.complaint(*words, code=3) == ("there is no question 99", "`hyperhive questions` shows what is asked")


def test_the_number_of_something_else_is_no_question(hive: Hive, ada: AgentName) -> None:
    assert shell.complaint("answer", "1", "x", code=3)[0] == "there is no question 1"


def test_what_was_decided_already_says_by_whom(hive: Hive, ada: AgentName) -> None:
    number = str(ask(hive, ada))
    shell.answer("answer", number, "yes")
    for words in (["answer", number, "no"], ["cancel-question", number]):
        error, hint = shell.complaint(*words, code=5)
        assert error.startswith(f"question {number} is answered already: by operator, ")
        assert hint == "`hyperhive questions --all` shows how it ended"


def test_numbers_of_open_questions_are_completed(hive: Hive, ada: AgentName) -> None:
    first, second, third = ask(hive, ada, "a\x1b[2J\nb"), ask(hive, ada, "x" * 1000), ask(hive, ada)
    questions.cancel(hive, third, by=OPERATOR)
    shown = [(str(first), "ada: a␛[2J b"), (str(second), "ada: " + "x" * 54 + "…")]
    for name in ("answer", "cancel-question"):
        assert completions(name) == shown
        assert completions(name, incomplete=str(second)) == shown[1:]
    assert completions("answer", incomplete="9") == []


def test_choices_are_completed_and_none_that_a_shell_would_act_on(hive: Hive, ada: AgentName) -> None:
    choices = ["red", "dark blue", "$(reboot)", "x;y", "-f", "~", "=ls", "a:b", "grün"]
    number = str(ask(hive, ada, choices=choices))
    expected = [("red", "red"), *((str(at), choice) for at, choice in enumerate(choices[1:], 2))]
    assert completions("answer", number, "--choice") == expected
    assert completions("answer", number, "--choice", incomplete="r") == expected[:1]
    assert completions("answer", number, incomplete="--choice=r") == expected[:1]
    assert completions("answer", "--choice") == completions("answer", "99", "--choice") == []


def test_where_there_is_no_hive_nothing_is_completed(hive: Hive, ada: AgentName) -> None:
    hive.close()
    hive.paths.database.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert completions("answer") == completions("answer", "3", "--choice") == completions("show") == []
