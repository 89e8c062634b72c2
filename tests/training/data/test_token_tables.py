from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypencli.training.data.token_tables import (
    TokenStateStore,
    TokenTable,
    TokenWriter,
    cut_by_length,
)

TEXTS = ["river water flood", "star", "bread flour oven yeast dough", "a"]


def test_tokens_are_those_of_the_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    writer = TokenWriter(tmp_path, "texts", tokenizer, 5)
    assert [writer.add(text) for text in (*TEXTS, TEXTS[1])] == [0, 1, 2, 3, 1]
    writer.finish()
    table = TokenTable.open(tmp_path, "texts")
    ids, mask = table.batch([2, 1])
    expected = tokenizer(
        [TEXTS[2], TEXTS[1]], truncation=True, max_length=5, padding=True, return_tensors="pt"
    )
    assert torch.equal(ids, expected["input_ids"])
    assert torch.equal(mask, expected["attention_mask"])
    assert table.lengths.tolist() == [5, 3, 5, 3]
    assert len(table) == len(writer) == 4


def test_more_texts_than_are_tokenised_at_once(tokenizer: Any, tmp_path: Path) -> None:
    texts = [f"river {i} star" for i in range(5_000)]
    writer = TokenWriter(tmp_path, "texts", tokenizer, 16)
    assert [writer.add(text) for text in texts] == list(range(5_000))
    assert writer.add(texts[17]) == 17
    writer.finish()
    table = TokenTable.open(tmp_path, "texts")
    assert len(table) == 5_000
    for i in (0, 2_047, 2_048, 4_999):
        assert table[i].tolist() == tokenizer(texts[i])["input_ids"]


def test_an_empty_table(tokenizer: Any, tmp_path: Path) -> None:
    TokenWriter(tmp_path, "texts", tokenizer, 5).finish()
    assert len(TokenTable.open(tmp_path, "texts")) == 0


def test_states_come_back_with_zeros_for_padding() -> None:
    table = TokenStateStore(np.empty((5, 4), np.float16), np.array([0, 2, 5]))
    first, second = torch.ones(2, 4), torch.full((3, 4), 2.0)
    table.put(1, second)
    table.put(0, first)
    states, mask = table.batch([0, 1])
    assert states.dtype == torch.float32
    assert torch.equal(states[0], torch.cat([first, torch.zeros(1, 4)]))
    assert torch.equal(states[1], second)
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]


@given(
    st.lists(st.integers(1, 9), max_size=30),
    st.integers(1, 40),
    st.none() | st.integers(1, 5),
)
def test_chunks_of_similar_length(lengths: list[int], budget: int, most: int | None) -> None:
    chunks = list(cut_by_length(lengths, token_budget=budget, most_texts=most))
    assert sorted(i for chunk in chunks for i in chunk) == list(range(len(lengths)))
    for chunk in chunks:
        longest = max(lengths[i] for i in chunk)
        assert len(chunk) == 1 or len(chunk) * longest <= budget
        assert most is None or len(chunk) <= most
    ordered = [lengths[i] for chunk in chunks for i in chunk]
    assert ordered == sorted(ordered, reverse=True)
