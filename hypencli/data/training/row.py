"""Conversion between training rows and JSON values, with checks of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypencli.data.reading.numbers import finite_score
from hypencli.data.reading.rows import checked_text
from hypencli.errors import DataError
from hypencli.records import Query, TrainingItem, TrainingRow


def training_row(values: Mapping[str, Any], where: str) -> TrainingRow:
    """Build a training row from JSON values.

    The values are ``{"query": {"id", "content"}, "items": [{"id", "content", "score"?,
    "type"?}]}``. Other keys are ignored. Integer ids become strings.

    Args:
        values: The row as JSON values.
        where: Place of the row for messages: file and line, or file and row.

    Raises:
        DataError: A value is missing or has another type. The message names it.
    """
    query, items = values.get("query"), values.get("items")
    if not isinstance(query, dict):
        raise DataError(f'{where}: query: expected {{"id": ..., "content": ...}}.')
    if not isinstance(items, list) or not items:
        raise DataError(f"{where}: items: expected a list of at least one passage.")
    return TrainingRow(
        Query(_id(query, f"{where}: query"), _content(query, f"{where}: query")),
        tuple(_item(item, f"{where}: items[{i}]") for i, item in enumerate(items)),
    )


def row_values(row: TrainingRow) -> dict[str, Any]:
    """Convert a row to JSON values, without missing scores and types."""
    query = {"id": row.query.query_id, "content": row.query.text}
    return {"query": query, "items": [_item_values(item) for item in row.items]}


def _item_values(item: TrainingItem) -> dict[str, Any]:
    values: dict[str, Any] = {"id": item.id, "content": item.content}
    if item.score is not None:
        values["score"] = item.score
    if item.type is not None:
        values["type"] = item.type
    return values


def _item(values: Any, where: str) -> TrainingItem:
    if not isinstance(values, dict):
        raise DataError(f'{where}: expected {{"id": ..., "content": ...}}.')
    return TrainingItem(
        _id(values, where), _content(values, where), _score(values, where), _type(values, where)
    )


def _id(values: Mapping[str, Any], where: str) -> str:
    value = values.get("id")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"{where}: id: expected a string or a whole number, got {value!r:.80}.")
    return checked_text(str(value), f"{where}: id")


def _content(values: Mapping[str, Any], where: str) -> str:
    value = values.get("content")
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: content: expected text, got {value!r:.80}.")
    return checked_text(value, f"{where}: content")


def _score(values: Mapping[str, Any], where: str) -> float | None:
    value = values.get("score")
    if value is None:
        return None
    try:
        return finite_score(None if isinstance(value, str) else value)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: score: expected a finite number, got {value!r:.40}.",
            hint="Scores are kept as float32, so that they are below 3.4e38.",
        ) from error


def _type(values: Mapping[str, Any], where: str) -> str | None:
    value = values.get("type")
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{where}: type: expected a string, got {value!r:.80}.")
    return checked_text(value, f"{where}: type")
