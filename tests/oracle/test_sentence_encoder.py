"""A real encoder on real text, against the library that it comes from, used by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from hypencli.models.checkpoints.backbone import KNOWN_BACKBONES
from hypencli.models.load import (
    ModelSpec,
    build_dual_encoder,
    load_dual_encoder,
    passage_fingerprint,
)

TEXTS = [
    "Return a list of the lines in the string, breaking at line boundaries.",
    "Open a file and return a corresponding file object.",
    "river",
    "",
]

pytestmark = pytest.mark.encoder


@torch.no_grad()
def by_hand(folder: Path, texts: list[str]) -> torch.Tensor:
    tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    return functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


@torch.no_grad()
def test_vectors_equal_those_made_by_hand(encoder_folder: Path) -> None:
    dual, tokenizer = load_dual_encoder(encoder_folder)
    tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
    vectors = dual.passage_encoder(tokens["input_ids"], tokens["attention_mask"]).representation
    torch.testing.assert_close(vectors, by_hand(encoder_folder, TEXTS), atol=1e-5, rtol=1e-5)
    assert tokenizer.model_max_length == 256


def test_a_model_built_on_it_keeps_its_passage_vectors(
    encoder_folder: Path, tmp_path: Path
) -> None:
    plain, tokenizer = load_dual_encoder(encoder_folder)
    options = {"hidden_layers": 2}
    spec = ModelSpec(
        backbone=str(encoder_folder),
        converter="warm-start",
        converter_options=options,
        freeze_encoder=True,
    )
    dual = build_dual_encoder(spec)
    dual.save_pretrained(tmp_path, tokenizer=tokenizer)
    loaded, _ = load_dual_encoder(tmp_path)
    prints = {passage_fingerprint(model) for model in (plain, dual, loaded)}
    assert len(prints) == 1


def test_the_known_configuration_of_it_is_its_own(encoder_folder: Path) -> None:
    config = AutoModel.from_pretrained(encoder_folder).config
    expected_names = KNOWN_BACKBONES["nreimers/MiniLM-L6-H384-uncased"]
    assert {key: getattr(config, key) for key in expected_names} == dict(expected_names)
