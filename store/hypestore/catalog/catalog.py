"""The catalog: a DuckDB database of the artifacts of a store, for SQL, derived from its files.

It is opened under a lock, for one transaction at a time. If another process has it open, a writer
leaves the update to the next command, and a reader builds the tables in memory.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from hypestore.catalog.build import (
    agrees_with,
    build,
    catalogued_artifacts,
    catalogued_files,
    catalogued_references,
    catalogued_work,
    left_out,
    stored_artifacts,
    stored_files,
    stored_work,
)
from hypestore.catalog.schema import TABLES, VIEWS, Relation
from hypestore.errors import (
    ArtifactBusy,
    CatalogQueryError,
    DiskFull,
    StoreError,
    StoreNotWritable,
    refuse_open_limit,
)
from hypestore.free_space import disk_full, is_disk_full
from hypestore.inventory import Inventory
from hypestore.work.locks import hold

_LOG = logging.getLogger("hypestore")
_ALLOWED_STATEMENTS = {"SELECT", "EXPLAIN", "MULTI"}  # MULTI is what PIVOT expands to
_DAMAGE = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
)
_CLOSED = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    # Without these two, a query that names an extension fails as a damaged file does.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_BOUNDS = {"memory_limit": "4GB", "max_temp_directory_size": "16GB"}
"""Limits of one query in memory and on disk; temporary files lie beside the catalog."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of a query, in the types of JSON.

    Attributes:
        columns: Names of the columns.
        rows: One tuple per row; times are ISO 8601 strings, NaN is None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Catalog:
    """The SQL index over a store.

    Args:
        inventory: The artifacts of the store.
        wait_seconds: How long to wait for another process before tables are built in memory.
    """

    def __init__(self, inventory: Inventory, *, wait_seconds: float = 10.0) -> None:
        self._inventory = inventory
        self._wait_seconds = wait_seconds

    @property
    def path(self) -> Path:
        """The database file."""
        return self._inventory.layout.catalog

    def schema(self) -> tuple[Relation, ...]:
        """Tables and views with a description of each column, for users who write SQL."""
        return (*VIEWS, *TABLES)

    def query(
        self, sql: str, *, max_rows: int | None = None, max_seconds: float | None = None
    ) -> QueryResult:
        """Answer one read-only query over the artifacts that the store has now.

        The connection cannot write, and cannot reach files, the network, extensions or settings.

        Args:
            sql: The query.
            max_rows: The most rows that the result may have; None for no limit.
            max_seconds: The longest time that the query may take; None for no limit.

        Raises:
            CatalogQueryError: ``sql`` is not one query, DuckDB refuses it, or it exceeds a limit.
        """

        def asked(connection: duckdb.DuckDBPyConnection) -> QueryResult:
            with _stopped_after(connection, max_seconds):
                return _run(connection, sql, max_rows=max_rows)

        try:
            with self._reading() as connection:
                return asked(connection)
        except duckdb.Error as error:
            refuse_open_limit(error)
            _LOG.warning("the catalog is made again, for it cannot be read: %s", error)
            with contextlib.suppress(StoreError):  # another program has it open
                self.rebuild()
        with self._in_memory() as connection:
            return asked(connection)

    def sync(self, *, wait_seconds: float | None = None) -> bool:
        """Update the file to the artifacts in the folders.

        Args:
            wait_seconds: How long to wait for another process; that of the catalog by default.

        Returns:
            Whether the file is up to date. It is not if another process has it open, the store is
            read-only, or the disk is full; a later command then updates it.
        """
        try:
            with self._locked(wait_seconds):
                return self._catch_up()
        except (ArtifactBusy, DiskFull, StoreNotWritable) as error:
            _LOG.info("the catalog is left as it is: %s", error.message)
            return False

    def rebuild(self) -> None:
        """Delete the file and build it again from the folders.

        Raises:
            ArtifactBusy: Another process has it open.
            StoreNotWritable: The store is read-only.
            DiskFull: No space is left.
        """
        with self._locked():
            if self.path.exists() and not self._is_link() and self._is_open_elsewhere():
                raise ArtifactBusy(
                    f"{self.path} is open in another program.",
                    hint="Close it there (a notebook, a DuckDB shell) and run the command again.",
                )
            self._delete()
            if not self._catch_up():
                raise StoreError(f"{self.path} could not be made.", hint="hype doctor")

    def in_step(self) -> bool | None:
        """Whether the file lists exactly the stored artifacts; None if it cannot be read."""
        if not self.path.exists():
            return not self._inventory.artifacts()
        if self._is_link():
            return False
        try:
            with _connect(self.path, read_only=True) as connection:
                return self._has_all_artifacts(connection)
        except duckdb.Error as error:
            return None if _held_elsewhere(error) else False

    def agrees(self) -> bool | None:
        """Whether every row of the file follows from the artifacts; None if it cannot be read.

        For this comparison the catalog is built in memory.
        """
        if not self.path.exists():
            return not self._inventory.artifacts()
        with duckdb.connect(":memory:") as memory:
            build(memory, self._inventory)
            try:
                return agrees_with(memory, self.path)
            except duckdb.Error as error:
                return None if _held_elsewhere(error) else False

    def left_out(self) -> list[tuple[str, str]]:
        """``(id, reason)`` of artifacts with values that no table can hold, such as 10^30 queries.

        They are in no row of the catalog, or in ``artifacts`` alone.
        """
        return left_out(self._inventory)

    def _locked(self, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        lock = self._inventory.layout.lock("catalog")
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        return hold(lock, what="The catalog", wait_seconds=wait)

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to tables that are up to date: the file, else tables in memory."""
        connection = None
        try:
            with self._locked():
                connection = self._open_current()
                if connection is not None:
                    with connection:
                        yield connection
                    return
        except (ArtifactBusy, DiskFull, StoreNotWritable):
            if connection is not None:
                raise
            connection = self._read_without_lock()
            if connection is not None:
                with connection:
                    yield connection
                return
        with self._in_memory() as memory:
            yield memory

    @contextmanager
    def _in_memory(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to tables that are built in memory, for one query."""
        with duckdb.connect(":memory:") as memory:
            build(memory, self._inventory)
            _lock_down(memory)
            yield memory

    def _open_current(self) -> duckdb.DuckDBPyConnection | None:
        """The file, updated and opened for reading; None if that is not possible now."""
        for _ in range(2):
            connection = self._read_without_lock()
            if connection is not None:
                return connection
            if not self._catch_up():
                return None
        return None

    def _read_without_lock(self) -> duckdb.DuckDBPyConnection | None:
        """The file opened for reading; None if it cannot be opened or is not up to date."""
        if not self.path.exists() or self._is_link():
            return None
        try:
            connection = _connect(self.path, read_only=True)
        except duckdb.Error:
            return None
        try:
            if self._is_current(connection):
                return connection
        except duckdb.Error:
            pass
        connection.close()
        return None

    def _has_all_artifacts(self, connection: duckdb.DuckDBPyConnection) -> bool:
        return catalogued_artifacts(connection) == stored_artifacts(self._inventory.artifacts())

    def _is_current(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the catalog has the artifacts, references and unfinished work of the folders.

        Manifests are read only if their files changed since the catalog was built.
        """
        same_files = catalogued_files(connection) == stored_files(self._inventory)
        same_artifacts = same_files or (
            self._has_all_artifacts(connection)
            and catalogued_references(connection) == stored_artifacts(self._inventory.references())
        )
        return same_artifacts and catalogued_work(connection) == stored_work(self._inventory).keys()

    def _catch_up(self) -> bool:
        """Update the file; a damaged file is built again. The caller holds the lock.

        Returns:
            Whether the file is up to date.

        Raises:
            DiskFull: No space is left.
        """
        if self._is_link():
            _LOG.warning("the catalog is made again, for it is a link: %s", self.path)
            self._delete()
        for attempt in range(2):
            try:
                with _connect(self.path, read_only=False) as connection:
                    if not self._is_current(connection):
                        build(connection, self._inventory)
                return True
            except duckdb.Error as error:
                refuse_open_limit(error)
                if is_disk_full(error):
                    raise disk_full(self.path.parent, error) from error
                if _held_elsewhere(error) or attempt:
                    _LOG.info("the catalog cannot be written now: %s", error)
                    return False
                _LOG.warning("the catalog is made again, for it cannot be read: %s", error)
                self._delete()
        return False

    def _is_open_elsewhere(self) -> bool:
        try:
            _connect(self.path, read_only=False).close()
        except duckdb.Error as error:
            return _held_elsewhere(error)
        return False

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{self.path.name}.wal")

    def _is_link(self) -> bool:
        """Whether the file is a link to another database, which must not be changed."""
        return self.path.is_symlink() or self._wal.is_symlink()

    def _delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._wal.unlink(missing_ok=True)


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    # The store may come from somebody else, and the views of its catalog are code: they must not
    # reach files. With its own settings, a reader shares no instance with another connection of
    # this process, whose settings it would lock.
    config: dict[str, str | bool | int | float | list[str]] = {**_BOUNDS, **_CLOSED}
    if read_only:
        config["lock_configuration"] = "true"
    return duckdb.connect(str(path), read_only=read_only, config=config)


def _held_elsewhere(error: duckdb.Error) -> bool:
    """Whether the database is open in another connection, or its file may not be opened.

    DuckDB has no exception class for these cases. Any other error means damage.
    """
    text = str(error)
    marks = ("Could not set lock", "different configuration", "Permission denied", "Read-only file")
    return any(mark in text for mark in marks)


def _is_damage(error: duckdb.Error) -> bool:
    """Whether an error is due to a damaged file, not to the query."""
    return type(error) is duckdb.Error or isinstance(error, _DAMAGE)


def _lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """Lock a database in memory: no files, network, extensions, settings or writes from now on."""
    # Without this setting, temporary files would go into the current folder.
    for name, value in {**_BOUNDS, "temp_directory": "", **_CLOSED}.items():
        connection.execute(f"SET {name} = '{value}'")
    connection.execute("SET lock_configuration = true")
    connection.execute("BEGIN TRANSACTION READ ONLY")


@contextmanager
def _stopped_after(
    connection: duckdb.DuckDBPyConnection, max_seconds: float | None
) -> Iterator[None]:
    """Interrupt a query after ``max_seconds``.

    Raises:
        CatalogQueryError: The query was interrupted.
    """
    if max_seconds is None:
        yield
        return
    timer = threading.Timer(max_seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except CatalogQueryError as error:
        if isinstance(error.__cause__, duckdb.InterruptException):
            raise CatalogQueryError(
                f"The query was stopped after {max_seconds:g} s, the longest it may take.",
                hint="Ask for less: a filter, or a LIMIT within.",
            ) from error
        raise
    finally:
        timer.cancel()


def _run(
    connection: duckdb.DuckDBPyConnection, sql: str, *, max_rows: int | None = None
) -> QueryResult:
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type.name not in _ALLOWED_STATEMENTS:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise CatalogQueryError(
                f"The catalog answers one query at a time, and got: {kinds}.",
                hint="Write one SELECT; `hype report --schema` shows the tables.",
            )
        cursor = connection.execute(statements[0])
        columns = tuple(str(column[0]) for column in cursor.description or ())
        fetched = cursor.fetchall() if max_rows is None else cursor.fetchmany(max_rows + 1)
        if max_rows is not None and len(fetched) > max_rows:
            raise CatalogQueryError(
                f"The query gives more than {max_rows:,} rows, the most that are shown.",
                hint="Ask for fewer: a filter, an aggregate, or LIMIT.",
            )
        rows = tuple(tuple(_plain(value) for value in row) for row in fetched)
    except duckdb.Error as error:
        if _is_damage(error):
            raise
        raise CatalogQueryError(
            f"DuckDB refuses the query: {_first_lines(error)}",
            hint="`hype report --schema` shows the tables and their columns.",
        ) from error
    return QueryResult(columns, rows)


def _first_lines(error: duckdb.Error) -> str:
    text = str(error)
    if "pytz" in text:
        return "a time with a time zone cannot be shown; cast it with ::TIMESTAMP or ::VARCHAR."
    return text.strip()


def _plain(value: Any) -> Any:
    """A value in the types of JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value
