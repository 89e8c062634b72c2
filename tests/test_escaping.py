"""Text of others without what steers a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hypencli.escaping import escape_terminal


def test_tabs_and_line_ends_stay() -> None:
    assert escape_terminal("a\tb\nc") == "a\tb\nc"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = escape_terminal(text)
    assert escape_terminal(once) == once
    once.encode("utf-8")
