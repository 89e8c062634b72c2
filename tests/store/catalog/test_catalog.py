"""The catalog: derived, documented, closed to writing, and never in the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

import hypestore as hs
from hypestore import inventory
from hypestore.catalog import build as catalog_build

Start = Callable[..., Any]
Make = Callable[..., hs.Manifest]

HOLDER = """
    import sys, duckdb
    connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
    print(connection.execute("SELECT count(*) FROM artifacts").fetchall()[0][0], flush=True)
    sys.stdin.readline()
"""


def everything(store: hs.Store) -> dict[str, list[Any]]:
    return {
        relation.name: sorted(store.catalog.query(f"FROM {relation.name}").rows, key=str)
        for relation in store.catalog.schema()
    }


def test_the_described_columns_are_the_real_ones(filled_once: Any) -> None:
    names = set()
    for relation in filled_once.store.catalog.schema():
        actual = filled_once.store.catalog.query(f"DESCRIBE {relation.name}").rows
        assert [row[0] for row in actual] == [column.name for column in relation.columns]
        assert [row[1] for row in actual] == [column.type for column in relation.columns]
        assert relation.description
        assert all(column.description for column in relation.columns)
        names.add(relation.name)
    shown = {row[0] for row in filled_once.store.catalog.query("SHOW TABLES").rows}
    assert shown == names


def test_the_leaderboard_has_one_row_a_measure(filled_once: Any) -> None:
    actual = filled_once.store.catalog.query("FROM leaderboard ORDER BY measure")
    rows = [dict(zip(actual.columns, row, strict=True)) for row in actual.rows]
    assert [row["measure"] for row in rows] == ["RR", "nDCG@10"]
    expected = {
        "run": filled_once.run.id,
        "name": "first",
        "engine": "exact",
        "model": "tiny",
        "model_id": filled_once.model.id,
        "embeddings": filled_once.embeddings.id,
        "corpus": "corpus",
        "corpus_fingerprint": None,
        "queries": "topics",
        "queries_fingerprint": None,
        "qrels": "qrels",
        "qrels_fingerprint": None,
        "measure": "nDCG@10",
        "value": 0.25,
        "n_queries": 3,
        "k": 2,
        "created": filled_once.run.created.replace(tzinfo=None).isoformat(),
        "seconds_query_encoding": None,
        "seconds_selection": None,
        "seconds_scoring": 1.0,
        "seconds_topk": None,
        "seconds_writing": None,
        "seconds_total": 2.5,
        "evaluation": filled_once.evaluation.id,
    }
    assert rows[1] == expected


def test_the_newest_evaluation_counts(filled: Any, evaluate: Make) -> None:
    evaluate(filled.store, "first", 1.0, again=True)
    actual = filled.store.catalog.query(
        "SELECT value FROM leaderboard WHERE measure = 'nDCG@10'"
    ).rows
    assert actual == ((0.5,),)


def test_judgements_of_one_name_are_told_apart(filled: Any, evaluate: Make) -> None:
    query, store = filled.store.catalog.query, filled.store
    evaluate(store, "first", 0.2, qrels_fingerprint="a1")
    evaluate(store, "first", 0.4, qrels_fingerprint="b2")
    evaluate(store, "first", 0.6, qrels_fingerprint="b2", again=True)
    evaluate(store, "first", 0.8, qrels="renamed", qrels_fingerprint="b2")
    found = query(
        "SELECT qrels, qrels_fingerprint, value FROM leaderboard WHERE measure = 'nDCG@10' "
        "AND qrels_fingerprint IS NOT NULL ORDER BY ALL"
    )
    assert found.rows == (("qrels", "a1", 0.1), ("renamed", "b2", 0.4))
    assert query(
        "SELECT qrels_fingerprint, query_id, value FROM per_query WHERE measure = 'nDCG@10' "
        "AND qrels_fingerprint IS NOT NULL ORDER BY ALL"
    ).rows == (("a1", "q1", 0.2), ("a1", "q2", 0.0), ("b2", "q1", 0.8), ("b2", "q2", 0.0))


def test_a_renewed_evaluation_is_the_newest(filled: Any, evaluate: Make) -> None:
    store = filled.store
    values = "SELECT value FROM leaderboard WHERE measure = 'nDCG@10'"
    evaluate(store, "first", 1.0, again=True)
    assert store.catalog.query(values).rows == ((0.5,),)
    assert store.renew_evaluation(filled.evaluation.id).created > filled.evaluation.created
    assert store.catalog.query(values).rows == ((0.25,),)
    assert store.doctor(checksums=True).findings == ()


def test_the_queries_of_a_store(filled: Any, make_run: Make) -> None:
    with filled.store.run_writer("other", {"queries": "topics"}) as writer:
        writer.queries([("q1", ""), ("q4", " two  words\n"), ("q5", "")])
        writer.commit()
    found = filled.store.catalog.query(
        "SELECT queries, query_id, text, characters, words FROM queries ORDER BY query_id"
    )
    assert found.rows == (
        ("topics", "q1", "one", 3, 1),
        ("topics", "q2", "two", 3, 1),
        ("topics", "q3", "three", 5, 1),
        ("topics", "q4", " two  words\n", 12, 2),
        ("topics", "q5", None, None, None),
    )


def test_how_a_run_was_made(filled: Any) -> None:
    told = {"query_max_length": 64, "dtype": "bfloat16", "embeddings": filled.embeddings.id}
    with filled.store.run_writer("r", {**told, "queries_fingerprint": "f"}) as writer:
        writer.queries([])
        run = writer.commit(provenance={"device": "cuda:0"})
    with filled.store.run_writer("rrf", {"corpus": "corpus"}, parents=(run.id,)) as writer:
        writer.queries([])
        fused = writer.commit()
    columns = "query_max_length, dtype, device, queries_fingerprint"
    query = filled.store.catalog.query
    assert query(f"SELECT {columns} FROM runs WHERE run = '{run.id}'").rows == (
        (64, "bfloat16", "cuda:0", "f"),
    )
    assert query(f"SELECT {columns} FROM runs WHERE run = '{fused.id}'").rows == ((None,) * 4,)


def test_the_corpus_of_a_fused_run_is_that_of_its_runs(store: hs.Store) -> None:
    spec = hs.EmbeddingSpec(
        id_prefix="docs",
        inputs={"corpus": "docs", "corpus_fingerprint": "c3"},
        parents=(),
        dim=4,
        dtype="float16",
        shard_rows=16,
        keep_text=False,
    )
    with store.embedding_work(spec) as work:
        embeddings = work.finish(0)
    made = {}
    for name, parents in {"a": (embeddings.id,), "b": (), "both": ("a", "b")}.items():
        ids = tuple(made.get(parent, parent) for parent in parents)
        with store.run_writer(name, {"corpus": "docs", "name": name}, parents=ids) as writer:
            writer.queries([])
            made[name] = writer.commit(stats={}).id
    found = store.catalog.query("SELECT run, corpus_fingerprint FROM runs").rows
    assert dict(found) == {made["a"]: "c3", made["b"]: None, made["both"]: "c3"}


def test_fingerprints_of_models(store: hs.Store) -> None:
    with store.draft("model", "m", {}) as draft:
        draft.commit(stats={"model_fingerprint": "w1", "passage_fingerprint": "p1"})
    found = store.catalog.query("SELECT model_fingerprint, passage_fingerprint FROM models")
    assert found.rows == (("w1", "p1"),)


def test_values_of_all_kinds_arrive(filled: Any) -> None:
    with filled.store.draft("model", "curves", {"recipe": "r"}) as draft:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"step": [1, 2], "name": ["loss", "loss"], "value": [2.0, 1.5]})
        pq.write_table(table, draft.path / "training.parquet")
        model = draft.commit()
    query = filled.store.catalog.query
    assert query("FROM training_curves ORDER BY step").rows == (
        (model.id, 1, "loss", 2.0),
        (model.id, 2, "loss", 1.5),
    )
    assert query("SELECT value FROM per_query_metrics ORDER BY ALL").rows == (
        (0.0,),
        (0.5,),
        (1.0,),
    )
    assert query("SELECT child FROM parents WHERE parent = 'x'").rows == ()
    assert query("SELECT corpus, n_documents, dim, storage_dtype FROM embedding_sets").rows == (
        ("corpus", 10, 8, "float16"),
    )
    assert query("SELECT inputs->>'$.recipe' FROM artifacts WHERE name = 'tiny'").rows == (
        ("tiny",),
    )


def test_runs_that_say_little_have_nulls(store: hs.Store, evaluate: Make) -> None:
    with store.run_writer("r", {"k": "many", "engine": ["a"]}) as writer:
        writer.queries([])
        run = writer.commit(stats={"seconds": 3})
    evaluate(store, run.id)
    actual = store.catalog.query("SELECT model, k, engine, seconds_total, corpus FROM leaderboard")
    assert actual.rows[0] == (None, None, '["a"]', None, None)


def test_model_and_corpus_are_found_through_the_parents(filled: Any, make_run: Make) -> None:
    with filled.store.run_writer("r", {}, parents=(filled.embeddings.id,)) as writer:
        writer.queries([])
        run = writer.commit()
    actual = filled.store.catalog.query(
        f"SELECT model, embeddings, corpus FROM runs WHERE run = '{run.id}'"
    )
    assert actual.rows == ((filled.model.id, filled.embeddings.id, "corpus"),)


def test_invariant_5_a_deleted_catalog_comes_back_the_same(filled: Any) -> None:
    before = everything(filled.store)
    assert before["leaderboard"]
    filled.store.catalog.path.unlink()
    assert everything(filled.store) == before
    filled.store.catalog.path.unlink()
    assert filled.store.doctor(rebuild=True).findings == ()
    assert everything(filled.store) == before
    assert hs.Store.open(filled.root).catalog.in_step() is True


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no database" * 2000,
        lambda content: content[:5000],
        lambda content: content[:4096] + bytes(len(content) - 4096),
    ],
    ids=["empty", "other", "cut", "zeroed"],
)
def test_a_damaged_catalog_is_made_again(filled: Any, damage: Callable[[bytes], bytes]) -> None:
    before = everything(filled.store)
    path = filled.store.catalog.path
    path.write_bytes(damage(path.read_bytes()))
    assert filled.store.catalog.in_step() is False
    assert everything(filled.store) == before
    assert filled.store.catalog.in_step() is True


def test_a_catalog_of_another_version_is_made_again(filled: Any) -> None:
    before = everything(filled.store)
    with duckdb.connect(str(filled.store.catalog.path)) as connection:
        connection.execute("UPDATE catalog_meta SET version = 99")
        connection.execute("ALTER TABLE metrics RENAME TO old_metrics")
    assert everything(filled.store) == before


def test_only_what_is_new_is_read(
    filled: Any, make_run: Make, evaluate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = catalog_build.read_artifact_table

    def spy(folder: Path, manifest: hs.Manifest, name: str) -> Any:
        read.append(folder / name)
        return original(folder, manifest, name)

    monkeypatch.setattr(catalog_build, "read_artifact_table", spy)
    run = make_run(filled.store, seed=9)
    assert {path.parent.name for path in read} == {run.id}
    new = evaluate(filled.store, run.id)
    assert {path.parent.name for path in read} == {run.id, new.id}
    filled.store.catalog.query("FROM leaderboard")
    assert len(read) == 3
    filled.store.remove(filled.run.id, force=True)
    assert filled.store.catalog.query("SELECT DISTINCT run FROM leaderboard").rows == ((run.id,),)
    assert filled.store.catalog.query("SELECT count(*) FROM per_query_metrics").rows == ((3,),)
    assert len(read) == 3


def test_a_catalog_in_step_answers_without_reading_a_manifest(
    filled: Any, make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(filled.store)
    read: list[Path] = []
    original = inventory.read_manifest

    def spy(path: Path) -> Any:
        read.append(path)
        return original(path)

    monkeypatch.setattr(inventory, "read_manifest", spy)
    assert everything(hs.Store.open(filled.root)) == before
    assert read == []
    # A copy of the store has other files: they are read, and the answers are the same.
    shutil.copytree(filled.root, filled.root.with_name("copy"))
    assert everything(hs.Store.open(filled.root.with_name("copy"))) == before
    assert {path.parent.name for path in read} >= {filled.run.id, filled.model.id}


def test_a_manifest_that_is_damaged_later_is_missed_and_said_every_time(
    filled: Any, make_run: Make, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(filled.store, seed=9)
    query = "SELECT count(*) FROM runs"
    assert filled.store.catalog.query(query).rows == ((2,),)
    (filled.store.path(run) / "manifest.json").write_text("{")
    for _ in range(2):
        caplog.clear()
        assert hs.Store.open(filled.root).catalog.query(query).rows == ((1,),)
        assert run.id in caplog.text


def test_a_damaged_evaluation_hides_itself_only(
    filled: Any, make_run: Make, evaluate: Make, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(filled.store, seed=9)
    evaluation = evaluate(filled.store, run.id)
    (filled.store.path(evaluation) / "metrics.parquet").write_bytes(b"x")
    filled.store.catalog.rebuild()
    assert "left out of the catalog" in caplog.text
    actual = filled.store.catalog.query("SELECT DISTINCT run FROM leaderboard").rows
    assert actual == ((filled.run.id,),)
    assert len(filled.store.catalog.query("FROM artifacts").rows) == 6


@pytest.mark.parametrize("mode", ["writer", "reader"])
def test_invariant_6_a_notebook_that_holds_the_catalog_is_in_nobodys_way(
    filled: Any, python: Start, make_run: Make, evaluate: Make, mode: str
) -> None:
    store = filled.store
    other = python(HOLDER, store.catalog.path, mode)
    assert other.stdout.readline() == "4\n"
    run = make_run(store, "second", seed=2)
    evaluate(store, run.id)
    assert store.catalog.sync() is False
    before = everything(store)  # from memory: new artifacts are there
    assert {row[0] for row in before["leaderboard"]} == {filled.run.id, run.id}
    with pytest.raises(hs.ArtifactBusy, match="open in another program"):
        store.catalog.rebuild()
    findings = store.doctor(rebuild=True).findings
    assert all(finding.severity != "error" for finding in findings)
    assert any("not rebuilt" in finding.problem for finding in findings)
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.wait(30) == 0
    assert store.catalog.sync() is True
    assert store.catalog.in_step() is True
    assert everything(store) == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_connection_of_the_same_process_is_in_nobodys_way(
    filled: Any, make_run: Make, read_only: bool
) -> None:
    with duckdb.connect(str(filled.store.catalog.path), read_only=read_only) as own:
        assert len(own.execute("FROM artifacts").fetchall()) == 4
        make_run(filled.store, seed=2)
        assert len(filled.store.catalog.query("FROM runs").rows) == 2
        own.execute("SET threads = 1")  # its settings are still its own
        assert own.execute("SELECT 1 FROM artifacts").fetchall()
    assert filled.store.catalog.sync() is True
    assert len(filled.store.catalog.query("FROM runs").rows) == 2


def test_a_catalog_lock_that_is_held_is_waited_for_a_little(filled: Any, python: Start) -> None:
    code = """
        import sys
        from pathlib import Path
        from hypestore.work.locks import hold
        with hold(Path(sys.argv[1]), what="the catalog"):
            print("in", flush=True)
            sys.stdin.readline()
    """
    other = python(code, filled.root / "locks" / "catalog.lock")
    assert other.stdout.readline() == "in\n"
    filled.store.catalog._wait_seconds = 0.2
    assert filled.store.catalog.sync() is False
    assert len(filled.store.catalog.query("FROM leaderboard").rows) == 2
    filled.store.catalog.path.unlink()
    assert len(filled.store.catalog.query("FROM leaderboard").rows) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO runs (run) VALUES ('x')",
        "DELETE FROM artifacts",
        "DROP TABLE runs",
        "CREATE TABLE x AS SELECT 1",
        "ATTACH 'other.duckdb'",
        "COPY runs TO 'out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "PRAGMA database_list",
        "EXPORT DATABASE 'x'",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "",
        "SELEC",
        "SELECT * FROM absent",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('hype.toml')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM sql_of_the_test",
        "SELECT getenv('HOME')",
        "SELECT now()",
        "SELECT 1/'x'",
    ],
)
@pytest.mark.parametrize("from_memory", [False, True])
def test_anything_but_a_query_is_refused(
    filled_once: Any,
    sql: str,
    from_memory: bool,
    monkeypatch: pytest.MonkeyPatch,
    snapshot: Callable[[Path], dict[str, tuple[int, str]]],
) -> None:
    sql_of_the_test = [(1,)]
    assert sql_of_the_test
    if from_memory:
        monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    before = snapshot(filled_once.root)
    with pytest.raises(hs.CatalogQueryError) as caught:
        filled_once.store.catalog.query(sql)
    assert "hype report --schema" in str(caught.value.hint)
    after = snapshot(filled_once.root)
    ignored = ("locks",)
    assert {k: v for k, v in after.items() if not k.startswith(ignored)} == {
        k: v for k, v in before.items() if not k.startswith(ignored)
    }


@pytest.mark.parametrize(
    "sql",
    [
        "FROM iceberg_scan('x')",
        "FROM 'x.xlsx'",
        "FROM sqlite_scan('x', 'y')",
        "SELECT current_setting('s3_region')",
        "SELECT 'a'::inet",
    ],
)
def test_a_query_that_names_an_extension_is_no_damage(
    filled_once: Any, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = filled_once.store.catalog.path.stat()
    with pytest.raises(hs.CatalogQueryError):
        filled_once.store.catalog.query(sql)
    assert filled_once.store.catalog.path.stat() == before
    assert caplog.records == []


@pytest.mark.parametrize("from_memory", [False, True])
@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("PIVOT leaderboard ON measure USING first(value) GROUP BY name", (("first", 0.5, 0.25),)),
        ("WITH x AS (SELECT 1 AS a) FROM x", ((1,),)),
        ("VALUES (1, NULL)", ((1, None),)),
        ("SELECT DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05'", None),
        ("SELECT 1.5::DECIMAL(4, 2), 'nan'::DOUBLE, 'inf'::FLOAT", ((1.5, None, None),)),
        ("SELECT [1, 2], {'a': {'b': 1.5::DECIMAL(4, 2)}}, MAP {1: 2}", None),
        ("SELECT uuid(), 'ab'::BLOB, INTERVAL 1 DAY, TIME '01:02:03'", None),
        ("EXPLAIN SELECT 1", None),
        ("SUMMARIZE runs", None),
        ("SELECT 1;", ((1,),)),
        ("SELECT 170141183460469231731687303715884105727", None),
    ],
)
def test_queries_give_what_json_has(
    filled_once: Any,
    sql: str,
    rows: tuple[Any, ...] | None,
    from_memory: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if from_memory:
        monkeypatch.setattr(hs.Catalog, "_open_current", lambda self: None)
    actual = filled_once.store.catalog.query(sql)
    assert json.loads(json.dumps(actual.rows, allow_nan=False))
    assert all(len(row) == len(actual.columns) for row in actual.rows)
    if rows is not None:
        assert actual.rows == rows


def test_an_empty_store_answers(store: hs.Store) -> None:
    assert store.catalog.in_step() is True
    assert store.catalog.query("FROM leaderboard").rows == ()
