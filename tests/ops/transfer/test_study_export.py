"""What a study carries: no absolute paths, unless they are asked for."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hypencli.__main__ import main
from hypencli.ops.transfer.study_export import export_study
from hypencli.ops.transfer.study_import import import_study
from hypestore import SHORTENED, Store

CLIENT = "client-acme"


@pytest.fixture
def store(study: Path, tiny_collection: Path, tmp_path: Path) -> Store:
    """A store whose runs, recipes and models name files of a client's folder."""
    folder = tmp_path / CLIENT / "beir"
    folder.mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.txt"):
        shutil.copy(tiny_collection / name, folder / name)
    opened = Store.open(study)
    outside = tmp_path / CLIENT / "outside"
    shutil.copytree(opened.path(opened.get("plain")), outside)
    commands: list[list[object]] = [
        ["encode", folder, "--model", outside, "--name", "client-docs", "--max-length", 48],
        ["search", "--embeddings", "client-docs", "--model", "outside", "--name", "client-run"],
    ]
    for command in commands:
        assert main([*map(str, command), "--store", str(study)]) == 0
    return opened


def texts(archive: Path) -> dict[str, str]:
    """The files of an archive as text: Parquet files with their values."""
    with zipfile.ZipFile(archive) as whole:
        kept: dict[str, str] = {}
        for name in whole.namelist():
            with whole.open(name) as stream:
                parquet = name.endswith(".parquet")
                kept[name] = (
                    str(pq.read_table(stream).to_pydict()) if parquet else (stream.read().decode())
                )
    return kept


def test_a_study_names_no_folder_of_its_maker(store: Store, tmp_path: Path) -> None:
    done = export_study(store, tmp_path / "study.zip")
    for name, text in texts(done.path).items():
        assert CLIENT not in text, name
        assert str(tmp_path) not in text, name
        assert "place_seals" not in text, name
    assert done.shortened >= 3
    assert done.kept == ()
    run = json.loads(texts(done.path)[f"runs/{store.get('client-run').id}/manifest.json"])
    assert run["stats"]["qrels"] == "…/qrels.txt"


def test_paths_stay_where_they_are_asked_for(store: Store, tmp_path: Path) -> None:
    done = export_study(store, tmp_path / "study.zip", keep_paths=True)
    assert done.shortened == 0
    run = store.get("client-run")
    with zipfile.ZipFile(done.path) as archive:
        written = archive.read(f"runs/{run.id}/manifest.json")
    assert written == (store.path(run) / "manifest.json").read_bytes()
    assert any(CLIENT in text for text in texts(done.path).values())


@pytest.mark.parametrize("keep_paths", [False, True])
def test_a_study_is_taken_in_and_travels_on(store: Store, tmp_path: Path, keep_paths: bool) -> None:
    done = export_study(store, tmp_path / "study.zip", keep_paths=keep_paths)
    other = Store.create(tmp_path / "other")
    import_study(other, done.path)
    for run in store.artifacts("run"):
        assert other.get(run.id).inputs == run.inputs
        assert other.run(run.id).results() == store.run(run.id).results()
    reference = other.get_or_reference("outside")
    assert reference.id == store.get("outside").id
    assert reference.provenance.get(SHORTENED) == (None if keep_paths else ["source"])
    assert other.doctor(checksums=True, rebuild=True).findings == ()
    onward = export_study(other, tmp_path / "onward.zip", keep_paths=keep_paths).path
    third = Store.create(tmp_path / "third")
    import_study(third, onward)
    assert third.get_or_reference("outside").inputs == reference.inputs
    assert third.doctor(checksums=True).healthy


def test_a_recipe_with_short_paths_has_its_own_record(store: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other")
    import_study(other, export_study(store, tmp_path / "study.zip").path)
    recipe = other.path(other.get_or_reference("hyper")) / "recipe.toml"
    original = store.path(store.get("hyper")) / "recipe.toml"
    assert "…/" in recipe.read_text(encoding="utf-8")
    assert recipe.read_bytes() != original.read_bytes()
    assert str(tmp_path.parent.parent) not in recipe.read_text(encoding="utf-8")


def test_only_references_may_have_other_inputs_than_their_id(store: Store, tmp_path: Path) -> None:
    """A run with the mark of shortened inputs is refused: it must give its id."""
    done = export_study(store, tmp_path / "study.zip", keep_paths=True)
    run = store.get("client-run")
    forged = run.model_copy(
        update={"inputs": {**run.inputs, "k": 7}, "provenance": {SHORTENED: ["k"]}}
    )
    name = f"runs/{run.id}/manifest.json"
    with (
        zipfile.ZipFile(done.path) as archive,
        zipfile.ZipFile(tmp_path / "forged.zip", "w") as out,
    ):
        for entry in archive.namelist():
            out.writestr(entry, forged.to_text() if entry == name else archive.read(entry))
    other = Store.create(tmp_path / "other")
    with pytest.raises(Exception, match="do not give its id"):
        import_study(other, tmp_path / "forged.zip")


def test_the_export_says_what_was_shortened(store: Store, tmp_path: Path, hype: Any) -> None:
    at = ["--store", store.root]
    said = hype("export", "study", tmp_path / "study.zip", *at).out
    assert "absolute paths were shortened; --keep-paths keeps them whole" in said
    said = hype("export", "study", tmp_path / "whole.zip", "--keep-paths", *at).out
    assert "shortened" not in said
    said = hype("report", "--html", tmp_path / "page.html", *at).out
    assert "absolute paths were shortened" in said
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert CLIENT not in page
    assert str(tmp_path) not in page
    hype("report", "--html", tmp_path / "page.html", "--overwrite", "--keep-paths", *at)
    assert CLIENT in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_exported_model_has_a_recipe_without_folders(
    store: Store, tmp_path: Path, hype: Any
) -> None:
    said = hype("export", "model", "hyper", "--output", tmp_path / "a", "--store", store.root)
    assert "shortened" in said.out
    recipe = (tmp_path / "a/recipe.toml").read_text(encoding="utf-8")
    assert "…/" in recipe
    whole = ["--output", tmp_path / "b", "--keep-paths", "--store", store.root]
    assert hype("export", "model", "hyper", *whole).code == 0
    original = (store.path(store.get("hyper")) / "recipe.toml").read_bytes()
    assert (tmp_path / "b/recipe.toml").read_bytes() == original
    assert recipe.encode() != original
