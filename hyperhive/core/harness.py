"""The loop that gives one agent its turns: mail wakes it, the agent CLI runs, the end of the turn decides."""

import selectors
import signal
import socket
import time
from contextlib import suppress
from typing import Final

from hyperhive.core import agent_log, box, containers, doorbell, eligibility, operations, process, roster, turns
from hyperhive.core.agent_log import Unit
from hyperhive.core.agent_record import AgentRecord
from hyperhive.core.cli_session import CliSession, NotReady
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.hive import Hive
from hyperhive.core.hub_link import Heard, HubLink
from hyperhive.core.locks import Lock, holder
from hyperhive.core.log import Log
from hyperhive.core.model import AgentName, Outcome, Verb
from hyperhive.core.turn_desk import TurnDesk

# How often the truth is looked at without a wake: with the hub, and without it, in seconds.
TICK: Final = 30.0
TICK_ALONE: Final = 1.0
# How long a harness waits for a hub before it gives up, in seconds.
HUB_MOST: Final = 10.0
NO_HUB: Final = "the hub does not run, so the agent would have no tools"


def run(hive: Hive, name: AgentName, log: Log | None = None) -> bool:
    """Give an agent its turns until there is nothing more for it. Says whether this process was its harness.

    Another harness of the agent, or nothing to do, ends it at once.
    """
    process.follow_parent()
    with hive.db.read():
        roster.living(name)
    log = log or agent_log.open_log(hive, name, Unit.HARNESS, quiet=process.has_parent())
    with Lock(hive.paths.harness_lock(name)) as lock:
        if not lock.take():
            log(f"{name} has a harness already: {holder(hive.paths.harness_lock(name))}")
            return False
        if not eligibility.eligible(hive, name):
            log(f"there is nothing for {name} to do now")
            return False
        harness = Harness(hive, name, log)
        try:
            harness.run()
        except HyperhiveError as error:
            log(f"the harness cannot go on: {error}")
            raise
        finally:
            harness.settle()
            # In this order: whoever is told of the end must find the lock free. The bell is for a hub that has come
            # since, and has never heard of this harness.
            lock.release()
            harness.hang_up()
            doorbell.ring(hive.paths, name)
    return True


