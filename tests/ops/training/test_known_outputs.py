"""What a training over a frozen encoder takes from caches and embedding sets of its store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hypencli.data.corpus import open_corpus
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.training.run import TrainedModel, train
from hypencli.recipe import load_recipe
from hypestore import Store
from tests.progress import Counting

FROZEN = ["model.freeze_encoder=true", "training.cache_encoder=true", "training.steps=3"]
LENGTH = 64
"""Most tokens of a passage in the recipe."""

Train = Callable[..., tuple[TrainedModel, Counting]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    torch.set_num_threads(1)
    return Store.create(tmp_path / "store")


@pytest.fixture
def train_on(tiny_backbone: Path) -> Train:
    """Train the recipe ``tiny`` over the frozen backbone; gives the model and the jobs done."""

    def run(store: Store, rows: Path, *overrides: str) -> tuple[TrainedModel, Counting]:
        counting = Counting()
        places = [f"model.backbone={tiny_backbone}", f"data.train={rows}"]
        trained = train(
            store, load_recipe("tiny", [*places, *FROZEN, *overrides]), progress=counting
        )
        assert trained is not None
        return trained, counting

    return run


@pytest.fixture
def rows(tiny_collection: Path) -> Path:
    return tiny_collection / "train.jsonl"


def texts_of(rows: Path) -> tuple[set[str], set[str]]:
    """The distinct queries and passages of training rows."""
    read = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    passages = {item["content"] for row in read for item in row["items"]}
    return {row["query"]["content"] for row in read}, passages


def with_new_texts(rows: Path, path: Path) -> Path:
    """The rows in another order, and one more row with a new query and a new passage."""
    lines = rows.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[0])
    row["query"] = {"id": "new", "content": "what do the newcomers bring"}
    row["items"][-1] = row["items"][-1] | {"id": "new", "content": "newcomers bring bread"}
    path.write_text("\n".join([json.dumps(row), *reversed(lines)]) + "\n", encoding="utf-8")
    return path


def weights(model: TrainedModel) -> dict[str, torch.Tensor]:
    return load_file(model.path / "model.safetensors")


def assert_close(model: TrainedModel, other: TrainedModel) -> None:
    mine, others = weights(model), weights(other)
    assert mine.keys() == others.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, others[name], atol=1e-4, rtol=1e-4)


def test_other_rows_of_the_same_texts_encode_only_what_is_new(
    store: Store, rows: Path, train_on: Train, tmp_path: Path
) -> None:
    queries, passages = map(len, texts_of(rows))
    _, first = train_on(store, rows)
    assert first.done["encoding queries"] == queries
    assert first.done["encoding passages"] == passages
    other_rows = with_new_texts(rows, tmp_path / "other.jsonl")
    trained, second = train_on(Store.open(store.root), other_rows)
    assert second.done["encoding queries"] == 1
    assert second.done["encoding passages"] == 1
    said = "\n".join(second.messages)
    assert f"{queries} of {queries + 1} queries are taken from the cache states-" in said
    assert f"{passages} of {passages + 1} passages are taken from the cache states-" in said
    clean, _ = train_on(Store.create(tmp_path / "clean"), other_rows)
    assert_close(trained, clean)


@pytest.mark.parametrize(
    ("override", "taken"),
    [
        ("data.query_max_length=5", {"passages"}),
        ("data.passage_max_length=5", {"queries"}),
        ("training.precision=bfloat16", set()),
        ("training.cache_dtype=float16", set()),
        ("model.pooling=cls", {"queries"}),
    ],
)
def test_only_outputs_of_the_same_encoder_and_length_are_taken(
    override: str, taken: set[str], store: Store, rows: Path, train_on: Train
) -> None:
    train_on(store, rows)
    _, other = train_on(store, rows, override)
    encoded = {job.removeprefix("encoding ") for job in other.done if job.startswith("encoding ")}
    assert encoded == {"queries", "passages"} - taken


def passages_as_corpus(rows: Path, path: Path, *, without: int = 0) -> Path:
    """The passages of rows as a corpus, but for some."""
    texts = sorted(texts_of(rows)[1])[without:]
    documents = (json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts))
    path.write_text("\n".join(documents) + "\n", encoding="utf-8")
    return path


def encoded(store: Store, backbone: Path, corpus: Path, options: EncodeOptions) -> str:
    source = ModelSource(str(backbone), pooling="mean")
    return encode(store, open_corpus(corpus), source, options).embeddings


SET = EncodeOptions(
    max_length=LENGTH, dtype="float32", storage_dtype="float32", shard_rows=16, name="docs"
)


def test_passages_of_an_embedding_set_are_not_encoded_again(
    store: Store, rows: Path, train_on: Train, tiny_backbone: Path, tmp_path: Path
) -> None:
    corpus = passages_as_corpus(rows, tmp_path / "corpus.jsonl", without=3)
    encoded(store, tiny_backbone, corpus, SET)
    trained, counting = train_on(store, rows)
    total = len(texts_of(rows)[1])
    assert counting.done["encoding passages"] == 3
    assert f"{total - 3} of {total} passages are taken from the embedding set docs" in (
        counting.messages
    )
    clean, _ = train_on(Store.create(tmp_path / "clean"), rows)
    assert clean.model_id == trained.model_id
    assert_close(trained, clean)


def test_vectors_of_float16_are_taken_only_where_outputs_are_kept_so(
    store: Store, rows: Path, train_on: Train, tiny_backbone: Path, tmp_path: Path
) -> None:
    corpus = passages_as_corpus(rows, tmp_path / "corpus.jsonl")
    options = EncodeOptions(max_length=LENGTH, dtype="float32", name="half")
    set_id = encoded(store, tiny_backbone, corpus, options)
    total = len(texts_of(rows)[1])
    _, exact = train_on(store, rows)
    assert exact.done["encoding passages"] == total
    assert any("half are rounded to float16" in text for text in exact.messages)
    _, rounded = train_on(store, rows, "training.cache_dtype=float16")
    assert "encoding passages" not in rounded.done
    kept = [cache.path for cache in store.caches() if cache.name.startswith("states-")]
    widths = store.embeddings(set_id).dim
    vectors = [np.fromfile(path / "passage_vectors", np.float32) for path in kept]
    is_half = [np.array_equal(each, each.astype(np.float16)) for each in vectors]
    assert sorted(is_half) == [False, True]
    assert all(len(each) == total * widths for each in vectors)


@pytest.mark.parametrize(
    "options",
    [
        EncodeOptions(max_length=LENGTH - 1, dtype="float32", storage_dtype="float32"),
        EncodeOptions(max_length=LENGTH, storage_dtype="float32", dtype="bfloat16"),
        EncodeOptions(max_length=LENGTH, dtype="float32", storage_dtype="float32", keep_text=False),
    ],
)
def test_other_sets_are_not_taken(
    options: EncodeOptions,
    store: Store,
    rows: Path,
    train_on: Train,
    tiny_backbone: Path,
    tmp_path: Path,
) -> None:
    corpus = passages_as_corpus(rows, tmp_path / "corpus.jsonl")
    encoded(store, tiny_backbone, corpus, options)
    _, counting = train_on(store, rows)
    assert counting.done["encoding passages"] == len(texts_of(rows)[1])
    assert counting.messages == []


def test_a_set_of_another_encoder_is_not_taken(
    store: Store, rows: Path, train_on: Train, tiny_backbone: Path, tmp_path: Path
) -> None:
    corpus = passages_as_corpus(rows, tmp_path / "corpus.jsonl")
    source = ModelSource(str(tiny_backbone), pooling="cls")
    encode(store, open_corpus(corpus), source, SET)
    _, counting = train_on(store, rows)
    assert counting.done["encoding passages"] == len(texts_of(rows)[1])


def test_a_cache_that_is_damaged_is_not_taken(
    store: Store, rows: Path, train_on: Train, tmp_path: Path
) -> None:
    train_on(store, rows)
    (states,) = (one.path for one in store.caches() if one.name.startswith("states-"))
    vectors = states / "passage_vectors"
    vectors.write_bytes(bytes(vectors.stat().st_size))
    other_rows = with_new_texts(rows, tmp_path / "other.jsonl")
    _, counting = train_on(Store.open(store.root), other_rows)
    assert counting.done["encoding passages"] == len(texts_of(other_rows)[1])
