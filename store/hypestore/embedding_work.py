"""Embedding sets in the making: written shard by shard, by one process or several."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from hypestore.errors import IncompleteWork, InvalidContent, StoreError
from hypestore.files import atomic_path
from hypestore.locks import SHORT_WAIT_SECONDS, hold
from hypestore.manifest import Manifest, WorkRecord, artifact_id, plain_json
from hypestore.vector_file import VectorFile, write_vector_file
from hypestore.work import Bench, WorkArea, plan_work

_TEXT_ROW_GROUP_ROWS = 1_024


class EmbeddingSpec(BaseModel):
    """What an embedding set is made of; ``inputs``, ``dim``, ``dtype`` and ``keep_text`` determine its id.

    Attributes:
        slug: A few words for people, part of the id.
        inputs: Everything else that determines the vectors: corpus, passage fingerprint, maximal
            length. The manifest also has ``dim``, ``storage_dtype`` and ``keep_text`` among them.
        parents: Ids of the artifacts it is made from, usually the model.
        dim: Width of the vectors.
        dtype: ``float16`` or ``float32``.
        shard_rows: Documents a shard; the last one has the rest.
        keep_text: Whether the text of each document is kept beside its vector.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str
    inputs: dict[str, JsonValue]
    parents: tuple[str, ...] = ()
    dim: int = Field(ge=1)
    dtype: Literal["float16", "float32"] = "float16"
    shard_rows: int = Field(default=65_536, ge=1)
    keep_text: bool = True

    @property
    def id(self) -> str:
        """The id of the set that this describes."""
        return artifact_id("embeddings", self.slug, self.all_inputs())

    def all_inputs(self) -> dict[str, JsonValue]:
        """The inputs as the manifest has them.

        Raises:
            InvalidContent: ``inputs`` contradicts one of the fields.
        """
        fields = {"dim": self.dim, "storage_dtype": self.dtype, "keep_text": self.keep_text}
        for key, value in fields.items():
            if self.inputs.get(key, value) != value:
                raise InvalidContent(
                    f"The inputs say {key}={self.inputs[key]!r}, and the embedding set is to have "
                    f"{key}={value!r}."
                )
        return plain_json({**self.inputs, **fields}, what="inputs")

    def plan(self, *, name: str | None = None) -> WorkRecord:
        """The record of the set to be made, with its id."""
        return plan_work(
            "embeddings",
            self.slug,
            self.all_inputs(),
            parents=self.parents,
            name=name,
            layout={"shard_rows": self.shard_rows},
        )


def shards_done(folder: Path, *, keep_text: bool) -> int:
    """How many shards lie in the folder of a set, finished or not."""
    names = {path.name for path in folder.glob("*.parquet")}
    vectors = [name for name in names if name.startswith("vectors-")]
    return sum(not keep_text or name.replace("vectors-", "text-") in names for name in vectors)


def vector_name(shard: int) -> str:
    """File name of the vectors of a shard."""
    return f"vectors-{shard:05d}.parquet"


def text_name(shard: int) -> str:
    """File name of the texts of a shard."""
    return f"text-{shard:05d}.parquet"


