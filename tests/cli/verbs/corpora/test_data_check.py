"""``hype data check``, ``hype mine`` and ``hype teach``: text, JSON, and every way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.training import read_training_rows

Hype = Callable[..., Any]
USAGE, RECIPE, STORE, DATA, MODEL = 2, 3, 4, 5, 6


def test_check_draws_what_a_file_holds(
    hype: Hype, tiny_collection: Path, tiny_backbone: Path
) -> None:
    file = tiny_collection / "train.jsonl"
    drawn = hype("data", "check", file, "--tokenizer", tiny_backbone, "--passage-max-length", 9)
    assert drawn.code == 0
    first = drawn.out.splitlines()[0]
    assert first == "Ready for margin_mse and cross_entropy with up to 1 negative a query."
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    queries = {row["query"]["content"] for row in rows}
    passages = {item["content"] for row in rows for item in row["items"]}
    counted = f"96 rows, {len(queries)} distinct queries; 192 items, {len(passages)} distinct"
    assert counted in drawn.out
    assert "Types: positive 96, negative 96." in drawn.out
    assert "tokens of a passage" in drawn.out
    assert "Cut at 9 tokens:" in drawn.out
    assert drawn.err == ""


def test_check_as_json(hype: Hype, tiny_collection: Path) -> None:
    outcome = hype(
        "data", "check", tiny_collection / "train.jsonl", "--negatives", 3, "--json"
    ).json
    assert outcome["ready"] is False
    assert outcome["verdict"].startswith("Training would stop: 96 of 96 rows have fewer than 3")
    survey = outcome["survey"]
    assert (survey["rows"], survey["items"]) == (96, 192)
    assert survey["scores"]["spread"] == {"count": 192, "minimum": 0, "median": 0, "maximum": 1}
    assert outcome["query_tokens"] is None


def test_check_tells_what_is_doubtful(hype: Hype, tmp_path: Path) -> None:
    items = [
        {"id": "a", "content": "flour", "score": 1},
        {"id": "b", "content": "flour", "score": 2},
    ]
    row = json.dumps({"query": {"id": "q", "content": "what is bread"}, "items": items})
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{row}\n{row}\n", encoding="utf-8")
    out = hype("data", "check", path).out
    first = "(the first: row 1, query 'q')"
    assert f"2 rows whose first item does not have the best score {first}" in out
    assert f"2 rows that hold a passage twice {first}" in out
    assert f"2 rows with a negative that has the text of a positive {first}" in out
    assert "1 rows that occur twice (the first: row 2, query 'q')" in out


def test_check_by_recipe(
    hype: Hype, tiny_recipe_settings: list[str], tiny_collection: Path, tmp_path: Path
) -> None:
    by_recipe = ["data", "check", "--recipe", "tiny", *tiny_recipe_settings]
    ready = hype(*by_recipe)
    assert "Ready for recipe 'tiny': cross_entropy with 1 negative a query." in ready.out
    refused = hype(*by_recipe, "--set", "data.negatives_per_query=2")
    assert (refused.code, refused.out.startswith("Training by recipe 'tiny' would stop")) == (
        0,
        True,
    )
    other = tmp_path / "other.jsonl"
    lines = (tiny_collection / "train.jsonl").read_text(encoding="utf-8").splitlines(True)
    other.write_text("".join(lines[:5]), encoding="utf-8")
    assert hype(*by_recipe, other, "--json").json["survey"]["rows"] == 5
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(lines[:3]), encoding="utf-8")
    (folder / "test.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    outcome = hype("data", "check", folder, "--split", "test", "--json").json
    assert (outcome["survey"]["rows"], outcome["split"]) == (2, "test")


def test_mine_then_teach_then_check(
    hype: Hype, study: Path, tiny_collection: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    """The chain of docs/training-data.md on the tiny study."""
    queries, qrels = tiny_collection / "queries.jsonl", tiny_collection / "qrels.txt"
    in_store = ["--store", study]
    hype("search", queries, "--model", "plain", "--k", 120, "--name", "deep", *in_store)
    mined, scored = tmp_path / "mined.jsonl", tmp_path / "scored.parquet"
    done = hype("mine", "deep", "--qrels", qrels, "--negatives", 4, "-o", mined, *in_store)
    assert done.code == 0, done.err
    assert "Wrote 240 rows with 960 mined negatives" in done.out
    assert f"Next: hype data check {mined}" in done.out
    more = tmp_path / "more.jsonl.gz"
    later = ["--from-rank", 30, "--negatives", 2, "--sample", "random", "--output", more]
    judged = hype("mine", "deep", "--rows", mined, *later, *in_store, "--json")
    assert judged.json["counts"]["negatives"] == 480
    taught = hype("teach", mined, "--model", tiny_cross_encoder, "-o", scored)
    assert "Wrote 240 rows with 1,200 scores" in taught.out
    again = hype("teach", scored, "--bi-encoder", "plain", "-o", tmp_path / "s.jsonl", *in_store)
    assert "1,200 items had a score already; it was replaced." in again.out
    assert hype("data", "check", scored, "--negatives", 4).out.startswith("Ready for margin_mse")
    assert len(read_training_rows(tmp_path / "s.jsonl")) == 240


OUT = "{folder}/x.jsonl"
IN_STORE = ["--store", "{store}"]
CHECK = ["data", "check"]
MINE = ["mine", "hyper-run", "--output"]
TEACH = ["teach", "{rows}", "--output"]

CASES: dict[str, tuple[list[str], int, str]] = {
    "which file": (CHECK, USAGE, "No file is named"),
    "no such file": ([*CHECK, "{folder}/none.jsonl"], DATA, "none.jsonl"),
    "broken line": ([*CHECK, "{folder}/broken.jsonl"], DATA, "broken.jsonl, line 2"),
    "no content": ([*CHECK, "{folder}/bare.jsonl"], DATA, "line 1: items[0]: content"),
    "wrong schema": ([*CHECK, "{folder}/corpus.parquet"], DATA, "Expected: query: struct<"),
    "empty folder": ([*CHECK, "{folder}/empty"], DATA, "no training files"),
    "no such split": (
        [*CHECK, "{folder}/splits", "--split", "hard"],
        DATA,
        "its splits are test, train",
    ),
    "recipe and option": (
        [*CHECK, "--recipe", "tiny", "--negatives", "3"],
        USAGE,
        "--recipe and --negatives exclude each other",
    ),
    "set without recipe": ([*CHECK, "x", "--set", "data.split=x"], USAGE, "--recipe"),
    "recipe without data": ([*CHECK, "--recipe", "tiny"], RECIPE, "no training data"),
    "no such recipe": ([*CHECK, "--recipe", "tinny"], RECIPE, "tiny"),
    "no such tokenizer": (
        [*CHECK, "{rows}", "--tokenizer", "hypr", *IN_STORE],
        STORE,
        "hyper",
    ),
    "no output": (["mine", "hyper-run"], USAGE, "--output"),
    "no such run": (["mine", "hyper-rum", "-o", OUT, *IN_STORE], STORE, "hyper-run"),
    "output is there": ([*MINE, "{rows}", *IN_STORE], USAGE, "exists"),
    "which judgements": (
        [*MINE, OUT, *IN_STORE],
        USAGE,
        "--qrels",
    ),
    "no such ranks": (
        [*MINE, OUT, "--from-rank", "9", "--to-rank", "3"],
        USAGE,
        "no ranks from 9 to 3",
    ),
    "beyond the run": (
        [*MINE, OUT, "--from-rank", "21", "--qrels", "{qrels}", *IN_STORE],
        DATA,
        "no negative for any row",
    ),
    "which teacher": ([*TEACH, OUT], USAGE, "--bi-encoder"),
    "output of no format": ([*TEACH, "{folder}/x.csv", "--model", "x/y"], USAGE, ".parquet"),
    "no cross-encoder": (
        [*TEACH, OUT, "--model", "{backbone}"],
        MODEL,
        "classifier.weight",
    ),
    "which label": (
        [*TEACH, OUT, "--model", "{two_labels}"],
        MODEL,
        "--label",
    ),
    "rows are broken": (
        ["teach", "{folder}/broken.jsonl", "-o", OUT, "--model", "{cross_encoder}"],
        DATA,
        "broken.jsonl, line 2",
    ),
}  # fmt: skip


@pytest.fixture
def places(
    finished_study: Path,
    tiny_collection: Path,
    tiny_backbone: Path,
    tiny_cross_encoder: Path,
    tiny_two_label_encoder: Path,
    tmp_path: Path,
) -> dict[str, Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = tiny_collection / "train.jsonl"
    line = rows.read_text(encoding="utf-8").splitlines(True)[0]
    (tmp_path / "broken.jsonl").write_text(line + '{"query": \n', encoding="utf-8")
    bare = {"query": {"id": "q", "content": "x"}, "items": [{"id": "d"}]}
    (tmp_path / "bare.jsonl").write_text(json.dumps(bare), encoding="utf-8")
    pq.write_table(pa.table({"id": ["1"], "text": ["x"]}), tmp_path / "corpus.parquet")
    (tmp_path / "empty").mkdir()
    (tmp_path / "splits").mkdir()
    for split in ("train", "test"):
        (tmp_path / "splits" / f"{split}.jsonl").write_text(line, encoding="utf-8")
    return {
        "folder": tmp_path,
        "rows": rows,
        "qrels": tiny_collection / "qrels.txt",
        "store": finished_study,
        "backbone": tiny_backbone,
        "cross_encoder": tiny_cross_encoder,
        "two_labels": tiny_two_label_encoder,
    }


@pytest.mark.parametrize("case", CASES)
def test_errors_say_what_and_what_next(case: str, hype: Hype, places: dict[str, Path]) -> None:
    arguments, code, words = CASES[case]
    outcome = hype(*(argument.format(**places) for argument in arguments))
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert not (places["folder"] / "x.jsonl").exists()
