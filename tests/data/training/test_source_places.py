"""Which files training rows are taken from, and what is said where they cannot be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypencli.data.training import open_training_rows, read_training_rows, training_fingerprint
from hypencli.data.training.splits import select_files, select_part
from hypencli.errors import DataError


def line(query_id: str) -> bytes:
    query = {"id": query_id, "content": "what is bread"}
    row = {"query": query, "items": [{"id": "d", "content": "flour and yeast"}]}
    return json.dumps(row).encode() + b"\n"


def put(folder: Path, *names: str) -> Path:
    """One row a file, which has the file's name for a query id."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(line(name)) if name.endswith(".gz") else line(name))
    return folder


def taken(names: list[str], split: str) -> list[str]:
    return list(select_files(names, split, where="here").names)


PLAIN = ["train.jsonl", "validation.jsonl", "test.jsonl"]
SHARDS = [f"data/{split}-0000{i}-of-00002.parquet" for split in ("train", "test") for i in (0, 1)]


@pytest.mark.parametrize(
    ("names", "split", "expected"),
    [
        (PLAIN, "train", ["train.jsonl"]),
        (PLAIN, "validation", ["validation.jsonl"]),
        (PLAIN, "dev", ["validation.jsonl"]),
        (["dev.jsonl", "train.jsonl"], "validation", ["dev.jsonl"]),
        (SHARDS, "test", SHARDS[2:]),
        (["train_1.jsonl", "train_0.jsonl"], "train", ["train_0.jsonl", "train_1.jsonl"]),
        (["msmarco-training.jsonl.gz", "msmarco-eval.jsonl.gz"], "test", ["msmarco-eval.jsonl.gz"]),
        (["train/a.jsonl", "dev/a.jsonl"], "train", ["train/a.jsonl"]),
        (["train/test.jsonl", "train/a.jsonl"], "test", ["train/test.jsonl"]),
        (["train.jsonl", "more.jsonl"], "train", ["train.jsonl"]),
        (["hard_0.jsonl", "train.jsonl"], "hard", ["hard_0.jsonl"]),
        (["train_hard.jsonl", "train.jsonl"], "train_hard", ["train_hard.jsonl"]),
        (["b.jsonl", "a.jsonl"], "train", ["a.jsonl", "b.jsonl"]),
        (["constrained.jsonl", "latest.jsonl"], "train", ["constrained.jsonl", "latest.jsonl"]),
        (["b.jsonl", "a.jsonl"], "validation", ["a.jsonl", "b.jsonl"]),
    ],
)  # fmt: skip
def test_files_are_chosen_by_the_split_they_name(
    names: list[str], split: str, expected: list[str]
) -> None:
    assert taken(names, split) == expected


@pytest.mark.parametrize(
    ("names", "split", "problem"),
    [
        ([], "train", "no training files"),
        (PLAIN, "hard", "no split 'hard'; its splits are test, train, validation"),
        (["train.jsonl"], "validation", "its splits are train"),
        (["a.jsonl"], "hard", "its files name no split"),
        (SHARDS[:1], "train", "1 of 2 parts of 'data/train' are missing, the first of them 00001"),
        (["train.jsonl", "train.parquet"], "train", "the same split in several formats"),
    ],
)
def test_what_cannot_be_chosen_is_said(names: list[str], split: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        taken(names, split)
    assert caught.value.message.startswith("here: ")
    assert caught.value.hint


TABLES = ["corpus.jsonl", "queries-00000-of-00002.parquet", "queries-00001-of-00002.parquet"]
TABLES += ["qrels_og/test.jsonl", "qrels_og_more/test.jsonl", "data/corpus.jsonl"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("corpus", TABLES[:1]),
        ("queries", TABLES[1:3]),
        ("qrels_og", TABLES[3:4]),
        ("qrels", []),
        ("data", TABLES[5:]),
    ],
)
def test_files_are_chosen_by_the_part_they_name(part: str, expected: list[str]) -> None:
    assert list(select_part(reversed(TABLES), part, where="here")) == expected


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (TABLES[1:2], "1 of 2 parts of 'queries' are missing, the first of them 00001"),
        (["queries.jsonl", "queries.parquet"], "the same split in several formats"),
    ],
)
def test_a_part_that_is_not_whole_is_refused(names: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        select_part(names, "queries", where="here")


def test_only_training_files_of_a_folder_are_read(tmp_path: Path) -> None:
    folder = put(tmp_path / "rows", "train.jsonl", "sub/train_2.jsonl.gz", "test.jsonl")
    put(folder, ".cache/train.jsonl")
    (folder / "train.txt").write_text("no rows", encoding="utf-8")
    source = open_training_rows(folder)
    assert [row.query.query_id for row in source] == ["sub/train_2.jsonl.gz", "train.jsonl"]
    assert (source.name, source.split) == ("rows", "train")
    assert open_training_rows(put(tmp_path / "own", "a.jsonl")).split is None


def test_one_file_is_one_source_under_every_name(tmp_path: Path) -> None:
    file = put(tmp_path / "rows", "train.jsonl") / "train.jsonl"
    packed = tmp_path / "packed" / "x.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(file.read_bytes()))
    prints = {training_fingerprint(place) for place in (file, file.parent, packed, packed.parent)}
    assert len(prints) == 1
    assert open_training_rows(file).name == "train.jsonl"


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    parsed = pa.Table.from_pylist([json.loads(line("q"))])
    pq.write_table(parsed, tmp_path / "rows.data")
    assert read_training_rows(tmp_path / "rows.data")[0].query.query_id == "q"


QUERY = pa.struct([("id", pa.string()), ("content", pa.string())])


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"text": pa.array(["x"])}, "no column 'query'; its columns are text"),
        ({"query": pa.array(["x"])}, "column 'query': string where a struct was expected"),
        (
            {"query": pa.array([{"id": "1"}])},
            "column 'query': no field 'content' in struct<id: string>",
        ),
        ({"query": pa.array([None], QUERY)}, "no column 'items'; its columns are query"),
        (
            {
                "query": pa.array([None], QUERY),
                "items": pa.array([{"id": ["1"], "content": ["x"]}]),
            },
            "column 'items': it is struct<.*>, not a list",
        ),
        (
            {
                "query": pa.array([None], QUERY),
                "items": pa.array([[{"id": "1", "content": "x", "score": "2"}]]),
            },
            "column 'items': field 'score' is string",
        ),
    ],
)
def test_another_schema_is_refused_with_the_one_expected(
    tmp_path: Path, columns: dict[str, Any], problem: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=problem) as caught:
        read_training_rows(tmp_path / "rows.parquet")
    assert caught.value.message.startswith(str(tmp_path / "rows.parquet"))
    assert "struct<id: string, content: string" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("query", "items", "problem"),
    [
        (None, [{"id": "1", "content": "x"}], "row 2: query: expected"),
        ({"id": "q", "content": "x"}, None, "row 2: items: expected a list"),
        ({"id": "q", "content": "x"}, [], "row 2: items: expected a list"),
        ({"id": "q", "content": "x"}, [None], r"row 2: items\[0\]: expected"),
        ({"id": "q", "content": "x"}, [{"id": "1"}], r"row 2: items\[0\]: content: .*None"),
        ({"id": "q", "content": "x"}, [{"id": None, "content": "x"}], r"row 2: items\[0\]: id"),
    ],
)
def test_nulls_in_parquet_are_named(tmp_path: Path, query: Any, items: Any, problem: str) -> None:
    good = json.loads(line("q"))
    created = pa.Table.from_pylist([good, {"query": query, "items": items}, good])
    pq.write_table(created, tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=problem):
        read_training_rows(tmp_path / "rows.parquet")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as"):
        read_training_rows(tmp_path / name)


