"""What lies in a repository is shown as it is, whatever it is, and an agent can be given any of it again."""

import html
import re
from urllib.parse import quote

import pytest

from hyperhive.core import (
    agent_toml,
    agents,
    applied,
    approvals,
    building,
    commits,
    deployments,
    git,
    git_objects,
    operate,
    operations,
    proposals,
    reviews,
    spawning,
)
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, AgentName, DeploymentOutcome, OperationState, Verb
from tests.core.hives import EVE
from tests.web.visitor import Visitor

MISCHIEF = "<script>alert(1)</script>\u202e\x1b]52;c;AAAA\x07 javascript:alert(2) https://example.org/\"onmouseover='alert(3)'"
PATH = "tools/<img src=x> 100%?#&.sh"


@pytest.fixture
def eve(hive: Hive) -> AgentName:
    """A worker whose configuration has a history: two that were deployed, one that was denied, one that waits."""
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(role="first"), by=OPERATOR)
    for role in ("second", "denied", "third"):
        files = {"agent.toml": agent_toml.write(AgentConfig(role=role)), PATH: MISCHIEF.encode(), "photo.png": bytes(range(256))}
        asked = proposals.by_operator(hive, EVE, files, message=f"Be {role}\n\n{MISCHIEF}")
        if role == "second":
            operation = approvals.approve(hive, asked.number, by=OPERATOR).operation
            assert operation is not None
            operate.run(hive, operation)
        elif role == "denied":
            approvals.deny(hive, asked.number, by=OPERATOR)
            operate.publish(hive, EVE)
    return EVE


