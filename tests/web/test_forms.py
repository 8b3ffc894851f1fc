"""What a person does with the forms: it is done once, asked about where it matters, and told where it stands."""

import re

import pytest
from playwright.sync_api import expect

from hyperhive.core import agent_toml, approvals, messages, operations, proposals, questions, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, ApprovalState, QuestionOutcome, Verb, Wanted
from hyperhive.core.tables import ApprovalRow
from tests.core.hives import ADA, EVE, set_row
from tests.web.looking import Look
from tests.web.site import Site

pytestmark = pytest.mark.browser


def verbs(hive: Hive) -> list[Verb]:
    return [one.verb for one in operations.listed(hive)]


def test_a_destroy_is_asked_about_and_done_only_when_that_is_wanted(look: Look, hive: Hive) -> None:
    page = look.page()
    destroy = page.locator("#agent-ada").get_by_role("button", name="destroy")
    ask = page.get_by_role("dialog")
    destroy.click()
    expect(ask).to_contain_text("Its state is kept")
    page.keyboard.press("Escape")
    expect(ask).to_be_hidden()
    destroy.click()
    ask.get_by_role("button", name="keep it as it is").click()
    expect(destroy).to_be_enabled()
    assert verbs(hive) == []
    destroy.click()
    ask.get_by_role("button", name="destroy").click()
    expect(page.locator("#agent-ada .busy")).to_contain_text("waits to be destroyed")
    assert verbs(hive) == [Verb.DESTROY]


def test_a_denial_takes_a_note_along(look: Look, hive: Hive) -> None:
    number = approvals.ask_tool(
        hive,
        ADA,
        epoch=1,
        turn=1,
        request="r",
        tool="Bash",
        given='{"command": "rm -rf /"}',
        deadline=hive.now().replace(year=2099),
    )
    page = look.page()
    row = page.locator(f"#tool-{number}")
    expect(row.locator("dd")).to_have_text("rm -rf /")
    row.get_by_role("button", name="deny…").click()
    page.get_by_label("Why? ada reads it.").fill("not on this machine")
    page.get_by_role("dialog").get_by_role("button", name="deny", exact=True).click()
    expect(row).to_have_count(0)
    denied = approvals.get(hive, number)
    assert (denied.state, denied.note) == (ApprovalState.DENIED, "not on this machine")


def test_a_question_is_answered_by_a_choice_by_a_text_or_not_at_all(look: Look, hive: Hive) -> None:
    choice, text, none = (
        questions.ask(hive, asker=ADA, text="Which?", choices=["the <b>first</b>", 'the "second"'], choices_only=only).number
        for only in (True, False, False)
    )
    page = look.page()
    expect(page.locator(f"#question-{choice} textarea")).to_have_count(0)
    page.locator(f"#question-{choice}").get_by_role("button", name='the "second"').click()
    box = page.locator(f"#question-{text} textarea")
    box.fill("neither")
    box.press("Control+Enter")
    page.locator(f"#question-{none}").get_by_role("button", name="cancel the question").click()
    said = page.get_by_role("dialog").inner_text()
    page.get_by_role("dialog").get_by_role("button", name="cancel it").click()
    for number in (choice, text, none):
        expect(page.locator(f"#question-{number}")).to_have_count(0)
    assert questions.get(hive, choice).answer == 'the "second"'
    assert questions.get(hive, text).answer == "neither"
    assert questions.get(hive, none).outcome is QuestionOutcome.CANCELLED
    # What was said that the asker will read is what it reads.
    notice = messages.inbox(hive, ADA)[-1].body
    (quoted,) = re.findall("“(.*)”", said)
    assert quoted in notice


def test_what_went_wrong_is_said_where_it_was_done(look: Look, hive: Hive) -> None:
    look.expects_trouble = True
    page = look.page()
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    expect(page.locator("#agent-ada")).to_have_count(0)
    number = messages.send(hive, sender="bob", to=OPERATOR, body="May I?").number
    row = page.locator(f"#message-{number}")
    box = row.get_by_role("textbox")
    box.fill("x" * 70_000)
    row.get_by_role("button", name="reply").click()
    expect(row.get_by_role("alert")).to_contain_text("70000 bytes, and at most 65536 are taken")
    expect(row.get_by_role("button", name="reply")).to_be_enabled()
    assert len(box.input_value()) == 70_000
    box.fill("you may")
    row.get_by_role("button", name="reply").click()
    expect(row).to_have_count(0)
    assert [one.body for one in messages.inbox(hive, "bob")] == ["you may"]


