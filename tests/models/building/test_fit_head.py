"""A hyper-head that starts as a bi-encoder, in the published format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.building.fit_head import fit_head
from hypencli.models.dual import HypencoderDualEncoder

SCALE = 20.0


def token_states(encoder: Any, count: int, seed: int) -> list[Tensor]:
    """States ``[t, 32]`` of texts of 3 to 9 tokens that begin with [CLS] (2) and end with [SEP]."""
    generator = torch.Generator().manual_seed(seed)
    states = []
    for i in range(count):
        ids = torch.randint(5, 110, (1, 3 + i % 7), generator=generator)
        ids[0, 0], ids[0, -1] = 2, 3
        with torch.no_grad():
            states.append(encoder.token_states(ids)[0])
    return states


def made(build: Any, **options: Any) -> Any:
    options = {"hidden_layers": 2, "do_residual_on_last": True, **options}
    return build(converter="repeated-dense", converter_options=options).query_encoder


def fit(encoder: Any, pooling: Any = "mean", seed: int = 0) -> float:
    states = token_states(encoder, 150, seed=1)
    generator = torch.Generator().manual_seed(seed)
    return fit_head(encoder, states, generator, pooling=pooling, scale=SCALE)


def scores(encoder: Any, states: Sequence[Tensor], items: Tensor, **width: int) -> Tensor:
    rows = []
    for each in states:
        with torch.no_grad():
            q_nets = encoder(token_states=each[None], **width).representation
        rows.append(q_nets.score(items)[0])
    return torch.stack(rows)


def centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=1, keepdim=True)


def pooled(states: Sequence[Tensor], pooling: str) -> Tensor:
    vectors = [each[0] if pooling == "cls" else each.mean(dim=0) for each in states]
    return functional.normalize(torch.stack(vectors), dim=1)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("pooling", ["mean", "mean-unmasked", "cls"])
def test_queries_it_never_saw_are_scored_by_their_inner_products(
    build: Any, layers: int, pooling: str
) -> None:
    encoder = made(build, hidden_layers=layers)
    agreement = fit(encoder, pooling)
    states = token_states(encoder, 20, seed=2)
    items = functional.normalize(torch.randn(40, 32, generator=torch.Generator().manual_seed(3)))
    actual = centred(scores(encoder, states, items))
    expected = centred(SCALE * pooled(states, pooling) @ items.T)
    assert agreement > 0.99
    # Random items are some 3.5 apart in score.
    assert (actual - expected).abs().max() < (0.5 if pooling == "cls" else 0.05)


def test_it_is_the_published_format(build: Any, tmp_path: Path) -> None:
    dual = build(converter_options={"hidden_layers": 2, "do_residual_on_last": True})
    fit(dual.query_encoder)
    dual.save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert "converter" not in raw["query_encoder_kwargs"]
    loaded = HypencoderDualEncoder.from_pretrained(tmp_path)
    states = token_states(dual.query_encoder, 5, seed=2)
    items = torch.randn(6, 32, generator=torch.Generator().manual_seed(3))
    assert torch.equal(
        scores(loaded.query_encoder, states, items), scores(dual.query_encoder, states, items)
    )


def test_a_narrower_nested_q_net_starts_from_the_first_columns(build: Any) -> None:
    options = {"hidden_layers": 2, "do_residual_on_last": True, "widths": [8]}
    encoder = build(converter="matryoshka", converter_options=options).query_encoder
    fit(encoder)
    states = token_states(encoder, 10, seed=2)
    items = torch.randn(12, 32, generator=torch.Generator().manual_seed(3))
    expected = SCALE * pooled(states, "mean")[:, :8] @ items[:, :8].T
    assert (centred(scores(encoder, states, items, width=8)) - centred(expected)).abs().max() < 0.2


def test_every_part_of_the_head_learns(build: Any, batch: dict[str, Tensor]) -> None:
    dual = build(
        converter_options={"hidden_layers": 2, "do_residual_on_last": True}, freeze_encoder=True
    )
    fit(dual.query_encoder)
    head = {name: p for name, p in dual.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in head.items()}
    optimizer = torch.optim.Adam(head.values(), lr=1e-3)
    losses = []
    for _ in range(4):
        output = dual(**batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    same = [name for name, p in head.items() if torch.equal(before[name], p)]
    # The softmax over tokens takes no notice of a bias of the keys.
    assert all(name.endswith("bias") and "key_projections" in name for name in same)
    assert losses[-1] < losses[0]


def test_the_generator_decides_and_no_other_random_state(build: Any) -> None:
    first, again, other = (made(build) for _ in range(3))
    before = torch.get_rng_state()
    for encoder, seed in ((first, 5), (again, 5), (other, 6)):
        fit(encoder, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    states = {name: encoder.state_dict() for name, encoder in (("first", first), ("again", again))}
    assert all(torch.equal(states["first"][key], states["again"][key]) for key in states["first"])
    assert not torch.equal(other.weight_query_embeddings[0], first.weight_query_embeddings[0])


@pytest.mark.parametrize(
    "options",
    [
        {"do_residual_on_last": False},
        {"do_residual": False, "do_residual_on_last": None},
        {"layer_norm_before_residual": False},
    ],
)
def test_q_nets_that_keep_their_items_back_are_refused(
    build: Any, options: dict[str, object]
) -> None:
    with pytest.raises(ModelError, match=r"passes its items on[\s\S]*do_residual_on_last = true"):
        fit(made(build, **options))


def test_other_converters_and_widths_are_refused(build: Any) -> None:
    warm = build(converter="warm-start", converter_options={"hidden_layers": 1}).query_encoder
    with pytest.raises(ModelError, match="repeated-dense"):
        fit(warm)
    shape = {"vector_dimensions": [16, 16, 1], "do_residual_on_last": True}
    with pytest.raises(ModelError, match="as wide as the token states, 32"):
        fit(build_encoder(build, shape))


def build_encoder(build: Any, options: dict[str, Any]) -> Any:
    """An encoder alone: a dual one refuses q-nets of another width than the passages'."""
    from hypencli.models.checkpoints.config import HypencoderConfig
    from hypencli.models.hypernet import Hypencoder

    transformer = made(build).transformer
    config = HypencoderConfig(converter_kwargs=options, base_encoder_output_dim=32)
    return Hypencoder(config, transformer)


def test_without_queries_nothing_is_fitted(build: Any) -> None:
    with pytest.raises(ModelError, match="there are none"):
        fit_head(made(build), [], torch.Generator(), pooling="mean")


def test_a_fit_that_does_not_agree_is_an_error(build: Any) -> None:
    """Noise has no first token that could be told from the others."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(9, 32, generator=generator) for _ in range(300)]
    with pytest.raises(ModelError, match=r"cosine of 0\.\d+; expected 0\.95"):
        fit_head(made(build), noise, generator, pooling="cls")
