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
"""Documents of one side of a matrix product: its result stays in the cache of a CPU."""


@dataclass(frozen=True, slots=True)
class Block:
    """Documents ready for matrix products, padded with zeros to the one shape of all blocks.

    Attributes:
        vectors: [b, d]; of length 1 (or 0) for cosines.
        offset: Half the squared length of each [b], for Euclidean distances.
        n: Documents, the padding not counted.
    """

    vectors: torch.Tensor
    offset: torch.Tensor | None
    n: int


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near documents are, by matrix products of one fixed shape; larger is nearer.

    Half the negative squared distance stands for Euclidean distance: it orders documents alike,
    and is an inner product less two numbers, ``xy - (x² + y²) / 2``. A vector of zeros has the
    cosine 0 with every other.

    Attributes:
        metric: ``l2``, ``ip`` or ``cos``.
        device: Where products are computed.
        dtype: Their arithmetic.
        block_rows: Documents of a side.
    """

    metric: Metric
    device: torch.device
    dtype: torch.dtype = torch.float32
    block_rows: int = BLOCK_ROWS

    def block(self, vectors: npt.NDArray[Any], first: int | None = None) -> Block:
        """Make a block of documents [n, d], n at most ``block_rows``.

        Args:
            vectors: In any floating-point type.
            first: Ordinal of the first of them, for the message.

        Raises:
            ModelError: A vector is so long that its squared length is no float32.
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
        """Similarities [n, m] of the documents of two blocks.

        Args:
            a: The rows.
            b: The columns.
            out: A buffer that the result may be made in, of a product's shape.
        """
        if self.dtype == torch.float32:
            products = torch.mm(a.vectors, b.vectors.t(), out=out)
        else:
            products = torch.mm(a.vectors, b.vectors.t()).float()
        if a.offset is not None and b.offset is not None:
            # The sum first: it is the same number for (x, y) and (y, x), so that ties stay ties.
            products -= a.offset[:, None] + b.offset[None, :]
        return products[: a.n, : b.n]

    def buffer(self) -> torch.Tensor:
        """A buffer for :meth:`between`."""
        return torch.empty((self.block_rows, self.block_rows), device=self.device)
