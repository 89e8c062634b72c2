"""Makes rows with mined negatives, window by window, and counts what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from typing import TypeAlias

from hypencli.data.corpus import Corpus
from hypencli.data.training.negatives import MiningRule, NegativeCandidate, candidates, choose
from hypencli.errors import DataError, UsageError
from hypencli.ops.models import display_name
from hypencli.ops.select import texts_by_id
from hypencli.progress import Task
from hypencli.records import Qrels, Query, TrainingItem, TrainingRow
from hypestore import ArtifactNotFound, Store, StoredRun

WINDOW_DOCUMENTS = 200_000
"""Documents whose texts are in memory at once. Every window reads its texts from the corpus."""

POSITIVE, NEGATIVE = "positive", "negative"
"""Types of the items of a row."""

_SPARE = 4
"""Additional candidates whose texts are read, to replace duplicates."""


@dataclass(frozen=True, slots=True)
class MiningCounts:
    """Counts of queries, rows and negatives.

    Rows made from judgements may be left out. Existing rows are always kept.

    Attributes:
        queries: Queries of the run, or existing rows.
        rows: Rows written.
        negatives: Negatives in these rows.
        few_negatives: Rows with at least one negative, but fewer than requested.
        without_positive: Queries without a judged positive. They are left out.
        without_ranking: Queries without results in the run. They are left out.
        positive_not_ranked: Positives that the run does not rank, if a limit on scores needs their
            score. They are left out.
        positive_without_text: Positives that are not in the corpus. They are left out.
        without_negative: Positives without a negative. They are left out.
        repeated: Rows with the texts of an earlier row, because two documents or two queries have
            one text. They are left out.
    """

    queries: int = 0
    rows: int = 0
    negatives: int = 0
    few_negatives: int = 0
    without_positive: int = 0
    without_ranking: int = 0
    positive_not_ranked: int = 0
    positive_without_text: int = 0
    without_negative: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A row that is not complete.

    Attributes:
        query: The query.
        items: Items of an existing row.
        positive: Id of a positive whose text must be read.
        tried: Candidates for negatives, in order.
        problem: Count to increase if there is no negative.
    """

    query: Query
    items: tuple[TrainingItem, ...]
    positive: str | None
    tried: Sequence[NegativeCandidate]
    problem: str = "without_negative"


