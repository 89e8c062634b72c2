"""Text cut, numbers as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.reporting.text import decimals, digits, left_out, p_value, shortened, signed, whole


@given(st.text(alphabet="ab \n\t", max_size=300), st.integers(4, 40))
def test_a_text_is_cut_at_its_limit_and_says_so(text: str, limit: int) -> None:
    cut = shortened(text, limit)
    flat = " ".join(text.split())
    assert "\n" not in cut
    assert len(cut) <= limit + 2
    if len(flat) <= limit and len(text) <= 4 * limit:
        assert cut == flat
    else:
        assert flat.startswith(cut.removesuffix(" …"))


def test_a_text_is_cut_between_words() -> None:
    assert shortened("the quick brown fox jumps", 12) == "the quick …"
    assert shortened("incomprehensibilities of life", 12) == "incomprehens …"


def test_a_book_is_not_read_for_its_beginning() -> None:
    assert shortened("word " * 10_000_000, 20) == "word word word word …"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (decimals(0.98765), "0.9877"),
        (decimals(None), "–"),
        (decimals(1234.5678, 1), "1,234.6"),
        (signed(0.5), "+0.5000"),
        (signed(-0.5), "−0.5000"),
        (signed(-0.00001), "0.0000"),
        (whole(1234567), "1,234,567"),
        (whole(None), "–"),
        (digits(0.012345), "0.0123"),
        (digits(99.97), "100"),
        (digits(1234.5), "1,234"),
        (p_value(0.00001), "<0.0001"),
        (p_value(0.0312), "0.0312"),
    ],
)
def test_numbers(written: str, expected: str) -> None:
    assert written == expected


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    assert left_out(0, "runs", "hype report") == left_out(-3, "runs", "hype report") == ()
    assert left_out(1200, "runs", "hype report") == (
        "1,200 more runs are left out: hype report has them.",
    )
