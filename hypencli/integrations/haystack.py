"""A retriever component for Haystack (``haystack-ai`` 3.x).

from hypencli.integrations.haystack import HypeRetriever

pipeline.add_component("retriever", HypeRetriever("study", model="hyper", top_k=5))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from hypencli.integrations.opening import StoreAnswers, refuse_filters


@component
class HypeRetriever:
    """Retrieves the best documents of a project store.

    Args:
        store: Folder of the project store; None searches the current folder and its parents.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        engine: Name of an engine; None selects ``exact``.
        top_k: Number of documents.
        options: Further options of :meth:`hypencli.Project.query`.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        model: str | None = None,
        engine: str | None = None,
        top_k: int = 10,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings: dict[str, Any] = {
            "store": store,
            "model": model,
            "engine": engine,
            "top_k": top_k,
            "options": dict(options or {}),
        }
        self._opened: StoreAnswers | None = None

    def warm_up(self) -> StoreAnswers:
        """Open the store, unless it is open.

        Raises:
            StoreNotFound: There is no store.
        """
        if self._opened is None:
            settings = {name: self._settings[name] for name in ("model", "engine", "options")}
            self._opened = StoreAnswers(self._settings["store"], **settings)
        return self._opened

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Retrieve documents for a query.

        Args:
            query: The question.
            filters: Must be empty: a store has no metadata.
            top_k: Number of documents; None selects that of the component.

        Returns:
            ``documents``, best first, each with its score.

        Raises:
            UsageError: There is a filter, or no embedding set fits the model.
            DataError: The question is empty.
        """
        refuse_filters(filters, "Haystack")
        (answer,) = self.warm_up().answers([query], top_k or self._settings["top_k"])
        return {
            "documents": [
                Document(id=hit.doc_id, content=hit.text, score=hit.score) for hit in answer.hits
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a dictionary, for pipelines in files."""
        settings: dict[str, Any] = default_to_dict(self, **self._settings)
        return settings

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HypeRetriever:
        """Make the component from a dictionary of :meth:`to_dict`."""
        made: HypeRetriever = default_from_dict(cls, data)
        return made
