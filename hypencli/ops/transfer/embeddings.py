"""Import and export of embedding sets, in published and other formats."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.data.exchange import EncodedBlock, EncodedItem, EncodedItems, open_encoded
from hypencli.data.exchange.content_hash import content_hash
from hypencli.data.reading.base import ContentChanged
from hypencli.data.reading.lines import file_sha256
from hypencli.data.reading.source import FileSource
from hypencli.errors import DataError, ModelError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_unless_shards, name_not_given
from hypencli.ops.embedding_sets.identity import known_spec
from hypencli.ops.encode import SHARD_ROWS, bytes_of_vectors, checked_storage_dtype
from hypencli.ops.models import ModelSource, display_name, find_model, load_model
from hypencli.ops.transfer.exporters import ExportJob, find_exporter
from hypencli.own_places import place_seals
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypestore import EmbeddingSpec, EmbeddingWork, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.exchange.item import Vector

LEAST_COSINE = 0.99
"""Minimum cosine between an imported vector and the vector of the model.

The rounding of float16 stays far above it; another pooling or model stays far below it.
"""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import of encoded items.

    Attributes:
        ids: File with the ids of the rows of a ``.npy`` file: one id per line, or the corpus.
        corpus: Corpus of the items. A search uses the queries of a dataset that is named here.
        storage_dtype: Type of the stored vectors, ``float16`` or ``float32``.
        shard_rows: Documents per shard.
        keep_text: Store the texts, if the file has them.
        check: Number of documents to encode with the model. Different vectors are refused.
        device: Device of this check. None selects the best one.
        name: Name of the embedding set, if any.
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
    """An imported embedding set.

    Attributes:
        embeddings: Id of the embedding set.
        name: Name of the embedding set, if it has one.
        existing: Whether the store had it before this call.
        model: Name or id of the model.
        corpus: Id of the corpus.
        n_documents: Number of documents.
        dim: Width of the vectors.
        storage_dtype: Type of the stored vectors.
        has_text: Whether texts are stored.
        checked: Number of documents whose vectors were compared with the model; 0 if none were.
        seconds: Time of this call in seconds.
        name_not_given: A requested name that an existing set did not get.
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
    """Import encoded items as the embedding set of a model.

    Such a file does not record its model. The set is recorded with the passage encoder of the model
    that is named, so that searches with this model find it. The file is streamed and written in
    shards. An interrupted import resumes at the first missing shard.

    Args:
        store: The project store.
        path: A published stream (``.docs``), or an array (``.npy``) with ``options.ids``.
        model: The model whose passage encoder made the vectors.
        options: How to import.
        progress: Where to report.

    Raises:
        DataError: The file is malformed (names the byte or line), or a vector is not finite or
            exceeds the range of the storage type (names the document).
        UsageError: The width of the vectors is not that of the model, a check needs texts, or
            ``storage_dtype`` is not ``float16`` or ``float32``.
        ModelError: A checked document has another vector than the model computes.
        StoreError: Another process imports the same set, or the disk space is not sufficient.
    """
    options = options or ImportOptions()
    started = time.perf_counter()
    items = open_encoded(path, ids=options.ids)
    manifest = find_model(store, model, progress)
    first = next(iter(items))
    _check_width(first, manifest, items)
    corpus, queries = _corpus(path, options, progress)
    before = _file_state(path)
    spec = _spec(path, items, manifest, corpus, options)
    spec = known_spec(store, [spec], no_content=["shard_rows"]) or spec
    options = replace(options, shard_rows=spec.shard_rows)
    _check_vectors(store, manifest, items, options, trust_code=model.trust_code)
    entered = store.embedding_work(spec, name=options.name)
    with entered as work, discard_unless_shards(work):
        done = work.existing
        if done is None:
            if items.count is not None:  # None for a stream
                rows = work.missing_rows(items.count)
                work.require_space(bytes_of_vectors(rows, spec.dim, options.storage_dtype))
            progress.message(
                f"reading {path.name} as vectors of {display_name(manifest)}: {work.id}"
            )
            seen, read = _write_shards(work, items, options, progress)
            _refuse_changed(path, spec, read, before)
            stats = {"source": path.name, "checked": options.check, "queries": queries}
            made_with = {**provenance(), **place_seals(queries=queries)}
            done = work.finish(seen, stats=stats, provenance=made_with)
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
        dtype=checked_storage_dtype(options.storage_dtype),
        shard_rows=options.shard_rows,
        keep_text=options.keep_text and items.has_text,
    )