class EmbeddingWork:
    """An embedding set in the making; use it as a context manager.

    Several processes may hold different parts ``(i, N)``, i from 1, of the same set at once and
    write different shards; which shards belong to a part is the caller's plan. Without a part, the
    work is held alone.

    Attributes:
        id: The id of the set.
        path: Its folder.
        existing: The manifest, when the set is finished; None while it is not.
    """

    def __init__(
        self,
        bench: Bench,
        spec: EmbeddingSpec,
        *,
        name: str | None = None,
        part: tuple[int, int] | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        record = spec.plan(name=name)
        self._bench = bench
        self._area = WorkArea(bench, record)
        self._spec = spec
        self._part = _check_part(part)
        self._wait_seconds = wait_seconds
        self._locks = contextlib.ExitStack()
        self.id = record.id
        self.path = self._area.path
        self.existing: Manifest | None = None

    def __enter__(self) -> Self:
        self.existing = self._area.existing()
        if self.existing is None:
            with contextlib.ExitStack() as stack:
                self._take_locks(stack)
                self.existing = self._area.existing()
                if self.existing is None:
                    self._area.begin()
                    if self._part is None:
                        self._area.clear_temporary()
                    self._locks = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._locks.close()

    def has_shard(self, shard: int) -> bool:
        """Whether this shard is written, its text included where text is kept."""
        text = not self._spec.keep_text or (self.path / text_name(shard)).is_file()
        return text and (self.path / vector_name(shard)).is_file()

    def missing(self, n_shards: int) -> list[int]:
        """The shards, of ``n_shards`` in all, that are not written yet."""
        return [shard for shard in range(n_shards) if not self.has_shard(shard)]

    def write_shard(
        self,
        shard: int,
        doc_ids: Sequence[str],
        vectors: np.ndarray[Any, Any],
        texts: Sequence[str] | None = None,
    ) -> None:
        """Write one shard, whole or not at all; writing it again replaces it.

        Args:
            shard: Its number, from 0.
            doc_ids: One id a row, unique.
            vectors: [n, d], converted to the set's dtype.
            texts: One text a row; needed if, and only if, the set keeps text.

        Raises:
            InvalidContent: Sizes that do not agree, NaN, infinity, a value beyond float16, an
                empty or repeated id; names the document.
            StoreError: The set is finished.
        """
        if self._area.existing() is not None:
            raise StoreError(
                f"The embedding set {self.id} is finished; it does not change any more."
            )
        where = f"shard {shard} of {self.id}"
        ids = _check_ids(doc_ids, where)
        ready = _check_vectors(vectors, ids, self._spec, where)
        if (texts is not None) != self._spec.keep_text or (texts and len(texts) != len(ids)):
            given = "no texts" if texts is None else f"{len(texts)} texts"
            wanted = len(ids) if self._spec.keep_text else "none"
            raise InvalidContent(f"{where}: got {given}, expected {wanted}.")
        if texts is not None:
            _write_texts(self.path / text_name(shard), ids, texts)
        write_vector_file(self.path / vector_name(shard), ids, ready)

    def finish(
        self,
        n_documents: int,
        *,
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Check that all shards are there and write the manifest. The first process to finish wins.

        Args:
            n_documents: Documents of the whole set.
            stats: What came out; ``n_documents``, ``dim``, ``bytes`` and ``shard_rows`` are added.
            provenance: What it was made with.

        Returns:
            The manifest, the one of the first process for the others.

        Raises:
            IncompleteWork: Shards are missing, or have too few or too many rows.
            InvalidContent: A document id occurs twice; names it.
        """
        if self.existing is not None:
            return self.existing
        lock = self._bench.layout.lock(f"{self.id}.finish")
        what = f"The finish of {self.id}"
        with hold(lock, what=what, wait_seconds=max(self._wait_seconds, SHORT_WAIT_SECONDS)):
            first = self._area.existing()
            if first is None:
                self._check_shards(n_documents)
                bytes_each = self._spec.dim * np.dtype(self._spec.dtype).itemsize
                known = {
                    "n_documents": n_documents,
                    "dim": self._spec.dim,
                    "bytes": n_documents * bytes_each,
                    "shard_rows": self._spec.shard_rows,
                }
                first = self._area.seal(
                    stats={**(stats or {}), **known}, provenance=provenance or {}
                )
        self.existing = first
        return first

    def discard(self) -> None:
        """Delete all shards written so far, those of other parts too."""
        self._area.discard()

    def _take_locks(self, stack: contextlib.ExitStack) -> None:
        """Hold the own lock, then look at the others': whoever comes second sees the first."""
        layout = self._bench.layout
        what = f"The embedding set {self.id}"
        if self._part is None:
            stack.enter_context(
                hold(layout.lock(self.id), what=what, wait_seconds=self._wait_seconds)
            )
            others = sorted(layout.locks.glob(f"{self.id}.part-*.lock"))
        else:
            index, count = self._part
            lock = layout.lock(f"{self.id}.part-{index}-of-{count}")
            what_part = f"Part {index} of {count} of {self.id}"
            stack.enter_context(hold(lock, what=what_part, wait_seconds=self._wait_seconds))
            others = [layout.lock(self.id)]
        for other in others:
            # A second is for parts that look at the same lock at the same moment.
            with hold(other, what=what, wait_seconds=max(self._wait_seconds, 1.0)):
                pass

    def _check_shards(self, n_documents: int) -> None:
        rows = self._spec.shard_rows
        n_shards = math.ceil(n_documents / rows)
        missing = self.missing(n_shards)
        if missing:
            shown = ", ".join(str(shard) for shard in missing[:10])
            more = ", …" if len(missing) > 10 else ""
            raise IncompleteWork(
                f"{len(missing)} of {n_shards} shards of {self.id} are missing: {shown}{more}.",
                hint="Run the same command again (each part of it) to write them.",
            )
        beyond = sorted(path.name for path in self.path.glob("vectors-*.parquet"))[n_shards:]
        if beyond:
            raise IncompleteWork(
                f"{self.id} has {n_shards} shards for {n_documents} documents, and also {beyond[0]}.",
                hint="Clear it with `hype doctor --clean` and run the command again.",
            )
        ids = []
        for shard in range(n_shards):
            expected = min(rows, n_documents - shard * rows)
            ids.append(self._shard_ids(shard, expected))
        _refuse_repeated(ids, self.id)

    def _shard_ids(self, shard: int, expected: int) -> pa.StringArray:
        file = VectorFile(self.path / vector_name(shard), dim=self._spec.dim)
        if file.n != expected:
            raise IncompleteWork(
                f"Shard {shard} of {self.id} has {file.n} documents, expected {expected}.",
                hint=f"Delete {file.path} and run the command again.",
            )
        return file.doc_ids


def _check_part(part: tuple[int, int] | None) -> tuple[int, int] | None:
    if part is not None and not 1 <= part[0] <= part[1]:
        raise InvalidContent(f"There is no part {part[0]} of {part[1]}; parts count from 1 to N.")
    return part


def _check_ids(doc_ids: Sequence[str], where: str) -> list[str]:
    ids = list(doc_ids)
    seen: set[str] = set()
    for row, doc_id in enumerate(ids):
        if not isinstance(doc_id, str) or not doc_id:
            raise InvalidContent(f"{where}, row {row}: {doc_id!r} is not a document id.")
        if doc_id in seen:
            raise InvalidContent(f"{where}: the document id {doc_id!r} occurs twice.")
        seen.add(doc_id)
    return ids


def _check_vectors(
    vectors: np.ndarray[Any, Any], ids: list[str], spec: EmbeddingSpec, where: str
) -> np.ndarray[Any, Any]:
    """``vectors`` [n, d] in the set's dtype, all finite."""
    given = np.asarray(vectors)
    if given.shape != (len(ids), spec.dim) or not 0 < len(ids) <= spec.shard_rows:
        raise InvalidContent(
            f"{where}: got {len(ids)} ids and vectors of shape {given.shape}, "
            f"expected 1 to {spec.shard_rows} rows of {spec.dim}."
        )
    with np.errstate(over="ignore"):
        ready = np.ascontiguousarray(given.astype(spec.dtype, copy=False))
    finite = np.isfinite(ready).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        at = int(np.flatnonzero(~np.isfinite(ready[row]))[0])
        value = float(given[row, at])
        overflow = math.isfinite(value)
        raise InvalidContent(
            f"{where}: the vector of document {ids[row]!r} has {value} at position {at}"
            + (f", which is beyond {spec.dtype}." if overflow else "."),
            hint="Use --dtype float32." if overflow else "Check the model: it gave this value.",
        )
    return ready


def _write_texts(path: Path, ids: list[str], texts: Sequence[str]) -> None:
    schema = pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
        ]
    )
    columns = [pa.array(ids, pa.string()), pa.array(list(texts), pa.string())]
    if columns[1].null_count:
        raise InvalidContent(f"{path.name}: the text of {ids[list(texts).index(None)]!r} is None.")
    with atomic_path(path) as temporary:
        pq.write_table(
            pa.table(columns, schema=schema),
            temporary,
            row_group_size=_TEXT_ROW_GROUP_ROWS,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        )


def _refuse_repeated(shards: list[pa.StringArray], set_id: str) -> None:
    """Refuse ids that occur in two shards (within one they were refused before)."""
    together = pa.chunked_array(shards, pa.string())
    if pc.count_distinct(together).as_py() == len(together):
        return
    counts = pc.value_counts(together)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    found = [shard for shard, ids in enumerate(shards) if pc.index(ids, repeated).as_py() >= 0]
    raise InvalidContent(
        f"The document id {repeated!r} occurs more than once in {set_id}: in the shards {found}.",
        hint="Document ids must be unique in a corpus; make them so and encode it again.",
    )
