"""What every place of training rows must hold: the same rows, whatever file they lie in."""

from __future__ import annotations

import gzip
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.data.training import (
    open_training_rows,
    read_training_rows,
    training_fingerprint,
    write_training_rows,
)
from hypencli.errors import DataError
from hypencli.records import Query, TrainingItem, TrainingRow

Rows = Sequence[TrainingRow]
Maker = Callable[[Rows, Path], Path]
COMMIT = "0123456789abcdef0123456789abcdef01234567"

ROWS = [
    TrainingRow(
        Query("7", "what is bread"),
        (
            TrainingItem("10", "flour, “yeast”\nand water", 1.25, "positive"),
            TrainingItem("9", "rivers 🦜", -3.0, None),
            TrainingItem("8", "stars", None, "negative"),
        ),
    ),
    TrainingRow(Query("6", "where is the bank"), (TrainingItem("1", "naïve\u2028text"),)),
    TrainingRow(
        Query("5", "who sings"), tuple(TrainingItem(str(i), f"song {i}") for i in range(200))
    ),
]
"""Ids that are whole numbers, as some files have them; texts with every kind of line end."""


def values(row: TrainingRow) -> dict[str, Any]:
    """A row as the published format has it: null where there is nothing, ids as numbers."""
    items = [
        {"id": int(i.id), "content": i.content, "score": i.score, "type": i.type} for i in row.items
    ]
    query = {"id": int(row.query.query_id), "content": row.query.text}
    return {"query": query, "items": items}


def table(rows: Rows) -> pa.Table:
    """A table whose schema pyarrow infers, with fields and a column that nobody asked for."""
    more = {"source": "somewhere", "tokenized_content": [1, 2]}
    records = [
        {
            "number": i,
            "query": {**row["query"], **more},
            "items": [{**more, **item} for item in row["items"]],
        }
        for i, row in enumerate(map(values, rows))
    ]
    return pa.Table.from_pylist(records)


def jsonl(rows: Rows, folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(values(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def jsonl_of_another_machine(rows: Rows, folder: Path) -> Path:
    lines = [json.dumps({"more": [1], **values(row)}, ensure_ascii=False) for row in rows]
    path = folder / "rows.jsonl"
    path.write_bytes("".join(["\ufeff", "\r\n\r\n".join(lines), "\r\n"]).encode())
    return path


def jsonl_gz(rows: Rows, folder: Path) -> Path:
    path = folder / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(rows, folder).read_bytes()))
    return path


def written_jsonl(rows: Rows, folder: Path) -> Path:
    write_training_rows(folder / "rows.jsonl", rows)
    return folder / "rows.jsonl"


def written_jsonl_gz(rows: Rows, folder: Path) -> Path:
    write_training_rows(folder / "rows.jsonl.gz", rows)
    return folder / "rows.jsonl.gz"


def written_parquet(rows: Rows, folder: Path) -> Path:
    write_training_rows(folder / "rows.parquet", rows)
    return folder / "rows.parquet"


def parquet_of_another_program(rows: Rows, folder: Path) -> Path:
    pq.write_table(table(rows), folder / "rows.parquet", row_group_size=2)
    return folder / "rows.parquet"


def parquet_with_large_and_coded_columns(rows: Rows, folder: Path) -> Path:
    coded = pa.dictionary(pa.int32(), pa.string())
    item = pa.struct(
        [
            ("type", coded),
            ("id", pa.uint32()),
            ("content", pa.large_string()),
            ("score", pa.float64()),
        ]
    )
    query = pa.struct([("content", pa.large_string()), ("id", pa.int64())])
    schema = pa.schema([("items", pa.large_list(item)), ("query", query)])
    created = pa.Table.from_pylist([values(row) for row in rows], schema=schema)
    pq.write_table(created, folder / "rows.parquet")
    return folder / "rows.parquet"


def folder_of_parts(rows: Rows, folder: Path) -> Path:
    """Parts of one split in name order, beside other splits and files."""
    (folder / "data").mkdir()
    for i, row in enumerate(rows):
        write_training_rows(folder / "data" / f"train-{i:05d}-of-{len(rows):05d}.parquet", [row])
    write_training_rows(folder / "data" / "test-00000-of-00001.parquet", rows[:1])
    (folder / "README.md").write_text("about the rows", encoding="utf-8")
    return folder


def folder_without_splits(rows: Rows, folder: Path) -> Path:
    """As a folder of one's own may be: numbered parts, one of them in a folder below."""
    (folder / "b").mkdir()
    write_training_rows(folder / "a.jsonl", rows[:1])
    write_training_rows(folder / "b" / "rest.jsonl.gz", rows[1:] or rows)
    if not rows[1:]:
        (folder / "a.jsonl").unlink()
    return folder


def save_to_disk(rows: Rows, folder: Path) -> None:
    """What ``Dataset.save_to_disk`` leaves behind: Arrow streams, and a list of them."""
    created = table(rows)
    names = [f"data-{i:05d}-of-00002.arrow" for i in range(2)]
    half = len(created) // 2
    for name, part in zip(names, (created[:half], created[half:]), strict=True):
        with pa.ipc.new_stream(folder / name, created.schema) as stream:
            stream.write_table(part, max_chunksize=1)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (folder / "dataset_info.json").write_text("{}", encoding="utf-8")
    with pa.ipc.new_stream(folder / "cache-0123456789abcdef.arrow", created.schema) as stream:
        stream.write_table(created)


def saved_dataset(rows: Rows, folder: Path) -> Path:
    save_to_disk(rows, folder)
    return folder


def saved_dataset_of_splits(rows: Rows, folder: Path) -> Path:
    for split, part in (("train", rows), ("validation", rows[:1])):
        (folder / split).mkdir()
        save_to_disk(part, folder / split)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    return folder


def hub_cache(rows: Rows, folder: Path) -> Path:
    """The cache of the hub's client, as a download of one split leaves it."""
    dataset = folder / "datasets--some-owner--some-rows"
    snapshot = dataset / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (dataset / "refs").mkdir()
    (dataset / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    write_training_rows(snapshot / "train.jsonl", rows)
    (snapshot / "README.md").write_text("about the rows", encoding="utf-8")
    return Path("some-owner/some-rows")


MAKERS = [
    jsonl,
    jsonl_of_another_machine,
    jsonl_gz,
    written_jsonl,
    written_jsonl_gz,
    written_parquet,
    parquet_of_another_program,
    parquet_with_large_and_coded_columns,
    folder_of_parts,
    folder_without_splits,
    saved_dataset,
    saved_dataset_of_splits,
    hub_cache,
]
_names = itertools.count()


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Rows], Path]:
    """Put rows somewhere, and say where."""

    def made(rows: Rows) -> Path:
        folder = tmp_path / f"place-{next(_names)}"
        folder.mkdir()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        place: Path = request.param(rows, folder)
        return place

    return made


