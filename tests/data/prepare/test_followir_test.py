"""FollowIR's collections, from small releases in the schema of the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.prepare import Job, PreparedParts
from hypencli.data.prepare.followir_test import COLLECTIONS, prepare_followir_test
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.data.runs import read_run
from hypencli.errors import DataError

Prepare = Callable[..., tuple[PreparedParts, Path]]


@pytest.fixture
def prepare(make_job: Callable[..., Job]) -> Prepare:
    def run(inputs: Path | None, **settings: Any) -> tuple[PreparedParts, Path]:
        job = make_job(inputs, **settings)
        return prepare_followir_test(job), job.out

    return run


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_file_holds_what_was_released(
    name: str, hard_tasks: Path, prepare: Prepare, jsonl: Callable[[Path], list[Any]]
) -> None:
    """Against the released files, read as plain JSON."""
    source = hard_tasks / "followir-test" / f"{name}-instructions"
    created, out = prepare(source.parent)
    folder = out / name
    documents = {one.doc_id: one.text for one in open_corpus(folder)}
    assert documents == {one["_id"]: one["text"] for one in jsonl(source / "corpus.jsonl")}
    released = jsonl(source / "queries.jsonl")
    judged = 0
    for kind in ("og", "changed"):
        queries = {one.query_id: one.text for one in open_queries(folder / f"queries.{kind}.jsonl")}
        assert queries == {
            one["_id"]: f"{one['text']} {one[f'instruction_{kind}']}" for one in released
        }
        rows = jsonl(source / f"qrels_{kind}" / "test.jsonl")
        qrels = read_qrels(folder / f"qrels.{kind}.txt").qrels
        assert [(q, d, g) for q, grades in qrels.items() for d, g in grades.items()] == [
            (one["query-id"], one["corpus-id"], one["score"]) for one in rows
        ]
        judged = len(rows)
    listed = jsonl(source / "top_ranked.jsonl")
    run = read_run(folder / "top_ranked.trec").results
    assert [(q, d) for q, ranking in run.items() for d, _ in ranking] == [
        (one["qid"], one["pid"]) for one in listed
    ]
    part = next(part for part in created.parts if part.name == name)
    assert part.counts == {
        "documents": len(documents),
        "queries": len(released),
        "judgements_og": judged,
        "judgements_changed": judged,
        "ranked_documents": len(listed),
    }


def test_the_two_query_sets_differ(hard_tasks: Path, prepare: Prepare) -> None:
    _, out = prepare(hard_tasks / "followir-test")
    og, changed = (read_qrels(out / "robust04" / f"qrels.{k}.txt").qrels for k in ("og", "changed"))
    assert og["310"].keys() == changed["310"].keys()
    assert og["310"] != changed["310"]
    first, second = (
        open_queries(out / "robust04" / f"queries.{k}.jsonl") for k in ("og", "changed")
    )
    assert first.fingerprint != second.fingerprint


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def expected(hard_tasks: Path, prepare: Prepare) -> dict[str, bytes]:
    return contents(prepare(hard_tasks / "followir-test")[1])


def as_parquet(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))
    path.unlink()


def as_merged_json(path: Path) -> None:
    """As the reproduction keeps judgements: ``qrels_og.json`` in place of the folder."""
    merged: dict[str, dict[str, int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        merged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    path.parent.with_suffix(".json").write_text(json.dumps(merged), encoding="utf-8")
    path.unlink()


def as_tsv(path: Path) -> None:
    """As the hub has it beside the JSONL."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [f"{row['query-id']}\t{row['corpus-id']}\t{row['score']:.0f}\n" for row in rows]
    head = "query-id\tcorpus-id\tscore\n"
    path.with_suffix(".tsv").write_text(head + "".join(lines), encoding="utf-8")
    path.unlink()


