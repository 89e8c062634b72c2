"""Training rows: queries with their passages, in the published JSONL format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypencli.data.lines import parse_json_object, read_lines, scan
from hypencli.errors import DataError
from hypencli.records import Query, TrainingItem, TrainingRow


def read_training_rows(path: str | Path) -> list[TrainingRow]:
    """All rows of a training file: JSONL, plain or gzip.

    A line is ``{"query": {"id", "content"}, "items": [{"id", "content", "score"?, "type"?}]}``;
    further keys are ignored, blank lines skipped, and whole numbers as ids become strings.

    Raises:
        DataError: No such file, damaged gzip, not UTF-8, no rows; or a line that is not JSON or
            lacks something, with its number.
    """
    rows = list(iterate_training_rows(path))
    if not rows:
        raise DataError(f"{path}: no training rows.")
    return rows


def iterate_training_rows(path: str | Path) -> Iterator[TrainingRow]:
    """The rows of a training file one by one; see :func:`read_training_rows`."""
    path = _existing(path)
    for line in read_lines(path):
        yield _row(parse_json_object(line, str(path)), f"{path}, line {line.number}")


def training_fingerprint(path: str | Path) -> str:
    """SHA-256 of the file's text: compressed or not, the same rows have the same fingerprint.

    Raises:
        DataError: The file cannot be read.
    """
    return scan(_existing(path)).sha256


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(
            f"No training file {path} (from {Path.cwd()}).",
            hint="Name one: --set data.train=FILE.jsonl",
        )
    return path


def _row(values: Mapping[str, Any], where: str) -> TrainingRow:
    query, items = values.get("query"), values.get("items")
    if not isinstance(query, dict):
        raise DataError(f'{where}: query: expected {{"id": ..., "content": ...}}.')
    if not isinstance(items, list) or not items:
        raise DataError(f"{where}: items: expected a list of at least one passage.")
    return TrainingRow(
        Query(_id(query, f"{where}: query"), _content(query, f"{where}: query")),
        tuple(_item(item, f"{where}: items[{i}]") for i, item in enumerate(items)),
    )


def _item(values: Any, where: str) -> TrainingItem:
    if not isinstance(values, dict):
        raise DataError(f'{where}: expected {{"id": ..., "content": ...}}.')
    return TrainingItem(
        _id(values, where), _content(values, where), _score(values, where), _type(values, where)
    )


def _id(values: Mapping[str, Any], where: str) -> str:
    value = values.get("id")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"{where}: id: expected a string or a whole number, got {value!r}.")
    return str(value)


def _content(values: Mapping[str, Any], where: str) -> str:
    value = values.get("content")
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: content: expected text, got {value!r}.")
    return value


def _score(values: Mapping[str, Any], where: str) -> float | None:
    value = values.get("score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{where}: score: expected a finite number, got {value!r}.")
    return float(value)


def _type(values: Mapping[str, Any], where: str) -> str | None:
    value = values.get("type")
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: type: expected a string, got {value!r}.")
    return value
