"""Fitting of a hyper-head, so that its q-nets rank like the bi-encoder of the backbone.

Axes: ``q`` queries, ``t`` tokens, ``h`` width of token states, items and hidden layers alike.

A block with a residual adds its output to the item. Its matrix starts close to zero, so its output
starts as one vector for all items. The score of an item ``x`` starts as ``v·x`` plus a constant
for each query, where ``v`` is the last matrix; the constant does not change a ranking. In closed
form, the hypernetwork can write the pooled query as ``v``: its attention is uniform over the tokens
(or on the first token alone); its values are the token states plus an offset that is large enough
for the ReLU to leave them unchanged; and its layer norm removes only their mean over ``h`` and
their length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError
from hypencli.models.checkpoints.config import Pooling
from hypencli.models.encoder import pool
from hypencli.models.hypernet import Hypencoder
from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter

_QUERY_STD = 0.05
"""Deviation of the other query embeddings; with the published 10, each attends to one token."""

_RAISED = 1.5
"""Offset of the values, as a multiple of the largest pooled component of the sample."""

_SHARPNESS = 20.0
"""Attention logit of the first token above the mean of the others."""

_RIDGE = 1e-2
"""Share of its mean added to the diagonal of a covariance, so that few queries suffice."""

_CHECKED = 32
"""How many queries are used to compare generated weights with pooled states."""

_AGREEMENT = 0.95


@torch.no_grad()
def fit_head(
    encoder: Hypencoder,
    token_states: Sequence[Tensor],
    generator: torch.Generator,
    *,
    pooling: Pooling,
    scale: float = 20.0,
) -> float:
    """Set the hyper-head so that its q-nets rank like inner products with pooled queries.

    Scores start as ``scale`` times the inner product of the item and the normalised pooled query,
    plus a constant for each query. Nothing is trained, and published code loads the result.

    Deviation: the published head starts from random weights, and must learn from training pairs
    what the encoder already knows.

    Args:
        encoder: The Hypencoder whose head is set, in place.
        token_states: Token states of some queries, ``[t, h]`` each, without padding; a few hundred
            are enough.
        generator: Draws the parts of the head that keep their published, random start.
        pooling: The pooling of the passages.
        scale: Factor of the inner products; a sharp softmax over cosines needs a large one.

    Returns:
        The mean cosine between the last matrices that the head writes and the pooled queries.

    Raises:
        ModelError: A block lacks a residual or has its norm last, a width differs from that of the
            token states, there are no queries, or the mean cosine is below 0.95.
    """
    _refuse_unfit(encoder)
    if not token_states:
        raise ModelError("A head is fitted to the token states of some queries; there are none.")
    pooled = torch.cat([_pooled(states, pooling) for states in token_states])
    encoder.initialize_head(generator)
    for base in encoder.hyper_base_matrices:
        base.zero_()
    for queries in (*encoder.weight_query_embeddings, *encoder.bias_query_embeddings):
        queries.normal_(std=_QUERY_STD, generator=generator)
    _attend_as_pooled(encoder, token_states, pooling)
    _write_attention(encoder, scale, raised=_RAISED * pooled.abs().max().item())
    agreement = _agreement(encoder, token_states[:_CHECKED], pooled[:_CHECKED])
    if agreement < _AGREEMENT:
        raise ModelError(
            f"The head's q-nets agree with the {pooling} of their queries' token states by a "
            f"cosine of {agreement:.3f}; expected {_AGREEMENT} or more.",
            hint="Start from the converter warm-start: it takes the pooled query as it is.",
        )
    return agreement


def _refuse_unfit(encoder: Hypencoder) -> None:
    converter = encoder.weight_to_model_converter
    if not isinstance(converter, RepeatedDenseBlockConverter) or not converter.passes_items_on:
        raise ModelError(
            "A head can be fitted only where every block of the q-net passes its items on.",
            hint="Use the converter repeated-dense or matryoshka with do_residual_on_last = true.",
        )
    *hidden, (into, outputs) = converter.weight_shapes
    widths = {encoder.width, into, *(width for shape in hidden for width in shape)}
    if len(widths) > 1 or outputs != 1:
        raise ModelError(
            f"A head can be fitted to q-nets as wide as the token states, {encoder.width}, with "
            f"one output; these have layers {list(converter.weight_shapes)}.",
            hint="Give the converter a number of layers instead of vector_dimensions.",
        )


def _pooled(states: Tensor, pooling: Pooling) -> Tensor:
    """Return the pooled query ``[1, h]`` of token states ``[t, h]``."""
    return pool(states.float().unsqueeze(0), states.new_ones(1, len(states)), pooling=pooling)


def _attend_as_pooled(encoder: Hypencoder, states: Sequence[Tensor], pooling: Pooling) -> None:
    """Make the attention of the last layer uniform over the tokens, or put it on the first."""
    last = len(encoder.weight_shapes) - 1
    queries, key = encoder.weight_query_embeddings[last], encoder.key_projections[last]
    queries.zero_()
    if pooling == "cls":
        queries.copy_(_SHARPNESS * _direction_of_the_first(states))
        _become_identity(key, 1.0)


def _direction_of_the_first(states: Sequence[Tensor]) -> Tensor:
    """Return the vector ``[h]`` that separates first tokens: Fisher's linear discriminant.

    Its inner products with first tokens exceed those with others by 1 on average.
    """
    first = torch.stack([each[0] for each in states]).double()
    others = torch.cat([each[1:] for each in states]).double()
    difference = first.mean(dim=0) - others.mean(dim=0)
    centred = torch.cat([first - first.mean(dim=0), others - others.mean(dim=0)])
    spread = centred.T @ centred / len(centred)
    spread.diagonal().add_(_RIDGE * spread.diagonal().mean())
    direction: Tensor = torch.linalg.solve(spread, difference)
    return (direction / (direction @ difference)).float()


def _write_attention(encoder: Hypencoder, scale: float, *, raised: float) -> None:
    """Make the last matrix ``scale`` times the attended states, centred and of length 1."""
    last, width = len(encoder.weight_shapes) - 1, encoder.width
    _become_identity(encoder.value_projections[last], 1.0, bias=raised)
    # The output of the layer norm has length sqrt(h).
    _become_identity(encoder.weight_hyper_projection[last], scale / math.sqrt(width))


def _become_identity(layer: nn.Module, factor: float, *, bias: float = 0.0) -> None:
    if not isinstance(layer, nn.Linear):
        raise TypeError("The projections of a hyper-head are linear layers.")
    layer.weight.copy_(factor * torch.eye(layer.in_features))
    layer.bias.fill_(bias)


def _agreement(encoder: Hypencoder, states: Sequence[Tensor], pooled: Tensor) -> float:
    """Return the mean cosine of generated last matrices with pooled queries ``[q, h]``."""
    written = [
        encoder.generate(each.float().unsqueeze(0), each.new_ones(1, len(each)))[0][-1]
        for each in states
    ]
    columns = torch.cat(written).squeeze(-1)
    return functional.cosine_similarity(columns, pooled, dim=1).mean().item()
