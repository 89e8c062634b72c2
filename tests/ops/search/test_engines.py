"""Searches by every engine over a real store: what a run records, and what is refused."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.queries import QuerySet, open_queries, query_set
from hypencli.engine.parameters import GuidedOptions, WalkOptions
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.errors import DataError, UsageError
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import EngineSpec, Output, Scoring, Searched, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.progress import SilentProgress
from hypencli.records import Query
from hypestore import ArtifactNotFound, Manifest, Store

HYPER, PLAIN = ModelSource("hyper"), ModelSource("plain")
WALK = {"entry_points": 12, "candidates": 4, "max_iterations": 3}
BUDGET = {"budget": 40}


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


@pytest.fixture
def queries(tiny_collection: Path) -> QuerySet:
    return open_queries(tiny_collection / "queries.jsonl")


@pytest.fixture
def graph(store: Store) -> Manifest:
    """The eight neighbours of every document, of the vectors that both models' q-nets take."""
    docs = store.get("hyper-docs", kind="embeddings")
    return store.get(build_graph(store, docs, GraphOptions(k=8, name="near")).graph)


def options(
    engine: str, settings: dict[str, Any] | None = None, recall: float | None = None, **more: Any
) -> SearchOptions:
    """A search for 20 documents by an engine, with options of its own or those of the tests."""
    of_engine: dict[str, dict[str, Any]] = {
        "graph": WALK,
        "guided": BUDGET,
        "rerank": {"run": "plain-run"},
    }
    spec = EngineSpec(engine, of_engine.get(engine, {}) if settings is None else settings, recall)
    return SearchOptions(**{"k": 20, "engine": spec, **more})


def model_of(engine: str) -> ModelSource:
    return HYPER if engine in ("graph", "guided", "rerank") else PLAIN


class Told(SilentProgress):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def rankings(store: Store, run: str) -> Mapping[str, list[tuple[str, float]]]:
    return store.run(run).results()


def scores_of_all(store: Store, queries: QuerySet, model: ModelSource) -> dict[str, Any]:
    """Query id -> document id -> score, by exact search of the whole corpus."""
    searched = search(store, queries, model, SearchOptions(k=120, output=Output(name="all")))
    scores = {query: dict(ranking) for query, ranking in rankings(store, searched.run).items()}
    store.remove(searched.run, force=True)
    return scores


HNSWLIB = pytest.param("hnsw", marks=pytest.mark.hnswlib)


def walk_inputs(graph: Manifest) -> dict[str, Any]:
    inputs = {**asdict(WalkOptions(**WALK)), "graph": graph.id}
    del inputs["seeds"]  # the run is an input, not its name
    return inputs


