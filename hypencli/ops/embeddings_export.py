"""Embedding sets to files of encoded items, as the published code has them or as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.aside import atomic_write
from hypencli.data.encoded import (
    EncodedFormat,
    EncodedItem,
    format_of,
    write_array,
    write_item_stream,
)
from hypencli.errors import UsageError
from hypencli.ops.models import display_name
from hypencli.progress import SILENT, Progress, Task
from hypestore import EmbeddingSet, Store

_TEXTS_AT_A_TIME = 4_096


@dataclass(frozen=True, slots=True)
class ExportedEmbeddings:
    """Files that were written; ``ids`` is that of the ids, where they lie beside the vectors."""

    embeddings: str
    path: Path
    ids: Path | None
    format: EncodedFormat
    n_documents: int
    dim: int
    dtype: str


def export_embeddings(
    store: Store,
    embeddings: str,
    output: Path,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ExportedEmbeddings:
    """Write an embedding set as a published stream (``.docs``), or as an array (``.npy``).

    A stream holds ids, texts, and vectors in float32. An array has the set's own type, and its ids
    lie beside it, one a line, in ``NAME.ids.txt``.

    Args:
        store: The project store.
        embeddings: Id, unique prefix, or name.
        output: The file; its ending tells the format.
        overwrite: Replace files that are there.
        progress: Where to report.

    Raises:
        UsageError: The ending is another, a file is there, or a stream is asked of a set without
            texts.
        DataError: A file cannot be written, or an id has no place in a line.
    """
    format = format_of(output)
    opened = store.embeddings(embeddings)
    if format == "docs" and not opened.has_text:
        raise UsageError(
            f"The embedding set {display_name(opened.manifest)} was made without texts, which .docs has.",
            hint="Write an array: --output FILE.npy",
        )
    ids = output.with_suffix(".ids.txt") if format == "npy" else None
    for path in (output, ids):
        if path is not None and path.exists() and not overwrite:
            raise UsageError(f"{path} exists.", hint="Choose another --output, or add --overwrite")
    with progress.task("export", total=opened.n, unit="documents") as task:
        items = _items(opened, task, with_text=format == "docs")
        if ids is None:
            with atomic_write(output) as temporary, temporary.open("wb") as out:
                write_item_stream(items, out)
        else:
            _write_array(items, opened, output, ids)
    return ExportedEmbeddings(
        embeddings=opened.manifest.id,
        path=output,
        ids=ids,
        format=format,
        n_documents=opened.n,
        dim=opened.dim,
        dtype="float32" if format == "docs" else str(opened.dtype),
    )


def _items(embeddings: EmbeddingSet, task: Task, *, with_text: bool) -> Iterator[EncodedItem]:
    """The documents of a set in their order, some thousand in memory at a time."""
    for first, block in embeddings.blocks():
        for start in range(0, len(block), _TEXTS_AT_A_TIME):
            vectors = block[start : start + _TEXTS_AT_A_TIME]
            ordinals = range(first + start, first + start + len(vectors))
            ids = embeddings.ids(ordinals)
            texts = embeddings.texts(ordinals) if with_text else [None] * len(ids)
            yield from map(EncodedItem, ids, vectors, texts)
            task.advance(len(ids))


def _write_array(
    items: Iterator[EncodedItem], embeddings: EmbeddingSet, output: Path, ids: Path
) -> None:
    """Both files are whole before either is in its place."""
    shape, dtype = (embeddings.n, embeddings.dim), str(embeddings.dtype)
    with (
        atomic_write(ids) as temporary_ids,
        atomic_write(output) as temporary,
        temporary.open("wb") as out,
        temporary_ids.open("w", encoding="utf-8", newline="\n") as lines,
    ):
        write_array(items, out, lines, shape=shape, dtype=dtype)
