"""Encoding into a store: which arithmetic ``auto`` stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.errors import UsageError
from hypencli.ops.encode import EncodeOptions, encode, plan
from hypencli.ops.models import ModelSource
from hypestore import Store

HYPER = ModelSource("hyper")


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def corpus(tiny_collection: Path) -> Corpus:
    return open_corpus(tiny_collection / "corpus.jsonl")


def options(dtype: str, *, limit: int = 20, part: tuple[int, int] | None = None) -> EncodeOptions:
    return EncodeOptions(dtype=dtype, limit=limit, shard_rows=8, part=part)


def test_auto_is_one_of_two_and_the_same_the_second_time(store: Store, corpus: Corpus) -> None:
    encoded = encode(store, corpus, HYPER, options("auto"))
    assert store.get(encoded.embeddings).inputs["dtype"] in ("bfloat16", "float32")
    again = encode(store, corpus, HYPER, options("auto"))
    assert again.existing
    assert again.embeddings == encoded.embeddings


@pytest.mark.parametrize(("least", "expected"), [(0.5, "bfloat16"), (1.5, "float32")])
def test_auto_is_bfloat16_where_it_is_native_and_near_enough(
    store: Store, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, least: float, expected: str
) -> None:
    monkeypatch.setattr("hypencli.models.speed.fastest_dtype", lambda device: torch.bfloat16)
    monkeypatch.setattr("hypencli.ops.embedding_sets.precision.LEAST_COSINE", least)
    encoded = store.get(encode(store, corpus, HYPER, options("auto")).embeddings)
    assert encoded.inputs["dtype"] == expected
    measured = encoded.stats["least_cosine_to_float32"]
    sets = [
        store.embeddings(encode(store, corpus, HYPER, options(dtype)).embeddings)
        for dtype in ("bfloat16", "float32")
    ]
    coarse, exact = (one.vectors(range(20)).astype(np.float64) for one in sets)
    cosines = (coarse * exact).sum(1) / np.linalg.norm(coarse, axis=1)
    assert measured == pytest.approx((cosines / np.linalg.norm(exact, axis=1)).min(), abs=2e-5)


def test_auto_is_float32_where_bfloat16_is_not_native(
    store: Store, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypencli.models.speed.fastest_dtype", lambda device: torch.float32)
    planned = plan(store, corpus, HYPER, options("auto")).embeddings
    encoded = store.get(encode(store, corpus, HYPER, options("auto")).embeddings)
    assert encoded.id == planned
    assert encoded.inputs["dtype"] == "float32"
    assert "least_cosine_to_float32" not in encoded.stats


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_auto_takes_what_is_there(store: Store, corpus: Corpus, dtype: str) -> None:
    encoded = encode(store, corpus, HYPER, options(dtype))
    assert plan(store, corpus, HYPER, options("auto")).finished
    assert encode(store, corpus, HYPER, options("auto")).embeddings == encoded.embeddings


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_auto_goes_on_with_what_was_begun(store: Store, corpus: Corpus, dtype: str) -> None:
    """A part in one arithmetic: the others join it, whatever is fast where they run."""
    begun = encode(store, corpus, HYPER, options(dtype, part=(1, 3)))
    assert not begun.finished
    for part in (2, 3):
        done = encode(store, corpus, HYPER, options("auto", part=(part, 3)))
    assert done.finished
    assert done.embeddings == begun.embeddings
    assert store.get(done.embeddings).inputs["dtype"] == dtype


def test_other_inputs_are_another_set(store: Store, corpus: Corpus) -> None:
    first = encode(store, corpus, HYPER, options("bfloat16"))
    other = encode(store, corpus, HYPER, options("auto", limit=10))
    assert not other.existing
    assert other.embeddings != first.embeddings


def test_vectors_are_stored_in_float16_or_float32(store: Store, corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="int8") as caught:
        encode(store, corpus, HYPER, EncodeOptions(storage_dtype="int8"))
    assert "float16, float32" in str(caught.value.hint)
    assert store.unfinished("embeddings") == []
