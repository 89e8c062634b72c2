"""The whole chain with a real pre-trained encoder on a few hundred real documents."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypencli.data.demo
import hypencli.recipe
from hypencli.__main__ import main
from hypencli.data.demo import build_docstring_collection, write_docstring_collection
from hypencli.errors import MissingDependencyError, ModelError
from hypencli.ops import demo

pytestmark = pytest.mark.encoder

N_QUERIES = 60
N_DOCUMENTS = 300
N_TRAINING = 200

Hype = Callable[..., Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Docstrings of this Python: 300 passages, 60 held-out queries on them, 200 training rows."""
    folder = tmp_path_factory.mktemp("docstrings")
    collection = build_docstring_collection()
    written = write_docstring_collection(collection, folder / "all")
    judged = written.qrels["heldout"].read_text(encoding="utf-8").splitlines()[:N_QUERIES]
    queries, answers = ({line.split()[i] for line in judged} for i in (0, 2))
    (folder / "qrels.txt").write_text("\n".join(judged) + "\n", encoding="utf-8")
    passages = written.passages.read_text(encoding="utf-8").splitlines()
    selected = [line for line in passages if json.loads(line)["id"] in answers]
    selected += [line for line in passages if json.loads(line)["id"] not in answers]
    (folder / "docs.jsonl").write_text("\n".join(selected[:N_DOCUMENTS]) + "\n", encoding="utf-8")
    asked = written.queries["heldout"].read_text(encoding="utf-8").splitlines()
    kept = [line for line in asked if json.loads(line)["id"] in queries]
    (folder / "queries.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    rows = written.training.read_text(encoding="utf-8").splitlines()[:N_TRAINING]
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def hype(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Hype:
    """Run a verb in a new store; gives its JSON."""
    store = tmp_path / "store"
    assert main(["init", str(store)]) == 0

    def run(*arguments: object) -> Any:
        capsys.readouterr()
        code = main([*(str(argument) for argument in arguments), "--store", str(store), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return json.loads(captured.out)

    return run


def test_train_encode_search_and_compare(hype: Hype, files: Path, encoder_folder: Path) -> None:
    docs, queries = files / "docs.jsonl", files / "queries.jsonl"
    encoded = hype("encode", docs, "--model", encoder_folder, "--max-length", 64)
    assert (encoded["n_documents"], encoded["dim"]) == (N_DOCUMENTS, 384)
    search = ["search", queries, "--qrels", files / "qrels.txt", "--k", 100]
    model = encoded["model"]
    plain = hype(*search, "--model", model, "--name", "plain")["evaluation"]["aggregates"]
    assert plain["RR@10"] > 0.5, "chance is 0.01 among 300 passages"
    settings = {
        "model.backbone": encoder_folder,
        "data.train": files / "train.jsonl",
        "data.random_negatives": 50,
        "data.passage_max_length": 64,
        "training.steps": 30,
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    trained = hype("train", "demo", "--name", "q-nets", *changes)
    assert trained["steps"] == 30
    again = hype("encode", docs, "--model", "q-nets", "--max-length", 64)
    assert again["existing"], "a frozen passage encoder keeps its vectors"
    tuned = hype(*search, "--model", "q-nets", "--name", "tuned")["evaluation"]["aggregates"]
    assert tuned["RR@10"] > plain["RR@10"] - 0.05
    assert tuned["nDCG@10"] != plain["nDCG@10"]
    compared = hype("report", "plain", "tuned")
    assert compared["n_queries"] == N_QUERIES
    first = json.loads(queries.read_text(encoding="utf-8").splitlines()[0])
    answer = hype("query", first["text"], "--model", "q-nets", "-k", 5)
    assert first["id"].partition(":")[2] in [hit["doc_id"] for hit in answer["hits"]]


def test_what_the_demo_suggests_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo itself, on six modules and with ten steps."""
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("base64", "calendar", "csv", "shutil", "statistics", "timeit"):
        shutil.copy(Path(shutil.__file__).with_name(f"{name}.py"), sources)
    whole, load = hypencli.data.demo.build_docstring_collection, hypencli.recipe.load_recipe
    monkeypatch.setattr("hypencli.data.demo.build_docstring_collection", lambda: whole(sources))
    monkeypatch.setattr(
        "hypencli.recipe.load_recipe",
        lambda name, settings: load(name, [*settings, "training.steps=10"]),
    )
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    _, _, suggested = capsys.readouterr().out.partition("Now try:\n")
    folder, *commands = map(shlex.split, suggested.splitlines())
    assert folder[0] == "cd"
    monkeypatch.chdir(folder[1])
    assert len(commands) == 4
    for command in commands:
        assert command[0] == "hype"
        assert main(command[1:]) == 0, capsys.readouterr().err
    assert "documents, model hypencoder" in capsys.readouterr().out


def test_the_demo_verifies_its_encoder(
    encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo.encoder_folder() == encoder_folder
    monkeypatch.setattr(demo, "ENCODER_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="SHA-256"):
        demo.encoder_folder()
    monkeypatch.setattr(demo, "ENCODER_PACKAGE", "no_such_encoder_package")
    with pytest.raises(MissingDependencyError) as caught:
        demo.encoder_folder()
    assert "pip install" in str(caught.value.hint)
