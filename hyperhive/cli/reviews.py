"""How what is decided about looks: a proposal with all that it changes, the use of a tool."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hyperhive.cli import differences, screen, words
from hyperhive.core.approvals import Approval
from hyperhive.core.config_changes import Change, spelled
from hyperhive.core.hive import Hive
from hyperhive.core.model import ApprovalKind, ApprovalState
from hyperhive.core.reviews import Comparison, Review
from hyperhive.core.safe_text import clean

# So many of the other files are named; the difference shows them all.
_FILES_MOST: Final = 20
_COLOURS: Final = {ApprovalState.PENDING: "yellow", ApprovalState.APPROVED: "green"}


def show(hive: Hive, review: Review) -> None:
    """Write a proposal: whose it is, what it lets the agent do, the difference."""
    asked = review.approval
    head(hive, asked)
    if asked.reason and asked.reason.strip() != review.commit.message.strip():
        heading("because")
        screen.quote(asked.reason)
    heading(f"commit {review.commit.id}")
    screen.item("by ", f"{review.commit.author} <{review.commit.email}>, {words.moment(review.commit.at, hive.now())}")
    screen.quote(clean(review.commit.message))
    if review.moved:
        was, now = (asked.compared_with or "nothing")[:12], (review.against or "nothing")[:12]
        screen.talk(f"note: {now} is applied now, no longer {was}, for which it was asked; this compares it with {now}")
    compared(review.comparison)


def show_tool(hive: Hive, asked: Approval) -> None:
    """Write what an agent wants to use a tool for, exactly."""
    head(hive, asked)
    heading("tool")
    screen.item("", asked.tool or "")
    heading("input")
    try:
        given = msgspec.json.decode(asked.input or "{}")
    except msgspec.DecodeError:
        given = asked.input
    if not isinstance(given, dict):
        screen.quote(clean(_text(given)))
        return
    for key, value in given.items():
        text = _text(value)
        if "\n" in text:
            screen.item(f"{clean(key)}:", "")
            screen.quote(clean(text))
        else:
            screen.item(f"{screen.one_line(key)}: ", text)


def compared(comparison: Comparison) -> None:
    """Write what lies between two commits: what the agent may do more first."""
    changes(comparison.changes)
    if comparison.files:
        heading("other files")
        for path in comparison.files[:_FILES_MOST]:
            screen.item("", path)
        if len(comparison.files) > _FILES_MOST:
            heading(f"… {words.count(len(comparison.files) - _FILES_MOST, 'more file')}")
    if comparison.diff:
        heading("difference")
        differences.show(comparison.diff)


def changes(found: Sequence[Change] | None) -> None:
    """Write what a configuration changes, sentence by sentence."""
    if found is None:
        screen.talk("note: its agent.toml cannot be read; see the difference")
        return
    for title, mark, style, grows in (("it may do more", "! ", "yellow", True), ("changes", "- ", "", False)):
        some = [one for one in found if one.grows is grows]
        if some:
            heading(title)
        for one in some:
            screen.item(mark, spelled(one), style=style)


def heading(text: str) -> None:
    """Write a line of ours above what somebody else wrote."""
    screen.line(("   ", ""), (f"{text}:", "bold"))


def head(hive: Hive, asked: Approval) -> None:
    """Write whose it is, since when, what became of it."""
    now = hive.now()
    what = {ApprovalKind.SPAWN: "new", ApprovalKind.CONFIG: "config", ApprovalKind.TOOL: "tool"}[asked.kind]
    about = f"{what} {asked.flavor}" if asked.flavor else what
    screen.line(
        (f"{asked.number}", "bold"),
        "  ",
        (asked.agent, "bold"),
        f"  {about}",
        ("" if asked.asker == asked.agent else f"  by {asked.asker}", ""),
        (f"  {words.age(asked.asked_at, now)} ago", "dim"),
        "  ",
        (asked.state.value, _COLOURS.get(asked.state, "red")),
    )
    if asked.deadline is not None and asked.state is ApprovalState.PENDING:
        screen.line(f"   without a decision by {words.moment(asked.deadline, now)} it is denied")
    if asked.decided_at is not None:
        screen.line(f"   {asked.state} by {asked.decided_by}, {words.moment(asked.decided_at, now)}")
    if asked.note:
        screen.quote(asked.note)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
