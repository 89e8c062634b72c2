"""Query sets, held in memory: from any kind of data source, or standard input."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hypencli.data.reading.lines import decode_lines
from hypencli.data.reading.rows import Fields, TextRow, read_rows
from hypencli.data.reading.source import resolve
from hypencli.data.reading.unique_ids import refuse_duplicates
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
            in the test split, as BEIR evaluates), what an installed kind of source reads, or ``-``
            for standard input.
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
        unique = refuse_duplicates(rows, "standard input", "line")
        return query_set("stdin", _queries(unique, "standard input"))
    dataset = resolve(source, what="query set")
    dataset.require("queries", fields)
    name = dataset.place("queries")
    return query_set(
        dataset.id,
        _queries(refuse_duplicates(dataset.queries(fields), name, dataset.unit), name),
        corpus_id=dataset.corpus_id,
        qrels=dataset.qrels_source,
    )


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


def _queries(rows: Iterable[TextRow], name: str) -> list[Query]:
    queries = [Query(row.id, row.text) for row in rows]
    if not queries:
        raise DataError(f"{name}: no queries.")
    return queries
