"""``hype data prepare`` and ``hype data list``: text, JSON, names in other verbs, every way out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.prepare import PREPARATIONS
from hypencli.data.training import read_training_rows
from hypestore import Store

Hype = Callable[..., Any]
USAGE, STORE, DATA = 2, 4, 5


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, in which the commands run."""
    root = Store.create(tmp_path / "study").root
    monkeypatch.chdir(root)
    return root


def test_prepare_draws_what_came_out(hype: Hype, hard_tasks: Path, store: Path) -> None:
    drawn = hype("data", "prepare", "followir-train", "--from", hard_tasks / "followir-train")
    assert drawn.code == 0
    assert drawn.out.splitlines() == [
        f"Prepared followir-train (seed 42) in {store}/data/followir-train",
        "  train: rows 3, positives 4, negatives 13; left out: repeated passages 1, rows without "
        "instruction 1; noted: rows of fewer negatives 1, passages given an id 1",
        "Next: hype data check followir-train",
        "      hype train followir --set data.train=followir-train",
    ]
    assert drawn.err == ""
    again = hype("data", "prepare", "FollowIR_train", "--from", hard_tasks / "followir-train")
    assert again.out == drawn.out.replace("Prepared", "Already prepared:", 1)


def test_prepare_says_where_documents_are(hype: Hype, hard_tasks: Path, store: Path) -> None:
    out = hype("data", "prepare", "dl-hard-test", "--from", hard_tasks / "dl-hard-test").out
    assert "  test: queries 2, judgements 5; left out: queries 2, judgements 3\n" in out
    assert "  documents: irds:msmarco-passage\n" in out
    assert "Next: hype encode msmarco-passage\n      hype search dl-hard-test\n" in out


@pytest.mark.parametrize("name", PREPARATIONS)
def test_prepare_as_json(name: str, hype: Hype, hard_tasks: Path, store: Path) -> None:
    done = hype("data", "prepare", name, "--from", hard_tasks / name, "--json").json
    assert (done["name"], done["called"], done["existing"]) == (name, name, False)
    assert done["path"] == str(store / "data" / name)
    assert done["seed"] == (42 if name == "followir-train" else None)
    assert all(part["counts"] for part in done["parts"].values())
    assert done["faults"] == {}
    assert all((Path(done["path"]) / file).is_file() for file in done["files"])


def test_faults_are_drawn(hype: Hype, hard_tasks: Path, store: Path, tmp_path: Path) -> None:
    inputs = Path(shutil.copytree(hard_tasks / "tot-test", tmp_path / "given"))
    (inputs / "dev" / "qrel.txt").write_text("152 0 1921 1\n152 0 9 1\n", encoding="utf-8")
    out = hype("data", "prepare", "tot-test", "--from", inputs, "--lenient").out
    assert f"1 unknown ids (the first: {inputs}/dev/qrel.txt, line 2)\n" in out


