"""Recall of a ranking against an exact ranking."""

from __future__ import annotations

from collections.abc import Sequence

from hypencli.records import Ranking


def recall_at(ranking: Ranking, exact: Sequence[str], depth: int) -> float | None:
    """The share of the exact best ``depth`` documents among the best ``depth`` of a ranking.

    Args:
        ranking: The ranking to measure.
        exact: Document ids of the exact ranking, best first; possibly fewer than ``depth``.
        depth: How many documents of each ranking count.

    Returns:
        The share, 0 to 1; None if the exact ranking is empty.
    """
    wanted = set(exact[:depth])
    if not wanted:
        return None
    return sum(doc_id in wanted for doc_id, _ in ranking[:depth]) / len(wanted)
