"""The identity of an embedding set: content of the corpus, passage encoder, and lengths.

The id of a set also has the name of its corpus and the rows of its shards, for people and for
stores of earlier versions. Neither changes a vector, so a set that differs in them alone is found
and used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hypencli.ops.embedding_sets.options import EncodeOptions, checked_storage_dtype
from hypestore import EmbeddingSpec, JsonValue, Manifest, Store

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus
    from hypencli.data.reading.skipped_lines import OnError

_NO_CONTENT = ("corpus", "shard_rows")
"""Inputs of a set that change no vector."""

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


def known_spec(store: Store, specs: Sequence[EmbeddingSpec]) -> EmbeddingSpec | None:
    """The spec under which the store has one of these sets, finished or begun; None without one.

    Finished sets come first, then those that were begun. Of two sets, one with exactly the id of a
    spec comes first, then the newest.

    Args:
        store: The project store.
        specs: Descriptions of the wanted sets, the preferred one first.
    """
    finished = {one.id: one.inputs for one in store.artifacts("embeddings")}
    begun = {one.id: one.inputs for one in store.unfinished("embeddings")}
    for existing in (finished, begun):
        for spec in specs:
            same = _same(spec, existing)
            if same:
                return _adopted(spec, *same[-1])
    return None


def _same(
    spec: EmbeddingSpec, existing: Mapping[str, Mapping[str, JsonValue]]
) -> list[tuple[str, Mapping[str, JsonValue]]]:
    """Sets with the content of ``spec``, id and inputs; the one with its id comes last."""
    wanted = _content(spec.all_inputs())
    same = [(set_id, own) for set_id, own in existing.items() if _content(own) == wanted]
    return sorted(same, key=lambda one: one[0] == spec.id)


def _content(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: value for key, value in inputs.items() if key not in _NO_CONTENT}


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

    def all_but_content(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        left_out = ("corpus_fingerprint", "shard_rows")
        return {key: value for key, value in inputs.items() if key not in left_out}

    wanted = all_but_content(spec.all_inputs())
    begun = store.unfinished("embeddings")
    same = [one.id for one in begun if one.id != spec.id and all_but_content(one.inputs) == wanted]
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
