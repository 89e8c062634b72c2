"""Work in progress: seen while it runs, gone when it is finished or discarded."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hypestore as hs
from hypestore.catalog import build as catalog_build

Start = Callable[..., Any]

WORKER = """
    import sys, hypestore as hs
    store = hs.Store.open(sys.argv[1])
    with store.draft("model", "m", {"recipe": "r"}, name="long") as draft:
        print(draft.id, flush=True)
        for line in sys.stdin:
            step = int(line)
            draft.progress([(step, "loss", 1 / step), (step, "learning_rate", 0.5)])
            print("logged", flush=True)
"""


def curves(store: hs.Store) -> tuple[Any, ...]:
    return store.catalog.query("FROM training_curves ORDER BY ALL").rows


def work(store: hs.Store) -> tuple[Any, ...]:
    return store.catalog.query("SELECT id, name, kind, last_step FROM unfinished ORDER BY 1").rows


def log(store: hs.Store, points: list[hs.Point], **inputs: object) -> Path:
    with store.draft("model", "m", inputs) as draft:
        draft.progress(points)
    return draft.path


def test_work_is_listed_with_who_holds_it(store: hs.Store) -> None:
    assert store.unfinished() == []
    with store.draft("model", "m", {"seed": 1}, name="long") as draft:
        (actual,) = store.unfinished()
        assert (actual.kind, actual.id, actual.name) == ("model", draft.id, "long")
        assert (actual.inputs, actual.path) == ({"seed": 1}, draft.path)
        assert actual.is_held
        assert str(actual.holder).startswith(f"process {os.getpid()} on ")
        assert store.unfinished("run") == []
        with store.draft("run", "r", {}) as other:
            assert [one.id for one in store.unfinished()] == [draft.id, other.id]
    (left, _) = store.unfinished()
    assert (left.is_held, left.holder, left.started) == (False, None, actual.started)
    with store.draft("model", "m", {"seed": 1}, name="long") as draft:
        draft.commit()
        assert [one.kind for one in store.unfinished()] == ["run"]


def test_a_part_of_an_embedding_set_is_held_work(store: hs.Store) -> None:
    spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, dim=2)
    with store.embedding_work(spec, part=(2, 3)):
        (actual,) = store.unfinished("embeddings")
        assert (actual.id, actual.is_held) == (spec.id, True)


def test_folders_that_do_not_say_what_they_are_are_left_out(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        pass
    moved = draft.path.rename(draft.path.with_name("another-0123456789"))
    assert store.unfinished() == []
    (moved / "work.json").write_text("{")
    assert store.unfinished() == []


def test_work_is_found_by_id_name_and_beginning(store: hs.Store) -> None:
    with (
        store.draft("model", "m", {"seed": 1}, name="long") as first,
        store.draft("model", "m", {"seed": 2}) as second,
    ):
        pass
    for reference, expected in (
        (first.id, first.id),
        ("long", first.id),
        (second.id[:-2], second.id),
    ):
        actual = store.find_unfinished(reference)
        assert actual is not None
        assert actual.id == expected
    assert store.find_unfinished("absent") is None
    assert store.find_unfinished("") is None
    assert store.find_unfinished("long", "run") is None
    with pytest.raises(hs.AmbiguousReference, match="fits 2") as caught:
        store.find_unfinished("m-")
    assert first.id in str(caught.value.hint)


def test_points_are_appended_as_specified(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        assert hs.read_progress(draft.path) == []
        draft.progress([(1, "loss", 0.5)])
        draft.progress([(2, "validation.nDCG@10", 1), (2, "norm ü", math.inf)])
        lines = (draft.path / hs.PROGRESS_NAME).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [
            {"step": 1, "name": "loss", "value": 0.5},
            {"step": 2, "name": "validation.nDCG@10", "value": 1.0},
            {"step": 2, "name": "norm ü", "value": None},
        ]
        points = hs.read_progress(draft.path)
        assert points[:2] == [(1, "loss", 0.5), (2, "validation.nDCG@10", 1.0)]
        assert points[2][:2] == (2, "norm ü")
        assert math.isnan(points[2][2])


def test_a_torn_line_is_passed_over_and_ended(store: hs.Store) -> None:
    path = log(store, [(1, "loss", 0.5)]) / hs.PROGRESS_NAME
    with path.open("a") as stream:
        stream.write('{"step": 2, "name": "lo')
    assert hs.read_progress(path.parent) == [(1, "loss", 0.5)]
    log(store, [(2, "loss", 0.25)])
    assert hs.read_progress(path.parent) == [(1, "loss", 0.5), (2, "loss", 0.25)]
    for line in ("", "[]", "1", '{"step": 3}', '{"step": "x", "name": "a", "value": 1}', "\x00"):
        path.write_text(line + "\n" + path.read_text())
    assert len(hs.read_progress(path.parent)) == 2


def test_steps_that_go_back_replace_what_was_lost(store: hs.Store) -> None:
    folder = log(store, [(step, "loss", float(step)) for step in range(10, 70, 10)])
    log(store, [(40, "loss", 0.4), (40, "rate", 1.0)])
    assert hs.read_progress(folder) == [
        (10, "loss", 10.0),
        (20, "loss", 20.0),
        (30, "loss", 30.0),
        (40, "loss", 0.4),
        (40, "rate", 1.0),
    ]
    log(store, [(10, "loss", 0.1)])
    assert hs.read_progress(folder) == [(10, "loss", 0.1)]


def test_progress_is_no_part_of_the_artifact(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        draft.progress([(1, "loss", 0.5)])
        (draft.path / "config.json").write_text("{}")
        manifest = draft.commit()
        with pytest.raises(hs.StoreError, match="finished"):
            draft.progress([(2, "loss", 0.25)])
    assert [file.path for file in manifest.files] == ["config.json"]
    assert [path.name for path in sorted(draft.path.iterdir())] == ["config.json", "manifest.json"]


@pytest.mark.parametrize("from_memory", [False, True])
def test_the_catalog_follows_work_to_its_end(
    filled: Any, from_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled.store
    if from_memory:
        monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    assert (work(store), curves(store)) == ((), ())
    with store.draft("model", "m", {"seed": 1}, name="long") as draft:
        assert work(store) == ((draft.id, "long", "model", None),)
        draft.progress([(10, "loss", 0.5)])
        assert work(store) == ((draft.id, "long", "model", 10),)
        assert curves(store) == ((draft.id, 10, "loss", 0.5),)
        draft.progress([(20, "loss", 0.25)])
        assert curves(store) == ((draft.id, 10, "loss", 0.5), (draft.id, 20, "loss", 0.25))
        table = pa.table({"step": [10, 20], "name": ["loss", "loss"], "value": [1.5, 1.25]})
        pq.write_table(table, draft.path / "training.parquet")
        assert [row[3] for row in curves(store)] == [0.5, 0.25]
        draft.commit()
    assert work(store) == ()
    assert [row[3] for row in curves(store)] == [1.5, 1.25]
    store.remove(draft.id)
    assert curves(store) == ()


def test_times_in_the_catalog_are_those_of_the_files(store: hs.Store) -> None:
    folder = log(store, [(1, "loss", 0.5)])
    os.utime(folder / hs.PROGRESS_NAME, ns=(0, 1_700_000_000_123_456_789))
    (actual,) = store.unfinished()
    assert store.catalog.query("SELECT started, updated, progress_bytes FROM unfinished").rows == (
        (
            actual.started.replace(tzinfo=None).isoformat(),
            "2023-11-14T22:13:20.123456",
            (folder / hs.PROGRESS_NAME).stat().st_size,
        ),
    )


def test_discarded_work_is_forgotten(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        draft.progress([(1, "loss", 0.5)])
        assert len(curves(store)) == 1
        draft.discard()
    assert (work(store), curves(store)) == ((), ())
    log(store, [(1, "loss", 0.5)])
    assert len(curves(store)) == 1
    store.doctor(clean=True)
    assert (work(store), curves(store)) == ((), ())


def test_only_work_that_went_on_is_read_again(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = catalog_build.read_progress

    def spy(folder: Path) -> Any:
        read.append(folder)
        return original(folder)

    monkeypatch.setattr(catalog_build, "read_progress", spy)
    first, second = (log(store, [(1, "loss", 0.5)], seed=seed) for seed in (1, 2))
    assert len(curves(store)) == 2
    assert sorted(read) == sorted([first, second])
    assert len(curves(store)) == 2
    assert len(read) == 2
    log(store, [(2, "loss", 0.25)], seed=2)
    assert len(curves(store)) == 3
    assert read[2:] == [second]
    before = store.catalog.path.stat().st_mtime_ns
    curves(store)
    assert store.catalog.path.stat().st_mtime_ns == before


def test_a_running_training_does_not_put_the_catalog_out_of_step(store: hs.Store) -> None:
    curves(store)
    with store.draft("model", "m", {}) as draft:
        draft.progress([(1, "loss", 0.5)])
        assert store.catalog.in_step() is True
        assert [finding.severity for finding in store.doctor().findings] == ["info"]


def test_one_process_watches_another(store: hs.Store, python: Start) -> None:
    other = python(WORKER, store.root)
    artifact = other.stdout.readline().strip()
    for step in (1, 2, 4):
        other.stdin.write(f"{step}\n")
        other.stdin.flush()
        assert other.stdout.readline() == "logged\n"
        (actual,) = store.unfinished()
        assert actual.holder is not None
        assert f"process {other.pid} " in actual.holder
        assert work(store) == ((artifact, "long", "model", step),)
        assert (artifact, step, "loss", 1 / step) in curves(store)
    other.kill()
    other.wait()
    (left,) = store.unfinished()
    assert (left.id, left.is_held) == (artifact, False)
    assert len(curves(store)) == 6


def test_watching_gets_in_nobodys_way(store: hs.Store, python: Start) -> None:
    """Asking who holds a lock takes it for a moment: whoever begins just then must not fail."""
    watcher = python(
        """
        import sys, hypestore as hs
        store = hs.Store.open(sys.argv[1])
        print("watching", flush=True)
        while True:
            store.unfinished()
        """,
        store.root,
    )
    with store.draft("model", "m", {}):
        pass
    assert watcher.stdout.readline() == "watching\n"
    for _ in range(200):
        with store.draft("model", "m", {}):
            pass
