"""Write the files of a prepared collection: documents, queries, judgements, ranked lists."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hypencli.data.atomic import atomic_write
from hypencli.data.prepare.malformed_records import EMPTY_TEXT, UNKNOWN_ID, MalformedRecords
from hypencli.data.reading.judgements import Judgement, collect_judgements
from hypencli.data.runs import write_run
from hypencli.errors import DataError
from hypencli.records import Qrels

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels.txt"

_RANKED_TAG = "top-ranked"


class Text(NamedTuple):
    """A document or a query, and its place in the source."""

    where: str
    id: str
    text: str


class RankedRecord(NamedTuple):
    """A document of a query's ranked list, and its place in the source."""

    where: str
    query_id: str
    doc_id: str


def write_texts(path: Path, texts: Iterable[Text], malformed: MalformedRecords) -> dict[str, str]:
    """Write documents or queries as JSONL of ``id`` and ``text``.

    Args:
        path: The file.
        texts: The documents or queries.
        malformed: Receives empty texts, which are still written.

    Returns:
        Id -> place in the source, in order.

    Raises:
        DataError: An id is not unique, or there are no texts.
    """
    places: dict[str, str] = {}
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as out,
    ):
        for where, identifier, text in texts:
            if identifier in places:
                raise twice(identifier, places[identifier], where)
            places[identifier] = where
            if not text.strip():
                malformed.meet(EMPTY_TEXT, where, "it has no text")
            out.write(json.dumps({"id": identifier, "text": text}, ensure_ascii=False) + "\n")
        if not places:
            raise DataError(f"There is nothing to write to {path.name}: the source is empty.")
    return places


def write_judgements(
    path: Path,
    judgements: Iterable[Judgement],
    *,
    queries: Container[str],
    documents: Container[str] | None,
    malformed: MalformedRecords,
) -> Qrels:
    """Write judgements in the TREC format, in their order.

    If malformed records are counted, a judgement of an unknown document is kept, because it affects
    the measures of a perfect ranking. A judgement of an unknown query is left out.

    Args:
        path: The file.
        judgements: The judgements.
        queries: Ids of the queries.
        documents: Ids of the documents; None accepts any id.
        malformed: Receives unknown ids.

    Raises:
        DataError: A judgement is malformed or contradicts another, or an id holds white space.
    """
    usable = usable_judgements(
        judgements, queries=queries, documents=documents, malformed=malformed
    )
    qrels = collect_judgements(usable, path.name)
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as out,
    ):
        for query_id, judged in qrels.items():
            for doc_id, grade in judged.items():
                _refuse_blanks(query_id, doc_id)
                out.write(f"{query_id} 0 {doc_id} {grade}\n")
    return qrels


def usable_judgements(
    judgements: Iterable[Judgement],
    *,
    queries: Container[str],
    documents: Container[str] | None,
    malformed: MalformedRecords,
) -> Iterator[Judgement]:
    """Yield the judgements of known queries; see :func:`write_judgements`."""
    for judgement in judgements:
        if judgement.query_id not in queries:
            malformed.meet(UNKNOWN_ID, judgement.where, f"no query {judgement.query_id!r}")
            continue
        if documents is not None and judgement.doc_id not in documents:
            malformed.meet(UNKNOWN_ID, judgement.where, f"no document {judgement.doc_id!r}")
        yield judgement


def write_ranked(
    path: Path,
    entries: Iterable[RankedRecord],
    *,
    queries: Container[str],
    documents: Container[str],
    malformed: MalformedRecords,
) -> Mapping[str, Sequence[str]]:
    """Write ranked lists as a TREC run whose scores count down to 1.

    Args:
        path: The file.
        entries: The documents of each query, best first.
        queries: Ids of the queries.
        documents: Ids of the documents.
        malformed: Receives unknown ids, which are left out.

    Returns:
        Query id -> its list.

    Raises:
        DataError: A query has a document twice, or there are no documents.
    """
    lists: dict[str, dict[str, str]] = {}
    for where, query_id, doc_id in entries:
        if query_id not in queries:
            malformed.meet(UNKNOWN_ID, where, f"no query {query_id!r}")
        elif doc_id not in documents:
            malformed.meet(UNKNOWN_ID, where, f"no document {doc_id!r}")
        else:
            ranked = lists.setdefault(query_id, {})
            if doc_id in ranked:
                raise twice(doc_id, ranked[doc_id], where)
            ranked[doc_id] = where
    if not lists:
        raise DataError(f"There is nothing to write to {path.name}: the source is empty.")
    scored = {
        query_id: [(doc_id, float(len(ranked) - i)) for i, doc_id in enumerate(ranked)]
        for query_id, ranked in lists.items()
    }
    with atomic_write(path) as temporary:
        write_run(temporary, scored, format="trec", tag=_RANKED_TAG)
    return {query_id: list(ranked) for query_id, ranked in lists.items()}


def twice(identifier: str, first: str, second: str) -> DataError:
    """Return the error for a duplicate id."""
    return DataError(
        f"{second}: the id {identifier!r} is there before, at {first}.",
        hint="Ids must be unique: results could not be told apart.",
    )


def _refuse_blanks(*identifiers: str) -> None:
    for identifier in identifiers:
        if identifier.split() != [identifier]:
            raise DataError(f"The id {identifier!r} holds white space, which TREC cannot express.")
