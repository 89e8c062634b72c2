"""What mining reads besides a run: the texts of its documents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from hypencli.data.corpus import Corpus
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import display_name
from hypestore import ArtifactNotFound, EmbeddingSet, Store, StoredRun

Texts: TypeAlias = Callable[[Collection[str]], Mapping[str, str]]
"""Texts of documents by id; those that are not there are left out."""


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
            f"Where are the texts? The run {display_name(run.manifest)} {reason}.",
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
        present = ordinals >= 0
        passages = embeddings.texts(ordinals[present])
        ids = [
            doc_id
            for doc_id, is_present in zip(wanted, present.tolist(), strict=True)
            if is_present
        ]
        return dict(zip(ids, passages, strict=True))

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
            f"{len(missing):,} documents that the run {display_name(run.manifest)} ranks have no text, "
            f"the first of them {missing[0]!r}.",
            hint="Name the corpus that the run is of: --corpus DATASET",
        )