def words(text: str) -> str:
    """What a page says."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def numbers(hive: Hive) -> list[int]:
    return [one.number for one in deployments.history(hive, EVE)]


def test_each_commit_says_what_became_of_it(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    page = operator.get("/repositories/eve").text
    first, second = numbers(hive)
    denied, waits = approvals.listed(hive, everything=True)[-2:]
    said = words(page)
    assert f"Be second main proposal/{second} approved/{second} deployed/{second} operator" in said
    assert f"Be denied proposal/{denied.number} denied/{denied.number} operator" in said
    assert f"Be third proposal/{waits.number} operator" in said
    assert f"Spawn eve approved/{first} deployed/{first} operator" in said
    assert re.findall(r'href="/agents/eve/rollback/(\d+)"', page) == [str(first)]
    assert "applied now" in said
    assert words(operator.get("/repositories").text).count("eve worker runs deployment") == 1


def test_a_commit_is_shown_with_what_it_changes_and_holds(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    now = reviews.current(hive, eve)
    page = operator.get(f"/repositories/eve/{now.commit}").text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert not set(page) & set("\u202e\x1b\x07")
    assert "its role is now: second" in words(page)
    assert '<span class="removed">-first' in page or '<span class="removed">-role = &#34;first' in page
    assert '<span class="file">+++ b/agent.toml' in page
    address = f"/repositories/eve/{now.commit}/files/{quote(PATH)}"
    assert f'href="{address}"' in page
    file = operator.get(address)
    assert "&lt;script&gt;alert(1)" in file.text
    assert "<script>alert" not in file.text
    assert not set(file.text) & set("\u202e\x1b\x07")
    assert file.headers["Content-Type"].startswith("text/html")
    assert "It is no text" in operator.get(f"/repositories/eve/{now.commit}/files/photo.png").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/repositories/nobody", 404),
        ("/repositories/Eve", 422),
        ("/repositories/eve/main", 422),
        ("/repositories/eve/" + "0" * 40, 404),
        ("/repositories/eve/" + "0" * 40 + "/to/" + "1" * 40, 404),
        ("/repositories/eve/COMMIT/files/nothing", 404),
        ("/repositories/eve/COMMIT/files/tools", 404),
        ("/repositories/eve/COMMIT/files/..%2f..%2f..%2fetc%2fpasswd", 422),
        ("/repositories/eve/COMMIT/files/a%00b", 422),
        ("/repositories/eve/page/0", 404),
        ("/repositories/eve/page/99999999999", 404),
        ("/agents/eve/rollback/999", 404),
        ("/deployments/999/build", 404),
    ],
)
def test_what_is_not_there_is_said(operator: Visitor, hive: Hive, eve: AgentName, path: str, status: int) -> None:
    commit = reviews.current(hive, eve).commit
    assert operator.get(path.replace("COMMIT", commit)).status_code == status


def test_two_commits_are_compared(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    now = reviews.current(hive, eve).commit
    other = approvals.listed(hive)[-1].commit
    assert f'href="/repositories/eve/{now}/to/{other}"' in operator.get(f"/repositories/eve/{other}").text
    said = words(operator.get(f"/repositories/eve/{now}/to/{other}").text)
    assert "its role is now: third" in said
    assert "No file differs" in words(operator.get(f"/repositories/eve/{now}/to/{now}").text)


def test_a_rollback_shows_what_it_changes_and_is_done_over_just_that(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    first, second = numbers(hive)
    now = reviews.current(hive, eve).commit
    page = operator.get(f"/agents/eve/rollback/{first}").text
    assert "its role is now: first" in words(page)
    assert f'name="over" value="{now}"' in page
    assert operator.post(f"/agents/eve/rollback/{first}", {"over": "0" * 40}).status_code == 409
    assert operations.listed(hive) == []
    answer = operator.post(f"/agents/eve/rollback/{first}", {"over": now})
    (asked,) = operations.listed(hive)
    assert f'href="/#operation-{asked.number}"' in answer.text
    assert (asked.verb, asked.state, asked.asked_by) == (Verb.DEPLOY, OperationState.PENDING, OPERATOR)
    assert (hive.paths.wake / "hive").exists()
    operate.run(hive, asked.number)
    done = deployments.history(hive, eve)[-1]
    assert (done.outcome, done.number > second) == (DeploymentOutcome.DEPLOYED, True)
    assert building.config_in(hive, eve, done.commit or "")[0].role == "first"
    log = words(operator.get("/deployments").text)
    assert f"rollback eve {done.number}" in log
    assert log.index("rollback eve") < log.index("deploy eve") < log.index("spawn eve")
    # The same files once more would be nothing.
    assert operator.get(f"/agents/eve/rollback/{first}").status_code == 409


def test_of_a_destroyed_agent_the_repository_stays_and_nothing_goes_back(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    first, _ = numbers(hive)
    agents.destroy(hive, eve, by=OPERATOR)
    page = operator.get("/repositories/eve").text
    assert "applied at last" in page
    assert "rollback" not in page
    assert operator.get(f"/agents/eve/rollback/{first}").status_code == 404
    assert "destroyed, kept" in operator.get("/repositories").text


def test_an_agent_that_is_only_asked_for_has_a_repository_already(operator: Visitor, hive: Hive) -> None:
    asked = proposals.spawn_by_operator(hive, AgentName("lily"), role="You look after the lilies.")
    assert "lily asked for" in words(operator.get("/repositories").text)
    assert f"Ask for lily proposal/{asked.number}" in words(operator.get("/repositories/lily").text)
    page = operator.get(f"/repositories/lily/{asked.commit}").text
    assert "What it begins with" in page
    assert "You look after the lilies." in page
    assert f'href="/repositories/lily/{asked.commit}"' in operator.get(f"/approvals/{asked.number}/review").text


def test_many_commits_are_shown_page_by_page(
    operator: Visitor, hive: Hive, monkeypatch: pytest.MonkeyPatch, eve: AgentName
) -> None:
    monkeypatch.setattr("hyperhive.web.repositories._A_PAGE", 3)
    first, second = operator.get("/repositories/eve").text, operator.get("/repositories/eve/page/2").text
    found = [re.findall(r'first"><a href="/repositories/eve/([0-9a-f]{40})"', page) for page in (first, second)]
    assert [len(one) for one in found] == [3, 1]
    assert sorted(found[0] + found[1]) == sorted(one.commit.id for one in commits.listed(hive, eve))
    assert '/repositories/eve/page/2">older' in first
    assert '/repositories/eve">newer' in second
    assert "older" not in second


def test_a_commit_that_says_far_too_much_hides_no_other(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    before = len(commits.listed(hive, eve))
    now = reviews.current(hive, eve).commit
    repository, tree = applied.repository_of(hive, eve), applied.commit_of(hive, eve, now).tree
    long = git_objects.write_commit(repository, tree, parent=now, message="long " * 700_000, author="mona", at=hive.now())
    top = git_objects.write_commit(repository, tree, parent=long, message="Build on it", author="mona", at=hive.now())
    # Of a name that somebody made by hand.
    git.run(repository, ["update-ref", "refs/tags/mine", top])
    said = words(operator.get("/repositories/eve").text)
    assert len(commits.listed(hive, eve)) == before + 2
    assert "says more than" in said
    assert "Be second" in said
    assert "Build on it mine mona" in said
    assert operator.get(f"/repositories/eve/{long}").status_code == 422
    assert "Build on it" in operator.get(f"/repositories/eve/{top}").text


def test_a_long_difference_says_that_it_was_cut(operator: Visitor, hive: Hive, eve: AgentName) -> None:
    asked = proposals.by_operator(hive, eve, {"long": b"all work and no play\n" * 50_000}, message="Write a book")
    page = operator.get(f"/repositories/eve/{asked.commit}").text
    assert re.search(r"… \d+ bytes of the difference are left out", page)
    assert len(page) < 2_000_000
    assert operator.get(f"/repositories/eve/{asked.commit}/files/long").status_code == 422


def test_the_log_of_a_hive_that_has_deployed_nothing_is_empty(operator: Visitor) -> None:
    assert "Nothing was deployed yet." in operator.get("/deployments").text
    assert "There is none yet" in operator.get("/repositories").text