@pytest.mark.parametrize("change", [as_parquet, as_merged_json, as_tsv])
def test_other_forms_of_the_tables_give_the_same_files(
    change: Callable[[Path], None],
    released: Callable[[str], Path],
    prepare: Prepare,
    expected: dict[str, bytes],
) -> None:
    folder = released("followir-test")
    pattern = "*.jsonl" if change is as_parquet else "qrels_*/test.jsonl"
    changed = list(folder.rglob(pattern))
    for path in changed:
        change(path)
    (folder / "core17-instructions").rename(folder / "core17")
    assert contents(prepare(folder)[1]) == expected
    assert changed


def test_the_hub_is_asked_for_the_tables(
    hard_tasks: Path, prepare: Prepare, expected: dict[str, bytes], local_hub: Any
) -> None:
    for name, hub_name in COLLECTIONS.items():
        source = contents(hard_tasks / "followir-test" / f"{name}-instructions")
        others = {"README.md": b"a card", "qrels_og/test.tsv": b"query-id\tcorpus-id\tscore\n"}
        local_hub.datasets[hub_name] = source | others
    created, out = prepare(None)
    assert contents(out) == expected
    assert created.sources == tuple(f"hub:{name}" for name in COLLECTIONS.values())
    assert not [name for name in local_hub.downloads if name.endswith((".tsv", ".md"))]


def score(value: object) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update(score=value)


STRICT = {
    "unknown document": (
        "qrels_og/test.jsonl",
        lambda row: row.update({"corpus-id": "nothing"}),
        "no document 'nothing'",
    ),
    "unknown query": (
        "qrels_changed/test.jsonl",
        lambda row: row.update({"query-id": "999"}),
        "no query '999'",
    ),
    "unknown ranked document": (
        "top_ranked.jsonl",
        lambda row: row.update(pid="nothing"),
        "no document 'nothing'",
    ),
    "unknown ranked query": (
        "top_ranked.jsonl",
        lambda row: row.update(qid="999"),
        "no query '999'",
    ),
    "empty document": ("corpus.jsonl", lambda row: row.update(text=" "), "it has no text"),
    "no instruction": (
        "queries.jsonl",
        lambda row: row.update(instruction_changed=""),
        "it has no text",
    ),
}
"""What can be counted in place of stopping."""


@pytest.mark.parametrize("case", STRICT)
def test_what_is_unknown_or_empty_is_an_error_or_counted(
    case: str,
    released: Callable[[str], Path],
    prepare: Prepare,
    edit: Callable[..., None],
    make_job: Callable[..., Job],
) -> None:
    file, change, problem = STRICT[case]
    folder = released("followir-test")
    path = folder / "robust04-instructions" / file
    edit(path, 2, change)
    with pytest.raises(DataError) as caught:
        prepare(folder)
    assert caught.value.message == f"{path}, line 2: {problem}."
    assert "`lenient=True`" in str(caught.value.hint)
    job = make_job(folder, lenient=True)
    prepare_followir_test(job)
    (actual,) = job.malformed.all().values()
    assert (actual.count, actual.first) == (1, f"{path}, line 2")


