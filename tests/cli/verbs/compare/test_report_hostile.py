"""``hype report --sql`` is a query of somebody's: it changes nothing and reaches nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

import hypestore as hs
from hypencli.ops.evaluation import leaderboard as report

REFUSED = [
    # Writing, also where a query hides it.
    "INSERT INTO runs (run) VALUES ('x')",
    "WITH x AS (INSERT INTO catalog_meta VALUES (9) RETURNING version) SELECT * FROM x",
    "WITH x AS MATERIALIZED (DELETE FROM runs RETURNING run) SELECT * FROM x",
    "EXPLAIN ANALYZE INSERT INTO catalog_meta VALUES (9)",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "MERGE INTO runs USING runs AS other ON false WHEN NOT MATCHED THEN INSERT VALUES (1)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE MACRO x() AS 1",
    "ALTER TABLE runs RENAME TO x",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    # Files, by every function that reads or writes one.
    "COPY runs TO '{outside}/new.csv'",
    "EXPLAIN ANALYZE COPY runs TO '{outside}/new.csv'",
    "COPY (SELECT 1) TO '{outside}/new.parquet'",
    "EXPORT DATABASE '{outside}/new'",
    "IMPORT DATABASE '{outside}'",
    "ATTACH '{outside}/new.duckdb'",
    "SELECT * FROM '{outside}/secret.txt'",
    "SELECT * FROM read_csv('{outside}/secret.txt')",
    "SELECT * FROM read_text('{outside}/secret.txt')",
    "SELECT * FROM read_blob('{outside}/secret.txt')",
    "SELECT * FROM read_json('{outside}/secret.txt')",
    "SELECT * FROM read_parquet('{outside}/secret.txt')",
    "SELECT * FROM parquet_metadata('{outside}/secret.txt')",
    "SELECT * FROM parquet_scan('{outside}/*')",
    "SELECT * FROM sniff_csv('{outside}/secret.txt')",
    "SELECT * FROM glob('{outside}/*')",
    "FROM query('SELECT * FROM read_text(''{outside}/secret.txt'')')",
    "SELECT * FROM json_execute_serialized_sql("
    "json_serialize_sql('SELECT * FROM read_text(''{outside}/secret.txt'')'))",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM read_csv('/dev/stdin')",
    # The network, extensions, settings, the environment, objects of the process.
    "SELECT * FROM 'https://127.0.0.1:1/x.csv'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "INSTALL httpfs",
    "LOAD '{outside}/x.duckdb_extension'",
    "FORCE INSTALL httpfs FROM '{outside}'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "SELECT * FROM enable_logging(storage='file', storage_path='{outside}')",
    "SELECT * FROM enable_profiling(save_location='{outside}/new.json', format='json')",
    "EXPLAIN ANALYZE SET threads = 1",
    "SELECT getenv('HOME')",
    "SELECT * FROM of_the_test",
    "SELECT * FROM pandas_scan(4096)",
    "SELECT * FROM arrow_scan(4096, 4096, 4096)",
    # More than one thing, and what is none.
    "SELECT 1; DROP TABLE runs",
    "PREPARE x AS SELECT 1",
    "USE memory",
]


def make_store(folder: Path) -> hs.Store:
    store = hs.Store.create(folder)
    with store.draft("model", "tiny", {"architecture": "hypencoder"}, name="tiny") as draft:
        (draft.path / "config.json").write_text("{}\n", encoding="utf-8")
        draft.commit()
    store.catalog.sync()
    return store


@pytest.fixture
def filled(tmp_path: Path) -> hs.Store:
    return make_store(tmp_path / "store")


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> hs.Store:
    """One store for all the queries that are refused."""
    return make_store(tmp_path_factory.mktemp("sql") / "store")


@pytest.mark.parametrize("from_memory", [False, True], ids=["file", "memory"])
@pytest.mark.parametrize("sql", REFUSED)
def test_nothing_but_a_query_of_the_catalog_is_answered(
    unchanged: hs.Store,
    sql: str,
    from_memory: bool,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_the_test = [(1,)]
    assert of_the_test
    if from_memory:
        monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    with pytest.raises(hs.CatalogQueryError) as caught:
        unchanged.catalog.query(sql.format(outside=outside))
    assert "the-secret" not in str(caught.value)
    assert unchanged.catalog.query("SELECT name FROM models").rows == (("tiny",),)


def test_a_query_in_memory_leaves_nothing_in_the_current_folder(
    filled: hs.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    monkeypatch.setattr("hypestore.catalog.catalog._BOUNDS", {"memory_limit": "40MB"})
    with pytest.raises(hs.CatalogQueryError, match="memory"):
        filled.catalog.query("SELECT range FROM range(30_000_000) ORDER BY hash(range)")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("from_memory", [False, True], ids=["file", "memory"])
def test_a_query_has_limits(
    filled: hs.Store, from_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if from_memory:
        monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    monkeypatch.setattr("hypestore.catalog.catalog._BOUNDS", {"memory_limit": "100MB"})
    ask = filled.catalog.query
    assert len(ask("FROM range(7)", max_rows=7).rows) == 7
    with pytest.raises(hs.CatalogQueryError, match="more than 6 rows"):
        ask("FROM range(7)", max_rows=6)
    started = time.monotonic()
    with pytest.raises(hs.CatalogQueryError, match=r"stopped after 0\.2 s"):
        ask("SELECT count(*) FROM range(1_000_000_000_000)", max_seconds=0.2)
    assert time.monotonic() - started < 30
    with pytest.raises(hs.CatalogQueryError, match="Out of Memory"):
        ask("SELECT list(range) FROM range(100_000_000_000)", max_seconds=60)


def test_what_users_ask_is_bounded(filled: hs.Store) -> None:
    with pytest.raises(hs.CatalogQueryError, match="more than 3 rows"):
        report.sql(filled, "FROM range(4)", max_rows=3)


def test_views_of_a_catalog_that_came_with_a_store_reach_no_file(
    filled: hs.Store, outside: Path
) -> None:
    """``catalog_meta`` is what every command asks first, also the one that writes."""
    filled.catalog.path.unlink()
    with duckdb.connect(str(filled.catalog.path)) as hostile:
        hostile.execute(
            "CREATE VIEW catalog_meta AS SELECT length(content)::INTEGER AS version "
            f"FROM read_text('{outside}/secret.txt')"
        )
        assert hostile.execute("FROM catalog_meta").fetchall() == [(10,)]
    assert filled.catalog.query("SELECT name FROM models").rows == (("tiny",),)
    filled.catalog.sync()
    with duckdb.connect(str(filled.catalog.path), read_only=True) as again:
        kinds = dict(
            again.execute(
                "SELECT table_name, table_type FROM information_schema.tables"
                " WHERE table_name = 'catalog_meta'"
            ).fetchall()
        )
    assert kinds == {"catalog_meta": "BASE TABLE"}


NAMES = ["'; DROP TABLE runs; --", '"; DELETE FROM artifacts; --', "x' OR '1'='1", "%s{}$1"]


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_values_and_never_sql(filled: hs.Store, name: str) -> None:
    """A query id, a document id, a judgement set and a measure that look like statements."""
    with filled.run_writer("r", {"queries": name}) as writer:
        writer.queries([(name, name)])
        writer.append([name], [name], [1], [1.0])
        run = writer.commit()
    per_query = [(name, name, 0.5)]
    filled.write_evaluation(
        run.id, qrels_id=name, inputs={}, per_query=per_query, aggregates={name: 0.5}
    )
    actual: Any = filled.catalog.query("SELECT query_id, measure, value FROM per_query_metrics")
    assert actual.rows == ((name, name, 0.5),)
    assert filled.catalog.query("SELECT qrels, queries FROM leaderboard").rows == ((name, name),)
    assert filled.doctor(checksums=True).findings == ()
