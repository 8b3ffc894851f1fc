"""The messages between all are seen with how far each came, the newest first."""

import re

from hyperhive.core import messages
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Outcome
from hyperhive.web import flow
from tests.core.hives import ADA, BOB, one_turn, send
from tests.web.visitor import Visitor


def rows(operator: Visitor) -> list[tuple[int, str]]:
    """The numbers and words of the rows."""
    found = re.findall(r'<li id="flow-(\d+)" class="row">(.*?)</li>', operator.get("/").text, re.DOTALL)
    return [(int(number), " ".join(re.sub(r"<[^>]+>", " ", row).split())) for number, row in found]


def test_a_message_is_seen_on_its_way(operator: Visitor, hive: Hive) -> None:
    first = messages.send(hive, sender=BOB, to=ADA, body="Count the buds.")
    second = messages.send(hive, sender=ADA, to=OPERATOR, body="There are nine.")
    assert [number for number, _ in rows(operator)] == [second.number, first.number]
    assert "ada → operator" in rows(operator)[0][1]
    assert "waiting" in rows(operator)[1][1]
    one_turn(hive, Outcome.FAILED)
    assert "waiting, 1 failed attempt Count the buds." in dict(rows(operator))[first.number]
    one_turn(hive, Outcome.FAILED)
    one_turn(hive, Outcome.FAILED, error="the model is <i>away</i>")
    dead = dict(rows(operator))[first.number]
    assert "dead, 3 failed attempts" in dead
    assert messages.get(hive, first.number).reason is not None
    assert (messages.get(hive, first.number).reason or "")[:20] in dead.replace("&lt;", "<").replace("&gt;", ">")


def test_what_was_done_is_read(operator: Visitor, hive: Hive) -> None:
    done = send(hive)
    one_turn(hive, Outcome.OK)
    assert " read " in dict(rows(operator))[done.number]


def test_only_the_newest_are_shown_and_of_a_long_one_the_beginning(operator: Visitor, hive: Hive) -> None:
    sent = [send(hive, f"message {number}", sender=BOB) for number in range(flow.SHOWN_MOST + 5)]
    assert [number for number, _ in rows(operator)] == [one.number for one in reversed(sent[5:])]
    long = send(hive, "x" * 5000 + " the <b>end</b>")
    number, row = rows(operator)[0]
    assert number == long.number
    assert "the" not in row.replace("all of it", "")
    assert "the &lt;b&gt;end&lt;/b&gt;" in operator.get(f"/messages/{number}").text
    assert operator.get("/messages/99999").status_code == 404
