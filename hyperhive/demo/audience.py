"""Waits for what is to happen next, showing meanwhile what the agents do."""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from inotify_simple import flags

from hyperhive.core import events, messages, operations, roster
from hyperhive.core.agent_view import Agent
from hyperhive.core.follow import Watch
from hyperhive.core.model import Activity, AgentName, Blocked, Event, EventKind, MessageKind, Outcome
from hyperhive.core.model import Message as Mail
from hyperhive.demo.screen import Screen
from hyperhive.demo.stage import Stage

T = TypeVar("T")
# How often it is looked without a sign of a change, in seconds.
_LOOK: Final = 0.25


class Missed(Exception):
    """What was to happen did not."""


class Audience:
    """Looks at one stage. A scripted model makes no mistakes, so there the first one ends the wait; a real one may go on."""

    def __init__(
        self, stage: Stage, screen: Screen, names: Sequence[AgentName], *, patience: float, quiet: float, strict: bool
    ) -> None:
        """`patience` is the most that one thing may take; after `quiet` seconds without work or mail nothing more can come."""
        self._stage = stage
        self._screen = screen
        self._names = names
        self._patience = patience
        self._quiet = quiet
        self._strict = strict
        self.events: list[Event] = []
        """All that the agents did so far."""
        self._shown = dict.fromkeys(names, 0)
        self._held: set[str] = set()

    def until(self, look: Callable[[], T | None], *, what: str) -> T:
        """Wait until `look` finds something, and give it back. Raises `Missed` with why it cannot come any more."""
        began = time.monotonic()
        busy = began
        with Watch(self._stage.hive.paths.changed, flags.ATTRIB) as watch, self._screen.waiting(what):
            while True:
                # In this order: whatever made the agents fall quiet is seen by the look after it.
                worked = self._is_at_work()
                self._show()
                if (found := look()) is not None:
                    return found
                now = time.monotonic()
                busy = now if worked else busy
                if not self._stage.is_up:
                    raise Missed(f"waited until {what}: the hive has ended")
                if now - busy > self._quiet:
                    raise Missed(f"waited until {what}: nobody works, and nothing waits any more")
                if now - began > self._patience:
                    raise Missed(f"waited until {what}: it did not happen within {self._patience:g} seconds")
                self._check_held(self._patience - (now - began))
                watch.wait(_LOOK)

    def mail(self, sender: str, to: str, *, saying: str = "") -> Mail | None:
        """The first message from one to another that says this."""
        for one in messages.flow(self._stage.hive, limit=1000):
            if (one.sender, one.recipient, one.kind) == (sender, to, MessageKind.TEXT) and saying in one.body:
                return one
        return None

    def results(self, agent: str, tool: str) -> list[tuple[Event, Event]]:
        """The calls of a tool by an agent that went well, each with its result."""
        calls = {
            str(event.data.get("id")): event
            for event in self.events
            if event.agent == agent and event.kind is EventKind.TOOL and event.data.get("name") == tool
        }
        return [
            (calls[str(event.data.get("id"))], event)
            for event in self.events
            if event.agent == agent
            and event.kind is EventKind.RESULT
            and not event.data.get("is_error")
            and str(event.data.get("id")) in calls
        ]

    def of(self, agent: str, kind: EventKind) -> list[Event]:
        """What an agent did of that kind."""
        return [event for event in self.events if event.agent == agent and event.kind is kind]

    def is_quiet(self) -> bool | None:
        """True when everybody has ended their turns and everything handed out is decided, all of which was shown."""
        return None if self._is_at_work() or (self._strict and self._is_in_turn()) else True

    def _is_at_work(self) -> bool:
        """Something may still come. Before the first message nobody is waited for."""
        if not messages.flow(self._stage.hive, limit=1) or operations.listed(self._stage.hive, limit=1):
            return True
        return any(
            agent.turn.state is not Activity.IDLE or agent.mail.pending or agent.mail.delivered for agent in self._agents()
        )

    def _is_in_turn(self) -> bool:
        """The end of a turn has not been seen: it is written down a moment after it is over."""
        last = {event.agent: event.kind for event in self.events if event.kind in (EventKind.PROMPT, EventKind.TURN)}
        return EventKind.PROMPT in last.values()

    def _show(self) -> None:
        new = [event for name in self._names for event in events.history(self._stage.hive, name, after=self._shown[name])]
        for event in sorted(new, key=lambda event: event.at):
            self._shown[AgentName(event.agent)] = event.number
            self.events.append(event)
            self._screen.event(event)
        for event in new if self._strict else []:
            if event.kind is EventKind.RESULT and event.data.get("is_error"):
                raise Missed(f"a tool of {event.agent} failed: {event.data.get('text')}")
            if event.kind is EventKind.TURN and event.data.get("outcome") != Outcome.OK:
                raise Missed(f"a turn of {event.agent} ended as {event.data.get('outcome')}: {event.data.get('error')}")

    def _check_held(self, seconds: float) -> None:
        """An agent that gets no turn before the patience ends is waited for in vain."""
        now = self._stage.hive.now()
        before, self._held = self._held, set()
        for agent in self._agents():
            soon = agent.blocked_until is not None and (agent.blocked_until - now).total_seconds() < seconds
            if agent.blocked is not Blocked.NONE and (self._strict or not soon):
                # At the second look only: what its turn says of it is written down a moment later, and tells more.
                if agent.name in before:
                    raise Missed(f"{agent.name} is held back ({agent.blocked}): {agent.blocked_reason}")
                self._held.add(agent.name)

    def _agents(self) -> list[Agent]:
        return roster.listed(self._stage.hive)
