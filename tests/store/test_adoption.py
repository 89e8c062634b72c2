"""Artifacts of another store: taken in whole, known by reference, refused if not sound."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hypestore as hs
from hypestore.manifest import SEAL, seal_of


@pytest.fixture
def other(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "other")


def staged(filled: Any, manifest: hs.Manifest, folder: Path, *, files: bool = True) -> Path:
    """A copy of an artifact's folder, or of its manifest alone, on its way into another store."""
    target = folder / manifest.id
    if files:
        shutil.copytree(filled.store.path(manifest), target)
    else:
        target.mkdir()
        shutil.copy(filled.store.path(manifest) / "manifest.json", target)
    return target


def unnumbered(manifest: hs.Manifest) -> hs.Manifest:
    """A manifest without its order, which is that of its store."""
    made_with = {key: value for key, value in manifest.provenance.items() if key != "order"}
    return manifest.model_copy(update={"provenance": made_with})


def take(filled: Any, other: hs.Store, **options: Any) -> hs.Adopted:
    """The run and its evaluation, with model and embeddings as references."""
    with other.staging() as folder:
        whole = [staged(filled, one, folder) for one in (filled.evaluation, filled.run)]
        expected_names = [
            staged(filled, one, folder, files=False) for one in (filled.embeddings, filled.model)
        ]
        return other.adopt(whole, expected_names, **options)


def test_runs_come_whole_and_their_parents_by_reference(filled: Any, other: hs.Store) -> None:
    done = take(filled, other)
    assert [one.id for one in done.artifacts] == [filled.run.id, filled.evaluation.id]
    assert {one.id for one in done.references} == {filled.model.id, filled.embeddings.id}
    assert list(done.artifacts) == other.artifacts()
    assert [unnumbered(one) for one in other.artifacts()] == [
        unnumbered(filled.run),
        unnumbered(filled.evaluation),
    ]
    assert [one.order for one in other.artifacts()] == [1, 2]
    assert other.references() == [filled.model, filled.embeddings]
    assert other.run("first").results() == filled.store.run("first").results()
    assert other.parents_of("first") == [filled.model, filled.embeddings]
    assert other.parents_of(filled.embeddings.id) == [filled.model]
    assert other.doctor(checksums=True).findings == ()
    assert [path.name for path in other.root.iterdir() if path.name.startswith(".")] == []


def test_the_leaderboard_is_that_of_the_other_store(filled: Any, other: hs.Store) -> None:
    take(filled, other)
    sql = "SELECT * EXCLUDE created FROM leaderboard ORDER BY measure"
    assert other.catalog.query(sql).rows == filled.store.catalog.query(sql).rows
    assert len(other.catalog.query(sql).rows) == 2
    expected_names = other.catalog.query("SELECT id, name, kind FROM elsewhere ORDER BY kind").rows
    assert expected_names == (
        (filled.embeddings.id, None, "embeddings"),
        (filled.model.id, "tiny", "model"),
    )
    (other.root / "catalog.duckdb").unlink()
    assert other.catalog.query(sql).rows == filled.store.catalog.query(sql).rows


def test_a_reference_is_no_artifact(filled: Any, other: hs.Store) -> None:
    take(filled, other)
    for reference in (filled.model.id, "tiny"):
        with pytest.raises(hs.ArtifactNotFound, match="is in another store"):
            other.get(reference)
        assert other.get_or_reference(reference) == filled.model
    assert not other.has(filled.model.id)
    assert other.artifacts("model") == other.find("model", {}) == []
    with (
        pytest.raises(hs.ArtifactNotFound, match="names the parent"),
        other.draft("graph", "g", {}, parents=[filled.embeddings.id]),
    ):
        pass
    with pytest.raises(hs.ArtifactNotFound, match="No artifact has"):
        other.get_or_reference("nothing")
    assert (other.path(filled.model) / "manifest.json").is_file()


