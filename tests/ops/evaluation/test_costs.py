"""What searches found and took: recall from results, fronts, and what is not known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs
from hypencli.ops.evaluation.costs import CostComparison, compare_costs
from hypencli.ops.evaluation.recall import find_reference, recall_of
from hypencli.reporting.contents import SearchCost

N, QUERIES = 400, 12
Put = Callable[..., hs.Manifest]


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


@pytest.fixture
def put(store: hs.Store) -> Put:
    """Writes a run: for each query documents in an order of their own, or those given."""
    with store.draft("model", "nets", {"architecture": "hypencoder"}, name="nets") as draft:
        model = draft.commit()

    def write(
        name: str,
        rankings: list[list[str]] | None = None,
        *,
        engine: str = "graph",
        k: int = 100,
        ms: float = 1.0,
        stats: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> hs.Manifest:
        told = {
            "engine": engine,
            "model": model.id,
            "embeddings": "set-1",
            "corpus": "corpus",
            "queries": "topics",
            "queries_fingerprint": "f1",
            "k": k,
            "name": name,
            **inputs,
        }
        expected_names = {key: value for key, value in told.items() if value is not None}
        with store.run_writer("run", expected_names, name=name) as writer:
            writer.queries([(f"q{i}", "text") for i in range(QUERIES)])
            for i, ranking in enumerate(rankings or exact(k)):
                ranks = list(range(1, len(ranking) + 1))
                writer.append([f"q{i}"] * len(ranks), ranking, ranks, [-float(r) for r in ranks])
            seconds = {"scoring": ms * QUERIES / 1000, "topk": 0.0, "query_encoding": 0.06}
            created = {"n_documents": N, "seconds": seconds, **(stats or {})}
            return writer.commit(stats=created, provenance=provenance)

    return write


def exact(k: int, seed: int = 0) -> list[list[str]]:
    """The best k documents of each query."""
    random = np.random.default_rng(seed)
    return [[f"d{i}" for i in random.permutation(N)[:k]] for _ in range(QUERIES)]


def spoilt(k: int, share: float, seed: int = 3) -> list[list[str]]:
    """The exact rankings with documents put in that are not among the best."""
    random = np.random.default_rng(seed)
    return [
        [f"x{i}" if random.random() < share else doc_id for i, doc_id in enumerate(ranking)]
        for ranking in exact(k)
    ]


def plain_recall(actual: list[list[str]], wanted: list[list[str]], depth: int) -> float:
    shares = [
        len(set(f[:depth]) & set(w[:depth])) / len(w[:depth])
        for f, w in zip(actual, wanted, strict=True)
        if w
    ]
    return sum(shares) / len(shares)


def check(depths: dict[int, float], against: str | None = None) -> dict[str, Any]:
    recall = {str(depth): share for depth, share in depths.items()}
    return {"check": {"against": against, "n_queries": 5, "recall": recall, "measures": {}}}


def costs(store: hs.Store, depth: int | None = None) -> dict[str | None, SearchCost]:
    (actual,) = compare_costs(store, depth=depth)
    return {cost.name: cost for cost in actual.costs}


def only(store: hs.Store, depth: int | None = None) -> CostComparison:
    (actual,) = compare_costs(store, depth=depth)
    return actual


def test_recall_from_results_is_that_of_sets(store: hs.Store, put: Put) -> None:
    actual, wanted = spoilt(100, 0.3), exact(200)
    run, reference = put("near", actual), put("exact", wanted, engine="exact", k=200)
    depths = (1, 7, 10, 50, 100)
    measured = recall_of(store, run, reference, depths)
    for depth in depths:
        assert measured[depth] == pytest.approx(plain_recall(actual, wanted, depth))
    assert 0.5 < measured[100] < 0.9


def test_queries_without_results_count_as_zero_and_unknown_ones_not(
    store: hs.Store, put: Put
) -> None:
    wanted = exact(10)
    collected = [list(ranking) for ranking in wanted]
    collected[0] = []
    wanted[1] = []
    run, reference = put("near", collected, k=10), put("exact", wanted, engine="exact", k=10)
    assert recall_of(store, run, reference, [10])[10] == pytest.approx(10 / 11)


def test_a_small_corpus_is_found_whole(store: hs.Store, put: Put) -> None:
    """Where fewer documents are there than the depth, they are all of them."""
    few = [ranking[:40] for ranking in exact(40)]
    put("exact", few, engine="exact", k=1000, stats={"n_documents": 40})
    put("half", [ranking[:20] for ranking in few], k=1000, stats={"n_documents": 40})
    costs_of_run = costs(store)
    assert costs_of_run["half"].recall == {10: 1.0, 100: 0.5, 1000: 0.5}
    assert costs_of_run["exact"].recall == {10: 1.0, 100: 1.0, 1000: 1.0}


def test_results_that_cannot_be_read_are_named(store: hs.Store, put: Put) -> None:
    run, reference = put("near"), put("exact", engine="exact")
    path = store.path(reference) / "results.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(hs.DamagedArtifact, match=reference.id) as caught:
        recall_of(store, run, reference, [10])
    assert "doctor" in str(caught.value.hint)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another-model"},
        {"embeddings": "set-2"},
        {"queries_fingerprint": "f2"},
        {"queries_fingerprint": None},
        {"width": 64},
        {"exclude_same_id": True},
        {"query_max_length": 32},
        {"k": 99},
        {"k": None},
        {"engine": "graph"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_only_an_exact_run_of_the_same_search_is_a_reference(
    store: hs.Store, put: Put, other: dict[str, Any]
) -> None:
    run = put("near", k=100, exclude_same_id=False, query_max_length=64)
    same = {"engine": "exact", "k": 100, "exclude_same_id": False, "query_max_length": 64}
    put("other", rankings=exact(50), **{**same, **other})
    assert find_reference(store, run.inputs) is None
    fitting = put("fitting", **same)
    actual = find_reference(store, run.inputs)
    assert actual is not None
    assert actual.id == fitting.id


def test_a_reference_need_not_say_all_and_has_the_same_arithmetic_first(
    store: hs.Store, put: Put
) -> None:
    run = put("near", query_max_length=64, dtype="float32")
    put("silent", engine="exact", k=100)
    actual = find_reference(store, run.inputs)
    assert actual is not None
    assert actual.name == "silent"
    wanted = put("same", engine="exact", dtype="float32")
    put("newer", engine="exact", dtype="bfloat16")
    actual = find_reference(store, run.inputs)
    assert actual is not None
    assert actual.id == wanted.id
    assert find_reference(store, put("unnamed", queries_fingerprint=None).inputs) is None


@pytest.mark.usefixtures("clock_goes_back")
def test_the_newest_reference_is_what_came_last_whatever_the_clock_says(
    store: hs.Store, put: Put
) -> None:
    run = put("near")
    older, newer = put("older", engine="exact", k=100), put("newer", engine="exact", k=101)
    assert older.created > newer.created
    actual = find_reference(store, run.inputs)
    assert actual is not None
    assert actual.id == newer.id


def test_a_check_counts_before_results(store: hs.Store, put: Put) -> None:
    reference = put("exact", engine="exact", k=200)
    put("checked", spoilt(100, 0.5), stats=check({10: 0.9, 100: 0.8}))
    put("unchecked", spoilt(100, 0.5))
    costs_of_run = costs(store)
    assert costs_of_run["checked"].recall == {10: 0.9, 100: 0.8}
    assert (costs_of_run["checked"].checked_queries, costs_of_run["checked"].checked_against) == (
        5,
        None,
    )
    measured = {d: plain_recall(spoilt(100, 0.5), exact(200), d) for d in (10, 100)}
    assert costs_of_run["unchecked"].recall == pytest.approx(measured)
    assert costs_of_run["unchecked"].checked_queries == QUERIES
    assert costs_of_run["unchecked"].checked_against == reference.id
    assert costs_of_run["exact"].checked_queries is None


def test_another_depth_is_measured(store: hs.Store, put: Put) -> None:
    put("exact", engine="exact", k=200)
    put("near", spoilt(100, 0.5))
    put("checked", spoilt(100, 0.5), stats=check({10: 0.9, 100: 0.8}))
    costs_of_run = costs(store, depth=30)
    wanted = plain_recall(spoilt(100, 0.5), exact(200), 30)
    assert costs_of_run["near"].recall[30] == pytest.approx(wanted)
    assert costs_of_run["checked"].recall == pytest.approx({10: 0.9, 30: wanted, 100: 0.8})
    assert costs_of_run["exact"].recall[30] == 1.0
    assert 30 not in costs(store)["near"].recall


@pytest.mark.parametrize("said", [3, {"recall": [1]}, {"recall": {"10": "high", "x": 0.5}}])
def test_a_check_that_says_nothing_is_none(store: hs.Store, put: Put, said: object) -> None:
    put("odd", stats={"check": said})
    assert costs(store)["odd"].recall == {}


def test_fronts_have_what_nothing_beats(store: hs.Store, put: Put) -> None:
    def one(name: str, ms: float, evaluations: float | None, recall: float) -> None:
        counted = {} if evaluations is None else {"evaluations": {"mean": evaluations}}
        put(name, ms=ms, stats={**counted, **check({100: recall})})

    one("quick", 1.0, 100, 0.5)
    one("frugal", 4.0, 50, 0.5)
    one("good", 5.0, 300, 0.9)
    one("as-good", 5.0, 300, 0.9)
    one("worse", 5.0, 300, 0.89)
    one("slow", 6.0, 200, 0.9)
    one("no-q-nets", 2.0, None, 0.6)
    one("beaten", 9.0, 390, 0.95)
    put("exact", engine="exact", ms=8.0)
    fronts = {name: cost.fronts for name, cost in costs(store).items()}
    assert fronts == {
        "quick": ("time",),
        "frugal": ("evaluations",),
        "good": ("time",),
        "as-good": ("time",),
        "worse": (),
        "slow": ("evaluations",),
        "no-q-nets": ("time",),
        "beaten": ("evaluations",),
        "exact": ("time", "evaluations"),
    }


def test_a_search_is_only_compared_with_those_that_rank_the_same(store: hs.Store, put: Put) -> None:
    """Recall says nothing across models: each has an exact ranking of its own."""
    put("q-nets", ms=50.0, stats=check({100: 0.7}))
    put("narrow", ms=9.0, width=64, engine="exact")
    put("other-set", ms=8.0, engine="exact", embeddings="set-2")
    put("other-model", ms=1.0, engine="exact", model="vectors-1")
    assert costs(store)["q-nets"].fronts == ("time",)
    put("rival", ms=49.0, stats=check({100: 0.7}))
    assert costs(store)["q-nets"].fronts == ()


def test_times_and_evaluations_arrive(store: hs.Store, put: Put) -> None:
    put("near", ms=2.0, stats={"evaluations": {"mean": 40.0, "max": 60, "min": 5}})
    costs_of_run = costs(store)["near"]
    assert costs_of_run.ms_per_query == pytest.approx(2.0)
    assert costs_of_run.ms_query_encoding == pytest.approx(5.0)
    assert (costs_of_run.evaluations, costs_of_run.evaluations_share) == (40.0, 0.1)
    assert costs_of_run.model == "nets"
    assert (costs_of_run.recall, costs_of_run.fronts, costs_of_run.checked_queries) == (
        {},
        (),
        None,
    )


def test_runs_are_grouped_by_corpus_and_queries(store: hs.Store, put: Put) -> None:
    put("a")
    put("b", corpus="another")
    put("c", queries="others", queries_fingerprint="f3")
    put("d", queries_fingerprint="f2")
    put("e", ms=0.5)
    costs_of_run = compare_costs(store)
    assert [[cost.name for cost in group.costs] for group in costs_of_run] == [
        ["b"],
        ["c"],
        ["e", "a"],
        ["d"],
    ]
    assert [(group.corpus, group.queries) for group in costs_of_run] == [
        ("another", "topics#f1"),
        ("corpus", "others"),
        ("corpus", "topics#f1"),
        ("corpus", "topics#f2"),
    ]
    assert all(group.n_documents == N for group in costs_of_run)


@pytest.mark.parametrize(
    ("depths", "k", "chosen"),
    [
        ([{10: 0.5, 100: 0.5, 1000: 0.5}], 1000, 100),
        ([{10: 0.5}, {1000: 0.5}], 1000, 10),
        ([{1000: 0.5}], 1000, 1000),
        ([{3: 0.5, 7: 0.4}], 1000, 7),
        ([], 10, 10),
        ([], 1000, 100),
    ],
)
def test_the_depth_is_one_that_runs_have(
    store: hs.Store, put: Put, depths: list[dict[int, float]], k: int, chosen: int
) -> None:
    put("exact", engine="exact", k=k, queries_fingerprint=None)
    for i, recall in enumerate(depths):
        put(f"run-{i}", stats=check(recall), queries_fingerprint=None)
    assert only(store).depth == chosen


def test_several_places_are_told(store: hs.Store, put: Put) -> None:
    put("here", provenance={"platform": "Linux", "processor": "x86", "cpus": 2, "device": "cpu"})
    assert only(store).places == ("Linux, x86, 2 CPUs, cpu",)
    put("there", provenance={"platform": "Linux", "device": "cuda"})
    put("unsaid")
    assert only(store).places == ("Linux, cuda", "Linux, x86, 2 CPUs, cpu", "unknown")


def test_an_empty_store_has_nothing_to_compare(store: hs.Store) -> None:
    assert compare_costs(store) == []
