"""Encoders of the kind of BERT: one implementation of five architectures of ``transformers``.

They differ in the names of their weights, in token types, in the numbers of positions, and in
MPNet's bias for relative positions. Token states are bit-equal to those of the library, and names
and shapes of the weights are equal too.

Axes: ``n`` texts, ``t`` tokens, ``a`` heads, ``h`` width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.models.checkpoints.native.config import Kind, NativeConfig
from hypencli.models.checkpoints.native.layers import EmptyEmbedding, EmptyLayerNorm, EmptyLinear
from hypencli.models.checkpoints.untrusted import refuse_unless_weights_fill
from hypencli.models.checkpoints.weights import read_weights, refuse_non_finite

_POSITIONS = ".position_ids"
_FARTHEST = 128
"""Tokens at which MPNet's buckets of relative positions end."""


class TokenStates(NamedTuple):
    """The output of an encoder: token states ``[n, t, h]``."""

    last_hidden_state: Tensor


@dataclass(frozen=True)
class _Names:
    """The names of the weights of a layer."""

    layers: str
    query: str
    key: str
    value: str
    attention_out: str
    attention_norm: str
    inner: str
    outer: str
    norm: str
    has_pooler: bool = True


_BERT = _Names(
    layers="encoder",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_out="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    outer="output.dense",
    norm="output.LayerNorm",
)
_NAMES: Mapping[Kind, _Names] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "mpnet": _Names(
        layers="encoder",
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_out="attention.attn.o",
        attention_norm="attention.LayerNorm",
        inner="intermediate.dense",
        outer="output.dense",
        norm="output.LayerNorm",
    ),
    "distilbert": _Names(
        layers="transformer",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_out="attention.out_lin",
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        norm="output_layer_norm",
        has_pooler=False,
    ),
}
_NUMBERED_FROM_PADDING = ("roberta", "xlm-roberta", "mpnet")
"""Kinds that number positions from the one after the padding token's id."""


