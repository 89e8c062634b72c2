"""Archives of studies of others: what they bring, and where it may go."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

import hypestore as hs
from hypestore.manifest import inputs_hash
from tests.conftest import Hype
from tests.hostile import little_memory, sealed, small_store


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return small_store(tmp_path / "store")


@pytest.fixture
def archive(store: hs.Store, hype: Hype, tmp_path: Path) -> Path:
    path = tmp_path / "good.zip"
    assert hype("export", "study", path, "--store", store.root).code == 0
    return path


def with_file(archive: Path, name: str, content: bytes, mode: int = 0o100644) -> Path:
    path = archive.with_name("evil.zip")
    path.write_bytes(archive.read_bytes())
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../../outside/new.txt", 0o100644),
        ("/tmp/new.txt", 0o100644),
        ("runs/x/../../../../outside/new.txt", 0o100644),
        ("runs/link", 0o120777),
        ("runs/device", 0o020666),
        ("hype.toml", 0o100644),
        ("catalog.duckdb", 0o100644),
        ("locks/store.lock", 0o100644),
        ("models/x-0123456789/model.safetensors", 0o100644),
        ("cache/x/index.bin", 0o100644),
    ],
)
def test_an_archive_brings_runs_and_nothing_else(
    hype: Hype, archive: Path, tmp_path: Path, outside: Path, name: str, mode: int
) -> None:
    evil = with_file(archive, name, b"/etc/passwd", mode)
    target = hs.Store.create(tmp_path / "target")
    before = sorted(target.root.rglob("*"))
    shown = hype("import", "study", evil, "--store", target.root)
    assert shown.code == 5
    assert "evil.zip" in shown.err
    assert [path for path in sorted(target.root.rglob("*")) if path not in before] == []


def test_a_bomb_in_an_archive_is_refused_before_it_is_unpacked(
    hype: Hype, archive: Path, tmp_path: Path
) -> None:
    target = hs.Store.create(tmp_path / "target")
    bomb = with_file(archive, "runs/bomb-0123456789/results.parquet", bytes(2**26))
    with little_memory(32 * 2**20):
        small = hype("import", "study", bomb, "--max-gigabytes", "0.01", "--store", target.root)
        large = hype("import", "study", bomb, "--store", target.root)
    assert (small.code, large.code) == (5, 5)
    assert "bytes at most are read" in small.err.replace(",", "") or "at most" in small.err
    assert target.artifacts() == []


def test_an_archive_of_tar_is_none(hype: Hype, tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "study.zip"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("../outside/new.txt")
        archive.addfile(entry)
    target = hs.Store.create(tmp_path / "target")
    shown = hype("import", "study", path, "--store", target.root)
    assert (shown.code, "not a ZIP file" in shown.err) == (5, True)


def test_a_run_of_the_archive_whose_parent_leads_elsewhere(
    hype: Hype, archive: Path, tmp_path: Path, outside: Path
) -> None:
    """A manifest that was changed, with the hash of its inputs made to fit."""
    inputs = {"corpus": "../../outside"}
    id_prefix = f"r-{inputs_hash('run', inputs)}"
    with zipfile.ZipFile(archive) as packed_study:
        files = {name: packed_study.read(name) for name in packed_study.namelist()}
    home = next(name for name in files if name.startswith("runs/")).split("/")[1]
    manifest = json.loads(files[f"runs/{home}/manifest.json"])
    manifest |= {"id": id_prefix, "inputs": inputs, "parents": ["../../outside"], "name": None}
    sealed(manifest)
    study = json.loads(files["study.json"])
    study |= {"artifacts": [id_prefix], "references": []}
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as out:
        out.writestr("study.json", json.dumps(study))
        out.writestr(f"runs/{id_prefix}/manifest.json", json.dumps(manifest))
        for name, content in files.items():
            if name.startswith(f"runs/{home}/") and not name.endswith("manifest.json"):
                out.writestr(f"runs/{id_prefix}/{name.split('/', 2)[2]}", content)
    target = hs.Store.create(tmp_path / "target")
    shown = hype("import", "study", evil, "--store", target.root)
    assert (shown.code, "names the parent" in shown.err) == (4, True)
    assert target.artifacts() == []
