"""Whether the disk has room for an encode: asked before it begins, and once its texts are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypestore import EmbeddingWork

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus
    from hypencli.ops.encode import EncodeOptions


def is_mine(shard: int, part: tuple[int, int] | None) -> bool:
    """Whether a shard belongs to part ``(i, N)``, i from 1."""
    return part is None or shard % part[1] == part[0] - 1


def bytes_of_vectors(rows: int, dim: int, storage_dtype: str) -> int:
    """What vectors [n, d] take on disk."""
    return rows * dim * (2 if storage_dtype == "float16" else 4)


class FreeSpaceCheck:
    """The space that the shards of this command take, as far as it is known.

    Before the first one these are the vectors alone, which are stored as they are. How well texts
    are packed is known from the first shard on: then the rest is asked for as a whole. Where nobody
    knows how many documents there are, nothing is asked.

    Args:
        work: The embedding set.
        corpus: What is encoded.
        options: How.
        dim: Width of the vectors.
    """

    def __init__(
        self, work: EmbeddingWork, corpus: Corpus, options: EncodeOptions, *, dim: int
    ) -> None:
        self._work = work
        self._rows_left = _rows_left(work, corpus, options)
        self._vectors = bytes_of_vectors(1, dim, options.storage_dtype)
        self._is_measured = False

    def require(self) -> None:
        """Before anything is encoded.

        Raises:
            DiskFull: The vectors do not fit; the message has what is needed and what is free.
        """
        self._work.require_space(self._rows_left * self._vectors)

    def after(self, shard: int, rows: int) -> None:
        """After a shard was written; the first one says what the others take.

        Raises:
            DiskFull: The rest does not fit.
        """
        self._rows_left = max(0, self._rows_left - rows)
        if not self._is_measured:
            self._is_measured = True
            self._work.require_space(self._work.shard_bytes(shard) * self._rows_left // rows)


def _rows_left(work: EmbeddingWork, corpus: Corpus, options: EncodeOptions) -> int:
    """Documents that this command is to encode; 0 where their number is not known."""
    count = corpus.count
    if count is None:
        return 0
    count = count if options.limit is None else min(count, options.limit)
    shards = range(-(-count // options.shard_rows))
    return work.missing_rows(count, [one for one in shards if is_mine(one, options.part)])
