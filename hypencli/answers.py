"""Answers to questions: ranked documents with their texts, and how they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypencli.tabular import Row, Tabular


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked document. ``text`` is None if the embedding set has no texts."""

    rank: int
    doc_id: str
    score: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Answer(Tabular):
    """Ranked documents for one question.

    Attributes:
        question: The question.
        model: Name or id of the model; None for an engine without one.
        embeddings: Name or id of the embedding set.
        n_documents: Number of documents searched.
        hits: The best documents, in order of rank.
        seconds: Time of the search in seconds.
        query_max_length: Maximum number of tokens of a question; None if it is not cut.
        is_cut: Whether the question has more tokens, and was cut.
        evaluations: Documents that were scored.
        recall_bound: A lower bound on the recall, if the engine had a recall to reach.
        engine: Name of the engine.
        k: Number of documents that were asked for.
        batch: Number of questions that shared the search.
        stages: Stage of the search -> its time in seconds, shared by the questions of a batch.
    """

    question: str
    model: str | None
    embeddings: str
    n_documents: int
    hits: list[Hit]
    seconds: float
    query_max_length: int | None
    is_cut: bool
    evaluations: int = 0
    recall_bound: float | None = None
    engine: str = ""
    k: int = 0
    batch: int = 1
    stages: Mapping[str, float] = field(default_factory=dict)

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        rows = [(hit.rank, hit.doc_id, hit.score, hit.text) for hit in self.hits]
        return ("rank", "doc_id", "score", "text"), rows

    def _title(self) -> str:
        return self.question
