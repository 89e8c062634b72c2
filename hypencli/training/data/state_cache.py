"""Derived files of a training run: token tables, and the outputs of a frozen encoder.

The name of each folder depends on all that determines its content, so runs that differ only in
seed, learning rate or head share them.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from hypencli.data.atomic import flush_folder, flush_tree
from hypencli.errors import ModelError, UsageError
from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
from hypencli.models.encoder import TextEncoder
from hypencli.models.encoding import EncodingOptions, encode_tokens, token_states
from hypencli.models.fingerprint import backbone_fingerprint, passage_fingerprint
from hypencli.models.hypernet import Hypencoder
from hypencli.progress import Progress
from hypencli.runtime import cache_name
from hypencli.training.config import StateCache, TrainingConfig
from hypencli.training.data.known_outputs import (
    EncoderKey,
    FindKnown,
    KnownOutputs,
    KnownRows,
    holds,
    take_known,
    write_keys,
)
from hypencli.training.data.token_tables import (
    HASH_BYTES,
    TokenStateStore,
    TokenTable,
    map_array,
)
from hypencli.training.process.distributed import is_leader, wait_for_all

STATES_FILE = "query_states"
VECTORS_FILE = "passage_vectors"


class MakeCache(Protocol):
    """A function that returns the folders of derived files."""

    def __call__(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder with a name; ``make`` fills it if it does not exist."""
        ...


