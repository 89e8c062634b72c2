"""The content of a report as plain types, without access to the store and without markup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from hypencli.records import PairedTest

Points: TypeAlias = tuple[tuple[int, float], ...]
"""Points ``(step, value)``, ordered by step."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum amounts of content, which keep a page below about 10 MB.

    Attributes:
        leaderboards: Leaderboards.
        entries: Runs per leaderboard.
        pairs: Pairs of runs that are compared by query.
        queries: Queries per pair that are shown with their documents.
        documents: Documents per top list, and judged documents with changed ranks per query.
        text_characters: Characters of a document's text. A query has twice as many.
        costs: Tables of searches.
        searches: Searches per table.
        models: Models with training curves.
        points: Points per curve.
        runs: Runs whose lineage is shown.
        recipe_characters: Characters of a recipe.
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
        label: Name of the run, or its id if it has no name.
        values: Measure -> mean over the judged queries.
        evaluations: Ids of the evaluations with these values.
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
    """Runs of one corpus on one set of judgements, best first by the first measure."""

    corpus: str
    qrels: str
    measures: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document in a top list.

    Attributes:
        text: Beginning of its text; None if no embedding set has the text.
        grade: Relevance grade; None if the document is unjudged, or the judgements are not
            available.
        other_rank: Rank in the other run; None if the other run does not have the document.
        score: Score in this run.
        other_score: Score in the other run; None if the other run does not have the document.
    """

    rank: int
    doc_id: str
    text: str | None
    grade: int | None
    other_rank: int | None
    score: float
    other_score: float | None


@dataclass(frozen=True, slots=True)
class MovedDocument:
    """A judged document with different ranks; rank and score are None if a run lacks it."""

    doc_id: str
    text: str | None
    grade: int
    rank_a: int | None
    rank_b: int | None
    score_a: float | None
    score_b: float | None


@dataclass(frozen=True, slots=True)
class ListEnd:
    """The last result of a list: a document that the list lacks has no rank and no score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class FoundRelevant:
    """Who found what: relevant documents of a query in the results of two runs.

    Attributes:
        relevant: Documents with a grade above 0.
        both: Those that both runs have.
        only_a: Those that only the first run has.
        only_b: Those that only the second run has.
    """

    relevant: int
    both: int
    only_a: int
    only_b: int


@dataclass(frozen=True, slots=True)
class QueryDifference:
    """A query with its measure and its best documents in two runs.

    Attributes:
        top_a: Best documents of the first run.
        top_b: Best documents of the second run.
        moved: Judged documents with different ranks, highest grades first.
        n_moved: Number of all judged documents with different ranks.
        end_a: Last result of the first run; None if it has no result.
        end_b: Last result of the second run; None if it has no result.
        found: Who found which relevant documents; None without judgements.
    """

    query_id: str
    text: str
    value_a: float
    value_b: float
    top_a: tuple[RankedDocument, ...]
    top_b: tuple[RankedDocument, ...]
    moved: tuple[MovedDocument, ...]
    n_moved: int
    end_a: ListEnd | None = None
    end_b: ListEnd | None = None
    found: FoundRelevant | None = None

    @property
    def difference(self) -> float:
        """Value of run B minus value of run A."""
        return self.value_b - self.value_a


@dataclass(frozen=True, slots=True)
class RunPair:
    """Comparison of two runs by query.

    Attributes:
        run_a: Id of the first run; ``label_a`` is its name for display.
        measure: Measure of the differences.
        tests: One paired test per measure.
        verdict: Result of the tests in a sentence.
        differences: B minus A for every query with a difference, greatest gain first.
        n_queries: Number of queries compared.
        queries: Queries with the greatest differences.
        has_grades: Whether the judgements are available.
        remarks: Missing content, and how to provide it.
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
    """Searches of one corpus and query set, fastest first.

    Attributes:
        depth: Depth of recall in plots and fronts.
        places: Machines on which the times were measured. Times of different machines do not
            compare.
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
    """Training curves of a model.

    Attributes:
        curves: Name (``loss``, ``validation.nDCG@10``) -> points, of which some may be left out.
        not_finite: Name -> number of values that were infinite or NaN.
        unfinished: Whether the training is still running, or was interrupted.
    """

    model: str
    label: str
    recipe: str | None
    curves: Mapping[str, Points]
    not_finite: Mapping[str, int]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as its manifest describes it.

    Attributes:
        facts: Inputs and results, as pairs ``(name, value)``.
        parents: Ids of the artifacts that it was made from.
        environment: Index of its environment in the list of environments, from 0.
        recipe: Recipe of a model, as text.
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
    """Versions and hardware of the process that made an artifact, as pairs ``(name, value)``."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """All artifacts behind the figures of a report, each once; children come before parents."""

    artifacts: tuple[Artifact, ...] = ()
    environments: tuple[Environment, ...] = ()


@dataclass(frozen=True, slots=True)
class HtmlReport:
    """The content of a report.

    Attributes:
        store: Name of the store.
        made: Time at which the report was made.
        version: Version of the program.
        counts: Kind of artifact -> number in the store.
        remarks: Section (``leaderboards``, ``pairs``, ``costs``, ``curves``, ``lineage``) ->
            sentences on content that is missing, or left out to limit the size of the page.
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
