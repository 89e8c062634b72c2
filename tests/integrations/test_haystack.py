"""The retriever of Haystack, in a pipeline and through a file of it."""

from __future__ import annotations

import pytest
from haystack import Pipeline
from haystack.components.joiners import DocumentJoiner

from hypencli.api import Project
from hypencli.errors import UsageError
from hypencli.integrations.haystack import HypeRetriever

QUESTION = "what is a river"


def test_a_pipeline_joins_two_models(project: Project) -> None:
    store = str(project.store.root)
    pipeline = Pipeline()
    pipeline.add_component("hyper", HypeRetriever(store, model="hyper", top_k=3))
    pipeline.add_component("words", HypeRetriever(store, engine="bm25"))
    pipeline.add_component("join", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
    pipeline.connect("hyper", "join")
    pipeline.connect("words", "join")
    asked = {"hyper": {"query": QUESTION}, "words": {"query": QUESTION, "top_k": 2}}
    adapter = "hypencli.integrations.haystack"
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=[adapter])
    found = again.run(asked)["join"]["documents"]
    expected = {hit.doc_id for hit in project.query(QUESTION, model="hyper", k=3).hits}
    expected |= {hit.doc_id for hit in project.query(QUESTION, engine="bm25", k=2).hits}
    assert {one.id for one in found} == expected
    assert all(one.content for one in found)


def test_filters_are_refused(project: Project) -> None:
    retriever = HypeRetriever(str(project.store.root), model="hyper")
    with pytest.raises(UsageError, match="no metadata to filter by"):
        retriever.run(QUESTION, filters={"field": "meta.year", "operator": "==", "value": 1})
