"""What the hub has started where systemd keeps it: units beside its own, which outlive it."""

from contextlib import suppress
from typing import Final

from hyperhive.core import process, systemd
from hyperhive.core.errors import HyperhiveError
from hyperhive.core.log import Log
from hyperhive.core.systemd import Manager

_FAILED: Final = 1


class Units:
    """Workers that are instances of one template, by their instances' names.

    systemd tells nobody of an end, so the template rings a bell of its own (`doorbell.bell_of_end`), and the hub passes
    it on to `ended`. A start that is asked for while the unit still ends is queued by systemd; one that is asked for
    while it has not begun to end is lost, so no other is asked for before its end was heard.
    """

    def __init__(self, manager: Manager, kind: str, log: Log) -> None:
        self._manager = manager
        self._template = f"hyperhive-{kind}@"
        self._log = log
        self._asking: dict[str, process.Process] = {}
        self._living: set[str] = set()
        self._ended: dict[str, int] = {}
        self.look()

    @property
    def names(self) -> set[str]:
        """Those that were started and have not rung."""
        return self._living - self._ended.keys()

    def start(self, name: str) -> None:
        """Ask systemd to start one, and wait for nothing. Raises `Unavailable`."""
        words = self._manager.words("start", "--no-block", f"{self._template}{name}.service")
        self._asking[name] = process.start(words, env=self._manager.environment(), stdout=2, stderr=2)
        self._living.add(name)
        self._ended.pop(name, None)

    def ended(self, name: str, status: str) -> None:
        """One has rung: it has ended, or is about to."""
        self._ended[name] = systemd.exit_code(status)

    def reap(self) -> dict[str, int]:
        """Those that have rung, and those that systemd did not take."""
        for name in [name for name, child in self._asking.items() if child.poll() is not None]:
            if self._asking.pop(name).returncode != 0:
                self._ended.setdefault(name, _FAILED)
        ended, self._ended = self._ended, {}
        self._living -= ended.keys()
        return ended

    def look(self) -> None:
        """Ask systemd which of them live: a bell may not have been rung, on a full disk for example."""
        try:
            found = self._manager.living(f"{self._template}*")
        except HyperhiveError as error:
            self._log(f"systemd does not say which units run: {error}")
            return
        known = {unit.removeprefix(self._template).removesuffix(".service") for unit in found}
        # What was just asked for may not have begun.
        self._living = known | self._asking.keys()

    def end(self) -> None:
        """They outlive the hub, which forgets them."""
        for child in self._asking.values():
            with suppress(HyperhiveError):
                process.code_of(child, systemd.ANSWER_MOST)
        self._asking.clear()
        self._living.clear()

    def kill(self) -> None:
        """None of them was told to end."""