class Miner:
    """Makes rows with negatives, window by window, and counts them.

    Args:
        run: The run.
        texts: Reads the texts of documents.
        qrels: The judgements.
        rule: Rule of the negatives.
        min_grade: Lowest grade of a positive.
    """

    def __init__(
        self, run: StoredRun, texts: Texts, qrels: Qrels, rule: MiningRule, min_grade: int
    ) -> None:
        self._run = run
        self._texts = texts
        self._qrels = qrels
        self._rule = rule
        self._min_grade = min_grade
        self._queries = run.queries()
        self._counts: Counter[str] = Counter()
        self._made: set[int] = set()
        self._window = max(1, WINDOW_DOCUMENTS // (rule.negatives + _SPARE + 1))

    @property
    def n_queries(self) -> int:
        """Number of queries of the run."""
        return len(self._queries)

    def result(self) -> MiningCounts:
        """The counts so far."""
        return MiningCounts(**{one.name: self._counts[one.name] for one in fields(MiningCounts)})

    def from_judgements(self, task: Task) -> Iterator[TrainingRow]:
        """Make a row for each positive of each query of the run.

        Raises:
            DataError: A ranked document has no text, or no row is left.
        """
        pending = self._judged(task)
        while window := list(islice(pending, self._window)):
            yield from self._finished(window)
        self._refuse_none()

    def from_rows(self, rows: Iterable[TrainingRow], task: Task) -> Iterator[TrainingRow]:
        """Append negatives to existing rows.

        Raises:
            DataError: The text of a query differs from that in the run, a ranked document has no
                text, or the run ranks none of the queries.
        """
        stream = iter(rows)
        while window := list(islice(stream, self._window)):
            only = {row.query.query_id for row in window}
            rankings = dict(self._rankings(only))
            yield from self._finished([self._of_row(row, rankings) for row in window])
            task.advance(len(window))
        self._refuse_none()

    def _rankings(
        self, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, list[NegativeCandidate]]]:
        """The rankings of the run to the required depth. A part of them is in memory at a time."""
        for query_id, ranking in self._run.rankings(to_rank=self._depth, only=only):
            yield query_id, [NegativeCandidate(*one) for one in ranking]

    @property
    def _depth(self) -> int | None:
        """The last rank to read; None reads all ranks, if the score of the positive is needed."""
        return self._rule.to_rank if self._rule.max_score_ratio is None else None

    def _judged(self, task: Task) -> Iterator[_Pending]:
        unranked = dict(self._queries)
        self._counts["queries"] = len(unranked)
        for query_id, ranking in self._rankings():
            yield from self._of_query(Query(query_id, unranked.pop(query_id)), ranking)
            task.advance()
        for query_id in unranked:
            positive = bool(self._positives(query_id))
            self._counts["without_ranking" if positive else "without_positive"] += 1
            task.advance()

    def _of_query(self, query: Query, ranking: Sequence[NegativeCandidate]) -> Iterator[_Pending]:
        positives = self._positives(query.query_id)
        self._counts["without_positive"] += not positives
        scores = {document.doc_id: document.score for document in ranking}
        for positive in positives:
            score = scores.get(positive)
            if self._rule.max_score_ratio is not None and score is None:
                self._counts["positive_not_ranked"] += 1
                continue
            tried = self._candidates(query, ranking, self._relevant(query.query_id), score)
            yield _Pending(query, (), positive, tried)

    def _of_row(
        self, row: TrainingRow, rankings: Mapping[str, list[NegativeCandidate]]
    ) -> _Pending:
        query = row.query
        self._counts["queries"] += 1
        if self._queries.get(query.query_id, query.text) != query.text:
            raise DataError(
                f"Query {query.query_id!r} is {query.text!r:.80} in the rows and "
                f"{self._queries[query.query_id]!r:.80} in the run "
                f"{display_name(self._run.manifest)}.",
                hint="The rows and the run must have the same queries, by id and text.",
            )
        ranking = rankings.get(query.query_id)
        if ranking is None:
            return _Pending(query, row.items, None, (), "without_ranking")
        scores = {document.doc_id: document.score for document in ranking}
        own = [scores[item.id] for item in _positives_of(row.items) if item.id in scores]
        if self._rule.max_score_ratio is not None and not own:
            return _Pending(query, row.items, None, (), "positive_not_ranked")
        excluded_ids = self._relevant(query.query_id) | {item.id for item in row.items}
        tried = self._candidates(query, ranking, excluded_ids, min(own, default=None))
        return _Pending(query, row.items, None, tried)

    def _candidates(
        self,
        query: Query,
        ranking: Sequence[NegativeCandidate],
        relevant: Collection[str],
        positive_score: float | None,
    ) -> list[NegativeCandidate]:
        return candidates(
            query.query_id, ranking, self._rule, relevant=relevant, positive_score=positive_score
        )

    def _positives(self, query_id: str) -> list[str]:
        judged = self._qrels.get(query_id, {})
        return [doc_id for doc_id, grade in judged.items() if grade >= self._min_grade]

    def _relevant(self, query_id: str) -> set[str]:
        """Documents that are never negatives, including relevant ones below ``min_grade``."""
        lowest = min(1, self._min_grade)
        judged = self._qrels.get(query_id, {})
        return {doc_id for doc_id, grade in judged.items() if grade >= lowest}

    def _finished(self, window: Sequence[_Pending]) -> Iterator[TrainingRow]:
        """Complete the rows of a window. Texts are read once, and again to replace duplicates."""
        at_first = self._rule.negatives + _SPARE
        texts = self._read((each, each.tried[:at_first]) for each in window)
        selections = [self._choose(each, each.tried[:at_first], texts) for each in window]
        short = [
            i
            for i, selection in enumerate(selections)
            if len(selection) < self._rule.negatives and len(window[i].tried) > at_first
        ]
        if short:
            texts |= self._read((window[i], window[i].tried[at_first:]) for i in short)
            for i in short:
                selections[i] = self._choose(window[i], window[i].tried, texts)
        for each, selection in zip(window, selections, strict=True):
            row = self._row(each, selection, texts)
            if row is not None:
                self._counts["rows"] += 1
                yield row

    def _read(
        self, wanted: Iterable[tuple[_Pending, Sequence[NegativeCandidate]]]
    ) -> dict[str, str]:
        """Read the texts of candidates and positives. Every candidate must have a text."""
        documents: dict[str, None] = {}
        positives: dict[str, None] = {}
        for pending, tried in wanted:
            documents |= dict.fromkeys(document.doc_id for document in tried)
            if pending.positive is not None:
                positives[pending.positive] = None
        texts = dict(self._texts(documents | positives))
        require_texts(texts, documents, self._run)
        return texts

    def _choose(
        self, pending: _Pending, tried: Sequence[NegativeCandidate], texts: Mapping[str, str]
    ) -> list[NegativeCandidate]:
        excluded = {item.content for item in pending.items}
        if pending.positive is not None and pending.positive in texts:
            excluded.add(texts[pending.positive])
        return choose(tried, texts, self._rule, excluded=excluded)

    def _row(
        self, pending: _Pending, selection: Sequence[NegativeCandidate], texts: Mapping[str, str]
    ) -> TrainingRow | None:
        items = pending.items
        if pending.positive is not None:
            text = texts.get(pending.positive, "")
            if not text.strip():
                self._counts["positive_without_text"] += 1
                return None
            items = (TrainingItem(pending.positive, text, type=POSITIVE),)
        if not selection:
            self._counts[pending.problem] += 1
            if pending.positive is not None:
                return None
        if pending.positive is not None and self._is_made(pending.query, items, selection, texts):
            self._counts["repeated"] += 1
            return None
        self._counts["negatives"] += len(selection)
        self._counts["few_negatives"] += 0 < len(selection) < self._rule.negatives
        negatives = (
            TrainingItem(one.doc_id, texts[one.doc_id], type=NEGATIVE) for one in selection
        )
        return TrainingRow(pending.query, (*items, *negatives))

    def _is_made(
        self,
        query: Query,
        items: Sequence[TrainingItem],
        selection: Sequence[NegativeCandidate],
        texts: Mapping[str, str],
    ) -> bool:
        """Whether an earlier row has the same texts. Rows are kept as hashes of 64 bits."""
        passages = (*(item.content for item in items), *(texts[one.doc_id] for one in selection))
        made = hash((query.text, passages))
        if made in self._made:
            return True
        self._made.add(made)
        return False

    def _refuse_none(self) -> None:
        if self._counts["negatives"] == 0:
            counts = self.result()
            named = {one.name: getattr(counts, one.name) for one in fields(counts)}
            said = ", ".join(f"{name.replace('_', ' ')}: {n:,}" for name, n in named.items() if n)
            raise DataError(
                f"The run {display_name(self._run.manifest)} has no negative for any row ({said}).",
                hint="Check `qrels=`, `from_rank=`, `to_rank=` and `max_score_ratio=`.",
            )


