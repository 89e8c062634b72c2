"""Embedding sets: their description, the names of their files, and checks of a shard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from hypestore.errors import InvalidContent
from hypestore.files import atomic_path
from hypestore.manifest import WorkRecord, artifact_id, plain_json
from hypestore.tables import string_array
from hypestore.work.work import plan_work

_TEXT_ROW_GROUP_ROWS = 1_024


class EmbeddingSpec(BaseModel):
    """The description of an embedding set. All fields but parents and shard_rows determine its id.

    Attributes:
        id_prefix: A few words for people, part of the id.
        inputs: Everything else that determines the vectors: corpus, passage fingerprint, maximal
            length. In the manifest, ``dim``, ``storage_dtype`` and ``keep_text`` are added.
        parents: Ids of the artifacts that it is made from, usually the model.
        dim: Width of the vectors.
        dtype: ``float16`` or ``float32``.
        shard_rows: Documents per shard; the last shard has the rest.
        keep_text: Whether the text of each document is stored too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id_prefix: str
    inputs: dict[str, JsonValue]
    parents: tuple[str, ...] = ()
    dim: int = Field(ge=1)
    dtype: Literal["float16", "float32"] = "float16"
    shard_rows: int = Field(default=65_536, ge=1)
    keep_text: bool = True

    @property
    def id(self) -> str:
        """The id of the embedding set."""
        return artifact_id("embeddings", self.id_prefix, self.all_inputs())

    def all_inputs(self) -> dict[str, JsonValue]:
        """The inputs as they stand in the manifest.

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
        """The record of the unfinished embedding set, with its id."""
        return plan_work(
            "embeddings",
            self.id_prefix,
            self.all_inputs(),
            parents=self.parents,
            name=name,
            layout={"shard_rows": self.shard_rows},
        )


def shards_done(folder: Path, *, keep_text: bool) -> int:
    """The number of complete shards in a folder, of a finished or an unfinished set."""
    names = {path.name for path in folder.glob("*.parquet")}
    vectors = [name for name in names if name.startswith("vectors-")]
    return sum(not keep_text or name.replace("vectors-", "text-") in names for name in vectors)


def vector_name(shard: int) -> str:
    """File name of the vectors of a shard."""
    return f"vectors-{shard:05d}.parquet"


def text_name(shard: int) -> str:
    """File name of the texts of a shard."""
    return f"text-{shard:05d}.parquet"


def check_ids(doc_ids: Sequence[str], where: str) -> list[str]:
    """The document ids as a list of unique strings, none of them empty.

    Raises:
        InvalidContent: An id is empty, not a string, or occurs twice; the message names it.
    """
    ids = list(doc_ids)
    if {*map(type, ids)} <= {str} and all(ids) and len({*ids}) == len(ids):
        return ids
    seen: set[str] = set()
    for row, doc_id in enumerate(ids):
        if not isinstance(doc_id, str) or not doc_id:
            raise InvalidContent(f"{where}, row {row}: {doc_id!r} is not a document id.")
        if doc_id in seen:
            raise InvalidContent(f"{where}: the document id {doc_id!r} occurs twice.")
        seen.add(doc_id)
    return ids


def check_vectors(
    vectors: np.ndarray[Any, Any], ids: list[str], spec: EmbeddingSpec, where: str
) -> np.ndarray[Any, Any]:
    """``vectors`` [n, d] converted to the dtype of the set, checked to be finite.

    Raises:
        InvalidContent: The shape is wrong, or a value is NaN, infinite or beyond float16; the
            message names the document.
    """
    array = np.asarray(vectors)
    if array.shape != (len(ids), spec.dim) or not 0 < len(ids) <= spec.shard_rows:
        raise InvalidContent(
            f"{where}: got {len(ids)} ids and vectors of shape {array.shape}, "
            f"expected 1 to {spec.shard_rows} rows of {spec.dim}."
        )
    with np.errstate(over="ignore"):
        ready = np.ascontiguousarray(array.astype(spec.dtype, copy=False))
    finite = np.isfinite(ready).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        at = int(np.flatnonzero(~np.isfinite(ready[row]))[0])
        value = float(array[row, at])
        overflow = math.isfinite(value)
        raise InvalidContent(
            f"{where}: the vector of document {ids[row]!r} has {value} at position {at}"
            + (f", which is beyond {spec.dtype}." if overflow else "."),
            hint="Store this set as float32: --storage-dtype float32"
            if overflow and spec.dtype == "float16"
            else "Check what made this vector: the model's weights, or the file it is from.",
        )
    return ready


def write_texts(path: Path, ids: list[str], texts: Sequence[str]) -> None:
    """Write the texts of a shard atomically.

    Raises:
        InvalidContent: A text is not a string; the message names the document.
    """
    schema = pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
        ]
    )
    for doc_id, text in zip(ids, texts, strict=True):
        if not isinstance(text, str):
            raise InvalidContent(f"{path.name}: the text of document {doc_id!r} is {text!r}.")
    columns = [string_array(ids, "document ids"), string_array(texts, "texts")]
    with atomic_path(path) as temporary:
        pq.write_table(
            pa.table(columns, schema=schema),
            temporary,
            row_group_size=_TEXT_ROW_GROUP_ROWS,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        )


def refuse_repeated(shards: list[pa.StringArray], set_id: str) -> None:
    """Refuse document ids that occur in two shards; ``check_ids`` checks within a shard.

    Raises:
        InvalidContent: An id occurs twice; the message names it and its shards.
    """
    import pyarrow.compute as pc

    together = pa.chunked_array(shards, pa.string())
    if pc.count_distinct(together).as_py() == len(together):
        return
    counts = pc.value_counts(together)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    holding = [shard for shard, ids in enumerate(shards) if pc.index(ids, repeated).as_py() >= 0]
    raise InvalidContent(
        f"The document id {repeated!r} occurs more than once in {set_id}: in the shards {holding}.",
        hint="Document ids must be unique in a corpus; make them so and encode it again.",
    )