ENGINES = ["graph", "guided", "rerank", HNSWLIB, "faiss-flat"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("graph")
def test_a_run_of_every_engine(store: Store, queries: QuerySet, engine: str) -> None:
    """Ranks without gaps, documents once, the scores of exact search, and how it was done."""
    model = model_of(engine)
    searched = search(store, queries, model, options(engine, output=Output(name="by-engine")))
    run = store.get("by-engine", kind="run")
    assert (searched.run, searched.engine, searched.k, searched.existing) == (
        run.id,
        engine,
        20,
        False,
    )
    assert (searched.n_queries, searched.n_documents) == (12, 120)
    assert f"-{model.name}-{engine}-" in run.id
    assert run.inputs["engine"] == engine
    whole = scores_of_all(store, queries, model)
    n_results = 0
    for query, ranking in rankings(store, run.id).items():
        n_results += len(ranking)
        assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))
        assert dict(ranking) == pytest.approx(
            {doc_id: whole[query][doc_id] for doc_id in dict(ranking)}, abs=1e-5
        )
    assert searched.n_results == n_results == run.stats["n_results"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_names_what_it_was_made_of(
    store: Store, queries: QuerySet, graph: Manifest, engine: str
) -> None:
    plain_run = store.get("plain-run", kind="run")
    by_budget = asdict(GuidedOptions(budget=40))
    del by_budget["recall"], by_budget["confidence"]  # left out, so that runs keep their ids
    expected: dict[str, tuple[dict[str, Any], list[str]]] = {
        "graph": (walk_inputs(graph), [graph.id]),
        "guided": (by_budget, []),
        "rerank": ({"rerank": plain_run.id}, [plain_run.id]),
        "hnsw": (dict(IndexSpec("hnsw", {"ef_search": 50}).options), []),
        "faiss-flat": ({"threads": 0}, []),
    }
    of_engine, parents = expected[engine]
    settings = {"ef_search": 50} if engine == "hnsw" else None
    searched = search(store, queries, model_of(engine), options(engine, settings))
    run = store.get(searched.run)
    name = str(model_of(engine).name)
    docs = store.get(f"{name}-docs")
    assert run.parents == (store.get(name).id, docs.id, *parents)
    exact = store.get(f"{name}-run").inputs
    assert run.inputs == {**exact, **of_engine, "engine": engine}


def test_entry_points_of_a_run_can_be_drawn_again(
    store: Store, queries: QuerySet, graph: Manifest
) -> None:
    """The run records what they follow from: the seed, their number and the corpus."""
    searched = search(store, queries, HYPER, options("graph", {**WALK, "max_iterations": 1}))
    inputs = store.get(searched.run).inputs
    drawn = random.Random(int(str(inputs["seed"]))).sample(range(120), 12)
    ids = store.embeddings("hyper-docs").ids(drawn)
    for ranking in rankings(store, searched.run).values():
        assert sorted(dict(ranking)) == sorted(ids)


@pytest.mark.usefixtures("graph")
def test_evaluations_and_iterations_are_told(store: Store, queries: QuerySet) -> None:
    walked = search(store, queries, HYPER, options("graph"))
    assert walked.evaluations is not None
    assert 12 <= walked.evaluations.min <= walked.evaluations.mean <= walked.evaluations.max
    assert walked.evaluations.max <= 12 + 2 * 4 * 8
    assert walked.iterations is not None
    assert 1 <= walked.iterations.min <= walked.iterations.max <= 3
    guided = search(store, queries, HYPER, options("guided"))
    assert guided.evaluations is not None
    assert (guided.evaluations.min, guided.evaluations.mean, guided.evaluations.max) == (40, 40, 40)
    listed = search(store, queries, HYPER, options("rerank"))
    assert listed.evaluations is not None
    assert (listed.evaluations.min, listed.evaluations.max) == (20, 20)
    for actual in (walked, guided, listed):
        stats = store.get(actual.run).stats
        assert stats["evaluations"] == asdict(actual.evaluations)
        assert stats["iterations"] == asdict(actual.iterations)
        costs = store.run(actual.run).costs()
        assert costs is not None
        assert costs["query_id"].to_pylist() == [query.query_id for query in queries]
        evaluations = costs["evaluations"].to_pylist()
        assert (min(evaluations), max(evaluations)) == (
            actual.evaluations.min,
            actual.evaluations.max,
        )
        assert sum(costs["iterations"].to_pylist()) / len(costs) == actual.iterations.mean


@pytest.mark.parametrize("engine", [HNSWLIB, "faiss-flat"])
def test_a_bi_encoder_evaluates_no_q_nets(store: Store, queries: QuerySet, engine: str) -> None:
    searched = search(store, queries, PLAIN, options(engine))
    assert (searched.evaluations, searched.iterations) == (None, None)
    assert store.run(searched.run).costs() is None
    assert not {"evaluations", "iterations"} & store.get(searched.run).stats.keys()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("graph")
def test_time_is_recorded_apart_for_every_engine(
    store: Store, queries: QuerySet, engine: str
) -> None:
    searched = search(store, queries, model_of(engine), options(engine))
    seconds: Any = store.get(searched.run).stats["seconds"]
    parts = ["query_encoding", "selection", "scoring", "topk", "writing"]
    assert list(seconds) == [*parts, "total"]
    assert sum(seconds[part] for part in parts) == pytest.approx(seconds["total"])
    assert all(seconds[part] > 0 for part in parts if part != "selection")
    assert (seconds["selection"] > 0) == (engine in ("graph", "guided", "rerank"))


@pytest.mark.parametrize(
    ("engine", "everything"),
    [
        ("graph", {}),
        ("guided", {"budget": 120}),
        ("rerank", {"run": "all-of-plain"}),
    ],
)
@pytest.mark.usefixtures("graph")
def test_who_may_look_at_everything_finds_what_exact_search_finds(
    store: Store, queries: QuerySet, engine: str, everything: dict[str, Any]
) -> None:
    """To the last bit."""
    search(store, queries, PLAIN, SearchOptions(k=120, output=Output(name="all-of-plain")))
    searched = search(store, queries, HYPER, options(engine, everything))
    assert rankings(store, searched.run) == rankings(store, "hyper-run")
    assert searched.check is not None
    assert searched.check.recall == {"10": 1.0}


@pytest.mark.parametrize("engine", [HNSWLIB, "faiss-flat", "faiss-hnsw"])
def test_indexes_find_what_exact_search_of_a_bi_encoder_finds(
    store: Store, queries: QuerySet, engine: str
) -> None:
    searched = search(store, queries, PLAIN, options(engine))
    assert [cache.name.startswith(f"index-{engine}") for cache in store.caches()].count(True) == 1
    exact = rankings(store, "plain-run")
    for query, ranking in rankings(store, searched.run).items():
        scores = [score for _, score in ranking]
        assert scores == pytest.approx([score for _, score in exact[query]], abs=1e-5)
    assert searched.check is not None
    assert searched.check.against == store.get("plain-run").id


def test_hnsw_without_hnswlib_is_that_of_faiss(
    store: Store, queries: QuerySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its own name, so that nobody takes the one library's index or run for the other's."""
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    index = {"M": 8, "ef_construction": 60, "ef_search": 50}
    found = search(store, queries, PLAIN, options("hnsw", index))
    assert found.engine == "faiss-hnsw"
    run = store.get(found.run)
    assert index.items() <= run.inputs.items()
    assert [one.name.startswith("index-faiss-hnsw-") for one in store.caches()].count(True) == 1
    same = search(store, queries, PLAIN, options("faiss-hnsw", index))
    assert (same.existing, same.run) == (True, found.run)


def test_engines_of_any_queries_take_a_bi_encoder(store: Store, queries: QuerySet) -> None:
    """Its slope is the query vector: a budget of one batch above k is enough."""
    searched = search(store, queries, PLAIN, options("guided", {"budget": 21}))
    assert rankings(store, searched.run) == rankings(store, "plain-run")
    assert searched.evaluations is None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("graph")
def test_batches_of_queries_change_nothing(store: Store, queries: QuerySet, engine: str) -> None:
    tables = []
    for batch in (None, 1, 5):
        searched = search(
            store, queries, model_of(engine), options(engine, scoring=Scoring(batch_queries=batch))
        )
        tables.append(store.run(searched.run).table())
        store.remove(searched.run, force=True)
    assert tables[1].equals(tables[0])
    assert tables[2].equals(tables[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("graph")
def test_the_same_search_is_done_once(store: Store, queries: QuerySet, engine: str) -> None:
    first = search(store, queries, model_of(engine), options(engine))
    again = search(store, queries, model_of(engine), options(engine))
    assert again == replace(first, existing=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (options("graph"), options("graph", {**WALK, "candidates": 5})),
        (options("graph"), options("graph", {**WALK, "seed": 1})),
        (options("guided"), options("guided", {"budget": 41})),
        (options("guided"), options("guided", {"gain": 0.1})),
        (options("guided"), options("guided", output=Output(check=3))),
        (options("rerank"), options("rerank", {"run": "hyper-run"})),
    ],
)
@pytest.mark.usefixtures("graph")
def test_what_changes_the_result_makes_another_run(
    store: Store, queries: QuerySet, one: SearchOptions, other: SearchOptions
) -> None:
    runs = [search(store, queries, HYPER, each).run for each in (one, other)]
    assert runs[0] != runs[1]


def test_another_graph_makes_another_run(store: Store, queries: QuerySet, graph: Manifest) -> None:
    docs = store.get("hyper-docs")
    by_cosine = build_graph(store, docs, GraphOptions(k=8, metric="cos", name="angles"))
    named = search(store, queries, HYPER, options("graph", {**WALK, "graph": "angles"}))
    other = search(store, queries, HYPER, options("graph", {**WALK, "graph": "near"}))
    assert store.get(named.run).inputs["graph"] == by_cosine.graph
    assert store.get(other.run).inputs["graph"] == graph.id


@pytest.mark.usefixtures("graph")
def test_bfloat16_scores_choose_and_rank_nearly_the_same(store: Store, queries: QuerySet) -> None:
    for engine in ("graph", "guided", "rerank"):
        fine = rankings(store, search(store, queries, HYPER, options(engine)).run)
        searched = search(store, queries, HYPER, options(engine, scoring=Scoring(dtype="bfloat16")))
        coarse = rankings(store, searched.run)
        shares = [len(dict(coarse[q]).keys() & dict(fine[q])) / len(fine[q]) for q in fine]
        assert np.mean(shares) > 0.7
        assert coarse != fine


@pytest.mark.parametrize("engine", ["graph", "guided", "rerank"])
@pytest.mark.usefixtures("graph")
def test_the_query_itself_can_be_left_out(store: Store, engine: str) -> None:
    asked = query_set("likes", [Query("d3", "river water"), Query("d9", "moon and star")])
    first = search(store, asked, PLAIN, SearchOptions(k=120, output=Output(name="first")))
    everything: dict[str, Any] = {
        "graph": {},
        "guided": {"budget": 120},
        "rerank": {"run": first.run},
    }
    searched = search(
        store, asked, HYPER, options(engine, everything[engine], k=50, exclude_same_id=True)
    )
    whole = rankings(store, search(store, asked, HYPER, SearchOptions(k=51)).run)
    for query, ranking in rankings(store, searched.run).items():
        assert ranking == [pair for pair in whole[query] if pair[0] != query][:50]


def by_hand_recall(store: Store, actual: Searched, depth: int, queries: list[str]) -> float:
    exact, mine = rankings(store, "hyper-run"), rankings(store, actual.run)
    shares = [len(dict(exact[q][:depth]).keys() & dict(mine[q][:depth])) / depth for q in queries]
    return float(np.mean(shares))


@pytest.mark.usefixtures("graph")
def test_an_exact_run_of_the_same_queries_is_the_measure(store: Store, queries: QuerySet) -> None:
    little = {"entry_points": 20, "candidates": 1, "max_iterations": 1}
    searched = search(store, queries, HYPER, options("graph", little))
    assert searched.check is not None
    assert searched.check.against == store.get("hyper-run").id
    assert searched.check.n_queries == 12
    assert searched.check.measures == {}
    ids = [query.query_id for query in queries]
    assert searched.check.recall == pytest.approx({"10": by_hand_recall(store, searched, 10, ids)})
    assert 0 < searched.check.recall["10"] < 1
    assert store.get(searched.run).stats["check"] == asdict(searched.check)


def test_an_exact_run_that_is_less_deep_is_no_measure(store: Store, queries: QuerySet) -> None:
    searched = search(store, queries, HYPER, options("guided", k=21))
    assert searched.check is None
    assert "check" not in store.get(searched.run).stats


@pytest.mark.parametrize("count", [1, 5, 12, 99])
def test_some_queries_are_searched_exactly_for_a_check(
    store: Store, queries: QuerySet, tiny_collection: Path, count: int
) -> None:
    """Those drawn are the same each time; what they were found to miss is compared by hand."""
    judged = str(tiny_collection / "qrels.txt")
    searched = search(
        store,
        queries,
        HYPER,
        options(
            "rerank",
            output=Output(check=count, qrels=judged, measures=("P@10",)),
            scoring=Scoring(batch_queries=5),
        ),
    )
    assert searched.check is not None
    assert (searched.check.against, searched.check.n_queries) == (None, min(count, 12))
    ids = [query.query_id for query in queries]
    drawn = random.Random(0).sample(ids, min(count, 12))
    assert searched.check.recall == pytest.approx(
        {"10": by_hand_recall(store, searched, 10, drawn)}
    )
    lines = Path(judged).read_text(encoding="utf-8").splitlines()
    relevant = {(query, doc_id) for query, _, doc_id, _ in (line.split() for line in lines)}

    def precision(run: str) -> float:
        found_by = rankings(store, run)
        hits = [[(q, d) in relevant for d, _ in found_by[q][:10]] for q in drawn]
        return float(np.mean(hits))

    assert searched.check.measures["P@10"] == pytest.approx(
        {"exact": precision("hyper-run"), "approximate": precision(searched.run)}
    )


def test_exact_search_is_checked_where_that_is_asked(store: Store, queries: QuerySet) -> None:
    """Its first pass, in bfloat16, is compared with float32 throughout."""
    scan = options("exact", {"scan": "bfloat16"})
    assert search(store, queries, HYPER, replace(scan, k=7)).check is None
    searched = search(store, queries, HYPER, replace(scan, output=Output(check=3)))
    assert searched.scan is not None
    check = searched.check
    assert check is not None
    assert (check.n_queries, check.identical, check.different) == (3, 3, [])
    assert check.recall == {"10": 1.0}


def test_a_stored_run_is_compared_with_a_search_by_another_scan(
    store: Store, queries: QuerySet
) -> None:
    """Here the first query of the run lost its best document, as by a first pass that missed it."""
    searched = search(store, queries, HYPER, options("exact", {"scan": "bfloat16"}))
    run = store.get(searched.run)
    right = rankings(store, run.id)
    first = next(iter(right))
    store.remove(run.id, force=True)
    with store.run_writer("wrong", run.inputs, parents=run.parents) as writer:
        writer.queries([(query.query_id, query.text) for query in queries])
        for query_id, found in right.items():
            kept = found[1:] if query_id == first else found
            writer.append(
                [query_id] * len(kept),
                [doc_id for doc_id, _ in kept],
                list(range(1, len(kept) + 1)),
                [score for _, score in kept],
            )
        wrong = writer.commit(stats=dict(run.stats))
    before = len(store.artifacts("run")), len(store.unfinished())
    float32 = options("exact", {"scan": "float32"}, output=Output(again=True))
    repeated = search(store, queries, HYPER, float32)
    assert (repeated.run, repeated.existing, repeated.scan) == (wrong.id, True, None)
    assert repeated.again is not None
    assert repeated.again.against == wrong.id
    assert (repeated.again.n_queries, repeated.again.identical) == (12, 11)
    assert repeated.again.different == [first]
    assert repeated.again.recall["10"] == pytest.approx((11 + 0.9) / 12)
    assert unchanged(store, before)
    assert search(store, queries, HYPER, options("exact")).again is None


def test_a_search_without_a_run_cannot_be_done_again(store: Store, queries: QuerySet) -> None:
    before = len(store.artifacts("run")), len(store.unfinished())
    with pytest.raises(UsageError, match="no run of this search") as caught:
        search(store, queries, HYPER, options("guided", output=Output(again=True)))
    assert "`again=True`" in str(caught.value.hint)
    assert unchanged(store, before)


def unchanged(store: Store, before: tuple[int, int]) -> bool:
    return before == (len(store.artifacts("run")), len(store.unfinished()))


REFUSED: list[tuple[ModelSource, SearchOptions, str, str]] = [
    (HYPER, options("graph"), "no neighbour graph; 1 are required", "Build one: hype graph"),
    (HYPER, options("guided", {"budget": 19}), "budget of 19", "Raise it to 20"),
    (HYPER, options("hnsw"), r"query vectors; hyper makes q-nets", "exact, guided, graph, rerank"),
    (HYPER, options("faiss-flat"), r"query vectors; hyper makes q-nets", "hype ls models"),
    (HYPER, options("rerank", {}), "rerank needs the option run", "whose documents are scored"),
    (HYPER, options("hsnw"), "no engine 'hsnw'", "hnsw"),
    (PLAIN, options("hnsw", {"ef_serch": 3}), "no option 'ef_serch'", "ef_search"),
    (PLAIN, options("hnsw", {"M": 1}), "M=1 is not a value", "links"),
    (HYPER, options("guided", {"M": 8}), "M is an option of hnsw and faiss-hnsw", "engine hnsw"),
    (HYPER, options("exact", {"preset": "efficient-1"}), "preset is an option of graph", "scan"),
    (
        HYPER,
        options("graph", {"preset": "efficient-3"}),
        "has no preset",
        "efficient-1, efficient-2",
    ),
    (HYPER, options("guided", {"gain": 0.1, "budget": 50}), "gain and budget exclude", "one of"),
    (PLAIN, options("hnsw", {}, recall=0.9), "no calibration", "guided"),
    (HYPER, options("guided", {}, recall=1.5), "at most 1, not 1.5", ""),
    (
        HYPER,
        options("guided", {"budget": 50}, recall=0.9),
        "budget and recall exclude",
        "one of them",
    ),
    (
        HYPER,
        options("graph", {"preset": "efficient-2"}, recall=0.9),
        "entry_points and recall|entry_points and candidates",
        "one of them",
    ),
]


@pytest.mark.parametrize(("model", "asked", "problem", "remedy"), REFUSED)
def test_what_is_refused(
    store: Store,
    queries: QuerySet,
    model: ModelSource,
    asked: SearchOptions,
    problem: str,
    remedy: str,
) -> None:
    """Before any model is loaded; nothing is left behind."""
    before = len(store.artifacts("run")), len(store.unfinished())
    with pytest.raises(UsageError, match=problem) as caught:
        search(store, queries, model, asked)
    assert remedy in str(caught.value)
    assert unchanged(store, before)


def test_a_graph_of_too_few_neighbours_is_refused(
    store: Store, queries: QuerySet, graph: Manifest
) -> None:
    walk = {**WALK, "neighbours": 9}
    with pytest.raises(UsageError, match=r"at most 8 neighbours.*9 are required") as caught:
        search(store, queries, HYPER, options("graph", walk))
    assert f"hype graph {graph.inputs['embeddings']} --k 9" in str(caught.value.hint)
    searched = search(store, queries, HYPER, options("graph", {**WALK, "neighbours": 2}))
    assert store.get(searched.run).inputs["neighbours"] == 2


def test_a_graph_of_other_embeddings_is_refused(store: Store, queries: QuerySet) -> None:
    build_graph(store, store.get("plain-docs"), GraphOptions(k=8, name="of-plain"))
    with pytest.raises(UsageError, match="of-plain belongs to the embedding set"):
        search(store, queries, HYPER, options("graph", {**WALK, "graph": "of-plain"}))
    with pytest.raises(UsageError, match="no neighbour graph"):
        search(store, queries, HYPER, options("graph"))


def test_reranking_something_that_is_no_run_is_refused(store: Store, queries: QuerySet) -> None:
    with pytest.raises(ArtifactNotFound, match="hyper-docs"):
        search(store, queries, HYPER, options("rerank", {"run": "hyper-docs"}))


def test_reranking_a_run_of_another_corpus_names_a_document(
    store: Store, queries: QuerySet, tiny_collection: Path
) -> None:
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    encode(store, corpus, HYPER, EncodeOptions(limit=10, name="ten"))
    before = len(store.artifacts("run")), len(store.unfinished())
    with pytest.raises(DataError, match=r"plain-run ranks 'd\d+', .* embedding set ten") as caught:
        search(store, queries, HYPER, options("rerank", target=Target(embeddings="ten")))
    assert "embedding set" in str(caught.value.hint)
    assert unchanged(store, before)


def test_reranking_a_run_of_other_queries_names_one_of_each(store: Store) -> None:
    others = query_set("others", [Query("new", "a river of bread"), Query("newer", "a boat")])
    before = len(store.artifacts("run")), len(store.unfinished())
    words = r"plain-run has nothing to rerank for the 2 queries, such as 'new': .* such as 'q\d+'"
    with pytest.raises(DataError, match=words):
        search(store, others, HYPER, options("rerank"))
    assert unchanged(store, before)


def test_a_run_that_lacks_a_query_reranks_to_nothing_and_says_so(
    store: Store, queries: QuerySet
) -> None:
    more = query_set("more", [*queries, Query("new", "a river of bread")])
    told = Told()
    searched = search(store, more, HYPER, options("rerank"), told)
    assert any("no documents for 1 of 13 queries, such as 'new'" in one for one in told.messages)
    results = rankings(store, searched.run)
    assert results["new"] == []
    assert searched.n_results == 12 * 20
    assert searched.evaluations is not None
    assert searched.evaluations.min == 0
