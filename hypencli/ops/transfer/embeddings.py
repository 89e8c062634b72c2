"""Embedding sets from files of encoded items, the published ones too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.data.atomic import atomic_write
from hypencli.data.exchange import EncodedItem, EncodedItems, open_encoded
from hypencli.data.reading.lines import file_sha256
from hypencli.data.reading.source import FileSource
from hypencli.errors import DataError, ModelError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_unless_shards, name_not_given
from hypencli.ops.encode import SHARD_ROWS, bytes_of_vectors
from hypencli.ops.models import ModelSource, display_name, find_model, load_model
from hypencli.ops.transfer.exporters import ExportJob, find_exporter
from hypencli.progress import SILENT, Progress, Task
from hypencli.runtime import provenance, resolve_device
from hypestore import EmbeddingSpec, EmbeddingWork, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.exchange.item import Vector

LEAST_COSINE = 0.99
"""How near a vector must be to the model's own, to pass for it: float16 is far nearer, another
pooling or another model far from it."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How encoded items are taken in.

    Attributes:
        ids: Ids of the rows of a ``.npy`` file: one a line, or the corpus.
        corpus: The corpus the items are of; a dataset brings its queries to ``search``.
        storage_dtype: ``float16`` or ``float32`` on disk.
        shard_rows: Documents in a shard.
        keep_text: Keep the texts, where the file has them.
        check: Encode the first so many documents anew, and refuse vectors of another model.
        device: Where they are encoded; None takes the best there is.
        name: Name of the embedding set; None takes none.
    """

    ids: Path | None = None
    corpus: str | None = None
    storage_dtype: str = "float32"
    shard_rows: int = SHARD_ROWS
    keep_text: bool = True
    check: int = 0
    device: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedEmbeddings:
    """An embedding set that was taken in.

    Attributes:
        existing: Whether it was there before.
        name_not_given: A name that was asked for and that it does not have, made before.
        checked: Documents that the model was seen to give the same vectors for; 0 means that the
            model is what the user said, and nobody looked.
    """

    embeddings: str
    name: str | None
    existing: bool
    model: str
    corpus: str
    n_documents: int
    dim: int
    storage_dtype: str
    has_text: bool
    checked: int
    seconds: float
    name_not_given: NameNotGiven | None = None


def import_embeddings(
    store: Store,
    path: Path,
    model: ModelSource,
    options: ImportOptions | None = None,
    progress: Progress = SILENT,
) -> ImportedEmbeddings:
    """Take encoded items into the store, as the embedding set of a model.

    Nothing in such a file says which model made it: the set is recorded under the passage encoder
    of the model that is named, so that searches with that model find it. Read in a stream, written
    by shards; after a kill the same command goes on at the first shard that is not there.

    Args:
        store: The project store.
        path: A published stream (``.docs``), or an array (``.npy``) with ``options.ids``.
        model: The model whose passage encoder made the vectors.
        options: See :class:`ImportOptions`.
        progress: Where to report.

    Raises:
        DataError: The file is not what it should be (names the byte, or the line), or a vector is
            not finite, or not as it is to be stored (names the document).
        UsageError: The vectors have another width than the model's, or a check needs texts.
        ModelError: A document that was checked has another vector than the model gives.
        StoreError: Another process takes in the same at this moment, or the disk has not the space
            that it takes.
    """
    options = options or ImportOptions()
    started = time.perf_counter()
    items = open_encoded(path, ids=options.ids)
    manifest = find_model(store, model, progress)
    first = next(iter(items))
    _check_width(first, manifest, items)
    corpus, queries = _corpus(path, options, progress)
    spec = _spec(path, items, manifest, corpus, options)
    _check_vectors(store, manifest, items, options, trust_code=model.trust_code)
    entered = store.embedding_work(spec, name=options.name)
    with entered as work, discard_unless_shards(work):
        done = work.existing
        if done is None:
            if items.count is not None:  # a stream does not say it
                rows = work.missing_rows(items.count)
                work.require_space(bytes_of_vectors(rows, spec.dim, options.storage_dtype))
            progress.message(
                f"reading {path.name} as vectors of {display_name(manifest)}: {work.id}"
            )
            with progress.task("import", total=items.count, unit="documents") as task:
                seen = _write_shards(work, items, options, task)
            stats = {"source": path.name, "checked": options.check, "queries": queries}
            done = work.finish(seen, stats=stats, provenance=provenance())
            return _imported(done, manifest, existing=False, seconds=time.perf_counter() - started)
        again = _imported(done, manifest, existing=True, seconds=time.perf_counter() - started)
        unnamed = name_not_given(store, done, options.name)
        return replace(again, checked=max(again.checked, options.check), name_not_given=unnamed)


def _spec(
    path: Path, items: EncodedItems, model: Manifest, corpus: str, options: ImportOptions
) -> EmbeddingSpec:
    inputs: dict[str, JsonValue] = {
        "passage_fingerprint": model.stats["passage_fingerprint"],
        "corpus": corpus,
        "source_sha256": file_sha256(path),
        "ids_sha256": None if options.ids is None else file_sha256(options.ids),
        "storage_dtype": options.storage_dtype,
        "shard_rows": options.shard_rows,
    }
    base_name = path.stem if options.corpus is None else corpus.partition(":")[2] or corpus
    return EmbeddingSpec(
        id_prefix=f"{base_name}-imported",
        inputs=inputs,
        parents=(model.id,),
        dim=model.stat_int("dim"),
        dtype="float16" if options.storage_dtype == "float16" else "float32",
        shard_rows=options.shard_rows,
        keep_text=options.keep_text and items.has_text,
    )


def _corpus(path: Path, options: ImportOptions, progress: Progress) -> tuple[str, str | None]:
    """The corpus' id, and the queries that come with it; a name that is no dataset stays."""
    from hypencli.data.corpus import open_corpus

    if options.corpus is None:
        return FileSource(path).id, None
    try:
        opened = open_corpus(options.corpus)
    except DataError:
        progress.message(f"corpus: {options.corpus} (a name; there is no such dataset here)")
        return options.corpus, None
    return opened.corpus_id, opened.queries


