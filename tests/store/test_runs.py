from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hypestore as hs

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)


def test_a_run_gives_back_what_went_in(filled: Any) -> None:
    run = filled.store.run("first")
    assert run.results() == {"q1": [("d1", 2.0), ("d2", 1.0)], "q2": [("d1", 0.5)], "q3": []}
    assert run.queries() == {"q1": "one", "q2": "two", "q3": "three"}
    assert run.table().to_pydict()["rank"] == [1, 2, 1]
    assert run.manifest.stats["n_queries"] == 3
    assert run.manifest.stats["n_results"] == 3
    types = [str(field.type) for field in pq.read_schema(run.folder / "results.parquet")]
    assert types == ["string", "string", "int32", "float"]


def test_a_run_without_results_or_queries_is_one(store: hs.Store) -> None:
    with store.run_writer("r", {"a": 1}) as writer:
        writer.queries([("q1", "one")])
        writer.append([], [], [], [])
        run = writer.commit()
    assert store.run(run.id).results() == {"q1": []}
    assert store.run(run.id).by_query().doc_ids("q1") == []
    with store.run_writer("r", {"a": 2}) as writer:
        writer.queries([])
        empty = writer.commit()
    assert store.run(empty.id).results() == {}
    assert store.run(empty.id).table().num_rows == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rankings=st.dictionaries(IDS, st.lists(IDS, unique=True, max_size=5), max_size=5),
    batch=st.integers(1, 7),
)
def test_every_run_survives_every_cutting(
    store: hs.Store, rankings: dict[str, list[str]], batch: int
) -> None:
    rows = [
        (query, document, rank, 1.0 / rank)
        for query, documents in rankings.items()
        for rank, document in enumerate(documents, 1)
    ]
    with store.run_writer("r", {"rankings": rankings, "batch": batch}) as writer:
        if writer.existing is None:
            writer.queries((query, f"text of {query}") for query in rankings)
            for start in range(0, len(rows), batch):
                queries, documents, ranks, scores = zip(*rows[start : start + batch], strict=True)
                writer.append(list(queries), list(documents), np.array(ranks), np.array(scores))
        manifest = writer.commit()
    actual = store.run(manifest.id).results()
    assert list(actual) == list(rankings)
    assert {query: [doc for doc, _ in ranking] for query, ranking in actual.items()} == rankings
    by_query = store.run(manifest.id).by_query()
    assert {query: by_query.doc_ids(query) for query in rankings} == rankings
    assert {query: by_query.ranking(query) for query in rankings} == actual


def test_results_are_looked_up_by_query(filled: Any) -> None:
    actual = filled.store.run("first").by_query()
    assert actual.ranking("q1") == [("d1", 2.0), ("d2", 1.0)]
    assert actual.doc_ids("q2") == ["d1"]
    for without in ("q3", "absent", ""):
        assert (actual.doc_ids(without), actual.ranking(without)) == ([], [])


def test_a_run_without_results_has_none_to_look_up(store: hs.Store) -> None:
    with store.run_writer("r", {}) as writer:
        writer.queries([("q1", "one")])
        run = writer.commit()
    assert store.run(run.id).by_query().doc_ids("q1") == []


def test_queries_of_several_row_groups_are_looked_up(store: hs.Store) -> None:
    """The results of one query begin in one row group and end in the next."""
    with store.run_writer("r", {}) as writer:
        queries = [f"q{i}" for i in range(4)]
        writer.queries((query, "") for query in queries)
        for query in queries:
            documents = [f"{query}-{i}" for i in range(50_000)]
            writer.append([query] * 50_000, documents, range(1, 50_001), np.arange(50_000, 0, -1))
        run = store.run(writer.commit().id)
    assert pq.read_metadata(run.folder / "results.parquet").num_row_groups > 1
    actual = run.by_query()
    for query in queries:
        assert actual.doc_ids(query) == [f"{query}-{i}" for i in range(50_000)]
    assert actual.ranking("q2")[0] == ("q2-0", 50_000.0)


def test_results_are_streamed_in_large_row_groups(store: hs.Store) -> None:
    with store.run_writer("r", {}) as writer:
        names = [f"q{i}" for i in range(300)]
        writer.queries((name, "") for name in names)
        for name in names:
            documents = [f"d{i}" for i in range(1000)]
            writer.append([name] * 1000, documents, range(1, 1001), np.linspace(1, 0, 1000))
        manifest = writer.commit()
    metadata = pq.read_metadata(store.path(manifest) / "results.parquet")
    assert metadata.num_rows == 300_000
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        132_000,
        132_000,
        36_000,
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("q1", "a", 1, float("nan"))], "nan"),
        ([("q1", "a", 1, 1e300)], "finite float32"),
        ([("q1", "a", 0, 1.0)], "rank 0 where 1"),
        ([("q1", "a", 1, 1.0), ("q1", "b", 3, 1.0)], "rank 3 where 2"),
        ([("q1", "a", 1, 1.0), ("q2", "b", 2, 1.0)], "'q2' has rank 2 where 1"),
        ([("q1", "a", 1, 1.0), ("q1", "a", 2, 1.0)], "'q1' has document 'a' twice"),
        ([("q1", "a", 1, 1.0), ("q2", "a", 1, 1.0), ("q1", "b", 1, 1.0)], "two places"),
        ([("q1", None, 1, 1.0)], "None"),
        ([("q1", 7, 1, 1.0)], "strings"),
    ],
)
@pytest.mark.parametrize("batch", [1, 10])
def test_rows_out_of_order_are_refused(
    store: hs.Store, rows: list[tuple[Any, ...]], said: str, batch: int
) -> None:
    with store.run_writer("r", {}) as writer:
        writer.queries([("q1", ""), ("q2", "")])

        def append_all() -> None:
            for start in range(0, len(rows), batch):
                writer.append(*(list(c) for c in zip(*rows[start : start + batch], strict=True)))

        with pytest.raises(hs.InvalidContent, match=said):
            append_all()


