"""ir_datasets: real collections read offline, and errors when data cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError, UsageError

READ = """
import json, sys
from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries

found = {}
for name in sys.argv[1:]:
    corpus, queries = open_corpus(name), open_queries(name)
    documents = list(corpus)
    judgements = read_qrels(queries.qrels)
    found[name] = {
        "corpus": [corpus.id, corpus.corpus_id, corpus.queries, corpus.qrels, corpus.count],
        "queries": [queries.id, queries.corpus_id, queries.qrels, len(queries)],
        "documents": [[one.doc_id, one.text] for one in documents],
        "texts": {one.query_id: one.text for one in queries},
        "judgements": judgements.fingerprint,
        "again": len(list(corpus)),
    }
print(json.dumps(found))
"""


def run_with_home(home: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """ir_datasets reads its home once, when it is imported: hence a process of its own."""
    environment = {**os.environ, "IR_DATASETS_HOME": str(home), "IR_DATASETS_DL_TRIES": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def read(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("ir_datasets") / "home"
    shutil.copytree(shared / "data" / "ir_datasets_home", home, copy_function=shutil.copyfile)
    for folder in [home, *home.iterdir()]:
        folder.chmod(0o755)
    done = run_with_home(home, READ, "vaswani", "irds:cranfield")
    assert done.returncode == 0, done.stderr
    actual: dict[str, Any] = json.loads(done.stdout)
    return actual


@pytest.mark.parametrize(
    ("name", "dataset", "n_documents", "n_queries"),
    [("vaswani", "irds:vaswani", 11_429, 93), ("irds:cranfield", "irds:cranfield", 1_400, 225)],
)
def test_real_collections(
    read: dict[str, Any], name: str, dataset: str, n_documents: int, n_queries: int
) -> None:
    actual = read[name]
    assert actual["corpus"] == [dataset, dataset, dataset, dataset, n_documents]
    assert actual["queries"] == [dataset, dataset, dataset, n_queries]
    assert len(actual["documents"]) == actual["again"] == n_documents


@pytest.mark.parametrize("name", ["vaswani", "irds:cranfield"])
def test_files_of_the_same_collection_agree(read: dict[str, Any], shared: Path, name: str) -> None:
    folder = shared / "data" / name.removeprefix("irds:")
    documents = {document.doc_id: document.text for document in open_corpus(folder)}
    from_irds = dict(read[name]["documents"])
    assert from_irds.keys() == documents.keys()
    same = sum(from_irds[doc_id].split() == text.split() for doc_id, text in documents.items())
    assert same == len(documents)
    assert read_qrels(folder).fingerprint == read[name]["judgements"]
    # The original queries of vaswani are in capitals.
    queries = {one.query_id: one.text for one in open_queries(folder / "queries.jsonl")}
    assert _words(read[name]["texts"]) == _words(queries)


def _words(texts: dict[str, str]) -> dict[str, list[str]]:
    return {key: text.lower().split() for key, text in texts.items()}


def test_titles_come_before_the_text(read: dict[str, Any]) -> None:
    doc_id, text = read["irds:cranfield"]["documents"][0]
    title = "experimental investigation of the aerodynamics of a wing in a slipstream ."
    assert doc_id == "1"
    assert " ".join(text.split()).startswith(f"{title} {title}")


def test_a_download_that_fails_says_what_to_do(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise OSError('no network in this test')\n"
        "socket.getaddrinfo = refuse\n"
        "from hypencli.data.corpus import open_corpus\n"
        "from hypencli.errors import DataError\n"
        "try: next(iter(open_corpus('beir/scifact')))\n"
        "except DataError as error: print(error.message, '|', error.hint)\n"
    )
    done = run_with_home(tmp_path / "home", code)
    assert done.returncode == 0, done.stderr
    message, hint = done.stdout.split(" | ")
    assert "ir_datasets cannot read 'beir/scifact'" in message
    assert "IR_DATASETS_HOME" in hint


def test_query_sets_over_one_corpus_share_its_id() -> None:
    whole, part = open_corpus("msmarco-passage"), open_corpus("msmarco-passage/trec-dl-2019/judged")
    assert part.id == "irds:msmarco-passage/trec-dl-2019/judged"
    assert part.corpus_id == whole.corpus_id == "irds:msmarco-passage"
    assert part.fingerprint == whole.fingerprint
    assert part.id_prefix == whole.id_prefix == "msmarco-passage"
    assert whole.count == 8_841_823
    assert whole.queries is whole.qrels is None
    assert part.queries == part.qrels == part.id
    other = open_corpus("msmarco-passage-v2")
    assert other.fingerprint != whole.fingerprint


def test_the_fingerprint_is_of_the_reading_too() -> None:
    plain = open_corpus("vaswani").fingerprint
    assert open_corpus("vaswani", title_key="").fingerprint != plain
    assert open_corpus("vaswani", text_key="other").fingerprint != plain


def test_a_dataset_without_queries_names_those_below_it() -> None:
    with pytest.raises(DataError, match="'msmarco-passage' has no queries") as caught:
        open_queries("msmarco-passage")
    assert "msmarco-passage/dev" in str(caught.value.hint)
    with pytest.raises(DataError, match="'msmarco-passage' has no qrels"):
        read_qrels("irds:msmarco-passage")


def test_a_dataset_without_documents_is_no_corpus() -> None:
    with pytest.raises(DataError, match="has no documents"):
        open_corpus("clirmatrix")


def test_an_id_key_means_nothing_here() -> None:
    with pytest.raises(UsageError, match="ir_datasets knows the ids"):
        open_corpus("vaswani", id_key="docno")
    with pytest.raises(UsageError, match="ir_datasets knows the ids"):
        open_queries("vaswani", id_key="qid")
