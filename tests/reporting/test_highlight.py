"""Terms of a question in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.reporting.highlight import highlighted, terms_of


def marked(question: str, text: str, limit: int | None = None) -> list[str]:
    return [one.text for one in highlighted(text, terms_of(question), limit) if one.is_term]


@pytest.mark.parametrize(
    ("question", "text", "terms"),
    [
        ("what is a river", "The River is what rivers are", ["River", "rivers"]),
        ("what is it", "It is what it is", ["It", "is", "what", "it", "is"]),
        ("bank", "bankrupt banking banks embank", ["banking", "banks"]),
        ("C++ (2020)", "in 2020, not 20201: c", ["2020", "c"]),
        ("שלום", "אמר שלום לך", ["שלום"]),
        ("...", "nothing ... here", []),
        ("", "nothing", []),
    ],
)
def test_words_are_marked_in_any_case_and_with_other_endings(
    question: str, text: str, terms: list[str]
) -> None:
    assert marked(question, text) == terms


def test_the_passage_with_most_terms_is_shown() -> None:
    text = f"river {'x ' * 200} the old bank of a river with a bridge {'y ' * 200}"
    shown = "".join(one.text for one in highlighted(text, terms_of("bridge bank river"), 80))
    assert {"bank", "river", "bridge"} <= set(shown.split())
    assert shown.startswith("… ")
    assert len(shown) <= 84


@given(st.text(max_size=300), st.text(max_size=40))
def test_a_whole_text_stays_as_it_is(text: str, question: str) -> None:
    segments = highlighted(text, terms_of(question), None)
    assert "".join(one.text for one in segments) == text
    words = question.casefold()
    for one in segments:
        if one.is_term:
            assert one.text.casefold()[:3] in words or len(one.text) < 3
