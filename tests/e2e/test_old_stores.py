"""Stores that released versions made are opened, brought up to date, and gone on with.

Each sample is a store with the files that it was made from: ``hype init``, ``train``, ``encode``
and ``search --qrels`` of that version. On the way to 0.3.0 the catalog had a version of its own.
That of 0.4.0 holds more than that: see ``test_old_store_0_4.py``.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import duckdb
import pytest

import hypestore as hs
from hypencli.__main__ import main
from hypestore.catalog.schema import CATALOG_VERSION

SAMPLES = Path(__file__).parents[1] / "samples" / "stores"
CATALOGS = {
    "hype-0.1.0": 1,
    "hype-0.2.0": 2,
    "hype-0.3.0-catalog-3": 3,
    "hype-0.3.0": 4,
    "hype-0.4.0": 5,
}
ARTIFACTS = {5: 18}
"""Artifacts of the sample of a catalog version; the others have the four of ``COMMANDS``."""
MEASURES = {"nDCG@10": 0.3540, "RR": 0.3833, "R@1000": 0.4167}
COMMANDS = (
    (
        *("train", "tiny", "--name", "small", "--set", "model.backbone=backbone"),
        *("--set", "data.train=data/train.jsonl", "--set", "training.steps=3"),
    ),
    ("encode", "data/corpus.jsonl", "--model", "small", "--name", "docs"),
    (
        *("search", "data/queries.jsonl", "--model", "small", "--k", "5", "--name", "first"),
        *("--qrels", "data/qrels.txt"),
    ),
)
"""What made each sample, or the first artifacts of it."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def catalog_version(store: Path) -> int:
    with duckdb.connect(str(store / "catalog.duckdb"), read_only=True) as connection:
        ((version,),) = connection.execute("SELECT version FROM catalog_meta").fetchall()
        return int(version)


@pytest.fixture(params=CATALOGS)
def old(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, int]:
    """A store of an earlier version, in the current folder, and the version of its catalog."""
    with zipfile.ZipFile(SAMPLES / f"{request.param}.zip") as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store", CATALOGS[request.param]


def test_there_is_a_store_of_every_earlier_catalog() -> None:
    earlier = set(range(1, CATALOG_VERSION))
    assert earlier <= set(CATALOGS.values()) <= {*earlier, CATALOG_VERSION}
    assert {path.stem for path in SAMPLES.glob("*.zip")} == CATALOGS.keys()


def test_an_old_store_is_whole_and_its_catalog_is_brought_up_to_date(
    old: tuple[Path, int],
) -> None:
    root, version = old
    assert catalog_version(root) == version
    store = hs.Store.open(root)
    folders = [store.path(one) for one in store.artifacts()]
    before = [contents(folder) for folder in folders]
    rows = store.catalog.query("SELECT measure, value FROM leaderboard WHERE name = 'first'").rows
    actual = {measure: round(value, 4) for measure, value in rows}
    assert {measure: actual[measure] for measure in MEASURES} == MEASURES
    assert len(store.catalog.query("FROM efficiency WHERE name = 'first'").rows) == 1
    assert catalog_version(root) == CATALOG_VERSION
    report = store.doctor(checksums=True)
    assert report.healthy
    assert report.artifacts == len(folders) == ARTIFACTS.get(version, 4)
    assert [contents(folder) for folder in folders] == before


def test_the_commands_that_made_it_find_all_of_it_again(
    old: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Recipe, data, model, embedding set and run of an earlier version have the ids of this one."""
    root, _ = old
    existing = {one.id for one in hs.Store.open(root).artifacts()}
    said = []
    for command in COMMANDS:
        assert main([*command, "--device", "cpu", "--store", str(root)]) == 0
        said.append(" ".join(capsys.readouterr()))
    for text, words in zip(
        said, ("Already trained: small", "Already there: data-", "this run exists"), strict=True
    ):
        assert words in text
    assert {one.id for one in hs.Store.open(root).artifacts()} == existing


def test_it_is_gone_on_with(old: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    """The old weights and vectors, searched anew, give the old ranking."""
    root, _ = old
    search = [*COMMANDS[2][:-4], "--name", "second", "--store", str(root), "--device", "cpu"]
    search[search.index("5")] = "4"
    assert main(search) == 0
    store = hs.Store.open(root)
    first, second = (store.run(name).results() for name in ("first", "second"))
    assert {query: [one[0] for one in ranking][:4] for query, ranking in first.items()} == {
        query: [one[0] for one in ranking] for query, ranking in second.items()
    }
    for query, ranking in second.items():
        assert [one[1] for one in ranking] == pytest.approx(
            [one[1] for one in first[query][:4]], abs=1e-5
        )
    assert store.doctor(checksums=True).healthy
    capsys.readouterr()


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    with zipfile.ZipFile(SAMPLES / "hype-0.3.0.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "store"


def test_a_newer_store_is_refused_with_what_is_needed(
    newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = newest / "hype.toml"
    text = re.sub("format_version = 1", "format_version = 2", marker.read_text())
    marker.write_text(re.sub("hypencli >= 0.1", "hypencli >= 7.5", text))
    before = contents(newest)
    for verb in (["ls"], ["report"], ["doctor", "--clean", "--rebuild"], ["rm", "first"]):
        assert main([*verb, "--store", str(newest)]) == 4
        told = capsys.readouterr().err
        assert "format version 2" in told
        assert "hypencli >= 7.5" in told
        assert "Install a newer version" in told
    assert contents(newest) == before


def test_a_newer_artifact_in_an_old_store_is_refused_alone(
    newest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest,) = (newest / "runs").glob("*/manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 2}))
    assert main(["show", manifest.parent.name, "--store", str(newest)]) == 4
    assert "Install a newer version" in capsys.readouterr().err
    assert main(["ls", "--json", "--store", str(newest)]) == 0
    assert {one["kind"] for one in json.loads(capsys.readouterr().out)} >= {"model", "embeddings"}
    assert main(["doctor", "--store", str(newest)]) == 4


def test_a_newer_catalog_is_made_again(newest: Path) -> None:
    with duckdb.connect(str(newest / "catalog.duckdb")) as connection:
        connection.execute("UPDATE catalog_meta SET version = 99")
    assert len(hs.Store.open(newest).catalog.query("FROM runs").rows) == 1
    assert catalog_version(newest) == CATALOG_VERSION
