"""Formats of ``hype export``: one entry per format, with the function that writes it.

An installed package can offer a format as an entry point ``KIND.NAME`` of the group
``hypencli.exporters``; see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hypencli.data.atomic import atomic_write, refuse_overwrite
from hypencli.errors import UsageError, did_you_mean
from hypencli.plugins import offered, offered_names
from hypencli.progress import SILENT, Progress

if TYPE_CHECKING:
    from hypencli.data.exchange import EncodedItem
    from hypencli.data.runs import RunFormat
    from hypencli.engine.neighbours.top_neighbours import Ordinals
    from hypencli.progress import Task
    from hypestore import EmbeddingSet, Store

EXPORTERS_GROUP = "hypencli.exporters"

ExportKind: TypeAlias = Literal["run", "embeddings", "graph"]

_TEXTS_AT_A_TIME = _ROWS_AT_A_TIME = 4_096


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Argument of an exporter.

    Attributes:
        store: The project store.
        artifact: A :class:`hypestore.StoredRun`, :class:`hypestore.EmbeddingSet` or
            :class:`hypestore.NeighbourGraph`, by the kind of the exporter.
        name: Name or id of the artifact.
        paths: Files to write: one for the artifact, then one for each entry of ``beside``. An
            exporter receives temporary files, which are renamed at the end.
        progress: Where to report.
    """

    store: Store
    artifact: Any
    name: str
    paths: tuple[Path, ...]
    progress: Progress = SILENT


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format of one kind of artifact.

    Attributes:
        name: Name of the format.
        kind: ``run``, ``embeddings`` or ``graph``.
        description: Contents of the files in a few words, for the help.
        write: Writes the files of a job.
        endings: File endings of this format. The first one is the default.
        beside: Endings of additional files, such as ``.ids.txt``.
    """

    name: str
    kind: ExportKind
    description: str
    write: Callable[[ExportJob], None]
    endings: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def default_path(self, name: str) -> Path:
        """The default file for an artifact, in the current folder.

        Args:
            name: ``Manifest.file_name``, which leads to no other folder.
        """
        return Path(f"{name}{self.endings[0] if self.endings else f'.{self.name}'}")

    def files(self, output: Path, *, overwrite: bool) -> tuple[Path, ...]:
        """List all files of an export.

        Raises:
            UsageError: A file exists, and ``overwrite`` is not set.
        """
        paths = (output, *(output.with_suffix(ending) for ending in self.beside))
        for path in paths:
            refuse_overwrite(path, overwrite=overwrite)
        return paths

    def export(self, job: ExportJob) -> None:
        """Write all files of a job, completely or not at all.

        Raises:
            DataError: The folder of a file does not exist.
            StoreError: The folder is read-only, or its disk is full (``DiskFull``).
        """
        from hypestore import writing_in

        with ExitStack() as files, writing_in(job.paths[0].parent):
            # The first file is renamed first: ids without their array are not an embedding set.
            partial = [files.enter_context(atomic_write(path)) for path in reversed(job.paths)]
            self.write(replace(job, paths=tuple(reversed(partial))))


def find_exporter(kind: ExportKind, format: str | None, output: Path | None) -> Exporter:
    """Select a format by its name, else by the ending of a file, else the first of the kind.

    Args:
        kind: Kind of the artifact.
        format: Name of a format.
        output: The file.

    Raises:
        UsageError: There is no such format, or the ending of the file is unknown.
    """
    shipped = EXPORTERS[kind]
    if format is None:
        if output is None:
            return shipped[0]
        by_ending = next((one for one in shipped if output.suffix in one.endings), None)
        exporter = by_ending or _installed(kind, output.suffix.removeprefix("."))
        if exporter is None:
            endings = ", ".join(ending for one in shipped for ending in one.endings)
            raise UsageError(
                f"The ending of {output} is not that of a format.",
                hint=f"Endings: {endings}. Or add `format=NAME`: {', '.join(_names(kind))}.",
            )
        return exporter
    by_name = next((one for one in shipped if one.name == format), None)
    exporter = by_name or _installed(kind, format)
    if exporter is None:
        raise UsageError(
            f"Unknown format {format!r} of kind {kind}.",
            hint=did_you_mean(format, _names(kind)),
        )
    return exporter


def _names(kind: ExportKind) -> list[str]:
    prefix = f"{kind}."
    installed = [name for name in offered_names(EXPORTERS_GROUP) if name.startswith(prefix)]
    return [one.name for one in EXPORTERS[kind]] + [name.removeprefix(prefix) for name in installed]


def _installed(kind: ExportKind, name: str) -> Exporter | None:
    """Look up an exporter of an installed package; None if there is none.

    Raises:
        UsageError: The entry point is not an exporter of this kind.
    """
    exporter = offered(EXPORTERS_GROUP, f"{kind}.{name}")
    if exporter is None:
        return None
    if not isinstance(exporter, Exporter) or exporter.kind != kind:
        raise UsageError(
            f"The entry point {kind}.{name} of {EXPORTERS_GROUP} is not an exporter of {kind}.",
            hint="Expected a hypencli.ops.transfer.exporters.Exporter of this kind.",
        )
    return exporter


def _run_writer(format: RunFormat) -> Callable[[ExportJob], None]:
    def write(job: ExportJob) -> None:
        from hypencli.data.runs import write_run

        results, queries = job.artifact.results(), job.artifact.queries()
        changed = write_run(job.paths[0], results, queries, format=format, tag=job.name)
        if changed:
            job.progress.message(
                f"{changed:,} scores were changed by the smallest step, so that trec_eval, which "
                "sorts by score and then by document id, keeps the order of the run"
            )

    return write


def _write_docs(job: ExportJob) -> None:
    from hypencli.data.exchange import write_item_stream

    if not job.artifact.has_text:
        raise UsageError(
            f"The embedding set {job.name} has no texts, which a .docs file needs.",
            hint="Write an array: `output=FILE.npy`",
        )
    with (
        job.progress.task("export", total=job.artifact.n, unit="documents") as task,
        job.paths[0].open("wb") as out,
    ):
        write_item_stream(_items(job.artifact, task, with_text=True), out)


def _write_embeddings_array(job: ExportJob) -> None:
    from hypencli.data.exchange import write_array

    embeddings, (path, ids_path) = job.artifact, job.paths
    with (
        job.progress.task("export", total=embeddings.n, unit="documents") as task,
        path.open("wb") as out,
        ids_path.open("w", encoding="utf-8", newline="\n") as lines,
    ):
        items = _items(embeddings, task, with_text=False)
        shape = (embeddings.n, embeddings.dim)
        write_array(items, out, lines, shape=shape, dtype=str(embeddings.dtype))


def _items(embeddings: EmbeddingSet, task: Task, *, with_text: bool) -> Iterator[EncodedItem]:
    """The documents of a set in order, some thousands in memory at a time."""
    from hypencli.data.exchange import EncodedItem

    for first, block in embeddings.blocks():
        for start in range(0, len(block), _TEXTS_AT_A_TIME):
            vectors = block[start : start + _TEXTS_AT_A_TIME]
            ordinals = range(first + start, first + start + len(vectors))
            ids = embeddings.ids(ordinals)
            texts = embeddings.texts(ordinals) if with_text else [None] * len(ids)
            yield from map(EncodedItem, ids, vectors, texts)
            task.advance(len(ids))


def _write_graph_lines(job: ExportJob) -> None:
    from hypencli.data.exchange.graph_file import write_graph

    embeddings = job.store.embeddings(job.artifact.embeddings)
    with job.paths[0].open("wb") as out:
        for first, rows in _graph_rows(job):
            write_graph(_named(embeddings, rows, first), out)


def _write_graph_array(job: ExportJob) -> None:
    import numpy as np

    header = {"descr": "<i4", "fortran_order": False, "shape": job.artifact.neighbours.shape}
    with job.paths[0].open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for _, rows in _graph_rows(job):
            out.write(np.ascontiguousarray(rows, "<i4").data)


def _graph_rows(job: ExportJob) -> Iterator[tuple[int, Ordinals]]:
    """Blocks of rows ``[r, k]`` with the ordinal of their first document."""
    with job.progress.task("export", total=job.artifact.n, unit="documents") as task:
        for first in range(0, job.artifact.n, _ROWS_AT_A_TIME):
            rows = job.artifact.neighbours[first : first + _ROWS_AT_A_TIME]
            yield first, rows
            task.advance(len(rows))


def _named(embeddings: EmbeddingSet, rows: Ordinals, first: int) -> Iterator[tuple[str, list[str]]]:
    """Ids of documents and of their neighbours."""
    import numpy as np

    own = embeddings.ids(np.arange(first, first + len(rows)))
    valid = rows >= 0
    ids = embeddings.ids(rows[valid])
    ends = np.cumsum(valid.sum(axis=1)).tolist()
    for doc_id, start, end in zip(own, [0, *ends], ends, strict=False):
        yield doc_id, ids[start:end]


EXPORTERS: Mapping[ExportKind, tuple[Exporter, ...]] = {
    "run": (
        Exporter(
            "trec", "run", "a TREC run", _run_writer("trec"), endings=(".trec", ".run", ".txt")
        ),
        Exporter("jsonl", "run", "JSONL as published", _run_writer("jsonl"), endings=(".jsonl",)),
        Exporter(
            "parquet",
            "run",
            "the columns of the store",
            _run_writer("parquet"),
            endings=(".parquet",),
        ),
    ),
    "embeddings": (
        Exporter(
            "npy",
            "embeddings",
            "a NumPy array, and its ids in FILE.ids.txt",
            _write_embeddings_array,
            endings=(".npy",),
            beside=(".ids.txt",),
        ),
        Exporter(
            "docs",
            "embeddings",
            "ids, texts and float32 vectors as published",
            _write_docs,
            endings=(".docs",),
        ),
    ),
    "graph": (
        Exporter(
            "jsonl",
            "graph",
            "JSONL as published: ids, nearest first",
            _write_graph_lines,
            endings=(".jsonl",),
        ),
        Exporter(
            "npy",
            "graph",
            "a NumPy array of ordinals, int32 [n, k], -1 where there are fewer",
            _write_graph_array,
            endings=(".npy",),
        ),
    ),
}
"""The shipped formats of each kind. The first one is the default."""
