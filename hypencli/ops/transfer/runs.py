"""Runs in and out of the store: TREC, the published JSONL, Parquet."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from hypencli.data.atomic import atomic_write
from hypencli.data.reading.lines import file_sha256
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.models import display_name
from hypencli.ops.search.scoring import append_rankings
from hypencli.ops.transfer.exporters import ExportJob, find_exporter
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import Store
from hypestore.files import writing_in


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    run: str
    path: Path
    format: str
    n_queries: int
    n_results: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A run that was taken in.

    Attributes:
        reordered_queries: Queries whose ranks contradict their scores; the scores were followed.
        name_not_given: A name that was asked for and that it does not have, made before.
    """

    run: str
    name: str | None
    n_queries: int
    n_results: int
    existing: bool
    reordered_queries: int = 0
    name_not_given: NameNotGiven | None = None


def export_run(
    store: Store,
    run: str,
    *,
    output: Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Exported:
    """Write a run to a file; ranks start at 1.

    Args:
        store: The project store.
        run: Id, unique prefix, or name.
        output: The file; by default the run's name in the current folder.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package; by default told by the file.
        overwrite: Replace a file that is there.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, it cannot be told, or the file exists.
        DataError: The folder of the file does not exist.
        StoreError: The folder is read-only, or its disk is full (``DiskFull``).
    """
    stored = store.run(run)
    name = display_name(stored.manifest)
    exporter = find_exporter("run", format, output)
    paths = exporter.files(output or exporter.default_path(name), overwrite=overwrite)
    with ExitStack() as files, writing_in(paths[0].parent):
        partial = tuple(files.enter_context(atomic_write(path)) for path in paths)
        exporter.write(ExportJob(store, stored, name, partial, progress))
    return Exported(
        run=stored.manifest.id,
        path=paths[0],
        format=exporter.name,
        n_queries=len(stored.queries()),
        n_results=stored.table().num_rows,
    )


def import_run(
    store: Store,
    path: Path,
    *,
    name: str | None = None,
    corpus: str | None = None,
    queries: str | None = None,
) -> Imported:
    """Take a run made elsewhere into the store.

    Args:
        store: The project store.
        path: A TREC run or the published JSONL; of a prepared dataset also by its name.
        name: Name of the run; by default the file's stem.
        corpus: Corpus id the run is of, for the leaderboard.
        queries: Query set the run is of (an ir_datasets id brings its judgements to ``eval``).

    Raises:
        DataError: The file is not a run, with the line.
    """
    path = Path(dataset_place(store.root, str(path)))
    display_name = name or "-".join(path.stem.split())
    taken = _take_in(
        store,
        path,
        file_sha256(path),
        display_name,
        name=display_name,
        corpus=corpus,
        queries=queries,
    )
    unnamed = name_not_given(store, store.get(taken.run, kind="run"), name)
    return replace(taken, name_not_given=unnamed)


def import_lists(store: Store, path: Path) -> str:
    """The run that has the ranked lists of a file: one taken in from it before, else a new one.

    A new one has no name: the file only says what is to be scored again.

    Args:
        store: The project store.
        path: A TREC run or the published JSONL; of a prepared dataset also by its name.

    Raises:
        DataError: The file is not a run, with the line.
    """
    path = Path(dataset_place(store.root, str(path)))
    fingerprint = file_sha256(path)
    existing = store.find("run", {"engine": "imported", "file_sha256": fingerprint})
    if existing:
        return existing[0].id
    return _take_in(store, path, fingerprint, "-".join(path.stem.split())).run


def _take_in(
    store: Store,
    path: Path,
    fingerprint: str,
    display_name: str,
    *,
    name: str | None = None,
    corpus: str | None = None,
    queries: str | None = None,
) -> Imported:
    from hypencli.data.runs import read_run

    contents = read_run(path)
    inputs = {
        "engine": "imported",
        "file_sha256": fingerprint,
        "corpus": corpus,
        "queries": queries,
        "k": max((len(ranking) for ranking in contents.results.values()), default=0),
    }
    n_results = sum(len(ranking) for ranking in contents.results.values())
    begun = store.run_writer(f"{display_name}-imported", inputs, parents=(), name=name)
    with begun as writer, discard_on_error(writer):
        existing = writer.existing is not None
        manifest = writer.existing
        if manifest is None:
            ids = list(contents.results)
            writer.queries([(query_id, contents.queries.get(query_id, "")) for query_id in ids])
            append_rankings(writer, ids, [contents.results[query_id] for query_id in ids])
            stats = {
                "n_queries": len(ids),
                "n_results": n_results,
                "source": path.name,
                "qrels": _qrels_of(queries),
            }
            manifest = writer.commit(stats=stats, provenance=provenance())
    return Imported(
        run=manifest.id,
        name=manifest.name,
        n_queries=len(contents.results),
        n_results=n_results,
        existing=existing,
        reordered_queries=len(contents.reordered_queries),
    )


def _qrels_of(queries: str | None) -> str | None:
    """The judgements that come with a query set, if it is named and has them."""
    from hypencli.data.queries import open_queries

    return None if queries is None else open_queries(queries).qrels
