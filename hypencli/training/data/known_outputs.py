"""Outputs of a frozen encoder that exist already: in caches of other texts, and in embedding sets.

They are found by the hash of each text, so files and their order do not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.progress import Progress
from hypencli.training.data.token_tables import Hashes

_KEYS_FILE = "encoders.json"

Side: TypeAlias = Literal["query", "passage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderKey:
    """What the output of an encoder for a text depends on.

    Attributes:
        side: ``query`` for token states, ``passage`` for vectors.
        encoder: Fingerprint of the backbone, for vectors with pooling and normalisation.
        tokenizer: Fingerprint of the tokenizer.
        max_length: Most tokens of a text.
        kept_as: Dtype of the outputs.
        computed_in: Dtype of the arithmetic.
        device: Type of the device.
    """

    side: Side
    encoder: str
    tokenizer: str
    max_length: int
    kept_as: str
    computed_in: str
    device: str


class KnownOutputs(Protocol):
    """Outputs for some texts."""

    @property
    def name(self) -> str:
        """What holds them, for messages."""
        ...

    def find(self, wanted: Callable[[bytes], bool]) -> Iterator[tuple[bytes, npt.NDArray[Any]]]:
        """Yield the hash and the output of each text for which ``wanted`` is true."""
        ...


FindKnown: TypeAlias = Callable[[EncoderKey], Iterable[KnownOutputs]]
"""Returns what holds outputs of an encoder."""


def nothing_known(key: EncoderKey) -> Iterable[KnownOutputs]:
    """Return nothing: all texts are encoded."""
    return ()


def take_known(
    hashes: Hashes,
    holders: Iterable[KnownOutputs],
    put: Callable[[int, npt.NDArray[Any]], None],
    *,
    what: str,
    progress: Progress,
) -> list[int]:
    """Take outputs that exist; return the positions of the other texts, in order.

    Args:
        hashes: Hash of each text; they differ.
        holders: What may hold outputs of these texts.
        put: Called with the position of a text and its output.
        what: Name of the texts in messages.
        progress: Receives a message for each holder.
    """
    total = len(hashes)
    left = {row.tobytes(): position for position, row in enumerate(hashes)}
    for holder in holders:
        before = len(left)
        for text, output in holder.find(left.__contains__):
            put(left.pop(text), output)
            if not left:
                break
        if len(left) < before:
            progress.message(
                f"{before - len(left):,} of {total:,} {what} are taken from {holder.name}"
            )
        if not left:
            break
    return sorted(left.values())


def write_keys(folder: Path, keys: Iterable[EncoderKey]) -> None:
    """Record what the outputs in a folder depend on."""
    text = json.dumps({key.side: asdict(key) for key in keys})
    (folder / _KEYS_FILE).write_text(text, encoding="utf-8")


def holds(folder: Path, key: EncoderKey) -> bool:
    """Whether the outputs in a folder are those of an encoder; not if they lack a record."""
    path = folder / _KEYS_FILE
    if path.is_symlink():
        return False
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(recorded, dict) and recorded.get(key.side) == asdict(key)


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Outputs in an array, one or more rows for each text.

    Attributes:
        name: What holds them, for messages.
        hashes: Hash of each text.
        rows: The outputs of all texts, ``[m, h]``.
        offsets: Start of each text among the rows, and the end of the last; None means one row.
    """

    name: str
    hashes: Hashes
    rows: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64] | None = None

    def find(self, wanted: Callable[[bytes], bool]) -> Iterator[tuple[bytes, npt.NDArray[Any]]]:
        """Yield the hash and the rows of each text for which ``wanted`` is true."""
        for i, row in enumerate(self.hashes):
            text = row.tobytes()
            if wanted(text):
                if self.offsets is None:
                    yield text, self.rows[i]
                else:
                    yield text, self.rows[self.offsets[i] : self.offsets[i + 1]]
