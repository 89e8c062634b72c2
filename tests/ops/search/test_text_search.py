"""BM25 over a real store: its run, what reads it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hypencli
from hypencli.data.corpus import open_corpus
from hypencli.data.queries import QuerySet, open_queries, query_set
from hypencli.errors import DataError, UsageError
from hypencli.ops.datasets.mine import MineOptions, mine
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.search.ask import open_asker
from hypencli.ops.search.fuse import fuse
from hypencli.ops.search.options import EngineSpec, Output, Scoring, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.search.two_stages import first_stage, search_in_two_stages
from hypencli.records import Query
from hypestore import ArtifactNotFound, Store

NO_MODEL, HYPER = ModelSource(), ModelSource("hyper")
WALK = {"entry_points": 12, "candidates": 4, "max_iterations": 1}


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def queries(tiny_collection: Path) -> QuerySet:
    return open_queries(tiny_collection / "queries.jsonl")


def by_bm25(settings: dict[str, object] | None = None, **more: Any) -> SearchOptions:
    return SearchOptions(k=20, engine=EngineSpec("bm25", settings or {}), **more)


def rankings(store: Store, run: str) -> dict[str, list[tuple[str, float]]]:
    return store.run(run).results()


def test_the_run_names_texts_and_options_and_no_model(store: Store, queries: QuerySet) -> None:
    done = search(store, queries, NO_MODEL, by_bm25({"k1": "1.2"}, output=Output(name="words")))
    run = store.get("words", kind="run")
    docs = store.get("hyper-docs", kind="embeddings")
    assert (done.model, done.engine, done.n_documents) == (None, "bm25", 120)
    assert run.parents == (docs.id,)
    assert run.inputs["model"] is None
    assert {name: run.inputs[name] for name in ("k1", "b", "stemmer", "stopwords", "pattern")} == {
        "k1": 1.2,
        "b": 0.4,
        "stemmer": "porter",
        "stopwords": "english",
        "pattern": r"\w+",
    }
    assert done.n_results == len(store.run("words").table()) > 0


def test_tables_show_no_model(store: Store, queries: QuerySet, tiny_collection: Path) -> None:
    qrels = str(tiny_collection / "qrels.txt")
    search(store, queries, NO_MODEL, by_bm25(output=Output(name="words", qrels=qrels)))
    rows = store.catalog.query("SELECT DISTINCT name, model FROM leaderboard ORDER BY name").rows
    assert ("words", None) in rows
    assert ("hyper-run", "hyper") in rows


def test_the_same_search_is_done_once_and_other_options_make_another_run(
    store: Store, queries: QuerySet
) -> None:
    once, again, other = (
        search(store, queries, NO_MODEL, by_bm25(settings))
        for settings in ({}, {"b": "0.4"}, {"b": "0.7"})
    )
    assert again.existing
    assert again.run == once.run
    assert not other.existing
    assert other.run != once.run


def test_sets_of_one_content_are_the_same_texts(
    store: Store, queries: QuerySet, tiny_collection: Path
) -> None:
    """Both models encoded the same corpus, so nothing has to be named."""
    assert len(store.artifacts("embeddings")) == 2
    done = search(store, queries, NO_MODEL, by_bm25())
    assert done.embeddings == store.get("hyper-docs", kind="embeddings").id
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    encode(store, corpus, HYPER, EncodeOptions(limit=10, name="ten"))
    with pytest.raises(UsageError, match="Several embedding sets"):
        search(store, queries, NO_MODEL, by_bm25())
    named = search(store, queries, NO_MODEL, by_bm25(target=Target(embeddings="ten")))
    assert named.n_documents == 10


def test_a_question_is_answered_as_a_query_set_is(store: Store, queries: QuerySet) -> None:
    done = search(store, queries, NO_MODEL, by_bm25())
    asker = open_asker(store, NO_MODEL, by_bm25())
    for query in list(queries)[:3]:
        answer = asker.ask(query.text, k=5)
        expected = rankings(store, done.run)[query.query_id][:5]
        assert [(hit.doc_id, hit.score) for hit in answer.hits] == expected
        assert all(hit.text for hit in answer.hits)
    project = hypencli.open_store(store.root)
    assert project.query(query.text, engine="bm25", k=5).hits == answer.hits
    with pytest.raises(DataError, match="empty"):
        asker.ask(" ")


def test_its_documents_are_reranked_and_are_a_first_stage(store: Store, queries: QuerySet) -> None:
    first = search(store, queries, NO_MODEL, by_bm25())
    reranked = search(
        store, queries, HYPER, SearchOptions(k=20, engine=EngineSpec("rerank", {"run": first.run}))
    )
    stage = first_stage(ModelSource("bm25"), EngineSpec("exact"), k=20)
    both = search_in_two_stages(store, queries, HYPER, stage, SearchOptions(k=20))
    assert both.first.run == first.run
    assert both.second.run == reranked.run
    for query_id, ranking in rankings(store, first.run).items():
        assert {doc_id for doc_id, _ in ranking} == {
            doc_id for doc_id, _ in rankings(store, reranked.run)[query_id]
        }


def test_it_is_fused_and_negatives_are_mined_from_it(
    store: Store, queries: QuerySet, tiny_collection: Path, tmp_path: Path
) -> None:
    done = search(store, queries, NO_MODEL, by_bm25())
    assert fuse(store, [done.run, "hyper-run"]).n_queries == len(queries)
    rows = tmp_path / "rows.jsonl"
    wanted = MineOptions(output=rows, qrels=str(tiny_collection / "qrels.txt"))
    assert mine(store, done.run, wanted).counts.negatives > 0


def test_a_graph_search_begins_with_its_documents(store: Store, queries: QuerySet) -> None:
    docs = store.get("hyper-docs", kind="embeddings")
    build_graph(store, docs, GraphOptions(k=8))
    words = search(store, queries, NO_MODEL, by_bm25(output=Output(name="bm25")))
    options = SearchOptions(k=20, engine=EngineSpec("graph", {**WALK, "seeds": "bm25"}))
    seeded = search(store, queries, HYPER, options)
    run = store.get(seeded.run)
    assert run.inputs["run"] == words.run
    assert "seeds" not in run.inputs
    assert words.run in run.parents
    for query_id, ranking in rankings(store, seeded.run).items():
        seeds = {doc_id for doc_id, _ in rankings(store, words.run)[query_id][:12]}
        assert seeds <= {doc_id for doc_id, _ in ranking}
        assert len(ranking) == 12  # as many as entry points, after one step
    with pytest.raises(UsageError, match="no documents for a new question"):
        open_asker(store, HYPER, options)
    with pytest.raises(ArtifactNotFound, match="nosuch"):
        search(
            store,
            queries,
            HYPER,
            SearchOptions(engine=EngineSpec("graph", {**WALK, "seeds": "nosuch"})),
        )


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (HYPER, by_bm25(), "`model` means nothing"),
        (NO_MODEL, by_bm25(output=Output(check=3)), "`check` means nothing"),
        (NO_MODEL, by_bm25(output=Output(again=True)), "`again` means nothing"),
        (NO_MODEL, by_bm25(scoring=Scoring(width=4)), "`width` means nothing"),
        (NO_MODEL, by_bm25({"k1": "-1"}), "k1"),
        (NO_MODEL, by_bm25({"stemmer": "klingon"}), "no stemmer 'klingon'"),
        (NO_MODEL, by_bm25({"ef_search": "3"}), "ef_search is an option of"),
    ],
)
def test_what_means_nothing_is_refused_and_nothing_is_stored(
    store: Store, queries: QuerySet, model: ModelSource, options: SearchOptions, message: str
) -> None:
    before = len(store.artifacts("run")), len(store.unfinished())
    with pytest.raises(UsageError, match=message):
        search(store, queries, model, options)
    assert (len(store.artifacts("run")), len(store.unfinished())) == before


def test_no_queries_and_no_texts_are_refused(store: Store, tiny_collection: Path) -> None:
    with pytest.raises(DataError, match="no queries"):
        search(store, query_set("none", []), NO_MODEL, by_bm25())
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    encode(store, corpus, HYPER, EncodeOptions(keep_text=False, name="silent"))
    silent = by_bm25(target=Target(embeddings="silent"))
    with pytest.raises(UsageError, match="silent was made without texts"):
        search(store, query_set("one", [Query("a", "a river")]), NO_MODEL, silent)
