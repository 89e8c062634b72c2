"""The exporter of docs/extending-exporter.md, installed as a package of a user's own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypestore
from tests.conftest import Hype
from tests.docs.installing import install_page, typed_commands


@pytest.fixture
def page(repository: Path) -> Path:
    return repository / "docs" / "extending-exporter.md"


@pytest.fixture
def installed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = install_page(page, tmp_path / "site", monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield module
    sys.modules.pop(module, None)


@pytest.mark.usefixtures("installed")
def test_what_the_page_types_writes_the_run(
    page: Path, hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    commands = typed_commands(page)
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
    installed: str, hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    module = tmp_path / "site" / f"{installed}.py"
    code = module.read_text(encoding="utf-8")
    failing = code.replace("texts[query_id], rank", "texts['nobody'], rank")
    assert failing != code
    module.write_text(failing, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyError, match="nobody"):
        hype("export", "run", "hyper-run", "--format", "csv", "--store", finished_study)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_exporter_is_refused(
    installed: str, hype: Hype, finished_study: Path, tmp_path: Path
) -> None:
    (tmp_path / "site" / f"{installed}.py").write_text("CSV = 'text'\n", encoding="utf-8")
    refused = hype("export", "run", "hyper-run", "--format", "csv", "--store", finished_study)
    assert (refused.code, "run.csv" in refused.err) == (2, True)
