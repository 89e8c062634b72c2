"""Query sets in memory, from any kind of data source or standard input."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from hypencli.data.reading.judgements import collect_judgements
from hypencli.data.reading.lines import decode_lines
from hypencli.data.reading.query_variation import QueryVariation, read_variation
from hypencli.data.reading.rows import Fields, TextRow, read_rows
from hypencli.data.reading.source import FileSource, FolderSource, resolve
from hypencli.data.reading.unique_ids import refuse_duplicates
from hypencli.errors import DataError
from hypencli.records import Query

STDIN = "-"

QUERY_FIELDS = Fields(
    title_key="",
    id_keys=("id", "_id", "query_id", "qid"),
    text_keys=("text", "content", "contents", "query"),
)


class IdentifiedQueries(Protocol):
    """The identity of a query set."""

    @property
    def id(self) -> str:
        """Id of the set."""

    @property
    def fingerprint(self) -> str | None:
        """Hash of ids and texts; None if the set was not read."""


@dataclass(frozen=True, slots=True)
class QuerySet:
    """Queries in order, with unique ids.

    Attributes:
        id: Id of the set: ``irds:NAME``, ``file:NAME``, ``folder:NAME``, ``stdin``.
        queries: The queries.
        fingerprint: Hash of ids and texts, independent of their file.
        corpus_id: ``Corpus.corpus_id`` of the documents that the queries belong to; None if the
            source does not tell.
        qrels: Argument for :func:`~hypencli.data.qrels.read_qrels`; None without judgements.
        variation: How ``hype perturb`` made the queries, if it did.
    """

    id: str
    queries: tuple[Query, ...]
    fingerprint: str
    corpus_id: str | None = None
    qrels: str | None = None
    variation: QueryVariation | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[Query]:
        return iter(self.queries)


def open_queries(
    source: str | Path,
    *,
    id_key: str | None = None,
    text_key: str | None = None,
    judged_by: str | Path | None = None,
    stdin: BinaryIO | None = None,
) -> QuerySet:
    """Read a query set.

    Args:
        source: An ir_datasets id, a JSONL, TSV or CSV file (``.gz`` too), a file or stream with one
            query a line (which get the ids 1, 2, ...), a BEIR folder (its queries with judgements
            in the test split, as BEIR evaluates), ``PREFIX:NAME`` of an installed kind of source,
            or ``-`` for standard input.
        id_key: Field of the id; None takes the existing one of ``id``, ``_id``, ``query_id``,
            ``qid``.
        text_key: Field of the text; None takes the existing one of ``text``, ``content``,
            ``contents``, ``query``.
        judged_by: Judgements in place of those of a BEIR folder: its queries with judgements in
            them are read, and the folder's own judgements are not.
        stdin: The stream that ``-`` reads; None takes that of the process.

    Raises:
        DataError: The query set does not exist or is empty, a record is malformed, or an id is
            not unique.
    """
    fields = Fields(id_key, text_key, "", QUERY_FIELDS.id_keys, QUERY_FIELDS.text_keys)
    if source == STDIN:
        lines = decode_lines(stdin or sys.stdin.buffer, "standard input")
        rows = read_rows(lines, "standard input", fields, plain=True)
        unique = refuse_duplicates(rows, "standard input", "line")
        return query_set("stdin", _queries(unique, "standard input"))
    dataset = resolve(source, what="query set")
    if judged_by is not None and isinstance(dataset, FolderSource):
        judgements = resolve(judged_by, what="qrels")
        judgements.require("qrels", Fields())
        judged = collect_judgements(judgements.qrels(), judgements.place("qrels"))
        dataset = replace(dataset, judged=frozenset(judged))
    dataset.require("queries", fields)
    name = dataset.place("queries")
    asked = query_set(
        dataset.id,
        _queries(refuse_duplicates(dataset.queries(fields), name, dataset.unit), name),
        corpus_id=dataset.corpus_id,
        qrels=dataset.qrels_source,
    )
    if isinstance(dataset, FileSource):
        asked = replace(asked, variation=read_variation(dataset.path))
    return asked


def query_set(
    identifier: str,
    queries: Iterable[Query],
    *,
    corpus_id: str | None = None,
    qrels: str | None = None,
) -> QuerySet:
    """A query set of queries in memory.

    Args:
        identifier: Id of the set.
        queries: The queries, with unique ids.
        corpus_id: Id of the documents that the queries belong to.
        qrels: Argument for :func:`~hypencli.data.qrels.read_qrels`.
    """
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
