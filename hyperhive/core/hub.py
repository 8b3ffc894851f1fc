"""The hub: it hears the doorbells, starts who is to work, and holds every agent's socket."""

import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Final

from inotify_simple import INotify, flags

from hyperhive.core import approvals, containers, doorbell, eligibility, process, questions, systemd
from hyperhive.core.errors import Conflict, HyperhiveError, Invalid
from hyperhive.core.hive import Hive
from hyperhive.core.hub_harnesses import HubHarnesses
from hyperhive.core.hub_link import OTHERS_WAIT, WAKE
from hyperhive.core.hub_operations import HubOperations
from hyperhive.core.hub_sockets import AgentSockets, Children
from hyperhive.core.hub_units import Units
from hyperhive.core.hub_workers import Processes, Workers
from hyperhive.core.locks import Lock, holder
from hyperhive.core.log import Log, goes_to_journald
from hyperhive.core.model import AgentName, parse_name

# How often the database is asked without a doorbell, in seconds.
TICK: Final = 30.0
# How soon it is asked again when that failed, in seconds.
AGAIN: Final = 2.0
# How long harnesses may take to end in order when the hub ends, in seconds.
END_MOST: Final = 15.0
NAME_MOST: Final = 64
# A socket for each agent, and a few descriptors for each connection: 1024, what most processes get, is soon used up.
FILES_MOST: Final = 65_536
STRANGERS_MOST: Final = 64


def log_of(hive: Hive) -> Log:
    """The hub's log. Its lines are said too where somebody hears them; cron would keep them all for a mail."""
    is_heard = sys.stderr.isatty() or process.has_parent() or goes_to_journald()
    return Log("hub", hive.paths.log / "hub.log", quiet=not is_heard)


def run(hive: Hive, children: Children, *, log: Log) -> None:
    """Serve until a signal says to end. Raises `Conflict` when the hive has a hub already."""
    process.follow_parent()
    with Lock(hive.paths.lock("hub")) as lock:
        if not lock.take():
            raise Conflict(f"this hive has a hub already: {holder(hive.paths.lock('hub'))}", hint="hyperhive ps")
        _allow_files()
        hub = Hub(hive, children, log)
        try:
            hub.serve()
        finally:
            hub.end()


