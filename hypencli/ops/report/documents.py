"""What two runs found for a query: top lists, judged documents that moved, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypencli.records import Qrels
from hypencli.reporting.contents import Limits, MovedDocument, RankedDocument
from hypencli.reporting.text import shortened
from hypestore import EmbeddingSet, Store, StoredRun


@dataclass(frozen=True, slots=True)
class QueryDocuments:
    """The documents of one query that are worth a look."""

    top_a: tuple[RankedDocument, ...]
    top_b: tuple[RankedDocument, ...]
    moved: tuple[MovedDocument, ...]
    n_moved: int


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Document id -> rank in each run, from 1, by rank, and document id -> grade."""

    a: Mapping[str, int]
    b: Mapping[str, int]
    grades: Mapping[str, int]


class PairDocuments:
    """The documents of two runs.

    Args:
        store: Holds both.
        run_a: The first run.
        run_b: The second.
        qrels: What was judged, as far as it is known.
        limits: How much is shown.
    """

    def __init__(
        self, store: Store, run_a: StoredRun, run_b: StoredRun, qrels: Qrels, limits: Limits
    ) -> None:
        self._results_a, self._results_b = run_a.by_query(), run_b.by_query()
        self._qrels = qrels
        self._limits = limits
        self._sets = _sets_with_text(store, (run_a, run_b))

    @property
    def has_text(self) -> bool:
        """Whether the text of documents can be had."""
        return bool(self._sets)

    def of(self, query_ids: Sequence[str]) -> list[QueryDocuments]:
        """The documents of some queries; their texts are read together."""
        ranks = [self._ranks(query_id) for query_id in query_ids]
        moved = [_moved(one) for one in ranks]
        n = self._limits.documents
        shown = {doc_id for one in ranks for side in (one.a, one.b) for doc_id in [*side][:n]}
        shown |= {one.doc_id for some in moved for one in some[:n]}
        texts = self._texts(sorted(shown))
        return [
            QueryDocuments(
                top_a=_top(one.a, one.b, one.grades, texts, n),
                top_b=_top(one.b, one.a, one.grades, texts, n),
                moved=tuple(_with_text(document, texts) for document in some[:n]),
                n_moved=len(some),
            )
            for one, some in zip(ranks, moved, strict=True)
        ]

    def _ranks(self, query_id: str) -> _Ranks:
        a, b = (
            {doc_id: rank for rank, doc_id in enumerate(results.doc_ids(query_id), start=1)}
            for results in (self._results_a, self._results_b)
        )
        return _Ranks(a, b, self._qrels.get(query_id, {}))

    def _texts(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Document id -> the beginning of its text, where an embedding set has it."""
        text_of: dict[str, str] = {}
        for embeddings in self._sets:
            wanted = [doc_id for doc_id in doc_ids if doc_id not in text_of]
            ordinals = embeddings.ordinals(wanted)
            present = ordinals >= 0
            texts = embeddings.texts(ordinals[present])
            ids = [doc_id for doc_id, is_there in zip(wanted, present, strict=True) if is_there]
            for doc_id, text in zip(ids, texts, strict=True):
                text_of[doc_id] = shortened(text, self._limits.text_characters)
        return text_of


def _sets_with_text(store: Store, runs: Iterable[StoredRun]) -> list[EmbeddingSet]:
    """The embedding sets that some runs searched, each once, if they are here and keep text."""
    names = dict.fromkeys(run.manifest.inputs.get("embeddings") for run in runs)
    here = [name for name in names if isinstance(name, str) and store.has(name)]
    return [embeddings for name in here if (embeddings := store.embeddings(name)).has_text]


def _top(
    ranks: Mapping[str, int],
    other: Mapping[str, int],
    grades: Mapping[str, int],
    texts: Mapping[str, str],
    n: int,
) -> tuple[RankedDocument, ...]:
    return tuple(
        RankedDocument(rank, doc_id, texts.get(doc_id), grades.get(doc_id), other.get(doc_id))
        for doc_id, rank in list(ranks.items())[:n]
    )


def _moved(ranks: _Ranks) -> list[MovedDocument]:
    """Judged documents with two ranks, or one: highest grades first, then by the better rank."""
    moved = [
        MovedDocument(doc_id, None, grade, ranks.a.get(doc_id), ranks.b.get(doc_id))
        for doc_id, grade in ranks.grades.items()
        if ranks.a.get(doc_id) != ranks.b.get(doc_id)
    ]
    return sorted(moved, key=lambda one: (-one.grade, _better_rank(one), one.doc_id))


def _better_rank(document: MovedDocument) -> int:
    return min(rank for rank in (document.rank_a, document.rank_b) if rank is not None)


def _with_text(document: MovedDocument, texts: Mapping[str, str]) -> MovedDocument:
    text = texts.get(document.doc_id)
    return MovedDocument(document.doc_id, text, document.grade, document.rank_a, document.rank_b)
