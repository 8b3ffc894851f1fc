"""What a page shows, as rows with keys, and what turns the rows that a browser has into these."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

_KEY: Final = re.compile(r"[a-z][a-z0-9-]{0,80}")


class Row(msgspec.Struct, frozen=True):
    """One thing on a page. `head` is what live updates replace; `body` (forms, sections) comes with the row and is the reader's.

    Both are HTML. The key is the id of the row's element, and `KEY-live` that of its head.
    """

    key: str
    head: str
    body: str
    mark: str

    @property
    def live(self) -> str:
        """The head as it stands in the page, with the mark by which a browser says what it has."""
        return f'<div id="{self.key}-live" class="live" data-mark="{self.mark}">{self.head}</div>'

    @property
    def whole(self) -> str:
        """The row as it stands in its region."""
        return f'<li id="{self.key}" class="row">{self.live}{self.body}</li>'

    @property
    def sign(self) -> str:
        """A head that stands by itself somewhere in the page, always."""
        return f'<span id="{self.key}-live" class="sign" data-mark="{self.mark}">{self.head}</span>'


class Page(msgspec.Struct, frozen=True, dict=True):
    """All that is live on a page: its title, signs that are always there, and regions of rows in their order."""

    title: str
    signs: tuple[Row, ...]
    regions: Mapping[str, tuple[Row, ...]]

    @cached_property
    def marks(self) -> dict[str, str]:
        """What a browser that shows this page has."""
        return {row.key: row.mark for rows in (self.signs, *self.regions.values()) for row in rows}


def row(key: str, head: str, body: str = "") -> Row:
    """A row; its mark is taken from its head."""
    return Row(key=key, head=head, body=body, mark=hashlib.blake2b(head.encode("utf-8", "replace"), digest_size=6).hexdigest())


def difference(have: Mapping[str, str], page: Page) -> str:
    """What a browser that has these marks is sent so that it shows this page, as htmx's partials; empty where it does already.

    Nothing is sent about a row that has not changed, and nothing but its head about one that has.
    """
    gone = [_partial(key, "delete", "") for key in have if key not in page.marks and _KEY.fullmatch(key)]
    told = [_partial(f"{sign.key}-live", "outerMorph", sign.sign) for sign in page.signs if have.get(sign.key) != sign.mark]
    rows = [part for region, rows in page.regions.items() for part in _region(region, rows, have)]
    return "".join([*gone, *told, *rows])


def _region(region: str, rows: Sequence[Row], have: Mapping[str, str]) -> Iterator[str]:
    before: str | None = None
    new: list[Row] = []
    # Targets are looked up before anything is put in, so what comes together goes behind a row that is there already.
    for one in rows:
        if one.key not in have:
            new.append(one)
            continue
        if new:
            yield _inserted(region, before, new)
            new = []
        if have[one.key] != one.mark:
            yield _partial(f"{one.key}-live", "outerMorph", one.live)
        before = one.key
    if new:
        yield _inserted(region, before, new)


def _inserted(region: str, before: str | None, new: Sequence[Row]) -> str:
    html = "".join(one.whole for one in new)
    return _partial(region, "afterbegin", html) if before is None else _partial(before, "afterend", html)


def _partial(target: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'
