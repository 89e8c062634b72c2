"""A retriever for LangChain (``langchain-core`` 1.x).

from hypencli.integrations.langchain import HypeRetriever

retriever = HypeRetriever(store="study", model="hyper", k=5)
documents = retriever.invoke("what is the river bank")
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from hypencli.integrations.opening import StoreAnswers


class HypeRetriever(BaseRetriever):
    """Retrieves the best documents of a project store.

    Each document has its id, its text (empty if the store keeps none), and ``score`` and ``rank``
    in its metadata.

    Attributes:
        store: Folder of the project store; None searches the current folder and its parents.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        engine: Name of an engine; None selects ``exact``.
        k: Number of documents.
        options: Further options of :meth:`hypencli.Project.query`, such as ``corpus``.
    """

    store: str | None = None
    model: str | None = None
    engine: str | None = None
    k: int = Field(default=10, ge=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @cached_property
    def _opened(self) -> StoreAnswers:
        return StoreAnswers(self.store, model=self.model, engine=self.engine, options=self.options)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
    ) -> list[Document]:
        (answer,) = self._opened.answers([query], self.k if k is None else k)
        return [
            Document(
                id=hit.doc_id,
                page_content=hit.text or "",
                metadata={"id": hit.doc_id, "score": hit.score, "rank": hit.rank},
            )
            for hit in answer.hits
        ]
