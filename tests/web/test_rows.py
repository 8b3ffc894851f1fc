"""Whatever a page shows, what it is sent makes it show the present rows, in their order, each once."""

import re
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.web.rows import Page, Row, difference, row

PARTIAL = re.compile(r'<hx-partial hx-target="#([a-z0-9-]+)" hx-swap="(\w+)">(.*?)</hx-partial>', re.DOTALL)
ROW = re.compile(r'<li id="([a-z0-9-]+)" class="row"><div id="\1-live" class="live" data-mark="(\w+)">')
LIVE = re.compile(r'<(?:div|span) id="([a-z0-9-]+)-live" class="\w+" data-mark="(\w+)">')

KEYS = st.sampled_from([f"r-{number}" for number in range(8)])
HEADS = st.sampled_from(["a", "b", "c"])
# Rows come in the order of their keys, as all lists of the core do.
REGIONS = st.dictionaries(KEYS, HEADS).map(lambda found: tuple(row(key, head) for key, head in sorted(found.items())))


def page(rows: tuple[Row, ...], sign: str = "") -> Page:
    return Page(title="t", signs=(row("sign", sign),), regions={"region": rows})


class Browser:
    """The elements of a page, as htmx changes them."""

    def __init__(self, shown: Page) -> None:
        self.rows = [(one.key, one.mark) for one in shown.regions["region"]]
        self.signs = {one.key: one.mark for one in shown.signs}

    @property
    def have(self) -> Mapping[str, str]:
        return {**self.signs, **dict(self.rows)}

    def put(self, html: str) -> None:
        # Targets are found before anything is changed (htmx, #processPartials).
        there = {"region", *(key for key, _ in self.rows)}
        for target, swap, content in PARTIAL.findall(html):
            self._put(target, swap, content, there)

    def _put(self, target: str, swap: str, content: str, there: set[str]) -> None:
        keys = [key for key, _ in self.rows]
        match swap:
            case "delete":
                assert target in there
                del self.rows[keys.index(target)]
            case "outerMorph":
                ((key, mark),) = LIVE.findall(content)
                assert f"{key}-live" == target
                if key in self.signs:
                    self.signs[key] = mark
                else:
                    self.rows[keys.index(key)] = (key, mark)
            case "afterbegin":
                assert target == "region"
                self.rows[:0] = ROW.findall(content)
            case "afterend":
                assert target in there
                at = keys.index(target) + 1
                self.rows[at:at] = ROW.findall(content)
            case other:
                raise AssertionError(other)


@given(REGIONS, REGIONS, HEADS, HEADS)
def test_any_page_becomes_any_other(before: tuple[Row, ...], after: tuple[Row, ...], was: str, is_now: str) -> None:
    browser, now = Browser(page(before, was)), page(after, is_now)
    browser.put(difference(browser.have, now))
    assert browser.rows == [(one.key, one.mark) for one in after]
    assert browser.have == now.marks


@given(REGIONS)
def test_a_page_that_is_as_it_should_be_is_sent_nothing(rows: tuple[Row, ...]) -> None:
    assert difference(page(rows).marks, page(rows)) == ""


def test_of_a_row_that_changed_only_the_head_is_sent() -> None:
    sent = difference(page((row("r-1", "a", "BODY"),)).marks, page((row("r-1", "b", "BODY"),)))
    assert LIVE.findall(sent) == [("r-1", row("r-1", "b").mark)]
    assert "BODY" not in sent


def test_what_is_no_key_of_ours_is_put_into_no_selector() -> None:
    assert difference({'"] *': "x", "R": "y", "": "z", "sign": row("sign", "").mark}, page(())) == ""
