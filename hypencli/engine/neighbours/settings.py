"""Settings of the libraries that approximate neighbours, as options that users can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, kw_only=True)
class NNDescent:
    """Settings of NN-descent (Dong, Moses and Li, WWW 2011).

    Attributes:
        candidates: Neighbours of neighbours compared with a document in each iteration.
        iterations: Largest number of iterations; it stops earlier once little changes.
        trees: Number of random projection trees that give the first neighbours.
        seed: Seed of the trees and of the choice of candidates.
    """

    candidates: Annotated[
        int, Field(ge=1, description="documents compared with each in an iteration")
    ] = 60
    iterations: Annotated[int, Field(ge=1, description="the most iterations")] = 20
    trees: Annotated[int, Field(ge=1, description="random projection trees to start from")] = 8
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Hnsw:
    """Settings of HNSW (Malkov and Yashunin, 2018).

    Attributes:
        m: Links of a document, in each layer above the lowest.
        ef_construction: Candidates that a document's links are chosen from.
        ef_search: Candidates of a search for neighbours; at least k + 1 are used.
        seed: Seed of the layers.
    """

    m: Annotated[int, Field(ge=2, description="links of a document")] = 32
    ef_construction: Annotated[
        int, Field(ge=1, description="candidates for the links of a document")
    ] = 200
    ef_search: Annotated[
        int, Field(ge=1, description="candidates in the search for neighbours")
    ] = 200
    seed: int = 0