def test_the_artifact_itself_takes_the_place_of_a_reference(
    filled: Any, other: hs.Store, make_model: Callable[..., hs.Manifest]
) -> None:
    take(filled, other)
    created = make_model(other)
    assert created.id == filled.model.id
    assert [one.id for one in other.references()] == [filled.embeddings.id]
    assert other.get("tiny") == created
    assert other.parents_of("first")[0] == created
    assert other.catalog.query("SELECT count(*) FROM elsewhere").rows == ((1,),)
    other.doctor(clean=True)
    assert not (other.root / "references" / "models" / created.id).exists()


def test_what_is_there_already_stays(filled: Any, other: hs.Store) -> None:
    take(filled, other)
    again = take(filled, other)
    assert (again.artifacts, again.references) == ((), ())
    assert len(again.existing) == 2
    back = take(filled, filled.store)
    assert (back.artifacts, back.references, len(back.existing)) == ((), (), 2)
    assert filled.store.references() == []


def test_references_go_when_nothing_descends_from_them(filled: Any, other: hs.Store) -> None:
    take(filled, other)
    other.doctor(clean=True)
    assert len(other.references()) == 2
    other.remove("first", force=True)
    other.doctor(clean=True)
    assert other.references() == []


def test_what_comes_in_is_the_newest_in_the_order_that_it_had(
    filled: Any, other: hs.Store, evaluate: Callable[..., hs.Manifest], make_run: Any
) -> None:
    second = evaluate(filled.store, "first", qrels="others")
    own = make_run(other, "own", k=99)
    with other.staging() as folder:
        whole = [staged(filled, one, folder) for one in (second, filled.evaluation, filled.run)]
        distant = [
            staged(filled, one, folder, files=False) for one in (filled.embeddings, filled.model)
        ]
        done = other.adopt(whole, distant)
    assert [one.order for one in done.artifacts] == [2, 4, 3]  # parents first
    expected = [own.id, filled.run.id, filled.evaluation.id, second.id]
    assert [one.id for one in other.artifacts()] == expected
    assert make_run(other, "next", k=98).order == 5
    assert other.doctor(checksums=True).findings == ()


@pytest.mark.parametrize("name", ["../esc/x", "-rf", ".hidden", "a\\b", "run-0123456789"])
def test_names_that_cannot_be_names_here(filled: Any, other: hs.Store, name: str) -> None:
    path = filled.store.path(filled.run) / "manifest.json"
    path.write_text(filled.run.model_copy(update={"name": name}).to_text())
    with pytest.raises(hs.NameTaken, match="cannot be names") as caught:
        take(filled, other)
    assert "--drop-names" in str(caught.value.hint)
    assert other.artifacts() == []
    done = take(filled, other, drop_names=True)
    assert [one.id for one in done.unnamed] == [filled.run.id]
    assert other.get(filled.run.id).name is None


def test_names_that_are_taken(
    filled: Any, other: hs.Store, make_run: Callable[..., hs.Manifest]
) -> None:
    own = make_run(other, "first", k=99)
    with pytest.raises(hs.NameTaken, match="run first") as caught:
        take(filled, other)
    assert "--drop-names" in str(caught.value.hint)
    assert other.artifacts() == [own]
    assert other.references() == []
    done = take(filled, other, drop_names=True)
    assert [one.id for one in done.unnamed] == [filled.run.id]
    assert other.get(filled.run.id).name is None
    assert other.get("first") == own
    assert other.doctor(checksums=True).healthy


def test_unfinished_work_of_the_same_artifact_gives_way(filled: Any, other: hs.Store) -> None:
    place = other.root / "runs" / filled.run.id
    place.mkdir()
    (place / "work.json").write_text("{}")
    take(filled, other)
    assert other.run("first").queries()


