"""Write training rows to JSONL (also compressed) or Parquet, by the ending of the file name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from hypencli.data.atomic import atomic_write, refuse_overwrite
from hypencli.data.training.row import row_values
from hypencli.data.training.splits import DATA_ENDINGS
from hypencli.errors import DataError, UsageError
from hypencli.paths import user_path
from hypencli.records import TrainingRow

_GROUP_CHARACTERS = 32 * 2**20
"""Maximum text in a row group of Parquet, which is held in memory."""


def check_ending(path: Path) -> str:
    """Return the ending of a file name, which determines the format.

    Raises:
        UsageError: The ending is unknown.
    """
    ending = next((one for one in reversed(DATA_ENDINGS) if path.name.endswith(one)), None)
    if ending is None:
        raise UsageError(
            f"The format of training rows cannot be told from {path}.",
            hint=f"Name a file that ends in {', '.join(DATA_ENDINGS)}.",
        )
    return ending


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before any work.

    Raises:
        UsageError: The file exists and must not be replaced, or its ending is unknown.
    """
    check_ending(path)
    refuse_overwrite(path, overwrite=overwrite)


def write_training_rows(path: str | Path, rows: Iterable[TrainingRow]) -> int:
    """Write training rows to a file atomically. An existing file is replaced.

    Every format reads back as equal rows. In JSONL, compressed or not, equal rows give equal bytes.

    Args:
        path: File that ends in ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
        rows: The rows, which are read one by one.

    Returns:
        Number of rows.

    Raises:
        UsageError: The ending is another one.
        DataError: There are no rows, or the file cannot be written.
    """
    path = user_path(path)
    ending = check_ending(path)
    with atomic_write(path) as temporary:
        if ending == ".parquet":
            count = _write_parquet(temporary, rows)
        else:
            count = _write_jsonl(temporary, rows, packed=ending.endswith(".gz"))
        if count == 0:
            raise DataError(f"There are no training rows to write to {path}.")
    return count


def _write_jsonl(path: Path, rows: Iterable[TrainingRow], *, packed: bool) -> int:
    with path.open("wb") as raw:
        if not packed:
            return _write_lines(raw, rows)
        # The header has no name and no time, so that equal rows give equal bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as out:
            return _write_lines(out, rows)


def _write_lines(out: IO[bytes] | gzip.GzipFile, rows: Iterable[TrainingRow]) -> int:
    count = 0
    for row in rows:
        out.write(json.dumps(row_values(row), ensure_ascii=False).encode("utf-8") + b"\n")
        count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[TrainingRow]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    passage = [("id", pa.string()), ("content", pa.string())]
    item = pa.struct([*passage, ("score", pa.float64()), ("type", pa.string())])
    schema = pa.schema([("query", pa.struct(passage)), ("items", pa.list_(item))])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            values = [row_values(row) for row in group]
            writer.write_table(pa.Table.from_pylist(values, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[TrainingRow]) -> Iterator[list[TrainingRow]]:
    """Yield the rows in groups of bounded text size."""
    stream = iter(rows)
    while group := list(islice(stream, 1)):
        size = _characters(group[0])
        while size < _GROUP_CHARACTERS and (row := next(stream, None)) is not None:
            group.append(row)
            size += _characters(row)
        yield group


def _characters(row: TrainingRow) -> int:
    return sum(len(item.content) for item in row.items) + len(row.query.text)
