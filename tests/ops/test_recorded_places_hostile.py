"""Places that a store names: those of somebody else are shown and not read."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.__main__ import main
from hypencli.errors import UsageError
from hypencli.ops.recorded_places import default_queries, recorded_qrels, set_default
from hypencli.ops.report.judgements import JudgementFinder
from hypencli.ops.transfer.study_export import export_study
from hypencli.ops.transfer.study_import import import_study
from hypestore import Store

SOMEBODY = "did not record the place"


@pytest.fixture
def beir(tiny_collection: Path, tmp_path: Path) -> Path:
    """The tiny collection as a BEIR folder: documents, queries and judgements belong together."""
    folder = tmp_path / "beir"
    folder.mkdir()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.txt"):
        shutil.copy(tiny_collection / name, folder / name)
    return folder


@pytest.fixture
def store(study: Path, beir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with runs of the folder, made by this account without an evaluation of two runs."""
    for model in ("hyper", "plain"):
        named = ["--name", f"{model}-beir", "--max-length", "48"]
        encode = ["encode", str(beir), "--model", model, *named]
        assert main([*encode, "--store", str(study)]) == 0
        search = ["search", "--model", model, "--embeddings", f"{model}-beir", "--k", "20"]
        assert main([*search, "--name", f"{model}-own", "--store", str(study)]) == 0
    return study


@pytest.fixture
def somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Go on as another account: what was recorded before is that of somebody else."""
    return lambda: monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))


def test_own_places_are_read(store: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    commands: list[list[object]] = [
        ["eval", "hyper-own", "--measures", "P@3"],
        ["fuse", "hyper-own", "plain-own", "--name", "both"],
        ["mine", "hyper-own", "--output", tmp_path / "rows.jsonl"],
        ["report", "hyper-own", "plain-own", "--html", page],
    ]
    for command in commands:
        assert main([*map(str, command), "--store", str(store)]) == 0, command
    assert Store.open(store).evaluations(Store.open(store).get("both").id), "judged as its runs are"
    assert "Grades are not shown" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "hyper-own"],
        ["mine", "hyper-own", "--output", "OUT/rows.jsonl"],
        ["search", "--embeddings", "hyper-beir", "--model", "hyper"],
        ["calibrate", "--embeddings", "hyper-beir", "--model", "hyper"],
        ["search", "--embeddings", "hyper-beir", "--model", "hyper", "--first", "plain"],
    ],
    ids=["eval", "mine", "search", "calibrate", "two stages"],
)
def test_a_place_of_somebody_else_is_shown_and_not_read(
    store: Path,
    beir: Path,
    somebody_else: Callable[[], None],
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    somebody_else()
    shutil.rmtree(beir)  # a place that is read would be missed
    arguments = [part.replace("OUT", str(tmp_path)) for part in command]
    capsys.readouterr()
    assert main([*arguments, "--store", str(store)]) == 2
    error = capsys.readouterr().err
    assert SOMEBODY in error
    assert str(beir) in error


def test_a_fused_run_is_not_evaluated_by_what_somebody_else_recorded(
    store: Path, beir: Path, somebody_else: Callable[[], None], hype: Any
) -> None:
    somebody_else()
    fused = ["fuse", "hyper-own", "plain-own", "--name", "both", "--store", store]
    done = hype(*fused, "--json")
    assert done.code == 0
    assert "not evaluated" in done.err
    both = Store.open(store).get("both")
    assert both.stats["qrels"] == str(beir / "qrels.txt")
    assert main(["eval", "both", "--store", str(store)]) == 2, "fusion does not make it own"
    named = ["eval", "both", "--qrels", str(beir), "--store", str(store)]
    assert main(named) == 0


def test_a_page_does_not_read_what_somebody_else_recorded(
    store: Path, somebody_else: Callable[[], None], tmp_path: Path
) -> None:
    somebody_else()
    page = tmp_path / "page.html"
    report = ["report", "hyper-own", "plain-own", "--html", str(page), "--store", str(store)]
    assert main(report) == 0
    assert "Grades are not shown" in page.read_text(encoding="utf-8")


def test_judgements_of_ir_datasets_are_not_downloaded_for_somebody_else(store: Path) -> None:
    opened = Store.open(store)
    finder = JudgementFinder(opened)
    assert list(finder._places("irds:beir/scifact/test", [opened.get("hyper-run")])) == []


def test_default_queries_of_somebody_else_are_not_read(
    store: Path, beir: Path, somebody_else: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    queries = str(beir / "queries.jsonl")
    opened = Store.open(store)
    set_default(opened, "queries", queries)
    assert default_queries(opened) == queries
    search = ["search", "--embeddings", "hyper-beir", "--model", "hyper", "--store", str(store)]
    assert main(search) == 0
    somebody_else()
    capsys.readouterr()
    assert main(search) == 2
    error = capsys.readouterr().err
    assert f"hype search {shlex.quote(queries)}" in error
    with pytest.raises(UsageError, match="default queries"):
        default_queries(opened)


def test_default_queries_without_a_seal_are_not_read(store: Path) -> None:
    with (store / "hype.toml").open("a", encoding="utf-8") as marker:
        marker.write('queries = "/etc/passwd"\n')
    with pytest.raises(UsageError, match="/etc/passwd"):
        default_queries(Store.open(store))


def test_default_queries_need_a_key(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(store / "hype.toml"))
    with pytest.raises(UsageError, match="key of this account"):
        set_default(Store.open(store), "queries", "vaswani")


def test_a_place_that_an_export_shortened_is_no_place_to_type(store: Path, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other")
    import_study(other, export_study(Store.open(store), tmp_path / "study.zip").path)
    with pytest.raises(UsageError, match=r"…/qrels\.txt") as caught:
        recorded_qrels(other.get("hyper-own"))
    assert "`qrels=FILE`" in str(caught.value.hint)
