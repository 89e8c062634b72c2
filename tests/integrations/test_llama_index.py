"""The retriever of LlamaIndex, alone and in a query pipeline."""

from __future__ import annotations

import pytest
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import QueryBundle

from hypencli.api import Project
from hypencli.errors import DataError
from hypencli.integrations.llama_index import HypeRetriever


def test_nodes_are_those_of_the_store(project: Project) -> None:
    expected = project.query("what is a river", model="hyper", k=5).hits
    retriever = HypeRetriever(project, model="hyper", k=5)
    nodes = retriever.retrieve("what is a river")
    assert [(one.node.node_id, one.score, one.node.get_content()) for one in nodes] == [
        (hit.doc_id, hit.score, hit.text) for hit in expected
    ]
    with pytest.raises(DataError, match="empty"):
        retriever.retrieve(" ")


def test_a_later_step_takes_its_scores(project: Project) -> None:
    retriever = HypeRetriever(project, model="plain", k=5)
    nodes = retriever.retrieve(QueryBundle("what is a river"))
    cutoff = nodes[1].score
    kept = SimilarityPostprocessor(similarity_cutoff=cutoff).postprocess_nodes(nodes)
    assert [one.node.node_id for one in kept] == [
        one.node.node_id for one in nodes if one.score >= cutoff
    ]
