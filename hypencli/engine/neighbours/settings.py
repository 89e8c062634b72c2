"""Settings of the libraries that approximate neighbours, as options that users can set."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.option_fields import option


@dataclass(frozen=True, kw_only=True)
class NNDescent:
    """Settings of NN-descent (Dong, Moses and Li, WWW 2011).

    Attributes:
        candidates: Neighbours of neighbours that a document is compared with, in each iteration.
        iterations: The most iterations; it ends before where little changes.
        trees: Random projection trees that it starts from.
        seed: Of the trees and the choice of candidates.
    """

    candidates: int = option(60, "documents compared with each in an iteration", ge=1)
    iterations: int = option(20, "the most iterations", ge=1)
    trees: int = option(8, "random projection trees to start from", ge=1)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Hnsw:
    """Settings of HNSW (Malkov and Yashunin, 2018).

    Attributes:
        m: Links of a document, in each layer above the lowest.
        ef_construction: Candidates that a document's links are chosen from.
        ef_search: Candidates of a search for neighbours; at least k + 1 are taken.
        seed: Of the layers.
    """

    m: int = option(32, "links of a document", ge=2)
    ef_construction: int = option(200, "candidates for the links of a document", ge=1)
    ef_search: int = option(200, "candidates in the search for neighbours", ge=1)
    seed: int = 0
