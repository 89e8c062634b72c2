"""Steps over a corpus: its vectors, and the graph of its documents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.errors import DataError, MissingDependencyError
from hypencli.ops.encode import EncodeOptions, EncodePlan, bytes_of_vectors, encode
from hypencli.ops.encode import plan as plan_encode
from hypencli.ops.graphs.build import build_graph, existing_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.graphs.registry import AUTO_EXACT_DOCUMENTS, installed_builder
from hypencli.ops.replicate.estimate import UNKNOWN, Estimate, count_of
from hypencli.ops.replicate.input_steps import ModelStep, PrepareStep
from hypencli.ops.replicate.step import ReplicationContext, Step, StepKind, short
from hypencli.packages import install_command
from hypencli.progress import Progress
from hypestore import Manifest

BYTES_PER_NEIGHBOUR = 4

_ENCODING = {
    "cuda": (540.0, "a BERT base on a V100, by the figures of sentence-transformers"),
    "cpu": (30.0, "a BERT base on 8 cores, by the figures of sentence-transformers"),
}
"""Kind of device -> documents per second, and the source of the figure."""

_WIDTH = 768
"""Width of the vectors of BERT base, assumed for a model that is not in the store yet."""


@dataclass(frozen=True, slots=True)
class EncodeStep(Step):
    """Encodes a corpus with a model, for all datasets over the corpus.

    Attributes:
        model: The model.
        corpus: Corpus to encode.
        prepared: The step that prepares the corpus, if any.
    """

    kind: ClassVar[StepKind] = "encode"

    model: ModelStep
    corpus: str
    prepared: tuple[PrepareStep, ...]

    @property
    def needs(self) -> tuple[Step, ...]:
        """The model, and the preparation of the corpus if any."""
        return (self.model, *self.prepared)

    def __str__(self) -> str:
        return f"encode {short(self.corpus)} with {short(self.model.source)}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the embedding set if it is finished."""
        planned = self._plan(context)
        if planned is None or not planned.finished:
            return None
        return context.store.get(planned.embeddings, "embeddings")

    def require(self, context: ReplicationContext) -> None:
        """Refuse a missing corpus that no step prepares."""
        if not self.prepared:
            context.corpus(self.corpus)

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Estimate the time for the remaining documents by a rate."""
        planned, count = self._plan(context), self.n_documents(context)
        if count is None:
            return UNKNOWN
        done = 0 if planned is None else planned.shards_done
        left = max(0, count - done * self._options(context).shard_rows)
        model = context.manifest_if_done(self.model)
        rate = context.rates.find("embeddings", partial(_encoded_by, model), _ENCODING)
        seconds = basis = None
        if rate is not None:
            seconds = left / rate.per_second
            basis = f"encoding {rate.per_second:,.0f} documents/s, {rate.source}"
        if planned is not None and planned.bytes_on_disk is not None and count:
            return Estimate(seconds, planned.bytes_on_disk * left // count, basis)
        width = None if model is None else model.stat_int("dim")
        size = bytes_of_vectors(left, width or _WIDTH, context.recipe.encoding.storage_dtype)
        assumed = f"vectors {_WIDTH} wide, assumed: a BERT base" if width is None else None
        return Estimate(seconds, size, basis, assumed)

    def note(self, context: ReplicationContext) -> str | None:
        """Return the number of finished shards."""
        planned = self._plan(context)
        if planned is None or not planned.shards_done:
            return None
        return f"{planned.shards_done} of {planned.n_shards} shards are done"

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Encode the corpus."""
        corpus = open_corpus(context.place(self.corpus))
        source, options = context.model_of(self.model), self._options(context)
        done = encode(context.store, corpus, source, options, progress)
        return context.store.get(done.embeddings, "embeddings")

    def n_documents(self, context: ReplicationContext) -> int | None:
        """Return the number of documents to encode; None if unknown."""
        corpus, limit = self._corpus(context), context.recipe.encoding.limit
        count = None if corpus is None else corpus.count
        return count if limit is None else min(limit, count or limit)

    def _plan(self, context: ReplicationContext) -> EncodePlan | None:
        """Plan the encoding; None if the model or the corpus is missing."""
        corpus = self._corpus(context)
        if corpus is None or not context.is_done(self.model):
            return None
        source, options = context.model_of(self.model), self._options(context)
        return plan_encode(context.store, corpus, source, options)

    def _corpus(self, context: ReplicationContext) -> Corpus | None:
        """Open the corpus; None if its documents are missing."""
        try:
            return context.corpus(self.corpus)
        except DataError:
            return None

    def _options(self, context: ReplicationContext) -> EncodeOptions:
        return EncodeOptions(**context.recipe.encoding.model_dump(), device=context.device)


def _encoded_by(model: Manifest | None, embeddings: Manifest) -> int:
    """Return how many documents the last process encoded with this model; 0 for another model."""
    if model is None or model.id not in embeddings.parents:
        return 0
    return count_of(embeddings, "encoded_by_last_process")


@dataclass(frozen=True, slots=True)
class GraphStep(Step):
    """Builds the neighbour graph of a corpus."""

    kind: ClassVar[StepKind] = "graph"

    encode: EncodeStep

    @property
    def needs(self) -> tuple[Step, ...]:
        """The embeddings."""
        return (self.encode,)

    def __str__(self) -> str:
        return f"graph of {short(self.encode.corpus)} with {short(self.encode.model.source)}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return a graph that fits."""
        embeddings = context.manifest(self.encode)
        return existing_graph(context.store, embeddings, self._options(context))

    def require(self, context: ReplicationContext) -> None:
        """Refuse a large corpus if no approximate builder is installed."""
        count = self.encode.n_documents(context)
        is_large = count is not None and count > AUTO_EXACT_DOCUMENTS
        if context.recipe.graph.builder == "auto" and is_large and installed_builder() is None:
            raise MissingDependencyError(
                "no package for an approximate graph of so many documents is installed.",
                hint=f"{install_command('pynndescent')}, or set graph.builder to exact",
            )

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Estimate the size by the neighbours, and the time by an exact graph of the store."""
        count = self.encode.n_documents(context)
        if count is None:
            return UNKNOWN
        on_disk = count * context.recipe.graph.k * BYTES_PER_NEIGHBOUR
        rate = context.rates.find("graph", _pairs_compared, {})
        if rate is None or count > AUTO_EXACT_DOCUMENTS:
            return Estimate(None, on_disk)
        basis = f"neighbours {rate.per_second:,.0f} pairs/s, {rate.source}"
        return Estimate(count * count / rate.per_second, on_disk, basis)

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Return a graph that fits, else build one."""
        existing = self.existing(context)
        if existing is not None:
            return existing
        embeddings, options = context.manifest(self.encode), self._options(context)
        done = build_graph(context.store, embeddings, options, progress)
        return context.store.get(done.graph, "graph")

    def _options(self, context: ReplicationContext) -> GraphOptions:
        return GraphOptions(**context.recipe.graph.model_dump(), device=context.device)


def _pairs_compared(graph: Manifest) -> int:
    """Return how many document pairs an exact builder compared; 0 for other builders."""
    return count_of(graph, "n_documents") ** 2 if graph.inputs.get("builder") == "exact" else 0
