"""Rows of the catalog from artifacts, for a new catalog, an update, and tables in memory."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from hypestore.catalog.schema import (
    ARTIFACTS,
    CATALOG_VERSION,
    ELSEWHERE,
    MANIFEST_FILES,
    METRICS,
    OWNER_COLUMNS,
    PARENTS,
    PER_QUERY_COSTS,
    PER_QUERY_METRICS,
    RUN_QUERIES,
    RUNS,
    SECONDS,
    TABLES,
    TRAINING_CURVES,
    UNFINISHED,
    VIEWS,
    CatalogColumn,
    Relation,
)
from hypestore.errors import ArtifactNotFound, DamagedArtifact
from hypestore.inventory import Inventory
from hypestore.layout import PROGRESS_NAME
from hypestore.manifest import Manifest, WorkRecord
from hypestore.runs.draft import COSTS_NAME, COSTS_OPTIONAL, QUERIES_NAME
from hypestore.runs.evaluations import METRICS_NAME, PER_QUERY_NAME
from hypestore.verification import read_artifact_table
from hypestore.work.progress import read_progress
from hypestore.work.unfinished import work_records

_LOG = logging.getLogger("hypestore")

Row: TypeAlias = tuple[Any, ...]
_ARROW = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
}
_LARGEST = 2**63 - 1
_ROWS_AT_A_TIME = 1_000_000
CURVES_NAME = "training.parquet"
_WORK_COLUMNS = ("id", "name", "kind", "started", "updated", "progress_bytes")


def catalogued_artifacts(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, Any]] | None:
    """``(id, created)`` of the artifacts in the catalog; None if it has another version."""
    try:
        versions = connection.execute("SELECT version FROM catalog_meta").fetchall()
        if versions != [(CATALOG_VERSION,)]:
            return None
        return set(connection.execute("SELECT id, created FROM artifacts").fetchall())
    except duckdb.CatalogException:
        return None


def stored_artifacts(manifests: Iterable[Manifest]) -> set[tuple[str, Any]]:
    """``(id, created)`` of the artifacts in the folders, in the types of the catalog.

    Artifacts that the catalog cannot hold are not among them; see ``left_out``.
    """
    return {(one.id, _timestamp(one.created)) for one in manifests if not _problem(one)}


def catalogued_files(connection: duckdb.DuckDBPyConnection) -> set[Row] | None:
    """Rows of the manifest files that the catalog was built from; None for another version."""
    try:
        versions = connection.execute("SELECT version FROM catalog_meta").fetchall()
        if versions != [(CATALOG_VERSION,)]:
            return None
        return set(connection.execute("SELECT * FROM manifest_files").fetchall())
    except duckdb.CatalogException:
        return None


def stored_files(inventory: Inventory) -> set[Row]:
    """Rows of the manifest files in the folders, in the types of the catalog."""
    places = (("here", inventory), ("elsewhere", inventory.elsewhere))
    return {(place, path, *stamp) for place, one in places for path, stamp in one.stamps().items()}


def catalogued_work(connection: duckdb.DuckDBPyConnection) -> set[Row]:
    """Rows of unfinished work in the catalog, with the columns of ``stored_work``."""
    columns = ", ".join(_WORK_COLUMNS)
    return set(connection.execute(f"SELECT {columns} FROM unfinished").fetchall())


def stored_work(inventory: Inventory) -> dict[Row, Path]:
    """Row -> folder of the unfinished work of the store. A row changes with every logged point."""
    return {
        _work_row(record, folder): folder
        for record, folder in work_records(inventory.layout)
        if _time_problem("started", record.started) is None
    }


def left_out(inventory: Inventory) -> list[tuple[str, str]]:
    """``(id, reason)`` of artifacts and references with a row that no table can hold."""
    problems = []
    for one in (*inventory.artifacts(), *inventory.references()):
        problem = _problem(one)
        if problem is None and one.kind == "run":
            problem = _misfit(RUNS, _run_row(one, {}))
        if problem is not None:
            problems.append((one.id, problem))
    return problems


def catalogued_references(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, Any]]:
    """``(id, created)`` of the references in the catalog."""
    return set(connection.execute("SELECT id, created FROM elsewhere").fetchall())


def build(connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """Update a database, which may be empty, to the folders, in one transaction."""
    files = stored_files(inventory)  # first: the next update sees later changes
    existing = inventory.artifacts()
    problems = {one.id: _problem(one) for one in (*existing, *inventory.references())}
    for artifact, problem in problems.items():
        if problem is not None:
            _LOG.warning("left out of the catalog: %s: %s", artifact, problem)
    manifests = [manifest for manifest in existing if problems[manifest.id] is None]
    connection.execute("BEGIN TRANSACTION")
    try:
        catalogued = catalogued_artifacts(connection)
        if catalogued is None:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN TRANSACTION")
            _make_tables(connection)
            catalogued = set()
        stored = stored_artifacts(manifests)
        # Unfinished work is listed after the artifacts: some of it may be finished by now.
        finished = {artifact for artifact, _ in stored}
        work = {row: path for row, path in stored_work(inventory).items() if row[0] not in finished}
        known_rows = catalogued_work(connection)
        _delete_work(connection, [row[0] for row in known_rows - work.keys()])
        _delete(connection, [artifact for artifact, _ in catalogued - stored])
        new = [m for m in manifests if (m.id, _timestamp(m.created)) not in catalogued]
        _insert_all(connection, inventory, new)
        _insert_work(connection, {row: work[row] for row in work.keys() - known_rows})
        connection.execute("DELETE FROM elsewhere")
        references = [_reference_row(one) for one in inventory.references() if not _problem(one)]
        _insert_rows(connection, ELSEWHERE, references)
        # Damaged manifests are left out, so that each update reads and reports them again.
        readable = {("here", manifest.id) for manifest in existing}
        readable |= {("elsewhere", manifest.id) for manifest in inventory.elsewhere.artifacts()}
        connection.execute("DELETE FROM manifest_files")
        known_to_be = [file for file in files if (file[0], file[2]) in readable]
        _insert_rows(connection, MANIFEST_FILES, known_to_be)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # an error may have ended the transaction already
            connection.execute("ROLLBACK")
        raise


def agrees_with(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Whether a catalog file has the rows and views of a catalog in memory, and no others.

    Stamps of files are not compared: they differ in a copy of a store, where manifests are only
    read again.
    """
    connection.execute(f"ATTACH '{str(path).replace(chr(39), 2 * chr(39))}' AS file (READ_ONLY)")
    try:
        for relation in TABLES:
            if relation is MANIFEST_FILES:
                continue
            columns = ", ".join(column.name for column in relation.columns)
            built = f"SELECT {columns} FROM memory.main.{relation.name}"
            catalogued = f"SELECT {columns} FROM file.main.{relation.name}"
            for one, other in ((built, catalogued), (catalogued, built)):
                if connection.execute(f"{one} EXCEPT ALL {other} LIMIT 1").fetchall():
                    return False
        return _views(connection, "memory") == _views(connection, "file")
    finally:
        connection.execute("DETACH file")