class NativeBackbone(nn.Module):
    """An encoder: embeddings, then layers of attention and two linear maps.

    Args:
        config: The configuration.
        with_pooler: Whether to make the pooler, which nothing reads.
    """

    supports_gradient_checkpointing = False

    def __init__(self, config: NativeConfig, *, with_pooler: bool = True) -> None:
        super().__init__()
        self.native_config = config
        names = _NAMES[config.model_type]
        self.embeddings = _embeddings(config)
        layers = nn.ModuleList(_Layer(config, names) for _ in range(config.num_hidden_layers))
        holder: dict[str, nn.Module] = {"layer": layers}
        if config.relative_attention_num_buckets:
            buckets = config.relative_attention_num_buckets
            holder["relative_attention_bias"] = EmptyEmbedding(buckets, config.num_attention_heads)
        self.add_module(names.layers, nn.ModuleDict(holder))
        if with_pooler and names.has_pooler:
            self.pooler = _tree({"dense": EmptyLinear(config.hidden_size, config.hidden_size)})

    @property
    def config(self) -> Any:
        """The configuration as the library's object, which is imported here."""
        from hypencli.models.checkpoints.backbone import library_config

        return library_config(self.native_config.fields)

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings of tokens."""
        return self.embeddings["word_embeddings"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> TokenStates:
        """Compute token states ``[n, t, h]``.

        Args:
            input_ids: ``[n, t]``.
            attention_mask: ``[n, t]``, 1 for tokens and 0 for padding; None means no padding.
        """
        config = self.native_config
        states = self._embed(input_ids)
        attended: Tensor | None = None  # [n, 1, t, t]
        if attention_mask is not None and not attention_mask.all():
            n, t = input_ids.shape
            attended = attention_mask.bool()[:, None, None, :].expand(n, 1, t, t)
        holder: Any = self.get_submodule(_NAMES[config.model_type].layers)
        bias = None
        if config.relative_attention_num_buckets:
            bias = _position_bias(holder["relative_attention_bias"], states)
            if attended is not None:
                zero, least = torch.zeros((), dtype=states.dtype), torch.finfo(states.dtype).min
                attended = torch.where(attended, zero.to(states.device), least)
        for layer in holder["layer"]:
            states = layer(states, attended, bias)
        return TokenStates(states)

    def _embed(self, input_ids: Tensor) -> Tensor:
        config, parts = self.native_config, self.embeddings
        if config.model_type in _NUMBERED_FROM_PADDING:
            padding = 1 if config.model_type == "mpnet" else config.pad_token_id
            is_token = input_ids.ne(padding).int()
            counted = torch.cumsum(is_token, dim=1).type_as(is_token) * is_token
            positions = counted.long() + padding
        else:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        states = parts["word_embeddings"](input_ids)
        if config.type_vocab_size:
            states = states + parts["token_type_embeddings"](torch.zeros_like(input_ids))
        states = parts["LayerNorm"](states + parts["position_embeddings"](positions))
        return functional.dropout(states, config.hidden_dropout_prob, self.training)


class _Layer(nn.Module):
    """Attention over the tokens, then two linear maps, each added to its input and normalised."""

    def __init__(self, config: NativeConfig, names: _Names) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.config = config
        parts = {
            "query": EmptyLinear(width, width),
            "key": EmptyLinear(width, width),
            "value": EmptyLinear(width, width),
            "attention_out": EmptyLinear(width, width),
            "attention_norm": EmptyLayerNorm(width, eps=config.layer_norm_eps),
            "inner": EmptyLinear(width, inner),
            "outer": EmptyLinear(inner, width),
            "norm": EmptyLayerNorm(width, eps=config.layer_norm_eps),
        }
        # By role; a dictionary does not name its modules in the state, and the tree below does.
        self._parts = parts
        tree = _tree({getattr(names, role): part for role, part in parts.items()})
        for name, module in tree.named_children():
            self.add_module(name, module)

    def forward(self, states: Tensor, attended: Tensor | None, bias: Tensor | None) -> Tensor:
        """Return the next token states ``[n, t, h]``.

        Args:
            states: ``[n, t, h]``.
            attended: ``[n, 1, t, t]``, True where a token attends, or with a bias 0 there and the
                least number elsewhere; None means everywhere.
            bias: The bias of relative positions ``[n, a, t, t]``, or None.
        """
        config, parts, training = self.config, self._parts, self.training
        n, t, _ = states.shape
        heads = (n, t, config.num_attention_heads, -1)
        query, key, value = (
            parts[role](states).view(heads).transpose(1, 2) for role in ("query", "key", "value")
        )
        share = config.attention_probs_dropout_prob if training else 0.0
        if bias is None:
            read = functional.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=attended,
                dropout_p=share,
                scale=query.shape[-1] ** -0.5,
            )
        else:
            weights = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
            weights += bias  # in place: with autocast, the sum has the dtype of the product
            weights = weights if attended is None else weights + attended
            weights = functional.dropout(functional.softmax(weights, dim=-1), share, training)
            read = torch.matmul(weights, value)
        read = parts["attention_out"](read.transpose(1, 2).reshape(n, t, -1).contiguous())
        if config.model_type != "distilbert":  # which has no dropout at this place
            read = functional.dropout(read, config.hidden_dropout_prob, training)
        states = parts["attention_norm"](read + states)
        mapped = parts["outer"](functional.gelu(parts["inner"](states)))
        mapped = functional.dropout(mapped, config.hidden_dropout_prob, training)
        normed: Tensor = parts["norm"](mapped + states)
        return normed


def empty_native_backbone(
    config: NativeConfig, *, with_pooler: bool, weights: Path | None = None
) -> NativeBackbone:
    """Make an encoder with uninitialised weights; draw no random numbers.

    Args:
        config: The configuration.
        with_pooler: Whether to make the pooler, which nothing reads.
        weights: The folder of its weights, if any; their size bounds that of the encoder.

    Raises:
        ModelError: The encoder is far larger than the files of its weights.
    """
    if weights is not None:
        with torch.device("meta"):  # takes no memory
            refuse_unless_weights_fill(NativeBackbone(config), config.model_type, weights)
    return NativeBackbone(config, with_pooler=with_pooler).eval()


def load_native_backbone(config: NativeConfig, folder: Path) -> NativeBackbone | None:
    """Load an encoder with its weights; None if these are not exactly its own.

    The library knows more: older names of weights, those of larger models, and several files.

    Args:
        config: The configuration.
        folder: A folder with ``model.safetensors``.

    Raises:
        ModelError: The file is damaged, a weight is not finite, or the encoder is far larger than
            the file.
    """
    model = empty_native_backbone(config, with_pooler=True, weights=folder)
    expected = model.state_dict()
    state = {k: v for k, v in read_weights(folder).items() if not k.endswith(_POSITIONS)}
    if state.keys() != expected.keys() or any(
        tensor.shape != expected[key].shape or not tensor.is_floating_point()
        for key, tensor in state.items()
    ):
        return None
    model.load_state_dict(state)
    refuse_non_finite(model, where=f"the encoder at {str(folder)!r}")
    return model


def _embeddings(config: NativeConfig) -> nn.ModuleDict:
    width, padding = config.hidden_size, config.pad_token_id
    numbered = config.model_type in _NUMBERED_FROM_PADDING
    padding = 1 if config.model_type == "mpnet" else padding
    parts: dict[str, nn.Module] = {
        "word_embeddings": EmptyEmbedding(config.vocab_size, width, padding_idx=padding),
        "position_embeddings": EmptyEmbedding(
            config.max_position_embeddings, width, padding_idx=padding if numbered else None
        ),
        "LayerNorm": EmptyLayerNorm(width, eps=config.layer_norm_eps),
    }
    if config.type_vocab_size:
        parts["token_type_embeddings"] = EmptyEmbedding(config.type_vocab_size, width)
    return nn.ModuleDict(parts)


def _tree(modules: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """Return modules in a tree, in which their names are paths such as ``output.dense``."""
    tree = nn.ModuleDict()
    for path, module in modules.items():
        *parents, name = path.split(".")
        place = tree
        for parent in parents:
            if parent not in place:
                place[parent] = nn.ModuleDict()
            place = cast(nn.ModuleDict, place[parent])
        place[name] = module
    return tree


def _position_bias(table: nn.Module, states: Tensor) -> Tensor:
    """Return MPNet's bias ``[n, a, t, t]`` for the distance from one token to another."""
    n, t, _ = states.shape
    places = torch.arange(t, dtype=torch.long, device=states.device)
    distance = places[:, None] - places[None, :]
    half, exact = 16, 8  # of 32 buckets: one half for each direction, of which half are exact
    bucket = (distance < 0).to(torch.long) * half
    distance = torch.abs(distance)
    far = exact + (
        torch.log(distance.float() / exact) / math.log(_FARTHEST / exact) * (half - exact)
    ).to(torch.long)
    far = torch.min(far, torch.full_like(far, half - 1))
    bucket = bucket + torch.where(distance < exact, distance, far)
    bias: Tensor = table(bucket).permute([2, 0, 1]).unsqueeze(0)
    return bias.expand((n, -1, t, t)).contiguous()
