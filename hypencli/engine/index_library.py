"""What a library of vector indexes must offer, how it is imported, the threads that it may take."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.index_spec import IndexSpec
from hypencli.errors import MissingDependencyError

Vectors: TypeAlias = npt.NDArray[np.float32]

_EXTRAS = {"hnswlib": "hnsw", "faiss": "faiss"}
"""Which extra of this project installs each library."""


class Library(Protocol):
    """An index as a library keeps it; scores are inner products."""

    def training_rows(self, n: int) -> int:
        """How many of ``n`` vectors it learns from before any is added; 0 learns nothing."""
        ...

    def train(self, sample: Vectors) -> None:
        """Learn from some vectors ``[n, d]``."""
        ...

    def add(self, vectors: Vectors) -> None:
        """Add the next vectors ``[n, d]`` of the corpus."""
        ...

    def nearest(self, queries: Vectors, k: int) -> tuple[Ordinals, Scores]:
        """The nearest of at least ``k`` documents; ordinal -1 where it finds fewer."""
        ...

    def write(self, path: Path) -> None:
        """Write it to a file, whole.

        Raises:
            OSError: It cannot be written.
        """
        ...


def import_library(name: str, spec: IndexSpec) -> Any:
    """The module ``hnswlib`` or ``faiss``.

    Raises:
        MissingDependencyError: It is not installed; says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"The index {spec.kind} needs {name}, which cannot be imported: {error}.",
            hint=f"Install it: pip install 'hypencli[{_EXTRAS[name]}]' "
            "(or 'hypencli[ann]' for hnswlib and faiss)",
        ) from error


def hnsw_library() -> str:
    """The library that makes HNSW graphs here: ``hnswlib``, or ``faiss`` where it is missing.

    hnswlib has no wheel, so it needs a C++ compiler; faiss has wheels.
    """
    return "faiss" if importlib.util.find_spec("hnswlib") is None else "hnswlib"


def threads(spec: IndexSpec) -> int:
    """How many threads an index takes: those asked for, else as many as torch."""
    if spec["threads"]:
        return spec["threads"]
    import torch

    return torch.get_num_threads()