def _check_width(first: EncodedItem, model: Manifest, items: EncodedItems) -> None:
    dim = model.stat_int("dim")
    if len(first.vector) != dim:
        raise UsageError(
            f"The vectors of {items.name} are {len(first.vector)} wide, those of model "
            f"{display_name(model)} {dim}.",
            hint="Name the model that made them: --model MODEL",
        )


def _check_vectors(
    store: Store,
    model: Manifest,
    items: EncodedItems,
    options: ImportOptions,
    *,
    trust_code: bool,
) -> None:
    """Encode the first documents anew, and compare directions."""
    if not options.check:
        return
    if not items.has_text:
        raise UsageError(
            f"{items.name} has no texts that could be encoded to check it.",
            hint="Give the corpus itself as --ids, or leave out --check.",
        )
    import numpy as np

    from hypencli.models.encoding import EncodingOptions, encode_passages

    device = resolve_device(options.device)
    loaded = load_model(store, model, device=device, trust_code=trust_code)
    sample = list(islice(items, options.check))
    texts = [item.text or "" for item in sample]
    settings = EncodingOptions(max_length=512, device=device)
    own = encode_passages(loaded.dual.passage_encoder, loaded.tokenizer, texts, settings)
    vectors = np.stack([item.vector for item in sample]).astype(np.float32)
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(vectors, axis=1)
    cosines = (own * vectors).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    # Not "less than", for a vector that is not finite must not pass.
    wrong = np.flatnonzero(~(cosines >= LEAST_COSINE))
    if len(wrong):
        row = int(wrong[0])
        raise ModelError(
            f"Model {display_name(model)} gives other vectors than {items.name} has: "
            f"{len(wrong)} of "
            f"{len(sample)} documents differ, first {sample[row].doc_id!r} with a cosine of "
            f"{cosines[row]:.3f} (at least {LEAST_COSINE} was expected).",
            hint="Name the model that made them: --model MODEL",
        )


