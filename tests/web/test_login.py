"""An agent is logged in from its page, by nobody but the operator."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from hyperhive.core import folders, process, roster, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.errors import Conflict, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.log import Log
from hyperhive.core.login_dialogue import Dialogue, Said, Step
from hyperhive.core.model import OPERATOR, AgentName, Network, parse_name
from tests.core.hives import ADA, hive_in
from tests.web.looking import Look
from tests.web.reader import PATIENCE
from tests.web.visitor import Visitor

# What the agent CLI does, as far as it can be seen: without its network nobody can log in.
STAND_IN = """#!/bin/sh
case "$*" in *"auth login"*) ;; *) exit 3;; esac
echo 'Opening browser…'
printf "If the browser didn't open, visit:\\nhttps://claude.example/oauth/authorize?code=true&state=abc\\n\\n"
while :; do
  printf 'Paste code here if prompted > '
  read -r code || exit 4
  case $code in
    good#*) mkdir -p "$CLAUDE_CONFIG_DIR"; echo '{"claudeAiOauth": {}}' > "$CLAUDE_CONFIG_DIR/.credentials.json"; exit 0;;
    bad#*) echo "Couldn't log in: it is not known"; exit 1;;
    *) echo "That doesn't look like the full code. Copy all of it, including the # in the middle.";;
  esac
