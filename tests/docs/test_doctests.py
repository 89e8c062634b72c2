"""The examples in the docstrings of the central classes run, in a folder with a finished study."""

from __future__ import annotations

import doctest
import importlib
import shutil
from pathlib import Path

import pytest

from hypestore import Store

CLASSES = [
    "hypencli.api.model:EncodedQueries",
    "hypencli.api.model:Model",
    "hypencli.api.project:Project",
    "hypencli.engine.certified:ErrorBoundedEngine",
    "hypencli.engine.exact:ExactEngine",
    "hypencli.engine.graph_walk:GraphEngine",
    "hypencli.engine.guided:GuidedEngine",
    "hypencli.engine.rerank:RerankEngine",
    "hypencli.engine.vector_index.engine:IndexEngine",
    "hypencli.models.hypernet:Hypencoder",
    "hypencli.models.qnets.batch:QNetBatch",
    "hypencli.models.qnets.repeated_dense:RepeatedDenseBlockConverter",
    "hypestore.embeddings.stored:EmbeddingSet",
]


@pytest.fixture(scope="module")
def folder(
    finished_study: Path, tiny_collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the examples name: a store, the folder of a model, and files."""
    place = tmp_path_factory.mktemp("examples")
    shutil.copytree(finished_study, place / "study")
    store = Store.open(place / "study")
    shutil.copytree(store.path(store.get("hyper")), place / "model")
    for source, target in (("corpus", "docs"), ("queries", "queries")):
        shutil.copy(tiny_collection / f"{source}.jsonl", place / f"{target}.jsonl")
    shutil.copy(tiny_collection / "qrels.txt", place / "qrels.txt")
    return place


@pytest.mark.parametrize("name", CLASSES)
def test_the_examples_of_a_class_run(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(":IndexEngine"):
        pytest.importorskip("faiss", reason="the example needs faiss: pip install faiss-cpu")
    monkeypatch.chdir(folder)
    module_name, class_name = name.split(":")
    module = importlib.import_module(module_name)
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(module, class_name), class_name, module=module, globs=vars(module).copy()
    )
    examples = [test for test in found if test.examples]
    assert examples, f"{name} has no example"
    runner = doctest.DocTestRunner()
    for test in examples:
        runner.run(test)
    assert runner.failures == 0, capsys.readouterr().out
