"""A start for the published architecture: q-nets that rank as the backbone's bi-encoder does.

Axes: ``q`` queries, ``t`` tokens, ``h`` width of token states, items and hidden layers alike.

A block with a residual passes items on and adds what it computes, and that starts as one vector for
all items: its matrix is all but zero. So the score of an item ``x`` starts as ``v·x``, ``v`` being
the last matrix, plus a constant a query, which moves no ranking. And the hypernetwork can write the
pooled query as ``v``, in closed form: an attention that is even over the tokens (or on the first
one alone), values that are the token states, raised so far that the relu after them leaves them as
they are, and a layer norm that takes off only their mean over ``h`` and their length.
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
"""Of the other query embeddings: at the published 10 each of them looks at one token."""

_RAISED = 1.5
"""Values are raised by so many times the largest pooled component seen."""

_SHARPNESS = 20.0
"""How much more the first token is attended to, in logits, than the mean of the others."""

_RIDGE = 1e-2
"""Added to the diagonal of a covariance, as a part of its mean: states of few queries will do."""

_CHECKED = 32
"""Queries whose generated weights are compared with their pooled states."""

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
    """Fills the hyper-head in so that its q-nets rank as inner products with pooled queries do.

    Scores start as ``scale`` times the inner product of the item with the pooled query at length 1,
    plus a constant a query; there is no training in it, and published code loads the result.

    Deviation: the published head starts as noise. Few training pairs then go into what the encoder
    knew before.

    Args:
        encoder: Its head is filled in anew.
        token_states: Of some queries, ``[t, h]`` each without padding; no labels are needed. Some
            hundred will do.
        generator: For everything of the head that keeps its published, random start.
        pooling: That of the passages.
        scale: Multiplies the inner products, as a sharp softmax over cosines needs.

    Returns:
        The mean cosine between what the head writes for such queries and their pooled states.

    Raises:
        ModelError: The q-net does not pass its items on, its widths are not all that of the token
            states, there are no queries, or the agreement is below 0.95.
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
    """The pooled query ``[1, h]`` of token states ``[t, h]``."""
    return pool(states.float().unsqueeze(0), states.new_ones(1, len(states)), pooling=pooling)


def _attend_as_pooled(encoder: Hypencoder, states: Sequence[Tensor], pooling: Pooling) -> None:
    """Makes the last layer's attention even over the tokens, or puts it on the first."""
    last = len(encoder.weight_shapes) - 1
    queries, key = encoder.weight_query_embeddings[last], encoder.key_projections[last]
    queries.zero_()
    if pooling == "cls":
        queries.copy_(_SHARPNESS * _direction_of_the_first(states))
        _become_identity(key, 1.0)


def _direction_of_the_first(states: Sequence[Tensor]) -> Tensor:
    """The vector ``[h]`` that tells first tokens from others: Fisher's discriminant.

    Its products with the first tokens are larger than those with the others by 1 in the mean.
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
    """Makes the last matrix ``scale`` times the attended states, centred and at length 1."""
    last, width = len(encoder.weight_shapes) - 1, encoder.width
    _become_identity(encoder.value_projections[last], 1.0, bias=raised)
    # The layer norm gives a vector of length sqrt(h).
    _become_identity(encoder.weight_hyper_projection[last], scale / math.sqrt(width))


def _become_identity(layer: nn.Module, factor: float, *, bias: float = 0.0) -> None:
    if not isinstance(layer, nn.Linear):
        raise TypeError("The projections of a hyper-head are linear layers.")
    layer.weight.copy_(factor * torch.eye(layer.in_features))
    layer.bias.fill_(bias)


def _agreement(encoder: Hypencoder, states: Sequence[Tensor], pooled: Tensor) -> float:
    """The mean cosine of last matrices, as generated, with pooled queries ``[q, h]``."""
    written = [
        encoder.generate(each.float().unsqueeze(0), each.new_ones(1, len(each)))[0][-1]
        for each in states
    ]
    columns = torch.cat(written).squeeze(-1)
    return functional.cosine_similarity(columns, pooled, dim=1).mean().item()
