"""Folds of a query set for cross-validation, read from JSON or lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypencli.data.reading.lines import read_lines, read_whole
from hypencli.errors import DataError

Folds = Mapping[str, tuple[str, ...]]
"""Fold -> ids of its queries, in the order of the file."""

_ACCEPTED = (
    'Accepted: JSON {"fold": ["query", ...]} or [["query", ...], ...], or lines of a query and '
    "its fold."
)


def read_folds(path: Path) -> Folds:
    """Read the folds of a file.

    Lists without names get the names 1, 2, 3, ….

    Args:
        path: A file. If its name ends in ``.json``, an object or a list of lists of query ids;
            otherwise lines of a query id, a blank and its fold.

    Raises:
        DataError: The file cannot be read or has another format, or a query is in two folds.
    """
    pairs = _of_json(path) if path.suffix == ".json" else _of_lines(path)
    folds: dict[str, list[str]] = {}
    fold_of: dict[str, str] = {}
    for where, fold, query in pairs:
        if fold_of.setdefault(query, fold) != fold:
            raise DataError(
                f"{where}: query {query!r} is in two folds, {fold_of[query]!r} and {fold!r}."
            )
        queries = folds.setdefault(fold, [])
        if query not in queries:
            queries.append(query)
    if not folds:
        raise DataError(f"{path}: no folds.", hint=_ACCEPTED)
    return {fold: tuple(queries) for fold, queries in folds.items()}


def _of_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    for line in read_lines(path):
        columns = line.text.split()
        if not columns:
            continue
        where = f"{path}, line {line.number}"
        if len(columns) != 2:
            raise DataError(f"{where}: {len(columns)} columns, folds have 2.", hint=_ACCEPTED)
        query, fold = columns
        yield where, fold, query


def _of_json(path: Path) -> Iterator[tuple[str, str, str]]:
    content = read_whole(path)
    try:
        content_folds = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}.", hint=_ACCEPTED) from error
    if isinstance(content_folds, list):
        content_folds = {
            str(number): queries for number, queries in enumerate(content_folds, start=1)
        }
    if not isinstance(content_folds, dict) or not all(map(_is_queries, content_folds.values())):
        raise DataError(f"{path}: not folds.", hint=_ACCEPTED)
    for fold, queries in content_folds.items():
        for query in queries:
            yield f"{path}, fold {fold!r}", fold, str(query)


def _is_queries(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(query, str | int) and not isinstance(query, bool) for query in value
    )
