"""What only a browser shows of the page: lines that come, boxes that are typed in, what is asked before something goes."""

import pytest
from playwright.sync_api import expect

from hyperhive.core import (
    agent_log,
    agent_toml,
    agents,
    approvals,
    building,
    holding,
    messages,
    operate,
    operations,
    proposals,
    questions,
    spawning,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_log import Unit
from hyperhive.core.db import next_number
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, ApprovalKind, Occasion, QuestionOutcome, Verb
from hyperhive.core.tables import DeploymentRow
from tests.core.hives import ADA, BOB, EVE, send
from tests.web.looking import Look
from tests.web.site import Site

pytestmark = pytest.mark.browser


def test_a_build_is_watched_line_by_line_and_its_reader_keeps_the_place(look: Look, hive: Hive, site: Site) -> None:
    look.expects_trouble = True
    with hive.db.write():
        number = next_number()
        DeploymentRow.insert(
            number=number, agent=ADA, occasion=Occasion.DEPLOY, commit="0" * 40, approved_by=OPERATOR, started_at=hive.now()
        ).execute()
        operation = operations.ask(hive, ADA, Verb.DEPLOY, by=OPERATOR, argument=str(number))
    log = building.log_of(hive, ADA, number)
    log.parent.mkdir(parents=True)
    page = look.page()
    row = page.locator(f"#operation-{operation}")
    expect(row).to_contain_text("waits: the hive is not up")
    row.locator("summary", has_text="build").click()
    lines = row.locator("pre")
    expect(lines).to_contain_text("")
    with holding.under_way(hive, ADA, Verb.DEPLOY, by=OPERATOR, number=operation), log.open("w", buffering=1) as out:
        expect(row).to_contain_text("deploying")
        out.write("".join(f"line {number}\n" for number in range(100)))
        expect(lines).to_contain_text("line 99")
        at_end = "one => one.scrollTop + one.clientHeight >= one.scrollHeight - 4"
        page.wait_for_function("one => one.scrollTop > 0", arg=lines.element_handle())
        assert lines.evaluate(at_end)
        # Whoever has scrolled up stays there.
        lines.evaluate("one => { one.scrollTop = 0 }")
        out.write("line 100\n")
        expect(lines).to_contain_text("line 100")
        assert lines.evaluate("one => one.scrollTop") == 0
        # A server that was away is asked again.
        site.stop()
        expect(page.locator("#live")).to_be_visible()
        out.write("line 101\n")
        site.start()
        expect(lines).to_contain_text("line 101")
        assert lines.inner_text().splitlines() == [f"line {number}" for number in range(102)]
    expect(row).to_contain_text("done")
    expect(row.locator("[data-follows]")).to_have_count(0)
    expect(row.locator("details")).to_have_attribute("open", "")


def test_nothing_of_a_request_that_is_being_written_is_moved(look: Look, hive: Hive) -> None:
    page = look.page()
    form = page.locator("#spawn")
    expect(form).to_be_hidden()
    page.get_by_text("ask for a new agent").click()
    form.get_by_label("name").fill("Lily")
    form.get_by_role("button", name="ask").click()
    # The browser says what is wrong with it; nothing was sent.
    assert form.get_by_label("name").evaluate("one => one.matches(':invalid')")
    form.get_by_label("name").fill("lily")
    form.get_by_label("flavor").select_option("manager")
    role = form.get_by_label("role")
    role.fill("You look after the lilies.")
    questions.ask(hive, asker=ADA, text="Which?")
    messages.send(hive, sender=BOB, to=OPERATOR, body="I am done.")
    expect(page.locator("#questions > li")).to_have_count(1)
    expect(page.locator("#flow > li")).to_have_count(1)
    assert role.input_value() == "You look after the lilies."
    assert page.evaluate("document.activeElement.name") == "role"
    form.get_by_role("button", name="ask").click()
    expect(form.locator(".outcome")).to_contain_text("lily waits as approval")
    expect(page.locator("#approvals > li")).to_contain_text("new manager, by operator")
    assert role.input_value() == ""
    assert [one.kind for one in approvals.listed(hive)] == [ApprovalKind.SPAWN]


def test_what_cannot_be_asked_for_is_said_beside_what_was_typed(look: Look, hive: Hive) -> None:
    look.expects_trouble = True
    page = look.page()
    page.get_by_text("ask for a new agent").click()
    form = page.locator("#spawn")
    form.get_by_label("name").fill("ada")
    form.get_by_role("button", name="ask").click()
    expect(form.get_by_role("alert")).to_contain_text("ada exists already")
    expect(form.get_by_role("button", name="ask")).to_be_enabled()
    assert form.get_by_label("name").input_value() == "ada"


def test_the_unit_of_a_journal_is_chosen_and_stays_chosen(look: Look, hive: Hive) -> None:
    hive.paths.agent_log(ADA).mkdir(parents=True)
    for unit in Unit:
        log = agent_log.open_log(hive, ADA, unit)
        log(f"of the {unit} itself")
    page = look.page()
    row = page.locator("#agent-ada")
    row.locator("summary", has_text="logs").click()
    journal = row.locator(".loaded").first
    expect(journal).to_contain_text("of the harness itself")
    expect(journal).to_contain_text("of the container itself")
    row.get_by_label("of").select_option("container")
    expect(journal).not_to_contain_text("of the harness itself")
    expect(journal).to_contain_text("of the container itself")
    log = agent_log.open_log(hive, ADA, Unit.CONTAINER)
    log("and one more")
    row.get_by_role("button", name="refresh").first.click()
    expect(journal).to_contain_text("and one more")
    expect(journal).not_to_contain_text("of the harness itself")


def test_a_rollback_is_looked_at_and_then_seen_under_way(look: Look, hive: Hive) -> None:
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(role="first"), by=OPERATOR)
    files = {
        "agent.toml": agent_toml.write(AgentConfig(role="second <img src=x onerror=alert(1)>")),
        '"><svg onload=alert(2)>': b"x",
    }
    asked = proposals.by_operator(hive, EVE, files, message="</title><script>alert(3)</script>")
    operation = approvals.approve(hive, asked.number, by=OPERATOR).operation
    assert operation is not None
    operate.run(hive, operation)
    page = look.page()
    page.locator("#agent-eve").get_by_text("configuration").click()
    page.locator("#agent-eve").get_by_role("link", name="repository").click()
    page.get_by_role("link", name=(asked.commit or "")[:12]).last.click()
    expect(page.locator("main")).to_contain_text("<script>alert(3)</script>")
    page.get_by_role("link", name='"><svg onload=alert(2)>').click()
    expect(page.locator("pre")).to_have_text("x")
    assert page.locator("svg, img, script:not([src])").count() == 0
    page.get_by_role("link", name="eve").click()
    page.get_by_role("link", name="go back to it…").click()
    expect(page.locator(".diff .removed", has_text="onerror=alert(1)")).to_be_visible()
    page.get_by_role("button", name="give eve the files of deployment").click()
    page.get_by_role("link", name="operation").click()
    expect(page.locator("#operations > li").last).to_contain_text("waits: the hive is not up")
    expect(page.locator("#agent-eve .busy")).to_contain_text("waits to be deployed")


