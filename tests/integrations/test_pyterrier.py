"""PyTerrier: an experiment, pipelines with its operators, and an indexer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyterrier as pt
import pytest

import hypencli
from hypencli.api import Project
from hypencli.data.qrels import read_qrels
from hypencli.errors import DataError
from hypencli.integrations.pyterrier import HypeIndexer, HypeRetriever, HypeScorer


@pytest.fixture(scope="module")
def topics(tiny_collection: Path) -> pd.DataFrame:
    lines = (tiny_collection / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return pd.DataFrame(
        {"qid": [row["id"] for row in rows], "query": [row["text"] for row in rows]}
    )


@pytest.fixture(scope="module")
def qrels(tiny_collection: Path) -> pd.DataFrame:
    judged = read_qrels(str(tiny_collection / "qrels.txt")).qrels
    rows = [(query, doc, grade) for query, own in judged.items() for doc, grade in own.items()]
    return pd.DataFrame(rows, columns=["qid", "docno", "label"])


def test_an_experiment_has_the_figures_of_hype_eval(
    project: Project, tiny_collection: Path, topics: pd.DataFrame, qrels: pd.DataFrame
) -> None:
    systems = {
        name: HypeRetriever(
            project, model=name, num_results=20, options={"embeddings": f"{name}-docs"}
        )
        for name in ("hyper", "plain")
    }
    systems |= {
        "bm25": HypeRetriever(project, engine="bm25", num_results=20),
    }
    measures = [pt.measures.nDCG @ 10, pt.measures.R @ 20]
    table = pt.Experiment(
        list(systems.values()), topics, qrels, measures, names=list(systems)
    ).set_index("name")
    words = project.search(tiny_collection / "queries.jsonl", engine="bm25", k=20)
    for name, run in {"hyper": "hyper-run", "plain": "plain-run", "bm25": words.run}.items():
        evaluated = project.evaluate(
            run, tiny_collection / "qrels.txt", measures=["nDCG@10", "R@20"]
        )
        for measure, value in evaluated.aggregates.items():
            assert table.loc[name, measure] == pytest.approx(value, abs=1e-9)


def test_results_are_frames_with_ranks_from_0(project: Project, topics: pd.DataFrame) -> None:
    retriever = HypeRetriever(project, model="hyper", num_results=5, text=True)
    results = retriever(topics.assign(kept=range(len(topics))))
    assert list(results.columns) == ["qid", "query", "kept", "docno", "score", "rank", "text"]
    for _, own in results.groupby("qid"):
        assert own["rank"].tolist() == list(range(5))
        assert own["score"].is_monotonic_decreasing
    assert len(retriever(topics.iloc[:0])) == 0
    assert set(pt.inspect.transformer_outputs(retriever, ["qid", "query"])) == {
        "qid",
        "query",
        "docno",
        "score",
        "rank",
        "text",
    }


def test_a_cutoff_is_fused_and_operators_work(project: Project, topics: pd.DataFrame) -> None:
    hyper = HypeRetriever(project, model="hyper", num_results=50)
    words = HypeRetriever(project, engine="bm25", num_results=50)
    assert (hyper % 3).compile().num_results == 3
    assert (hyper % 80).compile().num_results == 50
    assert (hyper % 3)(topics)["rank"].max() == 2
    fused = (0.5 * hyper + words)(topics)
    assert set(fused["qid"]) == set(topics["qid"])


def test_a_scorer_ranks_the_candidates_of_bm25(project: Project, topics: pd.DataFrame) -> None:
    words = HypeRetriever(project, engine="bm25", num_results=10, text=True)
    place = project.store.get("hyper", kind="model")
    scorer = HypeScorer(project.store.root / "models" / place.id)
    results = (words >> scorer)(topics)
    model = hypencli.load(project.store.root / "models" / place.id)
    for query, own in results.groupby("query"):
        expected = model.encode_queries([query])(model.encode_passages(own["text"].tolist()))[0]
        assert own["score"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
        assert own["rank"].tolist() == list(range(len(own)))
        assert own["score"].is_monotonic_decreasing
    assert set(results["docno"]) == set(words(topics)["docno"])


def test_an_indexer_makes_a_store(project: Project, tmp_path: Path) -> None:
    place = project.store.get("hyper", kind="model")
    model = str(project.store.root / "models" / place.id)
    documents = [{"docno": "a", "text": "a river"}, {"docno": "b", "text": "a star"}]
    retriever = HypeIndexer(tmp_path / "made", model=model).index(iter(documents))
    found = retriever.search("river")
    assert set(found["docno"]) == {"a", "b"}
    with pytest.raises(DataError, match="no text"):
        HypeIndexer(tmp_path / "made", model=model).index([{"docno": "a"}])
    with pytest.raises(DataError, match="docno 'a'"):
        HypeIndexer(tmp_path / "made", model=model).index([documents[0], documents[0]])
