"""What every search engine must hold, with every kind of queries that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.registry.lookup import engine_names
from hypencli.engine.rerank import RerankEngine
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.errors import ModelError, UsageError
from hypencli.records import Ranking
from tests.contract.conftest import APART, BY_INDEX, BY_SCORE

CorpusOf = Callable[..., VectorCorpus]

SAME = 1e-6
"""How far a score may be from that of exact search: not at all on a CPU that adds up products of 16
rows as it does those of 1,024, and this much elsewhere."""

SAME_BY_INDEX = 1e-5
"""The libraries of indexes add up in an order of their own."""


def exact(scorer: Scorer, corpus: VectorCorpus, k: int | None = None) -> list[Ranking]:
    """The ranking of all documents, or of the best k, by exact search."""
    return ExactEngine(corpus).search(scorer, k=k or max(1, corpus.n)).rankings


def tolerance(case: Any) -> float:
    return SAME_BY_INDEX if case.by_index else SAME


def ids(ranking: Ranking) -> list[str]:
    return [doc_id for doc_id, _ in ranking]


def all_ids(corpus: VectorCorpus) -> list[str]:
    return corpus.ids(np.arange(corpus.n))


def test_every_engine_of_the_registry_is_here() -> None:
    """Whatever is registered is held to this contract.

    Some vector indexes have scores of their own, and bm25 searches texts (``tests/engine/bm25``).
    """
    tested = {*BY_SCORE, *BY_INDEX, *APART, "bm25"}
    assert set(engine_names()) <= tested


def test_best_first_and_each_document_once(case: Any, corpus_of: CorpusOf) -> None:
    corpus = corpus_of(600)
    searched = case.open_engine(corpus, 0.3).search(case.scorer(5), k=40)
    assert len(searched.rankings) == 5
    for ranking in searched.rankings:
        assert len(ranking) == 40
        assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))
        assert len(set(ids(ranking)) & set(all_ids(corpus))) == 40


def test_scores_are_those_of_exact_search(case: Any, corpus_of: CorpusOf) -> None:
    corpus, scorer = corpus_of(600), case.scorer(5)
    searched = case.open_engine(corpus, 0.2).search(scorer, k=40)
    for ranking, expected in zip(searched.rankings, exact(scorer, corpus), strict=True):
        of_exact = dict(expected)
        assert dict(ranking) == pytest.approx(
            {doc_id: of_exact[doc_id] for doc_id in ids(ranking)}, rel=0, abs=tolerance(case)
        )


def test_all_documents_looked_at_give_the_exact_ranking(
    effort_case: Any, corpus_of: CorpusOf
) -> None:
    corpus, scorer = corpus_of(600), effort_case.scorer(5)
    searched = effort_case.open_engine(corpus, 1).search(scorer, k=50)
    for ranking, expected in zip(searched.rankings, exact(scorer, corpus, 50), strict=True):
        assert ids(ranking) == ids(expected)
        assert dict(ranking) == pytest.approx(dict(expected), rel=0, abs=tolerance(effort_case))


def test_more_effort_finds_more_until_it_finds_all(effort_case: Any, corpus_of: CorpusOf) -> None:
    corpus, scorer = corpus_of(1500), effort_case.scorer(8)
    wanted = [set(ids(ranking)) for ranking in exact(scorer, corpus, 20)]
    recalls = []
    for effort in (0.01, 0.1, 1):
        searched = effort_case.open_engine(corpus, effort).search(scorer, k=20).rankings
        shares = [len(set(ids(r)) & best) / 20 for r, best in zip(searched, wanted, strict=True)]
        recalls.append(float(np.mean(shares)))
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1
    assert (recalls[0] == 1) == effort_case.finds_all_at_once


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
        assert torch.get_num_threads() == count, "a search leaves the number of threads as it was"
    finally:
        torch.set_num_threads(before)


def test_neither_the_batch_of_queries_nor_threads_matter(case: Any, corpus_of: CorpusOf) -> None:
    """Bit-equal: all at once, one alone, in another order, by one thread or several."""
    corpus, scorer = corpus_of(2600), case.scorer(6)
    with torch_threads(1):
        engine = case.open_engine(corpus, 0.6)
        together = engine.search(scorer, k=300)
    for threads in (1, 2, 3):
        for batch in ([0, 1, 2, 3, 4, 5], [2], [5, 3]):
            with torch_threads(threads):
                searched = engine.search(scorer.select(batch), k=300)
            assert searched.rankings == [together.rankings[query] for query in batch]
            assert searched.evaluations.tolist() == together.evaluations[batch].tolist()
            assert searched.iterations.tolist() == together.iterations[batch].tolist()


def test_the_same_search_again_finds_the_same(case: Any, corpus_of: CorpusOf) -> None:
    corpus, scorer = corpus_of(500), case.scorer(3)
    engine = case.open_engine(corpus, 0.1)
    first = engine.search(scorer, k=20).rankings
    assert engine.search(scorer, k=20).rankings == first
    assert case.open_engine(corpus, 0.1).search(scorer, k=20).rankings == first


class WholeNet:
    """A q-net of whole numbers, ``relu(x W) v``: its scores are exact on every machine."""

    dim = 13

    def __init__(self, generator: torch.Generator) -> None:
        self._matrix = torch.randint(-3, 4, (13, 16), generator=generator).float()
        self._vector = torch.randint(-3, 4, (16, 1), generator=generator).float()

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        dtype = vectors.dtype
        return torch.relu(vectors @ self._matrix.to(dtype)) @ self._vector.to(dtype)


def whole_numbers(q: int, *, by_vectors: bool) -> Scorer:
    generator = torch.Generator().manual_seed(5)
    if by_vectors:
        return InnerProductScorer(torch.randint(-3, 4, (q, 13), generator=generator).float())
    return QNetScorer([WholeNet(generator) for _ in range(q)], 13)


def test_ties_are_ordered_by_document_id(case: Any, corpus_of: CorpusOf) -> None:
    """Five vectors forty times each; which of tied documents an index finds is its own choice."""
    few = np.random.default_rng(3).integers(-3, 4, (5, 13)).astype(np.float32)
    corpus = corpus_of(np.tile(few, (40, 1)))
    scorer = whole_numbers(2, by_vectors=case.kind == "inner product")
    searched = case.open_engine(corpus, 1).search(scorer, k=130).rankings
    if not case.by_index:
        assert searched == exact(scorer, corpus, 130)
    for ranking, expected in zip(searched, exact(scorer, corpus), strict=True):
        assert len({score for _, score in ranking}) < len(ranking) // 10
        assert ranking == [pair for pair in expected if pair[0] in dict(ranking)]


def test_of_equal_documents_the_first_ids_are_found(scoring_case: Any, corpus_of: CorpusOf) -> None:
    one = np.random.default_rng(4).integers(-3, 4, (1, 13)).astype(np.float32)
    corpus = corpus_of(np.tile(one, (500, 1)))
    scorer = whole_numbers(2, by_vectors=scoring_case.kind == "inner product")
    for ranking in scoring_case.open_engine(corpus, 1).search(scorer, k=10).rankings:
        assert ids(ranking) == sorted(all_ids(corpus))[:10]


@pytest.mark.parametrize(("n", "k"), [(7, 1000), (1, 1), (1, 5), (2, 1)])
def test_few_documents(case: Any, corpus_of: CorpusOf, n: int, k: int) -> None:
    corpus, scorer = corpus_of(n), case.scorer(3)
    searched = case.open_engine(corpus, 1).search(scorer, k=k)
    assert [ids(ranking) for ranking in searched.rankings] == [
        ids(ranking) for ranking in exact(scorer, corpus, k)
    ]


def test_no_documents(case: Any, corpus_of: CorpusOf) -> None:
    searched = case.open_engine(corpus_of(0), 1).search(case.scorer(2), k=5)
    assert searched.rankings == [[], []]
    assert searched.evaluations.tolist() == [0, 0]
    assert len(searched.iterations) == 2


def test_no_queries(case: Any, corpus_of: CorpusOf) -> None:
    searched = case.open_engine(corpus_of(50), 1).search(case.scorer(0), k=5)
    assert searched.rankings == searched.evaluations.tolist() == searched.iterations.tolist() == []


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(case: Any, corpus_of: CorpusOf, k: int) -> None:
    with pytest.raises(ModelError, match=f"k is {k};.*at least 1"):
        case.open_engine(corpus_of(10), 1).search(case.scorer(1), k=k)


def test_a_wrong_width_is_refused(case: Any, corpus_of: CorpusOf) -> None:
    engine = case.open_engine(corpus_of(10, 6), 1)
    with pytest.raises(ModelError, match=r"13\b.*\b6|6 wide.*takes 13") as caught:
        engine.search(case.scorer(1), k=3)
    assert "hype ls embeddings" in str(caught.value.hint)


def test_a_vector_that_is_not_finite_names_the_document(
    scoring_case: Any, corpus_of: CorpusOf
) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 13)).astype(np.float32)
    vectors[7] = np.nan
    corpus = corpus_of(vectors)
    with pytest.raises(ModelError, match=f"{all_ids(corpus)[7]}.* is nan"):
        scoring_case.open_engine(corpus, 1).search(scoring_case.scorer(2), k=3)


class Nearness:
    """A q-net that is infinite at one place: ``1 / |x - place|``."""

    dim = 13

    def __init__(self, place: np.ndarray) -> None:
        self._place = torch.from_numpy(place)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return 1 / (vectors - self._place).norm(dim=-1, keepdim=True)


def test_a_score_that_is_not_finite_names_the_document_and_the_query(
    q_net_case: Any, corpus_of: CorpusOf
) -> None:
    corpus = corpus_of(100)
    places = [np.full(13, 9.0, np.float32), corpus.vectors(np.array([42]))[0]]
    scorer = QNetScorer([Nearness(place) for place in places], 13)
    with pytest.raises(ModelError, match=rf"{all_ids(corpus)[42]}' for query number 2 .* inf"):
        q_net_case.open_engine(corpus, 1).search(scorer, k=3)


def test_a_query_that_is_not_finite_is_refused(vector_case: Any, corpus_of: CorpusOf) -> None:
    queries = torch.ones(3, 13)
    queries[1, 4] = torch.nan
    with pytest.raises(ModelError, match=r"query number 2 of the batch is (nan|not finite)"):
        vector_case.open_engine(corpus_of(100), 1).search(InnerProductScorer(queries), k=3)


def test_a_score_beyond_float32_is_refused(vector_case: Any, corpus_of: CorpusOf) -> None:
    corpus = corpus_of(1000 * np.random.default_rng(0).normal(size=(100, 13)).astype(np.float32))
    queries = torch.cat([torch.ones(1, 13), torch.full((1, 13), 1e38)])
    named = r"'doc\d{6}' for query number 2 .* (nan|-?inf);|query number 2 .* too long"
    with pytest.raises(ModelError, match=named):
        vector_case.open_engine(corpus, 1).search(InnerProductScorer(queries), k=3)


def test_float16_vectors_score_as_their_float32_values(case: Any, corpus_of: CorpusOf) -> None:
    halves = np.random.default_rng(1).normal(size=(300, 13)).astype(np.float16)
    scorer = case.scorer(3)
    whole = corpus_of(halves.astype(np.float32))
    expected = case.open_engine(whole, 0.3).search(scorer, k=20).rankings
    assert case.open_engine(corpus_of(halves), 0.3).search(scorer, k=20).rankings == expected


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> hs.EmbeddingSet:
    """2,500 documents of a real store, in float16, in shards of 700."""
    vectors = np.random.default_rng(2).normal(size=(2500, 13)).astype(np.float16)
    store = hs.Store.create(tmp_path_factory.mktemp("sharded") / "store")
    spec = hs.EmbeddingSpec(
        id_prefix="docs", inputs={}, dim=13, dtype="float16", shard_rows=700, keep_text=False
    )
    with store.embedding_work(spec) as work:
        for shard, first in enumerate(range(0, 2500, 700)):
            rows = vectors[first : first + 700]
            work.write_shard(shard, [f"d{first + i}" for i in range(len(rows))], rows, None)
        return store.embeddings(work.finish(2500).id)


def test_shards_of_a_store_are_searched_as_one_array(case: Any, sharded: hs.EmbeddingSet) -> None:
    places = np.arange(sharded.n)
    array = VectorCorpus(sharded.vectors(places), sharded.ids(places))
    scorer = case.scorer(4)
    expected = case.open_engine(array, 0.3).search(scorer, k=60)
    searched = case.open_engine(sharded, 0.3).search(scorer, k=60)
    assert searched.rankings == expected.rankings
    assert searched.evaluations.tolist() == expected.evaluations.tolist()


@settings(max_examples=15)
@given(
    n=st.integers(1, 120),
    dim=st.integers(1, 24),
    q=st.integers(1, 4),
    k=st.integers(1, 130),
    effort=st.floats(0, 1),
    levels=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_whatever_is_asked(
    case: Any,
    corpus_of: CorpusOf,
    n: int,
    dim: int,
    q: int,
    k: int,
    effort: float,
    levels: int,
    seed: int,
) -> None:
    """Few different vectors or many, little effort or much: no document twice, no wrong score."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    corpus = corpus_of(np.round(vectors * levels) / levels)
    scorer = case.scorer(q, dim, seed=seed)
    searched = case.open_engine(corpus, effort).search(scorer, k=k).rankings
    everything = case.open_engine(corpus, 1).search(scorer, k=k).rankings
    for little, much, expected in zip(searched, everything, exact(scorer, corpus), strict=True):
        of_exact = dict(expected)
        for ranking in (little, much):
            assert len(set(ids(ranking))) == len(ranking) <= min(k, n)
            for doc_id, score in ranking:
                assert score == pytest.approx(of_exact[doc_id], rel=0, abs=tolerance(case))
        if case.finds_all_with_effort(dim):
            best = [score for _, score in expected[:k]]
            assert [score for _, score in much] == pytest.approx(best, abs=tolerance(case))


def test_reranking_keeps_to_the_list_of_each_query(corpus_of: CorpusOf) -> None:
    corpus = corpus_of(100)
    scorer = InnerProductScorer(torch.randn(3, 13, generator=torch.Generator().manual_seed(0)))
    lists = [np.array([5, 50, 7]), np.array([], dtype=np.int64), np.arange(100)]
    searched = RerankEngine(corpus, lists).search(scorer, k=100)
    whole = exact(scorer, corpus)
    for ranking, expected, listed in zip(searched.rankings, whole, lists, strict=True):
        allowed = set(corpus.ids(listed))
        assert ids(ranking) == [doc_id for doc_id in ids(expected) if doc_id in allowed]
    assert searched.evaluations.tolist() == [3, 0, 100]


def test_an_index_does_not_take_q_nets(index_case: Any, corpus_of: CorpusOf) -> None:
    scorer = QNetScorer([Nearness(np.zeros(13, np.float32))], 13)
    with pytest.raises(UsageError, match="these queries are q-nets") as caught:
        index_case.open_engine(corpus_of(100), 1).search(scorer, k=3)
    assert "guided" in str(caught.value.hint)
