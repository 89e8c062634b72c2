"""The identity of an embedding set: content of the corpus, passage encoder, and lengths.

The id of a set also has the name of its corpus and the rows of its shards, for people and for
stores of earlier versions. Neither changes a vector, so a set that differs in them alone is found
and used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hypencli.ops.embedding_sets.options import EncodeOptions, checked_storage_dtype
from hypestore import EmbeddingSpec, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus
    from hypencli.data.reading.skipped_lines import OnError

FIELDS = "corpus_fields"
"""Where the manifest says which fields of the corpus were read: a statistic of the set."""


def embedding_spec(corpus: Corpus, model: Manifest, options: EncodeOptions) -> EmbeddingSpec:
    """Describe the embedding set of a corpus.

    Models with the same frozen passage encoder share their vectors.
    """
    inputs: dict[str, JsonValue] = {
        "passage_fingerprint": model.stats["passage_fingerprint"],
        "corpus": corpus.corpus_id,
        "corpus_fingerprint": corpus.fingerprint,
        "max_length": options.max_length,
        "dtype": options.dtype,
        "storage_dtype": options.storage_dtype,
        "shard_rows": options.shard_rows,
        "limit": options.limit,
        "keep_text": options.keep_text,
    }
    if corpus.skipped is not None:
        inputs["on_error"] = "skip"
    return EmbeddingSpec(
        id_prefix=corpus.id_prefix,
        inputs=inputs,
        parents=(model.id,),
        dim=model.stat_int("dim"),
        dtype=checked_storage_dtype(options.storage_dtype),
        shard_rows=options.shard_rows,
        keep_text=options.keep_text,
    )


def known_spec(
    store: Store,
    specs: Sequence[EmbeddingSpec],
    *,
    no_content: Collection[str] = ("corpus", "shard_rows"),
) -> EmbeddingSpec | None:
    """The spec under which the store has one of these sets, finished or begun; None without one.

    Finished sets come first, then those that were begun. Of two sets, one with exactly the id of a
    spec comes first, then the newest.

    Args:
        store: The project store.
        specs: Descriptions of the wanted sets, the preferred one first.
        no_content: Inputs in which the set may differ, since they change no vector.
    """
    finished = {one.id: one.inputs for one in store.artifacts("embeddings")}
    begun = {one.id: one.inputs for one in store.unfinished("embeddings")}
    for existing in (finished, begun):
        for spec in specs:
            wanted = _without(spec.all_inputs(), no_content)
            same = [one for one in existing if _without(existing[one], no_content) == wanted]
            if same:
                set_id = spec.id if spec.id in same else same[-1]
                return _adopted(spec, set_id, existing[set_id])
    return None


def _without(inputs: Mapping[str, JsonValue], left_out: Collection[str]) -> dict[str, JsonValue]:
    return {key: value for key, value in inputs.items() if key not in left_out}


def _adopted(spec: EmbeddingSpec, set_id: str, own: Mapping[str, JsonValue]) -> EmbeddingSpec:
    """The spec with the name and the shards of an existing set, so that it has its id."""
    return EmbeddingSpec(
        id_prefix=set_id.rpartition("-")[0],
        inputs=dict(own),
        parents=spec.parents,
        dim=spec.dim,
        dtype=spec.dtype,
        shard_rows=cast("int", own["shard_rows"]),
        keep_text=spec.keep_text,
    )


def earlier_content(store: Store, spec: EmbeddingSpec) -> str | None:
    """The id of unfinished work on a corpus of the same name with other content; None without."""
    left_out = ("corpus_fingerprint", "shard_rows")
    wanted = _without(spec.all_inputs(), left_out)
    begun = (one for one in store.unfinished("embeddings") if one.id != spec.id)
    same = [one.id for one in begun if _without(one.inputs, left_out) == wanted]
    return same[-1] if same else None


def of_content(embeddings: Iterable[Manifest], path: str) -> tuple[list[Manifest], list[Manifest]]:
    """Sort embedding sets by the content of a corpus on disk.

    Args:
        embeddings: Embedding sets.
        path: A file or folder with documents.

    Returns:
        The sets that were encoded from this content, and those that cannot be compared: of earlier
        versions, or taken in from vectors.

    Raises:
        DataError: The corpus cannot be read.
    """
    from hypencli.data.corpus import open_corpus

    same, unknown = [], []
    fingerprints: dict[str, str] = {}
    for one in embeddings:
        fields = cast("Mapping[str, Any] | None", one.stats.get(FIELDS))
        on_error: OnError = "skip" if one.inputs.get("on_error") == "skip" else "stop"
        key = f"{fields} {on_error}"
        if key not in fingerprints:
            keys = {f"{name}_key": value for name, value in (fields or {}).items()}
            fingerprints[key] = open_corpus(path, **keys, on_error=on_error).fingerprint
        if one.inputs.get("corpus_fingerprint") == fingerprints[key]:
            same.append(one)
        elif fields is None:
            unknown.append(one)
    return same, unknown
