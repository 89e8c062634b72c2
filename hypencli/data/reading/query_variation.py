"""What ``hype perturb`` made a query file with, as its rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from hypencli.data.reading.lines import first_line

_MOST_CHARACTERS = 100


class QueryVariation(NamedTuple):
    """A variation of queries: its kind, and the seed of its random choices."""

    kind: str
    seed: int


def read_variation(path: Path) -> QueryVariation | None:
    """Read kind and seed from the first row of a JSONL file of perturbed queries.

    Args:
        path: A file of queries.

    Returns:
        The variation; None if the row has no ``original`` text, ``kind`` and ``seed``, or the path
        is no regular file, which can be read only once.
    """
    if not path.is_file():
        return None
    try:
        row = json.loads(first_line(path) or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("original"), str):
        return None
    kind, seed = row.get("kind"), row.get("seed")
    if not isinstance(kind, str) or not 0 < len(kind) <= _MOST_CHARACTERS:
        return None
    return QueryVariation(kind, seed) if type(seed) is int else None
