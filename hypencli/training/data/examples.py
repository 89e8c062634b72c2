"""Training rows as arrays: queries, their passages, and teacher scores.

Rows are read once, in a stream, and written as arrays, which are then mapped. For a file of any
size, reading takes the memory of one hash for each distinct text.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import Dataset

from hypencli.errors import DataError
from hypencli.progress import Progress
from hypencli.records import TrainingRow
from hypencli.training.config import Sampling
from hypencli.training.data.sampling import RowTable, candidates_of, draw_items, split_rows
from hypencli.training.data.token_tables import TokenTable, TokenWriter, map_array

_ROWS_FILE = "rows.json"
_QUERY_IDS_FILE = "query_ids.parquet"
_NO_TYPE = -1


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Training rows and the tokens of their texts.

    Attributes:
        queries: The distinct queries.
        passages: The distinct passages: those of the rows first, then others of the pool.
        rows: The rows as positions of queries and passages.
        pool: Passages from which random negatives are drawn.
    """

    queries: TokenTable
    passages: TokenTable
    rows: RowTable
    pool: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, *, row_name: str = "Training row") -> TrainingSet:
        """Map a set of :func:`write_training_set`; ``row_name`` names a row in messages."""
        facts = json.loads((folder / _ROWS_FILE).read_text(encoding="utf-8"))
        rows = RowTable(
            query=map_array(folder / "row_query", np.int32),
            offsets=map_array(folder / "row_offsets", np.int64),
            passages=map_array(folder / "item_passages", np.int32),
            scores=map_array(folder / "item_scores", np.float32),
            types=map_array(folder / "item_types", np.int16),
            type_names=tuple(facts["type_names"]),
            query_id=partial(_query_id, folder),
            row_name=row_name,
        )
        return cls(
            TokenTable.open(folder, "queries"),
            TokenTable.open(folder, "passages"),
            rows,
            map_array(folder / "pool", np.int64),
        )


def _query_id(folder: Path, row: int) -> str:
    return str(pq.read_table(folder / _QUERY_IDS_FILE)["query_id"][row])


def write_training_set(
    folder: Path,
    rows: Iterable[TrainingRow],
    tokenizer: Any,
    *,
    query_max_length: int,
    passage_max_length: int,
    pool: Iterable[str] | None,
    progress: Progress,
) -> None:
    """Tokenise every text once and write a training set as arrays.

    Args:
        folder: The folder of the arrays.
        rows: The rows, read once.
        tokenizer: The tokenizer of the backbone.
        query_max_length: Most tokens of a query; longer ones are cut.
        passage_max_length: Most tokens of a passage; longer ones are cut.
        pool: Passages from which random negatives are drawn; None means those of the rows.
        progress: Receives the progress.

    Raises:
        DataError: Rows are missing or cannot be read.
    """
    queries = TokenWriter(folder, "queries", tokenizer, query_max_length)
    passages = TokenWriter(folder, "passages", tokenizer, passage_max_length)
    writer = _RowWriter(queries, passages)
    with progress.task("reading training rows", unit="rows") as task:
        for row in rows:
            writer.add(row)
            task.advance()
        task.set_total(len(writer))
    if not len(writer):
        raise DataError("No training rows.")
    drawn_from = np.arange(len(passages), dtype=np.int64)
    if pool is not None:
        drawn_from = np.array(sorted({passages.add(text) for text in pool}), dtype=np.int64)
    drawn_from.tofile(folder / "pool")
    queries.finish()
    passages.finish()
    writer.finish(folder)


class _RowWriter:
    """A writer of rows as arrays."""

    def __init__(self, queries: TokenWriter, passages: TokenWriter) -> None:
        self._queries, self._passages = queries, passages
        self._query, self._offsets = array("i"), array("q", [0])
        self._items, self._scores, self._types = array("i"), array("f"), array("h")
        self._type_names: dict[str, int] = {}
        self._query_ids: list[str] = []

    def __len__(self) -> int:
        return len(self._query)

    def add(self, row: TrainingRow) -> None:
        """Add one row."""
        self._query.append(self._queries.add(row.query.text))
        self._query_ids.append(row.query.query_id)
        for item in row.items:
            self._items.append(self._passages.add(item.content))
            self._scores.append(float("nan") if item.score is None else item.score)
            self._types.append(self._type(item.type))
        self._offsets.append(len(self._items))

    def _type(self, name: str | None) -> int:
        if name is None:
            return _NO_TYPE
        return self._type_names.setdefault(name, len(self._type_names))

    def finish(self, folder: Path) -> None:
        """Write the arrays."""
        arrays: dict[str, array[int] | array[float]] = {
            "row_query": self._query,
            "row_offsets": self._offsets,
            "item_passages": self._items,
            "item_scores": self._scores,
            "item_types": self._types,
        }
        for name, values in arrays.items():
            (folder / name).write_bytes(values.tobytes())
        pq.write_table(pa.table({"query_id": self._query_ids}), folder / _QUERY_IDS_FILE)
        facts = json.dumps({"type_names": list(self._type_names)})
        (folder / _ROWS_FILE).write_text(facts, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Example:
    """A query with the passages drawn for one epoch, as positions in the token tables.

    Attributes:
        epoch: The number of the pass over the rows.
        row: The row of the training file.
        query: The position among the queries.
        passages: Positions among the passages: the positive, then the negatives.
        scores: Teacher scores of these passages, if a loss needs them.
        relevant: All passages of the row, of which none may be a random negative.
    """

    epoch: int
    row: int
    query: int
    passages: tuple[int, ...]
    scores: tuple[float, ...] | None
    relevant: tuple[int, ...]


class Examples(Dataset[Example]):
    """The training examples: ``examples[epoch, position]`` draws those of a row in an epoch.

    Raises:
        DataError: :func:`split_rows` refuses a row, or an item lacks the teacher score that a loss
            needs. All rows are checked before the first step.
    """

    def __init__(self, rows: RowTable, sampling: Sampling, *, seed: int, with_scores: bool) -> None:
        self._rows = rows
        self._sampling = sampling
        self._seed = seed
        self._with_scores = with_scores
        self._split = split_rows(rows, sampling)
        if with_scores:
            _refuse_missing_scores(rows, self._split.kept)

    def __len__(self) -> int:
        return len(self._split.kept)

    def __getitem__(self, index: tuple[int, int]) -> Example:
        epoch, position = index
        row = int(self._split.kept[position])
        candidates = candidates_of(self._rows, self._split, row)
        items = draw_items(candidates, self._sampling, seed=self._seed, epoch=epoch)
        within = self._rows.items(row)
        passages = self._rows.passages[within].tolist()
        scores = self._rows.scores[within].tolist() if self._with_scores else None
        return Example(
            epoch,
            row,
            int(self._rows.query[row]),
            tuple(passages[j] for j in items),
            None if scores is None else tuple(scores[j] for j in items),
            tuple(passages),
        )


def _refuse_missing_scores(rows: RowTable, kept: npt.NDArray[np.int64]) -> None:
    missing = np.add.reduceat(np.isnan(rows.scores), rows.offsets[:-1])[kept]
    if missing.any():
        row = int(kept[np.argmax(missing > 0)])
        item = int(np.argmax(np.isnan(rows.scores[rows.items(row)])))
        raise DataError(
            f"{rows.name(row)}: item {item + 1} has no score; a loss needs a teacher's score "
            "on every item.",
            hint="Score the file with a teacher (hype teach), or train with cross_entropy alone.",
        )
