"""Options of a first pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class SurrogateOptions:
    """Options of a first pass by surrogates.

    Attributes:
        fitted: Random documents that a surrogate is fitted to.
        held: Random documents that show how far it errs.
        risk: How many of the best documents a query may be expected to miss, if its errors have
            tails like those that :mod:`hypencli.engine.certified.tails` assumes.
        limit: Largest share of the corpus scored in float32; a query that needs more has another
            first pass, or is searched in float32.
        least_ratio: How many times faster than a q-net its surrogate must be; a measured time.
        most: Largest number of places kept for all queries that are searched together.
        seed: Seed of the random documents.
    """

    fitted: int = 512
    held: int = 512
    risk: float = 1e-3
    limit: float = 0.5
    least_ratio: float = 0.0
    most: int = 32_000_000
    seed: int = 1

    def kept(self, n: int, n_queries: int) -> int:
        """Return how many documents of a corpus of ``n`` are kept for each of some queries."""
        return min(n, math.ceil(n * self.limit), self.most // max(1, n_queries))


@dataclass(frozen=True, slots=True)
class FirstPassOptions:
    """Options of the first pass, and of scoring again in float32.

    Attributes:
        dtype: Arithmetic of the first pass: bfloat16, or int8 where q-nets can be prepared for it.
            Queries for which int8 is too rough have a second first pass in bfloat16. None if there
            is no such first pass.
        surrogate: Options of a first pass by surrogates; queries for which it is too rough have
            one in ``dtype``. None if there is no such first pass.
        certify: Score documents again in float32 until no other can be among the best ``k``;
            otherwise score only ``margin`` more than ``k`` again.
        margin: Documents scored again at first, beyond ``k``, as a share of ``k``.
        sample: Size of the sample of the corpus whose errors are measured too.
        safety: Factor by which the largest deviation from the mean error is multiplied.
        limit: Largest share of the corpus scored again; a query that needs more is searched in
            float32.
        most: Largest number of documents scored again; a query that needs more is searched in
            float32.
        sparse: One in this many documents of the sample is used to find the ranges of int8.
        seed: Seed of the sample.
    """

    dtype: torch.dtype | None = torch.bfloat16
    surrogate: SurrogateOptions | None = None
    certify: bool = True
    margin: float = 0.2
    sample: int = 256
    safety: float = 2.0
    limit: float = 0.2
    most: int = 200_000
    sparse: int = 4
    seed: int = 0

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The dtypes of the first pass, in the order in which they are tried."""
        if self.dtype == torch.int8:
            return (torch.int8, torch.bfloat16)
        return () if self.dtype is None else (self.dtype,)

    def first(self, k: int) -> int:
        """Return how many documents are scored again at first, without the sample."""
        return math.ceil(k * (1 + self.margin))

    def kept(self, n: int) -> int:
        """Return how many documents of a corpus of ``n`` the first pass keeps for float32."""
        return min(n, math.ceil(n * self.limit), self.most)
