"""Configurations of backbones that checkpoints name without holding them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BERT_BASE: Mapping[str, Any] = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
_BERT_LARGE: Mapping[str, Any] = {
    **_BERT_BASE,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
_MINILM_L6: Mapping[str, Any] = {
    **_BERT_BASE,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "intermediate_size": 1536,
}
_DISTILBERT: Mapping[str, Any] = {
    "model_type": "distilbert",
    "vocab_size": 30522,
    "dim": 768,
    "n_layers": 6,
    "n_heads": 12,
    "hidden_dim": 3072,
    "max_position_embeddings": 512,
    "activation": "gelu",
    "pad_token_id": 0,
}
_ROBERTA_BASE: Mapping[str, Any] = {
    **_BERT_BASE,
    "model_type": "roberta",
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}

KNOWN_BACKBONES: Mapping[str, Mapping[str, Any]] = {
    "bert-base-uncased": _BERT_BASE,
    "google-bert/bert-base-uncased": _BERT_BASE,
    "facebook/contriever-msmarco": _BERT_BASE,
    "Shitao/RetroMAE_MSMARCO_finetune": _BERT_BASE,
    "bert-large-uncased": _BERT_LARGE,
    "google-bert/bert-large-uncased": _BERT_LARGE,
    "nreimers/MiniLM-L6-H384-uncased": _MINILM_L6,
    "sentence-transformers/all-MiniLM-L6-v2": _MINILM_L6,
    "distilbert-base-uncased": _DISTILBERT,
    "distilbert/distilbert-base-uncased": _DISTILBERT,
    "sebastian-hofstaetter/distilbert-dot-tas_b-b256-msmarco": _DISTILBERT,
    "roberta-base": _ROBERTA_BASE,
    "FacebookAI/roberta-base": _ROBERTA_BASE,
}
"""Configurations of backbones that checkpoints name; shapes are checked against the weights."""