class Harness:
    """One agent, one epoch: what is to be done next, and what happens meanwhile."""

    def __init__(self, hive: Hive, name: AgentName, log: Log) -> None:
        self._hive = hive
        self._name = name
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._signals, self._signalled = socket.socketpair()
        self._link = HubLink(hive.paths.hub_socket, name)
        self._record = AgentRecord(hive, name, log)
        self._session = CliSession(hive, name, self._record, self._selector, wait=self._pump, leaves=self._leaves)
        self._desk = TurnDesk(hive, name, self._record, self._session)
        self._told_to_leave = False
        self._others_wait = False
        self._woken = True
        self._next_look = 0.0

    def run(self) -> None:
        """Work until there is nothing more to do, the agent is stopped, or a signal says to leave."""
        process.adopt_orphans()
        self._catch_signals()
        try:
            earlier = self._record.predecessor_died()
            if earlier:
                process.end_marked(process.BOX, str(self._hive.paths.agent(self._name)))
            # Whatever became of the harness before: where a container goes on without one, so may the CLI in it.
            containers.end_cli(self._hive, self._name)
            epoch = self._record.epoch = turns.begin_epoch(self._hive, self._name)
            self._record.remember_events()
            self._log(f"epoch {epoch} begins")
            if earlier:
                self._record.note("the harness before this one died; what it held comes again")
            self._work()
            turns.end_epoch(self._hive, self._name, epoch=epoch)
            self._log(f"epoch {epoch} ends")
        except turns.Fenced as error:
            self._log(f"{error}: leaving")
        finally:
            self._session.close()
            self._record.close()
            self._selector.close()

    def settle(self) -> None:
        """Leave the container as is wanted by now: what was changed meanwhile waited for this harness's end."""
        try:
            box.settle(self._hive, self._name)
        except HyperhiveError as error:
            self._log(f"its container is not as it is to be: {error}")

    def hang_up(self) -> None:
        """Close the connection to the hub, which then looks at the agent again."""
        self._link.close()

    # ---- what to do next ----

    def _work(self) -> None:
        while self._desk.turn is not None or not self._leaves():
            if self._desk.turn is not None:
                self._pump(self._desk.turn.deadline)
                continue
            self._take_wishes()
            if self._leaves() or not eligibility.is_allowed(self._hive, self._name):
                return
            try:
                if not self._link.is_up and not self._meet_hub():
                    raise NotReady(NO_HUB)
                if self._others_wait and self._desk.last_turn_at is not None and not self._desk.tasks:
                    # A turn each: whoever waits longest is next, and this agent's mail waits with the others'.
                    return
                if eligibility.eligible(self._hive, self._name):
                    self._next_turn()
                elif not self._linger():
                    return
            except NotReady as error:
                self._session.end(grace=0.0)
                self._rest(str(error))
                return

    def _next_turn(self) -> None:
        """Make the CLI ready, then begin: a compaction that was asked for, else a turn over the mail."""
        self._session.make_ready(busy=bool(self._desk.tasks))
        if self._desk.turn is not None:
            # Meanwhile the CLI has begun a turn of its own, for a task that ended: one after the other.
            return
        asked = operations.take(self._hive, self._name, Verb.COMPACT)
        if asked:
            self._desk.begin_compaction([number for number, _, _ in asked])
        else:
            self._desk.begin()

    def _linger(self) -> bool:
        """Wait for more mail. Says whether to go on."""
        if self._desk.last_turn_at is None or self._session.is_gone:
            return False
        settings = self._hive.settings
        stay = self._session.turn_limit if self._desk.tasks else 0.0 if self._others_wait else settings.linger_seconds
        deadline = max(self._desk.last_turn_at + stay, self._desk.settled_at)
        if time.monotonic() >= deadline:
            return False
        self._pump(deadline)
        return True

    def _rest(self, reason: str) -> None:
        if self._leaves():
            # It was told to go before a turn could begin: nothing is wrong with the agent.
            return
        self._log(f"no turn: {reason}")
        self._record.note(f"no turn could begin: {reason}")
        turns.not_ready(self._hive, self._name, epoch=self._record.epoch, reason=reason)

    def _take_wishes(self) -> None:
        """What the operator asked of this harness."""
        self._woken = False
        if self._session.is_cut and not self._link.is_up:
            # A hub that was started anew counts who works by their connections.
            self._connect()
        self._next_look = time.monotonic() + (TICK if self._link.is_up else TICK_ALONE)
        for number, verb, argument in operations.take(self._hive, self._name, Verb.CANCEL, Verb.LEAVE):
            turn = self._desk.turn
            which, _, how = (argument or "").partition(" ")
            if verb is Verb.LEAVE:
                self._told_to_leave = True
                operations.finish(self._hive, number)
            elif turn is None or str(turn.number) != which:
                operations.finish(self._hive, number, error="it had ended already")
            else:
                turn.asked.append(number)
                turn.retry = how == "retry"
                self._desk.interrupt(Outcome.CANCELLED, "the operator cancelled it")

    # ---- one look at everything that can happen ----

    def _pump(self, until: float) -> None:
        """Wait for something to happen, at most until that time, and act on it."""
        deadline = min(until, self._next_look, self._desk.next_look())
        for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
            match key.data:
                case "stdout":
                    self._read()
                case "stderr":
                    if self._session.cli is not None and not self._session.cli.read_errors():
                        self._selector.unregister(self._session.cli.stderr)
                case "hub":
                    self._hear()
                case _:
                    self._signals.recv(64)
        if self._woken or time.monotonic() >= self._next_look:
            self._take_wishes()
            self._desk.look()
        if self._leaves():
            self._desk.interrupt(Outcome.INTERRUPTED, "the agent was told to leave")
        self._desk.watch()

    def _read(self) -> None:
        cli = self._session.cli
        if cli is None:
            return
        for line in cli.read():
            if self._session.cli is not cli:
                # The line before ended it.
                return
            self._desk.read(line)
        if cli.ended and self._session.cli is cli:
            with suppress(KeyError):
                self._selector.unregister(cli.stdout)
            cli.read_errors()
            self._desk.cli_ended()

    def _meet_hub(self) -> bool:
        deadline = time.monotonic() + HUB_MOST
        while not self._connect():
            if self._leaves() or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _connect(self) -> bool:
        if not self._link.connect():
            return False
        self._selector.register(self._link.fileno(), selectors.EVENT_READ, "hub")
        return True

    def _hear(self) -> None:
        fd = self._link.fileno()
        heard = self._link.hear()
        if heard & Heard.GONE:
            self._selector.unregister(fd)
            self._log("the hub is gone")
            self._session.is_cut = True
            self._next_look = 0.0
        self._woken |= bool(heard & Heard.WAKE)
        self._others_wait |= bool(heard & Heard.OTHERS_WAIT)

    def _catch_signals(self) -> None:
        self._signals.setblocking(False)
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._leave())
        self._selector.register(self._signals, selectors.EVENT_READ, "signal")

    def _leave(self) -> None:
        self._told_to_leave = True

    def _leaves(self) -> bool:
        return self._told_to_leave
