"""Invariant 7: opening and reading write nothing, and a read-only folder is good enough."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

READER = """
    import json, os, sys
    import duckdb, numpy, pandas, pyarrow.compute, pyarrow.parquet, encodings.idna
    import hypestore as hs
    import hypestore.store

    if os.geteuid() == 0:  # root may write anywhere: become somebody who may not
        os.setgid(65534)
        os.setuid(65534)
    store = hs.Store.open(sys.argv[1])
    try:
        (store.root / "x").write_text("x")
        sys.exit("the folder is writable after all")
    except PermissionError:
        pass
    refused = []
    for write in (
        lambda: store.set_default("model", "x"),
        lambda: store.remove("first"),
        lambda: store.draft("model", "m", {}).__enter__(),
        lambda: store.catalog.rebuild(),
        lambda: hs.atomic_write_text(store.root / "file", "x"),
        lambda: hs.Store.create(store.root / "runs" / "new"),
        lambda: store.doctor(clean=True) if sys.argv[2] == "unfinished" else store.remove("first"),
    ):
        try:
            write()
        except hs.StoreNotWritable as error:
            refused.append(error.message)
    embeddings = store.embeddings(store.artifacts("embeddings")[0].id)
    report = store.doctor(checksums=True)
    print(json.dumps({
        "artifacts": len(store.artifacts()),
        "results": store.run("first").results(),
        "leaderboard": store.catalog.query("SELECT value FROM leaderboard ORDER BY 1").rows,
        "synced": store.catalog.sync(),
        "ids": embeddings.ids([0, 9]),
        "sum": float(sum(block.sum() for _, block in embeddings.blocks())),
        "findings": [f"{f.severity}: {f.problem}" for f in report.findings],
        "refused": len(refused),
    }))
"""


def lock_up(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) | 0o444)


@pytest.mark.parametrize("state", ["in step", "behind", "absent", "unfinished"])
@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX permissions")
def test_a_read_only_store_opens_and_reports(
    filled: Any,
    open_folder: Path,
    python: Callable[..., Any],
    vectors: Callable[..., Any],
    snapshot: Callable[[Path], object],
    state: str,
) -> None:
    import json

    root = open_folder / "store"
    if state == "unfinished":
        with filled.store.draft("model", "m", {"unfinished": 1}) as draft:
            (draft.path / "part").write_text("x")
    if state == "absent":
        filled.store.catalog.path.unlink()
    if state == "behind":
        filled.store.remove(filled.evaluation.id)
        shutil.copy(filled.store.catalog.path, open_folder / "old")
        filled.store.write_evaluation(
            "first",
            qrels_id="qrels",
            inputs={},
            per_query=[],
            aggregates={"nDCG@10": 0.25, "RR": 0.5},
        )
        shutil.copy(open_folder / "old", filled.store.catalog.path)
    shutil.copytree(filled.root, root)
    lock_up(root)
    before = snapshot(root)
    output, errors = python(READER, root, state).communicate(timeout=60)
    assert output, errors
    parsed = json.loads(output)
    assert snapshot(root) == before
    assert parsed["artifacts"] == 4
    assert parsed["results"]["q1"] == [["d1", 2.0], ["d2", 1.0]]
    assert parsed["leaderboard"] == [[0.25], [0.5]]
    assert parsed["synced"] is (False)
    assert parsed["ids"] == ["d0", "d9"]
    assert parsed["sum"] == pytest.approx(float(vectors(10).sum()))
    assert not [finding for finding in parsed["findings"] if finding.startswith("error")]
    assert parsed["refused"] == 7


def test_invariant_7_opening_and_looking_write_nothing(
    filled: Any, snapshot: Callable[[Path], object]
) -> None:
    shutil.rmtree(filled.root / "locks")
    before = snapshot(filled.root)
    store = hs.Store.open(hs.find_store(filled.root / "runs"))
    assert dict(store.defaults) == {}
    assert len(store.artifacts()) == 4
    store.get("first")
    store.parents_of("first")
    store.children_of("first")
    store.find("run", {"k": 2})
    store.run("first").results()
    store.aggregates(filled.evaluation.id)
    opened = store.embeddings(filled.embeddings.id)
    opened.texts([1])
    opened.vectors([1])
    store.doctor(checksums=True)
    with store.draft("model", "tiny", filled.model.inputs) as draft:
        assert draft.existing == filled.model
    assert snapshot(filled.root) == before
