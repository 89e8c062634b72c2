"""Outputs of a frozen encoder in a store: in the caches of other trainings, in embedding sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.ops.models import display_name
from hypencli.progress import Progress
from hypestore import EmbeddingSet, JsonValue, Store

if TYPE_CHECKING:
    import numpy.typing as npt

    from hypencli.training import EncoderKey, KnownOutputs

_STATES = "states-"
"""Names of caches with the outputs of frozen encoders begin with it."""


class _CacheGone(Exception):
    """A cache that was listed was removed before it could be opened."""


def known_outputs(store: Store, progress: Progress, key: EncoderKey) -> Iterator[KnownOutputs]:
    """Find what holds outputs of an encoder: caches, then for passages embedding sets.

    Args:
        store: The project store.
        progress: Told of a set whose vectors would fit in float32.
        key: What the outputs depend on. Vectors of float16 fit only if outputs are kept so.
    """
    yield from _caches(store, key)
    if key.side == "passage":
        yield from _sets(store, progress, key)


def _caches(store: Store, key: EncoderKey) -> Iterator[KnownOutputs]:
    from hypencli.training import holds, known_in

    for cache in store.caches():
        if not (cache.name.startswith(_STATES) and holds(cache.path, key)):
            continue
        try:
            found = known_in(store.cached(cache.name, _gone), key)
        except _CacheGone:
            continue
        if found is not None:
            yield found


def _sets(store: Store, progress: Progress, key: EncoderKey) -> Iterator[KnownOutputs]:
    from hypencli.models.load import vectors_fingerprint

    inputs: dict[str, JsonValue] = {
        "passage_fingerprint": vectors_fingerprint(key.encoder, key.tokenizer),
        "max_length": key.max_length,
        "dtype": key.computed_in,
        "keep_text": True,
    }
    takes_rounded = key.kept_as == "torch.float16"
    rounded = []
    for manifest in store.find("embeddings", inputs):
        if manifest.inputs.get("storage_dtype") == "float16" and not takes_rounded:
            rounded.append(display_name(manifest))
        else:
            yield _KnownSet(store.embeddings(manifest.id))
    if rounded:
        progress.message(
            f"the vectors of the embedding set {rounded[-1]} are rounded to float16, so they are "
            "computed again; training.cache_dtype=float16 takes them"
        )


def _gone(folder: Path) -> None:
    raise _CacheGone


@dataclass(frozen=True, slots=True)
class _KnownSet:
    """The vectors of an embedding set with its texts."""

    embeddings: EmbeddingSet

    @property
    def name(self) -> str:
        """What holds the vectors, for messages."""
        return f"the embedding set {display_name(self.embeddings.manifest)}"

    def find(self, wanted: Callable[[bytes], bool]) -> Iterator[tuple[bytes, npt.NDArray[Any]]]:
        """Yield the hash and the vector of each text for which ``wanted`` is true."""
        import numpy as np

        from hypencli.training import hash_of

        for shard in self.embeddings.shards:
            ordinals = range(shard.offset, shard.offset + shard.n)
            hashes = [hash_of(text) for text in self.embeddings.texts(ordinals)]
            # Two documents may have one text, of which one vector is taken.
            places = {text: i for i, text in enumerate(hashes) if wanted(text)}
            vectors = self.embeddings.vectors([ordinals[i] for i in places.values()])
            yield from zip(places, np.asarray(vectors, dtype=np.float32), strict=True)
