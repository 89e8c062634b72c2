"""Documents of an embedding set, by id."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.ops.models import stored_model
from hypencli.ops.select import choose_embeddings
from hypestore import ArtifactNotFound, Manifest, Store


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of an embedding set.

    Attributes:
        doc_id: Its id.
        text: Its text.
        embeddings: Manifest of the embedding set.
    """

    doc_id: str
    text: str
    embeddings: Manifest


def read_document(
    store: Store, doc_id: str, *, embeddings: str | None = None, model: str | None = None
) -> StoredDocument:
    """Read the text of a document.

    Args:
        store: The project store.
        doc_id: Id of the document.
        embeddings: Name or id of the embedding set. None selects the only one that fits.
        model: Name or id of a model of the store whose set is read.

    Raises:
        ArtifactNotFound: The store has no such set or model, or the set has no such document.
        UsageError: No embedding set or several sets fit.
        TextNotKept: The set was made without text.
    """
    maker = None if model is None else stored_model(store, model)
    manifest = choose_embeddings(store, maker, named=embeddings)
    opened = store.embeddings(manifest.id)
    ordinals = opened.ordinals([doc_id])
    if ordinals[0] < 0:
        raise ArtifactNotFound(
            f"The embedding set {manifest.name or manifest.id} has no document {doc_id!r:.200}.",
            hint="Search, and take an id from its answer.",
        )
    return StoredDocument(doc_id, opened.texts(ordinals)[0], manifest)
