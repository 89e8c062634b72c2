"""Statistics of training rows, computed in one pass, with findings that affect training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hypencli.data.training.counts import (
    NumberCounter,
    NumberSummary,
    OccurrenceCounter,
    Occurrences,
    SeenTexts,
)
from hypencli.data.training.positives import PositiveRule
from hypencli.records import TrainingItem, TrainingRow

NO_TYPE = "(none)"
"""Type in the statistics of an item without a type."""

_SCORE_DIGITS = 4

TextListener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StatisticsOptions:
    """Requirements that rows are compared with.

    Attributes:
        rule: Rule for the relevant items.
        negatives: Required number of negatives per row; 0 for any number.
        skip_few: Whether training skips rows with fewer negatives.
    """

    rule: PositiveRule = field(default_factory=PositiveRule)
    negatives: int = 0
    skip_few: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """Statistics of the scores of a teacher.

    Attributes:
        missing: Number of items without a score.
        spread: Minimum, median (to 4 digits) and maximum; None if there are no scores.
        rows_with_none: Number of rows without scores.
        rows_with_some: Number of rows in which some items have a score, and some do not.
        rows_with_all: Number of rows in which every item has a score.
    """

    missing: int
    spread: NumberSummary | None
    rows_with_none: int
    rows_with_some: int
    rows_with_all: int


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """Statistics of training rows.

    Attributes:
        rows: Number of rows.
        queries: Number of distinct query texts.
        items: Number of items of all rows.
        passages: Number of distinct passage texts.
        items_per_row: Items per row.
        negatives_per_row: Items per row that are not relevant.
        query_words: Words per distinct query.
        passage_words: Words per distinct passage.
        scores: Scores of a teacher.
        types: Type of an item -> number of items.
        findings: Name of a possible problem -> its occurrences. The names are ``no_positive``,
            ``few_negatives``, ``no_negative``, ``no_score`` (an item of a row that is trained on),
            ``best_not_first``, ``first_not_positive``, ``passage_twice``,
            ``negative_like_positive``, ``row_twice``, ``query_id_reused``, ``passage_id_reused``.
    """

    rows: int
    queries: int
    items: int
    passages: int
    items_per_row: NumberSummary
    negatives_per_row: NumberSummary
    query_words: NumberSummary
    passage_words: NumberSummary
    scores: Scores
    types: Mapping[str, int]
    findings: Mapping[str, Occurrences]


def row_statistics(
    rows: Iterable[TrainingRow],
    options: StatisticsOptions,
    *,
    on_row: Callable[[], None] | None = None,
    on_query: TextListener | None = None,
    on_passage: TextListener | None = None,
) -> RowStatistics:
    """Count rows, texts, scores and types, and find possible problems for training.

    Texts are kept as hashes of 64 bits, which takes about 200 bytes per distinct text. Among ten
    million texts, the probability that any two have the same hash is 3 in a million.

    Args:
        rows: The rows; at least one.
        options: Requirements that the rows are compared with.
        on_row: Called after each row.
        on_query: Called with each distinct query.
        on_passage: Called with each distinct passage.

    Raises:
        DataError: A row is malformed; the source of the rows raises it.
    """
    collector = _StatisticsCollector(options, on_query, on_passage)
    for row in rows:
        collector.add(row)
        if on_row is not None:
            on_row()
    return collector.result()


class _StatisticsCollector:
    def __init__(
        self,
        options: StatisticsOptions,
        on_query: TextListener | None,
        on_passage: TextListener | None,
    ) -> None:
        self._options = options
        self._on_query = on_query
        self._on_passage = on_passage
        self._rows = self._items = 0
        self._queries, self._passages = SeenTexts(), SeenTexts()
        self._seen_rows: set[int] = set()
        self._findings = OccurrenceCounter()
        self._types: Counter[str] = Counter()
        self._scores = _ScoreCounts()
        self._items_per_row, self._negatives = NumberCounter(), NumberCounter()
        self._query_words, self._passage_words = NumberCounter(), NumberCounter()

    def add(self, row: TrainingRow) -> None:
        """Count one row."""
        self._rows += 1
        self._items += len(row.items)
        where = f"row {self._rows}, query {row.query.query_id!r}"
        positives = self._options.rule.of(row)
        query, passages = self._query(row, where), self._texts(row.items, where)
        self._items_per_row.add([len(row.items)])
        self._negatives.add([len(row.items) - len(positives)])
        self._types.update(item.type or NO_TYPE for item in row.items)
        self._scores.add(row.items)
        self._balance(row, positives, where)
        self._repeats(query, row.items, passages, positives, where)

    def result(self) -> RowStatistics:
        """Return the statistics."""
        return RowStatistics(
            rows=self._rows,
            queries=len(self._queries),
            items=self._items,
            passages=len(self._passages),
            items_per_row=_summary(self._items_per_row),
            negatives_per_row=_summary(self._negatives),
            query_words=_summary(self._query_words),
            passage_words=_summary(self._passage_words),
            scores=self._scores.result(),
            types=dict(self._types.most_common()),
            findings=self._findings.all(),
        )

    def _query(self, row: TrainingRow, where: str) -> int:
        query = row.query
        hashed, new, other = self._queries.add(query.query_id, query.text)
        if other:
            self._findings.add("query_id_reused", where)
        if new:
            self._query_words.add([len(query.text.split())])
            if self._on_query is not None:
                self._on_query(query.text)
        return hashed

    def _texts(self, items: Sequence[TrainingItem], where: str) -> list[int]:
        hashes = []
        for item in items:
            hashed, new, other = self._passages.add(item.id, item.content)
            hashes.append(hashed)
            if other:
                self._findings.add("passage_id_reused", f"{where}, passage {item.id!r}")
            if new:
                self._passage_words.add([len(item.content.split())])
                if self._on_passage is not None:
                    self._on_passage(item.content)
        return hashes

    def _balance(self, row: TrainingRow, positives: Sequence[int], where: str) -> None:
        """Find missing positives, negatives and scores, and a first item that is not the best."""
        negatives = len(row.items) - len(positives)
        few = negatives < self._options.negatives
        if not positives:
            self._findings.add("no_positive", where)
        if not negatives:
            self._findings.add("no_negative", where)
        if few:
            self._findings.add("few_negatives", where)
        scores = [item.score for item in row.items]
        if None in scores and not (few and self._options.skip_few):
            item = row.items[scores.index(None)]
            self._findings.add("no_score", f"{where}, item {item.id!r}", scores.count(None))
        scored = [score for score in scores if score is not None]
        if len(scored) == len(scores) and scored[0] < max(scored):
            self._findings.add("best_not_first", where)
        rule, first = self._options.rule, row.items[0]
        if rule.positives == "first" and first.type not in (None, rule.positive_type):
            self._findings.add("first_not_positive", f"{where}, type {first.type!r}")

    def _repeats(
        self,
        query: int,
        items: Sequence[TrainingItem],
        passages: Sequence[int],
        positives: Sequence[int],
        where: str,
    ) -> None:
        positive_hashes = set(positives)
        relevant = {passages[i] for i in positive_hashes}
        others = {passage for i, passage in enumerate(passages) if i not in positive_hashes}
        if relevant & others:
            self._findings.add("negative_like_positive", where)
        ids = {item.id for item in items}
        if min(len(ids), len(set(passages))) < len(items):
            self._findings.add("passage_twice", where)
        labels = tuple((item.score, item.type) for item in items)
        whole = hash((query, tuple(passages), labels))
        if whole in self._seen_rows:
            self._findings.add("row_twice", where)
        self._seen_rows.add(whole)


class _ScoreCounts:
    def __init__(self) -> None:
        self._values = NumberCounter(_SCORE_DIGITS)
        self._missing = 0
        self._rows: Counter[str] = Counter()

    def add(self, items: Sequence[TrainingItem]) -> None:
        """Count the scores of one row."""
        scored = [item.score for item in items if item.score is not None]
        self._values.add(scored)
        self._missing += len(items) - len(scored)
        some = "some" if scored else "none"
        self._rows["all" if len(scored) == len(items) else some] += 1

    def result(self) -> Scores:
        """Return the statistics of the scores."""
        rows = self._rows
        return Scores(
            self._missing, self._values.summary(), rows["none"], rows["some"], rows["all"]
        )


def _summary(numbers: NumberCounter) -> NumberSummary:
    summary = numbers.summary()
    if summary is None:
        raise ValueError("Statistics need at least one row.")
    return summary
