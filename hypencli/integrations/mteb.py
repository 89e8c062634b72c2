"""A search model for MTEB (``mteb`` 2.26 and later).

import mteb
from hypencli.integrations.mteb import MtebSearch

results = mteb.evaluate(MtebSearch("jfkback/hypencoder.6_layer"), tasks)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mteb.models import ModelMeta

from hypencli.api import Model, load
from hypencli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BATCH = 64
"""Queries whose q-nets are in memory at once."""


class MtebSearch:
    """Searches exactly with a Hypencoder or bi-encoder, as MTEB's ``SearchProtocol`` asks.

    The vectors of a corpus are in memory.

    Args:
        model: A loaded model, a folder, a name on the hub, or the name of a model in the store
            around the current folder.
        max_length: Maximum number of tokens of a document.
        query_max_length: Maximum number of tokens of a query.
        name: Name of the model in results, as ``organisation/model``.
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        max_length: int = 512,
        query_max_length: int = 64,
        name: str | None = None,
    ) -> None:
        self._model = model if isinstance(model, Model) else load(model)
        self._max_length = max_length
        self._query_max_length = query_max_length
        self._name = name or (f"hype/{Path(str(model)).name}" if model is not self._model else None)
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._vectors: npt.NDArray[np.float32] | None = None

    @cached_property
    def mteb_model_meta(self) -> ModelMeta:
        """The description of the model that MTEB writes into its results."""
        return ModelMeta.create_empty(
            overwrites={"name": self._name or "hype/model", "embed_dim": self._model.dim}
        )

    def index(self, corpus: Iterable[Mapping[str, Any]], **settings: Any) -> None:
        """Encode a corpus; rows have ``id``, ``text`` and perhaps ``title``.

        Args:
            corpus: The documents.
            **settings: What MTEB says of its task; none of it changes a vector.
        """
        rows = list(corpus)
        self._ids = [str(row["id"]) for row in rows]
        self._places = {doc_id: place for place, doc_id in enumerate(self._ids)}
        texts = [_text(row) for row in rows]
        self._vectors = self._model.encode_passages(texts, max_length=self._max_length)

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None,
        **settings: Any,
    ) -> dict[str, dict[str, float]]:
        """Return the best ``top_k`` documents of each query with their scores.

        Args:
            queries: Rows with ``id`` and ``text``.
            top_k: Number of documents.
            top_ranked: Query id -> documents to rank, for a task of reranking.
            **settings: What MTEB says of its task.

        Raises:
            UsageError: ``index`` was not called before.
        """
        if self._vectors is None:
            raise UsageError("There is nothing to search.", hint="Call index(corpus) first.")
        rows = [(str(row["id"]), str(row["text"])) for row in queries]
        ranked: dict[str, dict[str, float]] = {}
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            rankings = self._rank(self._vectors, batch, top_k, top_ranked)
            ranked |= {
                query_id: dict(one) for (query_id, _), one in zip(batch, rankings, strict=True)
            }
        return ranked

    def _rank(
        self,
        vectors: npt.NDArray[np.float32],
        batch: list[tuple[str, str]],
        k: int,
        top_ranked: Mapping[str, list[str]] | None,
    ) -> list[Any]:
        """Rank all documents, or those that are listed for each query, by the project's engines."""
        import numpy as np

        from hypencli.engine.corpus import VectorCorpus
        from hypencli.engine.exact import ExactEngine
        from hypencli.engine.rerank import RerankEngine

        texts = [text for _, text in batch]
        scorer = self._model.encode_queries(texts, max_length=self._query_max_length).scorer()
        corpus = VectorCorpus(vectors, self._ids)
        if top_ranked is None:
            return ExactEngine(corpus, device=self._model.device).search(scorer, k=k).rankings
        listed = ([self._places[one] for one in top_ranked.get(query, ())] for query, _ in batch)
        candidates = [np.asarray(places, dtype=np.int64) for places in listed]
        engine = RerankEngine(corpus, candidates, device=self._model.device)
        return engine.search(scorer, k=k).rankings


def _text(row: Mapping[str, Any]) -> str:
    """The title and the text of a document, as MTEB's own models read them."""
    title, text = str(row.get("title") or ""), str(row.get("text") or "")
    return f"{title} {text}".strip()
