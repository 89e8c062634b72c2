"""Options that are more than a number."""

from __future__ import annotations

import pytest

from hypencli.cli.options import parse_batch_size, parse_part, split_names
from hypencli.errors import UsageError


def test_parts_of_a_plan() -> None:
    assert parse_part(None) is None
    assert parse_part("1/1") == (1, 1)
    assert parse_part("3/8") == (3, 8)


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/3", "1/" + "9" * 5000, "１/２"]
)
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_part(text)


def test_batch_sizes() -> None:
    assert parse_batch_size("auto") is None
    assert parse_batch_size("32") == 32
    for text in ("0", "-1", "1.5", "9" * 5000, "٣", ""):
        with pytest.raises(UsageError, match="--batch-size"):
            parse_batch_size(text)


def test_measures_are_split_outside_parentheses() -> None:
    names = split_names("nDCG@10, AP(rel=2)@100 ERR@20,nDCG(dcg='exp-log2', judged_only=True)@5")
    assert names == (
        "nDCG@10",
        "AP(rel=2)@100",
        "ERR@20",
        "nDCG(dcg='exp-log2', judged_only=True)@5",
    )
    assert split_names(None) == ()
