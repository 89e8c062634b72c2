"""The retriever of LangChain, by LangChain's own conformance tests and in a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests

from hypencli.api import Project
from hypencli.integrations.langchain import HypeRetriever


class TestConformance(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, finished_study: Path) -> None:
        self.folder = finished_study

    @property
    def retriever_constructor(self) -> type[HypeRetriever]:
        return HypeRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": str(self.folder), "model": "hyper"}

    @property
    def retriever_query_example(self) -> str:
        return "what is a river"


def test_documents_are_those_of_the_store_in_a_chain(project: Project) -> None:
    retriever = HypeRetriever(store=str(project.store.root), model="plain", k=4)
    chain = retriever | RunnableLambda(lambda documents: [one.metadata for one in documents])
    expected = project.query("what is a river", model="plain", k=4).hits
    assert chain.invoke("what is a river") == [
        {"id": hit.doc_id, "score": hit.score, "rank": hit.rank} for hit in expected
    ]
    assert [one.page_content for one in retriever.invoke("what is a river")] == [
        hit.text for hit in expected
    ]