def test_kept_state_is_purged_only_by_its_name(look: Look, hive: Hive) -> None:
    agents.destroy(hive, ADA, by=OPERATOR)
    page = look.page()
    row = page.locator("#kept-ada")
    expect(row.locator(".size")).to_contain_text("0 B")
    row.get_by_role("button", name="purge…").click()
    ask = page.get_by_role("dialog")
    expect(ask).to_contain_text("There is no way back")
    yes = ask.get_by_role("button", name="purge it for ever")
    expect(yes).to_be_disabled()
    name = ask.get_by_label("Type ada to go on")
    name.fill("bob")
    expect(yes).to_be_disabled()
    assert operations.listed(hive) == []
    name.fill("ada")
    yes.click()
    expect(row).to_contain_text("waits to be purged")
    expect(page.locator("#operations > li")).to_contain_text("purge ada")
    assert [one.verb for one in operations.listed(hive)] == [Verb.PURGE]


def test_what_was_typed_is_not_sent_with_a_cancelled_question(look: Look, hive: Hive) -> None:
    asked = questions.ask(hive, asker=ADA, text="Which?")
    page = look.page()
    row = page.locator(f"#question-{asked.number}")
    row.locator("textarea").fill("a secret thought")
    row.get_by_role("button", name="cancel the question").click()
    expect(page.get_by_role("dialog")).to_contain_text("What you have typed is not sent.")
    page.get_by_role("dialog").get_by_role("button", name="cancel it").click()
    expect(page.locator(f"#gone-question-{asked.number}")).to_contain_text("was not sent")
    ended = questions.get(hive, asked.number)
    assert (ended.outcome, ended.answer) == (QuestionOutcome.CANCELLED, None)
    assert "secret" not in messages.inbox(hive, ADA)[-1].body


def test_the_flow_is_as_it_is_now(look: Look, hive: Hive) -> None:
    page = look.page()
    for number in range(45):
        send(hive, f"message {number}", sender=BOB)
    expect(page.locator("#flow > li").first).to_contain_text("message 44")
    expect(page.locator("#flow > li")).to_have_count(40)
    send(hive, "word " * 200, sender=BOB)
    expect(page.locator("#flow > li").first).to_contain_text("word word")
    expect(page.locator("#flow > li")).to_have_count(40)
    page.locator("#flow summary").click()
    expect(page.locator("#flow .loaded")).to_contain_text("word " * 199)
    send(hive, "the last", sender=BOB)
    expect(page.locator("#flow > li").first).to_contain_text("the last")
    expect(page.locator("#flow details")).to_have_attribute("open", "")
