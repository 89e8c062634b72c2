"""Similarities between blocks of documents: inner products, cosines, Euclidean distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy.typing as npt
import torch

from hypencli.errors import ModelError

Metric: TypeAlias = Literal["l2", "ip", "cos"]
METRICS: tuple[Metric, ...] = get_args(Metric)

BLOCK_ROWS = 1024
"""Documents on one side of a matrix product; the product fits into the cache of a CPU."""


@dataclass(frozen=True, slots=True)
class Block:
    """Documents ready for matrix products, padded with zeros to the one shape of all blocks.

    Attributes:
        vectors: [b, d]; of length 1 (or 0) for cosines.
        offset: Half the squared length of each vector, [b], for Euclidean distances.
        n: The number of documents, without the padding.
    """

    vectors: torch.Tensor
    offset: torch.Tensor | None
    n: int


@dataclass(frozen=True, slots=True)
class Similarity:
    """A similarity measure, computed by matrix products of one fixed shape; larger is nearer.

    For Euclidean distance it is half the negative squared distance, which gives the same order and
    is an inner product less two numbers: ``xy - (x² + y²) / 2``. A vector of zeros has the
    cosine 0 with every other.

    Attributes:
        metric: ``l2``, ``ip`` or ``cos``.
        device: The device that computes the products.
        dtype: The dtype of the products.
        block_rows: Documents of a block.
    """

    metric: Metric
    device: torch.device
    dtype: torch.dtype = torch.float32
    block_rows: int = BLOCK_ROWS

    def block(self, vectors: npt.NDArray[Any], first: int | None = None) -> Block:
        """Make a block of documents [n, d], n at most ``block_rows``.

        Args:
            vectors: In any floating-point type.
            first: Ordinal of the first document, for the error message.

        Raises:
            ModelError: The squared length of a vector is not a finite float32.
        """
        n, dim = vectors.shape
        padded = torch.zeros((self.block_rows, dim))
        padded.numpy()[:n] = vectors
        squared = padded.square().sum(dim=1)
        if not bool(torch.isfinite(squared).all()):
            row = int(torch.nonzero(~torch.isfinite(squared))[0])
            where = "" if first is None else f" of document {first + row}"
            raise ModelError(
                f"The vector{where} is too long for products in float32: its largest value is "
                f"{float(padded[row].abs().max()):g}."
            )
        if self.metric == "cos":
            padded /= squared.sqrt().clamp(min=torch.finfo(torch.float32).tiny)[:, None]
        offset = (squared / 2).to(self.device) if self.metric == "l2" else None
        return Block(padded.to(device=self.device, dtype=self.dtype), offset, n)

    def between(self, a: Block, b: Block, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return similarities [n, m] of the documents of two blocks.

        Args:
            a: The rows.
            b: The columns.
            out: A buffer of :meth:`buffer` for the result; None allocates one.
        """
        if self.dtype == torch.float32:
            products = torch.mm(a.vectors, b.vectors.t(), out=out)
        else:
            products = torch.mm(a.vectors, b.vectors.t()).float()
        if a.offset is not None and b.offset is not None:
            # Add both offsets first: the sum is equal for (x, y) and (y, x), so ties stay ties.
            products -= a.offset[:, None] + b.offset[None, :]
        return products[: a.n, : b.n]

    def buffer(self) -> torch.Tensor:
        """Return a buffer for :meth:`between`."""
        return torch.empty((self.block_rows, self.block_rows), device=self.device)
