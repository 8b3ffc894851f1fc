"""What is being done to agents stands in rows of its own, with who asked, since when, and the lines of its build."""

import re
from datetime import timedelta

import time_machine

from hyperhive.core import building, doorbell, holding, operations, requests, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.db import next_number
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, DeploymentOutcome, Occasion, OperationState, Verb
from hyperhive.core.tables import DeploymentRow, OperationRow
from tests.core.hives import ADA, BOB, EVE
from tests.web.visitor import Visitor

ROW = re.compile(r'<li id="operation-(\d+)" class="row">(.*?)</li>', re.DOTALL)


def rows(operator: Visitor) -> dict[int, str]:
    """The rows of the page by their numbers, as words."""
    return {int(number): " ".join(re.sub(r"<[^>]+>", " ", row).split()) for number, row in ROW.findall(operator.get("/").text)}


def deploying(hive: Hive, *, outcome: DeploymentOutcome | None = None) -> tuple[int, int]:
    """A deployment of ada with its operation, which waits."""
    with hive.db.write():
        number = next_number()
        DeploymentRow.insert(
            number=number, agent=ADA, occasion=Occasion.DEPLOY, commit="0" * 40, approved_by=OPERATOR, started_at=hive.now(),
            outcome=outcome,
        ).execute()  # fmt: skip
        return number, operations.ask(hive, ADA, Verb.DEPLOY, by=OPERATOR, argument=str(number))


def ended(hive: Hive, number: int, state: OperationState, error: str | None = None) -> None:
    with hive.db.write():
        OperationRow.update(state=state, error=error, started_at=hive.now(), ended_at=hive.now()).where(
            OperationRow.number == number
        ).execute()


def test_what_waits_says_whether_there_is_a_hive_that_will_do_it(operator: Visitor, hive: Hive) -> None:
    number = requests.restart(hive, ADA, by=OPERATOR)
    assert "restart ada waits: the hive is not up" in rows(operator)[number]
    assert "asked for by operator" in rows(operator)[number]
    with Lock(hive.paths.lock("hub")) as lock:
        lock.take()
        assert "restart ada waits 2" in rows(operator)[number]


def test_what_is_under_way_says_since_when_and_whether_somebody_does_it_still(operator: Visitor, hive: Hive) -> None:
    with holding.under_way(hive, ADA, Verb.UPDATE, by=OPERATOR) as number:
        assert "update ada rebuilding 2" in rows(operator)[number]
    # Nobody holds its lock.
    with hive.db.write():
        OperationRow.update(state=OperationState.RUNNING, ended_at=None).where(OperationRow.number == number).execute()
    assert "its process died" in rows(operator)[number]


def test_what_failed_says_why_until_it_was_tried_again(operator: Visitor, hive: Hive) -> None:
    number, operation = deploying(hive, outcome=DeploymentOutcome.FAILED)
    ended(hive, operation, OperationState.FAILED, "the build <b>failed</b>: a command ended with code 1")
    page = operator.get("/").text
    assert "the build &lt;b&gt;failed&lt;/b&gt;: a command ended with code 1" in page
    assert f'hx-post="/deployments/{number}/again"' in page
    assert operator.post(f"/deployments/{number}/again").status_code == 200
    assert (hive.paths.wake / "hive").exists()
    (again,) = operations.listed(hive)
    assert (again.agent, again.verb, again.asked_by) == (ADA, Verb.DEPLOY, OPERATOR)
    assert list(rows(operator)) == [again.number]


def test_what_failed_is_told_for_a_day_and_what_was_built_for_a_minute(operator: Visitor, hive: Hive) -> None:
    _, built = deploying(hive)
    failed = requests.stop(hive, BOB, by=OPERATOR)
    quick = requests.restart(hive, BOB, by=OPERATOR)
    ended(hive, built, OperationState.DONE)
    ended(hive, failed, OperationState.FAILED, "it did not")
    ended(hive, quick, OperationState.DONE)
    assert list(rows(operator)) == [built, failed]
    with time_machine.travel(hive.now() + timedelta(minutes=2)):
        assert list(rows(operator)) == [failed]
    with time_machine.travel(hive.now() + timedelta(hours=25)):
        assert rows(operator) == {}


def test_what_the_hive_does_for_itself_is_told_only_when_it_fails(operator: Visitor, hive: Hive) -> None:
    with hive.db.write():
        number = operations.ask(hive, ADA, Verb.PUBLISH, by=operations.HIVE)
        operations.ask(hive, ADA, Verb.CANCEL, by=OPERATOR)
    assert rows(operator) == {}
    ended(hive, number, OperationState.FAILED, "the disk is full")
    assert list(rows(operator)) == [number]


def test_a_build_is_read_line_by_line_from_where_a_page_has_read_to(operator: Visitor, hive: Hive) -> None:
    number, operation = deploying(hive)
    address = f"/operations/{operation}/build"
    assert "nothing was printed yet" in operator.get(address).text
    log = building.log_of(hive, ADA, number)
    log.parent.mkdir(parents=True)
    log.write_text("$ make\n<script>alert(1)</script>\nhalf")
    first = operator.get(address).text
    assert "$ make\n" in first
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in first
    assert "half" not in first
    (more,) = re.findall(r'hx-get="([^"]+)"', first)
    log.write_text(log.read_text() + " a line\nand another\n")
    second = operator.get(more).text
    assert "half a line\n" in second
    assert "and another" in second
    assert "$ make" not in second
    ended(hive, operation, OperationState.DONE)
    (more,) = re.findall(r'hx-get="([^"]+)"', second)
    assert operator.get(more).text.strip() == ""


def test_of_a_long_build_the_end_is_shown(operator: Visitor, hive: Hive) -> None:
    number, operation = deploying(hive)
    log = building.log_of(hive, ADA, number)
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    shown = operator.get(f"/operations/{operation}/build").text
    assert "line 19999\n" in shown
    assert "line 0\n" not in shown
    assert re.search(r"\d+\.\d KiB before that are left out", shown)
    assert len(shown) < 300_000


def test_a_place_that_is_not_there_is_no_trouble(operator: Visitor, hive: Hive) -> None:
    number, operation = deploying(hive)
    log = building.log_of(hive, ADA, number)
    log.parent.mkdir(parents=True)
    log.write_text("one\n")
    assert "one\n" in operator.get(f"/operations/{operation}/build/99999999999").text
    assert operator.get(f"/operations/{operation}/build/-5").status_code == 404


def test_there_may_be_no_build_and_no_operation(operator: Visitor, hive: Hive) -> None:
    assert "nothing was printed yet" in operator.get(f"/operations/{requests.restart(hive, ADA, by=OPERATOR)}/build").text
    assert operator.get("/operations/999/build").status_code == 404


def test_a_hive_is_rung_for_what_a_page_asked_for(operator: Visitor, hive: Hive) -> None:
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(), by=OPERATOR)
    for wake in hive.paths.wake.iterdir():
        wake.unlink()
    assert operator.post("/agents/eve/restart").status_code == 200
    assert doorbell.HIVE in [wake.name for wake in hive.paths.wake.iterdir()]
