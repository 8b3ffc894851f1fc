"""An agent's life: what was half made or half removed can be made or removed again, and nothing is given twice."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive.core import (
    agents,
    builds,
    eligibility,
    folders,
    follow,
    holding,
    messages,
    operations,
    roster,
    spawning,
    turns,
    wishes,
)
from hyperhive.core.agent_config import AgentConfig, Mount
from hyperhive.core.config import UID_BASE, UID_RANGE
from hyperhive.core.errors import Conflict, Denied, Expired, Invalid, NotFound, Unavailable
from hyperhive.core.hive import Hive
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, Blocked, Flavor, MessageState, OperationState, Outcome, Verb, Wanted
from hyperhive.core.tables import AgentRow, DeploymentRow, OperationRow, TurnRow
from tests.core.hives import ADA, begin, end, one_turn, program, row_of, send, set_row

HARNESS = """
with Lock(hive.paths.harness_lock(ADA)) as lock:
    lock.take()
    epoch = turns.begin_epoch(hive, ADA)
    begun = turns.begin(hive, ADA, epoch=epoch, model=None, conversation="c")
    import subprocess
    child = subprocess.Popen(["sleep", "600"], env={"HYPERHIVE_BOX": str(hive.paths.agent(ADA))}, start_new_session=True)
    print(child.pid, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["end"]:
                turns.end(hive, ADA, epoch=epoch, turn=begun.number, outcome=Outcome.OK, usage=turns.Usage())
                break
            case ["take"]:
                print(*operations.take(hive, ADA, Verb.CANCEL, Verb.LEAVE), flush=True)
            case ["cancel", number]:
                turns.end(hive, ADA, epoch=epoch, turn=begun.number, outcome=Outcome.CANCELLED, usage=turns.Usage())
                operations.finish(hive, int(number))
    turns.end_epoch(hive, ADA, epoch=epoch)
"""


@pytest.fixture
def hive(empty: Hive) -> Hive:
    """A hive whose agents need no container."""
    empty.paths.settings.write_text('runtime = "host"\n', encoding="utf-8")
    return empty


def spawn(hive: Hive, name: AgentName = ADA, **more: object) -> spawning.Spawned:
    return spawning.spawn(hive, name, by=OPERATOR, **more)  # type: ignore[arg-type]  # as given


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


# ---- spawn ----


def test_a_new_agent_is_started_with_what_it_was_given(hive: Hive) -> None:
    made = spawn(hive, flavor=Flavor.MANAGER, config=AgentConfig(role="You lead.", model="opus"))
    assert (made.agent.name, made.agent.flavor, made.agent.wanted, made.reused) == (ADA, Flavor.MANAGER, Wanted.STARTED, False)
    assert made.agent.model == "opus"
    config, warnings = builds.config_of(hive, ADA, made.agent.deployed)
    assert (config.role, warnings) == ("You lead.", [])
    assert holding.running(hive) == {}
    assert sorted(path.name for path in hive.paths.wake.iterdir()) == ["ada", "hive"]


def test_an_agent_that_lives_is_not_made_again(hive: Hive) -> None:
    spawn(hive, config=AgentConfig(role="first"))
    with pytest.raises(Conflict, match="ada exists already"):
        spawn(hive)
    assert roster.get(hive, ADA).deployed == 2
    assert builds.config_of(hive, ADA, 2)[0].role == "first"


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (AgentConfig(model="-x"), Invalid),
        (AgentConfig(role="a\ud800"), Invalid),
        (AgentConfig(mounts=(Mount(source="/etc", target="/mnt/etc"),)), Invalid),
    ],
)
def test_what_cannot_be_as_it_was_asked_for_leaves_nothing(hive: Hive, config: AgentConfig, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        spawn(hive, config=config)
    assert roster.listed(hive, everything=True) == []
    for folder in (hive.paths.agents, hive.paths.run / "agents", hive.paths.state / "builds"):
        assert [path for path in folder.iterdir() if not path.name.startswith(".")] == []
    assert spawn(hive).agent.name == ADA


def test_a_folder_that_was_there_before_an_agent_was_refused_is_not_removed(hive: Hive) -> None:
    hive.paths.agent_state(ADA).mkdir(parents=True)
    (hive.paths.agent_state(ADA) / "notes").write_text("precious", encoding="utf-8")
    with pytest.raises(Invalid):
        spawn(hive, config=AgentConfig(mounts=(Mount(source="/etc", target="/mnt/etc"),)))
    assert spawn(hive).agent.name == ADA
    assert (hive.paths.agent_state(ADA) / "notes").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("step", ["deploying.folders.prepare", "building.builds.write_build"])
@pytest.mark.parametrize("then", ["spawn", "purge"])
def test_a_spawn_that_was_killed_half_way_can_be_made_again_or_purged(home: Path, hive: Hive, step: str, then: str) -> None:
    code = f"""
def die(*args, **kwargs):
    real(*args, **kwargs)
    os.kill(os.getpid(), 9)
real = spawning.{step}
spawning.{step} = die
spawning.spawn(hive, ADA, runtime="host", by=OPERATOR)
"""
    with program(home, code) as other:
        assert other.wait() == -9
    assert roster.listed(hive) == []
    assert [agent.wanted for agent in roster.listed(hive, everything=True)] == [Wanted.DESTROYED]
    with pytest.raises(NotFound):
        send(hive)
    if then == "purge":
        agents.purge(hive, ADA, by=OPERATOR)
        assert not hive.paths.agent(ADA).exists()
        assert roster.listed(hive, everything=True) == []
    made = spawn(hive)
    assert not made.reused
    assert row_of(hive, ADA).news == ""
    assert made.agent.wanted is Wanted.STARTED


def test_two_who_make_the_same_agent_make_one(home: Path, hive: Hive) -> None:
    code = """
from hyperhive.core.errors import Conflict
sys.stdin.readline()
try:
    spawning.spawn(hive, ADA, runtime="host", by=OPERATOR)
    print("made", flush=True)
except Conflict:
    print("refused", flush=True)
"""
    with program(home, code) as one, program(home, code) as two:
        one.tell()
        two.tell()
        assert sorted([one.heard(), two.heard()]) == ["made", "refused"]
    assert roster.get(hive, ADA).wanted is Wanted.STARTED


def test_only_root_names_a_user(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Denied, match="only root"):
        spawn(hive, user="root")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for user in ("no-such-user", "a\0b"):
        with pytest.raises(NotFound, match="has no user"):
            spawn(hive, user=user)
    assert roster.listed(hive, everything=True) == []


@pytest.mark.root
@pytest.mark.box
def test_a_range_of_uids_is_never_given_twice(hive: Hive) -> None:
    hive.paths.settings.write_text(f"uid_base = {UID_BASE}\n", encoding="utf-8")

    def uid_of(name: str) -> int | None:
        return spawn(hive, AgentName(name), runtime="bubblewrap").agent.uid

    assert [uid_of("ada"), uid_of("bob")] == [UID_BASE + UID_RANGE, UID_BASE + 2 * UID_RANGE]
    agents.destroy(hive, ADA, by=OPERATOR)
    assert uid_of("ada") == UID_BASE + UID_RANGE
    agents.destroy(hive, ADA, by=OPERATOR)
    agents.purge(hive, ADA, by=OPERATOR)
    assert uid_of("ada") == UID_BASE + 3 * UID_RANGE
    # Another base may lead to a range that is taken.
    hive.paths.settings.write_text(f'runtime = "host"\nuid_base = {UID_BASE - UID_RANGE * 2}\n', encoding="utf-8")
    hive.__dict__.pop("settings", None)
    taken = {agent.uid for agent in roster.listed(hive)}
    assert uid_of("eve") not in taken


@pytest.mark.root
@pytest.mark.box
def test_a_spawn_that_was_killed_goes_on_with_the_uids_that_it_had(home: Path, hive: Hive) -> None:
    code = """
def die(*args, **kwargs):
    os.kill(os.getpid(), 9)
spawning.building.builds.write_build = die
spawning.spawn(hive, ADA, runtime="bubblewrap", by=OPERATOR)
"""
    hive.paths.settings.write_text(f"uid_base = {UID_BASE}\n", encoding="utf-8")
    with program(home, code) as other:
        assert other.wait() == -9
    made = spawn(hive, runtime="bubblewrap").agent
    assert made.uid == UID_BASE + UID_RANGE
    assert hive.paths.agent_state(ADA).stat().st_uid == made.uid + 1000


@pytest.mark.root
@pytest.mark.box
def test_when_every_range_is_given_the_next_agent_is_refused(hive: Hive) -> None:
    hive.paths.settings.write_text(f"uid_base = {0x7FFF_FFFF - 2 * UID_RANGE + 1}\n", encoding="utf-8")
    spawn(hive, AgentName("last"), runtime="bubblewrap")
    with pytest.raises(Unavailable, match="every range of uids"):
        spawn(hive, runtime="bubblewrap")
    assert [agent.name for agent in roster.listed(hive, everything=True)] == ["last"]


# ---- start, stop, restart ----


def test_start_lifts_what_held_an_agent_back(hive: Hive) -> None:
    spawn(hive)
    send(hive)
    for _ in range(turns.CRASHES + 1):
        turns.begin_epoch(hive, ADA)
    assert row_of(hive, ADA).blocked is Blocked.CRASHED
    agents.start(hive, ADA, by=OPERATOR)
    assert [one.name for one in eligibility.eligible(hive)] == [ADA]
    assert row_of(hive, ADA).news == ""


def test_an_agent_that_was_stopped_hears_that_it_was_started(hive: Hive) -> None:
    spawn(hive, start=False)
    assert roster.get(hive, ADA).wanted is Wanted.STOPPED
    agents.start(hive, ADA, by=OPERATOR)
    send(hive)
    assert begin(hive)[1].news == "You were started."


def test_stop_lets_the_turn_end_and_says_so_when_it_takes_long(home: Path, hive: Hive) -> None:
    spawn(hive)
    sent = send(hive)
    with program(home, HARNESS) as harness:
        harness.heard()
        with pytest.raises(Expired, match="ada stops when its turn ends"):
            agents.stop(hive, ADA, by=OPERATOR, timeout=0.05)
        assert roster.get(hive, ADA).wanted is Wanted.STOPPED
        harness.tell("end")
        assert agents.stop(hive, ADA, by=OPERATOR).wanted is Wanted.STOPPED
    assert messages.get(hive, sent.number).state is MessageState.ACKNOWLEDGED
    send(hive)
    assert eligibility.eligible(hive) == []


def test_a_wish_to_leave_that_nobody_took_makes_no_later_harness_leave(hive: Hive) -> None:
    spawn(hive)
    agents.stop(hive, ADA, by=OPERATOR, now=True)
    agents.start(hive, ADA, by=OPERATOR)
    turns.begin_epoch(hive, ADA)
    assert operations.take(hive, ADA, Verb.LEAVE) == []


def test_restart_keeps_the_mail_and_starts_a_stopped_agent(hive: Hive) -> None:
    spawn(hive, start=False)
    send(hive)
    assert agents.restart(hive, ADA, by=OPERATOR).wanted is Wanted.STARTED
    assert begin(hive)[1].news == "You were restarted."


@pytest.mark.parametrize("verb", [agents.start, agents.stop, agents.restart, agents.kill, agents.destroy])
def test_nothing_can_be_done_to_an_agent_that_is_not_there(hive: Hive, verb: Callable[..., object]) -> None:
    with pytest.raises(NotFound, match="there is no agent ada"):
        verb(hive, ADA, by=OPERATOR)
    spawn(hive)
    agents.destroy(hive, ADA, by=OPERATOR)
    with pytest.raises(NotFound, match="ada was destroyed"):
        verb(hive, ADA, by=OPERATOR)
    assert row_of(hive, ADA).wanted is Wanted.DESTROYED


# ---- kill, destroy, purge ----


def test_kill_ends_everything_and_the_mail_comes_back_without_an_attempt(home: Path, hive: Hive) -> None:
    spawn(hive)
    sent = send(hive)
    with program(home, HARNESS) as harness:
        child = int(harness.heard())
        assert agents.kill(hive, ADA, by=OPERATOR).wanted is Wanted.STOPPED
        assert harness.wait() == -9
        assert gone(child)
    back = messages.get(hive, sent.number)
    assert (back.state, back.attempt, back.is_again) == (MessageState.PENDING, 0, True)
    assert [turn.outcome for turn in turns.listed(hive, ADA)] == [Outcome.INTERRUPTED]
    row = row_of(hive, ADA)
    # No crash: it was asked for.
    assert (row.ended_epoch, row.blocked) == (row.epoch, Blocked.NONE)


def test_destroy_ends_the_mail_visibly_and_keeps_the_rest(home: Path, hive: Hive) -> None:
    spawn(hive, config=AgentConfig(role="kept"))
    wishes.set_model(hive, ADA, "opus")
    one = send(hive)
    one_turn(hive, Outcome.OK)
    two = send(hive)
    with program(home, HARNESS) as harness:
        harness.heard()
        three = send(hive)
        agents.destroy(hive, ADA, by=OPERATOR)
        assert harness.wait() == -9
    states = [messages.get(hive, message.number) for message in (one, two, three)]
    assert [message.state for message in states] == [MessageState.ACKNOWLEDGED, MessageState.EXPIRED, MessageState.EXPIRED]
    assert states[2].reason == "ada was destroyed"
    assert len(turns.listed(hive, ADA)) == 2
    (hive.paths.agent_state(ADA) / "notes").write_text("mine", encoding="utf-8")
    made = spawn(hive)
    assert made.reused
    assert made.agent.model == "opus"
    assert builds.config_of(hive, ADA, made.agent.deployed)[0].role == "kept"
    assert (hive.paths.agent_state(ADA) / "notes").read_text(encoding="utf-8") == "mine"
    assert row_of(hive, ADA).news == "You were made anew; what your earlier self kept is still there."
    assert eligibility.eligible(hive) == []


def test_a_new_self_lives_in_the_kind_of_container_that_its_state_was_made_for(hive: Hive) -> None:
    spawn(hive, runtime="host")
    agents.destroy(hive, ADA, by=OPERATOR)
    hive.paths.settings.write_text('runtime = "auto"\n', encoding="utf-8")
    hive.__dict__.pop("settings", None)
    assert spawn(hive).agent.runtime == "host"


def test_a_kept_configuration_that_cannot_be_read_is_not_taken_for_another(hive: Hive) -> None:
    made = spawn(hive)
    agents.destroy(hive, ADA, by=OPERATOR)
    assert made.agent.deployed is not None
    (hive.paths.build(ADA, made.agent.deployed) / "agent.json").write_text("{", encoding="utf-8")
    # As a release wrote it that kept no commits.
    with hive.db.write():
        DeploymentRow.update(commit=None).execute()
    with pytest.raises(Conflict, match="the configuration that is kept of ada cannot be read"):
        spawn(hive)
    assert row_of(hive, ADA).wanted is Wanted.DESTROYED
    assert spawn(hive, config=AgentConfig(role="new")).reused


def test_an_agent_that_lives_is_not_purged(hive: Hive) -> None:
    spawn(hive)
    with pytest.raises(Conflict, match="ada lives"):
        agents.purge(hive, ADA, by=OPERATOR)
    assert hive.paths.agent_state(ADA).is_dir()


def test_purge_leaves_nothing_but_its_words(hive: Hive) -> None:
    spawn(hive)
    sent = send(hive, to=OPERATOR, sender=ADA, key="k")
    send(hive)
    one_turn(hive, Outcome.OK)
    agents.destroy(hive, ADA, by=OPERATOR)
    agents.purge(hive, ADA, by=OPERATOR)
    for path in (hive.paths.agent(ADA), hive.paths.agent_run(ADA), hive.paths.builds(ADA)):
        assert not path.exists()
    with hive.db.read():
        assert not AgentRow.select().exists()
        assert not TurnRow.select().exists()
        assert not OperationRow.select().exists()
    assert messages.get(hive, sent.number).sender == ADA
    with pytest.raises(NotFound):
        agents.purge(hive, ADA, by=OPERATOR)
    # Another ada with the same key says something of its own.
    spawn(hive)
    assert send(hive, to=OPERATOR, sender=ADA, key="k").number > sent.number


@pytest.mark.parametrize("then", ["spawn", "purge"])
def test_a_purge_that_failed_half_way_goes_on_or_leaves_no_earlier_self(
    hive: Hive, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    spawn(hive, config=AgentConfig(role="old"))
    wishes.set_model(hive, ADA, "opus")
    agents.destroy(hive, ADA, by=OPERATOR)

    def fail(*_: object) -> None:
        raise Unavailable("1 things of ada cannot be removed")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "purge", fail)
        with pytest.raises(Unavailable):
            agents.purge(hive, ADA, by=OPERATOR)
    assert [agent.wanted for agent in roster.listed(hive, everything=True)] == [Wanted.DESTROYED]
    if then == "purge":
        agents.purge(hive, ADA, by=OPERATOR)
        assert roster.listed(hive, everything=True) == []
    made = spawn(hive)
    assert not made.reused
    assert made.agent.model is None
    assert builds.config_of(hive, ADA, made.agent.deployed)[0].role == ""


def test_no_harness_begins_while_an_agent_is_taken_away(home: Path, hive: Hive) -> None:
    spawn(hive)
    send(hive)
    code = """
import hyperhive.core.custody as custody
with custody.taken(hive, ADA):
    print("taken", flush=True)
    sys.stdin.readline()
"""
    with program(home, code) as other:
        assert other.heard() == "taken"
        assert is_held(hive.paths.harness_lock(ADA))
    assert not is_held(hive.paths.harness_lock(ADA))


# ---- wishes ----


def test_a_model_is_chosen_and_taken_back(hive: Hive) -> None:
    spawn(hive, config=AgentConfig(model="sonnet"))
    assert wishes.set_model(hive, ADA, "claude-sonnet-5-5[1m]").model == "claude-sonnet-5-5[1m]"
    assert wishes.set_model(hive, ADA, None).model == "sonnet"


@pytest.mark.parametrize("model", ["", "-x", "a b", "a\n", "x" * 101, "\u202e"])
def test_what_cannot_be_a_models_name_is_refused(hive: Hive, model: str) -> None:
    spawn(hive)
    with pytest.raises(Invalid, match="cannot be a model's name"):
        wishes.set_model(hive, ADA, model)


def test_without_a_turn_there_is_nothing_to_cancel(hive: Hive) -> None:
    spawn(hive)
    send(hive)
    with pytest.raises(Conflict, match="ada has no turn that could be cancelled"):
        wishes.cancel(hive, ADA, by=OPERATOR)
    # One that a dead harness left open is none.
    begin(hive)
    with pytest.raises(Conflict, match="ada has no turn that could be cancelled"):
        wishes.cancel(hive, ADA, by=OPERATOR)


CANCEL = """
import hyperhive.core.wishes as wishes
try:
    wishes.cancel(hive, ADA, by=OPERATOR)
    print("cancelled", flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


def test_a_turn_is_cancelled_by_the_harness_that_has_it(home: Path, hive: Hive) -> None:
    spawn(hive)
    sent = send(hive)
    with program(home, HARNESS) as harness:
        harness.heard()
        with program(home, CANCEL) as other:
            number = wait_for_wish(hive)
            harness.tell("take")
            # It names the turn that ran: the next one is not meant.
            assert harness.heard() == f"({number}, <Verb.CANCEL: 'cancel'>, '1')"
            harness.tell(f"cancel {number}")
            assert other.heard() == "cancelled"
    assert messages.get(hive, sent.number).state is MessageState.CANCELLED


def test_a_turn_whose_harness_dies_first_is_not_said_to_be_cancelled(home: Path, hive: Hive) -> None:
    spawn(hive)
    sent = send(hive)
    with program(home, HARNESS) as harness:
        harness.heard()
        with program(home, CANCEL) as other:
            wait_for_wish(hive)
            harness.tell("take")
            harness.heard()
            harness.kill()
            assert other.heard() == "Conflict the turn of ada was not cancelled: its harness ended before"
    turns.begin_epoch(hive, ADA)
    assert messages.get(hive, sent.number).state is MessageState.PENDING


def wait_for_wish(hive: Hive) -> int:
    """Wait until somebody has asked the harness for something."""
    for _ in follow.commits(hive):
        with hive.db.read():
            row = OperationRow.get_or_none(OperationRow.verb == Verb.CANCEL, OperationRow.state == OperationState.PENDING)
        if row is not None:
            return int(row.number)
    raise AssertionError


def test_a_conversation_that_never_began_is_not_compacted(hive: Hive) -> None:
    spawn(hive)
    with pytest.raises(Conflict, match="ada has no conversation yet"):
        wishes.compact(hive, ADA, by=OPERATOR)
    set_row(hive, ADA, conversation="c")
    wishes.compact(hive, ADA, by=OPERATOR)
    assert [one.name for one in eligibility.eligible(hive)] == [ADA]
    agents.stop(hive, ADA, by=OPERATOR)
    with pytest.raises(Conflict, match="ada is not running"):
        wishes.compact(hive, ADA, by=OPERATOR)


def test_what_is_shown_of_an_agent_that_does_nothing(hive: Hive) -> None:
    spawn(hive)
    send(hive)
    epoch, begun = begin(hive)
    end(hive, epoch, begun.number, Outcome.FAILED, error="no")
    ada = roster.get(hive, ADA)
    assert (ada.mail.pending, ada.mail.delivered, ada.mail.dead) == (1, 0, 0)
    assert ada.last_turn is not None
    assert ada.last_turn.outcome is Outcome.FAILED
    assert (ada.turn.state, ada.under_way) == ("idle", None)
    with pytest.raises(NotFound):
        roster.get(hive, "bob")
