"""Finished neighbour graphs: one array of ordinals, mapped into memory."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt

from hypestore.errors import DamagedArtifact, InvalidContent, refuse_open_limit
from hypestore.manifest import Manifest
from hypestore.verification import check_files

NEIGHBOURS_NAME = "neighbours.npy"
DTYPE = np.dtype("<i4")
"""Type of the ordinals in the file."""

_NO_HEADER = (SyntaxError, TokenError, RecursionError, MemoryError)
"""What Python's parser raises on bytes that are no NumPy header, besides ``ValueError``."""


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """A finished neighbour graph. Its file is memory-mapped, not read.

    Attributes:
        manifest: Its manifest.
        neighbours: Ordinals [n, k] int32, read-only. Row i has the documents nearest to document
            i, nearest first, without itself, then -1 if there are fewer than k.
    """

    manifest: Manifest
    neighbours: npt.NDArray[np.int32]

    @property
    def n(self) -> int:
        """Number of documents."""
        return int(self.neighbours.shape[0])

    @property
    def k(self) -> int:
        """Neighbours per document: the number of columns."""
        return int(self.neighbours.shape[1])

    @property
    def embeddings(self) -> str:
        """Id of the embedding set that the ordinals refer to."""
        return str(self.manifest.inputs["embeddings"])

    def first(self, k: int) -> NeighbourGraph:
        """A graph of the ``k`` nearest neighbours of each document: a view of this one.

        Raises:
            InvalidContent: ``k`` is below 1, or above the number of columns.
        """
        if not 1 <= k <= self.k:
            raise InvalidContent(
                f"The graph {self.manifest.id} has {self.k} neighbours a document, not {k}.",
                hint="Make one with more: hype graph --k K",
            )
        return NeighbourGraph(self.manifest, self.neighbours[:, :k])


def open_graph(folder: Path, manifest: Manifest) -> NeighbourGraph:
    """Open the graph in a folder by mapping its file.

    Raises:
        DamagedArtifact: The file is missing, has another size than the manifest says, or has
            another shape or dtype.
    """
    check_files(folder, manifest)
    shape = (manifest.stat_int("n_documents"), manifest.input_int("k"))
    path = folder / NEIGHBOURS_NAME
    offset = _check_header(path, shape)
    if shape[0] == 0:  # nothing can be mapped
        return NeighbourGraph(manifest, np.empty(shape, np.int32))
    return NeighbourGraph(manifest, _map(path, shape, offset))


def _map(path: Path, shape: tuple[int, int], offset: int) -> npt.NDArray[np.int32]:
    """Map the ordinals, without read-ahead: a search reads rows in random order."""
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, DTYPE, shape[0] * shape[1], offset).reshape(shape)


def _check_header(path: Path, shape: tuple[int, int]) -> int:
    """Position of the ordinals in the file in bytes, after its header and size were checked."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"NumPy format {version}, expected (1, 0)")
            header = np.lib.format.read_array_header_1_0(stream)
            offset = stream.tell()
        if header != (shape, False, DTYPE):
            raise ValueError(f"an array {header}, expected {(shape, False, DTYPE)}")
        size = path.stat().st_size
        expected = offset + shape[0] * shape[1] * DTYPE.itemsize
        if size != expected:
            raise ValueError(f"{size} bytes long, expected {expected}")
    except (OSError, ValueError, *_NO_HEADER) as error:
        refuse_open_limit(error)
        problem = str(error) if isinstance(error, OSError | ValueError) else "no NumPy header"
        raise DamagedArtifact(f"{path}: {problem}.", hint="hype doctor --checksums") from error
    return offset
