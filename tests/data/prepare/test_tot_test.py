"""TREC ToT 2023, from small files in the layout of its archive and from ir_datasets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.prepare import Job, PreparedParts
from hypencli.data.prepare.tot_test import prepare_tot_test
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError

Prepare = Callable[..., tuple[PreparedParts, Path]]
FILES = ("corpus.jsonl", "queries.jsonl", "qrels.txt")


@pytest.fixture
def prepare(make_job: Callable[..., Job]) -> Prepare:
    def run(inputs: Path | None, **settings: Any) -> tuple[PreparedParts, Path]:
        job = make_job(inputs, **settings)
        return prepare_tot_test(job), job.out

    return run


def test_titles_come_before_the_texts_as_in_training(
    hard_tasks: Path, prepare: Prepare, jsonl: Callable[[Path], list[Any]]
) -> None:
    created, out = prepare(hard_tasks / "tot-test")
    released = jsonl(hard_tasks / "tot-test" / "corpus.jsonl")
    assert {one.doc_id: one.text for one in open_corpus(out)} == {
        one["doc_id"]: f"{one['page_title']}.\n{one['text']}" for one in released
    }
    asked = jsonl(hard_tasks / "tot-test" / "dev" / "queries.jsonl")
    queries = open_queries(out)
    assert {one.query_id: one.text for one in queries} == {
        one["id"]: f"{one['title']}.\n{one['text']}" for one in asked
    }
    assert read_qrels(str(queries.qrels)).qrels == {
        "152": {"1921": 1},
        "293": {"854": 1},
        "416": {"2718": 1},
    }
    assert created.parts[0].counts == {"documents": 6, "queries": 3, "judgements": 3}


def test_the_archive_unpacked_as_it_is(hard_tasks: Path, prepare: Prepare, tmp_path: Path) -> None:
    _, out = prepare(hard_tasks / "tot-test")
    expected = [(out / name).read_bytes() for name in FILES]
    shutil.copytree(hard_tasks / "tot-test", tmp_path / "archive" / "TREC-TOT")
    created, out = prepare(tmp_path / "archive")
    assert [(out / name).read_bytes() for name in FILES] == expected
    assert created.sources == ("file:TREC-TOT",)


PREPARE = """
import sys
from pathlib import Path
from hypencli.errors import HypeError
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
try:
    done = prepare("tot-test", PrepareOptions(Path(sys.argv[1])))
    print(done.sources)
except HypeError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


def with_home(home: Path, out: Path) -> str:
    """ir_datasets reads its home once, when it is imported: hence a process of its own."""
    environment = {**os.environ, "IR_DATASETS_HOME": str(home), "IR_DATASETS_DL_TRIES": "1"}
    environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ir_datasets_gives_the_same(hard_tasks: Path, prepare: Prepare, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(hard_tasks / "tot-test", home / "trec-tot" / "2023")
    assert with_home(home, tmp_path / "irds").strip() == "('irds:trec-tot/2023/dev',)"
    _, out = prepare(hard_tasks / "tot-test")
    for name in FILES:
        assert (tmp_path / "irds" / name).read_bytes() == (out / name).read_bytes()


def test_a_download_that_fails_is_a_download_error(tmp_path: Path) -> None:
    said = with_home(tmp_path / "home", tmp_path / "out")
    assert said.startswith("DownloadError ir_datasets cannot read 'trec-tot/2023/dev'")
    assert "IR_DATASETS_HOME" in said
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_files_that_are_missing_are_named(
    released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("tot-test")
    (folder / "corpus.jsonl").unlink()
    (folder / "dev" / "qrel.txt").unlink()
    with pytest.raises(DataError, match=r"no corpus.jsonl, dev/qrel.txt in it") as caught:
        prepare(folder)
    assert "dev/queries.jsonl" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("file", "change", "problem"),
    [
        ("corpus.jsonl", lambda row: row.pop("page_title"), "line 2: no 'page_title' here"),
        ("corpus.jsonl", lambda row: row.update(doc_id="846"), "the id '846' is there before"),
        ("dev/queries.jsonl", lambda row: row.pop("text"), "line 2: no 'text' here"),
        ("dev/queries.jsonl", lambda row: row.update(id="152"), "the id '152' is there before"),
        (
            "dev/queries.jsonl",
            lambda row: row.update(title="", text=""),
            "line 2: it has no text",
        ),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(
    file: str,
    change: Callable[[dict[str, Any]], Any],
    problem: str,
    released: Callable[[str], Path],
    prepare: Prepare,
    edit: Callable[..., None],
) -> None:
    folder = released("tot-test")

    def changed(row: dict[str, Any]) -> None:
        change(row)

    edit(folder / file, 2, changed)
    with pytest.raises(DataError, match=problem) as caught:
        prepare(folder)
    assert caught.value.message.startswith(f"{folder / file}, line 2")


def test_judgements_of_unknown_ids(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("tot-test")
    path = folder / "dev" / "qrel.txt"
    path.write_text("152 0 1921 1\n152 0 77 1\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(folder)
    assert caught.value.message == f"{path}, line 2: no document '77'."
    path.write_text("152 0 1921 1\n77 0 1921 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: 5 columns, TREC qrels have 4"):
        prepare(folder, lenient=True)
