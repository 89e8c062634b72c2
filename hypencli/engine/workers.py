"""The threads of a search, and those of faiss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypencli.workers import ALONE, Workers, workers

__all__ = ["ALONE", "Workers", "faiss_threads", "workers"]


@contextmanager
def faiss_threads(faiss: Any, count: int) -> Iterator[None]:
    """Set the number of threads of faiss, a setting of the whole process, and restore it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
