"""Two runs query by query: rows that are filtered and sorted, and the documents of a query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import ClassVar, Literal, get_args

from hypencli.data.qrels import Judgements
from hypencli.errors import UsageError
from hypencli.ops.content_names import RunNames
from hypencli.ops.evaluation.compare import compare_judged, judged_pair, verdict
from hypencli.ops.report.documents import PairDocuments
from hypencli.ops.report.judgements import JudgementFinder
from hypencli.reporting.contents import Limits, QueryDifference, RunPair
from hypencli.reporting.text import shortened
from hypencli.tabular import Row, Tabular
from hypestore import Store

_NOISE = 1e-12
"""Smaller differences are rounding errors. The paired tests use the same limit."""

Order = Literal["change", "gain", "loss", "a", "b", "id"]
ORDERS: tuple[Order, ...] = get_args(Order)
Side = Literal["all", "gains", "losses", "ties"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, slots=True)
class PairPlan:
    """Two runs to compare.

    Attributes:
        run_a: Id of the first run.
        run_b: Id of the second run.
        qrels: Name of the judgements, as in the leaderboard. None selects the newest that both runs
            were evaluated with.
        measures: Measures to test. The first one is shown query by query. Empty selects all.
    """

    run_a: str
    run_b: str
    qrels: str | None
    measures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Which queries of a comparison are shown, and in which order.

    Attributes:
        text: Part of the text or the id of a query, in upper or lower case.
        least: Least difference of a query, up or down.
        side: ``gains`` of B, ``losses`` of B, ``ties``, or ``all``.
        order: ``change`` is the size of the difference, ``gain`` and ``loss`` its value, ``a`` and
            ``b`` the value in a run, ``id`` the id of the query. Ties are ordered by id.
    """

    text: str = ""
    least: float = 0.0
    side: Side = "all"
    order: Order = "change"


@dataclass(frozen=True, slots=True)
class QueryValues:
    """The values of a query in both runs."""

    query_id: str
    text: str
    value_a: float
    value_b: float

    @property
    def difference(self) -> float:
        """Value of run B minus value of run A."""
        return self.value_b - self.value_a


