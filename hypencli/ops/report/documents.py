"""Documents of two runs for a query: top lists, judged documents that moved, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hypencli.ops.select import texts_by_id
from hypencli.records import Qrels
from hypencli.reporting.contents import (
    FoundRelevant,
    Limits,
    ListEnd,
    MovedDocument,
    RankedDocument,
)
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
        end_a: Last result of the first run.
        end_b: Last result of the second run.
        found: Who found which relevant documents; None without judgements.
    """

    top_a: tuple[RankedDocument, ...]
    top_b: tuple[RankedDocument, ...]
    moved: tuple[MovedDocument, ...]
    n_moved: int
    end_a: ListEnd | None
    end_b: ListEnd | None
    found: FoundRelevant | None


_Places: TypeAlias = Mapping[str, tuple[int, float]]
"""Document id -> rank, from 1, and score, ordered by rank."""

_NOWHERE = (None, None)


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Places of the documents of a query in each run; document id -> grade."""

    a: _Places
    b: _Places
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
                end_a=_end(one.a),
                end_b=_end(one.b),
                found=_found(one) if self._qrels else None,
            )
            for one, some in zip(ranks, moved, strict=True)
        ]

    def _ranks(self, query_id: str) -> _Ranks:
        a, b = (
            {
                doc_id: (rank, score)
                for rank, (doc_id, score) in enumerate(results.ranking(query_id), start=1)
            }
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


def _end(places: _Places) -> ListEnd | None:
    return ListEnd(*list(places.values())[-1]) if places else None


def _found(ranks: _Ranks) -> FoundRelevant:
    relevant = {doc_id for doc_id, grade in ranks.grades.items() if grade > 0}
    of_a, of_b = relevant & ranks.a.keys(), relevant & ranks.b.keys()
    return FoundRelevant(len(relevant), len(of_a & of_b), len(of_a - of_b), len(of_b - of_a))


def _top(
    places: _Places,
    other: _Places,
    grades: Mapping[str, int],
    texts: Mapping[str, str],
    n: int,
) -> tuple[RankedDocument, ...]:
    return tuple(
        RankedDocument(
            rank=rank,
            doc_id=doc_id,
            text=texts.get(doc_id),
            grade=grades.get(doc_id),
            other_rank=other.get(doc_id, _NOWHERE)[0],
            score=score,
            other_score=other.get(doc_id, _NOWHERE)[1],
        )
        for doc_id, (rank, score) in list(places.items())[:n]
    )


def _moved(ranks: _Ranks) -> list[MovedDocument]:
    """Judged documents with different ranks, or ranked by one run only.

    The highest grades come first, then the better ranks.
    """
    moved = []
    for doc_id, grade in ranks.grades.items():
        rank_a, score_a = ranks.a.get(doc_id, _NOWHERE)
        rank_b, score_b = ranks.b.get(doc_id, _NOWHERE)
        if rank_a != rank_b:
            moved.append(MovedDocument(doc_id, None, grade, rank_a, rank_b, score_a, score_b))
    return sorted(moved, key=lambda one: (-one.grade, _better_rank(one), one.doc_id))


def _better_rank(document: MovedDocument) -> int:
    return min(rank for rank in (document.rank_a, document.rank_b) if rank is not None)
