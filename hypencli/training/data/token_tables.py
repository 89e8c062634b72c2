"""Token ids or token states of texts, concatenated in one array, in memory or mapped.

Axes: ``n`` texts, ``t`` tokens, ``h`` width of a token state, ``d`` of an embedding.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hypencli.errors import ModelError
from hypencli.models.encoding import pad, tokenise

_TEXTS_AT_ONCE = 2_048
HASH_BYTES = 16

Hashes: TypeAlias = npt.NDArray[np.uint8]
"""The :func:`hash_of` each text, ``[n, 16]``."""


def hash_of(text: str) -> bytes:
    """Return the hash by which equal texts are found."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Token ids of ``n`` texts.

    Attributes:
        ids: The token ids of all texts, ``[sum of t]``.
        offsets: Start of each text, and the end of the last, ``[n + 1]``.
        pad_id: The token id that pads batches.
        hashes: Hash of each text; None for a table that was not read from texts.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    pad_id: int
    hashes: Hashes | None = None

    @classmethod
    def open(cls, folder: Path, name: str) -> TokenTable:
        """Map the table that a :class:`TokenWriter` with this name wrote."""
        offsets = np.load(folder / f"{name}.offsets.npy", allow_pickle=False)
        pad_id = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["pad_id"]
        hashes = map_array(folder / f"{name}.hashes", np.uint8, HASH_BYTES)
        return cls(map_array(folder / f"{name}.ids", np.int32), offsets, pad_id, hashes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, text: int) -> npt.NDArray[np.int32]:
        """Return the token ids ``[t]`` of one text."""
        return self.ids[self.offsets[text] : self.offsets[text + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each text, ``[n]``."""
        return np.diff(self.offsets)

    def batch(self, texts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return token ids ``[n, t]`` of texts, padded to the longest, and mask ``[n, t]``."""
        return pad([self[i] for i in texts], self.pad_id)


class TokenWriter:
    """A writer of a token table, which tokenises each distinct text once.

    Only a hash of each text stays in memory.

    Args:
        folder: The folder of the table.
        name: Name of its files.
        tokenizer: Tokenises the texts.
        max_length: Most tokens of a text, with special tokens; longer texts are cut.
    """

    def __init__(self, folder: Path, name: str, tokenizer: Any, max_length: int) -> None:
        self._folder, self._name = folder, name
        self._tokenizer, self._max_length = tokenizer, max_length
        self._positions: dict[bytes, int] = {}
        self._offsets = array("q", [0])
        self._waiting: list[str] = []
        self._ids = folder / f"{name}.ids"
        self._ids.write_bytes(b"")

    def add(self, text: str) -> int:
        """Add a text; return its position, which is equal for equal texts."""
        position = self._positions.setdefault(hash_of(text), len(self._positions))
        if position == len(self._offsets) - 1 + len(self._waiting):
            self._waiting.append(text)
            if len(self._waiting) == _TEXTS_AT_ONCE:
                self._flush()
        return position

    def __len__(self) -> int:
        return len(self._positions)

    def finish(self) -> None:
        """Write the buffered texts, which completes the table."""
        self._flush()
        offsets = np.frombuffer(self._offsets, dtype=np.int64)
        np.save(self._folder / f"{self._name}.offsets.npy", offsets)
        (self._folder / f"{self._name}.hashes").write_bytes(b"".join(self._positions))
        facts = json.dumps({"pad_id": self._tokenizer.pad_token_id or 0})
        (self._folder / f"{self._name}.json").write_text(facts, encoding="utf-8")

    def _flush(self) -> None:
        rows = tokenise(self._tokenizer, self._waiting, self._max_length)
        with self._ids.open("ab") as out:  # closed again if a row cannot be read
            for row in rows:
                out.write(np.array(row, dtype=np.int32).tobytes())
                self._offsets.append(self._offsets[-1] + len(row))
        self._waiting = []


@dataclass(frozen=True, slots=True)
class TokenStateStore:
    """Token states of ``n`` texts from a frozen encoder.

    Attributes:
        states: The states of all texts, ``[sum of t, h]``, float32 or float16.
        offsets: Start of each text, and the end of the last, ``[n + 1]``.
    """

    states: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def put(self, text: int, states: Tensor) -> None:
        """Store the states ``[t, h]`` of one text.

        Raises:
            ModelError: A state is not finite, or too large for a store in float16.
        """
        rows = slice(self.offsets[text], self.offsets[text + 1])
        with np.errstate(over="ignore"):
            kept = states.numpy().astype(self.states.dtype)
        if not np.isfinite(kept).all():
            raise ModelError(
                f"The token states of text {text + 1:,} have values that {kept.dtype} cannot hold.",
                hint="Keep them in float32: `training.cache_dtype=float32`",
            )
        self.states[rows] = kept

    def batch(self, texts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return float32 states ``[n, t, h]``, zero at padding, and the mask ``[n, t]``."""
        lengths = [int(self.offsets[i + 1] - self.offsets[i]) for i in texts]
        states = torch.zeros(len(texts), max(lengths), self.states.shape[1])
        mask = torch.zeros(states.shape[:2], dtype=torch.long)
        for row, (i, length) in enumerate(zip(texts, lengths, strict=True)):
            rows = self.states[self.offsets[i] : self.offsets[i + 1]]
            states[row, :length] = torch.from_numpy(rows.astype(np.float32))
            mask[row, :length] = 1
        return states, mask


def map_array(path: Path, dtype: npt.DTypeLike, width: int | None = None) -> npt.NDArray[Any]:
    """Map a file of plain numbers as an array ``[n]`` or ``[n, width]``."""
    shape = (-1,) if width is None else (-1, width)
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype).reshape((0, *shape[1:]))
    return np.memmap(path, dtype=dtype, mode="r").reshape(shape)


def cut_by_length(
    lengths: Sequence[int], *, token_budget: int, most_texts: int | None = None
) -> Iterator[list[int]]:
    """Yield chunks of texts of similar length, longest first.

    Args:
        lengths: Number of tokens of each text.
        token_budget: Most tokens of a chunk, with padding; a single text may have more.
        most_texts: Most texts of a chunk; None for no limit.
    """
    chunk: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if chunk and (
            (len(chunk) + 1) * lengths[chunk[0]] > token_budget or len(chunk) == most_texts
        ):
            yield chunk
            chunk = []
        chunk.append(i)
    if chunk:
        yield chunk
