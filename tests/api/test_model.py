"""A model as an object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hypencli
from hypencli.errors import UsageError
from hypestore import Store

PASSAGES = ["the river and the bank", "a star near the moon", "bread and butter"]
QUERIES = ["what is river", "what is moon and planet"]


@pytest.fixture(params=["hyper", "plain"])
def model(request: pytest.FixtureRequest, finished_study: Path) -> hypencli.Model:
    store = Store.open(finished_study)
    return hypencli.load(store.path(store.get(request.param)))


def test_scores_are_those_of_the_torch_module(model: hypencli.Model) -> None:
    vectors = model.encode_passages(PASSAGES)
    queries = model.encode_queries(QUERIES)
    scores = queries(vectors)
    assert vectors.shape == (3, model.dim)
    assert (len(queries), scores.shape) == (2, (2, 3))
    inputs = model.tokenizer(QUERIES, return_tensors="pt", padding=True)
    with torch.no_grad():
        output = model.dual.query_encoder(inputs["input_ids"], inputs["attention_mask"])
        items = torch.from_numpy(vectors)
        nets = output.representation
        whole = nets.score(items) if hasattr(nets, "score") else nets @ items.t()
    np.testing.assert_allclose(scores, whole.numpy(), atol=1e-4)


def test_vectors_of_another_width_are_refused(model: hypencli.Model) -> None:
    with pytest.raises(UsageError, match=r"expected \[n, 32\]"):
        model.encode_queries(QUERIES)(np.zeros((3, 31)))


def test_the_published_quick_start_runs(goldens: Path) -> None:
    """As the published README has it, but for the import and the checkpoint."""
    from transformers import AutoTokenizer

    from hypencli import HypencoderDualEncoder

    folder = goldens / "a_shared_cls" / "checkpoint"
    dual = HypencoderDualEncoder.from_pretrained(folder, backbone=goldens / "backbones/tiny-bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = tokenizer(QUERIES, return_tensors="pt", padding=True, truncation=True)
    told = tokenizer(PASSAGES[:2], return_tensors="pt", padding=True, truncation=True)
    q_nets = dual.query_encoder(
        input_ids=asked["input_ids"], attention_mask=asked["attention_mask"]
    ).representation
    embeddings = dual.passage_encoder(
        input_ids=told["input_ids"], attention_mask=told["attention_mask"]
    ).representation
    single = q_nets(embeddings.unsqueeze(1))
    assert single.shape == (2, 1, 1)
    double = q_nets(embeddings.repeat(2, 1).reshape(2, 2, -1))
    assert double.shape == (2, 2, 1)
    torch.testing.assert_close(single[0, 0], double[0, 0])
    torch.testing.assert_close(single[1, 0], double[1, 1])


def test_a_model_of_the_store_is_loaded_by_name(
    finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished_study)
    assert hypencli.load("hyper").dim == 32
