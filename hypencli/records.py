"""Plain, frozen types that travel between the layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

UNNAMED_CORPUS = "unnamed corpus"
"""Stands for the corpus of a run that was taken in without one."""


@dataclass(frozen=True, slots=True)
class Document:
    """One passage of a corpus; ``text`` is what the encoder reads: the title first, if any."""

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
    """One passage of a training row: a teacher's ``score``, a ``type`` such as ``positive``."""

    id: str
    content: str
    score: float | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One query with its passages, the positive first, as in the published training format."""

    query: Query
    items: tuple[TrainingItem, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measures of one run against one set of judgements.

    Attributes:
        aggregates: Measure name -> mean over all judged queries.
        per_query: Measure name -> query id -> value; a judged query without results has 0.
        judged_queries: How many queries the judgements cover.
        missing_queries: Judged queries that the run has no results for, each counted as 0.
        unjudged_queries: Queries of the run without any judgement, left out.
    """

    aggregates: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    judged_queries: int
    missing_queries: tuple[str, ...] = ()
    unjudged_queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two runs on the queries that both were judged on, for one measure.

    Attributes:
        difference: Mean of B minus A.
        p_values: Test name (``t``, ``wilcoxon``, ``randomisation``) -> two-sided p.
        corrected: The same after Holm's correction over the measures compared.
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