@dataclass(frozen=True, slots=True)
class QueryRows(Tabular):
    """The rows of some queries as a table, for an export.

    Attributes:
        title: The runs, in words.
        measure: The measure of the values.
        rows: The queries.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "query_id",
        "query",
        "measure",
        "value_a",
        "value_b",
        "difference",
    )

    title: str
    measure: str
    rows: tuple[QueryValues, ...]

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        rows = [
            (one.query_id, one.text, self.measure, one.value_a, one.value_b, one.difference)
            for one in self.rows
        ]
        return self.COLUMNS, rows

    def _title(self) -> str:
        return self.title


_KEYS: dict[Order, Callable[[QueryValues], float]] = {
    "change": lambda one: -round(abs(one.difference), 12),
    "gain": lambda one: -round(one.difference, 12),
    "loss": lambda one: round(one.difference, 12),
    "a": lambda one: -one.value_a,
    "b": lambda one: -one.value_b,
    "id": lambda one: 0.0,
}
_SIDES: dict[Side, Callable[[float], bool]] = {
    "all": lambda difference: True,
    "gains": lambda difference: difference >= _NOISE,
    "losses": lambda difference: difference <= -_NOISE,
    "ties": lambda difference: abs(difference) < _NOISE,
}


class PairView:
    """Two runs that were evaluated with the same judgements.

    Args:
        store: Store of both runs.
        plan: The runs, judgements and measures.
        finder: Reads the judgements.
        limits: Limits of what is shown of a query.

    Raises:
        UsageError: The runs were not evaluated with the same judgements.
        DataError: The judgements that the user named cannot be read.
    """

    def __init__(
        self, store: Store, plan: PairPlan, finder: JudgementFinder, limits: Limits
    ) -> None:
        self._a, self._b = judged_pair(store, plan.run_a, plan.run_b, qrels=plan.qrels)
        self._limits = limits
        self.comparison = compare_judged(self._a, self._b, plan.measures)
        self.measures = tuple(test.measure for test in self.comparison.tests)
        run_a, run_b = (store.run(one.run.id) for one in (self._a, self._b))
        qrels = finder.find(self._a, (self._a.run, self._b.run))
        self.has_grades = qrels is not None
        self.documents = PairDocuments(store, run_a, run_b, qrels or {}, limits)
        self._texts: Mapping[str, str] = run_b.queries() | run_a.queries()
        self._corpus = RunNames(store).corpus(self._a.run.id)

    def rows(self, wanted: QueryFilter, measure: str | None = None) -> tuple[QueryValues, ...]:
        """Return the values of the queries that a filter keeps, in its order.

        Args:
            wanted: The filter.
            measure: A measure of both runs. None selects the first one.

        Raises:
            UsageError: The runs do not both have the measure.
        """
        a, b = (one.evaluation.per_query[self._measure(measure)] for one in (self._a, self._b))
        text, keeps = wanted.text.casefold(), _SIDES[wanted.side]
        rows = (
            QueryValues(query_id, self._texts.get(query_id, ""), a[query_id], b[query_id])
            for query_id in a
            if query_id in b
        )
        kept = [
            one
            for one in rows
            if abs(one.difference) >= wanted.least - _NOISE
            and keeps(one.difference)
            and (text in one.text.casefold() or text in one.query_id.casefold())
        ]
        key = _KEYS[wanted.order]
        return tuple(sorted(kept, key=lambda one: (key(one), one.query_id)))

    def differing(self) -> tuple[QueryValues, ...]:
        """Return the queries that differ in the first measure, largest difference first."""
        return tuple(one for one in self.rows(QueryFilter()) if abs(one.difference) >= _NOISE)

    def export(self, wanted: QueryFilter, measure: str | None = None) -> QueryRows:
        """Return the rows that a filter keeps as a table."""
        title = f"A: {self.comparison.run_a}, B: {self.comparison.run_b}, {self.comparison.qrels}"
        return QueryRows(title, self._measure(measure), self.rows(wanted, measure))

    def query(self, query_id: str, measure: str | None = None) -> QueryDifference:
        """Return one query with the documents of both runs.

        Raises:
            UsageError: The comparison has no such query.
        """
        rows = self.rows(QueryFilter(), measure)
        found = next((one for one in rows if one.query_id == query_id), None)
        if found is None:
            raise UsageError(f"The runs have no common judged query {query_id!r:.80}.")
        return self.with_documents([found])[0]

    def with_documents(self, rows: Sequence[QueryValues]) -> tuple[QueryDifference, ...]:
        """Return some queries with the documents of both runs, whose texts are read in one pass."""
        documents = self.documents.of([one.query_id for one in rows])
        return tuple(
            QueryDifference(
                query_id=one.query_id,
                text=shortened(one.text, 2 * self._limits.text_characters),
                value_a=one.value_a,
                value_b=one.value_b,
                top_a=of_query.top_a,
                top_b=of_query.top_b,
                moved=of_query.moved,
                n_moved=of_query.n_moved,
                end_a=of_query.end_a,
                end_b=of_query.end_b,
                found=of_query.found,
            )
            for one, of_query in zip(rows, documents, strict=True)
        )

    def summary(self, measure: str | None = None) -> RunPair:
        """Return means, tests and differences of the pair, without its queries."""
        rows = self.rows(QueryFilter(order="gain"), measure)
        return RunPair(
            corpus=self._corpus,
            qrels=self.comparison.qrels,
            run_a=self._a.run.id,
            run_b=self._b.run.id,
            label_a=self.comparison.run_a,
            label_b=self.comparison.run_b,
            measure=self._measure(measure),
            tests=self.comparison.tests,
            verdict=verdict(self.comparison),
            differences=tuple(one.difference for one in rows if abs(one.difference) >= _NOISE),
            n_queries=self.comparison.n_queries,
            queries=(),
            has_grades=self.has_grades,
        )

    def _measure(self, measure: str | None) -> str:
        if measure is None:
            return self.measures[0]
        if measure not in self.measures:
            raise UsageError(
                f"The runs do not both have the measure {measure!r:.80}.",
                hint=f"They have: {', '.join(self.measures)}",
            )
        return measure


class PairViews:
    """The comparisons that were asked for last, kept until a run is evaluated again.

    Args:
        store: The project store.
        limits: Limits of what is shown of a query.
        judgements: Judgements that the user named, whose grades are shown.
        most: Maximum number of comparisons in memory.
    """

    def __init__(
        self, store: Store, limits: Limits, judgements: Sequence[Judgements] = (), *, most: int = 4
    ) -> None:
        self._store, self._limits, self._most = store, limits, most
        self._judgements = tuple(judgements)
        self._views: OrderedDict[tuple[object, ...], PairView] = OrderedDict()
        self._lock = Lock()

    def get(self, plan: PairPlan) -> PairView:
        """Return a comparison.

        Raises:
            ArtifactNotFound: There is no such run.
            UsageError: The runs were not evaluated with the same judgements.
        """
        a, b = (self._store.get(one, kind="run").id for one in (plan.run_a, plan.run_b))
        evaluations = tuple(
            (one.id, one.order) for run in (a, b) for one in self._store.evaluations(run)
        )
        key = (a, b, plan.qrels, plan.measures, evaluations)
        with self._lock:
            if key not in self._views:
                finder = JudgementFinder(self._store, self._judgements)
                plan = replace(plan, run_a=a, run_b=b)
                self._views[key] = PairView(self._store, plan, finder, self._limits)
            self._views.move_to_end(key)
            while len(self._views) > self._most:
                self._views.popitem(last=False)
            return self._views[key]
