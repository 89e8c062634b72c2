from __future__ import annotations

from typing import Any

import pytest
import torch

from hypencli import HypencoderDualEncoder, TextDualEncoder
from hypencli.errors import ModelError, UsageError

MARGIN = ("margin_mse", {})
IN_BATCH = ("cross_entropy", {})


@pytest.mark.parametrize("architecture", ["hypencoder", "bi-encoder"])
def test_losses_add_up_and_are_logged_by_name(
    build: Any, batch: dict[str, Any], architecture: str
) -> None:
    dual = build(architecture=architecture, losses=(MARGIN, IN_BATCH))
    output = dual(**batch)
    logged = output.to_log
    parts = logged["similarity_loss_margin_mse"] + logged["similarity_loss_cross_entropy"]
    assert logged["similarity_loss"] == pytest.approx(parts, rel=1e-5)
    assert output.loss.item() == pytest.approx(parts, rel=1e-5)
    assert logged["query_encoder_loss"] == logged["passage_encoder_loss"] == 0.0
    assert output.similarity.shape == (3, 6)


def test_one_loss_twice_is_logged_twice(build: Any, batch: dict[str, Any]) -> None:
    dual = build(losses=(IN_BATCH, ("cross_entropy", {"scale": 2.0})))
    logged = dual(**batch).to_log
    assert logged["similarity_loss_cross_entropy_2"] == pytest.approx(
        2 * logged["similarity_loss_cross_entropy"]
    )


def test_losses_wait_for_labels_unless_training(build: Any, batch: dict[str, Any]) -> None:
    dual = build(losses=(MARGIN,))
    labels = batch.pop("labels")
    assert dual(**batch).loss is None
    assert dual(**batch, labels=labels).loss is not None
    with pytest.raises(UsageError, match="teacher's scores"):
        dual(**batch, full_output=True)
    with pytest.raises(UsageError, match="teacher's scores"):
        dual.train()(**batch)


def test_cross_entropy_needs_no_labels(build: Any, batch: dict[str, Any]) -> None:
    del batch["labels"]
    assert build(losses=(IN_BATCH,))(**batch).loss is not None


@pytest.mark.parametrize("architecture", ["hypencoder", "bi-encoder"])
def test_what_was_encoded_before_stands_for_ids(
    build: Any, batch: dict[str, Any], architecture: str
) -> None:
    dual = build(architecture=architecture)
    whole = dual(**batch)
    states = dual.query_encoder.token_states(
        batch["query_input_ids"], batch["query_attention_mask"]
    )
    vectors = whole.passage_output.representation
    cached = dual(
        query_token_states=states,
        query_attention_mask=batch["query_attention_mask"],
        passage_embeddings=vectors,
    )
    assert torch.equal(cached.loss, whole.loss)
    passages = dual.passage_encoder.token_states(
        batch["passage_input_ids"], batch["passage_attention_mask"]
    )
    from_states = dual(
        passage_token_states=passages, passage_attention_mask=batch["passage_attention_mask"]
    )
    assert torch.equal(from_states.passage_output.representation, vectors)
    with pytest.raises(UsageError, match="one of them"):
        dual(**batch, passage_embeddings=vectors)


def test_no_input_is_an_error(build: Any) -> None:
    with pytest.raises(UsageError, match="needs queries, passages, or both"):
        build()()


def test_a_shared_backbone_is_one_module(build: Any) -> None:
    shared, separate = build(), build(shared_encoder=False)
    assert shared.query_encoder.transformer is shared.passage_encoder.transformer
    assert separate.query_encoder.transformer is not separate.passage_encoder.transformer
    assert sum(p.numel() for p in separate.parameters()) > sum(
        p.numel() for p in shared.parameters()
    )


@pytest.mark.parametrize("architecture", ["hypencoder", "bi-encoder"])
def test_a_frozen_model_trains_its_head_only(
    build: Any, batch: dict[str, Any], architecture: str
) -> None:
    dual = build(architecture=architecture, freeze_encoder=True, query_projection=1.0).train()
    before = {name: tensor.clone() for name, tensor in dual.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in dual.parameters() if p.requires_grad], lr=0.1)
    dual(**batch).loss.backward()
    optimizer.step()
    changed = {n for n, t in dual.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert not any(".transformer." in name for name in changed)


@pytest.mark.parametrize("architecture", ["hypencoder", "bi-encoder"])
def test_a_few_steps_lower_the_loss(build: Any, batch: dict[str, Any], architecture: str) -> None:
    dual = build(
        architecture=architecture,
        converter="warm-start" if architecture == "hypencoder" else None,
        converter_options={"hidden_layers": 1},
    ).train()
    optimizer = torch.optim.Adam(dual.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        output = dual(**batch)
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert losses[-1] < losses[0]


def test_q_nets_must_take_what_the_passage_encoder_gives(build: Any) -> None:
    with pytest.raises(ModelError, match="got width 16, expected 32"):
        build(converter_options={"vector_dimensions": [16, 16, 1]})


def test_the_architectures_are_told_apart(build: Any) -> None:
    assert isinstance(build(), HypencoderDualEncoder)
    assert isinstance(build(architecture="bi-encoder"), TextDualEncoder)


def test_self_distillation_teaches_a_q_net_its_own_embeddings_ranking(
    build: Any, batch: dict[str, torch.Tensor]
) -> None:
    dual = build(
        embedding_representation="mean",
        freeze_encoder=True,
        losses=(("self_distillation", {"teacher_scale": 2.0}),),
    )
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    optimizer = torch.optim.AdamW((p for p in dual.parameters() if p.requires_grad), lr=3e-3)
    losses = []
    for _ in range(30):
        output = dual.train()(**inputs)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert losses[-1] < 0.1 * losses[0]
    output = dual.eval()(**inputs)
    taught = output.query_output.embedding_representation @ output.passage_output.representation.T
    assert torch.equal(output.similarity.argmax(dim=1), taught.argmax(dim=1))


@pytest.mark.parametrize("fields", [{}, {"architecture": "bi-encoder"}])
def test_self_distillation_without_a_query_embedding_fails_when_made(
    build: Any, fields: dict[str, str]
) -> None:
    with pytest.raises(ModelError, match="embedding_representation"):
        build(losses=(("self_distillation", {}),), **fields)