def _write_shards(
    work: EmbeddingWork, items: EncodedItems, options: ImportOptions, task: Task
) -> int:
    """Write the shards that are not there yet; gives the number of documents."""
    keep_text = options.keep_text and items.has_text
    seen = 0
    for index, shard in enumerate(_batches(items, options.shard_rows)):
        if not work.has_shard(index):
            task.note(f"shard {index}")
            work.write_shard(
                index,
                [item.doc_id for item in shard],
                _vectors(shard, items.name, options.storage_dtype),
                [item.text or "" for item in shard] if keep_text else None,
            )
        seen += len(shard)
        task.advance(len(shard))
    return seen


def _vectors(shard: Sequence[EncodedItem], name: str, dtype: str) -> Vector:
    """The vectors ``[n, d]`` of a shard as they are stored.

    Raises:
        DataError: One has a value that is not finite, or that ``dtype`` cannot hold.
    """
    import numpy as np

    vectors = np.stack([item.vector for item in shard])
    with np.errstate(over="ignore"):
        stored: Vector = vectors.astype(dtype, copy=False)
    finite = np.isfinite(stored)
    if finite.all():
        return stored
    row, place = np.argwhere(~finite)[0]
    where = f"{name}: the vector of document {shard[row].doc_id!r}"
    value = float(vectors[row, place])
    if np.isfinite(value):
        raise DataError(
            f"{where} has {value:g} at position {place}, which is beyond {dtype}.",
            hint="Keep it whole: --storage-dtype float32" if dtype == "float16" else None,
        )
    raise DataError(
        f"{where} has {value:g} at position {place}; expected finite numbers.",
        hint="Nothing can be ranked by it: make the file anew.",
    )


def _batches(items: Iterable[EncodedItem], size: int) -> Iterator[list[EncodedItem]]:
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def _imported(
    done: Manifest, model: Manifest, *, existing: bool, seconds: float
) -> ImportedEmbeddings:
    return ImportedEmbeddings(
        embeddings=done.id,
        name=done.name,
        existing=existing,
        model=display_name(model),
        corpus=str(done.inputs["corpus"]),
        n_documents=done.stat_int("n_documents"),
        dim=done.stat_int("dim"),
        storage_dtype=str(done.inputs["storage_dtype"]),
        has_text=bool(done.inputs["keep_text"]),
        checked=done.stat_int("checked"),
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class ExportedEmbeddings:
    """Files that were written.

    Attributes:
        ids: The file of the ids, where they lie beside the vectors.
        dtype: Of the vectors in the file.
    """

    embeddings: str
    path: Path
    ids: Path | None
    format: str
    n_documents: int
    dim: int
    dtype: str


def export_embeddings(
    store: Store,
    embeddings: str,
    output: Path,
    *,
    format: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ExportedEmbeddings:
    """Write an embedding set as a published stream (``.docs``), or as an array (``.npy``).

    A stream holds ids, texts, and vectors in float32. An array has the set's own type, and its ids
    lie beside it, one a line, in ``NAME.ids.txt``.

    Args:
        store: The project store.
        embeddings: Id, unique prefix, or name.
        output: The file.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package; by default told by the file.
        overwrite: Replace files that are there.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, it cannot be told, a file is there, or a stream is
            asked of a set without texts.
        DataError: A file cannot be written, or an id has no place in a line.
    """
    exporter = find_exporter("embeddings", format, output)
    opened = store.embeddings(embeddings)
    paths = exporter.files(output, overwrite=overwrite)
    with ExitStack() as files:
        # The ids come into place last: an array without them is no embedding set.
        partial = [files.enter_context(atomic_write(path)) for path in reversed(paths)]
        name = display_name(opened.manifest)
        exporter.write(ExportJob(store, opened, name, tuple(reversed(partial)), progress))
    return ExportedEmbeddings(
        embeddings=opened.manifest.id,
        path=paths[0],
        ids=paths[1] if len(paths) > 1 else None,
        format=exporter.name,
        n_documents=opened.n,
        dim=opened.dim,
        dtype="float32" if exporter.name == "docs" else str(opened.dtype),
    )
