"""What an agent's turns say and do, as it is written on below its page: drawn once for all that watch."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from hyperhive.core import events
from hyperhive.core.errors import HyperhiveError, NotFound
from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName, Event
from hyperhive.web.telling import Drawer

# So many events come with a page, and with each step backwards.
PAGE: Final = 150
# So many are kept drawn; who was away for longer is sent what is read anew.
_KEPT: Final = 400
_ALL: Final = "innerHTML"
_MORE: Final = "beforeend"


class Stream:
    """The events of one agent."""

    def __init__(self, hive: Hive, name: AgentName, drawer: Drawer) -> None:
        self._hive = hive
        self._name = name
        self._drawer = drawer
        self._lock = threading.Lock()
        self._store = ""
        self._touched: tuple[int, ...] | None = None
        # All events beyond this number are there, drawn.
        self._from = 0
        self._drawn: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self.trouble = ""

    def look(self) -> bool:
        """Read what came; says whether something did. What cannot be read is said by `trouble`."""
        with self._lock:
            place = events.place(self._hive, self._name)
            if (place.store, place.touched) == (self._store, self._touched) and not self.trouble:
                return False
            is_new = place.store != self._store
            after = 0 if is_new else self._last
            try:
                found = events.history(self._hive, self._name, after=after, limit=_KEPT)
            except HyperhiveError as error:
                self.trouble, self._touched = error.message, None
                return False
            self.trouble = ""
            self._store, self._touched = place.store, place.touched
            if is_new or len(found) == _KEPT:
                self._drawn.clear()
                self._from = found[0].number - 1 if len(found) == _KEPT else 0
            for event in found:
                if len(self._drawn) == _KEPT:
                    self._from = self._drawn[0][0]
                self._drawn.append((event.number, self._drawer.event(event, self._store)))
            return is_new or bool(found)

    def newest(self) -> Markup:
        """What stands in a page that is opened now."""
        self.look()
        with self._lock:
            return Markup(self._page())

    def before(self, store: str, number: int) -> Markup:
        """What stands above event `number` of a store; nothing where that store is no more. Raises `Unavailable`."""
        if events.place(self._hive, self._name).store != store:
            return Markup("")
        found = events.history(self._hive, self._name, before=number, limit=PAGE + 1)
        shown = [(one.number, self._drawer.event(one, store)) for one in found[-PAGE:]]
        return Markup(self._put_together(shown, store, has_more=len(found) > PAGE))

    def one(self, store: str, number: int) -> Event:
        """One event of a store. Raises `NotFound`, `Unavailable`."""
        is_there = events.place(self._hive, self._name).store == store
        found = events.history(self._hive, self._name, after=number - 1, before=number + 1) if is_there else []
        if not found:
            raise NotFound("this is kept no more", hint="load the page again")
        return found[0]

    def since(self, after: Mapping[str, int]) -> tuple[str, dict[str, int]]:
        """What a browser is sent that has it so far, by its store, and how far it has it then."""
        with self._lock:
            store, last = self._store, self._last
            known = after.get(store)
            now = {**after, store: last}
            if known == last or (known is None and not self._drawn):
                return "", now
            if known is None and after:
                # Another store than what stands there came from: what was shown stays.
                return _partial(_MORE, "".join(html for _, html in list(self._drawn)[-PAGE:])), now
            if known is None or known > last or (found := self._after(known)) is None:
                return _partial(_ALL, self._page()), now
            return _partial(_MORE, "".join(html for _, html in found)), now

    @property
    def _last(self) -> int:
        return self._drawn[-1][0] if self._drawn else 0

    def _after(self, known: int) -> Sequence[tuple[int, str]] | None:
        """All beyond this number, or None where that is more than a page and not at hand."""
        if known >= self._from:
            return self._drawn_after(known)
        try:
            found = events.history(self._hive, self._name, after=known, limit=2 * _KEPT + 1)
        except HyperhiveError:
            return None
        missing = [one for one in found if one.number <= self._from]
        if len(found) > 2 * _KEPT:
            return None
        return [*((one.number, self._drawer.event(one, self._store)) for one in missing), *self._drawn]

    def _drawn_after(self, known: int) -> Sequence[tuple[int, str]]:
        return [one for one in self._drawn if one[0] > known]

    def _page(self) -> str:
        shown = list(self._drawn)[-PAGE:]
        return self._put_together(shown, self._store, has_more=len(self._drawn) > len(shown) or self._from > 0)

    def _put_together(self, shown: Sequence[tuple[int, str]], store: str, *, has_more: bool) -> str:
        above = self._drawer.earlier(store, shown[0][0]) if shown and has_more else ""
        return above + "".join(html for _, html in shown)


def _partial(swap: str, html: str) -> str:
    return f'<hx-partial hx-target="#stream" hx-swap="{swap}">{html}</hx-partial>'
