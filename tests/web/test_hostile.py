"""Nothing that an agent writes, wherever it is shown, becomes markup, script or a link of its own."""

import re
from datetime import timedelta

import msgspec
import pytest
from playwright.sync_api import expect

from hyperhive.core import approvals, building, messages, operations, questions
from hyperhive.core.events import EventLog
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, Blocked, EventKind, OperationState, Verb
from hyperhive.core.tables import OperationRow
from tests.core.hives import ADA, BOB, send, set_row
from tests.web.looking import Look

pytestmark = pytest.mark.browser

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' onmouseover='alert(4)' x='",
    '" autofocus onfocus="alert(5)" hx-trigger="load" hx-get="/agents/ada/logs" x="',
    "javascript:alert(6)",
    "https://example.org/\"onmouseover='alert(7)'",
    "http://example.org/<script>alert(8)</script>",
    "data:text/html,<script>alert(9)</script>",
    "</textarea></li></template><iframe srcdoc='<script>parent.alert(10)</script>'>",
    '<hx-partial hx-target="body" hx-swap="innerHTML"><b>mine</b></hx-partial>',
    '<div hx-swap-oob="true" id="agents">mine</div>',
    "<title>mine</title>",
    "<head><title>mine</title></head>",
    "<form action=https://evil.example><button>approve</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "{{ 7*7 }}{% raw %}{{ csrf_token() }}",
    "${alert(11)} `alert(12)`",
    "\u202e\u2066 evil \x1b]52;c;AAAA\x07 \x00 \x9b31m \ud800",
    "&lt;script&gt;alert(13)&lt;/script&gt; &#x3c;b&#x3e;",
]  # fmt: skip
ALL = "\n".join(PAYLOADS)
STORABLE = ALL.replace("\x00", "")
ONE_LINE = [re.sub(r"[\x00-\x1f\x7f-\x9f\u2066\u202e\ud800\n\t]", "", one).strip()[:190] for one in PAYLOADS]
# What none of our templates has.
NOT_OURS = ", ".join(
    [
        "script:not([src^='/static/'])", "link:not([href^='/static/'])", "form[action]", "[onerror]", "[onload]", "base",
        "#agents b:not(.name)", "img", "svg", "iframe", "style",
    ]
)  # fmt: skip


