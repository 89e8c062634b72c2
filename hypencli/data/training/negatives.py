"""Hard negatives of one query: which documents of a ranking, in which order they are tried."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from hypencli.data.reading.unique_ids import hash_id
from hypencli.errors import UsageError

Sample: TypeAlias = Literal["top", "random"]


class NegativeCandidate(NamedTuple):
    """One document of a ranking, ranks from 1."""

    doc_id: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class MiningRule:
    """Which documents of a ranking may be negatives.

    Attributes:
        from_rank: The first rank, from 1.
        to_rank: The last rank.
        negatives: How many are taken.
        sample: The best ranked of them, or any at random.
        seed: Of the random choice, which is another for each query and independent of their order.
        max_score_ratio: Leave out documents that score above this part of the positive's score;
            None leaves out none.

    Raises:
        UsageError: The ranks are none.
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
    """The documents that may be negatives, in the order in which they are to be tried.

    Args:
        query_id: The query, which decides a random choice together with the seed.
        ranking: Its ranking, best first.
        rule: What is allowed.
        relevant: Documents that are none: judged relevant, or there already.
        positive_score: Score of the positive in the same ranking; needed for a limit on scores.
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
    """What a negative may score at most, or None for anything.

    With ratio ``r`` and a positive's score ``s``: ``s - (1 - r) |s|``, which is ``r s`` for scores
    above 0 and stays below ``s`` for those of q-nets, which may be negative.
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
    """The first of the candidates whose text is new, by rank.

    Args:
        tried: The candidates in order.
        texts: Their texts.
        rule: How many are wanted.
        excluded: Texts that a negative must not have: those of the positives and of the
            negatives that the row has.
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
