from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypencli import TextEncoder
from hypencli.errors import UsageError
from hypencli.models.checkpoints.backbone import load_backbone
from hypencli.models.checkpoints.config import TextEncoderConfig
from hypencli.models.encoder import pool


@pytest.fixture(scope="module")
def transformer(tiny_backbone: Path) -> torch.nn.Module:
    return load_backbone(str(tiny_backbone))


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(5, 60, shape, generator=torch.Generator().manual_seed(1))


@given(st.integers(1, 6), st.integers(0, 5))
def test_masked_mean_is_the_mean_of_the_text_alone(length: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(length)
    states = torch.randn(1, length + padding, 4, generator=generator)
    mask = torch.tensor([[1] * length + [0] * padding])
    assert torch.allclose(pool(states, mask, pooling="mean"), states[:, :length].mean(1), atol=1e-6)
    total = states.sum(1) / length
    assert torch.allclose(pool(states, mask, pooling="mean-unmasked"), total, atol=1e-6)
    assert torch.equal(pool(states, mask, pooling="cls"), states[:, 0])


def test_a_text_without_tokens_has_a_finite_vector() -> None:
    assert torch.isfinite(pool(torch.ones(1, 2, 4), torch.zeros(1, 2), pooling="mean")).all()


def test_no_mask_means_no_padding(transformer: torch.nn.Module) -> None:
    encoder = TextEncoder(TextEncoderConfig(pooling="mean"), transformer)
    x = ids(2, 5)
    assert torch.equal(encoder(x).representation, encoder(x, torch.ones_like(x)).representation)


def test_vectors_are_normalised_before_the_projection(transformer: torch.nn.Module) -> None:
    config = TextEncoderConfig(pooling="mean", normalize=True, query_projection=20.0)
    with torch.no_grad():
        lengths = TextEncoder(config, transformer)(ids(3, 5)).representation.norm(dim=-1)
    assert torch.allclose(lengths, torch.full((3,), 20.0), atol=1e-4)


def test_token_states_made_before_give_the_same_vectors(transformer: torch.nn.Module) -> None:
    encoder = TextEncoder(TextEncoderConfig(pooling="mean"), transformer)
    x = ids(2, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    states = encoder.token_states(x, mask)
    assert torch.equal(
        encoder(token_states=states, attention_mask=mask).representation,
        encoder(x, mask).representation,
    )


def test_an_encoder_needs_exactly_one_input(transformer: torch.nn.Module) -> None:
    encoder = TextEncoder(TextEncoderConfig(), transformer)
    for inputs in ({}, {"input_ids": ids(1, 3), "token_states": torch.ones(1, 3, 32)}):
        with pytest.raises(UsageError, match="either input_ids or token_states"):
            encoder(**inputs)


def test_a_frozen_backbone_stays_calm_while_the_rest_trains(tiny_backbone: Path) -> None:
    config = TextEncoderConfig(freeze_transformer=True, query_projection=1.0)
    encoder = TextEncoder(config, load_backbone(str(tiny_backbone))).train()
    assert encoder.training
    assert not encoder.transformer.training
    x = ids(2, 5)
    vectors = encoder(x).representation
    assert torch.equal(vectors, encoder(x).representation)  # no dropout
    vectors.sum().backward()
    assert encoder.projection is not None
    assert encoder.projection.weight.grad is not None
    assert not encoder.token_states(x).requires_grad
    assert [p for p in encoder.transformer.parameters() if p.requires_grad] == []
