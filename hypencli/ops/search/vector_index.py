"""Vector indexes of embedding sets, built once and cached in the store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.errors import ModelError
from hypencli.escaping import escape_shell
from hypencli.progress import SILENT, Progress
from hypestore import DamagedArtifact, EmbeddingSet, Store

if TYPE_CHECKING:
    from hypencli.engine.vector_index.index import LibraryIndex
    from hypencli.engine.vector_index.spec import IndexSpec

INDEX_VERSION = 1
"""Version of the build. A change of the build increases it, so that old indexes are not used."""


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """A vector index that is open.

    Attributes:
        index: The index. Its ordinals are those of the embedding set.
        cache: Name of the cache.
        build_seconds: Time of building and writing in seconds; None for an existing index.
    """

    index: LibraryIndex
    cache: str
    build_seconds: float | None


def open_index(
    store: Store, embeddings: EmbeddingSet, spec: IndexSpec, progress: Progress = SILENT
) -> OpenedIndex:
    """Open the index of an embedding set, and build it if the store does not have it.

    An existing index is used for all parameters of a search: ``ef_search``, ``nprobe`` and
    ``threads`` may differ from those at the time of the build.

    Args:
        store: The project store, which caches the index.
        embeddings: Vectors to index.
        spec: Kind and parameters of the index.
        progress: Where to report.

    Raises:
        MissingDependencyError: The library of the index is not installed.
        UsageError: A parameter does not fit the embedding set.
        ModelError: A vector is too long for inner products in float32; names the document.
        DamagedArtifact: The file of the index is damaged.
        StoreNotWritable: The index does not exist, and the store is read-only.
    """
    from hypencli.engine.vector_index.index import load_index

    name = index_name(embeddings, spec)
    built: list[tuple[LibraryIndex, float]] = []

    def make(folder: Path) -> None:
        started = time.perf_counter()
        index = _build(folder, embeddings, spec, progress)
        built.append((index, time.perf_counter() - started))

    folder = store.cached(name, make)
    if built:
        return OpenedIndex(built[0][0], name, built[0][1])
    try:
        return OpenedIndex(load_index(folder, spec), name, None)
    except ModelError as error:
        raise DamagedArtifact(
            error.message,
            hint=f"Delete it, and the next search builds it again: rm -r {escape_shell(folder)} "
            "(or hype doctor --clean, which deletes all unused caches)",
        ) from error


def index_name(embeddings: EmbeddingSet, spec: IndexSpec) -> str:
    """Return the name of the cache of an index: its kind, and a hash of its inputs."""
    from hypencli.runtime import cache_name

    return cache_name(
        f"index-{spec.kind}",
        embeddings=embeddings.manifest.id,
        built_with=spec.built_with,
        version=INDEX_VERSION,
    )


def _build(
    folder: Path, embeddings: EmbeddingSet, spec: IndexSpec, progress: Progress
) -> LibraryIndex:
    from hypencli.engine.corpus import refuse_beyond_float32
    from hypencli.engine.vector_index.index import build_index

    refuse_beyond_float32(embeddings)
    progress.message(f"building the index {spec.kind} of {embeddings.manifest.id}")
    with progress.task("index", total=embeddings.n, unit="vectors") as task:
        index = build_index(
            embeddings.blocks, spec, n=embeddings.n, dim=embeddings.dim, on_added=task.advance
        )
    index.save(folder)
    return index