def fill(hive: Hive) -> None:
    """Put them into every field that an agent can write."""
    text = STORABLE.encode("utf-8", "replace").decode()
    messages.send(hive, sender=ADA, to=OPERATOR, body=text)
    messages.send(hive, sender=ADA, to=OPERATOR, body="x" * 2000 + text)
    for only in (False, True):
        questions.ask(hive, asker=ADA, text=text, choices=ONE_LINE[:19], choices_only=only, ttl_seconds=600, default=ONE_LINE[0])
    for name, given in (("Bash", {ALL: ALL, "nested": {ALL: [ALL]}}), (ONE_LINE[1], ALL)):
        approvals.ask_tool(
            hive, ADA, epoch=1, turn=1, request="r", tool=name,
            given=msgspec.json.encode(text if isinstance(given, str) else {text: text, "nested": {text: [text]}}).decode(),
            deadline=hive.now() + timedelta(minutes=10),
        )  # fmt: skip
    set_row(hive, ADA, model=ONE_LINE[2], blocked=Blocked.CRASHED, blocked_reason=text, warnings="\n".join(ONE_LINE))
    set_row(hive, BOB, model=text, warnings=text)
    with hive.db.write():
        number = operations.ask(hive, ADA, Verb.DEPLOY, by=OPERATOR, argument="7")
        OperationRow.update(state=OperationState.FAILED, error=text, ended_at=hive.now()).where(
            OperationRow.number == number
        ).execute()
    built = building.log_of(hive, ADA, 7)
    built.parent.mkdir(parents=True)
    built.write_bytes(ALL.encode("utf-8", "surrogatepass") + b"\n")
    log = hive.paths.agent_log(ADA)
    log.mkdir(parents=True)
    (log / "harness.log").write_bytes(ALL.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("live", [False, True], ids=["when the page is opened", "when it comes later"])
def test_whatever_an_agent_writes_is_only_ever_read(look: Look, hive: Hive, live: bool) -> None:
    if not live:
        fill(hive)
    page = look.page()
    if live:
        fill(hive)
    expect(page.locator("#tools > li")).to_have_count(2)
    expect(page.locator("#questions > li")).to_have_count(2)
    expect(page.locator("#inbox > li")).to_have_count(2)
    page.locator("#agent-ada summary", has_text="logs").click()
    expect(page.locator("#agent-ada .log")).to_contain_text("alert(13)")
    page.locator("#inbox summary", has_text="all of it").click()
    expect(page.locator("#inbox .loaded")).to_contain_text("alert(13)")
    page.locator("#flow summary", has_text="all of it").first.click()
    expect(page.locator("#flow .loaded").first).to_contain_text("alert(13)")
    page.locator("#operations summary").click()
    expect(page.locator("#operations .loaded")).to_contain_text("alert(13)")
    expect(page.locator("#operations .trouble")).to_contain_text("alert(13)")
    expect(page).to_have_title("(4) hyperhive")
    assert page.locator(NOT_OURS).count() == 0
    ours, others = "one.origin === location.origin", "[one.protocol, one.rel, one.target]"
    within = page.eval_on_selector_all("main a", f"found => found.filter(one => {ours}).map(one => one.pathname)")
    assert set(within) == {"/agents/ada", "/agents/bob"}
    links = page.eval_on_selector_all("main a", f"found => found.filter(one => !({ours})).map(one => {others})")
    assert {tuple(link) for link in links} == {
        ("http:", "noopener noreferrer nofollow", "_blank"),
        ("https:", "noopener noreferrer nofollow", "_blank"),
    }
    words = page.locator("main").inner_text()
    # Nothing of it is left out, and no control of it is left in.
    assert "<script>alert(1)</script>" in words
    assert "{{ 7*7 }}" in words
    assert not set(words) & set("\u202e\u2066\x1b\x00\x9b\x07")
    for button in ("stop", "allow"):
        assert page.get_by_role("button", name=button, exact=True).count() == 2
    # The dialog repeats an agent's words, too.
    page.locator("#tools > li").nth(1).get_by_role("button", name="deny…").click()
    expect(page.get_by_role("dialog")).to_contain_text("onerror=alert(2)")
    assert page.locator(NOT_OURS).count() == 0


@pytest.mark.parametrize("live", [False, True], ids=["when the page is opened", "when it comes later"])
def test_whatever_an_agent_says_and_does_is_only_ever_read_on_its_page(look: Look, hive: Hive, live: bool) -> None:
    hive.paths.agent(ADA).mkdir(parents=True)
    log = EventLog(hive, ADA)
    if not live:
        fill(hive)
        say_all(hive, log)
    page = look.page()
    page.goto(f"{look.site.url}/agents/ada")
    expect(page.locator("html[data-live=yes]")).to_be_attached()
    if live:
        fill(hive)
        say_all(hive, log)
    log.close()
    expect(page.locator("#stream .is-turn")).to_have_count(2)
    expect(page.locator("#questions > li")).to_have_count(2)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    expect(page.locator(".about .log")).to_contain_text("alert(13)")
    expect(page.locator(".is-result .body").last).to_contain_text("alert(13)")
    expect(page.locator("#mail")).to_contain_text("alert(13)")
    expect(page).to_have_title("(4) ada: blocked: crashed")
    assert page.locator(NOT_OURS).count() == 0
    links = page.eval_on_selector_all(
        "main a:not([data-opens]):not(.name)", "found => found.map(one => [one.protocol, one.rel, one.target])"
    )
    assert {tuple(link) for link in links} == {
        ("http:", "noopener noreferrer nofollow", "_blank"),
        ("https:", "noopener noreferrer nofollow", "_blank"),
    }
    words = page.locator("body").inner_text()
    assert words.count("<script>alert(1)</script>") > 10
    assert not set(words) & set("\u202e\u2066\x1b\x00\x9b\x07")
    for button in ("stop", "send"):
        assert page.get_by_role("button", name=button, exact=True).count() == 1


def say_all(hive: Hive, log: EventLog) -> None:
    """Put them into every field of each kind of event."""
    send(hive, STORABLE.encode("utf-8", "replace").decode())
    for one in (ALL, "x" * 5000 + ALL):
        for kind, data in (
            (EventKind.PROMPT, {"turn": one, "messages": [one], "text": one}),
            (EventKind.TEXT, {"text": one}),
            (EventKind.TOOL, {"id": one, "name": one, "input": {one: one, "nested": {one: [one]}}}),
            (EventKind.TOOL, {"id": one, "name": "Bash", "input": {"command": one}}),
            (
                EventKind.TOOL,
                {"id": one, "name": "Edit", "input": {"file_path": one, "old_string": one, "new_string": f"{one}x"}},
            ),
            (EventKind.TOOL, {"id": one, "name": "mcp__x__" + one, "input": {one: one}}),
            (EventKind.STATE, {"state": one, "why": one}),
            (EventKind.NOTE, {"text": one}),
            (EventKind.BUILD, {"deployment": one, "line": one}),
            (EventKind.ASK, {"approval": one, "tool": one, "text": one}),
            (EventKind.RESULT, {"id": one, "is_error": True, "text": one}),
            (EventKind.TURN, {"turn": one, "outcome": one, "seconds": one, "cost_usd": one, "error": one}),
        ):
            log.add(kind, data, at=hive.now())


def test_a_page_without_its_policy_would_run_script_that_is_put_in(look: Look) -> None:
    """The control: what would complain does."""
    page = look.page()
    page.evaluate("document.body.insertAdjacentHTML('afterbegin', '<p id=mine onclick=\"document.title = 1\">press</p>')")
    page.locator("#mine").click()
    expect(page).to_have_title("hyperhive")
    assert any("Content Security Policy" in one for one in look.wrong)
    look.wrong.clear()