def _views(connection: duckdb.DuckDBPyConnection, database: str) -> set[Row]:
    query = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND database_name = ?"
    return set(connection.execute(query, [database]).fetchall())


def _make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop all tables and views of another version, and create those of this one."""
    for name, kind in connection.execute(
        "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'main' "
        "ORDER BY table_type DESC"
    ).fetchall():
        quoted = name.replace('"', '""')
        connection.execute(f'DROP {"VIEW" if kind == "VIEW" else "TABLE"} "{quoted}"')
    for relation in (*TABLES, *VIEWS):
        connection.execute(relation.definition())
    connection.execute("INSERT INTO catalog_meta VALUES (?)", [CATALOG_VERSION])


def _delete(connection: duckdb.DuckDBPyConnection, artifacts: Sequence[str]) -> None:
    for table, owner in OWNER_COLUMNS.items() if artifacts else ():
        connection.execute(
            f"DELETE FROM {table} WHERE {owner} IN (SELECT unnest(?))", [list(artifacts)]
        )


def _delete_work(connection: duckdb.DuckDBPyConnection, work: Sequence[str]) -> None:
    for table, owner in (("unfinished", "id"), ("training_curves", "model")) if work else ():
        connection.execute(f"DELETE FROM {table} WHERE {owner} IN (SELECT unnest(?))", [list(work)])


def _insert_work(connection: duckdb.DuckDBPyConnection, work: Mapping[Row, Path]) -> None:
    rows: list[Row] = []
    curves: list[Row] = []
    for row, folder in work.items():
        values = dict(zip(_WORK_COLUMNS, row, strict=True))
        points = read_progress(folder)
        values["last_step"] = points[-1][0] if points else None
        rows.append(tuple(values[column.name] for column in UNFINISHED.columns))
        if values["kind"] == "model":
            curves += [(values["id"], *point) for point in points]
    _insert_rows(connection, UNFINISHED, rows)
    _insert_rows(connection, TRAINING_CURVES, curves)


def _insert_all(
    connection: duckdb.DuckDBPyConnection, inventory: Inventory, new: Sequence[Manifest]
) -> None:
    manifests = [*inventory.references(), *inventory.artifacts()] if new else []
    by_id = {manifest.id: manifest for manifest in manifests}
    _insert_rows(connection, ARTIFACTS, [_artifact_row(manifest) for manifest in new])
    parents = [(m.id, parent, at) for m in new for at, parent in enumerate(m.parents)]
    _insert_rows(connection, PARENTS, parents)
    runs = [_run_row(manifest, by_id) for manifest in new if manifest.kind == "run"]
    _insert_rows(connection, RUNS, runs)
    files = _FileRows(connection, inventory)
    for manifest in new:
        if manifest.kind == "evaluation":
            named = ("run", "qrels", "qrels_fingerprint")
            keys = {
                "evaluation": manifest.id,
                **{key: _text(manifest.inputs, key) for key in named},
            }
            files.add(METRICS, manifest, METRICS_NAME, keys)
            files.add(PER_QUERY_METRICS, manifest, PER_QUERY_NAME, keys)
        elif manifest.kind == "run":
            files.add(RUN_QUERIES, manifest, QUERIES_NAME, {"run": manifest.id})
            if COSTS_NAME in {one.path for one in manifest.files}:
                files.add(PER_QUERY_COSTS, manifest, COSTS_NAME, {"run": manifest.id})
        elif manifest.kind == "model" and CURVES_NAME in {one.path for one in manifest.files}:
            files.add(TRAINING_CURVES, manifest, CURVES_NAME, {"model": manifest.id})
    files.flush()


class _FileRows:
    """Collects rows from Parquet files of artifacts, and inserts many files in one statement."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory
        self._pending: dict[str, list[pa.Table]] = {}
        self._rows = 0

    def add(
        self, relation: Relation, manifest: Manifest, name: str, keys: Mapping[str, str | None]
    ) -> None:
        """Add the rows of a file with constant columns ``keys``; a damaged file is only logged."""
        folder = self._inventory.path(manifest)
        try:
            table = _with_keys(read_artifact_table(folder, manifest, name), relation, keys)
        except (DamagedArtifact, ArtifactNotFound, KeyError, pa.ArrowException) as error:
            _LOG.warning("left out of the catalog: %s", error)
            return
        self._pending.setdefault(relation.name, []).append(table)
        self._rows += len(table)
        if self._rows >= _ROWS_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        """Insert the collected rows."""
        for name, tables in self._pending.items():
            _insert_table(self._connection, name, pa.concat_tables(tables))
        self._pending, self._rows = {}, 0


