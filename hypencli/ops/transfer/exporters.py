"""Formats of ``hype export``: each is one entry with the function that writes it.

An installed package offers a format of its own as an entry point ``KIND.NAME`` of the group
``hypencli.exporters``; see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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
    """What an exporter is called with.

    Attributes:
        store: The project store.
        artifact: A :class:`hypestore.StoredRun`, :class:`hypestore.EmbeddingSet` or
            :class:`hypestore.NeighbourGraph`, as the exporter's kind says.
        name: The artifact's name, or its id.
        paths: Files to write: the first for the artifact, then one for each of the exporter's
            ``beside``. They are temporary, and moved into place when all are written.
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
        name: What ``--format`` takes.
        kind: ``run``, ``embeddings`` or ``graph``.
        description: What the files hold, in a few words for the help.
        write: Writes the files of a job.
        endings: Endings of files that mean this format; a file gets the first by default.
        beside: Endings of further files that lie beside the first, such as ``.ids.txt``.
    """

    name: str
    kind: ExportKind
    description: str
    write: Callable[[ExportJob], None]
    endings: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def default_path(self, name: str) -> Path:
        """The file in the current folder that an artifact of this name is written to."""
        return Path(f"{name}{self.endings[0] if self.endings else f'.{self.name}'}")

    def files(self, output: Path, *, overwrite: bool) -> tuple[Path, ...]:
        """The file, and those beside it.

        Raises:
            UsageError: One of them exists, and is not to be replaced.
        """
        paths = (output, *(output.with_suffix(ending) for ending in self.beside))
        for path in paths:
            if path.exists() and not overwrite:
                raise UsageError(
                    f"{path} exists.", hint="Choose another `output=`, or add `overwrite=True`"
                )
        return paths


def find_exporter(kind: ExportKind, format: str | None, output: Path | None) -> Exporter:
    """The format that is named, or that the ending of a file means, or the first of its kind.

    Args:
        kind: The kind of artifact.
        format: A name; None asks the file.
        output: The file; None takes the first format where none is named.

    Raises:
        UsageError: There is no such format, or the file's ending means none.
    """
    shipped = EXPORTERS[kind]
    if format is None and output is None:
        return shipped[0]
    if format is None and output is not None:
        by_ending = next((one for one in shipped if output.suffix in one.endings), None)
        exporter = by_ending or _installed(kind, output.suffix.removeprefix("."))
        if exporter is None:
            endings = ", ".join(ending for one in shipped for ending in one.endings)
            raise UsageError(
                f"The format cannot be told from {output}.",
                hint=f"Endings: {endings}. Or add `format=NAME`: {', '.join(_names(kind))}.",
            )
        return exporter
    by_name = next((one for one in shipped if one.name == format), None)
    exporter = by_name or _installed(kind, str(format))
    if exporter is None:
        raise UsageError(
            f"Unknown format {format!r} of kind {kind}.",
            hint=did_you_mean(str(format), _names(kind)),
        )
    return exporter


def _names(kind: ExportKind) -> list[str]:
    prefix = f"{kind}."
    installed = [name for name in offered_names(EXPORTERS_GROUP) if name.startswith(prefix)]
    return [one.name for one in EXPORTERS[kind]] + [name.removeprefix(prefix) for name in installed]


def _installed(kind: ExportKind, name: str) -> Exporter | None:
    """An exporter that an installed package offers.

    Raises:
        UsageError: What it offers is no exporter of this kind.
    """
    exporter = offered(EXPORTERS_GROUP, f"{kind}.{name}")
    if exporter is None:
        return None
    if not isinstance(exporter, Exporter) or exporter.kind != kind:
        raise UsageError(
            f"The entry point {kind}.{name} of {EXPORTERS_GROUP} is no exporter of kind {kind}.",
            hint="It must be a hypencli.ops.transfer.exporters.Exporter with that kind.",
        )
    return exporter


def _run_writer(format: RunFormat) -> Callable[[ExportJob], None]:
    def write(job: ExportJob) -> None:
        from hypencli.data.runs import write_run

        results, queries = job.artifact.results(), job.artifact.queries()
        write_run(job.paths[0], results, queries, format=format, tag=job.name)

    return write


def _write_docs(job: ExportJob) -> None:
    from hypencli.data.exchange import write_item_stream

    if not job.artifact.has_text:
        raise UsageError(
            f"The embedding set {job.name} was made without texts, which .docs has.",
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
    """The documents of a set in their order, some thousand in memory at a time."""
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
    """Blocks of rows [n, k] with the ordinal of their first document."""
    with job.progress.task("export", total=job.artifact.n, unit="documents") as task:
        for first in range(0, job.artifact.n, _ROWS_AT_A_TIME):
            rows = job.artifact.neighbours[first : first + _ROWS_AT_A_TIME]
            yield first, rows
            task.advance(len(rows))


def _named(embeddings: EmbeddingSet, rows: Ordinals, first: int) -> Iterator[tuple[str, list[str]]]:
    """Documents and their neighbours by id."""
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
"""The shipped formats of each kind; the first is taken where nothing says which."""