def test_a_parquet_file_cut_short_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([json.loads(line("q"))]), whole)
    whole.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"rows.parquet: cannot be read as Parquet"):
        read_training_rows(whole)


def test_a_saved_dataset_without_its_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"state.json does not list the files"):
        open_training_rows(tmp_path)


def test_rows_stream(tmp_path: Path) -> None:
    """The first rows come before a broken one is met: nothing waits for the whole file."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line("1") + line("2") + b"{broken\n")
    stream = iter(open_training_rows(path))
    assert [next(stream).query.query_id for _ in range(2)] == ["1", "2"]
    with pytest.raises(DataError, match="line 3"):
        next(stream)


def test_hub_downloads_one_split(local_hub: Any) -> None:
    names = ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl", "test[1].jsonl"]
    local_hub.datasets["me/rows"] = {name: line(name) for name in names} | {"README.md": b"rows"}
    source = open_training_rows("me/rows")
    assert [row.query.query_id for row in source] == names[:2]
    assert (source.name, source.split) == ("me/rows", "train")
    assert sorted(local_hub.downloads) == names[:2]
    assert [row.query.query_id for row in open_training_rows("me/rows", split="test")] == names[2:]


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_offline_the_cache_is_read(local_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    local_hub.datasets["me/rows"] = {"train.jsonl": line("1"), "test.jsonl": line("2")}
    online = open_training_rows("me/rows")
    offline(monkeypatch)
    assert open_training_rows("me/rows") == online
    with pytest.raises(DataError, match=r"in the cache .*no split 'test'; its splits are train"):
        open_training_rows("me/rows", split="test")


def test_a_cache_known_to_hold_a_part_is_refused(
    local_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_hub.datasets["me/rows"] = {f"train_{i}.jsonl": line(str(i)) for i in range(3)}
    open_training_rows("me/rows").files[1].unlink()
    offline(monkeypatch)
    with pytest.raises(DataError, match="holds no whole copy"):
        open_training_rows("me/rows")


def test_a_dataset_that_is_nowhere(local_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no such path.*the hub gives no dataset") as caught:
        open_training_rows("me/nothing")
    assert "spelling" in str(caught.value.hint)
    offline(monkeypatch)
    with pytest.raises(DataError, match=r"cannot be reached.*OfflineModeIsEnabled") as caught:
        open_training_rows("me/nothing")
    assert str(local_hub.cache) in caught.value.message
    assert "HF_HUB_OFFLINE is set" in str(caught.value.hint)


def test_a_hub_that_cannot_be_reached_is_said_at_once(
    silent_hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client would try again for half a minute, a warning each time."""
    with pytest.raises(DataError, match=r"hub cannot be reached \(ConnectError") as caught:
        open_training_rows("me/rows")
    assert str(silent_hub) in caught.value.message
    assert "hf download me/rows --repo-type dataset" in str(caught.value.hint)
    assert caplog.records == []


@pytest.mark.parametrize("place", ["no/such.jsonl", "./owner/name", "a/b/c", "rows"])
def test_what_cannot_be_a_dataset_is_not_asked_of_the_hub(place: str) -> None:
    with pytest.raises(DataError, match="No training file") as caught:
        open_training_rows(place)
    assert "./NAME is what lies beside the recipe" in str(caught.value.hint)
