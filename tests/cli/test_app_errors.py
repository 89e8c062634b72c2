"""Every way out that is not success: message, next step, exit code, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]
USAGE, RECIPE, STORE, DATA, MODEL = 2, 3, 4, 5, 6

EVAL = ["eval", "hyper-run", "--qrels", "{qrels}"]
SEARCH = ["search", "{queries}", "--model", "hyper"]
SET = ["train", "tiny", "--set"]
HYPER = ["--name", "hyper", "--pooling", "cls"]

CASES = {
    "no such verb": (["serch"], USAGE, "No such command"),
    "no such option": (["ls", "--frob"], USAGE, "--frob"),
    "k of zero": (["search", "{queries}", "--k", "0"], USAGE, "--k"),
    "not a part": (["encode", "{corpus}", "--shard", "5/4"], USAGE, "i/N"),
    "no such kind": (["ls", "models2"], USAGE, "Kinds:"),
    "one run": (["report", "hyper-run"], USAGE, "RUN_A RUN_B"),
    "sql and runs": (["report", "a", "b", "--sql", "SELECT 1"], USAGE, "exclude"),
    "option of another verb": (["report", "--pareto"], USAGE, "--pareto"),
    "which judgements": (["eval", "bare"], USAGE, "--qrels"),
    "unknown measure": ([*EVAL, "--measures", "nDGC@10"], USAGE, "nDGC@10"),
    "format untold": (["export", "run", "hyper-run", "-o", "{folder}/x.xyz"], USAGE, "--format"),
    "occupied folder": (["export", "model", "hyper", "-o", "{folder}"], USAGE, "--overwrite"),
    "in the store": (["export", "model", "hyper", "-o", "{store}/x"], USAGE, "--output"),
    "no such recipe": (["train", "tinny"], RECIPE, "tiny"),
    "unknown key": ([*SET, "training.stepz=3"], RECIPE, "steps"),
    "broken recipe": (["train", "{folder}/broken.toml"], RECIPE, "line"),
    "no such artifact": (["show", "hyper-rum"], STORE, "hyper-run"),
    "model name taken": (["import", "model", "{backbone}", *HYPER], STORE, "hyper"),
    "no such run": (["eval", "nothing"], STORE, "nothing"),
    "name taken": ([*SEARCH, "--k", "3", "--name", "hyper-run"], STORE, "hyper-run"),
    "wrong sql": (["report", "--sql", "SELECT nothing FROM leaderboard"], STORE, "nothing"),
    "writing sql": (["report", "--sql", "DROP TABLE runs"], STORE, "SELECT"),
    "no such dataset": (["encode", "vaswanii"], DATA, "vaswani"),
    "broken line": (["encode", "{folder}/broken.jsonl"], DATA, "line 2"),
    "no such key": (["encode", "{corpus}", "--text-key", "body"], DATA, "body"),
    "duplicate document": (["encode", "{folder}/twice.jsonl"], DATA, "'a'"),
    "empty corpus": (["encode", "{folder}/empty.jsonl"], DATA, "empty.jsonl"),
    "empty question": (["query", " "], DATA, "empty"),
    "not a run": (["import", "run", "{folder}/broken.jsonl"], DATA, "line"),
    "no such file": (["import", "run", "{folder}/none.trec"], DATA, "none.trec"),
    "no training file": ([*SET, "data.train={folder}/none.jsonl"], DATA, "none.jsonl"),
    "no such model": (["encode", "{corpus}", "--model", "{folder}"], MODEL, "config.json"),
    "no checkpoint": (["import", "model", "{folder}"], MODEL, "config.json"),
    "no pooling": (["import", "model", "{backbone}", "--copy"], MODEL, "--pooling"),
    "no such device": (["query", "x", "--device", "tpu9"], MODEL, "cpu"),
    "no such width": ([*SEARCH, "--width", "8"], MODEL, "one width only"),
    "width of zero": ([*SEARCH, "--width", "0"], USAGE, "--width"),
    "no such dtype": (["encode", "{corpus}", "--dtype", "float23"], MODEL, "float32"),
}


@pytest.fixture
def places(
    study: Path, tiny_collection: Path, tiny_backbone: Path, tmp_path: Path, hype: Hype
) -> dict[str, object]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "broken.toml").write_text("name = 'x'\n[training\n", encoding="utf-8")
    (folder / "broken.jsonl").write_text('{"id": "a", "text": "b"}\n{"id": \n', encoding="utf-8")
    twice = '{"id": "a", "text": "b"}\n{"id": "a", "text": "c"}\n'
    (folder / "twice.jsonl").write_text(twice, encoding="utf-8")
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    run = folder / "bare.trec"
    run.write_text("q0 Q0 d1 1 0.5 bm25\n", encoding="utf-8")
    assert hype("import", "run", run, "--store", study).code == 0
    return {
        "folder": folder,
        "corpus": tiny_collection / "corpus.jsonl",
        "queries": tiny_collection / "queries.jsonl",
        "qrels": tiny_collection / "qrels.txt",
        "backbone": tiny_backbone,
        "store": study,
    }


def in_store(arguments: list[str], study: Path) -> list[str]:
    without = arguments[0] in ("serch",)
    return arguments if without else [*arguments, "--store", str(study)]


@pytest.mark.parametrize("case", CASES)
def test_errors_say_what_and_what_next(
    case: str, hype: Hype, study: Path, places: dict[str, object], tiny_recipe_settings: list[str]
) -> None:
    arguments, code, words = CASES[case]
    filled = [argument.format(**places) for argument in arguments]
    if filled[:2] == ["train", "tiny"]:
        filled[2:2] = tiny_recipe_settings
    before = set(study.rglob("manifest.json"))
    outcome = hype(*in_store(filled, study))
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert before <= set(study.rglob("manifest.json"))
    assert hype("doctor", "--store", study).code == 0


def test_errors_as_json(hype: Hype, study: Path) -> None:
    outcome = hype("show", "hyper-rum", "--store", study, "--json")
    assert outcome.code == STORE
    assert outcome.json["error"]["type"] == "ArtifactNotFound"
    assert outcome.json["error"]["exit_code"] == STORE


def test_no_store_lists_where_it_looked(
    hype: Hype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = hype("ls")
    assert outcome.code == STORE
    assert str(tmp_path) in outcome.err
    assert "hype init" in outcome.err


def test_no_model_says_how_to_get_one(hype: Hype, tmp_path: Path, tiny_collection: Path) -> None:
    hype("init", tmp_path / "empty")
    outcome = hype("encode", tiny_collection / "corpus.jsonl", "--store", tmp_path / "empty")
    assert outcome.code == USAGE
    assert "hype train" in outcome.err


def test_init_twice_is_refused(hype: Hype, study: Path) -> None:
    assert hype("init", study).code == STORE


def test_a_file_is_not_overwritten_unasked(hype: Hype, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept.trec"
    path.write_text("precious", encoding="utf-8")
    arguments = ["export", "run", "hyper-run", "-o", path, "--store", study]
    assert hype(*arguments).code == USAGE
    assert path.read_text(encoding="utf-8") == "precious"
    assert hype(*arguments, "--overwrite").code == 0
    assert path.read_text(encoding="utf-8") != "precious"


def test_debug_shows_the_traceback(study: Path) -> None:
    command = [sys.executable, "-m", "hypencli", "show", "nothing", "--store", str(study)]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False)
    assert (plain.returncode, "Traceback" in plain.stderr) == (STORE, False)
    assert "Traceback" in debug.stderr


def test_a_reader_that_leaves_is_no_error(study: Path) -> None:
    command = f"{sys.executable} -m hypencli report --schema --store {study} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_the_default_device_of_the_store_is_used(hype: Hype, study: Path) -> None:
    import hypestore

    hypestore.Store.open(study).set_default("device", "tpu9")
    outcome = hype("query", "what is river", "--model", "hyper", "--store", study)
    assert (outcome.code, "tpu9" in outcome.err) == (MODEL, True)
    named = ["query", "what is river", "--model", "hyper", "--device", "cpu", "--store", study]
    assert hype(*named).code == 0


WRONG = {
    "option": ["ls", "--frob"],
    "verb": ["serch"],
    "value": ["search", "-k", "0"],
    "missing argument": ["rm"],
    "missing value": ["ls", "--store"],
    "command of a group": ["export", "frob"],
    "two stores": ["--store", "a", "ls", "--store", "b"],
    "no such artifact": ["show", "nothing", "--store", "{store}"],
    "a folder for a file": ["recipes", "show", "{store}/models"],
    "a file for a folder": ["init", "{store}/hype.toml"],
}


@pytest.mark.parametrize("case", WRONG)
def test_every_error_is_json_if_json_is_asked_for(hype: Hype, study: Path, case: str) -> None:
    words = [word.format(store=study) for word in WRONG[case]]
    plain, done = hype(*words), hype("--json", *words)
    assert done.code == plain.code == done.json["error"]["exit_code"]
    assert done.err == plain.out == ""
    assert " ".join(done.json["error"]["message"].split())[:20] in " ".join(plain.err.split())


@pytest.mark.parametrize(
    "words",
    [
        ["report", "--format", "json", "--frob"],
        ["report", "--format=json", "nothing", "nobody"],
        ["costs", "--format", "json", "--k", "0"],
        ["compare", "a", "b", "--format", "json"],
    ],
)
def test_errors_are_json_in_the_format_json(hype: Hype, study: Path, words: list[str]) -> None:
    done = hype(*words, "--store", study)
    assert done.json["error"]["exit_code"] == done.code
    assert done.err == ""


def test_what_the_system_refuses_names_the_file(hype: Hype, study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in (tmp_path / "file" / "x.trec", tmp_path / "new" / "x.trec", "y" * 300 + ".trec"):
        done = hype("export", "run", "hyper-run", "-o", output, "--store", study)
        assert done.code in (4, 5)
        assert done.err.count("Error: ") == 1
        assert str(output)[-20:] in done.err or str(Path(output).parent) in done.err


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("line", [["show", "n" * 5_000], ["ls", "--no-" + "n" * 5_000]])
def test_a_long_argument_is_not_poured_out(
    hype: Hype, study: Path, line: list[str], more: list[str]
) -> None:
    outcome = hype(*line, "--store", study, *more)
    assert outcome.code in (2, 4)
    assert "nnn" in outcome.err + outcome.out
    assert (outcome.err + outcome.out).count("n") < 1_000
