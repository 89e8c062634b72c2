"""Defects of the published models, each of which must not come back: one test or more a defect."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hypencli import HypencoderDualEncoder, TextDualEncoder
from hypencli.errors import ModelError
from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.load import load_dual_encoder

Batch = dict[str, torch.Tensor]


@pytest.fixture
def folder(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A checkpoint as published code writes its configuration: nothing of ours in it."""
    spec = ModelSpec(
        backbone=str(tiny_backbone), pooling="cls", converter_options={"hidden_layers": 2}
    )
    build_dual_encoder(spec).save_pretrained(tmp_path / "published")
    edit(tmp_path / "published", hype=None)
    return tmp_path / "published"


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if isinstance(value, dict):
            value = raw.get(key, {}) | value
        raw[key] = value
    raw = {key: value for key, value in raw.items() if value is not None}
    path.write_text(json.dumps(raw), encoding="utf-8")


def model(backbone: Path, **fields: Any) -> Any:
    if fields.get("architecture") != "bi-encoder":
        fields.setdefault("converter_options", {"hidden_layers": 2})
    return build_dual_encoder(ModelSpec(backbone=str(backbone), **{"pooling": "mean", **fields}))


def batch(queries: int, items: int, *, length: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(queries * 10 + items)
    ids = torch.randint(5, 60, (queries * (items + 1), length), generator=generator)
    mask = torch.ones_like(ids)
    return {
        "query_input_ids": ids[:queries],
        "query_attention_mask": mask[:queries],
        "passage_input_ids": ids[queries:],
        "passage_attention_mask": mask[queries:],
        "labels": torch.randn(queries, items, generator=generator),
    }


ARCHITECTURES = ["hypencoder", "bi-encoder"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("margin", [True, False])
def test_a_batch_of_one_query_trains(
    tiny_backbone: Path, architecture: str, in_batch: bool, margin: bool
) -> None:
    losses = [("cross_entropy", {"use_in_batch_negatives": in_batch})]
    losses += [("margin_mse", {})] * margin
    dual = model(tiny_backbone, architecture=architecture, losses=tuple(losses)).train()
    output = dual(**batch(1, 3))
    output.loss.backward()
    assert torch.isfinite(output.loss)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("queries", [1, 3])
def test_one_item_a_query_trains(
    tiny_backbone: Path, architecture: str, in_batch: bool, queries: int
) -> None:
    losses = (("cross_entropy", {"use_in_batch_negatives": in_batch}),)
    dual = model(tiny_backbone, architecture=architecture, losses=losses).train()
    output = dual(**batch(queries, 1))
    assert output.similarity.shape == (queries, queries if in_batch else 1)
    output.loss.backward()


def test_one_query_and_one_item_score_as_a_matrix(tiny_backbone: Path) -> None:
    inputs = batch(1, 1)
    dual = model(tiny_backbone)
    nets = dual.query_encoder(inputs["query_input_ids"]).representation
    vectors = dual.passage_encoder(inputs["passage_input_ids"]).representation
    assert nets(vectors.unsqueeze(0)).shape == (1, 1, 1)
    assert nets.score(vectors).shape == (1, 1)


def test_loading_on_transformers_5_keeps_every_weight(folder: Path, tiny_backbone: Path) -> None:
    loaded = HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone).state_dict()
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() <= loaded.keys()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in stored.items())


def test_saving_a_shared_encoder_works_on_transformers_5(
    folder: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    dual = HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)
    dual.save_pretrained(tmp_path / "again")
    again = HypencoderDualEncoder.from_pretrained(tmp_path / "again")
    inputs = batch(2, 2)
    with torch.no_grad():
        assert torch.equal(again(**inputs).loss, dual(**inputs).loss)


def test_a_missing_weight_is_an_error_not_a_random_number(
    folder: Path, tiny_backbone: Path
) -> None:
    state = load_file(folder / "model.safetensors")
    del state["query_encoder.key_projections.0.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"query_encoder\.key_projections\.0\.weight"):
        HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)


def test_the_number_of_heads_is_never_guessed(folder: Path) -> None:
    edit(folder, query_encoder_kwargs={"model_name_or_path": "tiny-bert"})
    with pytest.raises(ModelError, match="num_attention_heads"):
        HypencoderDualEncoder.from_pretrained(folder)


def test_nothing_but_the_checkpoint_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "transformers.AutoModel.from_pretrained",
        lambda *_, **__: pytest.fail("weights were asked for that the checkpoint has"),
    )
    HypencoderDualEncoder.from_pretrained(folder)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin_mse"])
def test_a_bi_encoder_has_losses(tiny_backbone: Path, loss: str) -> None:
    dual = model(tiny_backbone, architecture="bi-encoder", losses=((loss, {}),)).train()
    assert isinstance(dual, TextDualEncoder)
    dual(**batch(3, 2)).loss.backward()
    gradients = [p.grad for n, p in dual.named_parameters() if "pooler" not in n]
    assert all(gradient is not None for gradient in gradients)


def random_states() -> list[Any]:
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002


