"""Random documents of a corpus: those that surrogates are fitted to, and those that test them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hypencli.engine.certified.options import SurrogateOptions
from hypencli.engine.certified.outliers import TypicalDirections, TypicalVectors
from hypencli.engine.corpus import Ordinals, SearchCorpus

_SPREAD = 1024
"""Random documents whose vectors show their spread, beside those that are scored."""


@dataclass(frozen=True, slots=True)
class RandomDocuments:
    """Random documents of a corpus, without those whose vectors are unlike the others.

    Attributes:
        fitted: Ordinals ``[f]`` of the documents that surrogates are fitted to, in random order.
        held: Ordinals ``[h]`` of those that they are never fitted to, rising.
        fitted_vectors: Vectors ``[f, d]`` in float32.
        held_vectors: Vectors ``[h, d]`` in float32.
        spread: The covariance ``[d, d]`` of the vectors.
        typical: The lengths and largest values that vectors have.
        directions: How far from their mean they lie.
    """

    fitted: Ordinals
    held: Ordinals
    fitted_vectors: torch.Tensor
    held_vectors: torch.Tensor
    spread: torch.Tensor
    typical: TypicalVectors
    directions: TypicalDirections

    @classmethod
    def draw(cls, corpus: SearchCorpus, options: SurrogateOptions) -> RandomDocuments | None:
        """Draw documents; return None if too few of the corpus are like each other."""
        size = min(corpus.n, options.fitted + options.held + _SPREAD)
        drawn = np.random.default_rng(options.seed).choice(corpus.n, size, replace=False)
        vectors = torch.from_numpy(corpus.vectors(drawn).astype(np.float32))
        typical = TypicalVectors.of(vectors.numpy())
        usual = ~typical.outliers(vectors)
        drawn, vectors = drawn[usual.numpy()], vectors[usual]
        if len(drawn) <= options.fitted + options.held // 2:
            return None
        directions = TypicalDirections.of(vectors)
        usual = ~directions.outliers(vectors)
        drawn, vectors = drawn[usual.numpy()], vectors[usual]
        first, second = options.fitted, options.fitted + options.held
        order = first + np.argsort(drawn[first:second])
        centred = vectors - vectors.mean(dim=0)
        return cls(
            fitted=drawn[:first],
            held=drawn[order],
            fitted_vectors=vectors[:first],
            held_vectors=vectors[torch.from_numpy(order)],
            spread=centred.t() @ centred / len(centred),
            typical=typical,
            directions=directions,
        )

    @property
    def ordinals(self) -> Ordinals:
        """The ordinals of all documents that are scored, ``[f + h]``."""
        return np.concatenate([self.fitted, self.held])

    def outliers(self, rows: torch.Tensor) -> torch.Tensor:
        """Return which vectors ``[n, d]`` in float32 are unlike the others, as booleans ``[n]``."""
        return self.typical.outliers(rows) | self.directions.outliers(rows)