def test_a_server_that_is_away_leaves_no_form_waiting(look: Look, hive: Hive, site: Site) -> None:
    look.expects_trouble = True
    asked = questions.ask(hive, asker=ADA, text="Which?")
    page = look.page()
    site.stop()
    box = page.locator(f"#question-{asked.number} textarea")
    box.fill("the third")
    page.locator(f"#question-{asked.number}").get_by_role("button", name="answer").click()
    expect(page.locator(f"#question-{asked.number} .outcome").first).to_contain_text("was not reached")
    expect(page.locator(f"#question-{asked.number}").get_by_role("button", name="answer")).to_be_enabled()
    assert box.input_value() == "the third"
    page.locator("#agent-ada summary", has_text="logs").click()
    expect(page.locator("#agent-ada .loaded").first).to_contain_text("was not reached")
    site.start()
    expect(page.locator("#live")).to_be_hidden()
    page.locator("#agent-ada .refresh").first.click()
    expect(page.locator("#agent-ada .loaded").first).to_contain_text("nothing was written yet")


def test_who_comes_second_is_told_who_was_first(look: Look, hive: Hive) -> None:
    look.expects_trouble = True
    number = approvals.ask_tool(
        hive, ADA, epoch=1, turn=1, request="r", tool="Bash", given="{}", deadline=hive.now().replace(year=2099)
    )
    page = look.page()
    page.locator(f"#tool-{number}").get_by_role("button", name="deny…").click()
    approvals.approve(hive, number, by=OPERATOR)
    expect(page.locator(f"#tool-{number}")).to_have_count(0)
    # The row is gone, and what is being asked about it is not.
    page.get_by_role("dialog").get_by_role("button", name="deny", exact=True).click()
    expect(page.locator("#said")).to_contain_text(f"approval {number} was already approved by operator")


def test_a_proposal_is_looked_at_and_approved(look: Look, hive: Hive) -> None:
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(role="first"), by=OPERATOR)
    files = {
        "agent.toml": agent_toml.write(AgentConfig(role="second <script>alert(1)</script>", model="opus")),
        "tools/<img src=x>.sh": b"echo hello\n",
    }
    asked = proposals.by_operator(hive, EVE, files, message="Make it better")
    page = look.page()
    row = page.locator(f"#approval-{asked.number}")
    expect(row).to_contain_text("eve")
    row.get_by_text("what it changes").click()
    review = row.locator(".loaded")
    expect(review).to_contain_text("Make it better")
    expect(review.locator(".added", has_text="second <script>alert(1)</script>").first).to_be_visible()
    expect(review.locator("code", has_text="tools/<img src=x>.sh")).to_be_visible()
    row.get_by_role("button", name="approve").click()
    expect(row).to_have_count(0)
    expect(page.locator("#agent-eve .busy")).to_contain_text("waits to be deployed")
    assert approvals.get(hive, asked.number).state is ApprovalState.APPROVED
    assert verbs(hive)[-1] is Verb.DEPLOY


def test_a_proposal_whose_base_has_moved_is_approved_only_over_what_was_shown(look: Look, hive: Hive) -> None:
    look.expects_trouble = True
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(role="first"), by=OPERATOR)
    files = {"agent.toml": agent_toml.write(AgentConfig(role="second"))}
    second = proposals.by_operator(hive, EVE, files, message="second")
    with hive.db.write():
        ApprovalRow.update(compared_with="0" * 40).where(ApprovalRow.number == second.number).execute()
    page = look.page()
    row = page.locator(f"#approval-{second.number}")
    row.get_by_role("button", name="approve").click()
    expect(row.get_by_role("alert")).to_contain_text("is applied now")
    row.get_by_text("what it changes").click()
    row.get_by_role("button", name="approve over it").click()
    expect(row).to_have_count(0)
    assert approvals.get(hive, second.number).state is ApprovalState.APPROVED
