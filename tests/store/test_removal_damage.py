"""What cannot be read is not absent: nothing is removed or cleaned while it may be needed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypestore.work import unfinished as unfinished_work


def break_manifest(filled: Any, away: Path) -> str:
    (filled.store.path(filled.run) / "manifest.json").write_text("{")
    return filled.run.id


def make_newer(filled: Any, away: Path) -> str:
    path = filled.store.path(filled.run) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    return filled.run.id


def unmount_kind(filled: Any, away: Path) -> str:
    (filled.root / "runs").rename(away)
    (filled.root / "runs").symlink_to("/nowhere/disk")
    return "/nowhere/disk"


def unmount_artifact(filled: Any, away: Path) -> str:
    folder = filled.store.path(filled.run)
    folder.rename(away)
    folder.symlink_to("/nowhere/disk")
    return "/nowhere/disk"


def unlink_manifest(filled: Any, away: Path) -> str:
    path = filled.store.path(filled.run) / "manifest.json"
    path.rename(away)
    path.symlink_to("/nowhere/manifest.json")
    return "/nowhere/manifest.json"


HIDDEN = [break_manifest, make_newer, unmount_kind, unmount_artifact, unlink_manifest]
Hide = Callable[[Any, Path], str]


def of(findings: tuple[hs.Finding, ...], severity: str) -> list[str]:
    return [f"{one.file} {one.problem}" for one in findings if one.severity == severity]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("hide", HIDDEN)
def test_nothing_is_removed_while_a_child_may_be_hidden(
    filled: Any, tmp_path: Path, hide: Hide, force: bool
) -> None:
    named = hide(filled, tmp_path / "away")
    store = hs.Store.open(filled.root)
    for target in (filled.model.id, filled.embeddings.id):
        with pytest.raises(hs.DamagedArtifact, match="Nothing is removed") as caught:
            store.remove(target, force=force)
        assert named in caught.value.message
        assert "hype doctor" in str(caught.value.hint)
    assert store.get(filled.model.id) == filled.model
    assert store.get(filled.embeddings.id) == filled.embeddings


@pytest.mark.parametrize("hide", HIDDEN)
def test_the_doctor_names_what_is_hidden_and_cleans_nothing(
    filled: Any, tmp_path: Path, hide: Hide
) -> None:
    with filled.store.draft("model", "half", {"seed": 9}) as draft:
        (draft.path / "weights").write_text("half")
    filled.store.cached("letters-1", lambda folder: folder.joinpath("a").write_text("a") and None)
    filled.store._caches.release("letters-1")
    named = hide(filled, tmp_path / "away")
    store = hs.Store.open(filled.root)
    report = store.doctor()
    assert not report.healthy
    assert any(named in problem for problem in of(report.findings, "error"))
    cleaned = store.doctor(clean=True)
    assert any("nothing was cleaned" in problem for problem in of(cleaned.findings, "error"))
    assert (draft.path / "weights").exists()
    assert [cache.name for cache in store.caches()] == ["letters-1"]


@pytest.mark.parametrize("hide", HIDDEN)
def test_references_stay_while_a_descendant_may_be_hidden(
    filled: Any, tmp_path: Path, hide: Hide
) -> None:
    other = hs.Store.create(tmp_path / "other")
    with other.staging() as folder:
        for manifest in (filled.run, filled.model, filled.embeddings):
            shutil.copytree(filled.store.path(manifest), folder / manifest.id)
        other.adopt(
            [folder / filled.run.id], [folder / filled.model.id, folder / filled.embeddings.id]
        )

    class Taken:
        store, root, run = other, other.root, filled.run

    hide(Taken, tmp_path / "away")
    again = hs.Store.open(other.root)
    again.doctor(clean=True)
    assert {one.id for one in again.references()} == {filled.model.id, filled.embeddings.id}


def test_two_damaged_artifacts_go_one_by_one(filled: Any) -> None:
    for one in (filled.run, filled.evaluation):
        (filled.store.path(one) / "manifest.json").write_text("{")
    assert filled.store.remove(filled.evaluation.id, force=True) == [filled.evaluation.id]
    assert filled.store.remove(filled.run.id, force=True) == [filled.run.id]
    assert filled.store.doctor().findings == ()


def test_a_link_to_a_lost_artifact_goes_by_force_and_leaves_nothing(
    filled: Any, tmp_path: Path
) -> None:
    folder = filled.store.path(filled.evaluation)
    folder.rename(tmp_path / "away")
    folder.symlink_to(tmp_path / "lost")
    with pytest.raises(hs.DamagedArtifact, match="lost"):
        filled.store.remove(filled.evaluation.id)
    assert filled.store.remove(filled.evaluation.id, force=True) == [filled.evaluation.id]
    assert list((filled.root / "evaluations").iterdir()) == []
    assert (tmp_path / "away" / "manifest.json").exists()


def test_writing_into_a_folder_that_is_not_mounted_is_refused(
    store: hs.Store, make_run: Callable[..., hs.Manifest]
) -> None:
    (store.root / "runs").rmdir()
    (store.root / "runs").symlink_to("/nowhere/disk")
    with pytest.raises(hs.DamagedArtifact, match="/nowhere/disk, which is not there") as caught:
        make_run(store)
    assert "Mount the disk" in str(caught.value.hint)
    (store.root / "hype.toml").unlink()
    with pytest.raises(hs.DamagedArtifact, match="/nowhere/disk"):
        hs.Store.create(store.root)


def test_a_link_to_another_disk_is_as_good_as_a_folder(filled: Any, tmp_path: Path) -> None:
    (filled.root / "runs").rename(tmp_path / "disk")
    (filled.root / "runs").symlink_to(tmp_path / "disk")
    store = hs.Store.open(filled.root)
    assert store.doctor(clean=True).findings == ()
    assert filled.run.id in store.remove(filled.model.id, force=True)
    assert list((tmp_path / "disk").iterdir()) == []


# Unfinished work


@pytest.fixture
def work_from_model(filled: Any) -> hs.EmbeddingSpec:
    """The spec of an embedding set of the model, of which part 1 of 2 is written."""
    spec = hs.EmbeddingSpec(
        id_prefix="half",
        inputs={"corpus": "half"},
        parents=(filled.model.id,),
        dim=2,
        shard_rows=1,
        keep_text=False,
    )
    with filled.store.embedding_work(spec, part=(1, 2)) as work:
        work.write_shard(0, ["d0"], [[1.0, 2.0]])
    return spec


def test_what_is_being_made_from_it_keeps_an_artifact(
    filled: Any, work_from_model: hs.EmbeddingSpec
) -> None:
    with pytest.raises(hs.ArtifactInUse, match="unfinished embeddings") as caught:
        filled.store.remove(filled.model.id)
    assert work_from_model.id in caught.value.message
    with filled.store.embedding_work(work_from_model, part=(2, 2)) as work:
        work.write_shard(1, ["d1"], [[3.0, 4.0]])
        done = work.finish(2)
    assert done.parents == (filled.model.id,)


def test_force_takes_unfinished_work_first(filled: Any, work_from_model: hs.EmbeddingSpec) -> None:
    removed = filled.store.remove(filled.model.id, force=True)
    assert removed[-1] == filled.model.id
    assert work_from_model.id in removed
    assert filled.store.unfinished() == []
    assert filled.store.artifacts() == []


PART = """
    import sys, hypestore as hs
    store = hs.Store.open(sys.argv[1])
    spec = hs.EmbeddingSpec(
        id_prefix="half", inputs={"corpus": "half"}, parents=(sys.argv[2],), dim=2, shard_rows=1,
        keep_text=False,
    )
    try:
        with store.embedding_work(spec, part=(2, 2)) as work:
            work.write_shard(1, ["d1"], [[3.0, 4.0]])
            print("in", flush=True)
            sys.stdin.readline()
    except hs.ArtifactBusy as error:
        print("busy", flush=True)
