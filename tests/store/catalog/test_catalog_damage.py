"""Values of manifests that no table of the catalog can hold: left out, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs

Make = Callable[..., Any]
HUGE = 10**30


def put(store: hs.Store, inputs: dict[str, Any], stats: dict[str, Any]) -> hs.Manifest:
    with store.run_writer("huge", {"engine": "exact", **inputs}) as writer:
        writer.queries([("q1", "one")])
        run = writer.commit()
    return change(store, run, stats={**run.stats, **stats})


def change(store: hs.Store, manifest: hs.Manifest, **fields: Any) -> hs.Manifest:
    """Replace a manifest by one with other fields, as another program could write it."""
    changed = manifest.model_validate({**manifest.model_dump(), **fields})
    (store.path(manifest) / "manifest.json").write_text(changed.to_text(), encoding="utf-8")
    store.catalog.path.unlink()
    return changed


@pytest.mark.parametrize(
    ("inputs", "stats", "said"),
    [
        ({"k": HUGE}, {}, "k = a number of 31 digits does not fit a column of BIGINT"),
        ({"query_max_length": -HUGE}, {}, "query_max_length"),
        ({}, {"n_queries": HUGE}, "n_queries"),
        ({}, {"n_results": 2**63}, "n_results = 9223372036854775808"),
        ({}, {"seconds": {"total": 10**400}}, "seconds_total"),
    ],
)
def test_a_run_with_a_huge_number_hides_itself_only(
    filled: Any, evaluate: Make, inputs: Any, stats: Any, said: str, caplog: Any
) -> None:
    rows = filled.store.catalog.query("SELECT run FROM leaderboard ORDER BY ALL").rows
    huge = put(filled.store, inputs, stats)
    evaluate(filled.store, huge.id)
    assert huge.id in caplog.text
    assert said in caplog.text
    caplog.clear()
    query = filled.store.catalog.query
    assert query("SELECT run FROM leaderboard ORDER BY ALL").rows == rows
    assert query(f"SELECT id FROM artifacts WHERE id = '{huge.id}'").rows == ((huge.id,),)
    assert caplog.text == ""
    (finding,) = filled.store.doctor(checksums=True).findings
    assert (finding.artifact, finding.severity) == (huge.id, "warning")
    assert said in finding.problem


def test_a_large_k_fits(store: hs.Store) -> None:
    run = put(store, {"k": 3_000_000_000}, {})
    assert store.catalog.query("SELECT run, k FROM runs").rows == ((run.id, 3_000_000_000),)
    assert store.doctor(checksums=True).findings == ()


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
@pytest.mark.parametrize("kind", ["run", "evaluation"])
def test_a_time_beyond_the_calendar_hides_its_artifact_only(
    filled: Any, kind: str, created: str, caplog: Any
) -> None:
    manifest = getattr(filled, kind)
    change(filled.store, manifest, created=created)
    store = hs.Store.open(filled.root)
    assert store.catalog.query("FROM leaderboard").rows == ()
    assert f"left out of the catalog: {manifest.id}: created = " in caplog.text
    assert store.catalog.query("SELECT count(*) FROM artifacts").rows == ((3,),)
    (finding,) = store.doctor(checksums=True).findings
    assert (finding.artifact, finding.severity) == (manifest.id, "warning")
    assert "created" in finding.problem


def test_a_curve_with_a_huge_step_hides_that_step(store: hs.Store, caplog: Any) -> None:
    with store.draft("model", "m", {}) as draft:
        draft.progress([(1, "loss", 0.5), (HUGE, "loss", 0.25)])
    found = store.catalog.query("SELECT step, value FROM training_curves").rows
    assert found == ((1, 0.5),)
    assert "step = a number of 31 digits" in caplog.text
    store.doctor()
