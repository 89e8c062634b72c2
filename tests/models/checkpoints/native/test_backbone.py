"""Encoders that are built here give the bits of the library's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModel

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import (
    backbone_fields_that_matter,
    describe_backbone,
    load_backbone,
    most_tokens,
)
from hypencli.models.checkpoints.native.backbone import NativeBackbone, load_native_backbone
from hypencli.models.checkpoints.native.config import native_config
from hypencli.models.dual import HypencoderDualEncoder
from hypencli.models.fingerprint import model_fingerprint
from hypencli.models.hypernet import Hypencoder
from hypencli.models.load import ModelSpec, build_dual_encoder, load_dual_encoder

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
BERT = {**SIZES, "intermediate_size": 40, "vocab_size": 60, "max_position_embeddings": 48}
KINDS: dict[str, dict[str, Any]] = {
    "bert": {**BERT, "hidden_dropout_prob": 0.2},
    "roberta": {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "xlm-roberta": {**BERT, "type_vocab_size": 1, "pad_token_id": 3},
    "mpnet": BERT,
    "distilbert": {
        **{"dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40, "attention_dropout": 0.3},
        **{"vocab_size": 60, "max_position_embeddings": 48},
    },
}


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[NativeBackbone, Any]:
    """An encoder of each kind with random weights: built here, and built by the library."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(5)
    made = AutoModel.from_config(CONFIG_MAPPING[request.param](**KINDS[request.param]))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    config = native_config(json.loads((folder / "config.json").read_text()))
    assert config is not None
    own = load_native_backbone(config, folder)
    assert own is not None
    return own, load_backbone(str(folder))


def texts(longest: int, *lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random token ids, padded on the right, with their mask."""
    ids = torch.randint(5, 60, (len(lengths), longest), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    return ids * mask + (1 - mask), mask


@pytest.mark.parametrize("lengths", [(38,), (9, 9, 9), (30, 12, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_token_states_are_bit_equal(
    pair: tuple[NativeBackbone, Any], lengths: tuple[int, ...], dtype: torch.dtype
) -> None:
    own, library = pair
    ids, mask = texts(max(lengths), *lengths)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        expected = library(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.equal(own(input_ids=ids, attention_mask=mask).last_hidden_state, expected)
        if min(lengths) == max(lengths):
            assert torch.equal(own(ids).last_hidden_state, expected)


def test_training_draws_the_same_dropout_and_gives_the_same_gradients(
    pair: tuple[NativeBackbone, Any],
) -> None:
    ids, mask = texts(20, 20, 7)
    states, gradients = [], []
    for model in pair:
        torch.manual_seed(3)
        states.append(model.train()(input_ids=ids, attention_mask=mask).last_hidden_state)
        model.zero_grad()
        states[-1].square().sum().backward()
        gradients.append({k: v.grad for k, v in model.named_parameters() if v.grad is not None})
        model.eval()
    assert torch.equal(*states)
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(value, gradients[1][key]) for key, value in gradients[0].items())


def test_weights_and_facts_have_the_same_names(pair: tuple[NativeBackbone, Any]) -> None:
    own, library = pair
    expected = library.state_dict()
    assert own.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in own.state_dict().items())
    assert describe_backbone(own.config) == describe_backbone(library.config)
    assert backbone_fields_that_matter(own.config) == backbone_fields_that_matter(library.config)
    assert most_tokens(own) == most_tokens(library)
    assert own.get_input_embeddings().weight.shape == library.get_input_embeddings().weight.shape


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {f"bert.{key}": value for key, value in state.items()},
        lambda state: {
            k.replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in state.items()
        },
        lambda state: {key: value for key, value in state.items() if "pooler" not in key},
    ],
    ids=["of a larger model", "old names", "no pooler"],
)
def test_other_weights_are_left_to_the_library(
    change: Any, tiny_backbone: Path, tmp_path: Path
) -> None:
    raw = json.loads((tiny_backbone / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw))
    save_file(
        change(load_file(tiny_backbone / "model.safetensors")), tmp_path / "model.safetensors"
    )
    config = native_config(raw)
    assert config is not None
    assert load_native_backbone(config, tmp_path) is None


def test_a_weight_that_is_not_finite_is_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    state = load_file(tiny_backbone / "model.safetensors")
    state["encoder.layer.1.output.dense.bias"][3] = float("inf")
    save_file(state, tmp_path / "model.safetensors")
    config = native_config(json.loads((tiny_backbone / "config.json").read_text()))
    assert config is not None
    with pytest.raises(ModelError, match="NaN or infinity"):
        load_native_backbone(config, tmp_path)


def test_a_trained_model_writes_the_same_q_nets(tiny_backbone: Path, tmp_path: Path) -> None:
    options = {"hidden_layers": 2}
    spec = ModelSpec(backbone=str(tiny_backbone), pooling="mean", converter_options=options)
    build_dual_encoder(spec).save_pretrained(tmp_path)
    own = HypencoderDualEncoder.from_pretrained(tmp_path, native=True)
    library = HypencoderDualEncoder.from_pretrained(tmp_path)
    assert isinstance(own.query_encoder.transformer, NativeBackbone)
    assert not isinstance(library.query_encoder.transformer, NativeBackbone)
    assert model_fingerprint(own) == model_fingerprint(library)
    ids, mask = texts(12, 12, 5)
    nets = []
    for dual in (own, library):
        encoder: Hypencoder = dual.query_encoder
        with torch.inference_mode():
            nets.append(encoder(ids, mask).representation)
    for one, other in zip(nets[0].matrices, nets[1].matrices, strict=True):
        assert torch.equal(one, other)


def test_the_real_encoder_gives_the_same_bits(encoder_folder: Path) -> None:
    dual, tokenizer = load_dual_encoder(encoder_folder)
    own: Any = dual.passage_encoder.transformer
    assert isinstance(own, NativeBackbone)
    sentences = ["Heat changes ice to water.", "A concussion can show at once, or after days.", "é"]
    tokens = tokenizer(sentences, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = load_backbone(str(encoder_folder))(**tokens).last_hidden_state
        states = own(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state
    assert torch.equal(states, expected)