"""


def test_a_running_part_stops_the_removal_of_all(
    filled: Any, work_from_model: hs.EmbeddingSpec, python: Callable[..., Any]
) -> None:
    other = python(PART, filled.root, filled.model.id)
    assert other.stdout.readline() == "in\n"
    with pytest.raises(hs.ArtifactBusy, match=f"process {other.pid}"):
        filled.store.remove(filled.model.id, force=True)
    assert len(filled.store.artifacts()) == 4
    assert [one.id for one in filled.store.unfinished()] == [work_from_model.id]


def test_a_part_that_begins_during_the_removal_is_not_removed_under_its_feet(
    filled: Any,
    work_from_model: hs.EmbeddingSpec,
    python: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = unfinished_work.locks_of
    answers: list[str] = []

    def locks_then_a_part_begins(*arguments: Any) -> list[Path]:
        found = looked(*arguments)
        other = python(PART, filled.root, filled.model.id)
        answers.append(other.stdout.readline())
        return found

    (work,) = filled.store.unfinished()
    monkeypatch.setattr(unfinished_work, "locks_of", locks_then_a_part_begins)
    unfinished_work.remove_work(filled.store._layout, work.path)
    assert answers == ["busy\n"], "the part works in a folder that is gone"
    assert not work.path.exists()


def test_work_whose_parents_cannot_be_read_keeps_everything(
    filled: Any, work_from_model: hs.EmbeddingSpec
) -> None:
    (work,) = filled.store.unfinished()
    (work.path / "work.json").write_text("{")
    for force in (False, True):
        with pytest.raises(hs.DamagedArtifact, match=r"work\.json cannot be read"):
            filled.store.remove(filled.model.id, force=force)
    assert any("work.json cannot be read" in one.problem for one in filled.store.doctor().findings)
    filled.store.doctor(clean=True)
    assert filled.model.id in filled.store.remove(filled.model.id, force=True)


def test_a_parent_stays_from_the_moment_in_which_the_work_begins(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No removal fits between the look at the parents and the record that names them."""
    draft = filled.store.draft("graph", "near", {"k": 1}, parents=(filled.evaluation.id,))
    inner = draft._draft
    recorded = inner._record
    refused: list[str] = []

    def remove_then_record() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("hypestore.removal.SHORT_WAIT_SECONDS", 0.0)
            try:
                hs.Store.open(filled.root).remove(filled.evaluation.id)
            except hs.ArtifactBusy as error:
                refused.append(error.message)
        recorded()

    monkeypatch.setattr(inner, "_record", remove_then_record)
    with draft:
        assert refused
        assert filled.store.has(filled.evaluation.id)
        with pytest.raises(hs.ArtifactInUse, match="unfinished graph"):
            filled.store.remove(filled.evaluation.id)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_what_may_not_be_read_is_no_reason_to_remove(
    filled: Any, open_folder: Path, python: Callable[..., Any]
) -> None:
    root = Path(shutil.copytree(filled.root, open_folder / "store"))
    for path in (root, *root.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    (root / "runs").chmod(0)
    code = """
        import os, sys, duckdb, numpy, pandas, pyarrow.compute, pyarrow.parquet, encodings.idna
        import hypestore as hs
        import hypestore.store
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        store = hs.Store.open(sys.argv[1])
        try:
            store.remove(sys.argv[2], force=True)
        except hs.DamagedArtifact as error:
            print(error.message)
    """
    output, errors = python(code, root, filled.model.id).communicate(timeout=60)
    assert "runs cannot be listed: Permission denied" in output, errors
    (root / "runs").chmod(0o777)
    assert len(hs.Store.open(root).artifacts()) == 4
