"""What a search needs of a store before anything is opened: a model and vectors that fit it."""

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
    """A model, and an embedding set that it searches.

    Attributes:
        store: The project store that has both.
        model: The model.
        embeddings: The embedding set.
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
        """Find the model, and choose the embedding set by the options, else by the queries' corpus.

        Raises:
            UsageError: No embedding set fits the model and the corpus, or several do.
        """
        manifest = find_model(store, model, progress)
        chosen = choose_embeddings(
            store,
            manifest,
            named=target.embeddings,
            corpus=target.corpus or (None if queries is None else queries.corpus_id),
            progress=progress,
        )
        return cls(store, manifest, chosen)

    @property
    def has_q_nets(self) -> bool:
        """Whether queries become q-nets; else they are vectors."""
        return has_q_nets(self.model)

    @property
    def id_prefix(self) -> str:
        """How ids of runs and calibrations begin: corpus and model."""
        return f"{self.embeddings.id.rpartition('-')[0]}-{self.model.name or self.model.id}"

    def queries(self, asked: QuerySet | None) -> QuerySet:
        """The queries that were asked; None takes those of the encoded dataset."""
        return own_queries(self.embeddings) if asked is None else asked

    def open(self) -> EmbeddingSet:
        """The documents."""
        return self.store.embeddings(self.embeddings.id)

    def load(self, scoring: Scoring, *, trust_code: bool) -> LoadedModel:
        """The model in memory.

        Raises:
            ModelError: It has no q-nets of the width that is asked for.
        """
        from hypencli.models.encoding import refuse_width

        device = resolve_device(scoring.device)
        loaded = load_model(self.store, self.model, device=device, trust_code=trust_code)
        if scoring.width is not None:
            refuse_width(loaded.dual.query_encoder, scoring.width)
        return loaded


def has_q_nets(model: Manifest) -> bool:
    """Whether the queries of a model become q-nets; else they are vectors."""
    return model.stats["architecture"] == "HypencoderDualEncoder"
