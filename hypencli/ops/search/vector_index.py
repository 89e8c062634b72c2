"""Vector indexes of embedding sets, built once and cached in the store.

A search that names an engine of an index builds the index. Approximate search of q-nets takes an
index that ``hype index`` has built, and builds none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.engine.vector_index.spec import (
    INDEX_OPTIONS,
    MAPPED_KINDS,
    DescribedIndex,
    IndexSpec,
)
from hypencli.errors import ModelError, UsageError, did_you_mean
from hypencli.escaping import escape_shell
from hypencli.option_fields import parse_options
from hypencli.progress import SILENT, Progress
from hypestore import ArtifactBusy, DamagedArtifact, EmbeddingSet, Store

if TYPE_CHECKING:
    from hypencli.engine.vector_index.index import LibraryIndex

INDEX_VERSION = 2
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
    ``threads`` may differ from those at the time of the build. The build of a kind that is mapped
    from disk keeps its parts, so a repeated command continues it.

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
        DiskFull: No space is left for the index or its parts.
    """
    spec = spec.for_vectors(str(embeddings.dtype))
    name = index_name(embeddings, spec)
    built: list[float] = []

    def make(folder: Path) -> None:
        started = time.perf_counter()
        _build(store, folder, embeddings, spec, progress)
        built.append(time.perf_counter() - started)

    folder = store.cached(name, make)
    if built:
        _remove_parts(store, name)
    return OpenedIndex(_loaded(folder, spec), name, built[0] if built else None)


def make_index(
    store: Store,
    embeddings: EmbeddingSet,
    kind: str,
    options: Mapping[str, object],
    progress: Progress = SILENT,
) -> DescribedIndex:
    """Build an index for approximate search, or find the one that there is.

    Args:
        store: The project store, which caches the index.
        embeddings: Vectors to index.
        kind: ``ivf``, ``hnsw`` or ``flat16``.
        options: Parameters of the kind; text is parsed.
        progress: Where to report.

    Raises:
        UsageError: The kind or an option is wrong, or the set is empty.
        MissingDependencyError: faiss is not installed.
        ModelError: A vector is too long for inner products in float32; names the document.
        DamagedArtifact: The file of an existing index is damaged.
        StoreNotWritable: The index does not exist, and the store is read-only.
        DiskFull: No space is left for the index or its parts.
    """
    if kind not in MAPPED_KINDS:
        raise UsageError(f"Unknown index {kind!r}.", hint=did_you_mean(kind, MAPPED_KINDS))
    if not embeddings.n:
        raise UsageError(
            f"The embedding set {embeddings.manifest.id} has no documents to index.",
            hint="List the sets and their sizes: hype ls embeddings",
        )
    spec_kind = MAPPED_KINDS[kind]
    parsed: Any = parse_options(INDEX_OPTIONS[spec_kind], options, of=f"the index {kind}")
    spec = IndexSpec(spec_kind, asdict(parsed))
    opened = open_index(store, embeddings, spec, progress)
    described = describe_index(store, embeddings.manifest.id, opened.cache)
    if described is None:
        raise UsageError(
            f"The index {opened.cache} was removed while this command ran.",
            hint=f"Build it again: hype index {escape_shell(embeddings.manifest.id)} "
            f"--kind {escape_shell(kind)}",
        )
    return replace(described, build_seconds=opened.build_seconds)


def existing_index(store: Store, embeddings_id: str, kind: str = "auto") -> str | None:
    """Return the name of the cache of an index for approximate search, if the store has one.

    Args:
        store: The project store.
        embeddings_id: Id of the embedding set.
        kind: ``ivf``, ``hnsw`` or ``flat16``; ``auto`` takes the first of these that there is, and
            ``none`` takes none.

    Raises:
        UsageError: An index of this kind was asked for, and there is none.
    """
    if kind == "none":
        return None
    wanted = tuple(MAPPED_KINDS) if kind == "auto" else (kind,)
    for each in wanted:
        caches = _caches_of(store, embeddings_id, each)
        if caches:
            return caches[-1]
    if kind == "auto":
        return None
    raise UsageError(
        f"The embedding set {embeddings_id} has no index of the kind {kind}.",
        hint=f"Build one: hype index {escape_shell(embeddings_id)} --kind {escape_shell(kind)}",
    )


def open_existing(store: Store, cache: str) -> LibraryIndex:
    """Open an index by the name of its cache.

    Raises:
        UsageError: The index was removed in the meantime.
        DamagedArtifact: A file of the index is damaged.
    """
    from hypencli.engine.vector_index.index import spec_of

    folder = store.cached(cache, partial(_removed, cache))
    try:
        spec = spec_of(folder)
    except ModelError as error:
        raise _damaged(folder, error) from error
    return _loaded(folder, spec)


