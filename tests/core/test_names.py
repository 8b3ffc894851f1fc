"""A name is checked at the door, so that it can be no option, no path and no trick."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperhive.core.errors import Invalid
from hyperhive.core.model import parse_name
from hyperhive.core.safe_text import clean

GOOD = st.from_regex(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?", fullmatch=True).filter(lambda name: name not in ("operator", "hive"))
ODD = ["-x", "--purge", "../x", "a/b", "a\0", "a\n", "\na", "a" * 300, "\u202eada", "ada\u200b", "\uff41da", "ada-", "-ada",
       "1ada", "Ada", "", " ", "a b", "a.b", "a_b", "ada\ud800", "a" * 32, "\u0131da", "operator", "hive"]  # fmt: skip


@given(GOOD)
@settings(database=None)
def test_what_the_rule_allows_is_a_name(name: str) -> None:
    assert parse_name(name) == name


@given(st.text(max_size=50))
@settings(database=None)
@example("a" * 31)
def test_whatever_else_is_refused_in_words_that_are_safe_to_show(text: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) and not text.endswith("-") and text not in ("operator", "hive"):
        assert parse_name(text) == text
        return
    with pytest.raises(Invalid) as refused:
        parse_name(text)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 600


@pytest.mark.parametrize("text", ODD)
def test_an_odd_name_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_name(text)
    assert refused.value.hint
    assert refused.value.message.isascii()


@given(st.text(st.characters(), max_size=200))
@settings(database=None)
@example("\x1b]52;c;aGk=\x07 \x9b2J \x7f \u202e \ud800 \u2028 \r\n\ta")
def test_text_that_was_cleaned_controls_no_terminal(text: str) -> None:
    cleaned = clean(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", cleaned)
    cleaned.encode()
    assert len(cleaned) == len(text)
    assert clean(cleaned) == cleaned
