"""FollowIR's training rows, from the small release in the schema of the real one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypencli.data.prepare import Job, PreparedParts
from hypencli.data.prepare.download import DownloadError
from hypencli.data.prepare.followir_train import NEGATIVES, SOURCE, prepare_followir_train
from hypencli.data.training import read_training_rows
from hypencli.errors import DataError
from hypencli.records import TrainingRow

TEXT = pa.string()
PASSAGE = pa.list_(pa.struct([("docid", TEXT), ("text", TEXT), ("title", TEXT)]))
JUDGED = pa.list_(
    pa.struct(
        [
            ("docid", TEXT),
            ("explanation", TEXT),
            ("followir_score", pa.float64()),
            *((name, TEXT) for name in ("joint_id", "text", "title")),
        ]
    )
)
RELEASED = pa.schema(
    [
        ("query_id", TEXT),
        ("query", TEXT),
        ("positive_passages", JUDGED),
        ("negative_passages", PASSAGE),
        ("only_instruction", TEXT),
        ("only_query", TEXT),
        ("has_instruction", pa.bool_()),
        ("new_negatives", JUDGED),
    ]
)
"""The schema that the dataset's card states."""

Prepare = Callable[..., tuple[PreparedParts, list[TrainingRow]]]


@pytest.fixture
def prepare(make_job: Callable[..., Job]) -> Prepare:
    def run(inputs: Path | None, **settings: Any) -> tuple[PreparedParts, list[TrainingRow]]:
        job = make_job(inputs, **settings)
        created = prepare_followir_train(job)
        return created, read_training_rows(job.out / "train.jsonl")

    return run


def ids(row: TrainingRow, type_: str) -> list[str]:
    return [item.id for item in row.items if item.type == type_]


def test_a_row_has_positives_then_new_negatives_then_others(
    hard_tasks: Path, prepare: Prepare, jsonl: Callable[[Path], list[Any]]
) -> None:
    """Against the published rule by hand: which items, in which order, up to the random choice."""
    created, rows = prepare(hard_tasks / "followir-train")
    released = jsonl(hard_tasks / "followir-train" / "train.jsonl")
    asked = [one for one in released if one["has_instruction"]]
    assert [(row.query.query_id, row.query.text) for row in rows] == [
        (one["query_id"], one["query"]) for one in asked
    ]
    texts = {id(row): [item.content for item in row.items] for row in rows}
    for row, one in zip(rows, asked, strict=True):
        positives = [passage["text"] for passage in one["positive_passages"]]
        new = [passage["text"] for passage in one["new_negatives"]]
        others = {passage["text"] for passage in one["negative_passages"]} - set(positives)
        actual, start = texts[id(row)], len(positives) + len(new)
        assert actual[:start] == positives + new
        assert set(actual[start:]) <= others
        assert len(actual) == start + min(NEGATIVES - len(new), len(others))
        assert len(set(actual)) == len(actual)
        assert ids(row, "positive") == [passage["docid"] for passage in one["positive_passages"]]
    (part,) = created.parts
    assert part.counts == {"rows": 3, "positives": 4, "negatives": 13}
    assert part.left_out == {"rows_without_instruction": 1, "repeated_passages": 1}
    assert part.notes == {"rows_of_fewer_negatives": 1, "passages_given_an_id": 1}


def test_a_passage_without_an_id_gets_one(hard_tasks: Path, prepare: Prepare) -> None:
    _, rows = prepare(hard_tasks / "followir-train")
    assert ids(rows[2], "negative")[0] == "104-new_negatives-0"


def test_the_choice_follows_seed_and_query_alone(
    released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("followir-train")
    _, rows = prepare(folder)
    assert prepare(folder)[1] == rows
    selected = {row.query.query_id: ids(row, "negative") for row in rows}
    others = [
        {row.query.query_id: ids(row, "negative") for row in prepare(folder, seed=seed)[1]}
        for seed in range(4)
    ]
    assert any(other != selected for other in others)
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(reversed(lines)), encoding="utf-8")
    assert {row.query.query_id: ids(row, "negative") for row in prepare(folder)[1]} == selected


def test_every_negative_is_drawn_by_some_seed(hard_tasks: Path, prepare: Prepare) -> None:
    drawn = {
        item
        for seed in range(30)
        for item in ids(prepare(hard_tasks / "followir-train", seed=seed)[1][0], "negative")[2:]
    }
    assert drawn == {f"9{i}" for i in range(7)}


def test_queries_without_an_instruction_on_request(hard_tasks: Path, prepare: Prepare) -> None:
    created, rows = prepare(hard_tasks / "followir-train", all_queries=True)
    assert [row.query.query_id for row in rows] == ["101", "102", "103", "104"]
    assert "rows_without_instruction" not in created.parts[0].left_out


