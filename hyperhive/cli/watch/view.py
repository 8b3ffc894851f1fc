"""What the whole screen looks like: a head, what is looked at, what can be typed."""

from typing import Final

from hyperhive.cli import notes, words
from hyperhive.cli.screen import Line
from hyperhive.cli.watch import first_screen
from hyperhive.cli.watch.desk import Desk
from hyperhive.cli.watch.events_page import EventsPage
from hyperhive.cli.watch.help_page import HelpPage
from hyperhive.cli.watch.journal_page import JournalPage
from hyperhive.cli.watch.page import Page, folded
from hyperhive.cli.watch.painter import width_of
from hyperhive.cli.watch.rule import plain, rule
from hyperhive.core.hive import Hive
from hyperhive.core.model import Activity
from hyperhive.core.pending import PendingKind

_GAP: Final = "  "
# Below this nothing could be told from anything else.
_COLUMNS_LEAST, _ROWS_LEAST = 30, 8
_NOTICE_MOST: Final = 3


def drawn(hive: Hive, desk: Desk, columns: int, rows: int) -> list[Line]:
    """The whole screen, `rows` lines of at most `columns`."""
    if columns < _COLUMNS_LEAST or rows < _ROWS_LEAST:
        return [[("too small; q leaves", "bold")]]
    head = _head(hive, desk, columns)
    foot = _foot(desk, columns, rows // 2)
    height = rows - len(head) - len(foot)
    body = _page(desk.page, columns, height) if desk.page is not None else first_screen.lines(hive, desk, columns, height)
    return [*head, *body, *([[]] * (height - len(body))), *foot]


def _head(hive: Hive, desk: Desk, columns: int) -> list[Line]:
    look = desk.look
    waits = "waits" if len(look.waiting) == 1 else "wait"
    parts = [
        (words.count(len(look.agents), "agent"), ""),
        (f"{look.at_work} at work", "green" if look.at_work else ""),
        *([(f"{len(look.waiting)} {waits} for you", "bold yellow")] if look.waiting else []),
        *([(words.count(look.unread, "message"), "cyan")] if look.unread else []),
    ]
    clock = f"{hive.now().astimezone():%H:%M}"
    line: Line = [("hyperhive", "bold")]
    for part in parts:
        line += [(_GAP, ""), part]
    if width_of(line) + len(_GAP) + len(clock) > columns:
        # Who looks at it knows what it is.
        line = line[2:]
    room = columns - width_of(line) - len(clock)
    head = [[*line, (" " * room, ""), (clock, "dim")] if room > 0 else line]
    if not look.is_up:
        head.append([(f"the hive is not up, so no agent works: `{notes.how_to_start()}`", "bold red")])
    return head


def _page(page: Page, columns: int, height: int) -> list[Line]:
    # What the title says of the place is known when the lines are.
    shown = page.seen(columns, height - 1)
    more = f"{page.below} more below" if page.below else "goes on with what comes" if page.follows else ""
    return [rule(page.title, columns, more=more), *shown]


def _foot(desk: Desk, columns: int, most: int) -> list[Line]:
    """What became of the last key, then what is asked, or what can be typed."""
    told = folded([desk.notice], columns)[:_NOTICE_MOST] if desk.notice is not None else []
    if desk.prompt is not None:
        return [plain(columns), *told, *desk.prompt.lines(columns, max(1, most - len(told) - 1))]
    return [plain(columns), *told, _keys(desk, columns)]


def _keys(desk: Desk, columns: int) -> Line:
    """What can be typed, what matters most first, as far as it fits."""
    last = [("q", "back" if desk.page is not None else "leave")]
    if not isinstance(desk.page, HelpPage):
        last.insert(0, ("?", "keys"))
    room = columns - width_of(_told(last))
    shown: list[tuple[str, str]] = []
    for key in [*_decisions(desk), *_places(desk)]:
        if width_of(_told([*shown, key])) + len(_GAP) > room:
            break
        shown.append(key)
    return _told([*shown, *last])


def _decisions(desk: Desk) -> list[tuple[str, str]]:
    one = desk.waiting
    if one is not None:
        return [("a", "answer"), ("c", "cancel")] if one.kind is PendingKind.QUESTION else [("a", "approve"), ("d", "deny")]
    agent = desk.look.agent(desk.agent) if desk.agent is not None else None
    works = agent is not None and agent.turn.state not in (Activity.IDLE, Activity.QUEUED)
    return [("c", "cancel turn")] if works else []


def _places(desk: Desk) -> list[tuple[str, str]]:
    page = desk.page
    moves = [("space", "further")] if page is not None and page.below else []
    if page is not None and page.grows and not page.follows:
        moves.append(("G", "to the end"))
    opens = [("enter", "see it whole")] if page is None and desk.waiting is not None else []
    if desk.agent is not None:
        opens += [("e", "events")] if not isinstance(page, EventsPage) else []
        opens += [("l", "journal")] if not isinstance(page, JournalPage) else []
    return [*moves, *opens, *([("i", "inbox")] if page is None else [])]


def _told(keys: list[tuple[str, str]]) -> Line:
    line: Line = []
    for key, what in keys:
        line += [(_GAP if line else "", ""), (key, "bold"), (f" {what}", "dim")]
    return line
