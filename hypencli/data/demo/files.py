"""Write the demo collection to files in the formats that every verb reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.training.row import row_values
from hypencli.records import Document, Qrels, Query, TrainingRow

_Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of the collection.

    Attributes:
        documents: JSONL corpus ``{"id", "text"}`` of whole docstrings.
        passages: JSONL corpus of docstrings without their first paragraph.
        training: JSONL training rows, with one positive each.
        queries: Test set -> JSONL ``{"id", "text"}``.
        qrels: Test set -> TREC judgements.
    """

    documents: Path
    passages: Path
    training: Path
    queries: Mapping[str, Path]
    qrels: Mapping[str, Path]


def write_files(
    folder: Path,
    *,
    corpora: Mapping[str, Sequence[Document]],
    training: Sequence[TrainingRow],
    query_sets: Mapping[str, tuple[Sequence[Query], Qrels]],
) -> DemoFiles:
    """Write corpora, training rows and query sets into a folder, which is created if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        name: _write_json_lines(
            folder / f"{name}.jsonl", ({"id": doc.doc_id, "text": doc.text} for doc in documents)
        )
        for name, documents in corpora.items()
    }
    rows = _write_json_lines(folder / "training.jsonl", (row_values(row) for row in training))
    queries = {
        name: _write_json_lines(
            folder / f"{name}.jsonl",
            ({"id": query.query_id, "text": query.text} for query in asked),
        )
        for name, (asked, _) in query_sets.items()
    }
    qrels = {
        name: _write_qrels(folder / f"{name}.qrels", judged)
        for name, (_, judged) in query_sets.items()
    }
    return DemoFiles(paths["documents"], paths["passages"], rows, queries, qrels)


def _write_json_lines(path: Path, rows: Iterable[_Json]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def _write_qrels(path: Path, qrels: Qrels) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, judged in qrels.items():
            file.writelines(f"{query_id} 0 {doc_id} {grade}\n" for doc_id, grade in judged.items())
    return path
