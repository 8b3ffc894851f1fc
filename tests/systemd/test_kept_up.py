"""A hive that systemd keeps up: agents wake, whatever is killed comes back, and it outlives its hub and its machine."""

import re
import signal
from functools import partial

import pytest

from hyperhive.core import doorbell, folders, operations, questions
from hyperhive.core.locks import is_held
from hyperhive.core.model import OPERATOR, AgentName, MessageState, OperationState, Outcome, QuestionOutcome, Verb
from hyperhive.core.tables import AgentRow, ObservationRow
from tests.core.hives import add_agent
from tests.systemd.conftest import Model
from tests.systemd.hosted import PYTHON, Hosted

pytestmark = [pytest.mark.systemd, pytest.mark.box, pytest.mark.xdist_group("systemd")]
HUB = "hyperhive-hub.service"
MANY = 300
# Of so many one is asked, all at the same time.
EACH = 30


def unit(name: str) -> str:
    return f"hyperhive-agent@{name}.service"


def told(hosted: Hosted, name: str) -> list[str]:
    """What the operator was told of crashes of this agent."""
    return [one.body for one in hosted.inbox() if re.match(rf"container_crash: (the container of )?{name} ", one.body)]


def passes(hosted: Hosted, command: str) -> int:
    """When the last pass of a timer's service ended well, in microseconds since the boot; 0 before the first."""
    state = hosted.host.systemctl("show", "--property=Result,ExecMainExitTimestampMonotonic", f"hyperhive-{command}.service")
    values = dict(line.split("=") for line in state.splitlines())
    assert values["Result"] == "success"
    return int(values["ExecMainExitTimestampMonotonic"])


@pytest.mark.claude
def test_a_message_wakes_the_unit_of_an_agent(hosted: Hosted) -> None:
    hosted.use_claude()
    hosted.spawn("ada")
    sent = hosted.send("ada", "good morning")
    assert hosted.ended(sent.number).state is MessageState.ACKNOWLEDGED
    assert hosted.outcomes("ada") == [Outcome.OK]
    hosted.until(lambda: hosted.state_of(unit("ada")) == "inactive", "the unit ends with the agent's work")
    assert "epoch 1 ends" in hosted.host.journal(f"--unit={unit('ada')}")


@pytest.mark.claude
def test_turns_and_operations_go_on_while_the_hub_is_started_anew_and_it_counts_them(hosted: Hosted, model: Model) -> None:
    hosted.configure(max_active=2)
    names = [hosted.spawn(name) for name in ("bob", "cyd", "dan")]
    model.may_answer.clear()
    asked = len(hosted.api.requests)
    sent = [hosted.send(name, "good morning") for name in names[:2]]
    hosted.api.wait_for_requests(asked + 2, 40)
    # It waits for the end of the turn.
    with hosted.hive.db.write():
        number = operations.ask(hosted.hive, names[0], Verb.RESTART, by=OPERATOR)
    doorbell.ring_hive(hosted.hive.paths)
    units = [unit("bob"), unit("cyd"), f"hyperhive-operation@{number}.service"]
    before = [hosted.until(partial(hosted.pid_of, one), f"{one} runs") for one in units]
    hosted.host.systemctl("restart", HUB)
    sent.append(hosted.send("dan", "good morning"))
    hosted.hub_has_looked()
    assert [hosted.pid_of(one) for one in units] == before
    assert hosted.state_of(unit("dan")) == "inactive"
    model.may_answer.set()
    assert {hosted.ended(one.number).state for one in sent} == {MessageState.ACKNOWLEDGED}
    assert [hosted.outcomes(name) for name in names] == [[Outcome.OK]] * 3
    hosted.until(lambda: operations.get(hosted.hive, number).state is OperationState.DONE, "the operation is done")


def test_twenty_messages_one_after_the_other_find_the_agent_each_time(hosted: Hosted) -> None:
    hosted.spawn("eve")
    for number in range(20):
        # Sent while the harness of the message before ends, and its unit with it.
        assert hosted.ended(hosted.send("eve", f"message {number}").number).state is MessageState.ACKNOWLEDGED
    assert set(hosted.outcomes("eve")) == {Outcome.OK}