def test_global_seeds_are_untouched(tiny_backbone: Path, folder: Path, tmp_path: Path) -> None:
    before = random_states()
    for shared in (True, False):
        model(tiny_backbone, shared_encoder=shared, seed=5)
    model(tiny_backbone, converter="warm-start", converter_options={"hidden_layers": 1})
    HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)
    dual, _ = load_dual_encoder(tiny_backbone, pooling="cls")
    dual.save_pretrained(tmp_path / "saved")
    assert random_states() == before


def test_an_unknown_pooling_is_refused(folder: Path, tiny_backbone: Path) -> None:
    edit(folder, passage_encoder_kwargs={"pooling_type": "max"})
    with pytest.raises(ModelError, match="Unknown pooling_type 'max'"):
        HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)
    edit(
        folder,
        passage_encoder_kwargs={"pooling_type": "cls"},
        query_encoder_kwargs={"embedding_representation": "max"},
    )
    with pytest.raises(ModelError, match="Unknown embedding_representation 'max'"):
        HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)


@pytest.mark.parametrize("side", ["query", "passage"])
def test_either_sides_freeze_flag_freezes_a_shared_backbone(
    folder: Path, tiny_backbone: Path, side: str
) -> None:
    edit(folder, **{f"{side}_encoder_kwargs": {"freeze_transformer": True}})
    dual = HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone).train()
    assert not any(p.requires_grad for p in dual.passage_encoder.transformer.parameters())
    assert not dual.passage_encoder.transformer.training
    assert all(p.requires_grad for n, p in dual.named_parameters() if ".transformer." not in n)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_query_only_call_gives_its_query_output(tiny_backbone: Path, architecture: str) -> None:
    dual = model(tiny_backbone, architecture=architecture)
    inputs = {k: v for k, v in batch(2, 1).items() if k.startswith("query")}
    for training in (False, True):
        output = dual.train(training)(**inputs)
        assert output.query_output is not None
        assert len(getattr(output.query_output.representation, "matrices", [0])) > 0
        assert output.passage_output is None
        assert output.loss is None
    passages = {k: v for k, v in batch(2, 1).items() if k.startswith("passage")}
    assert dual.eval()(**passages).passage_output.representation.shape == (2, 32)


def test_unequal_inner_widths_with_residual_fail_before_any_scoring(
    folder: Path, tiny_backbone: Path
) -> None:
    edit(folder, query_encoder_kwargs={"converter_kwargs": {"vector_dimensions": [32, 16, 16, 1]}})
    with pytest.raises(ModelError, match="a residual needs equal widths"):
        HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)


@torch.no_grad()
def test_a_masked_mean_does_not_depend_on_the_batch(tiny_backbone: Path) -> None:
    ids = torch.randint(5, 60, (1, 5), generator=torch.Generator().manual_seed(1))
    padded = torch.cat([ids, torch.zeros(1, 58, dtype=torch.long)], dim=1)
    mask = (padded != 0).long()
    similarity = {}
    for pooling in ("mean", "mean-unmasked"):
        encoder = model(tiny_backbone, pooling=pooling).passage_encoder
        alone, beside = encoder(ids).representation, encoder(padded, mask).representation
        similarity[pooling] = torch.cosine_similarity(alone, beside).item()
    assert similarity["mean"] == pytest.approx(1, abs=1e-5)
    assert similarity["mean-unmasked"] < 0.999  # what "mean" is in a published checkpoint


def test_mean_in_a_published_checkpoint_is_the_unmasked_mean(
    folder: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    edit(folder, passage_encoder_kwargs={"pooling_type": "mean"})
    dual = HypencoderDualEncoder.from_pretrained(folder, backbone=tiny_backbone)
    assert dual.passage_encoder.pooling == "mean-unmasked"
    dual.save_pretrained(tmp_path / "again")
    again = HypencoderDualEncoder.from_pretrained(tmp_path / "again")
    assert again.passage_encoder.pooling == "mean-unmasked"
    raw = json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8"))
    assert raw["passage_encoder_kwargs"]["pooling_type"] == "mean"


def test_a_shared_bi_encoder_pools_as_published_code_does(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    model(tiny_backbone, architecture="bi-encoder", pooling="cls").save_pretrained(tmp_path)
    edit(tmp_path, hype=None, passage_encoder_kwargs={"pooling_type": "mean"})
    dual = TextDualEncoder.from_pretrained(tmp_path, backbone=tiny_backbone)
    assert dual.passage_encoder.pooling == dual.query_encoder.pooling == "cls"


def test_float32_is_a_dtype(folder: Path, tiny_backbone: Path) -> None:
    dual = HypencoderDualEncoder.from_pretrained(
        folder, backbone=tiny_backbone, dtype=torch.float32
    )
    assert dual.dtype == torch.float32


def test_two_names_of_a_pooling_must_agree(tiny_backbone: Path, tmp_path: Path) -> None:
    model(tiny_backbone, pooling="mean").save_pretrained(tmp_path)
    edit(tmp_path, passage_encoder_kwargs={"pooling_type": "cls"})
    with pytest.raises(ModelError, match="pooling_type 'cls', but pooling 'mean'"):
        HypencoderDualEncoder.from_pretrained(tmp_path)
