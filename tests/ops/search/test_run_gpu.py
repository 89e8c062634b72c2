"""A search of a store on a GPU: the documents of the CPU, whatever scores them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hypencli.data.queries import open_queries
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Scoring, SearchOptions
from hypencli.ops.search.run import search
from hypestore import Store

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("scan", ["float32", "bfloat16"])
def test_the_documents_are_those_of_a_cpu(study: Path, tiny_collection: Path, scan: str) -> None:
    store, queries = Store.open(study), open_queries(tiny_collection / "queries.jsonl")
    rankings = []
    for device in ("cpu", "cuda"):
        options = SearchOptions(
            k=5, engine=EngineSpec(options={"scan": scan}), scoring=Scoring(device=device)
        )
        outcome = search(store, queries, ModelSource("hyper"), options)
        results = store.run(outcome.run).by_query()
        rankings.append({query: results.doc_ids(query) for query in results.query_ids})
        store.remove(outcome.run, force=True)
    assert rankings[0] == rankings[1]
