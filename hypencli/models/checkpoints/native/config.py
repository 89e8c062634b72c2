"""Configurations of the encoders that are built here, and which ones they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["bert", "roberta", "xlm-roberta", "distilbert", "mpnet"]

_BERT: Mapping[str, Any] = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3_072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
_MPNET: Mapping[str, Any] = {
    **{key: value for key, value in _BERT.items() if key != "type_vocab_size"},
    "vocab_size": 30_527,
    "pad_token_id": 1,
    "relative_attention_num_buckets": 32,
}
_DISTILBERT: Mapping[str, Any] = {
    "vocab_size": 30_522,
    "dim": 768,
    "n_layers": 6,
    "n_heads": 12,
    "hidden_dim": 3_072,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
_DEFAULTS: Mapping[Kind, Mapping[str, Any]] = {
    "bert": _BERT,
    "roberta": {**_BERT, "vocab_size": 50_265, "pad_token_id": 1},
    "xlm-roberta": {**_BERT, "pad_token_id": 1},
    "distilbert": _DISTILBERT,
    "mpnet": _MPNET,
}
"""The fields that are read, with the library's values for absent ones."""

_RENAMED = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}

_WITHOUT_EFFECT = frozenset(
    (
        *("architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path"),
        *("id2label", "label2id", "finetuning_task", "gradient_checkpointing", "use_cache"),
        *("initializer_range", "classifier_dropout", "bos_token_id", "eos_token_id"),
        *("qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_"),
        *("tie_word_embeddings", "directionality", "tokenizer_class"),
        *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
        *("pooler_size_per_head", "pooler_type"),
    )
)
"""Fields that change no token state of these encoders."""

_ONLY: Mapping[str, tuple[Any, ...]] = {
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "chunk_size_feed_forward": (0,),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "output_past": (True,),
    "return_dict": (True,),
    "problem_type": (None,),
    "position_embedding_type": ("absolute",),
}
"""Fields that leave an encoder as it is with these values; the library reads it with others."""

_LARGEST = 2**16
_LARGEST_VOCABULARY = 10**7
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_VOCABULARIES = ("vocab_size", "max_position_embeddings", "type_vocab_size")


@dataclass(frozen=True, kw_only=True)
class NativeConfig:
    """The configuration of an encoder that is built here; names are those of BERT.

    Attributes:
        model_type: The kind of encoder.
        fields: All fields as the library takes them, also those without effect.
        type_vocab_size: Token types; 0 for an encoder without them.
        relative_attention_num_buckets: Buckets of relative positions; 0 for none.
    """

    model_type: Kind
    fields: Mapping[str, Any]
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    max_position_embeddings: int
    pad_token_id: int
    layer_norm_eps: float = 1e-12
    type_vocab_size: int = 0
    relative_attention_num_buckets: int = 0


def native_config(fields: Mapping[str, Any]) -> NativeConfig | None:
    """Return the configuration in ``fields``; None if the library must read them.

    It must read other kinds of encoders, fields that are unknown here, and values that are not
    those of a usual encoder, which it may refuse.

    Args:
        fields: The fields of a ``config.json``, with ``model_type``.
    """
    kind = next((one for one in _DEFAULTS if one == fields.get("model_type")), None)
    if kind is None:
        return None
    defaults = _DEFAULTS[kind]
    known = {"model_type", *defaults, *_WITHOUT_EFFECT, *_ONLY}
    if not fields.keys() <= known or not _leaves_as_it_is(fields):
        return None
    values = {_RENAMED.get(key, key): fields.get(key, value) for key, value in defaults.items()}
    if values.pop("hidden_act") != "gelu" or not _is_usual(values):
        return None
    return NativeConfig(model_type=kind, fields=dict(fields), **values)


def _leaves_as_it_is(fields: Mapping[str, Any]) -> bool:
    return all(
        fields[key] in values and type(fields[key]) is type(values[0])
        for key, values in _ONLY.items()
        if key in fields
    )


def _is_usual(values: Mapping[str, Any]) -> bool:
    """Whether sizes are positive and below a limit, and heads divide the width."""
    sizes = [(values[key], _LARGEST) for key in _SIZES]
    sizes += [(values[key], _LARGEST_VOCABULARY) for key in _VOCABULARIES if key in values]
    # The buckets of MPNet are 32 in the library's code, whatever its configuration says.
    buckets = values.get("relative_attention_num_buckets", 32)
    shares = (values["hidden_dropout_prob"], values["attention_probs_dropout_prob"])
    eps, pad = values.get("layer_norm_eps", 1e-12), values["pad_token_id"]
    return (
        all(type(size) is int and 1 <= size <= largest for size, largest in sizes)
        and values["hidden_size"] % values["num_attention_heads"] == 0
        and buckets == 32
        and all(type(share) in (int, float) and 0 <= share < 1 for share in shares)
        and type(eps) is float
        and 0 < eps < 1
        and type(pad) is int
        and 0 <= pad < min(values["vocab_size"], values["max_position_embeddings"])
    )
