"""Questions in a user's words about the standard library, judged by hand: package data."""

from __future__ import annotations

import json
from collections.abc import Collection
from importlib.resources import files

from hypencli.records import Qrels, Query

GRADES = frozenset({1, 2})
"""2: answers the question. 1: also helps."""


def read_questions(symbols: Collection[str]) -> tuple[tuple[Query, ...], Qrels, tuple[str, ...]]:
    """Read the shipped questions, for a library that has these symbols.

    Judgements of symbols that are not there are dropped, and a question whose answers (grade 2) are
    all gone is dropped with them.

    Returns:
        Queries, judgements, and one note for everything dropped.
    """
    text = files("hypencli.data.demo").joinpath("questions.jsonl").read_text(encoding="utf-8")
    queries: list[Query] = []
    qrels: dict[str, dict[str, int]] = {}
    notes: list[str] = []
    for line in text.splitlines():
        entry = json.loads(line)
        query_id, judged = str(entry["id"]), dict(entry["judgements"])
        kept = {name: grade for name, grade in judged.items() if name in symbols}
        notes += [
            f"{query_id}: {name} is not on this Python" for name in judged.keys() - kept.keys()
        ]
        if 2 not in kept.values():
            notes.append(f"{query_id}: left out, no answer is on this Python")
            continue
        queries.append(Query(query_id, str(entry["text"])))
        qrels[query_id] = kept
    return tuple(queries), qrels, tuple(sorted(notes))
