"""Stores and data files of others: nothing beside them is read, written or believed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hypestore as hs
from hypestore.work.locks import hold
from tests.hostile import ARRAYS, little_memory, objects, sealed, small_store


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return small_store(tmp_path / "store")


# Links within a store


def link_of(outside: Path, store: hs.Store, name: str, kind: str, file: str) -> Path:
    """A file of an artifact that is a link to an equal one elsewhere."""
    path = store.path(store.get(name, kind)) / file  # type: ignore[arg-type]
    target = outside.parent / "elsewhere"
    target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)
    return path


LINKED: dict[str, tuple[str, str, str, Callable[[hs.Store], object]]] = {
    "vectors": ("docs", "embeddings", "vectors-00001.parquet", lambda s: s.embeddings("docs")),
    "texts": ("docs", "embeddings", "text-00000.parquet", lambda s: s.embeddings("docs")),
    "graph": ("near", "graph", "neighbours.npy", lambda s: s.graph("near")),
    "results": ("run", "run", "results.parquet", lambda s: s.run("run").table()),
    "queries": ("run", "run", "queries.parquet", lambda s: s.run("run").queries()),
}


@pytest.mark.parametrize("case", LINKED)
def test_a_file_that_is_a_link_is_not_followed(store: hs.Store, outside: Path, case: str) -> None:
    name, kind, file, read = LINKED[case]
    folder = store.path(store.get(name, kind))  # type: ignore[arg-type]
    actual = sorted(path.name for path in folder.iterdir())
    assert file in actual, actual
    link_of(outside, store, name, kind, file)
    with pytest.raises(hs.DamagedArtifact, match="is a link"):
        read(store)


@pytest.mark.parametrize("file", ["catalog.lock", "catalog.lock.holder"])
def test_a_lock_that_is_a_link_overwrites_nothing(
    store: hs.Store, outside: Path, file: str
) -> None:
    lock = store.root / "locks" / "catalog.lock"
    for existing in (lock, lock.with_name("catalog.lock.holder")):
        existing.unlink(missing_ok=True)
    (store.root / "locks" / file).symlink_to(outside / "secret.txt")
    with pytest.raises(hs.DamagedArtifact, match="is a link"), hold(lock, what="x"):
        pass


def test_locks_in_a_folder_elsewhere_are_not_taken(tmp_path: Path, outside: Path) -> None:
    store_made = hs.Store.create(tmp_path / "store")
    (store_made.root / "locks").rmdir()
    (store_made.root / "locks").symlink_to(outside)
    with pytest.raises(hs.StoreError, match="is a link"):
        store_made.set_default("model", "x")


@pytest.mark.parametrize("name", ["catalog.duckdb", "catalog.duckdb.wal"])
def test_a_catalog_that_is_a_link_is_replaced_and_its_target_stays(
    store: hs.Store, outside: Path, name: str
) -> None:
    """Its tables would be dropped, to make room for those of the catalog."""
    other = outside.parent / "other.duckdb"
    with duckdb.connect(str(other)) as mine:
        mine.execute("CREATE TABLE mine AS SELECT 42 AS x")
    before = other.read_bytes()
    (store.root / "catalog.duckdb").unlink(missing_ok=True)
    (store.root / name).symlink_to(other)
    assert store.catalog.query("SELECT run_name FROM (SELECT name AS run_name FROM runs)").rows
    assert store.catalog.sync()
    assert other.read_bytes() == before
    assert not (store.root / name).is_symlink()


def test_progress_that_is_a_link_is_not_written(tmp_path: Path, outside: Path) -> None:
    store_made = hs.Store.create(tmp_path / "store")
    with store_made.draft("model", "m", {}) as draft:
        (draft.path / "progress.jsonl").symlink_to(outside / "secret.txt")
        with pytest.raises(hs.DamagedArtifact, match="is a link"):
            draft.progress([(1, "loss", 0.5)])


def test_removing_what_links_elsewhere_leaves_that(store: hs.Store, outside: Path) -> None:
    folder = store.path(store.get("run", "run"))
    (folder / "more").symlink_to(outside)
    store.remove("run", force=True)
    store.doctor(clean=True)
    assert not folder.exists()


# Manifests


def rewrite(
    store: hs.Store, name: str, kind: str, change: Callable[[dict[str, Any]], None]
) -> Path:
    path = store.path(store.get(name, kind)) / "manifest.json"  # type: ignore[arg-type]
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    sealed(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "..", "a\\..\\x", "", "a/../../../secret.txt"]
)
def test_a_manifest_lists_files_of_its_folder_alone(store: hs.Store, path: str) -> None:
    def elsewhere(raw: dict[str, Any]) -> None:
        raw["files"][0]["path"] = path

    run = store.get("run", "run").id
    rewrite(store, "run", "run", elsewhere)
    fresh = hs.Store.open(store.root)
    assert [finding.severity for finding in fresh.doctor().findings][:1] == ["error"]
    with pytest.raises(hs.StoreError, match="does not lie inside"):
        fresh.get(run)


@pytest.mark.parametrize(
    "change",
    [
        {"stats": {"n_documents": 10**15, "shard_rows": 1}},
        {"stats": {"n_documents": 10**15, "shard_rows": 10**15}},
        {"stats": {"n_documents": 5, "shard_rows": 0}},
        {"stats": {"n_documents": 5, "shard_rows": -3}},
        {"stats": {"n_documents": -5, "shard_rows": 3}},
        {"stats": {"n_documents": 5.5, "shard_rows": 3}},
        {"inputs": {"dim": 10**15}},
        {"inputs": {"dim": -4}},
        {"inputs": {"storage_dtype": "object"}},
        {"inputs": {"storage_dtype": "O8"}},
        {"inputs": {"storage_dtype": None}},
    ],
    ids=str,
)
def test_numbers_of_a_manifest_lay_nothing_out(
    store: hs.Store, change: dict[str, dict[str, object]]
) -> None:
    def absurd(raw: dict[str, Any]) -> None:
        for part, values in change.items():
            raw[part].update(values)

    rewrite(store, "docs", "embeddings", absurd)

    def read() -> None:
        list(hs.Store.open(store.root).embeddings("docs").blocks())

    with little_memory(), pytest.raises(hs.DamagedArtifact):
        read()


@pytest.mark.parametrize("name", ["a b", "a\nError: b", "\x1b[31m", "x" * 300, ""])
def test_names_of_manifests_are_names(store: hs.Store, name: str) -> None:
    rewrite(store, "run", "run", lambda raw: raw.update(name=name))
    assert hs.Store.open(store.root).artifacts("run") == []


def test_a_manifest_without_end_is_damage(store: hs.Store) -> None:
    folder = store.path(store.get("run", "run"))
    (folder / "manifest.json").write_text('{"a":' * 100_000, encoding="utf-8")
    fresh = hs.Store.open(store.root)
    assert fresh.artifacts("run") == []
    assert fresh.doctor().findings[0].severity == "error"


# Files of vectors, graphs and tables


def test_a_shard_with_another_width_or_length_is_refused(store: hs.Store) -> None:
    path = store.path(store.get("docs", "embeddings")) / "vectors-00000.parquet"
    size = path.stat().st_size
    table = pq.read_table(path)
    thin = pa.table({"vector": table["vector"], "doc_id": ["d"] * 3, "more": [1, 2, 3]})
    for created in (thin, table.slice(0, 1), table.select(["doc_id"])):
        pq.write_table(created, path)
        path.write_bytes(path.read_bytes().ljust(size, b"\0")[:size])
        with pytest.raises(hs.DamagedArtifact):
            list(hs.Store.open(store.root).embeddings("docs").blocks())


def varint(number: int) -> bytes:
    """A number as Parquet's footer has it: seven bits a byte, the last byte without the eighth."""
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def footer(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the footer of a Parquet file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[-8:-4])
    start = len(content) - 8 - length
    changed = change(content[start:-8])
    assert changed != content[start:-8]
    path.write_bytes(content[:start] + changed + struct.pack("<I", len(changed)) + b"PAR1")


