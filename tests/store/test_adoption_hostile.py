"""Manifests and tables that would disable a store or take its memory: refused before a move."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hypestore as hs
from hypestore.manifest import SEAL, inputs_hash, seal_of
from hypestore.runs.draft import QUERIES_SCHEMA


@pytest.fixture
def other(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "other")


def adopt_changed(
    filled: Any, other: hs.Store, content: dict[str, Any], folder: Path, **options: Any
) -> None:
    """Adopt the run with another manifest, with a sound seal and the id that its inputs give."""
    prefix = filled.run.id.rpartition("-")[0]
    content["id"] = f"{prefix}-{inputs_hash('run', content['inputs'])}"
    content["provenance"][SEAL] = seal_of(content)
    run = folder / content["id"]
    (folder / "run").rename(run)
    (run / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    references = []
    for manifest in (filled.embeddings, filled.model):
        references.append(folder / manifest.id)
        references[-1].mkdir()
        shutil.copy(filled.store.path(manifest) / "manifest.json", references[-1])
    other.adopt([run], references, **options)


def prepared(filled: Any, folder: Path) -> dict[str, Any]:
    shutil.copytree(filled.store.path(filled.run), folder / "run")
    content: dict[str, Any] = json.loads((folder / "run/manifest.json").read_text())
    return content


HUGE = {
    "k": lambda content: content["inputs"].update(k=3_000_000_000),
    "negative k": lambda content: content["inputs"].update(k=-1),
    "an input": lambda content: content["inputs"].update(width=2**63),
    "n_queries": lambda content: content["stats"].update(n_queries=10**30),
    "seconds": lambda content: content["stats"].update(seconds={"total": 10**400}),
    "nested": lambda content: content["provenance"].update(x=[{"y": [-(10**20)]}]),
    "year 1": lambda content: content.update(created="0001-01-01T00:00:00+14:00"),
    "year 9999": lambda content: content.update(created="9999-12-31T23:59:59-14:00"),
}


@pytest.mark.parametrize("case", HUGE)
def test_numbers_and_dates_that_no_column_holds_are_refused(
    filled: Any, other: hs.Store, case: str
) -> None:
    with other.staging() as folder:
        content = prepared(filled, folder)
        HUGE[case](content)
        with pytest.raises(hs.StoreError, match=r"k that no run|64 bits|of the year"):
            adopt_changed(filled, other, content, folder)
    assert other.artifacts() == other.references() == []


def test_the_same_run_with_sound_numbers_is_adopted(filled: Any, other: hs.Store) -> None:
    with other.staging() as folder:
        content = prepared(filled, folder)
        content["inputs"]["k"] = 2**31 - 1
        content["stats"]["n_queries"] = 2**63 - 1
        adopt_changed(filled, other, content, folder)
    assert other.catalog.query("SELECT k, n_queries FROM runs").rows == ((2**31 - 1, 2**63 - 1),)


def bomb(path: Path, *, rows: int) -> None:
    """A sound file of queries of a few kilobytes, whose texts take a megabyte each."""
    schema = pa.schema([QUERIES_SCHEMA.field(0), QUERIES_SCHEMA.field(1)])
    ids = pa.array([f"q{i}" for i in range(rows)])
    text = pa.array(["x" * 2**20])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        writer.write_table(pa.table([ids, text.take(pa.array([0] * rows))], schema=schema))


@pytest.mark.parametrize("limit", [2**28, 2**30])
def test_tables_that_unpack_to_more_than_the_limit_are_refused(
    filled: Any, other: hs.Store, limit: int
) -> None:
    with other.staging() as folder:
        content = prepared(filled, folder)
        path = folder / "run/queries.parquet"
        bomb(path, rows=500)
        assert path.stat().st_size < 100_000
        for record in content["files"]:
            if record["path"] == path.name:
                record["size_bytes"] = path.stat().st_size
                record["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        if limit < 500 * 2**20:
            with pytest.raises(hs.DamagedArtifact, match="at most are read"):
                adopt_changed(filled, other, content, folder, max_table_bytes=limit)
            assert other.artifacts() == []
        else:
            adopt_changed(filled, other, content, folder, max_table_bytes=limit)
            assert len(other.artifacts()) == 1
