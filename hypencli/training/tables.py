"""Texts as token ids or as encoder states, back to back in one array each.

Axes: ``n`` texts, ``t`` tokens, ``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hypencli.models.encoding import pad, tokenise
from hypencli.progress import Progress

_TEXTS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Token ids of ``n`` texts.

    Attributes:
        ids: All of them, ``[sum of t]``.
        offsets: Where each text begins and the last one ends, ``[n + 1]``.
        pad_id: What batches are padded with.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    pad_id: int

    @classmethod
    def of_texts(
        cls,
        tokenizer: Any,
        texts: Sequence[str],
        *,
        max_length: int,
        progress: Progress,
        what: str,
    ) -> TokenTable:
        """Tokenise every text once, special tokens included, cut to ``max_length``."""
        rows: list[npt.NDArray[np.int32]] = []
        with progress.task(f"tokenising {what}", total=len(texts), unit=what) as task:
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                some = texts[start : start + _TEXTS_AT_ONCE]
                rows += [np.array(r, np.int32) for r in tokenise(tokenizer, some, max_length)]
                task.advance(len(some))
        ids = np.concatenate(rows) if rows else np.empty(0, np.int32)
        return cls(ids, _offsets(len(row) for row in rows), tokenizer.pad_token_id or 0)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, ``[n]``."""
        return np.diff(self.offsets)

    def batch(self, texts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Token ids ``[n, t]`` of some texts, padded to the longest, and their mask ``[n, t]``."""
        rows = [self.ids[self.offsets[i] : self.offsets[i + 1]].tolist() for i in texts]
        return pad(rows, self.pad_id)


@dataclass(frozen=True, slots=True)
class StateTable:
    """Token states of ``n`` texts, as a frozen encoder gave them.

    Attributes:
        states: All of them, ``[sum of t, h]``.
        offsets: Where each text begins and the last one ends, ``[n + 1]``.
    """

    states: Tensor
    offsets: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, lengths: Iterable[int], width: int, dtype: torch.dtype) -> StateTable:
        """Room for the states of texts of these lengths."""
        offsets = _offsets(lengths)
        return cls(torch.empty((int(offsets[-1]), width), dtype=dtype), offsets)

    def put(self, text: int, states: Tensor) -> None:
        """Keep the states ``[t, h]`` of one text."""
        self.states[self.offsets[text] : self.offsets[text + 1]] = states.to(self.states)

    def batch(self, texts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States ``[n, t, h]`` in float32, zero where there is padding, and the mask ``[n, t]``."""
        lengths = [int(self.offsets[i + 1] - self.offsets[i]) for i in texts]
        states = torch.zeros(len(texts), max(lengths), self.states.shape[1])
        mask = torch.zeros(states.shape[:2], dtype=torch.long)
        for row, (i, length) in enumerate(zip(texts, lengths, strict=True)):
            states[row, :length] = self.states[self.offsets[i] : self.offsets[i + 1]]
            mask[row, :length] = 1
        return states, mask


def by_length(lengths: npt.NDArray[np.int64], token_budget: int) -> Iterator[list[int]]:
    """Texts in batches of one length each, longest first: no padding, so no trace of the batch."""
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    batch: list[int] = []
    for i in order.tolist():
        full = batch and (len(batch) + 1) * lengths[batch[0]] > token_budget
        if batch and (full or lengths[i] != lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _offsets(lengths: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)
