"""A q-net that starts as a bi-encoder: the same scores at first, and more to learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hypencli.models.dual import HypencoderDualEncoder
from hypencli.models.qnets.batch import InnerProducts, QNetBatch
from hypencli.models.qnets.warm_start import WarmStartConverter

SCALE = 20.0


def _scores(dual: Any, batch: dict[str, Tensor]) -> Tensor:
    queries = dual.query_encoder(batch["query_input_ids"], batch["query_attention_mask"])
    passages = dual.passage_encoder(batch["passage_input_ids"], batch["passage_attention_mask"])
    if isinstance(dual, HypencoderDualEncoder):
        scores: Tensor = queries.representation.score(passages.representation)
        return scores
    return queries.representation @ passages.representation.T


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("normalize", [False, True])
def test_with_the_gate_shut_it_is_the_bi_encoder(
    build: Any, batch: dict[str, Tensor], layers: int, normalize: bool
) -> None:
    options = {"hidden_layers": layers, "projection_scale": SCALE, "gate_init": 0.0}
    warm = build(converter="warm-start", converter_options=options, normalize=normalize)
    plain = build(architecture="bi-encoder", normalize=normalize)

    torch.testing.assert_close(_scores(warm, batch), SCALE * _scores(plain, batch))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("scale", [1.0, 20.0, 0.25])
def test_with_the_gate_shut_it_ranks_as_the_bi_encoder_does(
    build: Any, batch: dict[str, Tensor], normalize: bool, scale: float
) -> None:
    options = {"hidden_layers": 1, "projection_scale": scale, "gate_init": 0.0}
    warm = build(converter="warm-start", converter_options=options, normalize=normalize).double()
    plain = build(architecture="bi-encoder", normalize=normalize).double()

    actual, expected = _scores(warm, batch), _scores(plain, batch)

    torch.testing.assert_close(actual, scale * expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(actual.argsort(dim=1), expected.argsort(dim=1))


@pytest.mark.parametrize("queries", [1, 3, 20])
@pytest.mark.parametrize("scale", [1.0, 20.0, 0.5])
def test_a_shut_gate_adds_nothing_at_all(queries: int, scale: float) -> None:
    """Sums of small whole numbers are exact in any order: scores must be equal bit by bit."""
    converter = WarmStartConverter([16, 8, 1], projection_scale=scale, gate_init=0.0)
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randint(-9, 10, (queries, 16), generator=generator).float()
    items = torch.randint(-9, 10, (50, 16), generator=generator).float()
    nets = QNetBatch(
        tuple(torch.randn(queries, *s, generator=generator) for s in converter.weight_shapes),
        tuple(torch.randn(queries, *s, generator=generator) for s in converter.bias_shapes),
        converter,
        query_embedding=embedding,
    )

    assert torch.equal(nets.score(items), scale * InnerProducts(embedding).score(items))


def test_a_shut_gate_opens_first_and_the_head_learns_after_it(
    build: Any, batch: dict[str, Tensor]
) -> None:
    options = {"hidden_layers": 1, "gate_init": 0.0}
    warm = build(converter="warm-start", converter_options=options, freeze_encoder=True)
    gate = warm.query_encoder.weight_to_model_converter.gate
    base = warm.query_encoder.hyper_base_matrices[0]
    optimizer = torch.optim.SGD([p for p in warm.parameters() if p.requires_grad], lr=0.1)

    warm(**batch).loss.backward()
    assert gate.grad.abs() > 1e-4
    assert not base.grad.any()

    optimizer.step()
    optimizer.zero_grad()
    warm(**batch).loss.backward()
    assert gate.item() != 0
    assert base.grad.any()


def test_a_small_gate_changes_scores_in_proportion(build: Any, batch: dict[str, Tensor]) -> None:
    shut, ajar, open_ = (
        _scores(
            build(
                converter="warm-start", converter_options={"hidden_layers": 1, "gate_init": gate}
            ),
            batch,
        )
        for gate in (0.0, 0.01, 1.0)
    )

    assert (open_ - shut).abs().max() > 1e-3
    torch.testing.assert_close(100 * (ajar - shut), open_ - shut, rtol=1e-2, atol=1e-3)


def test_its_query_embeddings_attend_over_the_whole_query(build: Any) -> None:
    warm = build(converter="warm-start", converter_options={"hidden_layers": 1})
    published = build(converter_options={"hidden_layers": 1})

    spread = {
        name: dual.query_encoder.weight_query_embeddings[0].std().item()
        for name, dual in (("warm", warm), ("published", published))
    }

    assert spread["warm"] == pytest.approx(0.05, rel=0.1)
    assert spread["published"] == pytest.approx(10.0, rel=0.1)


def test_narrow_hidden_layers_train_and_come_back(
    build: Any, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    width = build(architecture="bi-encoder").query_encoder.width
    options = {
        "vector_dimensions": [width, 4, 1],
        "projection_scale": SCALE,
        "gate_init": 1.0,
        "query_embedding_std": 0.1,
    }
    warm = build(converter="warm-start", converter_options=options, freeze_encoder=True)
    trained = [parameter for parameter in warm.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    warm(**batch).loss.backward()
    optimizer.step()

    warm.save_pretrained(tmp_path)
    loaded = HypencoderDualEncoder.from_pretrained(tmp_path)

    assert all(parameter.grad is not None for parameter in trained)
    converter = loaded.query_encoder.weight_to_model_converter
    assert not torch.equal(converter.projection, SCALE * torch.eye(width))
    torch.testing.assert_close(_scores(loaded, batch), _scores(warm, batch))
