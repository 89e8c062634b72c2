"""Query sets, held in memory: from ir_datasets, a file, a BEIR folder or standard input."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hypencli.data.qrels import read_qrels
from hypencli.data.reading import beir_folder as folder
from hypencli.data.reading import irds
from hypencli.data.reading.lines import decode_lines, read_lines
from hypencli.data.reading.rows import (
    Fields,
    TextRow,
    read_rows,
)
from hypencli.data.reading.source import (
    FileSource,
    FolderSource,
    IrdsSource,
    resolve,
)
from hypencli.data.reading.unique_ids import duplicate
from hypencli.errors import DataError
from hypencli.records import Query

STDIN = "-"

QUERY_FIELDS = Fields(
    title_key="",
    id_keys=("id", "_id", "query_id", "qid"),
    text_keys=("text", "content", "contents", "query"),
)


@dataclass(frozen=True, slots=True)
class QuerySet:
    """Queries in their order.

    Attributes:
        id: Stands for the set: ``irds:NAME``, ``file:NAME``, ``folder:NAME``, ``stdin``.
        queries: The queries; their ids are unique.
        fingerprint: Hash of ids and texts, whatever file they came from.
        corpus_id: The documents that the set belongs to, as ``Corpus.corpus_id`` has it; None
            where the source does not say.
        qrels: What :func:`~hypencli.data.qrels.read_qrels` takes, if the source has judgements.
    """

    id: str
    queries: tuple[Query, ...]
    fingerprint: str
    corpus_id: str | None = None
    qrels: str | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[Query]:
        return iter(self.queries)


def open_queries(
    source: str | Path,
    *,
    id_key: str | None = None,
    text_key: str | None = None,
    stdin: BinaryIO | None = None,
) -> QuerySet:
    """Read a query set.

    Args:
        source: An ir_datasets id, a JSONL or TSV file (``.gz`` too), a file or stream with one
            query a line (which get the ids 1, 2, ...), a BEIR folder (its queries with judgements
            in the test split, as BEIR evaluates), or ``-`` for standard input.
        id_key: Field of the id; None takes the one of ``id``, ``_id``, ``query_id``, ``qid``.
        text_key: Field of the text; None takes the one of ``text``, ``content``, ``contents``,
            ``query``.
        stdin: What ``-`` reads.

    Raises:
        DataError: There is no such set, it is empty, a record is not what it should be, or an id
            comes twice.
    """
    fields = Fields(id_key, text_key, "", QUERY_FIELDS.id_keys, QUERY_FIELDS.text_keys)
    if source == STDIN:
        lines = decode_lines(stdin or sys.stdin.buffer, "standard input")
        rows = read_rows(lines, "standard input", fields, plain=True)
        return query_set("stdin", _unique(rows, "standard input", "line"))
    match resolve(source, what="query set"):
        case IrdsSource() as found:
            return _from_irds(found, fields)
        case FolderSource() as found:
            return _from_folder(found, fields)
        case found:
            return query_set(found.id, _from_file(found, fields))


def query_set(
    identifier: str,
    queries: Iterable[Query],
    *,
    corpus_id: str | None = None,
    qrels: str | None = None,
) -> QuerySet:
    """A query set of queries at hand; see :class:`QuerySet`."""
    kept = tuple(queries)
    digest = hashlib.sha256()
    for query in kept:
        for part in (query.query_id.encode("utf-8"), query.text.encode("utf-8")):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return QuerySet(identifier, kept, digest.hexdigest(), corpus_id, qrels)


def _from_file(source: FileSource, fields: Fields) -> list[Query]:
    name = str(source.path)
    return _unique(read_rows(read_lines(source.path), name, fields, plain=True), name, "line")


def _from_irds(source: IrdsSource, fields: Fields) -> QuerySet:
    dataset = irds.IrdsDataset(source.name)
    dataset.require("queries")
    irds.refuse_id_key(source.name, fields)
    queries = _unique(dataset.queries(fields), source.id, "query")
    corpus = dataset.corpus_name()
    return query_set(
        source.id,
        queries,
        corpus_id=None if corpus is None else f"irds:{corpus}",
        qrels=source.id if dataset.has("qrels") else None,
    )


def _from_folder(source: FolderSource, fields: Fields) -> QuerySet:
    queries = _from_file(FileSource(folder.require_queries_file(source.path)), fields)
    qrels = folder.qrels_file(source.path)
    if qrels is not None:
        judged = read_qrels(qrels).qrels
        queries = [query for query in queries if query.query_id in judged]
        if not queries:
            raise DataError(f"{source.path}: none of its queries is judged in {qrels}.")
    return query_set(
        source.id,
        queries,
        corpus_id=folder.corpus_elsewhere(source.path) or source.id,
        qrels=None if qrels is None else str(qrels.resolve()),
    )


def _unique(rows: Iterator[TextRow], name: str, unit: str) -> list[Query]:
    places: dict[str, int] = {}
    queries: list[Query] = []
    for row in rows:
        if row.id in places:
            raise duplicate(name, row.id, (places[row.id], row.position), unit)
        places[row.id] = row.position
        queries.append(Query(row.id, row.text))
    if not queries:
        raise DataError(f"{name}: no queries.")
    return queries