def described_indexes(store: Store, embeddings_id: str) -> list[DescribedIndex]:
    """Describe the indexes of an embedding set that approximate search can take."""
    return [
        described
        for kind in MAPPED_KINDS
        for cache in _caches_of(store, embeddings_id, kind)
        if (described := describe_index(store, embeddings_id, cache)) is not None
    ]


def describe_index(store: Store, embeddings_id: str, cache: str) -> DescribedIndex | None:
    """Describe an index; None if it was removed in the meantime, or is damaged."""
    from hypencli.engine.vector_index.index import spec_of
    from hypencli.engine.vector_index.sample import recall_of

    for each in store.caches():
        if each.name != cache:
            continue
        try:
            spec, recall = spec_of(each.path), recall_of(each.path)
        except (OSError, ValueError, ModelError):
            return None
        kind = next(name for name, kind in MAPPED_KINDS.items() if kind == spec.kind)
        return DescribedIndex(embeddings_id, kind, cache, spec.built_with, each.size_bytes, recall)
    return None


def index_name(embeddings: EmbeddingSet, spec: IndexSpec) -> str:
    """Return the name of the cache of an index: its kind, its set, and a hash of its inputs."""
    from hypencli.runtime import cache_name

    spec = spec.for_vectors(str(embeddings.dtype))
    return cache_name(
        _prefix(embeddings.manifest.id, spec.kind),
        embeddings=embeddings.manifest.id,
        built_with=spec.built_with,
        version=INDEX_VERSION,
    )


def _prefix(embeddings_id: str, kind: str) -> str:
    from hypencli.runtime import cache_name

    return cache_name(f"index-{kind}", embeddings=embeddings_id, version=INDEX_VERSION)[:-16]


def _caches_of(store: Store, embeddings_id: str, kind: str) -> list[str]:
    """Return the names of the complete indexes of a set and kind, last used last."""
    prefix = _prefix(embeddings_id, MAPPED_KINDS[kind]) + "-"
    return [
        cache.name
        for cache in store.caches()
        if cache.name.startswith(prefix) and _PART not in cache.name
    ]


def _loaded(folder: Path, spec: IndexSpec) -> LibraryIndex:
    from hypencli.engine.vector_index.index import load_index

    try:
        return load_index(folder, spec)
    except ModelError as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: ModelError) -> DamagedArtifact:
    return DamagedArtifact(
        error.message,
        hint=f"Delete it, and build it again: rm -r {escape_shell(folder)} "
        "(or hype doctor --clean, which deletes all unused caches)",
    )


def _removed(cache: str, folder: Path) -> None:
    raise UsageError(
        f"The index {cache} was removed, or has changed since it was built.",
        hint="Build it again: hype index",
    )


_PART = ".part-"
"""What follows the name of an index in the names of its parts."""


def _remove_parts(store: Store, name: str) -> None:
    """Remove the parts of an index that is complete."""
    for cache in store.caches():
        if cache.name.startswith(name + _PART):
            with contextlib.suppress(ArtifactBusy):  # another process began the same build
                store.remove_cache(cache.name)


def _build(
    store: Store, folder: Path, embeddings: EmbeddingSet, spec: IndexSpec, progress: Progress
) -> None:
    from hypencli.engine.corpus import refuse_beyond_float32
    from hypencli.engine.vector_index.index import build_by_parts, build_index, load_index
    from hypencli.engine.vector_index.sample import IndexSample

    refuse_beyond_float32(embeddings)
    progress.message(f"building the index {spec.kind} of {embeddings.manifest.id}")
    n, dim = embeddings.n, embeddings.dim
    mapped = spec.kind in MAPPED_KINDS.values()
    with progress.task("index", total=n, unit="vectors") as task:
        if not mapped or not n:
            build_index(embeddings.blocks, spec, n=n, dim=dim, on_added=task.advance).save(folder)
        else:
            name = index_name(embeddings, spec)
            build_by_parts(
                folder,
                embeddings.vectors,
                spec,
                n=n,
                dim=dim,
                keep=lambda part, make: store.cached(f"{name}{_PART}{part}", make),
                on_added=task.advance,
            )
    if mapped and n:
        progress.message("measuring the recall of the index")
        sample = IndexSample.draw(embeddings.vectors, n)
        sample.measured(load_index(folder, spec), embeddings.blocks(), n).write(folder)
