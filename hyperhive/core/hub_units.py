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
        """Waits for systemd to say what an earlier hub has started."""
        self._manager = manager
        self._template = f"hyperhive-{kind}@"
        self._log = log
        self._asking: dict[str, process.Process] = {}
        self._living: set[str] = set()
        self._ended: dict[str, int] = {}
        self._survey: process.Process | None = None
        # What has happened since the survey was begun, which it may not have seen.
        self._begun_since: set[str] = set()
        self._ended_since: set[str] = set()
        try:
            self._living = self._names(manager.run(*self._listing(), timeout=systemd.ANSWER_MOST).stdout)
        except HyperhiveError as error:
            self._log(f"systemd does not say which units run: {error}")

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
        self._begun_since.add(name)
        self._ended_since.discard(name)

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
        self._ended_since |= ended.keys()
        self._begun_since -= ended.keys()
        if self._survey is not None and self._survey.poll() is not None:
            self._read(self._survey)
            self._survey = None
        return ended

    def look(self) -> None:
        """Begin to ask systemd which of them live: a bell may not have been rung, on a full disk for example."""
        if self._survey is not None:
            # It takes its time, and everything else with it.
            return
        self._begun_since, self._ended_since = set(self._asking), set()
        try:
            self._survey = process.start(self._manager.words(*self._listing()), env=self._manager.environment(), stderr=2)
        except HyperhiveError as error:
            self._log(f"systemd cannot be asked which units run: {error}")

    def end(self) -> None:
        """They outlive the hub, which forgets them."""
        for child in self._asking.values():
            with suppress(HyperhiveError):
                process.code_of(child, systemd.ANSWER_MOST)
        if self._survey is not None:
            process.end_group(self._survey)
            self._survey = None
        self._asking.clear()
        self._living.clear()

    def kill(self) -> None:
        """None of them was told to end."""

    def _listing(self) -> tuple[str, ...]:
        return systemd.living_words(f"{self._template}*")

    def _names(self, listing: bytes) -> set[str]:
        return {unit.removeprefix(self._template).removesuffix(".service") for unit in systemd.units_in(listing)}

    def _read(self, survey: "process.Process") -> None:
        assert survey.stdout is not None
        with survey.stdout as said:
            listing = said.read()
        if survey.returncode == 0:
            self._living = (self._names(listing) - self._ended_since) | self._begun_since
        else:
            self._log(f"systemd does not say which units run: systemctl ended with code {survey.returncode}")
