"""An agent's journal, for people and scripts."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hyperhive.cli import screen
from hyperhive.core import log
from hyperhive.core.agent_log import Unit
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from tests.cli import history, shell
from tests.cli.test_json import INSTANT

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (harness|container) +(.*)")


def texts(*words: str) -> list[str]:
    """What the lines say, all of which have a time and whose they are."""
    found = [LINE.fullmatch(line) for line in shell.answer("logs", *words).splitlines()]
    return [line[3] if line else "" for line in found]


def stamped(name: AgentName, unit: Unit, *lines: tuple[str, str]) -> str:
    return "".join(f"{at}Z {unit} of {name}: {text}\n" for at, text in lines)


def put(hive: Hive, name: AgentName, unit: Unit, text: str, *, suffix: str = ".log") -> None:
    (hive.paths.agent_log(name) / f"{unit}{suffix}").write_text(text)


def test_the_last_lines_are_shown_each_with_its_time_and_whose_it_is(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, *map(str, range(300)))
    assert texts("ada") == [str(number) for number in range(100, 300)]
    assert texts("ada", "-n", "1") == ["299"]
    assert texts("ada", "-n", "0") == []
    assert texts("ada", "-n", "5000") == [str(number) for number in range(300)]


def test_both_units_are_merged_by_time_and_one_can_be_chosen(hive: Hive, ada: AgentName) -> None:
    day = "2026-01-31T12:00:0"
    put(hive, ada, Unit.HARNESS, stamped(ada, Unit.HARNESS, (f"{day}1.000", "one"), (f"{day}3.000", "three")))
    put(hive, ada, Unit.CONTAINER, stamped(ada, Unit.CONTAINER, (f"{day}2.000", "two"), (f"{day}4.000", "four")))
    assert texts("ada") == ["one", "two", "three", "four"]
    assert texts("ada", "--unit", "all", "-n", "3") == ["two", "three", "four"]
    assert texts("ada", "--unit", "harness") == ["one", "three"]
    assert texts("ada", "--unit", "container", "-n", "1") == ["four"]
    assert shell.answer("logs", "ada", "-n", "1") == f"{day}4.000Z container four\n"


def test_a_unit_that_there_is_not_is_refused(ada: AgentName) -> None:
    error, hint = shell.complaint("logs", "ada", "--unit", "../x", code=2)
    assert error == "--unit is harness or container or all, not '../x'"
    assert hint == "hyperhive logs --help"


def test_a_name_that_nobody_bears_is_refused_with_the_nearest(ada: AgentName) -> None:
    assert shell.complaint("logs", "aad", code=3) == ("there is no agent aad", "did you mean ada?")
    assert shell.complaint("logs", "../ada", code=2)[0].startswith("'../ada' cannot be an agent's name")


@pytest.mark.parametrize("lines", ["-1", "5001"])
def test_no_more_than_5000_lines_are_shown(lines: str, ada: AgentName) -> None:
    assert shell.complaint("logs", "ada", "-n", lines, code=2)[0] == "a journal shows 0 to 5000 lines"


def test_what_an_earlier_start_of_the_machine_left_is_shown_only_when_asked_for(hive: Hive, ada: AgentName) -> None:
    earlier = log.Log("harness of ada", hive.paths.agent_log(ada) / "harness.log", quiet=True, boot="5e3a0000")
    earlier("before")
    # A text cannot say which start it is of.
    history.journal(hive, ada, "now\n2026-01-31T12:00:00.000Z boot 5e3a0000", "and now")
    history.journal(hive, ada, "later")
    earlier("before again")
    assert texts("ada", "--all-boots") == [
        "before", "now", "2026-01-31T12:00:00.000Z boot 5e3a0000", "and now", "later", "before again",
    ]  # fmt: skip
    assert texts("ada") == ["now", "2026-01-31T12:00:00.000Z boot 5e3a0000", "and now", "later", "before again"]
    log.Log("harness of ada", hive.paths.agent_log(ada) / "harness.log", quiet=True, boot="5e3a0001")("another")
    assert texts("ada") == ["now", "2026-01-31T12:00:00.000Z boot 5e3a0000", "and now", "later", "before again"]


def test_a_log_that_is_begun_anew_says_again_which_start_it_is_of(hive: Hive, ada: AgentName) -> None:
    writer = log.Log("harness of ada", hive.paths.agent_log(ada) / "harness.log", quiet=True, boot="another")
    for number in range(3):
        writer(f"{number} " + "x" * log.MOST)
    assert (hive.paths.agent_log(ada) / "harness.1").exists()
    assert texts("ada") == []
    assert [text[0] for text in texts("ada", "--all-boots")] == ["1", "2"]


def test_the_old_part_comes_before_the_new_one(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, "one", "two")
    (hive.paths.agent_log(ada) / "harness.log").rename(hive.paths.agent_log(ada) / "harness.1")
    history.journal(hive, ada, "three")
    assert texts("ada", "-n", "2") == ["two", "three"]


def test_what_came_since_a_time_is_shown(hive: Hive, ada: AgentName) -> None:
    lines = [("2026-01-31T12:00:00.000", "a"), ("2026-02-01T00:00:00.000", "b"), ("2026-02-01T12:30:00.500", "c")]
    put(hive, ada, Unit.HARNESS, "without a time\n" + stamped(ada, Unit.HARNESS, *lines))
    history.journal(hive, ada, "now")
    assert texts("ada", "--since", "2026-02-01") == ["b", "c", "now"]
    assert texts("ada", "--since", "2026-02-01T12:30") == ["c", "now"]
    assert texts("ada", "--since", "2026-02-01T13:30:00.500+01:00") == ["c", "now"]
    assert texts("ada", "--since", "2026-02-01T12:30:01Z", "-n", "1") == ["now"]
    assert texts("ada", "--since", "1h") == ["now"]
    assert texts("ada", "--since", f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M}") == []
    assert shell.complaint("logs", "ada", "--since", "yesterday", code=2)[1] == "--since 2026-01-31, or --since 7d"
    assert shell.answer("logs", "ada").startswith("- harness   without a time\n")


def test_json_is_an_object_a_line_with_fixed_keys(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, "a\nb \x9b")
    history.journal(hive, ada, "c", unit=Unit.CONTAINER)
    found = [msgspec.json.decode(line) for line in shell.answer("logs", "ada", "--json").splitlines()]
    assert [one.keys() for one in found] == [{"at", "unit", "line"}] * 3
    assert [(one["unit"], one["line"]) for one in found] == [("harness", "a"), ("harness", "b \x9b"), ("container", "c")]
    assert all(INSTANT.fullmatch(one["at"]) for one in found)


def test_no_journal_is_read_through_a_link(hive: Hive, ada: AgentName, home: Path) -> None:
    (home / "secret").write_text("secret")
    (hive.paths.agent_log(ada) / "container.log").symlink_to(home / "secret")
    shell.complaint("logs", "ada", code=7)
    assert texts("ada", "--unit", "harness") == []


def test_it_can_be_followed_also_when_it_is_begun_anew(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, "one")
    with shell.running("logs", "ada", "-f") as child:
        lines = shell.stdout_of(child)

        def heard() -> str:
            found = LINE.fullmatch(lines.readline().removesuffix("\n"))
            return f"{found[2]} {found[3]}" if found else ""

        assert heard() == "harness one"
        folder = hive.paths.agent_log(ada)
        with (folder / "harness.log").open("a") as file:
            file.write("  in two ")
            file.flush()
            file.write("halves\n")
        assert heard() == "harness in two halves"
        history.journal(hive, ada, "two", unit=Unit.CONTAINER)
        assert heard() == "container two"
        history.journal(hive, ada, "the last of the old")
        (folder / "harness.log").rename(folder / "harness.1")
        history.journal(hive, ada, "the first of the new")
        assert heard() == "harness the last of the old"
        assert heard() == "harness the first of the new"


def test_a_long_line_goes_on_behind_a_mark(hive: Hive, ada: AgentName) -> None:
    words = [f"word{number}" for number in range(60)]
    history.journal(hive, ada, " ".join(words))
    lines = shell.COLOUR.sub("", shell.terminal("logs", "ada", columns=60)[1]).splitlines()
    assert LINE.fullmatch(lines[0])
    assert all(line.startswith("  ↳ ") for line in lines[1:])
    assert max(map(screen.cells, lines)) <= 60
    assert " ".join([lines[0].split("harness ")[1].strip(), *(line.removeprefix("  ↳ ") for line in lines[1:])]).split() == words


def test_the_journal_of_a_destroyed_agent_is_kept_with_it(hive: Hive, ada: AgentName) -> None:
    history.journal(hive, ada, "it was")
    shell.answer("destroy", "ada", "--yes")
    assert texts("ada") == ["it was"]