def _with_keys(table: pa.Table, relation: Relation, keys: Mapping[str, str | None]) -> pa.Table:
    def column_of(column: CatalogColumn) -> pa.Array | pa.ChunkedArray:
        if column.name in keys:
            return _constant(keys[column.name], len(table))
        if column.name in COSTS_OPTIONAL.names and column.name not in table.column_names:
            return pa.nulls(len(table), _ARROW[column.type])
        values, expected = table[column.name], _ARROW[column.type]
        # A cast imports pyarrow.compute, which takes longer than many a search.
        return values if values.type == expected else values.cast(expected)

    arrays = [column_of(column) for column in relation.columns]
    return pa.table(arrays, names=[column.name for column in relation.columns])


def _constant(value: str | None, count: int) -> pa.Array:
    """An Arrow array of ``count`` equal texts, stored once."""
    places = pa.repeat(pa.scalar(0, pa.int32()), count)
    return pa.DictionaryArray.from_arrays(places, pa.array([value], pa.string()))


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, relation: Relation, rows: Sequence[Row]
) -> None:
    """Insert rows. Those with a value that their column cannot hold are left out, and logged."""
    try:
        table = _table(relation, rows)
    except (OverflowError, pa.ArrowException):
        problems = [_misfit(relation, row) for row in rows]
        table = _table(relation, [row for row, bad in zip(rows, problems, strict=True) if not bad])
        first = {str(row[0]): bad for row, bad in zip(rows, problems, strict=True) if bad}
        for owner, problem in first.items():
            _LOG.warning("left out of the catalog's %s: %s: %s", relation.name, owner, problem)
    if len(table):
        _insert_table(connection, relation.name, table)


def _table(relation: Relation, rows: Sequence[Row]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in relation.columns)
    arrays = [
        pa.array(list(values), _ARROW[column.type])
        for values, column in zip(columns, relation.columns, strict=True)
    ]
    return pa.table(arrays, names=[column.name for column in relation.columns])


def _misfit(relation: Relation, row: Row) -> str | None:
    """What keeps a row out of a table: the first value that its column cannot hold."""
    for column, value in zip(relation.columns, row, strict=True):
        try:
            pa.array([value], _ARROW[column.type])
        except (OverflowError, pa.ArrowException):
            return f"{column.name} = {_shown(value)} does not fit a column of {column.type}"
    return None


