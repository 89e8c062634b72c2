from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli import Hypencoder
from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import load_backbone
from hypencli.models.checkpoints.config import HypencoderConfig
from hypencli.models.hypernet import HEAD_KEYS


@pytest.fixture(scope="module")
def transformer(tiny_backbone: Path) -> torch.nn.Module:
    return load_backbone(str(tiny_backbone))


def config(**fields: Any) -> HypencoderConfig:
    fields.setdefault("converter_kwargs", {"vector_dimensions": [32, 32, 32, 1]})
    return HypencoderConfig(base_encoder_output_dim=32, **fields)


def head(transformer: torch.nn.Module, seed: int = 0, **fields: Any) -> Hypencoder:
    encoder = Hypencoder(config(**fields), transformer)
    encoder.initialize_head(torch.Generator().manual_seed(seed))
    return encoder.eval()


def test_the_head_has_the_published_shapes(transformer: torch.nn.Module) -> None:
    shapes = {key: tuple(value.shape) for key, value in head(transformer).state_dict().items()}
    own = {key for key in shapes if not key.startswith("transformer.")}
    assert {key.partition(".")[0] for key in own} == set(HEAD_KEYS)
    assert shapes["hyper_base_matrices.2"] == shapes["weight_query_embeddings.2"] == (1, 1, 32)
    assert shapes["hyper_base_vectors.1"] == (1, 32)
    assert shapes["bias_query_embeddings.1"] == (1, 1, 32)
    assert len(own) == 3 + 2 + 3 + 2 + 2 * (3 + 2) + 2 * 2 * (3 + 2)


def test_a_new_head_follows_the_published_distributions(transformer: torch.nn.Module) -> None:
    wide = head(
        transformer, converter_kwargs={"vector_dimensions": [32, 256, 1], "do_residual": False}
    )
    near = pytest.approx
    assert wide.hyper_base_matrices[0].std().item() == near((2 / 768) ** 0.5, rel=0.05)
    assert wide.weight_query_embeddings[0].std().item() == near(10, rel=0.05)
    assert wide.weight_hyper_projection[0].weight.std().item() == near(768**-2, rel=0.1)
    assert not wide.weight_hyper_projection[0].bias.any()
    assert not wide.hyper_base_vectors[0].any()
    n_matrices = len(wide.weight_shapes)
    for projections in (wide.key_projections, wide.value_projections):
        assert not any(each.bias.any() for each in projections[:n_matrices])
        assert all(each.bias.any() for each in projections[n_matrices:])


def test_the_seed_alone_decides_a_new_head(transformer: torch.nn.Module) -> None:
    first, again, other = (head(transformer, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["hyper_base_matrices.0"], other["hyper_base_matrices.0"])


def test_padding_changes_no_q_net(transformer: torch.nn.Module) -> None:
    encoder = head(transformer)
    ids = torch.randint(5, 60, (1, 5), generator=torch.Generator().manual_seed(0))
    padded = torch.cat([ids, torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (padded != 0).long()
    with torch.no_grad():
        alone, beside = encoder(ids).representation, encoder(padded, mask).representation
    for one, two in zip(
        alone.matrices + alone.vectors, beside.matrices + beside.vectors, strict=True
    ):
        assert torch.allclose(one, two, atol=1e-5)


def test_token_states_made_before_give_the_same_q_nets(transformer: torch.nn.Module) -> None:
    encoder = head(transformer, embedding_representation="mean", normalize=True)
    ids = torch.randint(5, 60, (2, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        direct = encoder(ids)
        cached = encoder(token_states=encoder.token_states(ids))
    assert torch.equal(direct.representation.matrices[0], cached.representation.matrices[0])
    assert torch.equal(direct.embedding_representation, cached.embedding_representation)
    assert torch.allclose(direct.embedding_representation.norm(dim=-1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: HypencoderConfig(converter_kwargs={"vector_dimensions": [32, 1]}),
            "width 32, exp",
        ),
        (lambda: config(converter="warm-start"), "embedding_representation must name"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    transformer: torch.nn.Module, make: Callable[[], HypencoderConfig], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Hypencoder(make(), transformer)


@torch.no_grad()
def test_q_nets_written_at_a_width_are_the_beginning_of_the_full_ones(build: Any) -> None:
    options = {"vector_dimensions": [32, 32, 32, 1], "widths": [4, 12]}
    encoder = build(converter="matryoshka", converter_options=options).query_encoder
    ids = torch.randint(5, 60, (2, 6), generator=torch.Generator().manual_seed(4))
    full = encoder(ids).representation
    for width in (4, 12, 32):
        written, cut = encoder(ids, width=width).representation, full.narrow(width)
        for own, expected in zip(
            (*written.matrices, *written.vectors), (*cut.matrices, *cut.vectors), strict=True
        ):
            torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)
        assert written.widths == cut.widths
    with pytest.raises(ModelError, match="widths: 4, 12, 32"):
        encoder(ids, width=5)
