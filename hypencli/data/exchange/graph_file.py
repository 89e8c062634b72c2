"""Neighbour graphs in the published format, JSONL.

Each line is ``{"item_id": "d1", "neighbors": ["d7", "d3"]}``, with the nearest neighbour first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hypencli.data.reading.lines import Line, parse_json_object, read_lines
from hypencli.data.reading.rows import checked_id
from hypencli.errors import DataError


class Neighbours(NamedTuple):
    """The neighbours of one document, nearest first, and their line number in the file."""

    line: int
    doc_id: str
    neighbours: list[str]


def read_graph(path: Path) -> Iterator[Neighbours]:
    """Read the lines of a graph file (.gz too), one at a time.

    Raises:
        DataError: The file cannot be read or is empty, or a line has another format.
    """
    line = None
    for line in read_lines(path):
        yield _parse(line, path)
    if line is None:
        raise DataError(f"{path}: the file is empty.")


def _parse(line: Line, path: Path) -> Neighbours:
    where = f"{path}, line {line.number}"
    record = parse_json_object(line, str(path))
    missing = [key for key in ("item_id", "neighbors") if key not in record]
    if missing:
        raise DataError(
            f"{where}: no {missing[0]!r}.",
            hint='Expected lines such as {"item_id": "d1", "neighbors": ["d7", "d3"]}.',
        )
    listed = record["neighbors"]
    if not isinstance(listed, list):
        raise DataError(f"{where}: neighbors must be a list of ids, not {listed!r:.80}.")
    doc_id = checked_id(record["item_id"], where)
    return Neighbours(line.number, doc_id, [checked_id(one, where) for one in listed])


def write_graph(rows: Iterable[tuple[str, Sequence[str]]], out: BinaryIO) -> None:
    """Write one line for each document with its neighbours, nearest first."""
    for doc_id, neighbours in rows:
        record = {"item_id": doc_id, "neighbors": list(neighbours)}
        out.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