@dataclass(frozen=True, slots=True)
class FolderCaches:
    """Caches inside the folder of one run, made by its leader process.

    Attributes:
        root: The folder.
    """

    root: Path

    def __call__(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder with a name; ``make`` fills it if it does not exist."""
        folder = self.root / name
        if is_leader() and not folder.is_dir():
            partial = self.root / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            make(partial)
            flush_tree(partial)
            partial.rename(folder)
            flush_folder(self.root)
        wait_for_all()
        return folder


class Texts(Protocol):
    """Queries and passages as tokens: a training set, or the texts of a validation search."""

    @property
    def queries(self) -> TokenTable:
        """The queries."""
        ...

    @property
    def passages(self) -> TokenTable:
        """The passages."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """The outputs of a frozen dual encoder for texts.

    Attributes:
        queries: Token states of the queries.
        passages: Embeddings of the passages ``[n, d]``.
    """

    queries: TokenStateStore
    passages: npt.NDArray[np.float32]


def encoded_set(
    dual: HypencoderDualEncoder | TextDualEncoder,
    texts: Texts,
    config: TrainingConfig,
    caches: MakeCache,
    *,
    name: str,
    tokenizer: str,
    known: FindKnown,
    progress: Progress,
) -> EncodedSet:
    """Encode every text of a set by a frozen encoder, or open the cached result.

    Outputs that are known already are taken from where they are. Then the last bits may differ from
    a new encoding, whose batches hold other texts.

    Args:
        dual: The model; both of its encoders are frozen.
        texts: The texts.
        config: Configuration of the run, with that of its cache.
        caches: Returns the folder of the result.
        name: Name of the cache of the texts.
        tokenizer: Fingerprint of the tokenizer of the texts.
        known: Returns what holds outputs of an encoder.
        progress: Receives the progress.

    Raises:
        ModelError: An encoder is not frozen.
        UsageError: The result would exceed the limit; nothing is encoded then.
    """
    cache = config.cache or StateCache()
    _refuse_unfrozen(dual)
    width = dual.query_encoder.width
    _refuse_beyond_limit(texts, width=width, cache=cache)
    query, passage = _keys(dual, config, cache, tokenizer)

    def make(folder: Path) -> None:
        writer = _Writer(folder, config, cache, known, progress)
        writer.write_states(dual.query_encoder, texts.queries, query)
        writer.write_vectors(dual.passage_encoder, texts.passages, passage)
        write_keys(folder, (query, passage))

    own_name = cache_name(
        "states",
        texts=name,
        query=query.encoder,
        passage=passage.encoder,
        kept_as=query.kept_as,
        computed_in=query.computed_in,
        device=query.device,
    )
    folder = caches(own_name, make)
    states = map_array(folder / STATES_FILE, _numpy_dtype(cache.dtype), width)
    vectors = map_array(folder / VECTORS_FILE, np.float32, dual.passage_encoder.width)
    return EncodedSet(TokenStateStore(states, texts.queries.offsets), vectors)


def _keys(
    dual: HypencoderDualEncoder | TextDualEncoder,
    config: TrainingConfig,
    cache: StateCache,
    tokenizer: str,
) -> tuple[EncoderKey, EncoderKey]:
    """Return what token states of queries, and what vectors of passages depend on."""
    query = EncoderKey(
        side="query",
        encoder=backbone_fingerprint(dual.query_encoder),
        tokenizer=tokenizer,
        max_length=config.query_max_length,
        kept_as=str(cache.dtype),
        computed_in="bfloat16" if config.mixed_bfloat16 else "float32",
        device=config.device.type,
    )
    passage = replace(
        query,
        side="passage",
        encoder=passage_fingerprint(dual),
        max_length=config.passage_max_length,
    )
    return query, passage


def known_in(folder: Path, key: EncoderKey) -> KnownOutputs | None:
    """Return the outputs of an encoder in a folder that :func:`encoded_set` made; None without."""
    if not holds(folder, key):
        return None
    hashes = map_array(folder / f"{key.side}.hashes", np.uint8, HASH_BYTES)
    name = f"the cache {folder.name}"
    if key.side == "passage":
        vectors = map_array(folder / VECTORS_FILE, np.float32)
        return KnownRows(name, hashes, vectors.reshape(len(hashes), -1))
    offsets = np.load(folder / "query.offsets.npy", allow_pickle=False)
    states = map_array(folder / STATES_FILE, key.kept_as.removeprefix("torch."))
    return KnownRows(name, hashes, states.reshape(offsets[-1], -1), offsets)


def _refuse_unfrozen(dual: HypencoderDualEncoder | TextDualEncoder) -> None:
    """Refuse an encoder that is not frozen: its cached outputs would become wrong."""
    if not (dual.query_encoder.frozen and dual.passage_encoder.frozen):
        raise ModelError(
            "Token states can only be cached for a frozen encoder; this one is trained.",
            hint="Set model.freeze_encoder = true, or training.cache_encoder = false.",
        )


def _refuse_beyond_limit(texts: Texts, *, width: int, cache: StateCache) -> None:
    """Refuse token states that would exceed the limit, before anything is encoded."""
    n_tokens = len(texts.queries.ids)
    needed = n_tokens * width * cache.dtype.itemsize + len(texts.passages) * width * 4
    if needed > cache.limit_bytes:
        raise UsageError(
            f"Cached states of {len(texts.queries):,} queries ({n_tokens:,} tokens) and "
            f"{len(texts.passages):,} passages would take {needed / 1e9:.1f} GB on disk; the limit "
            f"is {cache.limit_bytes / 1e9:.1f} GB.",
            hint="Raise training.cache_limit_gb, set training.cache_dtype = 'float16', lower "
            "data.query_max_length, or set training.cache_encoder = false.",
        )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the outputs of encoders: those that are known, then those that must be computed."""

    folder: Path
    config: TrainingConfig
    cache: StateCache
    known: FindKnown
    progress: Progress

    @torch.no_grad()
    def write_states(
        self, encoder: Hypencoder | TextEncoder, tokens: TokenTable, key: EncoderKey
    ) -> None:
        """Write token states of every query, independent of other queries."""
        states = _new_array(
            self.folder / STATES_FILE,
            _numpy_dtype(self.cache.dtype),
            (len(tokens.ids), encoder.width),
        )
        table = TokenStateStore(states, tokens.offsets)

        def put(text: int, known: npt.NDArray[Any]) -> None:
            states[tokens.offsets[text] : tokens.offsets[text + 1]] = known

        places = self._take(tokens, key, put)
        np.save(self.folder / "query.offsets.npy", tokens.offsets)
        if not places:
            return
        order = sorted(places, key=lambda place: -int(tokens.lengths[place]))
        with self.progress.task("encoding queries", total=len(places), unit="queries") as task:
            for place, each in token_states(
                encoder, tokens, tokens.pad_id, _options(self.config), order
            ):
                table.put(place, each)
                task.advance()

    def write_vectors(self, encoder: TextEncoder, tokens: TokenTable, key: EncoderKey) -> None:
        """Write embeddings of every passage."""
        vectors = _new_array(self.folder / VECTORS_FILE, np.float32, (len(tokens), encoder.width))

        def put(text: int, known: npt.NDArray[Any]) -> None:
            vectors[text] = known

        places = self._take(tokens, key, put)
        if not places:
            return
        with self.progress.task("encoding passages", total=len(places), unit="passages") as task:
            encode_tokens(
                encoder,
                tokens,
                tokens.pad_id,
                _options(self.config),
                out=vectors,
                on_encoded=lambda rows: task.advance(len(rows)),
                places=places,
            )

    def _take(
        self, tokens: TokenTable, key: EncoderKey, put: Callable[[int, npt.NDArray[Any]], None]
    ) -> list[int]:
        """Write known outputs and the hashes of the texts; return the places of the others."""
        if tokens.hashes is None:
            raise ModelError("Texts without hashes cannot be cached.")
        (self.folder / f"{key.side}.hashes").write_bytes(tokens.hashes.tobytes())
        what = {"query": "queries", "passage": "passages"}[key.side]
        return take_known(tokens.hashes, self.known(key), put, what=what, progress=self.progress)


def _new_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, int]) -> npt.NDArray[np.generic]:
    if 0 in shape:  # an empty file cannot be mapped
        path.touch()
        return np.empty(shape, dtype=dtype)
    _reserve(path, np.dtype(dtype).itemsize * math.prod(shape))
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)


def _reserve(path: Path, n_bytes: int) -> None:
    """Reserve the free space now: a full disk would end the process when a page is written."""
    with path.open("wb") as out:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(out.fileno(), 0, n_bytes)
        else:
            out.truncate(n_bytes)


def _numpy_dtype(dtype: torch.dtype) -> npt.DTypeLike:
    return np.float16 if dtype == torch.float16 else np.float32


def _options(config: TrainingConfig) -> EncodingOptions:
    return EncodingOptions(
        max_length=config.passage_max_length,
        dtype=torch.bfloat16 if config.mixed_bfloat16 else torch.float32,
        device=config.device,
    )