class Hub:
    """All that the hub knows is what is connected to it; the rest it asks the database."""

    def __init__(self, hive: Hive, children: Children, log: Log) -> None:
        self._hive = hive
        self._children = children
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._bells = INotify(nonblocking=True)
        self._meeting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._signals, self._signalled = socket.socketpair()
        self._sockets = AgentSockets(hive, children, self._selector, log)
        self._strangers: dict[socket.socket, bytes] = {}
        self._links: dict[AgentName, socket.socket] = {}
        self._workers = _workers(log)
        self._harnesses = HubHarnesses(self._workers["agent"], log)
        self._operations = HubOperations(hive, self._workers["operation"], log)
        self._next_look = 0.0
        self._next_survey = time.monotonic() + TICK
        self._ending = False

    def serve(self) -> None:
        """Listen, act, until told to end."""
        self._catch_signals()
        self._bells.add_watch(os.fspath(self._hive.paths.wake), flags.CREATE | flags.MOVED_TO)
        self._selector.register(self._bells.fileno(), selectors.EVENT_READ, self._hear_bells)
        self._meet()
        self._hear_bells()
        self._bring_back()
        self._look()
        # The sockets are there: who connects meanwhile waits in line.
        self._children.prepare()
        systemd.notify("READY=1", os.environ)
        self._log(f"the hub serves {len(self._sockets)} agents, {self._hive.settings.places()} at once")
        while not self._ending:
            for key, _ in self._selector.select(max(0.0, self._next_look - time.monotonic())):
                key.data()
            if time.monotonic() >= self._next_look:
                self._look()

    def end(self) -> None:
        """End what cannot outlive the hub in order, then everything else."""
        for workers in self._workers.values():
            workers.end()
        deadline = time.monotonic() + END_MOST
        while any(workers.names for workers in self._workers.values()) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for workers in self._workers.values():
            workers.kill()
        self._sockets.close()
        self._meeting.close()
        self._log("the hub ends")

    # ---- who is to work ----

    def _bring_back(self) -> None:
        """Agents' services are to run again after the machine was started, mail or not."""
        try:
            for name in containers.ask_back(self._hive):
                self._log(f"the container of {name} ended with the machine, and is started")
        except HyperhiveError as error:
            self._log(f"containers that ended with the machine are not started: {error}")

    def _look(self) -> None:
        """Ask the database who is eligible, and start them while there is room; put right missing sockets."""
        now = time.monotonic()
        self._next_look = now + TICK
        if now >= self._next_survey:
            self._next_survey = now + TICK
            for workers in self._workers.values():
                workers.look()
        try:
            self._sockets.open_all()
            waiting = [one.name for one in eligibility.eligible(self._hive)]
            for due in filter(
                None, (eligibility.next_due(self._hive), questions.next_due(self._hive), approvals.next_deadline(self._hive))
            ):
                self._next_look = min(self._next_look, now + max(0.02, (due - self._hive.now()).total_seconds() + 0.01))
            self._look_at_operations(now)
        except HyperhiveError as error:
            self._log(f"the hive cannot be read: {error}")
            self._next_look = now + AGAIN
            return
        finally:
            # A child must not inherit an open database.
            self._hive.close()
        busy = set(self._links) | self._harnesses.names
        queue = False
        for name in waiting:
            if name in busy:
                continue
            if (held := self._harnesses.held_until(name)) > now:
                self._next_look = min(self._next_look, held)
                continue
            if len(busy) >= self._hive.settings.places():
                queue = True
                break
            self._harnesses.start(name)
            busy.add(name)
        self._sockets.others_wait = queue
        if queue:
            for name, link in self._links.items():
                _say(link, OTHERS_WAIT)
                for child in self._children.of(name):
                    child.wake(OTHERS_WAIT)

    def _look_at_operations(self, now: float) -> None:
        try:
            again = self._operations.look()
        except HyperhiveError as error:
            # On a full disk agents go on all the same.
            self._log(f"operations cannot be carried out: {error}")
            again = now + AGAIN
        if again is not None:
            self._next_look = min(self._next_look, again)

    def _reap(self) -> None:
        """Notice what has ended; who worked is looked at again."""
        self._sockets.reap()
        if self._harnesses.reap() | self._operations.reap():
            self._next_look = 0.0

    # ---- what is heard ----

    def _hear_bells(self) -> None:
        """Remove each bell first, then act: what is rung meanwhile makes a new one."""
        self._bells.read(timeout=0)
        look = unit_ended = False
        try:
            bells = os.listdir(self._hive.paths.wake)
        except OSError as error:
            self._log(f"the hive's folder is gone ({error.strerror}: {error.filename}): ending")
            self._ending = True
            return
        for bell in bells:
            # What is no bell, a folder for example, cannot be taken away like one.
            with suppress(OSError):
                (self._hive.paths.wake / bell).unlink()
            if bell == doorbell.HIVE:
                look = True
                continue
            if (ended := doorbell.ended(bell)) is not None:
                self._workers[ended.kind].ended(ended.name, ended.status)
                unit_ended = True
                continue
            try:
                name = parse_name(bell)
            except Invalid:
                continue
            for child in self._children.of(name):
                child.wake(WAKE)
            if name in self._links:
                _say(self._links[name], WAKE)
            else:
                look = True
        if unit_ended:
            self._reap()
            look = True
        if look:
            self._look()

    def _meet(self) -> None:
        path = self._hive.paths.hub_socket
        path.unlink(missing_ok=True)
        self._meeting.bind(os.fspath(path))
        path.chmod(0o600)
        self._meeting.listen(128)
        self._meeting.setblocking(False)
        self._selector.register(self._meeting, selectors.EVENT_READ, self._welcome)

    def _welcome(self) -> None:
        try:
            link, _ = self._meeting.accept()
        except OSError:
            return
        if _uid_of(link) not in (0, os.geteuid()) or len(self._strangers) >= STRANGERS_MOST:
            link.close()
            return
        link.setblocking(False)
        self._strangers[link] = b""
        self._selector.register(link, selectors.EVENT_READ, lambda: self._introduce(link))

    def _introduce(self, link: socket.socket) -> None:
        """A harness says whose it is."""
        try:
            data = link.recv(NAME_MOST)
        except OSError:
            data = b""
        said = self._strangers[link] + data
        if data and b"\n" not in said and len(said) < NAME_MOST:
            self._strangers[link] = said
            return
        del self._strangers[link]
        self._selector.unregister(link)
        try:
            name = parse_name(said.partition(b"\n")[0].decode("ascii", "replace"))
        except Invalid:
            link.close()
            return
        if name in self._links:
            self._hang_up(name)
        self._links[name] = link
        self._harnesses.has_reported(name)
        self._selector.register(link, selectors.EVENT_READ, lambda: self._listen(name, link))
        # Something may have been rung for between its last look and now.
        _say(link, WAKE)
        if self._sockets.others_wait:
            # It was started before they came to wait, and reported after they were told of.
            _say(link, OTHERS_WAIT)

    def _listen(self, name: AgentName, link: socket.socket) -> None:
        try:
            data = link.recv(NAME_MOST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data and self._links.get(name) is link:
            self._hang_up(name)
            self._reap()
            self._next_look = 0.0

    def _hang_up(self, name: AgentName) -> None:
        link = self._links.pop(name)
        self._selector.unregister(link)
        link.close()

    # ---- signals ----

    def _catch_signals(self) -> None:
        self._signals.setblocking(False)
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._told_to_end())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, self._signal)

    def _signal(self) -> None:
        self._signals.recv(256)
        self._reap()

    def _told_to_end(self) -> None:
        self._ending = True


def _workers(log: Log) -> dict[str, Workers]:
    """Harnesses and operations: units where the hub is one itself, else processes of its own."""
    manager = systemd.own_manager(os.environ)
    if manager is None:
        return {"agent": Processes("harness", log), "operation": Processes("operate", log)}
    return {kind: Units(manager, kind, log) for kind in ("agent", "operation")}


def _say(link: socket.socket, byte: bytes) -> None:
    """A full buffer means that enough has been said."""
    with suppress(OSError):
        link.send(byte)


def _allow_files() -> None:
    """Let this process open as many files as it may ask for (getrlimit(2), RLIMIT_NOFILE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _uid_of(link: socket.socket) -> int:
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
