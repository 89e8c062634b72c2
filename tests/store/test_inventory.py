"""Finding artifacts, and how they hang together."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs


def test_an_artifact_is_found_by_id_name_and_beginning(filled: Any) -> None:
    store, run = filled.store, filled.run
    assert store.get(run.id) == run
    assert store.get("first") == run
    assert store.get(run.id[:-3]) == run
    assert store.get(run.id, kind="run") == run
    assert store.path(run) == store.path(run.id) == store.root / "runs" / run.id
    assert store.has(run.id)
    assert not store.has("first")
    assert not store.has("../models")


def test_artifacts_come_oldest_first(filled: Any) -> None:
    expected = [filled.model, filled.embeddings, filled.run, filled.evaluation]
    assert filled.store.artifacts() == expected
    assert filled.store.artifacts("run") == [filled.run]
    assert filled.store.artifacts("graph") == []


def test_what_is_not_there_names_what_is_near(filled: Any) -> None:
    with pytest.raises(hs.ArtifactNotFound, match="'frist'") as caught:
        filled.store.get("frist", kind="run")
    assert "Did you mean first?" in str(caught.value.hint)
    with pytest.raises(hs.ArtifactNotFound):
        filled.store.get(filled.run.id, kind="model")
    with pytest.raises(hs.ArtifactNotFound):
        filled.store.get("")


def test_many_that_are_there_are_counted_not_listed(
    filled: Any, make_run: Callable[..., hs.Manifest]
) -> None:
    for k in range(30):
        make_run(filled.store, k=k + 10)
    with pytest.raises(hs.ArtifactNotFound) as caught:
        filled.store.remove("nosuch")
    hint = str(caught.value.hint)
    assert "1 of kind model, 1 of kind embeddings, 31 of kind run, 1 of kind evaluation" in hint
    assert "run-" not in hint
    assert "`hype ls` shows all" in hint


@pytest.mark.usefixtures("clock_goes_back")
def test_the_newest_is_what_came_last_whatever_the_clock_says(
    store: hs.Store,
    make_run: Callable[..., hs.Manifest],
    evaluate: Callable[..., hs.Manifest],
) -> None:
    first, second = make_run(store, "first", k=1), make_run(store, "second", k=2)
    assert first.created > second.created
    assert (first.order, second.order) == (1, 2)
    evaluate(store, "first", 0.25)
    newer = evaluate(store, "first", 0.75, version=2)
    assert store.artifacts("run") == [first, second]
    assert hs.Store.open(store.root).artifacts("run")[-1] == second
    assert store.find("run", {"engine": "exact"})[-1] == second
    assert store.evaluations("first")[-1] == newer
    shown = store.catalog.query("SELECT DISTINCT evaluation FROM leaderboard").rows
    assert shown == ((newer.id,),)
    assert store.catalog.agrees()


def test_what_an_older_version_made_is_older(
    store: hs.Store, make_run: Callable[..., hs.Manifest]
) -> None:
    numbered = make_run(store, "numbered", k=1)
    plain = make_run(store, "plain", k=2)
    for order in (None, 0, -1, True, "2", 2**60):
        provenance = {} if order is None else {"order": order}
        text = plain.model_copy(update={"provenance": provenance}).to_text()
        (store.path(plain) / "manifest.json").write_text(text)
        again = hs.Store.open(store.root)
        assert [one.id for one in again.artifacts("run")] == [plain.id, numbered.id], order
        assert again.doctor(checksums=True).healthy


def test_nothing_there_is_said(store: hs.Store) -> None:
    with pytest.raises(hs.ArtifactNotFound) as caught:
        store.get("x")
    assert "nothing yet" in str(caught.value.hint)


def test_several_that_fit_are_listed(store: hs.Store, make_run: Callable[..., hs.Manifest]) -> None:
    first, second = make_run(store, seed=1), make_run(store, seed=2)
    with pytest.raises(hs.AmbiguousReference, match="fits 2") as caught:
        store.get("run-")
    assert first.id in str(caught.value.hint)
    assert second.id in str(caught.value.hint)


def test_a_name_of_two_kinds_needs_the_kind(
    store: hs.Store, make_run: Callable[..., hs.Manifest], make_model: Callable[..., hs.Manifest]
) -> None:
    run, model = make_run(store, "same"), make_model(store, "same")
    assert store.get("same", kind="run") == run
    assert store.get("same", kind="model") == model
    with pytest.raises(hs.AmbiguousReference):
        store.get("same")


def test_a_whole_name_wins_over_the_beginning_of_an_id(
    store: hs.Store, make_run: Callable[..., hs.Manifest]
) -> None:
    make_run(store, seed=1)
    named = make_run(store, "run", seed=2)
    assert store.get("run") == named


def test_find_compares_part_of_the_inputs(filled: Any) -> None:
    store = filled.store
    assert store.find("embeddings", {"corpus": "corpus", "dim": 8}) == [filled.embeddings]
    assert store.find("embeddings", {"corpus": "other"}) == []
    assert store.find("embeddings", {"absent": None}) == []
    assert store.find("run", {}) == [filled.run]


def test_invariant_4_parents_lead_from_the_number_to_the_model(filled: Any) -> None:
    store = filled.store
    assert store.parents_of(filled.evaluation.id) == [filled.run]
    assert store.parents_of(filled.run.id) == [filled.model, filled.embeddings]
    assert store.parents_of(filled.embeddings.id) == [filled.model]
    assert store.parents_of(filled.model.id) == []
    assert store.children_of("tiny") == [filled.embeddings, filled.run]
    assert filled.model.provenance == {"seed": 1, "order": 1}


def test_a_parent_that_is_gone_is_damage(filled: Any) -> None:
    for path in sorted(filled.store.path(filled.model).iterdir()):
        path.unlink()
    with pytest.raises(hs.DamagedArtifact, match=filled.model.id):
        filled.store.parents_of(filled.embeddings.id)


def test_a_damaged_manifest_hides_itself_only(
    filled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (filled.store.path(filled.run) / "manifest.json").write_text("{")
    with caplog.at_level(logging.WARNING, logger="hypestore"):
        left = filled.store.artifacts()
        filled.store.artifacts("run")
    assert left == [filled.model, filled.embeddings, filled.evaluation]
    assert caplog.text.count(f"/{filled.run.id}/manifest.json") == 1, "it is said once"
    with pytest.raises(hs.DamagedArtifact):
        filled.store.get(filled.run.id)


def test_a_manifest_in_the_folder_of_another_kind_is_damage(filled: Any) -> None:
    path = filled.store.path(filled.run) / "manifest.json"
    content = {**json.loads(path.read_text()), "kind": "model"}
    path.write_text(json.dumps({**content, "provenance": {}}))
    with pytest.raises(hs.DamagedArtifact, match="kind"):
        filled.store.get(filled.run.id)


def test_a_second_opener_sees_new_and_removed_artifacts(
    filled: Any, make_run: Callable[..., hs.Manifest]
) -> None:
    other = hs.Store.open(filled.root)
    assert len(other.artifacts()) == 4
    new = make_run(filled.store, seed=3)
    assert other.get(new.id) == new
    filled.store.remove(new.id)
    assert not other.has(new.id)
    assert len(other.artifacts()) == 4


def test_copied_folders_are_part_of_the_store(
    filled: Any, tmp_path: Any, make_run: Callable[..., hs.Manifest]
) -> None:
    other = hs.Store.create(tmp_path / "other")
    run = make_run(other, "elsewhere")
    other.path(run).rename(filled.root / "runs" / run.id)
    assert filled.store.get("elsewhere") == run
    actual = filled.store.catalog.query("SELECT count(*) FROM runs")
    assert actual.rows == ((2,),)


def test_manifests_of_what_was_removed_are_not_kept(
    filled: Any, make_run: Callable[..., hs.Manifest]
) -> None:
    reader = hs.Store.open(filled.root)
    for number in range(3):
        run = make_run(filled.store, number=number)
        assert len(reader.artifacts()) == 5
        filled.store.remove(run.id)
    reader.artifacts()
    assert len(reader._inventory._parsed) == 4