def test_counted_judgements_on_unknown_documents_stay(
    released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    """They decide what a perfect ranking would reach; those of unknown queries cannot."""
    folder = released("followir-test")
    path = folder / "robust04-instructions" / "qrels_og" / "test.jsonl"
    edit(path, 1, lambda row: row.update({"corpus-id": "nothing"}))
    edit(path, 4, lambda row: row.update({"query-id": "999"}))
    created, out = prepare(folder, lenient=True)
    qrels = read_qrels(out / "robust04" / "qrels.og.txt").qrels
    assert qrels["310"]["nothing"] == 1
    assert "999" not in qrels
    assert created.parts[0].counts["judgements_og"] == 4


ERRORS = {
    "no text": ("corpus.jsonl", lambda row: row.pop("text"), "line 2: no 'text' here"),
    "no instruction": (
        "queries.jsonl",
        lambda row: row.pop("instruction_og"),
        "line 2: no 'instruction_og' here",
    ),
    "id of a list": (
        "corpus.jsonl",
        lambda row: row.update(_id=[]),
        "line 2, '_id': an id must be",
    ),
    "id of blanks": (
        "qrels_og/test.jsonl",
        lambda row: row.update({"query-id": ""}),
        "line 2, 'query-id': an id must be",
    ),
    "half a grade": ("qrels_og/test.jsonl", score(0.5), "line 2: a grade must be an integer"),
    "no grade": ("qrels_og/test.jsonl", lambda row: row.pop("score"), "line 2: no 'score' here"),
    "no pid": ("top_ranked.jsonl", lambda row: row.pop("pid"), "line 2: no 'pid' here"),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_row_of_another_schema_is_named(
    case: str,
    lenient: bool,
    released: Callable[[str], Path],
    prepare: Prepare,
    edit: Callable[..., None],
) -> None:
    file, change, problem = ERRORS[case]
    folder = released("followir-test")
    path = folder / "robust04-instructions" / file

    def changed(row: dict[str, Any]) -> None:
        change(row)

    edit(path, 2, changed)
    with pytest.raises(DataError, match=problem) as caught:
        prepare(folder, lenient=lenient)
    assert caught.value.message.startswith(f"{path}, line 2")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("corpus.jsonl", "the id 'ROBUST04-0000_0' is there before, at {path}, line 1."),
        ("queries.jsonl", "the id '310' is there before, at {path}, line 1."),
        ("top_ranked.jsonl", "the id 'ROBUST04-0001_0' is there before, at {path}, line 1."),
    ],
)
def test_an_id_that_is_there_twice_is_named_with_both_places(
    file: str, problem: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("followir-test")
    path = folder / "robust04-instructions" / file
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(folder)
    assert caught.value.message == f"{path}, line {len(lines) + 1}: {problem.format(path=path)}"


def test_contradicting_judgements_are_named(
    released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("followir-test")
    path = folder / "core17-instructions" / "qrels_og" / "test.jsonl"
    again = {"query-id": "321", "corpus-id": "CORE17-0002_0", "score": 0}
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(again) + "\n")
    with pytest.raises(DataError, match=r"line 4: document 'CORE17-0002_0' .* 0 here and 2 before"):
        prepare(folder)


@pytest.mark.parametrize("table", ["corpus.jsonl", "queries.jsonl", "top_ranked.jsonl"])
def test_a_table_that_is_missing_or_empty(
    table: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("followir-test")
    path = folder / "news21-instructions" / table
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="the source is empty"):
        prepare(folder)
    path.unlink()
    with pytest.raises(DataError, match=f"news21-instructions: no {path.stem} in it") as caught:
        prepare(folder)
    assert f"{path.stem}.jsonl" in str(caught.value.hint)


def test_judgements_that_are_missing(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("followir-test")
    (folder / "news21-instructions" / "qrels_changed" / "test.jsonl").unlink()
    with pytest.raises(DataError, match="news21-instructions: no qrels_changed in it"):
        prepare(folder)


def test_a_collection_that_is_missing(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("followir-test")
    (folder / "core17-instructions").rename(folder / "core18")
    with pytest.raises(
        DataError, match="no folder core17 in it; it holds core18, news21"
    ) as caught:
        prepare(folder)
    assert "robust04, core17, news21" in str(caught.value.hint)


def test_an_id_that_trec_cannot_express(
    released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    folder = released("followir-test") / "robust04-instructions"
    edit(folder / "corpus.jsonl", 1, lambda row: row.update(_id="two words"))
    for kind in ("og", "changed"):
        path = folder / f"qrels_{kind}" / "test.jsonl"
        edit(path, 1, lambda row: row.update({"corpus-id": "two words"}))
    with pytest.raises(DataError, match="'two words' holds white space"):
        prepare(folder.parent)
