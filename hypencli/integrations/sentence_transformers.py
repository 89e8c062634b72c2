"""Bi-encoders as models of Sentence Transformers (``sentence-transformers`` 6).

    from hypencli.integrations.sentence_transformers import to_sentence_transformer

    to_sentence_transformer(hypencli.load("my-bi-encoder")).save_pretrained("folder")
    hypencli.load("folder")     # the same vectors

The other direction needs no adapter: ``hypencli.load`` reads a folder of Sentence Transformers,
with its pooling, normalisation and length.
"""

from __future__ import annotations

import tempfile

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from hypencli.api import Model
from hypencli.errors import UsageError
from hypencli.models.dual import TextDualEncoder
from hypencli.models.encoder import TextEncoder


def to_sentence_transformer(model: Model, *, max_length: int = 512) -> SentenceTransformer:
    """Return a bi-encoder as a model of Sentence Transformers, with copies of its weights.

    Args:
        model: A bi-encoder whose queries and passages share one encoder.
        max_length: Maximum number of tokens of a text.

    Raises:
        UsageError: The model makes q-nets, or its two sides differ.
    """
    from transformers import AutoModel

    encoder = _shared_encoder(model)
    transformer = AutoModel.from_config(encoder.transformer.config)
    transformer.load_state_dict(encoder.transformer.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        transformer.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        modules = [
            Transformer(folder, max_seq_length=max_length),
            Pooling(encoder.width, encoder.pooling),
        ]
    if encoder.settings.normalize:
        modules.append(Normalize())
    return SentenceTransformer(modules=modules, device=str(model.device))


def _shared_encoder(model: Model) -> TextEncoder:
    """The one encoder of both sides."""
    dual = model.dual
    if not isinstance(dual, TextDualEncoder):
        raise UsageError(
            "This model makes q-nets, which are no vectors: Sentence Transformers cannot hold it.",
            hint="hype export model writes it as a folder for the hub.",
        )
    query, passage = dual.query_encoder, dual.passage_encoder
    own, other = query.state_dict(), passage.state_dict()
    same = own.keys() == other.keys() and all(own[key].equal(other[key]) for key in own)
    settings = (query.pooling, query.settings.normalize)
    if not same or settings != (passage.pooling, passage.settings.normalize):
        raise UsageError(
            "The encoders of queries and passages differ: Sentence Transformers holds one.",
            hint="Train with a shared encoder: model.shared_encoder = true",
        )
    return passage
