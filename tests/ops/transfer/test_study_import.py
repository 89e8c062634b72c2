"""A study from one store to another: the same figures there, and the same lineage."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.queries import open_queries
from hypencli.errors import DataError, UsageError
from hypencli.evaluation.fusion import Fusion
from hypencli.ops.evaluation.compare import compare
from hypencli.ops.evaluation.leaderboard import leaderboard
from hypencli.ops.models import ModelSource
from hypencli.ops.project import show
from hypencli.ops.search.fuse import fuse
from hypencli.ops.search.run import search
from hypencli.ops.transfer.study_export import export_study
from hypencli.ops.transfer.study_import import import_study
from hypestore import ArtifactNotFound, DamagedArtifact, Manifest, NameTaken, Store


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "other")


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Path:
    return export_study(store, tmp_path / "study.zip").path


def names(archive: Path) -> list[str]:
    return zipfile.ZipFile(archive).namelist()


def without_order(manifest: Manifest) -> dict[str, Any]:
    """A manifest without its place in the order of its store."""
    content = manifest.model_dump()
    content["provenance"].pop("order")
    return content


def test_the_leaderboard_is_the_same_in_both_stores(
    store: Store, other: Store, archive: Path, tiny_collection: Path
) -> None:
    done = import_study(other, archive)
    assert sorted(done.runs) == ["hyper-run", "plain-run"]
    assert (done.evaluations, done.references, done.existing, done.unnamed) == (2, 4, 0, [])
    assert leaderboard(other) == leaderboard(store)
    (board,) = leaderboard(other)
    assert {row[1] for row in board.rows} == {"hyper", "plain"}
    assert compare(other, "plain-run", "hyper-run") == compare(store, "plain-run", "hyper-run")
    for run in ("hyper-run", "plain-run"):
        assert without_order(other.get(run)) == without_order(store.get(run))
        assert other.run(run).results() == store.run(run).results()
        assert other.run(run).queries() == store.run(run).queries()
    assert other.doctor(checksums=True, rebuild=True).findings == ()
    assert leaderboard(other) == leaderboard(store)


def test_lineage_recipes_and_curves_come_along(store: Store, other: Store, tmp_path: Path) -> None:
    import_study(other, export_study(store, tmp_path / "study.zip", keep_paths=True).path)
    here, existing = show(store, "hyper-run"), show(other, "hyper-run")
    assert existing.parents == here.parents  # type: ignore[union-attr]
    model, expected_names = show(store, "hyper"), show(other, "hyper")
    assert (model.here, expected_names.here) == (True, False)  # type: ignore[union-attr]
    assert expected_names.manifest == model.manifest  # type: ignore[union-attr]
    assert expected_names.curves == model.curves != {}
    assert [one.name for one in expected_names.children] == ["hyper-run"]  # type: ignore[union-attr]
    recipe = other.path(other.get_or_reference("hyper")) / "recipe.toml"
    assert recipe.read_bytes() == (store.path(store.get("hyper")) / "recipe.toml").read_bytes()


def test_no_weights_and_no_vectors_travel(store: Store, archive: Path) -> None:
    actual = names(archive)
    assert actual[:2] == ["study.json", "report.md"]
    assert {Path(name).suffix for name in actual} == {".json", ".md", ".toml", ".parquet"}
    assert not [name for name in actual if "safetensors" in name or "vectors-" in name]
    assert not [name for name in actual if "tokenizer" in name or "text-" in name]
    report = zipfile.ZipFile(archive).read("report.md").decode()
    assert "| hyper-run | hyper | exact | 0." in report
    listed = json.loads(zipfile.ZipFile(archive).read("study.json"))
    assert len(listed["artifacts"]) == len(listed["references"]) == 4


def test_the_same_study_makes_the_same_archive(store: Store, archive: Path, tmp_path: Path) -> None:
    again = export_study(store, tmp_path / "again.zip").path
    assert again.read_bytes() == archive.read_bytes()


def test_a_store_takes_its_own_study_and_changes_nothing(store: Store, archive: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/*")}
    done = import_study(store, archive)
    assert (done.runs, done.existing, done.references) == ([], 4, 0)
    assert {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/*")} == before


def test_an_imported_study_travels_on(other: Store, archive: Path, tmp_path: Path) -> None:
    import_study(other, archive)
    onward = export_study(other, tmp_path / "onward.zip").path
    third = Store.create(tmp_path / "third")
    import_study(third, onward)
    assert leaderboard(third) == leaderboard(other)
    assert sorted(names(onward)) == sorted(names(archive))


def test_some_runs_with_what_they_came_from(store: Store, other: Store, tmp_path: Path) -> None:
    fuse(store, ("hyper-run", "plain-run"), Fusion(), name="both")
    done = export_study(store, tmp_path / "both.zip", runs=("both",))
    assert (done.runs, done.evaluations, done.references) == (1, 0, 6)
    import_study(other, done.path)
    assert [run.name for run in other.artifacts("run")] == ["both"]
    assert {parent.name for parent in other.parents_of("both")} == {"hyper-run", "plain-run"}
    later = export_study(store, tmp_path / "all.zip").path
    import_study(other, later)
    assert other.get("hyper-run").name == "hyper-run"
    assert {one.kind for one in other.references()} == {"model", "embeddings"}
    assert other.doctor(checksums=True).healthy


def test_work_goes_on_in_the_other_store(
    store: Store, other: Store, archive: Path, tiny_collection: Path
) -> None:
    import_study(other, archive)
    done = fuse(other, ("hyper-run", "plain-run"), name="both")
    assert done.n_queries == 12
    queries = open_queries(tiny_collection / "queries.jsonl")
    with pytest.raises(ArtifactNotFound, match="is in another store"):
        search(other, queries, ModelSource("hyper"))


def test_names_that_are_taken(store: Store, other: Store, archive: Path, tmp_path: Path) -> None:
    from hypencli.ops.transfer.runs import import_run

    (tmp_path / "hyper-run.trec").write_text("q0 Q0 d1 1 0.5 x\n", encoding="utf-8")
    import_run(other, tmp_path / "hyper-run.trec")
    with pytest.raises(NameTaken, match="run hyper-run"):
        import_study(other, archive)
    assert len(other.artifacts()) == 1
    done = import_study(other, archive, drop_names=True)
    (unnamed,) = done.unnamed
    assert unnamed in done.runs
    assert other.get(unnamed).name is None
    assert other.get("plain-run").id == store.get("plain-run").id


def test_a_folder_gets_a_file_after_the_store(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = export_study(store, tmp_path / "out")
    assert done.path == tmp_path / "out" / "study.study.zip"
    with pytest.raises(UsageError, match="exists"):
        export_study(store, tmp_path / "out")
    export_study(store, tmp_path / "out", overwrite=True)
    with pytest.raises(DataError, match="cannot be written"):
        export_study(store, tmp_path / "none" / "x.zip")


def test_a_store_without_runs_has_no_study(other: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no runs"):
        export_study(other, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


Entries = dict[str, bytes]


def rewritten(archive: Path, change: Callable[[Entries], object]) -> Path:
    """The archive with its entries changed."""
    with zipfile.ZipFile(archive) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    change(entries)
    path = archive.with_name("changed.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries.items():
            target.writestr(name, content)
    return path


def first(entries: Entries, start: str, end: str) -> str:
    return next(name for name in entries if name.startswith(start) and name.endswith(end))


def put(entries: Entries, start: str, end: str, **changes: Any) -> None:
    """Change a JSON file."""
    name = first(entries, start, end)
    entries[name] = json.dumps({**json.loads(entries[name]), **changes}).encode()


def swap_byte(entries: Entries) -> None:
    name = first(entries, "runs/", "results.parquet")
    content = bytearray(entries[name])
    content[len(content) // 2] ^= 1
    entries[name] = bytes(content)


def weights(entries: Entries) -> None:
    entries[first(entries, "references/models/", "recipe.toml").replace("recipe.toml", "w.bin")] = (
        b""
    )


def as_whole_model(entries: Entries) -> None:
    manifest = first(entries, "references/models/", "manifest.json")
    entries[manifest.removeprefix("references/")] = entries.pop(manifest)


def as_run(entries: Entries) -> None:
    """A model in the place of a run."""
    manifest = first(entries, "references/models/", "manifest.json")
    entries[manifest.replace("references/models", "runs")] = entries.pop(manifest)


CHANGES: dict[str, tuple[Callable[[Entries], object], type[Exception], str]] = {
    "no study.json": (lambda e: e.pop("study.json"), DataError, r"no study\.json"),
    "not json": (lambda e: e.update({"study.json": b"{"}), DataError, "not JSON"),
    "a list": (lambda e: e.update({"study.json": b"[]"}), DataError, "not a JSON object"),
    "another kind": (
        lambda e: put(e, "study", "json", kind="x"),
        DataError,
        "is not that of a study",
    ),
    "newer": (
        lambda e: put(e, "study", "json", format_version=9),
        DataError,
        "highest supported version is 1",
    ),
    "other list": (lambda e: put(e, "study", "json", artifacts=[]), DataError, "lists other"),
    "script": (
        lambda e: e.update({"run.sh": b"rm"}),
        DataError,
        r"run\.sh is not a file of a study",
    ),
    "in the root": (lambda e: e.update({"hype.toml": b""}), DataError, "hype.toml is not a file"),
    "weights": (weights, DataError, r"w\.bin is not a file of a study"),
    "a whole model": (as_whole_model, DataError, "is not a file of a study"),
    "a model as a run": (as_run, DataError, "lists other|has the kind 'model'"),
    "unlisted": (
        lambda e: e.update({first(e, "runs/", "manifest.json").replace("manifest.json", "x"): b""}),
        DataError,
        "expected no such file",
    ),
    "longer": (
        lambda e: e.update({first(e, "runs/", "queries.parquet"): bytes(10_000_000)}),
        DataError,
        "has 10,000,000 bytes, expected",
    ),
    "missing file": (
        lambda e: e.pop(first(e, "runs/", "queries.parquet")),
        DamagedArtifact,
        "queries.parquet",
    ),
    "changed file": (swap_byte, DamagedArtifact, "not what its manifest says"),
    "missing parent": (
        lambda e: (
            e.pop(first(e, "references/embeddings/", "manifest.json")),
            put(
                e,
                "study",
                "json",
                references=[
                    name.split("/")[2]
                    for name in e
                    if name.startswith("references/") and name.endswith("manifest.json")
                ],
            ),
        ),
        ArtifactNotFound,
        "neither came with it nor is here",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_archive_is_refused_and_nothing_comes_in(
    other: Store, archive: Path, case: str
) -> None:
    change, error, words = CHANGES[case]
    with pytest.raises(error, match=words):
        import_study(other, rewritten(archive, change))
    assert other.artifacts() == other.references() == []
    assert [path.name for path in other.root.iterdir() if path.name.endswith(".tmp")] == []
    assert other.doctor().findings == ()


def test_an_archive_beyond_the_limit_is_refused(other: Store, archive: Path) -> None:
    with pytest.raises(DataError, match="at most are read"):
        import_study(other, archive, max_bytes=1_000)
    assert other.artifacts() == []


def test_a_kill_between_two_moves_leaves_a_whole_store(
    other: Store, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypestore import adoption

    moved: list[str] = []
    real = adoption._move

    def moves(*arguments: Any) -> None:
        if len(moved) == 5:
            raise KeyboardInterrupt
        moved.append(arguments[2].id)
        real(*arguments)

    monkeypatch.setattr(adoption, "_move", moves)
    with pytest.raises(KeyboardInterrupt):
        import_study(other, archive)
    assert other.doctor(checksums=True).healthy
    assert len(other.artifacts()) == 1
    monkeypatch.setattr(adoption, "_move", real)
    assert import_study(other, archive).existing == 1
    assert len(other.artifacts()) == 4