def as_parquet(source: Path, folder: Path) -> Path:
    """The release as the hub has it: shards of Parquet in ``data``."""
    lines = source.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    (folder / "data").mkdir(parents=True)
    for i, part in enumerate((rows[:2], rows[2:])):
        table = pa.Table.from_pylist(part, schema=RELEASED)
        pq.write_table(table, folder / "data" / f"train-0000{i}-of-00002.parquet")
    return folder


def test_every_format_gives_the_same_rows(
    hard_tasks: Path, prepare: Prepare, tmp_path: Path
) -> None:
    source = hard_tasks / "followir-train" / "train.jsonl"
    _, rows = prepare(hard_tasks / "followir-train")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "train.jsonl.gz").write_bytes(gzip.compress(source.read_bytes()))
    created, again = prepare(as_parquet(source, tmp_path / "hub"))
    assert again == rows
    assert created.sources == tuple(f"file:data/train-0000{i}-of-00002.parquet" for i in (0, 1))
    assert prepare(packed)[1] == rows


def test_the_hub_is_asked_for_the_training_files(
    hard_tasks: Path, prepare: Prepare, tmp_path: Path, local_hub: Any
) -> None:
    folder = as_parquet(hard_tasks / "followir-train" / "train.jsonl", tmp_path / "hub")
    files = sorted(folder.rglob("*.parquet"))
    names = [file.relative_to(folder).as_posix() for file in files]
    bodies = {name: file.read_bytes() for name, file in zip(names, files, strict=True)}
    local_hub.datasets[SOURCE] = bodies | {"README.md": b"a card"}
    created, rows = prepare(None)
    assert rows == prepare(folder)[1]
    assert created.sources == (f"hub:{SOURCE}",)
    assert sorted(local_hub.downloads) == names


def test_a_hub_without_the_dataset_is_a_download_error(prepare: Prepare, local_hub: Any) -> None:
    with pytest.raises(DownloadError, match=f"{SOURCE}.*the hub gives no dataset"):
        prepare(None)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no query": (lambda row: row.pop("query"), "line 2: no 'query' here; its keys are 'query_id'"),
    "no list": (lambda row: row.pop("new_negatives"), "line 2: no 'new_negatives' here"),
    "no flag": (lambda row: row.update(has_instruction="yes"), "'has_instruction': true or false"),
    "no text": (
        lambda row: row["negative_passages"][1].pop("text"),
        r"line 2, negative_passages\[1\]: no 'text' here; its keys are 'docid', 'title'",
    ),
    "no docid": (
        lambda row: row["positive_passages"][0].pop("docid"),
        r"line 2, positive_passages\[0\]: no 'docid' here",
    ),
    "null text": (
        lambda row: row["positive_passages"][1].update(text=None),
        r"line 2, positive_passages\[1\], 'text': a text was expected, not None",
    ),
    "no objects": (
        lambda row: row.update(negative_passages=["a", "b"]),
        "line 2, 'negative_passages': a list of objects was expected",
    ),
    "an array": (lambda row: [row], "line 2: a JSON object was expected, not list"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_row_of_another_schema_is_named(
    case: str,
    lenient: bool,
    released: Callable[[str], Path],
    prepare: Prepare,
    edit: Callable[..., None],
) -> None:
    change, problem = BROKEN[case]
    folder = released("followir-train")

    def changed(row: dict[str, Any]) -> Any:
        result = change(row)
        return result if case == "an array" else None

    edit(folder / "train.jsonl", 2, changed)
    with pytest.raises(DataError, match=problem) as caught:
        prepare(folder, lenient=lenient)
    assert caught.value.message.startswith(f"{folder}/train.jsonl, line 2")


def test_empty_texts_are_errors_or_counted(
    released: Callable[[str], Path],
    prepare: Prepare,
    edit: Callable[..., None],
    make_job: Callable[..., Job],
) -> None:
    folder = released("followir-train")
    edit(folder / "train.jsonl", 1, lambda row: row["new_negatives"][1].update(text=" "))
    edit(folder / "train.jsonl", 4, lambda row: row["positive_passages"][0].update(text=""))
    with pytest.raises(DataError, match=r"line 1, new_negatives\[1\]: the passage has no text"):
        prepare(folder)
    edit(folder / "train.jsonl", 2, lambda row: row.update(query=""))
    job = make_job(folder, lenient=True)
    (part,) = prepare_followir_train(job).parts
    malformed = job.malformed.all()["empty texts"]
    assert (malformed.count, malformed.first) == (
        3,
        f"{folder}/train.jsonl, line 1, new_negatives[1]",
    )
    rows = read_training_rows(job.out / "train.jsonl")
    assert [row.query.query_id for row in rows] == ["101"]
    assert "13" not in ids(rows[0], "negative")
    assert part.left_out["rows_without_positive"] == 1