def test_a_missing_parent_is_refused_and_nothing_is_written(filled: Any, other: hs.Store) -> None:
    with other.staging() as folder:
        run = staged(filled, filled.run, folder)
        model = staged(filled, filled.model, folder, files=False)
        with pytest.raises(hs.ArtifactNotFound, match=f"'{filled.embeddings.id}'"):
            other.adopt([run], [model])
    assert other.artifacts() == other.references() == []


def change_manifest(folder: Path, **changes: Any) -> None:
    """As a program would that writes another seal too."""
    path = folder / "manifest.json"
    content = {**json.loads(path.read_text()), **changes}
    content["provenance"][SEAL] = seal_of(content)
    path.write_text(json.dumps(content))


def flip(folder: Path) -> None:
    path = folder / "results.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_columns(folder: Path) -> None:
    """A sound Parquet file with a sound record of it, and not a run's."""
    import hashlib

    path = folder / "queries.parquet"
    pq.write_table(pa.table({"query_id": ["q1"], "text": [7]}), path)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    for record in files:
        if record["path"] == path.name:
            content = path.read_bytes()
            record["size_bytes"] = len(content)
            record["sha256"] = hashlib.sha256(content).hexdigest()
    change_manifest(folder, files=files)


UNSOUND: dict[str, tuple[Callable[[Path], object], type[hs.StoreError], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), hs.DamagedArtifact, "has no"),
    "newer": (lambda f: change_manifest(f, format_version=99), hs.StoreVersionError, "99"),
    "inputs": (lambda f: change_manifest(f, inputs={"k": 3}), hs.InvalidContent, "do not give"),
    "kind": (lambda f: change_manifest(f, kind="model"), hs.InvalidContent, "do not give"),
    "missing": (lambda f: (f / "queries.parquet").unlink(), hs.DamagedArtifact, "queries.parquet"),
    "more": (lambda f: (f / "x.py").write_text(""), hs.DamagedArtifact, "x.py"),
    "cut": (lambda f: (f / "queries.parquet").write_bytes(b"PAR1"), hs.DamagedArtifact, "bytes"),
    "changed": (flip, hs.DamagedArtifact, "not what its manifest says"),
    "columns": (other_columns, hs.InvalidContent, "other columns"),
    "own parent": (
        lambda f: change_manifest(f, parents=[f.name]),
        hs.InvalidContent,
        "its own ancestors",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_what_is_not_sound_is_refused(filled: Any, other: hs.Store, case: str) -> None:
    spoil, error, words = UNSOUND[case]
    with other.staging() as folder:
        run = staged(filled, filled.run, folder)
        expected_names = [
            staged(filled, one, folder, files=False) for one in (filled.embeddings, filled.model)
        ]
        spoil(run)
        with pytest.raises(error, match=words):
            other.adopt([run], expected_names)
    assert other.artifacts() == other.references() == []


def test_a_link_is_no_file(filled: Any, other: hs.Store, tmp_path: Path) -> None:
    with other.staging() as folder:
        run = staged(filled, filled.run, folder)
        target = tmp_path / "elsewhere.parquet"
        (run / "queries.parquet").rename(target)
        (run / "queries.parquet").symlink_to(target)
        expected_names = [
            staged(filled, one, folder, files=False) for one in (filled.embeddings, filled.model)
        ]
        with pytest.raises(hs.DamagedArtifact, match="queries"):
            other.adopt([run], expected_names)


def test_doctor_tells_of_unsound_references(filled: Any, other: hs.Store) -> None:
    take(filled, other)
    folder = other.path(filled.model)
    (folder / "config.json").write_text("another")
    report = other.doctor()
    assert [(finding.artifact, finding.file) for finding in report.findings] == [
        (filled.model.id, f"references/models/{filled.model.id}")
    ]
    assert not report.healthy
    shutil.rmtree(folder)
    problems = [finding.problem for finding in hs.Store.open(other.root).doctor().findings]
    assert any("its parents are not known" in problem for problem in problems)
    assert any("is not in the store" in problem for problem in problems)
