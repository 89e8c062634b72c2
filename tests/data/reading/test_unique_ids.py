"""Duplicate ids, found with 8 bytes an id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.reading import unique_ids as unique
from hypencli.data.reading.rows import TextRow
from hypencli.data.reading.unique_ids import SeenIds, check_unique, hash_id
from hypencli.errors import DataError


def rows_of(ids: list[str]) -> list[TextRow]:
    return [TextRow(i, identifier, "text") for i, identifier in enumerate(ids, start=1)]


def passed(ids: list[str], recent_ids: int) -> list[TextRow]:
    rows = rows_of(ids)
    return list(check_unique(rows, lambda: rows, name="corpus", unit="line", recent_ids=recent_ids))


@given(st.lists(st.integers(0, 40).map(str), max_size=60), st.integers(1, 9))
def test_raises_exactly_when_an_id_comes_twice(ids: list[str], recent_ids: int) -> None:
    if len(set(ids)) == len(ids):
        assert passed(ids, recent_ids) == rows_of(ids)
        return
    with pytest.raises(DataError, match=r"corpus: the id '\d+' is there twice, at lines") as caught:
        passed(ids, recent_ids)
    identifier = str(caught.value).split("'")[1]
    first = ids.index(identifier) + 1
    second = ids.index(identifier, first) + 1
    assert f"at lines {first} and {second}." in str(caught.value)


def test_a_recent_duplicate_is_told_at_once() -> None:
    ids = ["a", "b", "a", *map(str, range(1000))]
    rows = rows_of(ids)
    checked = check_unique(rows, lambda: rows, name="corpus", unit="line")
    assert [next(checked).id, next(checked).id] == ["a", "b"]
    with pytest.raises(DataError, match="'a' is there twice, at lines 1 and 3"):
        next(checked)


def test_two_ids_of_one_hash_are_not_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "hash_id", lambda identifier: len(identifier))
    assert len(passed(["aa", "bb", "c", "dd"], recent_ids=2)) == 4
    with pytest.raises(DataError, match="'bb' is there twice, at lines 2 and 4"):
        passed(["aa", "bb", "c", "bb"], recent_ids=2)


def test_memory_is_eight_bytes_an_id() -> None:
    seen = SeenIds(recent_ids=256)
    for i in range(10_000):
        seen.add(hash_id(str(i)))
    assert sum(level.nbytes for level in seen._levels) + 8 * len(seen._recent) == 80_000
    assert len(seen._levels) <= 8
