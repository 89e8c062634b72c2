"""Documents of two runs for a query: top lists, judged documents that moved, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hypencli.ops.select import texts_by_id
from hypencli.records import Qrels
from hypencli.reporting.contents import Limits, MovedDocument, RankedDocument
from hypencli.reporting.text import shortened
from hypestore import EmbeddingSet, Store, StoredRun


@dataclass(frozen=True, slots=True)
class QueryDocuments:
    """Documents to show for one query.

    Attributes:
        top_a: The best documents of the first run.
        top_b: The best documents of the second run.
        moved: Judged documents with different ranks, highest grades first.
        n_moved: Number of such documents before the limit.
    """

    top_a: tuple[RankedDocument, ...]
    top_b: tuple[RankedDocument, ...]
    moved: tuple[MovedDocument, ...]
    n_moved: int


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Document id -> rank in each run, from 1 and ordered by rank; document id -> grade."""

    a: Mapping[str, int]
    b: Mapping[str, int]
    grades: Mapping[str, int]


class PairDocuments:
    """Reads the documents of two runs.

    Args:
        store: Store of both runs.
        run_a: The first run.
        run_b: The second run.
        qrels: The judgements; empty if they are not available.
        limits: Limits of the report.
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
        """Whether an embedding set of the runs has texts."""
        return bool(self._sets)

    def of(self, query_ids: Sequence[str]) -> list[QueryDocuments]:
        """Gather the documents of some queries. Their texts are read in one pass."""
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
                moved=tuple(replace(one, text=texts.get(one.doc_id)) for one in some[:n]),
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
        """Document id -> the beginning of its text, if an embedding set has it."""
        text_of: dict[str, str] = {}
        for embeddings in self._sets:
            missing = [doc_id for doc_id in doc_ids if doc_id not in text_of]
            for doc_id, text in texts_by_id(embeddings, missing).items():
                text_of[doc_id] = shortened(text, self._limits.text_characters)
        return text_of


def _sets_with_text(store: Store, runs: Iterable[StoredRun]) -> list[EmbeddingSet]:
    """The embedding sets with texts that some runs searched, without repetition."""
    names = dict.fromkeys(run.manifest.inputs.get("embeddings") for run in runs)
    existing = [name for name in names if isinstance(name, str) and store.has(name)]
    return [embeddings for name in existing if (embeddings := store.embeddings(name)).has_text]


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
    """Judged documents with different ranks, or ranked by one run only.

    The highest grades come first, then the better ranks.
    """
    moved = [
        MovedDocument(doc_id, None, grade, ranks.a.get(doc_id), ranks.b.get(doc_id))
        for doc_id, grade in ranks.grades.items()
        if ranks.a.get(doc_id) != ranks.b.get(doc_id)
    ]
    return sorted(moved, key=lambda one: (-one.grade, _better_rank(one), one.doc_id))


def _better_rank(document: MovedDocument) -> int:
    return min(rank for rank in (document.rank_a, document.rank_b) if rank is not None)
