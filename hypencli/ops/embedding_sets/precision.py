"""Which arithmetic ``auto`` is: bfloat16 where it is native and near enough to float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hypencli.ops.embedding_sets.options import EncodeOptions
from hypencli.ops.models import LoadedModel
from hypencli.runtime import resolve_device, resolve_dtype

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus

LEAST_COSINE = 0.9999
"""Lowest cosine of a vector to that in float32 with which ``auto`` takes bfloat16."""

SAMPLE = 32
"""Documents, from the first, whose vectors are compared."""


@dataclass(frozen=True, slots=True)
class Precision:
    """The arithmetic of a set, and how near it is to float32.

    Attributes:
        dtype: ``bfloat16`` or ``float32``.
        least_cosine: Lowest cosine of a sampled document's vector to that in float32; None if
            bfloat16 is not native on this machine.
    """

    dtype: str
    least_cosine: float | None = None

    @property
    def text(self) -> str | None:
        """What was measured, for people; None if nothing was."""
        if self.least_cosine is None:
            return None
        measured = f"lowest cosine to float32 of {SAMPLE} documents {self.least_cosine:.6f}"
        return f"arithmetic of the encoder: {self.dtype} ({measured})"


def measured_precision(
    corpus: Corpus, load: Callable[[], LoadedModel], options: EncodeOptions
) -> Precision:
    """Choose the arithmetic of a new set.

    Args:
        corpus: The documents, of which the first are encoded in both.
        load: Loads the model.
        options: How to encode.

    Raises:
        DataError: The corpus cannot be read.
    """
    import numpy as np

    from hypencli.models.encoding import EncodingOptions, encode_passages
    from hypencli.models.speed import fastest_dtype

    device = resolve_device(options.device)
    fastest = str(fastest_dtype(device)).removeprefix("torch.")
    if fastest == "float32":
        return Precision("float32")
    loaded = load()
    texts = [one.text for one in islice(corpus, min(SAMPLE, options.limit or SAMPLE))]
    exact, coarse = (
        encode_passages(
            loaded.dual.passage_encoder,
            loaded.tokenizer,
            texts,
            EncodingOptions(options.max_length, options.batch_size, resolve_dtype(name), device),
        )
        for name in ("float32", fastest)
    )
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(coarse, axis=1)
    products = (exact * coarse).sum(axis=1)
    cosines = np.divide(products, lengths, out=np.ones_like(products), where=lengths > 0)
    least = float(cosines.min())
    return Precision(fastest if least >= LEAST_COSINE else "float32", least)


def assumed_precision(options: EncodeOptions) -> Precision:
    """Return the arithmetic of a new set for a plan, which loads no model: the faster one."""
    from hypencli.models.speed import fastest_dtype

    fastest = fastest_dtype(resolve_device(options.device))
    return Precision(str(fastest).removeprefix("torch."))