done
"""


@pytest.fixture
def hive(home: Path) -> Iterator[Hive]:
    """A hive with ada, whose agent CLI asks for a login and then knows one."""
    program = home / "claude"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    home.joinpath("hive.toml").write_text(f'[claude]\ncommand = ["{program}"]\n')
    found = hive_in(home)
    spawning.spawn(found, ADA, runtime="host", by=OPERATOR)
    yield found
    found.close()


class Talk:
    """A login, and who waits for what it says."""

    def __init__(self, hive: Hive, name: AgentName = ADA) -> None:
        self.news = threading.Condition()
        self.is_there = True
        self.dialogue = Dialogue(hive, name, Log("web", quiet=True), is_watched=lambda: self.is_there, say=self.hear)
        self.dialogue.start()

    def hear(self) -> None:
        with self.news:
            self.news.notify_all()

    def until(self, step: Step, text: str = "") -> Said:
        with self.news:
            assert self.news.wait_for(lambda: self.dialogue.said.step is step and text in self.dialogue.said.text, PATIENCE), (
                self.dialogue.said
            )
            return self.dialogue.said


@pytest.fixture
def talk(hive: Hive) -> Iterator[Talk]:
    """A login of ada that has begun."""
    made = Talk(hive)
    yield made
    made.dialogue.end()
    made.dialogue.join(PATIENCE)


def left_behind(hive: Hive) -> int:
    return process.end_marked(process.VISIT, str(hive.paths.agent(ADA)))


def test_a_code_logs_it_in(hive: Hive, talk: Talk) -> None:
    assert not roster.get(hive, ADA).logged_in
    assert talk.until(Step.ASKS).address == "https://claude.example/oauth/authorize?code=true&state=abc"
    talk.dialogue.give("half")
    assert talk.until(Step.ASKS, "Paste code").address.startswith("https://")
    talk.dialogue.give(" good#code\n")
    assert talk.until(Step.DONE).text == "ada is logged in"
    assert roster.get(hive, ADA).logged_in
    talk.dialogue.join(PATIENCE)
    with pytest.raises(Conflict):
        talk.dialogue.give("good#again")


def test_a_refusal_is_told_in_its_own_words(hive: Hive, talk: Talk) -> None:
    talk.until(Step.ASKS)
    talk.dialogue.give("bad#code")
    assert talk.until(Step.FAILED).text == "Couldn't log in: it is not known"
    assert not roster.get(hive, ADA).logged_in


@pytest.mark.parametrize("code", ["", "two\nlines", "a b", "x" * 5000, "é#x", "\x04"])
def test_what_is_no_code_is_not_handed_over(talk: Talk, code: str) -> None:
    talk.until(Step.ASKS)
    with pytest.raises(Invalid):
        talk.dialogue.give(code)


def test_one_that_is_given_up_leaves_nothing_behind(hive: Hive, talk: Talk) -> None:
    talk.until(Step.ASKS)
    talk.dialogue.end()
    talk.until(Step.FAILED, "given up")
    talk.dialogue.join(PATIENCE)
    assert left_behind(hive) == 0


def test_one_whose_page_was_left_is_given_up(hive: Hive, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    talk.until(Step.ASKS)
    monkeypatch.setattr("hyperhive.core.login_dialogue.AWAY_MOST", 0.0)
    talk.is_there = False
    talk.until(Step.FAILED, "nobody had this page open")
    talk.dialogue.join(PATIENCE)
    assert left_behind(hive) == 0


def test_one_that_takes_too_long_is_given_up(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    talk.until(Step.ASKS)
    monkeypatch.setattr("hyperhive.core.login_dialogue.MOST", 0.0)
    talk.until(Step.FAILED, "too long")


def test_what_says_too_much_is_ended(hive: Hive) -> None:
    Path(hive.settings.claude.command[0]).write_text("#!/bin/sh\nexec yes javascript:alert\n")
    flood = Talk(hive)
    assert flood.until(Step.FAILED).address == ""
    flood.dialogue.join(PATIENCE)
    assert left_behind(hive) == 0


@pytest.mark.box
@pytest.mark.claude
@pytest.mark.parametrize("network", ["open", "none"])
def test_the_agent_cli_asks_as_we_expect_it_to(home: Path, network: str) -> None:
    hive = hive_in(home / "real")
    spawning.spawn(hive, ADA, config=AgentConfig(network=Network(network)), by=OPERATOR)
    talk = Talk(hive)
    assert "/oauth/authorize?" in talk.until(Step.ASKS).address
    talk.dialogue.give("half")
    assert "full code" in talk.until(Step.ASKS, "look like").text
    talk.dialogue.end()
    talk.dialogue.join(PATIENCE)
    assert left_behind(hive) == 0
    hive.close()


def test_only_who_is_logged_in_logs_an_agent_in(stranger: Visitor, operator: Visitor, hive: Hive) -> None:
    for path in ("login", "login/code", "login/end", "token"):
        assert stranger.post(f"/agents/ada/{path}", {"token": "sk-ant-oat01-x", "code": "a#b"}).status_code in (401, 403)
    assert operator.post("/agents/eve/login").status_code == 404
    assert operator.post("/agents/ada/login/code", {"code": "a#b"}).status_code == 409
    assert not roster.get(hive, ADA).logged_in


def test_a_token_is_kept_and_never_shown(operator: Visitor, hive: Hive) -> None:
    token = "sk-ant-oat01-canary-0123456789"
    assert operator.post("/agents/ada/token", {"token": "no"}).status_code == 422
    answer = operator.post("/agents/ada/token", {"token": f" {token}\n"})
    assert (answer.status_code, token in answer.text) == (200, False)
    assert folders.read_token(hive, ADA) == token
    refused = operator.post("/agents/eve/token", {"token": token})
    assert (refused.status_code, token in refused.text) == (404, False)
    bad = operator.post("/agents/ada/token", {"token": f"{token} \x01"})
    assert (bad.status_code, token in bad.text) == (422, False)
    assert token not in operator.get("/agents/ada").text
    log = hive.paths.log / "web.log"
    assert not log.exists() or token not in log.read_text(encoding="utf-8")


@pytest.mark.browser
def test_an_agent_is_logged_in_on_its_page(look: Look, hive: Hive) -> None:
    page = look.page()
    page.goto(f"{look.site.url}/agents/ada")
    expect(page.locator("#troubles-live")).to_contain_text("not logged in")
    page.get_by_role("link", name="Log it in").click()
    expect(page.locator("#login-code")).to_be_hidden()
    page.get_by_role("button", name="log in with the agent CLI").click()
    link = page.locator("#login-live a")
    expect(link).to_have_attribute("href", "https://claude.example/oauth/authorize?code=true&state=abc")
    assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener noreferrer nofollow", "_blank")
    page.locator("#login-code input").fill("good#code")
    page.locator("#login-code button").click()
    expect(page.locator("#login-live")).to_contain_text("ada is logged in")
    expect(page.locator("#troubles-live")).not_to_contain_text("not logged in")
    expect(page.locator("#login-code input")).to_have_value("")
    assert roster.get(hive, parse_name("ada")).logged_in
