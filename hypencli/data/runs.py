"""Run files: TREC, JSONL in the published format, Parquet.

Runs are read as a whole and written query by query.

A ranking that is read is ordered by score. Equal scores are ordered by rank (in JSONL: by
position), if the ranks of the query are distinct and nowhere contradict the scores; otherwise by
ascending document id. So a run is read in the order in which it was written. A file whose ranks
are all 0, or count backwards, is ordered by its scores.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeAlias, get_args

from hypencli.data.reading.lines import Line, open_bytes, parse_json_object, read_lines
from hypencli.data.reading.numbers import finite_score, whole_number
from hypencli.data.reading.rows import checked_id, checked_text
from hypencli.errors import DataError, UsageError
from hypencli.paths import user_path
from hypencli.records import Ranking, Results

RunFormat: TypeAlias = Literal["trec", "jsonl", "parquet"]
RUN_FORMATS: tuple[RunFormat, ...] = get_args(RunFormat)

Contents: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Document ids -> their texts."""

_FORMATS = (
    'TREC (query Q0 document rank score tag), JSONL ({"query": {"id", "content"}, '
    '"items": [{"id", "score"}]}), or Parquet (query_id, doc_id, rank, score)'
)
_PARQUET_MAGIC = b"PAR1"
_PARQUET_ROWS = 131_072


class RankedQuery(NamedTuple):
    """One query of a run: its documents, best first, and its text if known."""

    query_id: str
    ranking: Ranking
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RunFile:
    """The content of a run file.

    Attributes:
        results: Query id -> ranking, queries in the order they first appear.
        queries: Query id -> text, for queries whose text the file has.
        tag: The tag of the first line of a TREC file.
        reordered_queries: Queries whose ranks contradict their scores; they are ordered by score.
    """

    results: dict[str, Ranking]
    queries: dict[str, str] = field(default_factory=dict)
    tag: str | None = None
    reordered_queries: tuple[str, ...] = ()


class _Entry(NamedTuple):
    rank: int
    doc_id: str
    score: float


def read_run(path: str | Path) -> RunFile:
    """Read a run file in any of the formats; ``.gz`` is accepted.

    Raises:
        DataError: The file cannot be read or is empty, a line has a wrong number of columns or
            lacks a key, a score is not a finite float32, or a query has a document twice. The
            message names file and line.
    """
    path = user_path(path)
    with open_bytes(path) as stream:
        if stream.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC:
            return _read_parquet(path)
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: the file is empty.", hint=f"Accepted: {_FORMATS}.")
    whole = chain([first], lines)
    if first.text.lstrip().startswith("{"):
        return _read_jsonl(whole, str(path))
    return _read_trec(whole, str(path))


def write_run(
    path: Path,
    results: Results,
    queries: Mapping[str, str] | None = None,
    *,
    format: RunFormat,
    tag: str = "hype",
    contents: Contents | None = None,
) -> int:
    """Write a run in memory to a file; see :func:`write_rankings`.

    Args:
        path: The file, which is overwritten.
        results: Query id -> ranking, best first.
        queries: Query id -> text; JSONL also holds those without results.
        format: The format of the file.
        tag: Last column of a TREC file.
        contents: Texts of documents for JSONL.

    Returns:
        The number of scores that a TREC file has otherwise than the run.

    Raises:
        DataError: A score is not finite, or an id cannot stand in a TREC file.
    """
    texts = queries or {}
    ids = dict.fromkeys([*texts, *results])
    rankings = (RankedQuery(one, results.get(one, []), texts.get(one)) for one in ids)
    with path.open("wb") as out:
        return write_rankings(rankings, out, format=format, tag=tag, contents=contents)


def write_rankings(
    queries: Iterable[RankedQuery],
    out: BinaryIO,
    *,
    format: RunFormat,
    tag: str = "hype",
    contents: Contents | None = None,
) -> int:
    """Write a run to a stream, one query at a time; ranks count from 1.

    trec_eval ignores ranks: it sorts by score, and equal scores by document id. In a TREC file
    every score is therefore lower than the one before it: where the run has equal scores, by the
    smallest step of their precision.

    Args:
        queries: Queries with their rankings, best first.
        out: The binary stream.
        format: The format. TREC and Parquet hold no query texts and no queries without results.
        tag: Last column of a TREC file; white space in it becomes ``_``.
        contents: Returns the texts of documents; JSONL then holds them.

    Returns:
        The number of scores that a TREC file has otherwise than the run.

    Raises:
        DataError: A score is not finite, or an id for a TREC file is empty or holds white space.
        UsageError: The format is unknown.
    """
    match format:
        case "trec":
            return _write_trec(queries, out, tag)
        case "jsonl":
            _write_jsonl(queries, out, contents)
        case "parquet":
            _write_parquet(queries, out)
        case _:
            raise UsageError(f"No run format {format!r}.", hint=f"Known: {', '.join(RUN_FORMATS)}")
    return 0


