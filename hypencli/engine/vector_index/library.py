"""The interface of an index library, its import, and its number of threads."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from hypencli.engine.corpus import Ordinals, Scores
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.errors import MissingDependencyError
from hypencli.packages import install_command

Vectors: TypeAlias = npt.NDArray[np.float32]


class Library(Protocol):
    """An index inside a library; its scores are inner products."""

    def training_rows(self, n: int) -> int:
        """Return how many of ``n`` vectors it learns from before any is added; 0 for none."""
        ...

    def train(self, sample: Vectors) -> None:
        """Learn from some vectors ``[n, d]``."""
        ...

    def add(self, vectors: Vectors) -> None:
        """Add the next vectors ``[n, d]`` of the corpus."""
        ...

    def nearest(self, queries: Vectors, k: int, effort: int = 1) -> tuple[Ordinals, Scores]:
        """Return ordinals and scores ``[q, k]`` of ``k`` documents; -1 for none.

        Args:
            queries: Query vectors ``[q, d]``.
            k: The number of documents.
            effort: How many times as much to read as the parameters of the index say.
        """
        ...

    def write(self, path: Path) -> None:
        """Write the complete index to a file.

        Raises:
            OSError: The file cannot be written.
        """
        ...


def import_library(name: str, spec: IndexSpec) -> Any:
    """Import the module ``hnswlib`` or ``faiss``.

    Raises:
        MissingDependencyError: The library is not installed; the error says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"The index {spec.kind} needs {name}, which cannot be imported: {error}.",
            hint=f"Install it: {install_command(name)}",
        ) from error


def threads(spec: IndexSpec) -> int:
    """Return the number of threads of an index: that of its options, else that of torch."""
    if spec["threads"]:
        return spec["threads"]
    import torch

    return torch.get_num_threads()
