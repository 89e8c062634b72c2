"""Variants of queries: each kind changes what it says and nothing else, by seed and query alone."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.variations import (
    EDITS,
    drawing,
    misspelt,
    read_synonyms,
    reordered,
    reworded,
    shortened,
)
from hypencli.errors import DataError

texts = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABC.'?", min_size=1, max_size=9), max_size=7
).map(" ".join)
seeds = st.integers(0, 2**32)


def one_slip(word: str) -> set[str]:
    """Every word that one slip can make, a letter at a time; substitutions by any letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    created = set()
    for i in range(1, len(word)):
        created |= {word[:i] + word[i + 1 :], word[: i + 1] + word[i:]}
        created |= {word[:i] + x + word[i + 1 :] for x in letters + letters.upper()}
        if i + 1 < len(word):
            created.add(word[:i] + word[i + 1] + word[i] + word[i + 2 :])
    return created - {word}


@given(texts, seeds, st.integers(1, 3))
def test_a_slip_in_as_many_words_as_asked_for(text: str, seed: int, changes: int) -> None:
    actual = misspelt(text, random.Random(seed), changes)
    pairs = list(zip(text.split(), actual.split(), strict=True))
    changed = [(before, after) for before, after in pairs if before != after]
    assert all(after in one_slip(before) and after[0] == before[0] for before, after in changed)
    letters = [sum(map(str.isalpha, word)) for word in text.split()]
    able = sum(count >= 4 for count in letters) or sum(count > 1 for count in letters)
    assert len(changed) == min(changes, able)


def test_every_kind_of_slip_occurs() -> None:
    actual = {misspelt("planet", random.Random(seed)) for seed in range(300)}
    assert {"plaent", "plnet", "plaanet", "planer"} <= actual
    assert "xlanet" not in actual
    assert "planep" not in actual  # p is far from t


def test_keys_keep_their_case_and_other_scripts_their_letters() -> None:
    assert all(misspelt("ABCD", random.Random(i)).isupper() for i in range(50))
    actual = {misspelt("größe", random.Random(seed)) for seed in range(100)}
    assert {"gröse", "grße", "grööße"} & actual
    assert misspelt("日本語の文", random.Random(0)) != "日本語の文"


@given(texts, seeds, st.integers(1, 3))
def test_words_are_dropped_and_one_stays(text: str, seed: int, changes: int) -> None:
    actual = shortened(text, random.Random(seed), changes)
    words, kept = text.split(), actual.split()
    real = [word for word in words if any(map(str.isalnum, word))]
    assert len(kept) == len(words) - min(changes, max(0, len(real) - 1))
    assert not Counter(kept) - Counter(words)
    stream = iter(words)
    assert all(word in stream for word in kept)  # in their order


@given(texts, seeds)
def test_two_words_change_places(text: str, seed: int) -> None:
    actual = reordered(text, random.Random(seed))
    words = text.split()
    moved = [i for i, (a, b) in enumerate(zip(words, actual.split(), strict=True)) if a != b]
    real = {word for word in words if any(map(str.isalnum, word))}
    assert len(moved) == (2 if len(real) > 1 else 0)
    if moved:
        i, j = moved
        assert (actual.split()[i], actual.split()[j]) == (words[j], words[i])


SYNONYMS = {"big": ("large", "huge"), "river": ("stream",)}


def test_synonyms_keep_case_and_punctuation() -> None:
    actual = {reworded("Is (Big) big?", random.Random(i), SYNONYMS) for i in range(40)}
    assert actual == {"Is (Large) big?", "Is (Huge) big?", "Is (Big) large?", "Is (Big) huge?"}
    both = reworded("big river", random.Random(0), SYNONYMS, 2)
    assert both in {"large stream", "huge stream"}
    assert reworded("a bigger  rivers", random.Random(0), SYNONYMS) == "a bigger  rivers"


@pytest.mark.parametrize("kind", EDITS)
def test_chance_is_by_seed_kind_and_query_alone(kind: str) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    edit = EDITS[kind]  # type: ignore[index]

    def variant(seed: int, query: str) -> str:
        return edit(text, drawing(seed, kind, query), 2)  # type: ignore[arg-type]

    assert variant(0, "q1") == variant(0, "q1")
    assert len({variant(seed, f"q{i}") for seed in range(5) for i in range(5)}) > 15


def test_variants_are_the_same_on_every_machine() -> None:
    """A change here makes new runs of everybody's old query sets."""
    text = "what is the capital of France"
    collected = [edit(text, drawing(0, kind, "q1"), 1) for kind, edit in EDITS.items()]
    assert collected == [
        "waht is the capital of France",
        "what the capital of France",
        "what is France capital of the",
    ]


def test_a_word_list_is_read_and_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("# comment\nBig\tlarge\thuge\n\nbig\tlarge\tvast  one\n", encoding="utf-8")
    assert read_synonyms(path) == {"big": ("large", "huge", "vast one")}
    for content, problem in [
        ("big\tlarge\nsmall\n", "line 2"),
        ("big\tBIG\n", "line 1"),
        ("\tlarge\n", "line 1"),
        ("# nothing\n", "no words in it"),
    ]:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=problem):
            read_synonyms(path)