def _ordered(entries: list[_Entry]) -> tuple[Ranking, bool]:
    """Entries of one query in rank order, and whether their ranks contradict their scores."""
    by_rank = sorted(entries)
    distinct = all(above.rank < below.rank for above, below in pairwise(by_rank))
    agreeing = all(above.score >= below.score for above, below in pairwise(by_rank))
    if not (distinct and agreeing):
        by_rank.sort(key=lambda entry: (-entry.score, entry.doc_id))
    return [(entry.doc_id, entry.score) for entry in by_rank], distinct and not agreeing


def _run_file(
    entries: dict[str, list[_Entry]],
    *,
    queries: dict[str, str] | None = None,
    tag: str | None = None,
) -> RunFile:
    results: dict[str, Ranking] = {}
    reordered: list[str] = []
    for query_id, of_query in entries.items():
        results[query_id], contradicting = _ordered(of_query)
        if contradicting:
            reordered.append(query_id)
    return RunFile(results, queries or {}, tag, tuple(reordered))


def _read_trec(lines: Iterable[Line], name: str) -> RunFile:
    entries: dict[str, list[_Entry]] = {}
    seen: dict[str, set[str]] = {}
    tag = None
    for line in lines:
        where = f"{name}, line {line.number}"
        columns = line.text.split()
        if len(columns) != 6:
            raise DataError(
                f"{where}: {len(columns)} columns, a TREC run has 6.", hint=f"Accepted: {_FORMATS}."
            )
        query_id, _, doc_id, rank, score, tag_here = columns
        tag = tag or tag_here
        _note(seen.setdefault(query_id, set()), doc_id, query_id, where)
        entry = _Entry(_rank(rank, where), doc_id, _read_score(score, where))
        entries.setdefault(query_id, []).append(entry)
    return _run_file(entries, tag=tag)


def _read_jsonl(lines: Iterable[Line], name: str) -> RunFile:
    entries: dict[str, list[_Entry]] = {}
    texts: dict[str, str] = {}
    for line in lines:
        where = f"{name}, line {line.number}"
        record = parse_json_object(line, name)
        query, items = record.get("query"), record.get("items")
        if not isinstance(query, dict) or not isinstance(items, list):
            raise DataError(f'{where}: expected {{"query": {{...}}, "items": [...]}}.')
        query_id = checked_id(query.get("id"), f"{where}, query id")
        if query_id in entries:
            raise DataError(f"{where}: query {query_id!r:.80} is there twice.")
        if query.get("content") is not None:
            texts[query_id] = checked_text(query["content"], f"{where}, query content")
        entries[query_id] = list(_items(items, query_id, where))
    return _run_file(entries, queries=texts)


def _items(items: list[Any], query_id: str, where: str) -> Iterator[_Entry]:
    seen: set[str] = set()
    for rank, item in enumerate(items, start=1):
        place = f"{where}, item {rank}"
        if not isinstance(item, dict):
            raise DataError(f'{place}: expected {{"id": ..., "score": ...}}.')
        doc_id = checked_id(item.get("id"), f"{place}, id")
        _note(seen, doc_id, query_id, place)
        yield _Entry(rank, doc_id, _read_score(item.get("score"), place))


def _read_parquet(path: Path) -> RunFile:
    import pyarrow as pa

    from hypencli.data.reading.parquet import open_parquet

    schema = _parquet_schema()
    values: list[list[Any]] = [[] for _ in schema]
    try:
        with open_parquet(path, dictionaries=("query_id", "doc_id")) as file:
            for batch in file.iter_batches(columns=schema.names):
                for field, kept in zip(schema, values, strict=True):
                    kept += _values(batch.column(field.name), field.type)
    except KeyError as error:
        columns = ", ".join(schema.names)
        raise DataError(
            f"{path}: not a run in Parquet: it lacks one of the columns {columns}.", hint=_FORMATS
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a run in Parquet: {error}", hint=_FORMATS) from error
    entries: dict[str, list[_Entry]] = {}
    seen: dict[str, set[str]] = {}
    for row, (query_id, doc_id, rank, score) in enumerate(zip(*values, strict=True), start=1):
        where = f"{path}, row {row}"
        if not query_id or not doc_id or rank is None:
            raise DataError(f"{where}: an empty value.")
        _note(seen.setdefault(query_id, set()), doc_id, query_id, where)
        entry = _Entry(rank, doc_id, _read_score(score, where))
        entries.setdefault(query_id, []).append(entry)
    if not entries:
        raise DataError(f"{path}: no results in it.")
    return _run_file(entries)


def _values(column: Any, type_: Any) -> list[Any]:
    """The values of a column. Equal strings of a dictionary share their memory.

    Raises:
        pyarrow.ArrowInvalid: A place of a dictionary is outside of it, or a string is not UTF-8.
    """
    import pyarrow as pa

    column.validate(full=True)
    if not pa.types.is_dictionary(column.type):
        values: list[Any] = column.cast(type_).to_pylist()
        return values
    words = column.dictionary.cast(type_).to_pylist()
    return [None if place is None else words[place] for place in column.indices.to_pylist()]


def _note(seen: set[str], doc_id: str, query_id: str, where: str) -> None:
    if doc_id in seen:
        raise DataError(
            f"{where}: document {doc_id!r:.80} is there twice for query {query_id!r:.80}."
        )
    seen.add(doc_id)


def _rank(text: str, where: str) -> int:
    try:
        return whole_number(text)
    except ValueError as error:
        raise DataError(f"{where}: a rank must be an integer, not {text!r:.40}.") from error


def _read_score(value: object, where: str) -> float:
    try:
        return finite_score(value)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: a score must be a finite number, not {value!r:.40}.",
            hint="Scores are kept as float32, so that they are below 3.4e38.",
        ) from error