def test_a_footer_that_claims_more_rows_than_there_are_is_damage(tmp_path: Path) -> None:
    """The number of rows as Parquet writes it, made the largest that there is."""
    from hypestore.tables import read_table

    rows = 1_234
    claimed = varint(2 * (2**62))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": pa.array(range(rows))}), path, use_dictionary=False)
    footer(path, lambda old: old.replace(varint(2 * rows), claimed))
    with little_memory(), pytest.raises(hs.DamagedArtifact):
        read_table(path)


def test_a_footer_longer_than_its_file_is_damage(tmp_path: Path) -> None:
    from hypestore.embeddings.vector_file import VectorFile
    from hypestore.tables import read_table

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    content = path.read_bytes()
    for claim in (2**31 - 1, 2**32 - 1, len(content)):
        path.write_bytes(content[:-8] + struct.pack("<I", claim) + b"PAR1")
        for read in (read_table, VectorFile):
            with little_memory(), pytest.raises(hs.DamagedArtifact):
                read(path)


@pytest.mark.parametrize("case", [*ARRAYS, "objects"])
def test_graphs_of_others(store: hs.Store, canary: Path, case: str) -> None:
    content = ARRAYS.get(case) or objects(canary)
    path = store.path(store.get("near", "graph")) / "neighbours.npy"
    path.write_bytes(content)

    def as_listed(raw: dict[str, Any]) -> None:
        raw["files"][0]["size_bytes"] = len(content)
        raw["stats"]["n_documents"], raw["inputs"]["k"] = 2**50, 2

    rewrite(store, "near", "graph", as_listed)
    with little_memory(), pytest.raises(hs.DamagedArtifact):
        hs.Store.open(store.root).graph("near")
