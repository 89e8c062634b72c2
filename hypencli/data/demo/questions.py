"""The shipped questions about the standard library, with manual judgements."""

from __future__ import annotations

import json
from collections.abc import Collection
from importlib.resources import files

from hypencli.records import Qrels, Query

GRADES = frozenset({1, 2})
"""2: the document answers the question. 1: it helps."""


def read_questions(symbols: Collection[str]) -> tuple[tuple[Query, ...], Qrels, tuple[str, ...]]:
    """Read the shipped questions for a library with these symbols.

    Judgements of missing symbols are dropped. A question without a remaining answer (grade 2) is
    dropped too.

    Returns:
        Queries, judgements, and one note for each dropped judgement or question.
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
