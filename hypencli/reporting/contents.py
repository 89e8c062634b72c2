"""What a report says, as plain types: no store, no markup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from hypencli.records import PairedTest

Points: TypeAlias = tuple[tuple[int, float], ...]
"""``(step, value)``, by step."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a page holds at most: with these it stays below about 10 MB.

    Attributes:
        leaderboards: Leaderboards.
        entries: Runs of a leaderboard.
        pairs: Pairs of runs that are compared query by query.
        queries: Queries of a pair that are shown with their documents.
        documents: Documents of a top list; also judged documents that moved.
        text_characters: Of the text of a document; of a query twice as many.
        costs: Tables of searches.
        searches: Searches of such a table.
        models: Models whose curves are drawn.
        points: Points of a curve.
        runs: Runs whose lineage is shown.
        recipe_characters: Of the text of a recipe.
    """

    leaderboards: int = 20
    entries: int = 100
    pairs: int = 8
    queries: int = 40
    documents: int = 10
    text_characters: int = 180
    costs: int = 12
    searches: int = 100
    models: int = 60
    points: int = 200
    runs: int = 400
    recipe_characters: int = 5000


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in a leaderboard.

    Attributes:
        label: Its name, or its id where it has none.
        values: Measure -> mean over the judged queries.
        evaluations: Ids of the evaluations that the values are from.
    """

    run: str
    label: str
    model: str | None
    engine: str | None
    values: Mapping[str, float | None]
    seconds: float | None
    evaluations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The runs of one corpus on one set of judgements, best first by the first measure."""

    corpus: str
    qrels: str
    measures: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document of a top list.

    Attributes:
        text: The beginning of its text; None where no embedding set keeps it.
        grade: What it was judged; None where it was not, or the judgements are not at hand.
        other_rank: Its rank in the other run; None where that does not have it.
    """

    rank: int
    doc_id: str
    text: str | None
    grade: int | None
    other_rank: int | None


@dataclass(frozen=True, slots=True)
class MovedDocument:
    """A judged document that two runs rank differently; a rank is None where a run has it not."""

    doc_id: str
    text: str | None
    grade: int
    rank_a: int | None
    rank_b: int | None


@dataclass(frozen=True, slots=True)
class QueryDifference:
    """One query that two runs answer differently well.

    Attributes:
        top_a: The best documents of the first run.
        top_b: Those of the second.
        moved: Judged documents that moved, highest grades first.
        n_moved: How many there are in all.
    """

    query_id: str
    text: str
    value_a: float
    value_b: float
    top_a: tuple[RankedDocument, ...]
    top_b: tuple[RankedDocument, ...]
    moved: tuple[MovedDocument, ...]
    n_moved: int

    @property
    def difference(self) -> float:
        """B minus A."""
        return self.value_b - self.value_a


@dataclass(frozen=True, slots=True)
class RunPair:
    """Two runs, query by query.

    Attributes:
        run_a: Id of the first run; ``label_a`` is what people call it.
        measure: The measure that the differences are of.
        tests: One a measure.
        verdict: What the tests say, in a sentence.
        differences: B minus A of every query that differs, greatest gain first.
        n_queries: Queries compared.
        queries: Those that differ most.
        has_grades: Whether the judgements were at hand.
        remarks: What is lacking, and what would give it.
    """

    corpus: str
    qrels: str
    run_a: str
    run_b: str
    label_a: str
    label_b: str
    measure: str
    tests: tuple[PairedTest, ...]
    verdict: str
    differences: tuple[float, ...]
    n_queries: int
    queries: tuple[QueryDifference, ...]
    has_grades: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchCost:
    """Time, q-net evaluations and recall of one run.

    Attributes:
        run: Id of the run.
        name: Name of the run, if it has one.
        engine: Name of the engine.
        model: Name or id of the model.
        searched: Model, embedding set and width of the q-nets. Runs with equal values rank the same
            documents by the same scores.
        k: Results per query.
        ms_per_query: Milliseconds per query of selection, scoring and top-k.
        ms_query_encoding: Milliseconds per query of query encoding, not part of ``ms_per_query``.
        evaluations: Mean number of documents that a q-net scored per query; None without q-nets.
        evaluations_share: ``evaluations`` as a share of the corpus, from 0 to 1.
        recall: Depth -> share of the exact ranking that the run has.
        checked_queries: Number of queries that recall was measured on; None for an exact search.
        checked_against: Id of the exact run that recall was measured against, if it is stored.
        fronts: Kinds of cost (``time``, ``evaluations``) for which no run with the same
            ``searched`` has a higher recall at no higher cost, or a lower cost at no lower recall.
    """

    run: str
    name: str | None
    engine: str
    model: str
    searched: tuple[str, ...]
    k: int | None
    ms_per_query: float | None
    ms_query_encoding: float | None
    evaluations: float | None
    evaluations_share: float | None
    recall: Mapping[int, float]
    checked_queries: int | None
    checked_against: str | None
    fronts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name of the run, else its id."""
        return self.name or self.run


@dataclass(frozen=True, slots=True)
class SearchCosts:
    """The searches of one corpus and query set, quickest first.

    Attributes:
        depth: Depth of recall of plots and fronts.
        places: Machines that the times are from: of several, times do not compare.
    """

    corpus: str
    queries: str
    n_documents: int | None
    depth: int
    searches: tuple[SearchCost, ...]
    places: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCurves:
    """How a model was trained.

    Attributes:
        curves: Name (``loss``, ``validation.nDCG@10``) -> points, thinned.
        not_finite: Name -> how many values were infinite or no number.
        unfinished: Whether the training goes on, or was interrupted.
    """

    model: str
    label: str
    recipe: str | None
    curves: Mapping[str, Points]
    not_finite: Mapping[str, int]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact as its manifest describes it.

    Attributes:
        facts: What determines it and what came out, ``(name, value)``.
        parents: Ids of what it was made from.
        environment: Which of the environments it was made in, from 0.
        recipe: A model's recipe, as text.
    """

    kind: str
    id: str
    label: str
    created: datetime
    facts: tuple[tuple[str, str | int | float | None], ...]
    parents: tuple[str, ...]
    environment: int
    device: str | None
    recipe: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions and hardware that something was made with, ``(name, value)``."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything that the numbers were made from, each once; children before their parents."""

    artifacts: tuple[Artifact, ...] = ()
    environments: tuple[Environment, ...] = ()


@dataclass(frozen=True, slots=True)
class HtmlReport:
    """A whole report.

    Attributes:
        store: What the store is called.
        made: When this was put together.
        version: Version of the program.
        counts: Kind of artifact -> how many the store has.
        remarks: Section (``leaderboards``, ``pairs``, ``costs``, ``curves``, ``lineage``) -> what
            was left out for the size of the page, or is not there, in sentences.
    """

    store: str
    made: datetime
    version: str
    counts: Mapping[str, int]
    leaderboards: tuple[Leaderboard, ...] = ()
    pairs: tuple[RunPair, ...] = ()
    costs: tuple[SearchCosts, ...] = ()
    curves: tuple[ModelCurves, ...] = ()
    lineage: Lineage = Lineage()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
