from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.training import open_training_rows, read_training_rows, training_fingerprint
from hypencli.errors import DataError

GOOD = {
    "query": {"id": "q", "content": "what is bread"},
    "items": [
        {"id": "d1", "content": "flour and yeast", "score": 2, "type": "positive"},
        {"id": 2, "content": "rivers", "tokenized_content": [1, 2]},
    ],
}


def write(folder: Path, *lines: str) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_published_rows_are_read(tmp_path: Path) -> None:
    (row,) = read_training_rows(write(tmp_path, json.dumps(GOOD), ""))
    assert (row.query.query_id, row.query.text) == ("q", "what is bread")
    assert [(i.id, i.content, i.score, i.type) for i in row.items] == [
        ("d1", "flour and yeast", 2.0, "positive"),
        ("2", "rivers", None, None),
    ]


def test_gzip_gives_the_same_rows_and_fingerprint(tmp_path: Path, tiny_collection: Path) -> None:
    plain = tiny_collection / "train.jsonl"
    packed = tmp_path / "train.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_training_rows(packed) == read_training_rows(plain)
    assert training_fingerprint(packed) == training_fingerprint(plain)


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = training_fingerprint(write(tmp_path, json.dumps(GOOD)))
    assert training_fingerprint(write(tmp_path, json.dumps(GOOD | {"more": 1}))) != first


def broken(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": ', "not valid JSON"),
        ("[1]", "JSON object"),
        (broken(query=None), "query: expected"),
        (broken(query={"id": "q", "content": " "}), "query: content: expected text"),
        (broken(query={"content": "x"}), "query: id: expected"),
        (broken(items=[]), "items: expected a list of at least one"),
        (broken(items={"id": 1}), "items: expected a list"),
        (broken(items=["x"]), r"items\[0\]: expected"),
        (broken(items=[{"id": "d"}]), r"items\[0\]: content: expected text, got None"),
        (broken(items=[{"id": True, "content": "x"}]), r"items\[0\]: id"),
        (broken(items=[{"id": 1, "content": "x", "score": "2"}]), r"items\[0\]: score"),
        (broken(items=[{"id": 1, "content": "x", "score": float("nan")}]), "finite"),
        (broken(items=[{"id": 1, "content": "x", "type": 3}]), r"items\[0\]: type"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, json.dumps(GOOD), "", line)
    with pytest.raises(DataError, match=message) as caught:
        read_training_rows(path)
    assert f"{path}, line 3" in caught.value.message


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No training file"):
        read_training_rows(tmp_path / "no.jsonl")
    with pytest.raises(DataError, match="no training rows"):
        read_training_rows(write(tmp_path))


names = st.text(min_size=1).filter(lambda text: bool(text.strip()))


@given(
    st.lists(
        st.tuples(names, st.floats(-1e6, 1e6) | st.none(), st.none() | names),
        min_size=1,
        max_size=4,
    )
)
def test_round_trip(items: list[tuple[str, float | None, str | None]]) -> None:
    import tempfile

    given_items = [
        {"id": str(i), "content": content, "score": score, "type": kind}
        for i, (content, score, kind) in enumerate(items)
    ]
    values = {"query": {"id": "q", "content": "x"}, "items": given_items}
    with tempfile.TemporaryDirectory() as folder:
        for text in (json.dumps(values), json.dumps(values, ensure_ascii=True)):
            (row,) = read_training_rows(write(Path(folder), text))
            assert [(i.content, i.score, i.type) for i in row.items] == items


def other_rows() -> dict[str, Any]:
    items = [{**item, "content": "lakes"} for item in GOOD["items"]]  # type: ignore[call-overload]
    return GOOD | {"items": items}


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    """Write rows in the format of the ending; other keys than the expected ones are left out."""
    if path.suffix in (".jsonl", ".gz"):
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        return
    columns = [
        {
            "query": row["query"],
            "items": [{"id": str(item["id"]), "content": item["content"]} for item in row["items"]],
        }
        for row in rows
    ]
    table = pa.Table.from_pylist(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table, max_chunksize=1)


ENDINGS = [".jsonl", ".jsonl.gz", ".parquet", ".arrow"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_refused_if_they_are_not_those_of_the_fingerprint(
    ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"train{ending}"
    write_rows(path, GOOD, GOOD)
    source = open_training_rows(path)
    assert source.fingerprint == training_fingerprint(path)
    assert len(list(source)) == 2
    write_rows(path, GOOD, other_rows())
    with pytest.raises(DataError, match="changed while they were read") as caught:
        list(source)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_first_reading_decides_the_fingerprint(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"train{ending}"
    write_rows(path, GOOD, GOOD)
    expected = training_fingerprint(path)
    source = open_training_rows(path)
    assert len(list(source)) == 2
    write_rows(path, GOOD, other_rows())
    assert source.fingerprint == expected
    with pytest.raises(DataError, match="changed while they were read"):
        list(source)


def test_a_row_that_is_edited_while_others_are_read_is_refused(tmp_path: Path) -> None:
    """The file is overwritten in place, after its first rows were read."""
    path = tmp_path / "train.jsonl"
    write_rows(path, *[GOOD] * 2_000)
    source = open_training_rows(path)
    assert source.fingerprint
    rows = iter(source)
    next(rows)
    line = len(json.dumps(GOOD)) + 1
    with path.open("r+b") as stream:
        stream.seek(1_999 * line)
        stream.write(json.dumps(GOOD).replace("yeast", "water").encode())
    with pytest.raises(DataError, match="changed while they were read"):
        list(rows)


def test_one_file_of_several_that_changes_is_noticed(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "train-1.jsonl"):
        write_rows(tmp_path / name, GOOD)
    source = open_training_rows(tmp_path)
    assert source.fingerprint
    write_rows(tmp_path / "train-1.jsonl", other_rows())
    with pytest.raises(DataError, match="changed while they were read"):
        list(source)
