"""Frozen types that all layers share: documents, queries, rankings, judgements, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

UNNAMED_CORPUS = "unnamed corpus"
"""Corpus of an imported run whose corpus is unknown."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus; ``text`` is the input of the encoder: title, if any, and body."""

    doc_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a query set."""

    query_id: str
    text: str


Ranking: TypeAlias = list[tuple[str, float]]
"""Documents of one query, best first: ``(doc_id, score)``."""

Results: TypeAlias = Mapping[str, Ranking]
"""A run: query id -> ranking."""

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Judgements: query id -> document id -> relevance grade."""


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """One passage of a training row, with a teacher's ``score`` and a ``type``, if it has them."""

    id: str
    content: str
    score: float | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One query with its passages; the first is the positive in the published training format."""

    query: Query
    items: tuple[TrainingItem, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measures of one run with one set of judgements.

    Attributes:
        aggregates: Measure name -> mean over all judged queries.
        per_query: Measure name -> query id -> value; a judged query without results has 0.
        judged_queries: How many queries the judgements cover.
        missing_queries: Judged queries without results in the run; each counts as 0.
        unjudged_queries: Queries of the run without judgements; they are left out.
    """

    aggregates: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    judged_queries: int
    missing_queries: tuple[str, ...] = ()
    unjudged_queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Paired tests of two runs A and B for one measure, over their common judged queries.

    Attributes:
        difference: Mean of B minus A.
        p_values: Test name (``t``, ``wilcoxon``, ``randomisation``) -> two-sided p.
        corrected: Test name -> p after Holm's correction over the compared measures.
    """

    measure: str
    mean_a: float
    mean_b: float
    difference: float
    wins: int
    losses: int
    ties: int
    n_queries: int
    p_values: Mapping[str, float] = field(default_factory=dict)
    corrected: Mapping[str, float] = field(default_factory=dict)
