"""Blocks of document vectors on a device: copied while the block before is scored, or kept there.

1. A thread copies rows from the mapped files into one of two pinned buffers of the host.
2. A stream of its own copies the buffer to the device, while the device scores the block before.
3. If all vectors fit into the free memory of the device, they stay there for the next search.

Pinned memory, streams and events exist for CUDA alone. Elsewhere the copies are plain ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from hypencli.engine.blocks import Pieces, block_pieces
from hypencli.engine.corpus import Block, Ordinals, SearchCorpus, Vectors
from hypencli.errors import ModelError

_LOG = logging.getLogger(__name__)

DeviceBlock: TypeAlias = tuple[int, torch.Tensor]
"""Ordinal of the first document, and vectors ``[n, d]`` on the device, as they are stored."""

RESIDENT_SHARE = 0.7
"""Largest share of the free memory of a device that vectors may fill; activations need the rest."""

_COPIED_ROWS = 8_192
"""Rows that one thread copies at a time."""


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """How a corpus is scored on a device.

    Attributes:
        block_rows: Documents copied to the device at once.
        rows: Documents scored at once; None chooses by the width and the number of queries.
        resident: Whether all vectors stay on the device; None keeps them if they fit.
        compile: Whether ``torch.compile`` fuses the q-nets of a first pass.
    """

    block_rows: int = 65_536
    rows: int | None = None
    resident: bool | None = None
    compile: bool = False


class DeviceCorpus:
    """A corpus whose blocks are scored on a device. It is used as the corpus that it wraps.

    Args:
        corpus: The documents.
        device: The device that scores.
        options: How they are scored; the defaults if None.

    Examples:
        >>> import numpy as np
        >>> from hypencli.engine.corpus import VectorCorpus
        >>> vectors = np.eye(3, dtype=np.float32)
        >>> corpus = DeviceCorpus(VectorCorpus(vectors), torch.device("cpu"))
        >>> [(first, tuple(block.shape)) for first, block in corpus.blocks().on_device()]
        [(0, (3, 3))]
    """

    def __init__(
        self, corpus: SearchCorpus, device: torch.device, options: DeviceOptions | None = None
    ) -> None:
        self._corpus = corpus
        self._blocks = DeviceBlocks(corpus, device, options or DeviceOptions())

    @property
    def n(self) -> int:
        """The number of documents."""
        return self._corpus.n

    @property
    def dim(self) -> int:
        """Width of the vectors, ``d``."""
        return self._corpus.dim

    def blocks(self) -> DeviceBlocks:
        """Return all vectors in order: as arrays of the host, or on the device."""
        return self._blocks

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        """Return the vectors ``[m, d]`` of documents, in the order of ``ordinals``."""
        return self._corpus.vectors(ordinals)

    def ids(self, ordinals: Ordinals, /) -> Any:
        """Return the ids of documents, in the order of ``ordinals``."""
        return self._corpus.ids(ordinals)


def on_device(corpus: SearchCorpus, device: torch.device) -> SearchCorpus:
    """Return a corpus for a search on a device: itself for a CPU, else a :class:`DeviceCorpus`."""
    if device.type == "cpu" or isinstance(corpus, DeviceCorpus):
        return corpus
    return DeviceCorpus(corpus, device)


class DeviceBlocks:
    """All vectors of a corpus in order, on the host or on a device.

    Args:
        corpus: The documents.
        device: The device.
        options: How they are scored.

    Attributes:
        resident: Whether all vectors are on the device.
        block_rows: Documents of a block; the last block has fewer.
    """

    def __init__(self, corpus: SearchCorpus, device: torch.device, options: DeviceOptions) -> None:
        self.device = device
        self.options = options
        self.block_rows = min(options.block_rows, max(1, corpus.n))
        self._corpus = corpus
        self._kept: list[DeviceBlock] = []
        self._stays = options.resident
        self.resident = False

    def __iter__(self) -> Iterator[Block]:
        """Yield all vectors as arrays of the host."""
        return iter(self._corpus.blocks())

    def on_device(self) -> Iterator[DeviceBlock]:
        """Yield all vectors on the device. The first pass keeps them there, if they fit."""
        if self.resident:
            yield from self._kept
            return
        if self._stays is None:
            self._stays = self._fits()
        for block in self._streamed():
            if self._stays:
                self._kept.append(block)
            yield block
        self.resident = bool(self._stays)

    def release(self) -> bool:
        """Stop keeping the vectors of the first pass; return whether any were kept."""
        if self.resident:  # a later pass: the blocks are in use
            return False
        kept, self._kept = bool(self._kept), []
        self._stays = False
        if kept:
            _LOG.warning("the vectors do not fit on %s: they are streamed to it", self.device)
        return kept

    def _fits(self) -> bool:
        """Return whether all vectors fit on the device; false for one that does not say."""
        if self.device.type != "cuda" or not self._corpus.n:
            return False
        item_bytes = self._corpus.vectors(np.zeros(1, dtype=np.int64)).itemsize
        free, _ = torch.cuda.mem_get_info(self.device)
        return self._corpus.n * self._corpus.dim * item_bytes <= RESIDENT_SHARE * free

    def _streamed(self) -> Iterator[DeviceBlock]:
        """Yield the blocks; each is copied while the caller works with the one before."""
        self._kept = []
        first = 0
        pieces = block_pieces(self._corpus.blocks(), self._corpus.dim, self.block_rows)
        with ThreadPoolExecutor(1) as pool, _Copier(self) as copier:
            coming: Future[_Copied] | None = None
            for each in pieces:
                following = pool.submit(copier.copy, each)
                if coming is not None:
                    block = coming.result().ready()
                    yield first, block
                    first += len(block)
                coming = following
            if coming is not None:
                yield first, coming.result().ready()


@dataclass(frozen=True, slots=True)
class _Copied:
    """A block whose copy to the device has begun, and the event of its end (CUDA alone)."""

    block: torch.Tensor
    end: torch.cuda.Event | None = None

    def ready(self) -> torch.Tensor:
        """Return the block; what the device does from now on waits for the copy."""
        if self.end is not None:
            computes = torch.cuda.current_stream(self.block.device)
            computes.wait_event(self.end)
            self.block.record_stream(computes)  # its memory is not reused before it was scored
        return self.block


class _Copier:
    """Copies blocks to the device by two buffers in turn, which are pinned for CUDA."""

    def __init__(self, blocks: DeviceBlocks) -> None:
        self._blocks = blocks
        self._cuda = blocks.device.type == "cuda"
        self._shape = (blocks.block_rows, blocks._corpus.dim)
        self._buffers: list[torch.Tensor] = []
        self._ends: list[torch.cuda.Event | None] = [None, None]
        self._turn = 0
        self._stream = torch.cuda.Stream(blocks.device) if self._cuda else None  # type: ignore[no-untyped-call]
        self._threads = ThreadPoolExecutor(torch.get_num_threads())

    def __enter__(self) -> _Copier:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._threads.shutdown()

    def copy(self, pieces: Pieces) -> _Copied:
        """Begin the copy of the vectors in ``pieces``; called by one thread at a time."""
        turn, self._turn = self._turn, 1 - self._turn
        with self._on_stream():  # this thread's device and stream, in which buffers are made too
            end = self._ends[turn]
            if end is not None:
                end.synchronize()  # the buffer's last block has left it
            block = self._to_device(self._filled(self._buffer(turn, pieces[0].dtype), pieces))
            if self._stream is not None:
                self._ends[turn] = self._stream.record_event()
        return _Copied(block, self._ends[turn])

    def _to_device(self, rows: torch.Tensor) -> torch.Tensor:
        try:
            return rows.to(self._blocks.device, non_blocking=True, copy=True)
        except torch.OutOfMemoryError as error:
            if self._blocks.release():
                torch.cuda.empty_cache()
                return rows.to(self._blocks.device, non_blocking=True, copy=True)
            raise ModelError(
                f"{self._blocks.device} has no memory for a block of {len(rows):,} vectors.",
                hint="End what else uses the device, or search on the CPU.",
            ) from error

    def _buffer(self, turn: int, stored: np.dtype[Any]) -> torch.Tensor:
        if not self._buffers:
            dtype = torch.float16 if stored == np.float16 else torch.float32
            self._buffers = [
                torch.empty(self._shape, dtype=dtype, pin_memory=self._cuda) for _ in range(2)
            ]
        return self._buffers[turn]

    def _filled(self, buffer: torch.Tensor, pieces: Pieces) -> torch.Tensor:
        """Copy the pieces into a buffer, some rows a thread; return the rows that they fill."""
        rows, filled, parts = buffer.numpy().view(np.uint8), 0, []
        for piece in pieces:
            for start in range(0, len(piece), _COPIED_ROWS):
                part = piece[start : start + _COPIED_ROWS]
                parts.append((rows[filled : filled + len(part)], part))
                filled += len(part)
        # Bytes: views of mapped files are not aligned to their numbers.
        list(self._threads.map(lambda each: np.copyto(each[0], each[1].view(np.uint8)), parts))
        return buffer[:filled]

    def _on_stream(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
