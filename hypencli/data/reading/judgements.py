"""Read files of judgements: TREC, JSON in the published format, BEIR TSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hypencli.data.reading.lines import Line, read_lines, read_whole
from hypencli.data.reading.numbers import whole_number
from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError

MAX_GRADE = 1_000_000
"""Maximum grade; the code of trec_eval allocates memory in proportion to the grade."""

_COLUMNS = 3
_FORMATS = (
    "TREC (query 0 document grade), TSV as in BEIR (a header of three columns, then query, "
    'document, grade), or JSON {"query": {"document": grade}}'
)


class Judgement(NamedTuple):
    """One judgement of a file, with an unchecked grade.

    Attributes:
        where: File and line, for messages.
    """

    where: str
    query_id: str
    doc_id: str
    grade: object


def collect_judgements(judgements: Iterable[Judgement], name: str) -> dict[str, dict[str, int]]:
    """Collect judgements to query id -> document id -> grade.

    Args:
        judgements: The judgements.
        name: Name of the source in messages.

    Raises:
        DataError: A grade is not a whole number, a document has two grades for one query, or there
            is no judgement.
    """
    qrels: dict[str, dict[str, int]] = {}
    for where, query_id, doc_id, value in judgements:
        if not query_id or not doc_id:
            raise DataError(f"{where}: a query or document without an id.")
        grade = _grade(value, where)
        earlier = qrels.setdefault(query_id, {}).setdefault(doc_id, grade)
        if earlier != grade:
            raise DataError(
                f"{where}: document {doc_id!r:.80} of query {query_id!r:.80} has grade {grade} "
                f"here and {earlier} before."
            )
    if not qrels:
        raise DataError(f"{name}: no judgements in it.", hint=f"Accepted: {_FORMATS}.")
    return qrels


def _grade(value: object, where: str) -> int:
    try:
        grade = whole_number(value) if isinstance(value, str) else _integral(value)
    except ValueError as error:
        raise DataError(f"{where}: a grade must be an integer, not {value!r:.40}.") from error
    if abs(grade) > MAX_GRADE:
        raise DataError(f"{where}: grade {grade!s:.40} is beyond {MAX_GRADE:,}.")
    return grade


def _integral(value: object) -> int:
    """Convert a whole JSON number; 1.0 counts as whole, because some libraries write it so."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(value)
    return int(value)


def iterate_judgements(path: Path) -> Iterator[Judgement]:
    """Read the judgements of a file one by one, in the format that its content shows.

    Raises:
        DataError: The file cannot be read or is empty, or a line is not a judgement.
    """
    name = str(path)
    lines = (line for line in read_lines(path) if not line.text.startswith("#"))
    first = next(lines, None)
    if first is None:
        raise DataError(f"{name}: the file is empty.", hint=f"Accepted: {_FORMATS}.")
    if first.text.lstrip().startswith(("{", "[")):
        return _json(path)
    separator = "\t" if "\t" in first.text else None
    if _is_header(first.text.split(separator)):
        return _beir(lines, name, separator)
    return _trec(chain([first], lines), name)


def _is_header(columns: Sequence[str]) -> bool:
    """Whether a first line names the columns of a BEIR file: three, the last no grade.

    The names do not matter: ``query-id, corpus-id, score`` in BEIR, ``qid, pid, score`` elsewhere.
    """
    if len(columns) != _COLUMNS:
        return False
    try:
        whole_number(columns[-1].strip())
    except ValueError:
        return True
    return False


def _trec(lines: Iterable[Line], name: str) -> Iterator[Judgement]:
    for line in lines:
        columns = line.text.split()
        where = f"{name}, line {line.number}"
        if len(columns) != 4:
            hint = f"Accepted: {_FORMATS}."
            raise DataError(f"{where}: {len(columns)} columns, TREC qrels have 4.", hint=hint)
        yield Judgement(where, columns[0], columns[2], columns[3])


def _beir(lines: Iterable[Line], name: str, separator: str | None) -> Iterator[Judgement]:
    """Read the lines below a header. The separator is that of the header; None is white space."""
    for line in lines:
        columns = line.text.split(separator)
        where = f"{name}, line {line.number}"
        if len(columns) != _COLUMNS:
            between = "white space" if separator is None else "tabs"
            raise DataError(
                f"{where}: {len(columns)} columns, BEIR qrels have 3, separated by {between} as in "
                "the first line.",
                hint=f"Accepted: {_FORMATS}.",
            )
        yield Judgement(where, columns[0].strip(), columns[1].strip(), columns[2].strip())


def _json(path: Path) -> Iterator[Judgement]:
    content = read_whole(path)
    try:
        value: Any = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_Members)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}.") from error
    if not isinstance(value, _Members):
        raise DataError(f"{path}: expected {_FORMATS}.")
    for query_id, documents in value:
        where = f"{path}, query {query_id!r:.80}"
        checked_text(query_id, where)
        if not isinstance(documents, _Members):
            raise DataError(f"{where}: expected an object of documents and grades.")
        for doc_id, grade in documents:
            place = f"{where}, document {doc_id!r:.80}"
            yield Judgement(place, query_id, checked_text(doc_id, place), grade)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object in order, including repeated names."""