def test_an_output_of_its_own_needs_no_store(
    hype: Hype, hard_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = hard_tasks / "tot-train"
    drawn = hype("data", "prepare", "tot-train", "--from", inputs, "--output", "rows/tot")
    assert drawn.out.startswith("Prepared tot-train in rows/tot\n")
    assert drawn.out.endswith("hype train tot --set data.train=rows/tot\n")
    rows = hype("data", "check", "rows/tot", "--split", "validation", "--json").json
    assert rows["survey"]["rows"] == 2
    assert hype("data", "list").code == 0


def test_list_draws_what_is_here(hype: Hype, hard_tasks: Path, store: Path) -> None:
    hype("data", "prepare", "tot-train", "--from", hard_tasks / "tot-train")
    drawn = hype("data", "list")
    assert drawn.code == 0
    text = " ".join(drawn.out.split())
    for one in PREPARATIONS.values():
        assert f"{one.name} {one.about} ({one.holds}). From {one.source}." in text
    assert "Here: train: rows 3, validation: rows 2, test: rows 2." in text
    assert drawn.out.count("Here: ") == 1
    assert f"Prepared datasets lie in {store / 'data'}\n" in drawn.out


def test_list_as_json(hype: Hype, hard_tasks: Path, store: Path) -> None:
    hype("data", "prepare", "tot-test", "--from", hard_tasks / "tot-test")
    outcome = hype("data", "list", "--json").json
    here = {one["name"]: one["prepared"] for one in outcome["datasets"]}
    assert list(here) == list(PREPARATIONS)
    assert here.pop("tot-test")["dev"]["counts"] == {"documents": 6, "queries": 3, "judgements": 3}
    assert not any(here.values())
    assert outcome["folder"] == str(store / "data")


def test_list_outside_of_a_store(
    hype: Hype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hype("data", "list", "--json").json["folder"] is None
    assert "Here:" not in hype("data", "list").out
    assert hype("data", "list", "--store", tmp_path).code == STORE


def test_other_verbs_take_prepared_datasets_by_name(
    hype: Hype, hard_tasks: Path, study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(study)
    for name in ("tot-test", "followir-test"):
        assert hype("data", "prepare", name, "--from", hard_tasks / name).code == 0
    encoded = hype("encode", "tot-test", "--model", "hyper", "--json").json
    assert (encoded["corpus"], encoded["n_documents"]) == ("folder:tot-test", 6)
    searched = hype("search", "tot-test", "--model", "hyper", "--name", "tot", "--json").json
    assert (searched["corpus"], searched["n_queries"]) == ("folder:tot-test", 3)
    assert searched["evaluation"]["judged_queries"] == 3
    measured = hype("eval", "tot", "--qrels", "tot-test", "--measures", "R@10", "--json").json
    assert measured["aggregates"] == {"R@10": 1.0}
    robust = "followir-test/robust04"
    assert hype("encode", robust, "--model", "hyper").code == 0
    for kind in ("og", "changed"):
        outcome = hype(
            *("search", f"{robust}/queries.{kind}.jsonl", "--corpus", robust, "--model", "hyper"),
            *("--qrels", f"{robust}/qrels.{kind}.txt", "--name", kind, "--json"),
        ).json
        assert (outcome["corpus"], outcome["n_documents"]) == ("folder:robust04", 6)
        assert outcome["evaluation"]["judged_queries"] == 2
    mined = tmp_path / "mined.jsonl"
    done = hype("mine", "og", "--qrels", f"{robust}/qrels.og.txt", "--corpus", robust, "-o", mined)
    assert done.code == 0, done.err
    assert {row.query.query_id for row in read_training_rows(mined)} == {"310", "336"}


def test_queries_without_documents_find_those_of_their_corpus(
    hype: Hype, hard_tasks: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    hype("data", "prepare", "dl-hard-test", "--from", hard_tasks / "dl-hard-test")
    searched = hype("search", "dl-hard-test", "--model", "hyper")
    assert searched.code == USAGE
    assert "hype encode msmarco-passage --model hyper" in searched.err
    encoded = hype("encode", "dl-hard-test", "--model", "hyper")
    assert encoded.code == DATA
    assert "its queries are asked of irds:msmarco-passage" in encoded.err


def test_training_takes_prepared_rows_by_name(
    hype: Hype,
    hard_tasks: Path,
    tiny_backbone: Path,
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(study)
    hype("data", "prepare", "tot-train", "--from", hard_tasks / "tot-train")
    settings = [
        *("--set", f"model.backbone={tiny_backbone}", "--set", "data.train=tot-train"),
        *("--set", "data.positives=type", "--set", "training.steps=1"),
        *("--set", "losses=[{type = 'cross_entropy'}]"),
    ]
    checked = hype("data", "check", "--recipe", "tiny", *settings, "--json").json
    assert (checked["ready"], checked["survey"]["rows"]) == (True, 3)
    assert hype("data", "check", "tot-train", "--json").json["survey"]["rows"] == 3
    validated = [
        *("--set", "validation.rows=tot-train", "--set", "validation.every_steps=1"),
        *("--set", "validation.measures=['RR@10']"),
    ]
    trained = hype("train", "tiny", *settings, *validated, "--name", "tot", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["n_rows"] == 3
    scored = study / "scored.jsonl"
    taught = hype("teach", "tot-train", "--bi-encoder", "plain", "--output", scored, "--json")
    assert taught.json["rows"] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "tot-test", "--model", "x"],
        ["search", "followir-test/robust04/queries.og.jsonl"],
        ["data", "check", "tot-train"],
    ],
    ids=" ".join,
)
def test_a_dataset_that_is_not_prepared_yet(arguments: list[str], hype: Hype, store: Path) -> None:
    outcome = hype(*arguments)
    assert outcome.code == DATA
    name = next(word for word in arguments if "-t" in word).split("/")[0]
    assert f"\nPrepare it: hype data prepare {name}\n" in outcome.err


@pytest.fixture
def places(hard_tasks: Path, store: Path, tmp_path: Path) -> dict[str, object]:
    """What stands in braces in the cases."""
    files = tmp_path / "files"
    files.mkdir()
    for name in PREPARATIONS:
        shutil.copytree(hard_tasks / name, files / name)
    rows = files / "followir-train" / "train.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines()
    rows.write_text("\n".join([*lines[:2], lines[2][:-9]]), encoding="utf-8")
    queries = files / "tot-train" / "Books" / "splits" / "train" / "queries.json"
    first = json.loads(queries.read_text(encoding="utf-8").splitlines()[0])
    del first["description"]
    queries.write_text(json.dumps(first) + "\n", encoding="utf-8")
    shutil.rmtree(files / "followir-test" / "news21-instructions")
    (files / "tot-test" / "dev" / "qrel.txt").write_text("152 0 nothing 1\n", encoding="utf-8")
    (files / "dl-hard-test" / "topics.tsv").unlink()
    (store / "data" / "mine").mkdir(parents=True)
    (store / "data" / "mine" / "x").touch()
    (store / "data" / "tot-test").mkdir()
    (store / "data" / "tot-test" / "dataset.json").write_text("{", encoding="utf-8")
    return {"files": files, "good": hard_tasks, "store": store}


PREPARE = ["data", "prepare"]
CASES = {
    "no name": (PREPARE, USAGE, "Missing argument", None),
    "no such dataset": (
        [*PREPARE, "followir-tain"],
        *(USAGE, "No dataset 'followir-tain' to prepare."),
        "Did you mean 'followir-train'",
    ),
    "no such folder": (
        [*PREPARE, "tot-train", "--from", "{files}/none"],
        *(USAGE, "No folder {files}/none"),
        "the folder with the released files",
    ),
    "seed of nothing": (
        [*PREPARE, "tot-train", "--seed", "3", "--from", "{files}/tot-train"],
        *(USAGE, "seed applies only to followir-train."),
        None,
    ),
    "seed below zero": ([*PREPARE, "followir-train", "--seed", "-1"], USAGE, "--seed", None),
    "queries of nothing": (
        [*PREPARE, "dl-hard-test", "--all-queries"],
        *(USAGE, "all_queries applies only to followir-train."),
        None,
    ),
    "occupied": (
        [*PREPARE, "tot-train", "--from", "{good}/tot-train", "-o", "{store}/data/mine"],
        *(USAGE, "{store}/data/mine exists and is not a prepared dataset."),
        "Choose another --output",
    ),
    "no such store": (
        [*PREPARE, "tot-train", "--store", "{files}"],
        *(STORE, "No store found"),
        "hype init",
    ),
    "broken record": (
        [*PREPARE, "tot-test", "--from", "{good}/tot-test"],
        *(DATA, "{store}/data/tot-test/dataset.json is not the record of a prepared dataset"),
        "--overwrite",
    ),
    "broken record in the list": (
        ["data", "list"],
        *(DATA, "{store}/data/tot-test/dataset.json is not the record"),
        "--overwrite",
    ),
    "broken line": (
        [*PREPARE, "followir-train", "--from", "{files}/followir-train"],
        *(DATA, "{files}/followir-train/train.jsonl, line 3: not valid JSON"),
        None,
    ),
    "missing collection": (
        [*PREPARE, "followir-test", "--from", "{files}/followir-test"],
        *(DATA, "{files}/followir-test: no folder news21 in it"),
        "robust04, core17, news21",
    ),
    "missing field": (
        [*PREPARE, "tot-train", "--from", "{files}/tot-train"],
        *(DATA, "Books/splits/train/queries.json, line 1: no 'description' here"),
        None,
    ),
    "unknown id": (
        [*PREPARE, "tot-test", "--from", "{files}/tot-test", "-o", "{store}/new"],
        *(DATA, "{files}/tot-test/dev/qrel.txt, line 1: no document 'nothing'."),
        "--lenient",
    ),
    "missing file": (
        [*PREPARE, "dl-hard-test", "--from", "{files}/dl-hard-test"],
        *(DATA, "one file topics.tsv was expected"),
        "grill-lab/DL-Hard",
    ),
    "no hub": (
        [*PREPARE, "followir-train"],
        *(DATA, "No dataset 'samaya-ai/msmarco-w-instructions'"),
        "--from FOLDER",
    ),
    "no hub for collections": (
        [*PREPARE, "followir-test"],
        *(DATA, "No dataset 'jhu-clsp/robust04-instructions'"),
        "hf download jhu-clsp/robust04-instructions",
    ),
    "no GitHub": (
        [*PREPARE, "tot-train"],
        DATA,
        "Movies.zip cannot be downloaded",
        "--from FOLDER",
    ),
}
"""Arguments; exit code; how message and hint go."""


@pytest.mark.parametrize("case", CASES)
def test_errors_say_what_and_what_next(
    case: str,
    hype: Hype,
    store: Path,
    places: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hypencli.data.prepare.download.RAW_FILES", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    arguments, code, message, hint = CASES[case]
    filled = [argument.format(**places) for argument in arguments]
    before = sorted(path for path in store.rglob("*") if "locks" not in path.parts)
    outcome = hype(*filled)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert message.format(**places) in outcome.err
    assert (hint or "") in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(path for path in store.rglob("*") if "locks" not in path.parts) == before
    if not outcome.err.startswith("Usage: "):
        error = hype(*filled, "--json").json["error"]
        assert error["exit_code"] == code
        assert message.format(**places) in error["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_to(hype: Hype, hard_tasks: Path, store: Path) -> None:
    store.chmod(0o500)
    outcome = hype("data", "prepare", "tot-test", "--from", hard_tasks / "tot-test")
    store.chmod(0o700)
    assert outcome.code == DATA
    assert "cannot be written" in outcome.err
