"""What is shown of each agent agrees with the rows, the locks and the folders, and one is shown as all are."""

from datetime import timedelta

import pytest

from hyperhive.core import holding, roster, turns
from hyperhive.core.errors import NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.locks import Lock
from hyperhive.core.model import OPERATOR, Activity, Blocked, Outcome, Verb, Wanted
from tests.core.hives import ADA, BOB, begin, one_turn, send, set_row


def settings(hive: Hive, text: str) -> None:
    hive.paths.settings.write_text(text, encoding="utf-8")
    hive.__dict__.pop("settings", None)


def test_one_agent_is_shown_as_among_all(hive: Hive) -> None:
    send(hive)
    one_turn(hive, Outcome.LIMITED, until=hive.now() + timedelta(hours=1))
    assert [roster.get(hive, name) for name in (ADA, BOB)] == roster.listed(hive)


def test_an_agent_whose_harness_lives_does_what_the_harness_wrote_down(hive: Hive) -> None:
    send(hive)
    with Lock(hive.paths.harness_lock(ADA)) as lock:
        lock.take()
        epoch, _ = begin(hive)
        assert roster.get(hive, ADA).turn.state is Activity.THINKING
        turns.set_activity(hive, ADA, epoch=epoch, activity=Activity.WAITING)
        assert roster.get(hive, ADA).turn.state is Activity.WAITING
        assert roster.get(hive, ADA).mail.delivered == 1
    # What a dead one wrote down is no news.
    assert roster.get(hive, ADA).turn.state is Activity.IDLE


@pytest.mark.parametrize(
    ("hub", "places", "state"), [(True, 1, Activity.QUEUED), (True, 2, Activity.IDLE), (False, 1, Activity.IDLE)]
)
def test_who_waits_for_a_place_is_queued_since_its_oldest_message(hive: Hive, hub: bool, places: int, state: Activity) -> None:
    settings(hive, f"max_active = {places}\n")
    oldest = send(hive, to=BOB)
    send(hive, to=BOB)
    with Lock(hive.paths.harness_lock(ADA)) as works, Lock(hive.paths.lock("hub")) as up:
        works.take()
        if hub:
            up.take()
        for bob in (roster.get(hive, BOB), roster.listed(hive)[1]):
            assert bob.turn.state is state
            assert (bob.turn.since == oldest.sent_at) == (state is Activity.QUEUED)


def test_a_limit_is_shown_with_its_end_and_one_that_has_passed_not(hive: Hive) -> None:
    until = hive.now() + timedelta(hours=1)
    set_row(hive, ADA, blocked=Blocked.LIMITED, blocked_since=hive.now(), blocked_until=until, blocked_reason="used up")
    ada = roster.get(hive, ADA)
    assert (ada.blocked, ada.blocked_until, ada.blocked_reason, ada.turn.until) == (Blocked.LIMITED, until, "used up", until)
    set_row(hive, ADA, blocked_until=hive.now())
    ada = roster.get(hive, ADA)
    assert (ada.blocked, ada.blocked_until, ada.blocked_reason, ada.turn.until) == (Blocked.NONE, None, None, None)


def test_what_is_under_way_is_shown_while_it_is(hive: Hive) -> None:
    with holding.under_way(hive, ADA, Verb.RESTART, by=OPERATOR):
        under_way = roster.get(hive, ADA).under_way
        assert under_way is not None
        assert under_way.what == "restarting"
        assert roster.get(hive, BOB).under_way is None
    assert roster.get(hive, ADA).under_way is None


def test_a_destroyed_agent_is_listed_only_when_everything_is_asked_for(hive: Hive) -> None:
    set_row(hive, ADA, wanted=Wanted.DESTROYED)
    assert [agent.name for agent in roster.listed(hive)] == [BOB]
    assert [agent.name for agent in roster.listed(hive, everything=True)] == [ADA, BOB]
    assert not roster.get(hive, ADA).running
    with hive.db.read(), pytest.raises(NotFound, match="ada was destroyed"):
        roster.living(ADA)


def test_a_login_is_a_token_a_file_or_a_shared_key_and_no_block(hive: Hive) -> None:
    assert not roster.get(hive, ADA).logged_in
    settings(hive, '[claude]\nenv = { ANTHROPIC_API_KEY = "k" }\n')
    assert roster.get(hive, ADA).logged_in
    set_row(hive, ADA, login_refused_at=hive.now())
    assert not roster.get(hive, ADA).logged_in
    settings(hive, "")
    set_row(hive, ADA, login_refused_at=None)
    hive.paths.agent(ADA).mkdir()
    hive.paths.agent_token(ADA).write_text("t", encoding="utf-8")
    assert roster.get(hive, ADA).logged_in


@pytest.mark.parametrize("name", ["eve", "a\ud800", "", "a" * 300])
def test_who_is_not_there_is_not_found(hive: Hive, name: str) -> None:
    with pytest.raises(NotFound, match="there is no agent"):
        roster.get(hive, name)
