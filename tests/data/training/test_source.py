from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.training import read_training_rows, training_fingerprint
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
