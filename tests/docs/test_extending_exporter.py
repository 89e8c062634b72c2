"""The exporter of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

import hypestore
from tests.conftest import Hype
from tests.docs.installing import Example


@pytest.fixture
def installed(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the example, installed; the current folder is empty but for it."""
    monkeypatch.chdir(tmp_path)
    return site / "csv_exporter.py"


@pytest.mark.usefixtures("installed")
def test_what_the_page_types_writes_the_run(
    example: Callable[[str], Example], hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    commands = example("An export format").commands
    for command in commands:
        done = hype(*command, "--store", finished_study, "--json").json
        assert done["format"] == "csv"
    files = [tmp_path / "hyper-run.csv", tmp_path / "results.csv"]
    assert len(commands) == len(files)
    run = hypestore.Store.open(finished_study).run("hyper-run")
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert len(rows) == run.table().num_rows
        (query, ranking), *_ = run.rankings()
        first = rows[0]
        assert (first["query_id"], first["query"]) == (query, run.queries()[query])
        assert (first["doc_id"], int(first["rank"]), float(first["score"])) == ranking[0]


@pytest.mark.usefixtures("installed")
def test_a_format_of_runs_is_none_of_graphs(hype: Hype, finished_study: Path) -> None:
    common = ["--store", finished_study, "--format"]
    unknown = hype("export", "run", "hyper-run", *common, "cvs")
    assert (unknown.code, "'csv'" in unknown.err) == (2, True)
    other = hype("export", "embeddings", "hyper-docs", "-o", "docs.csv", *common, "csv")
    assert (other.code, other.out) == (2, "")
    assert not Path("docs.csv").exists()


def test_a_package_that_is_not_installed_offers_nothing(
    hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results.csv"
    refused = hype("export", "run", "hyper-run", "-o", output, "--store", finished_study)
    assert (refused.code, output.exists()) == (2, False)


def test_a_writer_that_fails_leaves_no_file(
    installed: Path, hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    code = installed.read_text(encoding="utf-8")
    failing = code.replace("texts[query_id], rank", "texts['nobody'], rank")
    assert failing != code
    installed.write_text(failing, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyError, match="nobody"):
        hype("export", "run", "hyper-run", "--format", "csv", "--store", finished_study)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_exporter_is_refused(installed: Path, hype: Hype, finished_study: Path) -> None:
    installed.write_text("CSV = 'text'\n", encoding="utf-8")
    refused = hype("export", "run", "hyper-run", "--format", "csv", "--store", finished_study)
    assert (refused.code, "run.csv" in refused.err) == (2, True)