def test_columns_must_agree_in_length(store: hs.Store) -> None:
    with store.run_writer("r", {}) as writer, pytest.raises(hs.InvalidContent, match="lengths"):
        writer.append(["q"], ["a", "b"], [1], [1.0])


def test_the_queries_must_be_given_and_cover_the_results(store: hs.Store) -> None:
    with store.run_writer("r", {}) as writer:
        writer.append(["q1"], ["a"], [1], [1.0])
        with pytest.raises(hs.IncompleteWork, match="no queries"):
            writer.commit()
        with pytest.raises(hs.InvalidContent, match="twice"):
            writer.queries([("q1", ""), ("q1", "")])
        writer.queries([("q2", "")])
        with pytest.raises(hs.InvalidContent, match="'q1'"):
            writer.commit()
    assert store.artifacts() == []


def test_costs_are_kept_a_query(store: hs.Store) -> None:
    with store.run_writer("costly", {"n": 1}) as writer:
        with pytest.raises(hs.IncompleteWork, match="queries"):
            writer.costs([1], [1])
        writer.queries([("q1", "a"), ("q2", "b")])
        with pytest.raises(hs.InvalidContent, match="2 queries"):
            writer.costs([1], [1, 2])
        writer.costs([120, 7], [3, 1])
        done = writer.commit()
    costs = store.run(done.id).costs()
    assert costs is not None
    assert costs.to_pylist() == [
        {"query_id": "q1", "evaluations": 120, "iterations": 3},
        {"query_id": "q2", "evaluations": 7, "iterations": 1},
    ]


def test_a_bound_on_the_recall_is_kept_a_query(store: hs.Store) -> None:
    """In SQL it is NULL for a run without one."""
    with store.run_writer("bounded", {"n": 1}) as writer:
        writer.queries([("q1", "a"), ("q2", "b")])
        for wrong in ([0.9], [0.9, 1.1], [0.9, float("nan")]):
            with pytest.raises(hs.InvalidContent, match="from 0 to 1"):
                writer.costs([120, 7], [3, 1], wrong)
        writer.costs([120, 7], [3, 1], [1.0, 0.95])
        stats = {"evaluations": {"mean": 63.5}, "recall_bound": {"min": 0.95}}
        done = writer.commit(stats=stats)
    with store.run_writer("plain", {"n": 2}) as writer:
        writer.queries([("q1", "a")])
        writer.costs([5], [1])
        plain = writer.commit()
    costs = store.run(done.id).costs()
    assert costs is not None
    assert costs["recall_bound"].to_pylist() == [1.0, 0.95]
    rows = store.catalog.query("FROM per_query_costs ORDER BY run, query_id").rows
    assert rows == (
        (done.id, "q1", 120, 3, 1.0),
        (done.id, "q2", 7, 1, 0.95),
        (plain.id, "q1", 5, 1, None),
    )
    lowest = store.catalog.query("SELECT run, recall_bound_min FROM efficiency").rows
    assert lowest == ((done.id, 0.95),)


def test_a_run_without_costs_has_none(filled: Any) -> None:
    assert filled.store.run("first").costs() is None


def test_a_run_begins_anew(store: hs.Store) -> None:
    with store.run_writer("r", {}) as writer:
        (writer.path / "results.parquet").write_text("left by a killed process")
        writer.append(["q1"], ["a"], [1], [1.0])
    with store.run_writer("r", {}) as writer:
        assert [path.name for path in writer.path.iterdir()] == ["work.json"]
        writer.queries([("q2", "")])
        writer.append(["q2"], ["b"], [1], [1.0])
        manifest = writer.commit()
    assert store.run(manifest.id).results() == {"q2": [("b", 1.0)]}
    assert [file.path for file in manifest.files] == ["queries.parquet", "results.parquet"]


def test_the_same_run_is_made_once(filled: Any, make_run: Callable[..., hs.Manifest]) -> None:
    with filled.store.run_writer("run", filled.run.inputs) as writer:
        assert writer.existing == filled.run
        assert writer.commit() == filled.run
        with pytest.raises(hs.IncompleteWork, match="finished"):
            writer.append(["q"], ["d"], [1], [1.0])


def test_a_damaged_run_says_so(filled: Any) -> None:
    path = filled.store.path(filled.run) / "results.parquet"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(hs.DamagedArtifact, match=r"results\.parquet"):
        filled.store.run("first").results()
