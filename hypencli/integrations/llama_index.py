"""A retriever for LlamaIndex (``llama-index-core`` 0.14).

from hypencli.integrations.llama_index import HypeRetriever

retriever = HypeRetriever("study", model="hyper", k=5)
nodes = retriever.retrieve("what is the river bank")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from hypencli.api import Project
from hypencli.integrations.opening import StoreAnswers


class HypeRetriever(BaseRetriever):
    """Retrieves the best documents of a project store as nodes with scores.

    Args:
        store: Folder of the project store, or an open project; None searches the current folder and
            its parents.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        engine: Name of an engine; None selects ``exact``.
        k: Number of documents.
        options: Further options of :meth:`hypencli.Project.query`.

    Raises:
        StoreNotFound: There is no store.
    """

    def __init__(
        self,
        store: str | Path | Project | None = None,
        *,
        model: str | None = None,
        engine: str | None = None,
        k: int = 10,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._opened = StoreAnswers(store, model=model, engine=engine, options=options)
        self._k = k
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        (answer,) = self._opened.answers([query_bundle.query_str], self._k)
        return [
            NodeWithScore(node=TextNode(id_=hit.doc_id, text=hit.text or ""), score=hit.score)
            for hit in answer.hits
        ]