def _file_state(path: Path) -> tuple[int, int, int]:
    """File, size and time of the last change: without a change of them, the content is the same."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_changed(
    path: Path, spec: EmbeddingSpec, read: str, before: tuple[int, int, int]
) -> None:
    """Refuse a file that is not the one that was hashed before it was read.

    Args:
        path: The file.
        spec: The embedding set, with the hash of the file.
        read: The hash of what was read.
        before: The :func:`_file_state` before the file was hashed.

    Raises:
        ContentChanged: Its content is another one.
    """
    hashed = spec.inputs["source_sha256"]
    if read != hashed or (_file_state(path) != before and file_sha256(path) != hashed):
        raise ContentChanged(
            f"{path} was changed while it was read.",
            hint=f"hype rm {spec.id}, and run the same command again.",
        )


def _corpus(path: Path, options: ImportOptions, progress: Progress) -> tuple[str, str | None]:
    """Id of the corpus, and its queries. A name that is not a dataset is used as it is."""
    from hypencli.data.corpus import open_corpus

    if options.corpus is None:
        return FileSource(path).id, None
    try:
        opened = open_corpus(options.corpus)
    except DataError:
        progress.message(f"corpus: {options.corpus} (a name, not a dataset)")
        return options.corpus, None
    return opened.corpus_id, opened.queries


def _check_width(first: EncodedItem, model: Manifest, items: EncodedItems) -> None:
    dim = model.stat_int("dim")
    if len(first.vector) != dim:
        raise UsageError(
            f"The vectors of {items.name} have width {len(first.vector)}, those of model "
            f"{display_name(model)} {dim}.",
            hint="Name the model that made them: `model=MODEL`",
        )


def _check_vectors(
    store: Store,
    model: Manifest,
    items: EncodedItems,
    options: ImportOptions,
    *,
    trust_code: bool,
) -> None:
    """Encode the first documents with the model, and compare by cosine."""
    if not options.check:
        return
    if not items.has_text:
        raise UsageError(
            f"{items.name} has no texts to encode for a check.",
            hint="Name the corpus: `ids=CORPUS`; or leave out `check=`",
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
    # Not "<": a NaN cosine must fail too.
    wrong = np.flatnonzero(~(cosines >= LEAST_COSINE))
    if len(wrong):
        row = int(wrong[0])
        raise ModelError(
            f"The vectors of {items.name} are not those of model {display_name(model)}: "
            f"{len(wrong)} of {len(sample)} documents differ, the first is "
            f"{sample[row].doc_id!r} with a cosine of {cosines[row]:.3f} (expected at least "
            f"{LEAST_COSINE}).",
            hint="Name the model that made them: `model=MODEL`",
        )


def _write_shards(
    work: EmbeddingWork, items: EncodedItems, options: ImportOptions, progress: Progress
) -> tuple[int, str]:
    """Write the missing shards; return the number of documents, and the hash of what was read."""
    keep_text = options.keep_text and items.has_text
    seen, shown = 0, progress.task("import", total=items.count, unit="documents")
    with shown as task, content_hash() as read:
        for index, block in enumerate(items.blocks(options.shard_rows, read.update)):
            if not work.has_shard(index):
                task.note(f"shard {index}")
                vectors = _vectors(block, items.name, options.storage_dtype)
                work.write_shard(index, block.doc_ids, vectors, block.texts if keep_text else None)
            seen += len(block.doc_ids)
            task.advance(len(block.doc_ids))
        return seen, read.hexdigest()


def _vectors(block: EncodedBlock, name: str, dtype: str) -> Vector:
    """Convert the vectors ``[n, d]`` of a block to the storage type.

    Raises:
        DataError: A value is not finite, or exceeds the range of ``dtype``.
    """
    import numpy as np

    vectors = block.vectors
    with np.errstate(over="ignore"):
        stored: Vector = vectors.astype(dtype, copy=False)
    finite = np.isfinite(stored)
    if finite.all():
        return stored
    row, place = np.argwhere(~finite)[0]
    where = f"{name}: the vector of document {block.doc_ids[row]!r}"
    value = float(vectors[row, place])
    if np.isfinite(value):
        raise DataError(
            f"{where} has {value:g} at position {place}, which exceeds the range of {dtype}.",
            hint="Add `storage_dtype=float32`" if dtype == "float16" else None,
        )
    raise DataError(
        f"{where} has {value:g} at position {place}; expected finite numbers.",
        hint="Make the file again.",
    )


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
    """An exported embedding set.

    Attributes:
        embeddings: Id of the embedding set.
        path: File of the vectors.
        ids: File of the ids, if it is separate.
        format: Name of the format.
        n_documents: Number of documents.
        dim: Width of the vectors.
        dtype: Type of the vectors in the file.
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

    A stream has ids, texts, and float32 vectors. An array has the storage type of the set. Its ids
    are in ``NAME.ids.txt``, one per line.

    Args:
        store: The project store.
        embeddings: Id, unique prefix, or name.
        output: The file.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package. The default is the format of the file's ending.
        overwrite: Replace existing files.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, the ending is unknown, a file exists, or the set has no
            texts for a stream.
        DataError: A file cannot be written, or an id has a line break.
    """
    exporter = find_exporter("embeddings", format, output)
    opened = store.embeddings(embeddings)
    paths = exporter.files(output, overwrite=overwrite)
    exporter.export(ExportJob(store, opened, display_name(opened.manifest), paths, progress))
    return ExportedEmbeddings(
        embeddings=opened.manifest.id,
        path=paths[0],
        ids=paths[1] if len(paths) > 1 else None,
        format=exporter.name,
        n_documents=opened.n,
        dim=opened.dim,
        dtype="float32" if exporter.name == "docs" else str(opened.dtype),
    )
