"""Import and export of runs: TREC, the published JSONL, Parquet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hypencli.data.reading.lines import file_sha256
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.models import display_name
from hypencli.ops.search.scoring import append_rankings
from hypencli.ops.transfer.exporters import ExportJob, find_exporter
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import Store


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported run.

    Attributes:
        run: Id of the run.
        path: The file.
        format: Name of the format.
        n_queries: Number of queries.
        n_results: Number of results of all queries.
    """

    run: str
    path: Path
    format: str
    n_queries: int
    n_results: int


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported run.

    Attributes:
        run: Id of the run.
        name: Name of the run, if it has one.
        n_queries: Number of queries.
        n_results: Number of results of all queries.
        existing: Whether the store had the run before this call.
        reordered_queries: Number of queries whose ranks contradict their scores. Their results are
            ordered by score.
        name_not_given: A requested name that an existing run did not get.
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
    """Write a run to a file. Ranks start at 1.

    Args:
        store: The project store.
        run: Id, unique prefix, or name.
        output: The file. The default is the name of the run, in the current folder.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package. The default is the format of the file's ending.
        overwrite: Replace an existing file.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, the ending is unknown, or the file exists.
        DataError: The folder of the file does not exist.
        StoreError: The folder is read-only, or its disk is full (``DiskFull``).
    """
    stored = store.run(run)
    name = display_name(stored.manifest)
    exporter = find_exporter("run", format, output)
    paths = exporter.files(
        output or exporter.default_path(stored.manifest.file_name), overwrite=overwrite
    )
    exporter.export(ExportJob(store, stored, name, paths, progress))
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
    """Import a run from a file.

    Args:
        store: The project store.
        path: A TREC run or the published JSONL; also by its name in a prepared dataset.
        name: Name of the run. The default is the stem of the file.
        corpus: Id of the corpus, for the leaderboard.
        queries: Query set of the run. ``hype eval`` uses the judgements of an ir_datasets id.

    Raises:
        DataError: The file is not a run; the message has the line.
    """
    path = Path(dataset_place(store.root, str(path)))
    label = name or "-".join(path.stem.split())
    taken = _import(
        store, path, file_sha256(path), label, name=label, corpus=corpus, queries=queries
    )
    unnamed = name_not_given(store, store.get(taken.run, kind="run"), name)
    return replace(taken, name_not_given=unnamed)


def import_lists(store: Store, path: Path) -> str:
    """Import the ranked lists of a file as a run without a name, unless the store has them.

    Args:
        store: The project store.
        path: A TREC run or the published JSONL; also by its name in a prepared dataset.

    Returns:
        Id of the run.

    Raises:
        DataError: The file is not a run; the message has the line.
    """
    path = Path(dataset_place(store.root, str(path)))
    fingerprint = file_sha256(path)
    existing = store.find("run", {"engine": "imported", "file_sha256": fingerprint})
    if existing:
        return existing[0].id
    return _import(store, path, fingerprint, "-".join(path.stem.split())).run


def _import(
    store: Store,
    path: Path,
    fingerprint: str,
    label: str,
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
    begun = store.run_writer(f"{label}-imported", inputs, parents=(), name=name)
    with begun as writer, discard_on_error(writer):
        existing = writer.existing is not None
        manifest = writer.existing
        if manifest is None:
            ids = list(contents.results)
            writer.queries([(query_id, contents.queries.get(query_id, "")) for query_id in ids])
            append_rankings(writer, ids, [contents.results[query_id] for query_id in ids])
            qrels = _qrels_of(queries)
            stats = {
                "n_queries": len(ids),
                "n_results": n_results,
                "source": path.name,
                "qrels": qrels,
            }
            made_with = {**provenance(), **place_seals(qrels=qrels)}
            manifest = writer.commit(stats=stats, provenance=made_with)
    return Imported(
        run=manifest.id,
        name=manifest.name,
        n_queries=len(contents.results),
        n_results=n_results,
        existing=existing,
        reordered_queries=len(contents.reordered_queries),
    )


def _qrels_of(queries: str | None) -> str | None:
    """The judgements of a query set, if it is named and has some."""
    from hypencli.data.queries import open_queries

    return None if queries is None else open_queries(queries).qrels
