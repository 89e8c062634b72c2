"""Layers with uninitialised weights, for models whose weights are read from a file.

Their values are undefined until then. Making them draws no random numbers, costs no time, and, for
tensors without memory (device ``meta``), imports none of torch's compilers, which take a second.
"""

from __future__ import annotations

from torch import nn


class EmptyLinear(nn.Linear):
    """A linear layer with uninitialised weights."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class EmptyEmbedding(nn.Embedding):
    """An embedding with uninitialised weights."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class EmptyLayerNorm(nn.LayerNorm):
    """A layer norm with uninitialised weights."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""
