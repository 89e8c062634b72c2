from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypencli.progress import SILENT
from hypencli.training.tables import StateTable, TokenTable, by_length

TEXTS = ["river water flood", "star", "bread flour oven yeast dough", "a"]


def test_tokens_are_those_of_the_tokenizer(tokenizer: Any) -> None:
    table = TokenTable.of_texts(tokenizer, TEXTS, max_length=5, progress=SILENT, what="texts")
    ids, mask = table.batch([2, 1])
    expected = tokenizer(
        [TEXTS[2], TEXTS[1]], truncation=True, max_length=5, padding=True, return_tensors="pt"
    )
    assert torch.equal(ids, expected["input_ids"])
    assert torch.equal(mask, expected["attention_mask"])
    assert table.lengths.tolist() == [5, 3, 5, 3]
    assert len(table) == 4


def test_states_come_back_with_zeros_for_padding() -> None:
    table = StateTable.empty([2, 3], width=4, dtype=torch.float16)
    first, second = torch.ones(2, 4), torch.full((3, 4), 2.0)
    table.put(1, second)
    table.put(0, first)
    states, mask = table.batch([0, 1])
    assert states.dtype == torch.float32
    assert torch.equal(states[0], torch.cat([first, torch.zeros(1, 4)]))
    assert torch.equal(states[1], second)
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 40))
def test_batches_by_length(lengths: list[int], budget: int) -> None:
    batches = list(by_length(np.array(lengths, dtype=np.int64), budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget
    widths = [lengths[batch[0]] for batch in batches]
    assert widths == sorted(widths, reverse=True)
