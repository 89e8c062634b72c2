"""Select hard negatives of a query from a ranking."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from hypencli.data.reading.unique_ids import hash_id
from hypencli.errors import UsageError

Sample: TypeAlias = Literal["top", "random"]


class NegativeCandidate(NamedTuple):
    """A document of a ranking. Ranks start at 1."""

    doc_id: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class MiningRule:
    """Rules for the selection of negatives from a ranking.

    Attributes:
        from_rank: First rank, from 1.
        to_rank: Last rank.
        negatives: Number of negatives to select.
        sample: ``top`` selects the best ranked candidates, ``random`` random ones.
        seed: Seed of the random choice. The choice depends on the query id, and not on the order of
            queries.
        max_score_ratio: Exclude documents with a score above this fraction of the positive's score.
            None excludes none.

    Raises:
        UsageError: The ranks are not a valid range.
    """

    from_rank: int = 1
    to_rank: int = 200
    negatives: int = 30
    sample: Sample = "top"
    seed: int = 42
    max_score_ratio: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.from_rank <= self.to_rank:
            raise UsageError(
                f"There are no ranks from {self.from_rank} to {self.to_rank}.",
                hint="`from_rank=` is at least 1, and `to_rank=` not below it.",
            )


def candidates(
    query_id: str,
    ranking: Sequence[NegativeCandidate],
    rule: MiningRule,
    *,
    relevant: Collection[str],
    positive_score: float | None = None,
) -> list[NegativeCandidate]:
    """List the documents that can be negatives, in the order in which to try them.

    Args:
        query_id: Query id, which together with the seed determines a random choice.
        ranking: Ranking of the query, best first.
        rule: Rules for the selection.
        relevant: Documents to exclude: those judged relevant, and those already in the row.
        positive_score: Score of the positive in the same ranking; required if scores are limited.
    """
    limit = score_limit(rule, positive_score)
    allowed = [
        document
        for document in ranking
        if rule.from_rank <= document.rank <= rule.to_rank
        and document.doc_id not in relevant
        and (limit is None or document.score <= limit)
    ]
    if rule.sample == "top":
        return allowed
    import numpy as np

    generator = np.random.default_rng([rule.seed, hash_id(query_id)])
    return [allowed[int(i)] for i in generator.permutation(len(allowed))]


def score_limit(rule: MiningRule, positive_score: float | None) -> float | None:
    """Return the maximum score of a negative, or None for no limit.

    With ratio ``r`` and positive score ``s``, the limit is ``s - (1 - r) |s|``. This is ``r s`` for
    positive scores. It is also below ``s`` for negative scores, which q-nets can give.
    """
    if rule.max_score_ratio is None or positive_score is None:
        return None
    return positive_score - (1 - rule.max_score_ratio) * abs(positive_score)


def choose(
    tried: Sequence[NegativeCandidate],
    texts: Mapping[str, str],
    rule: MiningRule,
    *,
    excluded: Collection[str],
) -> list[NegativeCandidate]:
    """Select the first candidates with new texts, and return them by rank.

    Args:
        tried: Candidates in the order in which to try them.
        texts: Document id -> text.
        rule: Rules for the selection, with the number of negatives.
        excluded: Texts that a negative must not have: those of the positives, and those of the
            negatives already in the row.
    """
    seen = set(excluded)
    selected: list[NegativeCandidate] = []
    for document in tried:
        text = texts[document.doc_id]
        if len(selected) == rule.negatives:
            break
        if text not in seen and text.strip():
            seen.add(text)
            selected.append(document)
    return sorted(selected, key=lambda document: document.rank)
