"""Which configurations are read without the library."""

from __future__ import annotations

from typing import Any

import pytest

from hypencli.models.checkpoints.known_backbones import KNOWN_BACKBONES
from hypencli.models.checkpoints.native.config import native_config

BERT = {
    "model_type": "bert",
    "hidden_size": 24,
    "num_attention_heads": 3,
    "is_decoder": False,
    "architectures": ["BertModel"],
}


def test_usual_fields_are_read() -> None:
    config = native_config(BERT)
    assert config is not None
    assert (config.hidden_size, config.num_hidden_layers, config.type_vocab_size) == (24, 12, 2)
    assert config.fields == BERT


@pytest.mark.parametrize("name", sorted(KNOWN_BACKBONES))
def test_known_backbones_are_usual(name: str) -> None:
    assert native_config(KNOWN_BACKBONES[name]) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "modernbert"),
        ("model_type", ["bert"]),
        ("model_type", None),
        ("hidden_act", "relu"),
        ("hidden_act", ["gelu"]),
        ("hidden_size", 24.0),
        ("hidden_size", True),
        ("hidden_size", 25),
        ("hidden_size", 2**20),
        ("num_hidden_layers", 0),
        ("vocab_size", -1),
        ("vocab_size", "30522"),
        ("pad_token_id", None),
        ("pad_token_id", 30_522),
        ("layer_norm_eps", 0.0),
        ("layer_norm_eps", float("nan")),
        ("hidden_dropout_prob", 1.5),
        ("is_decoder", True),
        ("is_decoder", 0),
        ("position_embedding_type", "relative_key"),
        ("chunk_size_feed_forward", 4),
        ("attn_implementation", "eager"),
        ("quantization_config", {"quant_method": "a"}),
        ("auto_map", {"AutoModel": "code.Model"}),
        ("dim", 24),
    ],
)
def test_other_fields_and_values_are_left_to_the_library(key: str, value: Any) -> None:
    assert native_config({**BERT, key: value}) is None


def test_other_buckets_of_mpnet_are_left_to_the_library() -> None:
    mpnet = {"model_type": "mpnet"}
    assert native_config(mpnet) is not None
    assert native_config({**mpnet, "relative_attention_num_buckets": 16}) is None
