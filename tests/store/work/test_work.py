"""Artifacts come to be in one moment, once, and do not change."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs


def test_invariant_1_an_artifact_exists_when_its_manifest_does(store: hs.Store) -> None:
    with store.draft("model", "m", {"a": 1}) as draft:
        (draft.path / "weights").mkdir()
        (draft.path / "weights" / "part.bin").write_bytes(b"123")
        assert store.artifacts() == []
        assert not store.has(draft.id)
        assert not (draft.path / "manifest.json").exists()
        manifest = draft.commit(stats={"n": 1}, provenance={"seed": 3})
    assert store.artifacts() == [manifest]
    assert [(file.path, file.size_bytes) for file in manifest.files] == [("weights/part.bin", 3)]
    assert manifest.stats == {"n": 1}
    assert not (store.path(manifest) / "work.json").exists()


def test_invariant_1_a_finished_artifact_does_not_change(
    filled: Any,
    snapshot: Callable[[Path], object],
    make_model: Callable[..., hs.Manifest],
    make_run: Callable[..., hs.Manifest],
    evaluate: Callable[..., hs.Manifest],
) -> None:
    folders = [filled.store.path(manifest) for manifest in filled.store.artifacts()]
    before = [snapshot(folder) for folder in folders]
    assert make_model(filled.store, "another-name") == filled.model
    make_run(filled.store, seed=5)
    evaluate(filled.store, filled.run.id)
    evaluate(filled.store, filled.run.id, 0.75, measures=["RR"])
    assert len(filled.store.artifacts()) == 6
    assert [snapshot(folder) for folder in folders] == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"12")])
def test_what_has_lost_a_file_is_not_said_to_be_there(
    store: hs.Store, make_embeddings: Callable[..., hs.Manifest], damage: Callable[[Path], object]
) -> None:
    """A model, and an embedding set: the same command again names the file."""

    def make() -> hs.Manifest:
        with store.draft("model", "m", {"a": 1}) as draft:
            if draft.existing is None:
                (draft.path / "part.bin").write_bytes(b"123")
            return draft.commit()

    manifest, embeddings = make(), make_embeddings(store)
    damage(store.path(manifest) / "part.bin")
    damage(store.path(embeddings) / "vectors-00000.parquet")
    for again, name in ((make, "part.bin"), (lambda: make_embeddings(store), "vectors-00000")):
        with pytest.raises(hs.DamagedArtifact, match=name) as caught:
            again()
        assert caught.value.hint == "hype doctor"


@pytest.mark.parametrize("place", [".", "work.json", "deep/er"])
def test_work_with_a_link_is_not_gone_on_with(store: hs.Store, tmp_path: Path, place: str) -> None:
    with store.draft("model", "m", {"a": 1}) as draft:
        (draft.path / "deep").mkdir()
    link = draft.path / place
    if link == draft.path:
        link.rename(tmp_path / "elsewhere")
    else:
        link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(hs.DamagedArtifact, match="is a link") as caught, draft:
        pass
    assert f"hype rm {draft.id}" in str(caught.value.hint)


def test_invariant_3_the_same_inputs_are_made_once(store: hs.Store) -> None:
    collected = []
    for _ in range(2):
        with store.draft("model", "m", {"a": 1, "b": [2]}) as draft:
            if draft.existing is None:
                collected.append(draft.id)
            manifest = draft.commit()
    assert collected == [manifest.id]
    with store.draft("model", "m", {"b": [2], "a": 1}) as draft:
        assert draft.existing == manifest
    with store.draft("model", "m", {"b": [2], "a": 2}) as draft:
        assert draft.existing is None
        assert draft.id != manifest.id


def test_leaving_without_commit_keeps_the_files(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        (draft.path / "checkpoint-1").write_text("half")
        (draft.path / ".checkpoint-2.123-abcdef00.tmp").write_text("a killed writer's")
    assert store.artifacts() == []
    with store.draft("model", "m", {}) as draft:
        assert (draft.path / "checkpoint-1").read_text() == "half"
        assert draft.existing is None
        manifest = draft.commit()
    assert [file.path for file in manifest.files] == ["checkpoint-1"]


def test_discard_removes_the_files(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        (draft.path / "x").write_text("x")
        draft.discard()
    assert list((store.root / "models").iterdir()) == []


def test_a_finished_artifact_is_not_discarded(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        manifest = draft.commit()
        with pytest.raises(hs.StoreError, match="finished"):
            draft.discard()
    assert store.artifacts() == [manifest]


def test_links_are_refused(store: hs.Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("x")
    with store.draft("model", "m", {}) as draft:
        (draft.path / "weights").symlink_to(tmp_path / "weights")
        with pytest.raises(hs.InvalidContent, match="link"):
            draft.commit()
    assert store.artifacts() == []


def test_a_parent_must_be_there(store: hs.Store) -> None:
    with (
        pytest.raises(hs.ArtifactNotFound, match="absent"),
        store.draft("run", "r", {}, parents=("absent",)),
    ):
        pass


def test_a_parent_must_still_be_there_at_the_end(
    store: hs.Store, make_model: Callable[..., hs.Manifest]
) -> None:
    model = make_model(store)
    with store.draft("run", "r", {}, parents=(model.id,)) as draft:
        shutil.rmtree(store.path(model))
        with pytest.raises(hs.ArtifactNotFound, match=model.id):
            draft.commit()
    assert store.artifacts() == []


def test_a_name_is_taken_once_a_kind(
    store: hs.Store, make_model: Callable[..., hs.Manifest], make_run: Callable[..., hs.Manifest]
) -> None:
    first = make_model(store, "good")
    with pytest.raises(hs.NameTaken, match="good") as caught:
        make_model(store, "good", seed=2)
    assert first.id in str(caught.value.hint)
    assert make_model(store, "good") == first
    assert make_run(store, "good").name == "good"
    store.remove(first.id)
    assert make_model(store, "good", seed=2).name == "good"


def test_of_two_drafts_with_one_name_the_first_to_finish_has_it(store: hs.Store) -> None:
    with store.draft("model", "m", {"a": 1}, name="n") as one:
        with store.draft("model", "m", {"a": 2}, name="n") as two:
            two.commit()
        with pytest.raises(hs.NameTaken):
            one.commit()


def test_one_process_at_a_time_makes_an_artifact(
    store: hs.Store, python: Callable[..., Any]
) -> None:
    code = """
        import sys, hypestore as hs
        with hs.Store.open(sys.argv[1]).draft("model", "m", {}) as draft:
            print("in", flush=True)
            sys.stdin.readline()
            draft.commit()
        print("done", flush=True)
    """
    other = python(code, store.root)
    assert other.stdout.readline() == "in\n"
    with (
        pytest.raises(hs.ArtifactBusy, match=f"process {other.pid} on "),
        store.draft("model", "m", {}),
    ):
        pass
    # Whoever waits finds it finished.
    waiting = store.draft("model", "m", {}, wait_seconds=30)
    other.stdin.write("\n")
    other.stdin.flush()
    with waiting as draft:
        assert draft.existing is not None
        assert draft.commit() == draft.existing


def test_the_lock_of_a_killed_process_is_free(store: hs.Store, python: Callable[..., Any]) -> None:
    code = """
        import sys, time, hypestore as hs
        with hs.Store.open(sys.argv[1]).draft("model", "m", {}):
            print("in", flush=True)
            time.sleep(60)
    """
    other = python(code, store.root)
    assert other.stdout.readline() == "in\n"
    other.kill()
    other.wait()
    with store.draft("model", "m", {}) as draft:
        draft.commit()


def test_two_objects_of_one_process_exclude_each_other_too(store: hs.Store) -> None:
    started = time.monotonic()
    with (
        store.draft("model", "m", {}),
        pytest.raises(hs.ArtifactBusy, match=f"process {os.getpid()} "),
        store.draft("model", "m", {}, wait_seconds=0.2),
    ):
        pass
    assert time.monotonic() - started >= 0.2


def test_an_interrupted_write_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    hs.atomic_write_text(path, "before")

    def interrupted() -> None:
        with hs.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert [actual.name for actual in tmp_path.iterdir()] == ["file"]


def test_a_folder_appears_and_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "below" / "folder"
    with hs.atomic_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists()
    with hs.atomic_folder(path) as temporary:
        (temporary / "b").write_text("b")
        assert [actual.name for actual in path.iterdir()] == ["a"]

    def interrupted() -> None:
        with hs.atomic_folder(path) as temporary:
            (temporary / "c").write_text("c")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [actual.name for actual in path.iterdir()] == ["b"]
    assert [actual.name for actual in path.parent.iterdir()] == ["folder"]


def test_a_full_disk_is_said_and_the_work_stays(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, dim=2, shard_rows=1, keep_text=False)
    with store.embedding_work(spec) as work:
        work.write_shard(0, ["a"], np.zeros((1, 2)))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(hs.DiskFull, match="No space left") as caught:
                work.write_shard(1, ["b"], np.zeros((1, 2)))
        assert "same command again" in str(caught.value.hint)
        assert sorted(path.name for path in work.path.iterdir()) == [
            "vectors-00000.parquet",
            "work.json",
        ]
        work.write_shard(1, ["b"], np.zeros((1, 2)))
        assert work.finish(2).stats["n_documents"] == 2


def test_scratch_is_no_part_of_the_artifact_and_outlives_a_kill(store: hs.Store) -> None:
    inputs = {"a": "scratch"}
    with store.draft("model", "scratch", inputs) as draft:
        (draft.path / hs.SCRATCH_NAME / "deep").mkdir(parents=True)
        (draft.path / hs.SCRATCH_NAME / "deep" / "checkpoint").write_text("half of the way")
        (draft.path / "weights").write_text("w")
    with store.draft("model", "scratch", inputs) as draft:
        assert (
            draft.path / hs.SCRATCH_NAME / "deep" / "checkpoint"
        ).read_text() == "half of the way"
        manifest = draft.commit()
    assert [record.path for record in manifest.files] == ["weights"]
    assert not (store.path(manifest) / hs.SCRATCH_NAME).exists()
    assert store.doctor().findings == ()


def test_doctor_clears_scratch_that_a_killed_writer_left(store: hs.Store) -> None:
    with store.draft("model", "scratch", {"a": "left"}) as draft:
        (draft.path / "weights").write_text("w")
        manifest = draft.commit()
    left = store.path(manifest) / hs.SCRATCH_NAME / "checkpoint"
    left.parent.mkdir()
    left.write_text("left")
    (finding,) = store.doctor().findings
    assert (finding.severity, finding.remedy) == ("info", "hype doctor --clean")
    store.doctor(clean=True)
    assert not left.parent.exists()
    assert store.doctor().findings == ()