def _score(value: object, where: str) -> float:
    """Check that a score to be written is finite."""
    try:
        score = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"{where}: a score must be a finite number, not {value!r:.40}.")
    return score


def _narrow(score: float, query_id: str, doc_id: str) -> float:
    return _read_score(score, f"query {query_id!r}, document {doc_id!r}")


def _checked(query: RankedQuery) -> Iterator[tuple[int, str, float]]:
    for rank, (doc_id, score) in enumerate(query.ranking, start=1):
        where = f"query {query.query_id!r}, document {doc_id!r}"
        yield rank, doc_id, _score(score, where)


def _write_trec(queries: Iterable[RankedQuery], out: BinaryIO, tag: str) -> int:
    tag = "_".join(tag.split()) or "hype"
    changed = 0
    for query in queries:
        rows = list(_checked(query))
        _check_no_space(query.query_id)
        scores = [score for _, _, score in rows]
        short = all(map(_is_float32, scores))
        falling = _falling(scores, single=short)
        changed += sum(old != new for old, new in zip(scores, falling, strict=True))
        for (rank, doc_id, _), score in zip(rows, falling, strict=True):
            _check_no_space(doc_id)
            # Nine digits distinguish all float32 numbers; repr() does so for float64.
            shown = f"{score:.9g}" if short else repr(score)
            out.write(f"{query.query_id} Q0 {doc_id} {rank} {shown} {tag}\n".encode())
    return changed


def _falling(scores: list[float], *, single: bool) -> list[float]:
    """Scores of which each is lower than the one before; as few as needed are changed.

    Args:
        scores: The scores in rank order.
        single: Whether they are float32 numbers, and are to stay so.
    """
    if all(above > below for above, below in pairwise(scores)):
        return scores
    import numpy as np

    number = np.float32 if single else np.float64
    lowest = number(np.finfo(number).min)
    values = [number(score) for score in scores]
    for place in range(1, len(values)):
        above = values[place - 1]
        if not above > values[place]:
            values[place] = above if above == lowest else np.nextafter(above, lowest)
    for place in reversed(range(len(values) - 1)):  # where the lowest number was reached
        if not values[place] > values[place + 1]:
            values[place] = np.nextafter(values[place + 1], -lowest)
    return [float(value) for value in values]


def _check_no_space(identifier: str) -> None:
    if identifier.split() != [identifier]:
        raise DataError(
            f"The id {identifier!r} is empty or holds white space; TREC files cannot express it.",
            hint="Export as jsonl or parquet instead.",
        )


def _is_float32(score: float) -> bool:
    try:
        return bool(struct.unpack("<f", struct.pack("<f", score))[0] == score)
    except OverflowError:
        return False


def _write_jsonl(queries: Iterable[RankedQuery], out: BinaryIO, contents: Contents | None) -> None:
    for query in queries:
        rows = list(_checked(query))
        items: list[dict[str, Any]] = [{"id": doc_id, "score": score} for _, doc_id, score in rows]
        if contents is not None:
            texts = contents([doc_id for _, doc_id, _ in rows])
            for item, text in zip(items, texts, strict=True):
                item["content"] = text
        about = {"id": query.query_id}
        if query.text is not None:
            about["content"] = query.text
        record = {"query": about, "items": items}
        out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _parquet_schema() -> Any:
    import pyarrow as pa

    names = {"query_id": pa.string(), "doc_id": pa.string()}
    return pa.schema({**names, "rank": pa.int32(), "score": pa.float32()})


def _table(rows: list[tuple[str, str, int, float]], schema: Any) -> Any:
    import pyarrow as pa

    columns = zip(schema.names, zip(*rows, strict=True), strict=True)
    return pa.table({name: list(values) for name, values in columns}, schema=schema)


def _write_parquet(queries: Iterable[RankedQuery], out: BinaryIO) -> None:
    """Write the columns of a stored run; scores become float32."""
    import pyarrow.parquet as pq

    schema = _parquet_schema()
    rows: list[tuple[str, str, int, float]] = []
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for query in queries:
            rows += [
                (query.query_id, doc_id, rank, _narrow(score, query.query_id, doc_id))
                for rank, doc_id, score in _checked(query)
            ]
            if len(rows) >= _PARQUET_ROWS:
                writer.write_table(_table(rows, schema))
                rows.clear()
        if rows:
            writer.write_table(_table(rows, schema))