def _positives_of(items: Sequence[TrainingItem]) -> Sequence[TrainingItem]:
    """The positives of an existing row: items of the type ``positive``, else the first item."""
    typed = [item for item in items if item.type == POSITIVE]
    return typed or items[:1]


Texts: TypeAlias = Callable[[Collection[str]], Mapping[str, str]]
"""Reads texts of documents by id. Unknown ids are left out."""


def texts_of_run(store: Store, run: StoredRun, corpus: Corpus | None) -> Texts:
    """Select the reader of texts: the corpus, else the embedding set of the run.

    Raises:
        UsageError: There is no corpus, and the store has no embedding set of the run with texts.
    """
    if corpus is not None:
        return _texts_of_corpus(corpus)
    named = run.manifest.inputs.get("embeddings")
    try:
        embeddings = None if named is None else store.embeddings(str(named))
    except ArtifactNotFound:
        embeddings = None
    if embeddings is None or not embeddings.has_text:
        state = "is not in the store" if embeddings is None else "has no texts"
        raise UsageError(
            f"No texts: the embedding set of the run {display_name(run.manifest)} {state}.",
            hint=f"Name its corpus: `corpus={_corpus_of(run)!r}`",
        )
    return partial(texts_by_id, embeddings)


def _corpus_of(run: StoredRun) -> str:
    corpus = str(run.manifest.inputs.get("corpus") or "DATASET")
    return corpus.removeprefix("irds:") if corpus.startswith("irds:") else "DATASET"


def _texts_of_corpus(corpus: Corpus) -> Texts:
    def texts(doc_ids: Collection[str]) -> Mapping[str, str]:
        wanted = set(doc_ids)
        return {doc.doc_id: doc.text for doc in corpus if doc.doc_id in wanted}

    return texts


def require_texts(texts: Mapping[str, str], doc_ids: Collection[str], run: StoredRun) -> None:
    """Refuse a corpus that lacks documents of a run.

    Raises:
        DataError: A ranked document has no text.
    """
    missing = [doc_id for doc_id in doc_ids if doc_id not in texts]
    if missing:
        raise DataError(
            f"{len(missing):,} documents in the run {display_name(run.manifest)} have no text, "
            f"the first is {missing[0]!r}.",
            hint="Name the corpus of the run: `corpus=DATASET`",
        )
