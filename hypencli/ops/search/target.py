"""Model and embedding set of a search."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.data.queries import QuerySet
from hypencli.ops.models import LoadedModel, ModelSource, find_model, load_model
from hypencli.ops.search.options import Scoring, Target
from hypencli.ops.select import choose_embeddings, own_queries
from hypencli.progress import SILENT, Progress
from hypencli.runtime import resolve_device
from hypestore import EmbeddingSet, Manifest, Store


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """A model, and an embedding set with vectors of its passage encoder.

    Attributes:
        store: The project store.
        model: Manifest of the model.
        embeddings: Manifest of the embedding set.
    """

    store: Store
    model: Manifest
    embeddings: Manifest

    @classmethod
    def resolve(
        cls,
        store: Store,
        model: ModelSource,
        target: Target,
        queries: QuerySet | None = None,
        progress: Progress = SILENT,
    ) -> SearchTarget:
        """Find the model and the embedding set of a search.

        Args:
            store: The project store.
            model: The model.
            target: Embedding set or corpus.
            queries: Query set whose corpus is searched, if ``target`` has none.
            progress: Where to report.

        Raises:
            UsageError: No embedding set or several sets fit the model and the corpus.
        """
        manifest = find_model(store, model, progress)
        embeddings = choose_embeddings(
            store,
            manifest,
            named=target.embeddings,
            corpus=target.corpus or (None if queries is None else queries.corpus_id),
            progress=progress,
        )
        return cls(store, manifest, embeddings)

    @property
    def has_q_nets(self) -> bool:
        """Whether the model makes q-nets. Otherwise it makes query vectors."""
        return has_q_nets(self.model)

    @property
    def id_prefix(self) -> str:
        """Start of the ids of runs and calibrations: corpus and model."""
        return f"{self.embeddings.id.rpartition('-')[0]}-{self.model.name or self.model.id}"

    def queries(self, asked: QuerySet | None, judged_by: str | None = None) -> QuerySet:
        """Return the query set of the user; for None, that of the encoded dataset.

        Args:
            asked: The query set of the user.
            judged_by: Judgements of the user, in place of those of the encoded dataset.
        """
        return own_queries(self.embeddings, judged_by) if asked is None else asked

    def open(self) -> EmbeddingSet:
        """Open the embedding set."""
        return self.store.embeddings(self.embeddings.id)

    def load(self, scoring: Scoring, *, trust_code: bool) -> LoadedModel:
        """Load the model.

        Raises:
            ModelError: The model has no q-nets of the width in ``scoring``.
        """
        from hypencli.models.encoding import refuse_width

        device = resolve_device(scoring.device)
        loaded = load_model(self.store, self.model, device=device, trust_code=trust_code)
        if scoring.width is not None:
            refuse_width(loaded.dual.query_encoder, scoring.width)
        return loaded


def has_q_nets(model: Manifest) -> bool:
    """Return whether a model makes q-nets. Otherwise it makes query vectors."""
    return model.stats["architecture"] == "HypencoderDualEncoder"