def test_the_same_rows_come_from_every_place(make: Callable[[Rows], Path]) -> None:
    assert read_training_rows(make(ROWS)) == ROWS


def test_rows_can_be_read_again(make: Callable[[Rows], Path]) -> None:
    source = open_training_rows(make(ROWS))
    stream = iter(source)
    assert next(stream) == ROWS[0]
    assert [list(source), list(source)] == [ROWS, ROWS]


def test_the_fingerprint_follows_the_content(make: Callable[[Rows], Path]) -> None:
    fingerprint = training_fingerprint(make(ROWS))
    assert training_fingerprint(make(ROWS)) == fingerprint
    assert training_fingerprint(make(ROWS[:2])) != fingerprint
    assert training_fingerprint(make(ROWS[::-1])) != fingerprint


def test_a_row_that_is_not_what_it_should_be_is_named(make: Callable[[Rows], Path]) -> None:
    empty = TrainingRow(Query("1", "what"), (TrainingItem("2", " "),))
    place = make([ROWS[0], empty])
    with pytest.raises(DataError, match=r"items\[0\]: content: expected text, got ' '") as caught:
        read_training_rows(place)
    # Two files of one row each, or one of both; a blank line between two in one of them.
    assert any(
        f", {unit} {n}: " in caught.value.message for unit in ("line", "row") for n in (1, 2, 3)
    )


ids = st.integers(0, 2**31)
texts = st.text(min_size=1).filter(lambda text: bool(text.strip()))
items = st.builds(
    TrainingItem,
    id=ids.map(str),
    content=texts,
    # All that float32 holds, in double precision: beyond that a score is refused.
    score=st.none() | st.floats(-3.4e38, 3.4e38),
    type=st.none() | st.text(),
)
rows = st.builds(
    TrainingRow,
    query=st.builds(Query, query_id=ids.map(str), text=texts),
    items=st.lists(items, min_size=1, max_size=4).map(tuple),
)


@pytest.mark.parametrize(
    "maker", [made for made in MAKERS if made is not hub_cache], ids=lambda made: made.__name__
)
@settings(max_examples=25)
@given(st.lists(rows, min_size=1, max_size=4))
def test_any_rows_survive(maker: Maker, some_rows: list[TrainingRow]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert read_training_rows(maker(some_rows, Path(folder))) == some_rows
