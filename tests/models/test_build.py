from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli.errors import ModelError
from hypencli.models.build import ModelSpec, build_dual_encoder
from hypencli.models.fingerprint import model_fingerprint, passage_fingerprint


def test_the_seed_alone_decides_new_weights(build: Any) -> None:
    prints = [model_fingerprint(build(seed=seed)) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_hidden_layers_stand_for_widths(build: Any) -> None:
    dual = build(converter_options={"hidden_layers": 3, "activation_type": "gelu"})
    options = {"vector_dimensions": [32, 32, 32, 32, 1], "activation_type": "gelu"}
    assert dual.settings.query.converter_kwargs == options
    with pytest.raises(ModelError, match="not both"):
        build(converter_options={"hidden_layers": 3, "vector_dimensions": [32, 1]})


def test_a_warm_start_ranks_as_its_backbone_does(build: Any, batch: dict[str, Any]) -> None:
    options = {"hidden_layers": 2, "gate_init": 0.0, "projection_scale": 3.0}
    warm = build(converter="warm-start", converter_options=options, normalize=True)
    plain = build(architecture="bi-encoder", normalize=True)
    scores = [dual(**batch).similarity for dual in (warm, plain)]
    assert torch.allclose(scores[0], 3 * scores[1], atol=1e-5)
    assert warm.settings.query.embedding_representation == "mean"


def test_a_model_can_start_from_a_trained_one(build: Any, tmp_path: Path) -> None:
    trained = build(architecture="bi-encoder", normalize=True)
    with torch.no_grad():
        trained.passage_encoder.transformer.state_dict()["encoder.layer.0.output.dense.bias"] += 1
    trained.save_pretrained(tmp_path)
    started = build(backbone=str(tmp_path), pooling=None, freeze_encoder=True)
    assert passage_fingerprint(started) == passage_fingerprint(trained)


def test_pooling_must_be_known(tiny_backbone: Path) -> None:
    with pytest.raises(ModelError, match="does not declare how it pools") as error:
        build_dual_encoder(ModelSpec(backbone=str(tiny_backbone)))
    assert "mean-unmasked" in str(error.value.hint)
    with pytest.raises(ModelError, match="Unknown pooling 'max'"):
        build_dual_encoder(ModelSpec(backbone=str(tiny_backbone), pooling="max"))  # type: ignore[arg-type]


def test_a_backbone_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="No encoder at 'no/such-encoder'"):
        build_dual_encoder(ModelSpec(backbone="no/such-encoder", pooling="cls"))
