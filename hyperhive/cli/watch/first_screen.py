"""The first screen: what waits, the agents, and what is known of the selected one."""

from collections.abc import Sequence
from typing import Final

from hyperhive.cli import overview, screen, words
from hyperhive.cli.screen import Line
from hyperhive.cli.watch.desk import Desk
from hyperhive.cli.watch.painter import cut, width_of
from hyperhive.cli.watch.rule import rule
from hyperhive.core.agent_view import Agent
from hyperhive.core.hive import Hive
from hyperhive.core.pending import Pending, PendingKind

_SELECTED: Final = ">"
# Stands before an agent of which more is to be said.
_ATTENTION: Final = "!"
_GAP: Final = "  "
# Where there is so much room, more is told of each agent.
WIDE: Final = 100
_KINDS: Final = {PendingKind.TOOL: "magenta", PendingKind.QUESTION: "cyan"}


def lines(hive: Hive, desk: Desk, columns: int, height: int) -> list[Line]:
    """As many lines, of at most so many columns."""
    waits = _waiting(hive, desk, columns)
    agents = _agents(hive, desk, columns) or [[("there is no agent yet: `hyperhive spawn NAME`", "dim")]]
    room = height - max(4, height // 3)
    # What waits has half of it, the agents what that leaves; what both leave is for the selected one.
    upper = _section("waits for you", waits, _at(desk, waiting=True), max(2, room // 2), columns)
    lower = _section("agents", agents, _at(desk, waiting=False), room - len(upper), columns)
    left = height - len(upper) - len(lower)
    detail = [rule(_about(desk), columns), *_notes(desk, columns)][:left]
    return [*upper, *lower, *detail, *desk.detail(columns, left - len(detail))]


def _section(title: str, rows: Sequence[Line], at: int | None, most: int, columns: int) -> list[Line]:
    """As many rows under a title as there is room for, the selected one among them."""
    room = max(0, most - 1)
    if not rows or room == 0:
        return []
    shown = min(room, len(rows))
    first = min(max(0, (at or 0) - shown // 2), len(rows) - shown)
    more = f"{first + 1}-{first + shown} of {len(rows)}" if shown < len(rows) else ""
    return [rule(title, columns, more=more), *rows[first : first + shown]]


def _at(desk: Desk, *, waiting: bool) -> int | None:
    """Where in a section the selected one is."""
    look, selected = desk.look, desk.selection.selected
    things: list[int | str] = [one.number for one in look.waiting] if waiting else [agent.name for agent in look.agents]
    return things.index(selected) if selected in things else None


def _waiting(hive: Hive, desk: Desk, columns: int) -> list[Line]:
    return _table(
        [(desk.selection.selected == one.number, False, _asked(hive, one, columns)) for one in desk.look.waiting],
        columns,
        shrinks=2,
    )


def _asked(hive: Hive, one: Pending, columns: int) -> list[tuple[str, str]]:
    """Its number, its kind, whose it is, since when, what it is about."""
    now = hive.now()
    until = f" until {words.moment(one.deadline, now)}" if one.deadline is not None and columns >= WIDE else ""
    return [
        (f"{one.number:>3}", "bold"),
        (one.kind.value, _KINDS.get(one.kind, "yellow")),
        (one.agent, "bold"),
        (f"{words.age(one.asked_at, now):>3}{until}", "dim"),
        (f"{screen.GUTTER}{screen.one_line(one.about)}", ""),
    ]


def _agents(hive: Hive, desk: Desk, columns: int) -> list[Line]:
    return _table(
        [
            (desk.selection.selected == agent.name, bool(overview.notes(agent)), _does(hive, desk, agent, columns))
            for agent in desk.look.agents
        ],
        columns,
        shrinks=0,
    )


def _does(hive: Hive, desk: Desk, agent: Agent, columns: int) -> list[tuple[str, str]]:
    """Its name, what it does, its mail, and more where there is room."""
    waits = sum(one.agent == agent.name for one in desk.look.waiting)
    mail, last = overview.mail(agent.mail), overview.last_turn(hive, agent)
    return [
        (agent.name, "bold"),
        overview.state(hive, agent),
        (mail if mail != "-" else "", "bold" if agent.mail.dead else "cyan"),
        (f"{waits} for you" if waits else "", "yellow"),
        (f"last {last}" if columns >= WIDE and last != "-" else "", "dim"),
    ]


def _table(rows: Sequence[tuple[bool, bool, list[tuple[str, str]]]], columns: int, *, shrinks: int) -> list[Line]:
    """Rows, each with whether it is selected and whether more is to be said of it; one column gives way to the others."""
    cells = len(rows[0][2]) if rows else 0
    widths = [max(screen.cells(row[at][0]) for _, _, row in rows) for at in range(cells)]
    if rows:
        widths[shrinks] = min(widths[shrinks], max(8, columns // 3))
    return [_row(row, widths, is_selected=selected, is_marked=marked, columns=columns) for selected, marked, row in rows]


def _row(cells: Sequence[tuple[str, str]], widths: Sequence[int], *, is_selected: bool, is_marked: bool, columns: int) -> Line:
    """The selected one is seen also without colours."""
    line: Line = [(_SELECTED if is_selected else " ", "bold yellow"), (_ATTENTION if is_marked else " ", "bold yellow")]
    space = 0
    for (text, style), width in zip(cells, widths, strict=True):
        shown = screen.fit(text, width) if width else ""
        if shown:
            line += [(" " * space, ""), (shown, style)]
            space = 0
        space += width - screen.cells(shown) + (len(_GAP) if width else 0)
    if not is_selected:
        return line
    shown_line = cut(line, columns)
    return [
        *((text, f"{style} reverse".strip()) for text, style in shown_line),
        (" " * (columns - width_of(shown_line)), "reverse"),
    ]


def _about(desk: Desk) -> str:
    match desk.selection.selected:
        case int() as number:
            one = desk.look.one_waiting(number)
            return f"{number}: {one.kind} of {one.agent}" if one is not None else f"{number}"
        case str() as name:
            agent = desk.look.agent(name)
            return f"{name}, {screen.one_line(agent.model)}" if agent is not None and agent.model else name
        case None:
            return "nothing is there yet"


def _notes(desk: Desk, columns: int) -> list[Line]:
    """What the selected agent lacks, a line each."""
    selected = desk.selection.selected
    agent = desk.look.agent(selected) if isinstance(selected, str) else None
    notes = overview.notes(agent) if agent is not None else []
    return [[(screen.fit(" ".join(screen.one_line(note).split()), columns), "yellow")] for note in notes]
