"""How much of an exact ranking another ranking has."""

from __future__ import annotations

from collections.abc import Sequence

from hypencli.records import Ranking


def recall_at(ranking: Ranking, exact: Sequence[str], depth: int) -> float | None:
    """The share of the exact best ``depth`` documents among the best ``depth`` of a ranking.

    Args:
        ranking: What is measured.
        exact: Ids of the exact ranking, best first; it may be shorter than ``depth``.
        depth: How many documents count on both sides.

    Returns:
        None where the exact ranking is empty.
    """
    wanted = set(exact[:depth])
    if not wanted:
        return None
    return sum(doc_id in wanted for doc_id, _ in ranking[:depth]) / len(wanted)
