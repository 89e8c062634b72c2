from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypestore.manifest import clean_id_prefix, inputs_hash, read_manifest

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_the_id_of_the_specification() -> None:
    inputs = {"dim": 2, "corpus": "vaswani"}
    assert hs.artifact_id("embeddings", "Vaswani", inputs) == "vaswani-2195808145"


@settings(max_examples=50)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES))
def test_an_id_depends_on_the_inputs_and_not_on_their_order(inputs: dict[str, object]) -> None:
    backwards = dict(reversed(inputs.items()))
    assert inputs_hash("run", inputs) == inputs_hash("run", backwards)
    assert inputs_hash("run", inputs) != inputs_hash("model", inputs)
    assert inputs_hash("run", inputs) != inputs_hash("run", {**inputs, "one more": 1})
    # What comes back from the manifest has the same id.
    assert inputs_hash("run", json.loads(json.dumps(inputs))) == inputs_hash("run", inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"passage_fingerprint": "b"},
        {"pooling": "mean"},
        {"dtype": "float32"},
        {"max_length": 256},
    ],
)
def test_a_change_of_any_input_changes_the_id(change: dict[str, object]) -> None:
    inputs = {"passage_fingerprint": "a", "pooling": "cls", "dtype": "float16", "max_length": 512}
    assert inputs_hash("embeddings", inputs) != inputs_hash("embeddings", {**inputs, **change})


@pytest.mark.parametrize(
    ("id_prefix", "clean"),
    [
        ("BEIR/SciFact", "beir-scifact"),
        ("../../etc", "etc"),
        ("", ""),
        ("日本", ""),
        (".hidden", "hidden"),
        ("a" * 100, "a" * 60),
    ],
)
def test_slugs_are_made_safe(id_prefix: str, clean: str) -> None:
    assert clean_id_prefix(id_prefix) == clean


@given(st.text())
def test_no_slug_leaves_its_folder(id_prefix: str) -> None:
    artifact = hs.artifact_id("run", id_prefix, {})
    assert "/" not in artifact
    assert artifact[0].isalnum()
    assert artifact.isascii()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, Path("x"), b"x", "\ud800"])
def test_inputs_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(hs.InvalidContent, match="inputs"):
        hs.artifact_id("run", "x", {"value": value})


@pytest.mark.parametrize(
    "name",
    [
        *("", "two words", "a\nb", "x" * 201, "tab\t"),
        *("a/b", "../esc/x", "a\\b", ".", "..", ".hidden", "-", "--force"),
        *("tiny-0123456789", "a-b.c_d-abcdefabcd"),
    ],
)
def test_what_cannot_be_a_name_is_refused(store: hs.Store, name: str) -> None:
    with pytest.raises(hs.InvalidContent, match="name") as caught:
        store.draft("model", "m", {}, name=name)
    assert "for example bm25-top1000" in str(caught.value.hint)
    assert not hs.can_be_name(name)


@pytest.mark.parametrize(
    "name",
    ["a", "bm25-top1000", "x" * 200, "é", "a-012345678", "a-01234567890", "v1.2", "a-B123456789"],
)
def test_other_words_are_names(store: hs.Store, name: str) -> None:
    with store.draft("model", "m", {}, name=name) as draft:
        done = draft.commit()
    assert store.get(name) == done
    assert done.file_name == name


def test_no_name_means_another_artifact(
    filled: Any, make_model: Callable[..., hs.Manifest]
) -> None:
    with pytest.raises(hs.InvalidContent):
        make_model(filled.store, filled.run.id, seed=2)


@pytest.mark.parametrize("name", ["../esc/x", "-rf", "run-0123456789"])
def test_a_name_of_an_older_version_is_read_and_names_no_file(filled: Any, name: str) -> None:
    path = filled.store.path(filled.run) / "manifest.json"
    path.write_text(filled.run.model_copy(update={"name": name}).to_text())
    store = hs.Store.open(filled.root)
    assert store.get(name).id == filled.run.id
    assert store.get(name).file_name == filled.run.id


def test_the_doctor_tells_of_a_name_that_means_another(filled: Any) -> None:
    path = filled.store.path(filled.run) / "manifest.json"
    path.write_text(filled.run.model_copy(update={"name": filled.model.id}).to_text())
    store = hs.Store.open(filled.root)
    assert store.get(filled.model.id) == filled.model
    assert [one.artifact for one in store.doctor().findings if "name" in one.problem] == [
        filled.run.id
    ]


def manifest_content(folder: Path) -> dict[str, object]:
    return {
        "format_version": 1,
        "kind": "run",
        "id": folder.name,
        "name": None,
        "created": "2026-11-23T12:00:00Z",
        "inputs": {},
        "parents": [],
        "files": [],
        "stats": {},
        "provenance": {},
    }


def test_a_manifest_as_specified_is_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest_content(tmp_path)))
    assert read_manifest(path).id == tmp_path.name


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"extra": 1}, "extra"),
        ({"kind": "index"}, "kind"),
        ({"id": "other"}, "name of its folder"),
        ({"created": "2026-11-23T12:00:00"}, "created"),
        ({"files": [{"path": "../x", "size_bytes": 1, "sha256": "0" * 64}]}, "inside"),
        ({"files": [{"path": "x", "size_bytes": 1, "sha256": "0" * 64}] * 2}, "twice"),
        ({"format_version": "1"}, "format_version"),
        ({"format_version": None}, "format_version"),
    ],
)
def test_what_is_not_a_manifest_is_damage(
    tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**manifest_content(tmp_path), **change}))
    with pytest.raises(hs.DamagedArtifact, match=expected) as caught:
        read_manifest(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\ufffe", '{"format_version": 1}'])
def test_text_that_is_no_manifest_is_damage(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text, encoding="utf-16")
    with pytest.raises(hs.DamagedArtifact):
        read_manifest(path)


@pytest.mark.parametrize(
    "change",
    [
        *({key: "[" * 20_000} for key in ("format_version", "kind", "id", "name", "created")),
        *({"format_version": int("9" * 4000)}, {"x" * 20_000: 1}),
        *({"files": "x" * 20_000}, {"provenance": {"manifest_sha256": "0" * 20_000}}),
    ],
    ids=lambda change: f"{next(iter(change)):.20}",
)
def test_a_manifest_is_not_poured_out_over_the_terminal(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = tmp_path / "a-run"
    folder.mkdir()
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest_content(folder) | change), encoding="utf-8")
    with pytest.raises(hs.StoreError) as caught:
        read_manifest(path)
    assert len(caught.value.message) < 1_000
    assert str(path) in caught.value.message


def test_a_manifest_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format_version": 7, "something": "new"}))
    with pytest.raises(hs.StoreVersionError, match="version 7 is needed"):
        read_manifest(path)