def _shown(value: object) -> str:
    """A value for a message; a long number has only its first digits."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"a number of {len(str(abs(value)))} digits"
    return f"{value!s:.40}"


def _insert_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("incoming", table)
    try:
        columns = ", ".join(table.column_names)
        connection.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM incoming")
    finally:
        connection.unregister("incoming")


def _problem(manifest: Manifest) -> str | None:
    """What keeps an artifact out of the catalog, with all that is known of it."""
    if manifest.size_bytes > _LARGEST:
        return f"the size of its files is {_shown(manifest.size_bytes)}"
    return _time_problem("created", manifest.created)


def _time_problem(what: str, moment: datetime) -> str | None:
    try:
        _timestamp(moment)
    except OverflowError:
        return f"{what} = {moment.isoformat()} is no time of UTC between the years 1 and 9999"
    return None


def _timestamp(moment: datetime) -> datetime:
    """A time as the TIMESTAMP of DuckDB: UTC, without an offset."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _work_row(record: WorkRecord, folder: Path) -> Row:
    updated, size = None, None
    with contextlib.suppress(FileNotFoundError):
        stat = (folder / PROGRESS_NAME).stat()
        # Whole microseconds, as the catalog keeps them, so that the two can be compared.
        updated = datetime(1970, 1, 1) + timedelta(microseconds=stat.st_mtime_ns // 1000)
        size = stat.st_size
    return record.id, record.name, record.kind, _timestamp(record.started), updated, size


def _artifact_row(manifest: Manifest) -> Row:
    return (
        manifest.id,
        manifest.name,
        _timestamp(manifest.created),
        manifest.kind,
        manifest.format_version,
        len(manifest.files),
        manifest.size_bytes,
        *(_json(part) for part in (manifest.inputs, manifest.stats, manifest.provenance)),
    )


def _reference_row(manifest: Manifest) -> Row:
    return (
        manifest.id,
        manifest.name,
        _timestamp(manifest.created),
        manifest.kind,
        *(_json(part) for part in (manifest.inputs, manifest.stats, manifest.provenance)),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _run_row(manifest: Manifest, by_id: Mapping[str, Manifest]) -> Row:
    inputs, stats = manifest.inputs, manifest.stats
    embeddings = _text(inputs, "embeddings") or _ancestor(manifest, "embeddings", by_id)
    seconds = stats.get("seconds")
    times = seconds if isinstance(seconds, dict) else {}
    return (
        manifest.id,
        manifest.name,
        _timestamp(manifest.created),
        _text(inputs, "engine"),
        # A search of texts has the model null: that of the vectors made none of its results.
        _text(inputs, "model") if "model" in inputs else _ancestor(manifest, "model", by_id),
        embeddings,
        _text(inputs, "corpus") or _of(embeddings, "corpus", by_id),
        _corpus_fingerprint(manifest, embeddings, by_id),
        _text(inputs, "queries"),
        _text(inputs, "queries_fingerprint"),
        _integer(inputs.get("k")),
        _integer(inputs.get("query_max_length")),
        _text(inputs, "dtype"),
        _text(manifest.provenance, "device"),
        _integer(stats.get("n_queries")),
        _integer(stats.get("n_results")),
        *(_number(times.get(part)) for part in SECONDS),
    )


def _ancestor(manifest: Manifest, kind: str, by_id: Mapping[str, Manifest]) -> str | None:
    """Id of the nearest ancestor of a kind; ancestors of another run are not searched."""
    level = list(manifest.parents)
    while level:
        parents = [by_id[parent] for parent in level if parent in by_id]
        ancestor = next((parent.id for parent in parents if parent.kind == kind), None)
        if ancestor is not None:
            return ancestor
        level = [
            grandparent
            for parent in parents
            if parent.kind != "run"
            for grandparent in parent.parents
        ]
    return None


def _corpus_fingerprint(
    manifest: Manifest, embeddings: str | None, by_id: Mapping[str, Manifest]
) -> str | None:
    """Hash of the corpus of a run: that of its embedding set, else of the runs it was made from."""
    if embeddings is not None:
        return _of(embeddings, "corpus_fingerprint", by_id)
    runs = [by_id[one] for one in manifest.parents if one in by_id and by_id[one].kind == "run"]
    of_runs = {
        _corpus_fingerprint(
            run, _text(run.inputs, "embeddings") or _ancestor(run, "embeddings", by_id), by_id
        )
        for run in runs
    } - {None}
    return of_runs.pop() if len(of_runs) == 1 else None


def _of(artifact: str | None, key: str, by_id: Mapping[str, Manifest]) -> str | None:
    manifest = None if artifact is None else by_id.get(artifact)
    return None if manifest is None else _text(manifest.inputs, key)


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    """A number as a float; a whole number beyond its range as it is, which no column holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return value
