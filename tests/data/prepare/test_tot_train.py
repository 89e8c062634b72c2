"""The tip-of-the-tongue rows, from a small release in the layout of the real one."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.prepare import Job, PreparedParts
from hypencli.data.prepare.download import blob_id
from hypencli.data.prepare.tot_train import ARCHIVES, DOCUMENTS, SPLITS, prepare_tot_train
from hypencli.data.training import read_training_rows
from hypencli.errors import DataError

Prepare = Callable[..., tuple[PreparedParts, Path]]


@pytest.fixture
def prepare(make_job: Callable[..., Job]) -> Prepare:
    def run(inputs: Path | None, **settings: Any) -> tuple[PreparedParts, Path]:
        job = make_job(inputs, **settings)
        return prepare_tot_train(job), job.out

    return run


def published(folder: Path, split: str) -> list[tuple[str, str, list[str], list[tuple[str, str]]]]:
    """The published conversion by hand: id, query, answers, and the other items in order."""
    collected = []
    for domain in ("Movies", "Books"):
        base = folder / domain

        def lines(name: str, base: Path = base) -> list[Any]:
            return [json.loads(line) for line in (base / name).read_text().splitlines()]

        texts = {
            one["id"]: f"{one['title']}.\n{one['text']}"
            for name in DOCUMENTS
            for one in lines(name)
        }
        negatives = json.loads((base / "bm25_hard_negatives_all.json").read_text())
        qrels = [
            line.split("\t")
            for line in (base / f"splits/{split}/qrels.txt").read_text().splitlines()
        ]
        for one in lines(f"splits/{split}/queries.json"):
            answers = [doc_id for query_id, _, doc_id, _ in qrels if query_id == one["id"]]
            items = [*answers, *negatives[one["id"]]]
            query = f"{one['title']}.\n{one['description']}"
            collected.append((one["id"], query, answers, [(item, texts[item]) for item in items]))
    return collected


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_those_of_the_published_conversion_without_answers_among_negatives(
    split: str, hard_tasks: Path, prepare: Prepare
) -> None:
    created, out = prepare(hard_tasks / "tot-train")
    rows = read_training_rows(out / f"{split}.jsonl")
    expected = published(hard_tasks / "tot-train", split)
    assert [(row.query.query_id, row.query.text) for row in rows] == [one[:2] for one in expected]
    removed = 0
    for row, (_, _, answers, items) in zip(rows, expected, strict=True):
        kept = [
            *items[: len(answers)],
            *(one for one in items[len(answers) :] if one[0] not in answers),
        ]
        assert [(item.id, item.content) for item in row.items] == kept
        types = ["positive"] * len(answers) + ["negative"] * (len(kept) - len(answers))
        assert [item.type for item in row.items] == types
        removed += len(items) - len(kept)
    part = next(part for part in created.parts if part.name == split)
    assert part.counts["rows"] == len(expected)
    assert part.left_out.get("answers_among_negatives", 0) == removed
    assert removed == (split == "train")


def test_an_answer_under_another_id_is_no_negative(
    released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    folder = released("tot-train")
    edit(
        folder / "Books" / "hard_negative_documents.json",
        1,
        lambda row: row.update(
            title="The River House", text="A boat, a bridge and a fish that speaks."
        ),
    )
    _, out = prepare(folder)
    row = next(
        row for row in read_training_rows(out / "train.jsonl") if row.query.query_id == "bq1"
    )
    assert [item.id for item in row.items] == ["b1", "b9", "b2", "b3", "b4"]


def packed(folder: Path, archives: Path) -> dict[str, Path]:
    """The domains of a release as archives, with what lies about in the real ones."""
    archives.mkdir()
    collected = {}
    for domain in ARCHIVES:
        collected[domain] = archives / f"{domain}.zip"
        with zipfile.ZipFile(collected[domain], "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr(f"{domain}/.DS_Store", b"\0\1")
            for path in sorted((folder / domain).rglob("*")):
                out.write(path, path.relative_to(folder).as_posix())
    return collected


def test_archives_give_the_same(
    hard_tasks: Path, prepare: Prepare, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    _, out = prepare(hard_tasks / "tot-train")
    expected = {split: (out / f"{split}.jsonl").read_bytes() for split in SPLITS}
    archives = packed(hard_tasks / "tot-train", tmp_path / "archives")
    job = make_job(archives["Books"].parent)
    assert prepare_tot_train(job).sources == ("file:Movies", "file:Books")
    assert {split: (job.out / f"{split}.jsonl").read_bytes() for split in SPLITS} == expected
    assert not list(job.unpacked.rglob(".DS_Store"))


def test_archives_are_downloaded(
    hard_tasks: Path,
    prepare: Prepare,
    local_github: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, out = prepare(hard_tasks / "tot-train")
    expected = (out / "train.jsonl").read_bytes()
    for domain, path in packed(hard_tasks / "tot-train", tmp_path / "archives").items():
        file = replace(ARCHIVES[domain], blob=blob_id(path))
        monkeypatch.setitem(ARCHIVES, domain, file)
        local_github[f"{file.repository}/{file.commit}/{file.path}"] = path.read_bytes()
    created, out = prepare(None)
    assert (out / "train.jsonl").read_bytes() == expected
    assert created.sources[1] == "github:samarthbhargav/tomt-data@9171571736:data_release/Books.zip"


def test_an_archive_without_a_file(
    hard_tasks: Path, prepare: Prepare, released: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = released("tot-train")
    (folder / "Books" / "documents.json").unlink()
    archives = packed(folder, tmp_path / "archives")["Books"].parent
    with pytest.raises(DataError, match=r"Books.zip cannot be unpacked.*Books/documents.json"):
        prepare(archives)
    (archives / "Movies.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"Movies.zip cannot be unpacked.*not a zip file"):
        prepare(archives)


@pytest.mark.parametrize("domain", ["Books", "Movies"])
def test_both_domains_are_needed(
    domain: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("tot-train")
    shutil.rmtree(folder / domain)
    with pytest.raises(DataError, match=f"neither a folder {domain} nor {domain}.zip"):
        prepare(folder)


QRELS = "splits/train/qrels.txt"
ERRORS = {
    "no title": (DOCUMENTS[0], 2, lambda row: row.pop("title"), "line 2: no 'title' here"),
    "no description": (
        "splits/train/queries.json",
        2,
        lambda row: row.pop("description"),
        "line 2: no 'description' here; its keys are 'id', 'title'",
    ),
    "id of null": (DOCUMENTS[0], 1, lambda row: row.update(id=None), "line 1, 'id': an id must be"),
    "document twice": (
        DOCUMENTS[0],
        2,
        lambda row: row.update(id="b1"),
        "line 2: the id 'b1' is there before, at {folder}/Books/documents.json, line 1",
    ),
    "query twice": (
        "splits/train/queries.json",
        2,
        lambda row: row.update(id="bq1"),
        "line 2: the id 'bq1' is there before",
    ),
    "query of both domains": (
        "splits/train/queries.json",
        1,
        lambda row: row.update(id="mq1"),
        "line 1: the id 'mq1' is there before, at {folder}/Movies/splits/train/queries.json",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_wrong_is_named_by_file_and_line(
    case: str, released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    file, line, change, problem = ERRORS[case]
    folder = released("tot-train")

    def changed(row: dict[str, Any]) -> None:
        change(row)

    edit(folder / "Books" / file, line, changed)
    for lenient in (False, True):
        with pytest.raises(DataError) as caught:
            prepare(folder, lenient=lenient)
        assert caught.value.message.startswith(f"{folder}/Books/{file}, line {line}")
        assert problem.format(folder=folder) in caught.value.message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bq1\t0\tnothing\t1", "no document 'nothing'"),
        ("nobody\t0\tb1\t1", "no query 'nobody'"),
    ],
)
def test_judgements_of_unknown_ids_are_errors_or_counted(
    line: str,
    problem: str,
    released: Callable[[str], Path],
    prepare: Prepare,
    make_job: Callable[..., Job],
) -> None:
    folder = released("tot-train")
    path = folder / "Books" / QRELS
    path.write_text(f"{line}\nbq2\t0\tb2\t1\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(folder)
    assert caught.value.message == f"{path}, line 1: {problem}."
    job = make_job(folder, lenient=True)
    part = prepare_tot_train(job).parts[0]
    assert {kind: actual.count for kind, actual in job.malformed.all().items()} == {
        "unknown ids": 1
    }
    assert part.left_out["queries_without_answer"] == 1
    rows = read_training_rows(job.out / "train.jsonl")
    assert [row.query.query_id for row in rows] == ["mq1", "bq2"]


def test_empty_documents_are_errors_or_left_out(
    released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    """A title alone is a text, as some of the real ones have no more."""
    folder = released("tot-train")
    _, out = prepare(folder)
    first = read_training_rows(out / "train.jsonl")[0]
    assert {item.id: item.content for item in first.items}["509"] == "Galaxy.\n"
    path = folder / "Movies" / "negative_documents.json"
    edit(path, 1, lambda row: row.update(title=" "))
    with pytest.raises(DataError, match="neither title nor text") as caught:
        prepare(folder)
    assert caught.value.message.startswith(f"{path}, line 1")
    _, out = prepare(folder, lenient=True)
    first = read_training_rows(out / "train.jsonl")[0]
    assert [item.id for item in first.items] == ["501", "503"]


def test_a_negative_that_is_no_document(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("tot-train")
    path = folder / "Books" / "bm25_hard_negatives_all.json"
    path.write_text('{"bq1": ["nothing", "b8"]}', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(folder)
    assert caught.value.message == f"{path}, query 'bq1': no document 'nothing'."
    created, out = prepare(folder, lenient=True)
    assert created.parts[0].counts["negatives"] == 3
    assert [len(row.items) for row in read_training_rows(out / "train.jsonl")] == [3, 2, 1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[1]", "an object of queries and lists of documents was expected"),
        ('{"bq1": "b8"}', "query 'bq1': a list of documents was expected"),
        ('{"bq1": [null]}', "query 'bq1': an id must be a text or an integer, not None"),
        ("{", "not valid JSON"),
    ],
)
def test_negatives_of_another_form(
    content: str, problem: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("tot-train")
    path = folder / "Books" / "bm25_hard_negatives_all.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        prepare(folder)
    assert caught.value.message.startswith(str(path))


def test_a_file_that_is_missing(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("tot-train")
    (folder / "Books" / QRELS).unlink()
    with pytest.raises(DataError, match=r"Books/splits/train/qrels.txt: cannot be read: No such"):
        prepare(folder)


def test_a_judgement_of_no_relevance_is_a_negative(
    released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("tot-train")
    path = folder / "Books" / QRELS
    path.write_text("bq1\t0\tb3\t0\nbq1\t0\tb1\t1\nbq2\t0\tb2\t1\n", encoding="utf-8")
    _, out = prepare(folder)
    row = read_training_rows(out / "train.jsonl")[1]
    assert [(item.id, item.type) for item in row.items][:2] == [
        ("b1", "positive"),
        ("b3", "negative"),
    ]
    assert len(row.items) == len({item.id for item in row.items}) == 6


def test_of_two_texts_of_an_id_the_later_file_counts(
    released: Callable[[str], Path], prepare: Prepare, edit: Callable[..., None]
) -> None:
    folder = released("tot-train")
    edit(folder / "Books" / "negative_documents.json", 1, lambda row: row.update(id="b8"))
    path = folder / "Books" / "bm25_hard_negatives_all.json"
    path.write_text('{"bq1": ["b8"]}', encoding="utf-8")
    _, out = prepare(folder)
    row = read_training_rows(out / "train.jsonl")[1]
    assert row.items[1].content == "Bridges.\nA history of bridges."
