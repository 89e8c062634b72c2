"""Finished neighbour graphs: one array of ordinals, mapped into memory."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt

from hypestore.errors import DamagedArtifact, InvalidContent
from hypestore.manifest import Manifest
from hypestore.verification import check_files

NEIGHBOURS_NAME = "neighbours.npy"
DTYPE = np.dtype("<i4")
"""Type of the ordinals in the file."""

_NO_HEADER = (SyntaxError, TokenError, RecursionError, MemoryError)
"""What Python's parser raises on bytes that are no NumPy header, besides ``ValueError``."""


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """A finished neighbour graph. Opening it maps its file, whatever its size.

    Attributes:
        manifest: Its manifest.
        neighbours: Ordinals [n, k] int32, read-only: row i has the documents nearest to document
            i, nearest first, without itself; -1 at the end where there are fewer than k.
    """

    manifest: Manifest
    neighbours: npt.NDArray[np.int32]

    @property
    def n(self) -> int:
        """Documents."""
        return int(self.neighbours.shape[0])

    @property
    def k(self) -> int:
        """Neighbours a document, here."""
        return int(self.neighbours.shape[1])

    @property
    def embeddings(self) -> str:
        """Id of the embedding set whose ordinals these are."""
        return str(self.manifest.inputs["embeddings"])

    def first(self, k: int) -> NeighbourGraph:
        """The same graph with the ``k`` nearest of each row alone: a view, no copy.

        Raises:
            InvalidContent: The graph has fewer, or ``k`` is below 1.
        """
        if not 1 <= k <= self.k:
            raise InvalidContent(
                f"The graph {self.manifest.id} has {self.k} neighbours a document, not {k}.",
                hint="Make one with more: hype graph --k K",
            )
        return NeighbourGraph(self.manifest, self.neighbours[:, :k])


def open_graph(folder: Path, manifest: Manifest) -> NeighbourGraph:
    """Map the graph in a folder.

    Raises:
        DamagedArtifact: Its file is missing, of another size than the manifest says, or not an
            array of the shape and type that the manifest gives it.
    """
    check_files(folder, manifest)
    shape = (manifest.stat_int("n_documents"), manifest.input_int("k"))
    path = folder / NEIGHBOURS_NAME
    offset = _check_header(path, shape)
    if shape[0] == 0:  # nothing can be mapped
        return NeighbourGraph(manifest, np.empty(shape, np.int32))
    return NeighbourGraph(manifest, _map(path, shape, offset))


def _map(path: Path, shape: tuple[int, int], offset: int) -> npt.NDArray[np.int32]:
    """The ordinals where they lie: rows are asked for here and there, so none is read ahead."""
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, DTYPE, shape[0] * shape[1], offset).reshape(shape)


def _check_header(path: Path, shape: tuple[int, int]) -> int:
    """Where the ordinals begin in a file that holds them in this shape."""
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
        problem = str(error) if isinstance(error, OSError | ValueError) else "no NumPy header"
        raise DamagedArtifact(f"{path}: {problem}.", hint="hype doctor --checksums") from error
    return offset
