"""Vector indexes: search for the nearest documents of a query vector without scoring them all.

The libraries differ in their input, in the sign of their scores, and in what they return if fewer
than ``k`` documents are found. :class:`VectorIndex` hides these differences.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.engine.corpus import Ordinals, Scores, first_beyond
from hypencli.engine.vector_index.faiss import LISTED, MORE_LISTS, FaissIndex
from hypencli.engine.vector_index.hnswlib import HnswlibIndex
from hypencli.engine.vector_index.library import Library, Vectors
from hypencli.engine.vector_index.sample import IndexSample
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.errors import ModelError, UsageError

Blocks: TypeAlias = Callable[[], Iterable[tuple[int, npt.NDArray[np.generic]]]]
"""A function that reads a corpus in order, as ``(first ordinal, vectors [n, d])``."""

INDEX_FILE = "index.bin"
RECORD_FILE = "index.json"
_RECORD_FORMAT = 2
_ADDED_ROWS = 16_384
"""Vectors added at once; it is fixed, so an index does not depend on the shards."""

_PART_ROWS, _PARTS = 262_144, 8
"""Vectors of a part of a build that can be continued, and the most parts of inverted lists: each
has a copy of the centroids in memory."""

_GRAPH_PART_ROWS = 32_768
"""The least number of vectors that a graph grows by before it is kept."""

_BYTES_AT_ONCE = 1 << 20

_CHECKED_BYTES = 32 << 20
"""Bytes at either end of a file that are compared when it is opened. A large index is mapped and
hardly read; a store compares all of a file if its time of change is another."""


class VectorIndex(Protocol):
    """An index that finds documents by the inner product with a query vector."""

    @property
    def n(self) -> int:
        """The number of documents."""
        ...

    @property
    def dim(self) -> int:
        """Width of the vectors, ``d``."""
        ...

    @property
    def sample(self) -> IndexSample | None:
        """Random documents, if they are kept with the index."""
        ...

    def effort(self, recall: float) -> int:
        """Return the effort with which a search had this recall, 1 if none was measured."""
        ...

    def search(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]:
        """Return ordinals ``[q, k]`` and inner products ``[q, k]`` for queries ``[q, d]``.

        The best come first, equal scores by ordinal; -1 and -inf stand for missing documents.
        """
        ...


class LibraryIndex:
    """A vector index of hnswlib or faiss.

    Attributes:
        spec: Its kind and parameters, with those of its searches.
        n: The number of documents.
        dim: Width of the vectors, ``d``.
        sample: Random documents and the recall that was measured, if they are kept with the index.
    """

    sample: IndexSample | None = None

    def __init__(self, spec: IndexSpec, library: Library, *, n: int, dim: int) -> None:
        self.spec = spec
        self.n = n
        self.dim = dim
        self._library = library

    def search(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]:
        """Return ordinals ``[q, k]`` and scores ``[q, k]`` for query vectors ``[q, d]``.

        The best come first, equal scores by ordinal. The library decides which of several documents
        with the k-th best score it finds. -1 and -inf stand for missing documents: in a small
        corpus, in a disconnected graph, or if too few inverted lists are searched.

        Scores of ``hnsw`` err by up to 6e-8 in addition to float32 rounding, since hnswlib stores
        ``1 - score``. Scores of ``faiss-ivfpq``, and of codes of 8 or 16 bits, are those of the
        quantised vectors.

        Args:
            queries: Query vectors.
            k: The number of documents.
            effort: How many times as much to read as ``nprobe`` and ``ef_search`` say.

        Raises:
            ModelError: ``k`` is below 1, the width of the queries differs from that of the index,
                or a query is not finite.
        """
        asked = self._checked(queries, k)
        shape = (len(asked), k)
        ordinals: Ordinals = np.full(shape, -1, dtype=np.int64)
        scores: Scores = np.full(shape, -np.inf, dtype=np.float32)
        reach = min(k, self.n)
        if len(asked) and reach:
            nearest_ordinals, values = self._library.nearest(asked, reach, effort)
            self._refuse_unknown(nearest_ordinals)
            values = np.where(nearest_ordinals < 0, -np.inf, values).astype(np.float32, copy=False)
            order = np.lexsort((nearest_ordinals, -values), axis=1)
            ordinals[:, :reach] = np.take_along_axis(nearest_ordinals, order, axis=1)
            scores[:, :reach] = np.take_along_axis(values, order, axis=1)
        return ordinals, scores

    def effort(self, recall: float) -> int:
        """Return the effort with which a search had this recall, 1 if none was measured."""
        return 1 if self.sample is None else self.sample.effort(recall)

    def save(self, folder: Path) -> None:
        """Write the index and its specification into an empty folder.

        Raises:
            OSError: A file cannot be written.
        """
        path = folder / INDEX_FILE
        self._library.write(path)
        _write_record(path, self.spec, self.n, self.dim)

    def _refuse_unknown(self, ordinals: Ordinals) -> None:
        """Refuse ordinals outside of the corpus: mapped files are not checked whole."""
        if ordinals.max(initial=-1) >= self.n:
            raise ModelError(
                f"The index names the document {ordinals.max()}; the corpus has {self.n:,}.",
                hint="Its file is damaged: hype doctor --clean removes it; build it again.",
            )

    def _checked(self, queries: Vectors, k: int) -> Vectors:
        if k < 1:
            raise ModelError(f"k is {k}; a search returns at least 1 document a query.")
        asked: Vectors = np.ascontiguousarray(queries, dtype=np.float32)
        if asked.ndim != 2 or asked.shape[1] != self.dim:
            raise ModelError(
                f"The query vectors have the shape {list(asked.shape)}; the index takes "
                f"[q, {self.dim}].",
                hint="Search the embeddings that were made with this model: hype ls embeddings",
            )
        query = first_beyond(asked)
        if query is not None:
            raise ModelError(
                f"The vector of query number {query + 1} of the batch is not finite, or too long "
                "for products in float32."
            )
        return asked


def build_index(
    blocks: Blocks,
    spec: IndexSpec,
    *,
    n: int,
    dim: int,
    on_added: Callable[[int], None] | None = None,
) -> LibraryIndex:
    """Build an index in one pass over the corpus, or in two if it learns from a sample first.

    Blocks may be of any size, in float16 or float32. Memory: the index, 16,384 vectors, and the
    sample. With one thread, the index depends only on the corpus, the specification and the seed.

    Args:
        blocks: Reads the corpus; called once for each pass.
        spec: The kind of index, with its parameters.
        n: The number of vectors.
        dim: The width of the vectors, ``d``.
        on_added: Called with the number of vectors just added.

    Raises:
        MissingDependencyError: The library is not installed.
        UsageError: A parameter does not fit the corpus.
        ModelError: The corpus does not have ``n`` vectors of width ``dim``.
    """
    library = _library(spec).make(spec, n, dim)
    rows = library.training_rows(n)
    if rows:
        library.train(_sample(blocks(), rows, n=n, dim=dim, seed=spec.options.get("seed", 0)))
    for vectors in _rechunked(blocks(), n=n, dim=dim):
        library.add(vectors)
        if on_added is not None:
            on_added(len(vectors))
    return LibraryIndex(spec, library, n=n, dim=dim)


Rows: TypeAlias = Callable[[Ordinals], npt.NDArray[np.generic]]
"""A function that reads the vectors ``[m, d]`` at ordinals ``[m]``."""

Keep: TypeAlias = Callable[[str, Callable[[Path], None]], Path]
"""A function that returns a folder by its name; the first time, another function fills it."""

PART_FILE = "part.bin"


def build_by_parts(
    folder: Path,
    rows: Rows,
    spec: IndexSpec,
    *,
    n: int,
    dim: int,
    keep: Keep,
    on_added: Callable[[int], None],
) -> None:
    """Build an index of a mapped kind in parts, each of which is kept: a second call goes on.

    Memory: a part of 262,144 vectors or an eighth of all, and the training sample; for a graph,
    the whole graph.

    Args:
        folder: An empty folder for the index, as ``LibraryIndex.save`` leaves it.
        rows: Reads vectors of the corpus.
        spec: The kind of index, with its parameters.
        n: The number of vectors.
        dim: The width of the vectors, ``d``.
        keep: Keeps the parts.
        on_added: Called with the number of vectors of a part that is done.

    Raises:
        MissingDependencyError: The library is not installed.
        UsageError: A parameter does not fit the corpus.
        OSError: A file cannot be written.
    """
    build = _build_lists if spec.kind in LISTED else _build_graph
    path = folder / INDEX_FILE
    build(path, rows, spec, (n, dim), keep, on_added)
    _write_record(path, spec, n, dim)


def _build_lists(
    path: Path,
    rows: Rows,
    spec: IndexSpec,
    shape: tuple[int, int],
    keep: Keep,
    on_added: Callable[[int], None],
) -> None:
    """Learn the centroids, and fill lists part by part."""
    n, dim = shape
    size = max(_PART_ROWS, -(-n // _PARTS))

    def train(folder: Path) -> None:
        library = FaissIndex.make(spec, n, dim)
        library.train(_drawn(rows, library.training_rows(n), n, spec.options.get("seed", 0)))
        library.write(folder / PART_FILE)

    trained = keep("trained", train) / PART_FILE

    def fill(first: int, folder: Path) -> None:
        library = FaissIndex.read_to_add(trained, spec)
        for start, vectors in _pieces(rows, first, min(n, first + size)):
            library.add_from(start, vectors)
        library.write(folder / PART_FILE)

    for number, first in enumerate(range(0, n, size)):
        part = keep(f"{first:012d}", partial(fill, first)) / PART_FILE
        _link(
            part, path if not number else path.with_name(MORE_LISTS.replace("*", f"{number:05d}"))
        )
        on_added(min(size, n - first))


def _build_graph(
    path: Path,
    rows: Rows,
    spec: IndexSpec,
    shape: tuple[int, int],
    keep: Keep,
    on_added: Callable[[int], None],
) -> None:
    """Link the documents part by part; what is kept is the graph so far."""
    n, dim = shape
    size = max(_GRAPH_PART_ROWS, -(-n // _PARTS))
    before: list[Path] = []

    def grow(first: int, folder: Path) -> None:
        library = (
            FaissIndex.read_to_add(before[-1], spec) if before else FaissIndex.make(spec, n, dim)
        )
        for _, vectors in _pieces(rows, first, min(n, first + size)):
            library.add(vectors)
        library.write(folder / PART_FILE)

    for first in range(0, n, size):
        before.append(keep(f"{first:012d}", partial(grow, first)) / PART_FILE)
        on_added(min(size, n - first))
    _link(before[-1], path)


def _link(part: Path, path: Path) -> None:
    """Give a part of the build its place in the index, without a copy where links are possible."""
    try:
        path.hardlink_to(part)
    except OSError:
        shutil.copyfile(part, path)


def _pieces(rows: Rows, first: int, stop: int) -> Iterator[tuple[int, Vectors]]:
    """Yield the vectors from ``first`` to ``stop`` in float32, 16,384 at a time."""
    for start in range(first, stop, _ADDED_ROWS):
        ordinals = np.arange(start, min(stop, start + _ADDED_ROWS))
        yield start, rows(ordinals).astype(np.float32)


def _drawn(rows: Rows, count: int, n: int, seed: int) -> Vectors:
    """Return vectors ``[count, d]`` of documents drawn by the seed alone."""
    drawn = np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
    return rows(drawn).astype(np.float32)


def load_index(folder: Path, spec: IndexSpec) -> LibraryIndex:
    """Read an index that ``LibraryIndex.save`` wrote.

    Args:
        folder: The folder of the index.
        spec: Its specification; only parameters of searches may differ from those of the build.

    Raises:
        ModelError: The index is damaged, or was built with other parameters.
        MissingDependencyError: The library is not installed.
    """
    path = folder / INDEX_FILE
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        n, dim = int(record["n"]), int(record["dim"])
        measured = _measured(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The index in {folder} is damaged: {error}.") from error
    # Check first: the libraries may accept a damaged file, or end the process.
    damaged = [key for key, value in measured.items() if record.get(key) != value]
    if damaged:
        key = damaged[0]
        raise ModelError(
            f"{path} is damaged: {key} is {measured[key]}, expected {record.get(key)}."
        )
    expected = _described(spec, n, dim)
    if {key: record.get(key) for key in expected} != expected:
        raise ModelError(f"The index in {folder} is {record}; asked for is {expected}.")
    index = LibraryIndex(spec, _library(spec).read(path, spec, n, dim), n=n, dim=dim)
    index.sample = IndexSample.read(folder)
    return index


def spec_of(folder: Path) -> IndexSpec:
    """Return the specification of an index, with the default parameters of searches.

    Raises:
        ModelError: Its description is damaged, or of another version.
    """
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        options = dict(record["built_with"])
        sequential = options.pop("sequential", 0)
        return IndexSpec(record["kind"], {**options, "threads": int(sequential)})
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise ModelError(f"The index in {folder} is damaged: {error}.") from error


def _library(spec: IndexSpec) -> type[HnswlibIndex] | type[FaissIndex]:
    return HnswlibIndex if spec.kind == "hnsw" else FaissIndex


def _write_record(path: Path, spec: IndexSpec, n: int, dim: int) -> None:
    record = {**_described(spec, n, dim), **_measured(path)}
    (path.parent / RECORD_FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _described(spec: IndexSpec, n: int, dim: int) -> dict[str, Any]:
    """Return the description of an index that is saved beside it."""
    of_spec = {"kind": spec.kind, "built_with": spec.built_with}
    return {"format": _RECORD_FORMAT, **of_spec, "n": n, "dim": dim}


def _measured(path: Path) -> dict[str, int]:
    """Return the sizes and checksums of an index and of the parts beside it."""
    measured = _file_checks(path)
    for part in sorted(path.parent.glob(MORE_LISTS)):
        measured |= {f"{part.stem}_{key}": value for key, value in _file_checks(part).items()}
    return measured


def _file_checks(path: Path) -> dict[str, int]:
    """Return the size of a file, and the checksum of its first and last 32 MiB."""
    size, crc = path.stat().st_size, 0
    with path.open("rb") as stream:
        for start, stop in ((0, _CHECKED_BYTES), (size - _CHECKED_BYTES, size)):
            stream.seek(max(stream.tell(), start))
            while chunk := stream.read(min(_BYTES_AT_ONCE, max(0, stop - stream.tell()))):
                crc = zlib.crc32(chunk, crc)
    return {"size_bytes": size, "crc32": crc}


def _rechunked(
    blocks: Iterable[tuple[int, npt.NDArray[np.generic]]], *, n: int, dim: int
) -> Iterator[Vectors]:
    """Yield the corpus in float32, in blocks of one size, as views of one reused buffer."""
    buffer: Vectors = np.empty((min(n, _ADDED_ROWS), dim), dtype=np.float32)
    seen = filled = 0
    for first, vectors in blocks:
        if vectors.shape[1] != dim:
            raise ModelError(
                f"The vectors from document {first} on are {vectors.shape[1]} wide; "
                f"the index takes {dim}."
            )
        seen += len(vectors)
        if seen > n:
            raise ModelError(f"The corpus has more than the {n:,} vectors that are expected.")
        taken = 0
        while taken < len(vectors):
            piece = vectors[taken : taken + len(buffer) - filled]
            buffer[filled : filled + len(piece)] = piece
            taken, filled = taken + len(piece), filled + len(piece)
            if filled == len(buffer):
                yield buffer
                filled = 0
    if seen < n:
        raise ModelError(f"The corpus has {seen:,} vectors, expected {n:,}.")
    if filled:
        yield buffer[:filled]


def _sample(
    blocks: Iterable[tuple[int, npt.NDArray[np.generic]]],
    rows: int,
    *,
    n: int,
    dim: int,
    seed: int,
) -> Vectors:
    """Return vectors ``[rows, d]`` of documents drawn by the seed alone, in corpus order."""
    places = np.sort(np.random.default_rng(seed).choice(n, size=rows, replace=False))
    sample: Vectors = np.empty((rows, dim), dtype=np.float32)
    first = 0
    for vectors in _rechunked(blocks, n=n, dim=dim):
        start, stop = np.searchsorted(places, (first, first + len(vectors)))
        sample[start:stop] = vectors[places[start:stop] - first]
        first += len(vectors)
    return sample
