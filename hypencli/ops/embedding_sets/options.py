"""Options of an encode, and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from hypencli.errors import UsageError

StorageDtype: TypeAlias = Literal["float16", "float32"]
AUTO_DTYPE = "auto"

SHARD_ROWS = 16_384
"""Documents of a shard."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How a corpus is encoded.

    Attributes:
        max_length: Maximum number of tokens of a document.
        dtype: Arithmetic of the encoder: ``float32``, ``bfloat16``, ``float16``, or ``auto``.
            ``auto`` uses the dtype of existing vectors with the same inputs. Else it is bfloat16
            if this machine computes it natively, and a sample of the documents has cosines of at
            least 0.9999 to float32.
        storage_dtype: Type of the stored vectors, ``float16`` or ``float32``.
        batch_size: Texts per batch. None fills batches up to a number of tokens.
        device: Device of the encoder. None selects the best one.
        shard_rows: Documents per shard: the unit of parts, and of memory. A set that was begun
            keeps its own.
        keep_text: Store the texts of the documents, so that results can be shown.
        limit: Encode only this many documents, from the start.
        part: ``(i, N)`` with i from 1: encode the i-th of N parts of the shards.
        name: Name of the embedding set.
        wait_seconds: Seconds to wait while another process writes the same set or part.
    """

    max_length: int = 512
    dtype: str = AUTO_DTYPE
    storage_dtype: str = "float16"
    batch_size: int | None = None
    device: str | None = None
    shard_rows: int = SHARD_ROWS
    keep_text: bool = True
    limit: int | None = None
    part: tuple[int, int] | None = None
    name: str | None = None
    wait_seconds: float = 0.0

    def is_mine(self, shard: int) -> bool:
        """Whether a shard belongs to the part of this command."""
        return self.part is None or shard % self.part[1] == self.part[0] - 1

    def shards_of(self, n_documents: int) -> range:
        """The shards of this command, if the set has so many documents."""
        first, step = (0, 1) if self.part is None else (self.part[0] - 1, self.part[1])
        return range(first, -(-n_documents // self.shard_rows), step)


def bytes_of_vectors(rows: int, dim: int, storage_dtype: str) -> int:
    """Size in bytes of stored vectors ``[n, d]``."""
    return rows * dim * (2 if storage_dtype == "float16" else 4)


def checked_storage_dtype(name: str) -> StorageDtype:
    """Check the type of stored vectors.

    Raises:
        UsageError: It is not ``float16`` or ``float32``.
    """
    if name in get_args(StorageDtype):
        return cast("StorageDtype", name)
    raise UsageError(
        f"Vectors cannot be stored as {name!r}.", hint="Storage types: float16, float32"
    )
