from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs


def test_what_others_need_stays(filled: Any) -> None:
    with pytest.raises(hs.ArtifactInUse) as caught:
        filled.store.remove("tiny")
    assert "needed by 3 artifacts" in caught.value.message
    for name in (filled.embeddings.id, "first", filled.evaluation.id):
        assert name in caught.value.message
    assert f"hype rm {filled.model.id} --force" in str(caught.value.hint)
    assert len(filled.store.artifacts()) == 4


def test_force_takes_the_children_first(filled: Any) -> None:
    removed = filled.store.remove("tiny", force=True)
    assert set(removed[:-1]) == {filled.evaluation.id, filled.run.id, filled.embeddings.id}
    assert removed.index(filled.evaluation.id) < removed.index(filled.run.id)
    assert removed.index(filled.run.id) < removed.index(filled.embeddings.id)
    assert removed[-1] == filled.model.id
    assert filled.store.artifacts() == []
    assert [p for p in filled.root.glob("*/*") if p.is_dir()] == []
    assert filled.store.catalog.query("SELECT count(*) FROM artifacts").rows == ((0,),)


def test_a_leaf_goes_alone(filled: Any) -> None:
    assert filled.store.remove(filled.evaluation.id) == [filled.evaluation.id]
    assert filled.store.artifacts() == [filled.model, filled.embeddings, filled.run]


def test_what_is_not_there_is_said(store: hs.Store) -> None:
    with pytest.raises(hs.ArtifactNotFound):
        store.remove("absent")


def test_removed_and_made_again_is_another_one(
    store: hs.Store, make_model: Callable[..., hs.Manifest]
) -> None:
    first = make_model(store)
    store.remove(first.id)
    again = make_model(store)
    assert again.id == first.id
    assert again.created > first.created
    rows = store.catalog.query("SELECT id, created FROM artifacts").rows
    assert rows == ((again.id, again.created.replace(tzinfo=None).isoformat()),)


def test_a_child_that_is_worked_on_stops_all(filled: Any, python: Callable[..., Any]) -> None:
    code = """
        import sys
        from hypestore.layout import Layout
        from hypestore.work.locks import hold
        from pathlib import Path
        with hold(Layout(Path(sys.argv[1])).lock(sys.argv[2]), what="it"):
            print("in", flush=True)
            sys.stdin.readline()
    """
    other = python(code, filled.root, filled.run.id)
    assert other.stdout.readline() == "in\n"
    with pytest.raises(hs.ArtifactBusy, match=str(other.pid)):
        filled.store.remove("tiny", force=True)
    assert len(filled.store.artifacts()) == 4


def test_a_damaged_artifact_goes_by_force_only(filled: Any) -> None:
    (filled.store.path(filled.evaluation) / "manifest.json").write_text("{")
    with pytest.raises(hs.DamagedArtifact):
        filled.store.remove(filled.evaluation.id)
    assert filled.store.remove(filled.evaluation.id, force=True) == [filled.evaluation.id]
    assert filled.store.doctor().findings == ()


def test_unfinished_work_goes_by_id_name_and_beginning(store: hs.Store) -> None:
    for reference in ("long", None, "tiny-"):
        with store.draft("model", "tiny", {"seed": 1}, name="long") as draft:
            (draft.path / "weights").write_text("half")
        assert store.remove(reference or draft.id) == [draft.id]
        assert not draft.path.exists()
    assert store.unfinished() == []
    assert store.catalog.query("FROM unfinished").rows == ()
    assert store.doctor().findings == ()


def test_an_artifact_is_meant_before_unfinished_work(
    store: hs.Store, make_model: Callable[..., hs.Manifest]
) -> None:
    with store.draft("model", "other", {"seed": 1}, name="tiny") as draft:
        pass
    created = make_model(store, "tiny")
    assert store.remove("tiny") == [created.id]
    assert store.remove("tiny") == [draft.id]


@pytest.mark.parametrize("part", [None, (2, 3)])
def test_work_that_somebody_does_stays(
    store: hs.Store, python: Callable[..., Any], part: tuple[int, int] | None
) -> None:
    code = """
        import sys, hypestore as hs
        store = hs.Store.open(sys.argv[1])
        spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, dim=2, shard_rows=1, keep_text=False)
        with store.embedding_work(spec, part=eval(sys.argv[2])) as work:
            print(work.id, flush=True)
            sys.stdin.readline()
    """
    other = python(code, store.root, part)
    work = other.stdout.readline().strip()
    with pytest.raises(hs.ArtifactBusy, match=f"process {other.pid}"):
        store.remove(work)
    other.kill()
    other.wait()
    assert store.remove(work) == [work]
