"""What mining reads: the rankings of a run, and the texts of its documents, bounded in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import groupby
from typing import TypeAlias

from hypencli.data.corpus import Corpus
from hypencli.data.training.negatives import Ranked
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import label
from hypestore import ArtifactNotFound, DamagedArtifact, EmbeddingSet, Store, StoredRun

RESULTS_FILE = "results.parquet"

_EVERY_RANK = 2**31 - 1

Texts: TypeAlias = Callable[[Collection[str]], Mapping[str, str]]
"""Texts of documents by id; those that are not there are left out."""


def rankings_of(
    run: StoredRun, *, to_rank: int | None, only: Collection[str] | None = None
) -> Iterator[tuple[str, list[Ranked]]]:
    """The ranking of each query that has one, in the run's order, a part of the run at a time.

    Args:
        run: The run.
        to_rank: The last rank that is needed; None for all.
        only: Queries that are needed; None for all.
    """
    rows = _rows(run, to_rank, None if only is None else sorted(only))
    for query_id, group in groupby(rows, key=lambda row: row[0]):
        yield query_id, [Ranked(doc_id, rank, score) for _, doc_id, rank, score in group]


def _rows(
    run: StoredRun, to_rank: int | None, only: list[str] | None
) -> Iterator[tuple[str, str, int, float]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pc.field("rank") <= (_EVERY_RANK if to_rank is None else to_rank)
    if only is not None:
        wanted &= pc.field("query_id").isin(pa.array(only, pa.string()))
    columns = ("query_id", "doc_id", "rank", "score")
    path = run.folder / RESULTS_FILE
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(columns=list(columns)):
                kept = batch.filter(wanted)
                yield from zip(*(kept[name].to_pylist() for name in columns), strict=True)
    except (pa.ArrowException, OSError) as error:
        raise DamagedArtifact(f"{path}: {error}.", hint="hype doctor --checksums") from error


def texts_of_run(store: Store, run: StoredRun, corpus: Corpus | None) -> Texts:
    """Where the texts of a run's documents come from: the corpus named, else its embedding set.

    Raises:
        UsageError: No corpus is named, and the run has no embedding set that kept its texts.
    """
    if corpus is not None:
        return _texts_of_corpus(corpus)
    named = run.manifest.inputs.get("embeddings")
    try:
        embeddings = None if named is None else store.embeddings(str(named))
    except ArtifactNotFound:
        embeddings = None
    if embeddings is None or not embeddings.has_text:
        reason = "has no embedding set here" if embeddings is None else "has one without text"
        raise UsageError(
            f"Where are the texts? The run {label(run.manifest)} {reason}.",
            hint=f"Name its corpus: --corpus {_corpus_of(run)}",
        )
    return _texts_of_embeddings(embeddings)


def _corpus_of(run: StoredRun) -> str:
    corpus = str(run.manifest.inputs.get("corpus") or "DATASET")
    return corpus.removeprefix("irds:") if corpus.startswith("irds:") else "DATASET"


def _texts_of_embeddings(embeddings: EmbeddingSet) -> Texts:
    def texts(doc_ids: Collection[str]) -> Mapping[str, str]:
        wanted = list(doc_ids)
        ordinals = embeddings.ordinals(wanted)
        there = ordinals >= 0
        found = embeddings.texts(ordinals[there])
        ids = [doc_id for doc_id, known in zip(wanted, there.tolist(), strict=True) if known]
        return dict(zip(ids, found, strict=True))

    return texts


def _texts_of_corpus(corpus: Corpus) -> Texts:
    def texts(doc_ids: Collection[str]) -> Mapping[str, str]:
        wanted = set(doc_ids)
        return {doc.doc_id: doc.text for doc in corpus if doc.doc_id in wanted}

    return texts


def require_texts(texts: Mapping[str, str], doc_ids: Collection[str], run: StoredRun) -> None:
    """Refuse texts of another collection than the run's.

    Raises:
        DataError: A ranked document has no text.
    """
    missing = [doc_id for doc_id in doc_ids if doc_id not in texts]
    if missing:
        raise DataError(
            f"{len(missing):,} documents that the run {label(run.manifest)} ranks have no text, "
            f"the first of them {missing[0]!r}.",
            hint="Name the corpus that the run is of: --corpus DATASET",
        )