def test_a_hub_that_is_killed_is_back_and_serves(hosted: Hosted) -> None:
    hosted.spawn("fox")
    before = hosted.pid_of(HUB)
    hosted.kill(HUB)
    hosted.until(lambda: hosted.pid_of(HUB) not in (0, before), "there is another hub")
    assert hosted.ended(hosted.send("fox", "good morning").number).state is MessageState.ACKNOWLEDGED


def test_the_dashboard_is_served(hosted: Hosted) -> None:
    where = hosted.run("web", "login").stdout.strip()
    asked = f"import urllib.request; print(urllib.request.urlopen({where!r}).read().decode())"
    hosted.until(lambda: hosted.state_of("hyperhive-web.service") == "active", "it is up")
    assert "hyperhive" in hosted.host.run([PYTHON, "-c", asked]).stdout


@pytest.mark.claude
def test_a_harness_that_is_killed_in_its_turn_is_started_again_with_its_message(hosted: Hosted, model: Model) -> None:
    hosted.use_claude()
    hosted.spawn("gus")
    model.may_answer.clear()
    asked = len(hosted.api.requests)
    sent = hosted.send("gus", "good morning")
    hosted.api.wait_for_requests(asked + 1, 40)
    hosted.kill(unit("gus"))
    model.may_answer.set()
    ended = hosted.ended(sent.number)
    assert (ended.state, ended.attempt) == (MessageState.ACKNOWLEDGED, 0)
    assert hosted.outcomes("gus")[-1] is Outcome.OK
    assert f"the harness of gus was ended by signal {signal.SIGKILL}" in hosted.host.journal(f"--unit={HUB}")
    hosted.until(lambda: told(hosted, "gus"), "the operator is told")


def test_both_timers_have_fired(hosted: Hosted) -> None:
    for command in ("crash-watch", "vacuum"):
        hosted.until(partial(passes, hosted, command), f"{command} has run")


def test_all_units_know_the_same_start_of_the_machine(hosted: Hosted) -> None:
    """Some are closed off with a /proc of their own, which in a machine that is a container shows the one around it."""
    name = hosted.spawn("hal")
    hosted.ended(hosted.send(name, "good morning").number)
    known = hosted.host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()
    hosted.host.systemctl("start", "hyperhive-crash-watch.service")
    with hosted.hive.db.read():
        seen, epoch = ObservationRow.get(ObservationRow.agent == name).boot, AgentRow.get(AgentRow.name == name).boot
    assert (seen, epoch) == (known, known)


def test_three_hundred_agents_are_served(hosted: Hosted) -> None:
    names = [AgentName(f"agent-{count}") for count in range(MANY)]
    for name in names:
        # As far as a hub cares; what else an agent is made of takes a tenth of a second each.
        add_agent(hosted.hive, name)
        folders.prepare(hosted.hive, name, uid=None)
    sent = [hosted.send(name, "good morning") for name in names[::EACH]]
    assert {hosted.ended(one.number).state for one in sent} == {MessageState.ACKNOWLEDGED}
    hosted.until(lambda: all(hosted.hive.paths.agent_socket(name).exists() for name in names), "each has its socket")


def test_after_a_restart_of_the_machine_all_goes_on(hosted: Hosted) -> None:
    name = hosted.spawn("ida")
    hosted.host.systemctl("stop", HUB)
    waiting = hosted.send(name, "good morning")
    asked = questions.ask(hosted.hive, asker=name, text="which?", ttl_seconds=1)
    hosted.until(lambda: asked.deadline is not None and hosted.hive.now() > asked.deadline, "the question is overdue")
    hosted.host.reboot()
    assert hosted.ended(waiting.number).state is MessageState.ACKNOWLEDGED
    hosted.until(lambda: questions.get(hosted.hive, asked.number).outcome is QuestionOutcome.EXPIRED, "the question has ended")
    assert is_held(hosted.hive.paths.lock("hub"))
