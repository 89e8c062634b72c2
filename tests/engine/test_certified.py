"""Exact search that scans in bfloat16: the ranking of float32, and what its bound cannot know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions, SurrogateOptions
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.results import SearchResult
from hypencli.engine.scorers import QNetScorer
from hypencli.errors import ModelError
from hypencli.models.qnets.batch import ACTIVATIONS, QNetBatch
from hypencli.models.qnets.quantised import can_quantise
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter

CorpusOf = Callable[..., VectorCorpus]


def dense_scorer(dim: int, layers: int, q: int, *, seed: int = 0, **options: Any) -> QNetScorer:
    drawn = torch.Generator().manual_seed(seed)
    converter = RepeatedDenseBlockConverter([dim] * (layers + 1) + [1], **options)

    def made(shapes: Any) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(1, *s, generator=drawn) / s[0] ** 0.5 for s in shapes)

    nets = [
        QNetBatch(made(converter.weight_shapes), made(converter.bias_shapes), converter)
        for _ in range(q)
    ]
    return QNetScorer(nets, dim)


def exact(scorer: QNetScorer, corpus: VectorCorpus, k: int) -> Any:
    return ExactEngine(corpus).search(scorer, k=k).rankings


@settings(max_examples=100, derandomize=True)
@given(
    n=st.integers(1, 1500),
    dim=st.integers(1, 40),
    layers=st.integers(0, 4),
    q=st.integers(1, 3),
    k=st.integers(1, 1600),
    activation=st.sampled_from(list(ACTIVATIONS)),
    norm=st.booleans(),
    residual=st.booleans(),
    levels=st.sampled_from([None, 1, 3]),
    half=st.booleans(),
    scan=st.sampled_from([torch.bfloat16, torch.int8, None]),
    seed=st.integers(0, 99),
)
def test_ids_order_and_scores_are_those_of_float32(
    corpus_of: CorpusOf,
    n: int,
    dim: int,
    layers: int,
    q: int,
    k: int,
    activation: str,
    norm: bool,
    residual: bool,
    levels: int | None,
    half: bool,
    scan: torch.dtype | None,
    seed: int,
) -> None:
    """Of odd widths, many equal documents, fewer documents than places, to the last bit."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    if levels is not None:
        vectors = np.round(vectors * levels) / levels
    corpus = corpus_of(vectors.astype(np.float16 if half else np.float32))
    options = {"activation_type": activation, "do_layer_norm": norm, "do_residual": residual}
    scorer = dense_scorer(dim, layers, q, seed=seed, **options)
    surrogate = SurrogateOptions(fitted=64, held=48, limit=1) if scan is None else None
    options_of_scan = FirstPassOptions(dtype=scan, surrogate=surrogate, limit=1, sample=64)
    searched = ErrorBoundedEngine(corpus, options_of_scan).search(scorer, k=k)
    assert searched.rankings == exact(scorer, corpus, k)
    assert searched.evaluations.tolist() == [n] * q


class Rough:
    """Scores ``x · w`` in float32; in another dtype, also so much that depends on the document.

    Args:
        off: What a scan adds, by the first column of a document.
    """

    dim = 13

    def __init__(self, off: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._off = off
        self._weights = torch.arange(13.0) / 13

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        scores = vectors.float() @ self._weights[:, None]
        if vectors.dtype == torch.float32:
            return scores
        return scores + self._off(vectors[..., :1].float())


def search(
    corpus: VectorCorpus, net: Rough, k: int = 20, **options: Any
) -> tuple[SearchResult, Any]:
    scorer = QNetScorer([net, Rough(torch.zeros_like)], 13)
    searched = ErrorBoundedEngine(corpus, FirstPassOptions(**options)).search(scorer, k=k)
    return searched, exact(scorer, corpus, k)


def test_a_rough_scan_is_widened_until_float32_is_sure(corpus_of: CorpusOf) -> None:
    actual, expected = search(corpus_of(3000), Rough(lambda x: 0.3 * torch.sin(97 * x)), limit=0.5)
    assert actual.rankings == expected
    assert actual.scan is not None
    assert not actual.scan.fell_back.any()
    rough, fine = actual.scan.widened.tolist()
    assert rough > fine
    far = actual.scan.rescored[0] - (rough + 24 + 256)
    assert 0 <= far < 20  # vectors that are unlike those of the sample
    # The mean error of a sine is about 0, its largest 0.3, and twice that is allowed for.
    assert actual.scan.bound[0] == pytest.approx(0.6, abs=0.05)
    assert actual.scan.bound[1] < 0.05


def test_a_common_error_of_all_documents_costs_nothing(corpus_of: CorpusOf) -> None:
    actual, expected = search(corpus_of(3000), Rough(lambda x: torch.full_like(x, -5.0)))
    assert actual.rankings == expected
    assert actual.scan is not None
    assert actual.scan.bound[0] == pytest.approx(5, abs=0.1)
    assert actual.scan.widened[0] <= actual.scan.widened[1] + 20


def test_a_scan_that_is_too_rough_is_given_up(corpus_of: CorpusOf) -> None:
    actual, expected = search(corpus_of(3000), Rough(lambda x: 9 * torch.sin(97 * x)), limit=0.1)
    assert actual.rankings == expected
    assert actual.scan is not None
    assert actual.scan.fell_back.tolist() == [True, False]


def test_more_documents_than_may_be_scored_again_are_searched_in_float32(
    corpus_of: CorpusOf,
) -> None:
    actual, expected = search(corpus_of(300), Rough(torch.zeros_like), k=100, limit=0.2)
    assert actual.rankings == expected
    assert actual.scan is not None
    assert actual.scan.fell_back.all()


def test_a_scan_that_is_not_finite_leaves_it_to_float32(corpus_of: CorpusOf) -> None:
    actual, expected = search(corpus_of(3000), Rough(lambda x: 1 / (x > 3)))
    assert actual.rankings == expected
    assert actual.scan is not None
    assert actual.scan.fell_back.all()


def test_without_certifying_only_the_first_are_scored_again(corpus_of: CorpusOf) -> None:
    actual, expected = search(
        corpus_of(3000), Rough(lambda x: 0.3 * torch.sin(97 * x)), certify=False
    )
    assert actual.scan is not None
    assert actual.scan.widened.tolist() == [0, 0]
    assert actual.rankings[0] != expected[0]
    assert actual.rankings[1] == expected[1]


def test_a_measured_bound_is_no_proof(corpus_of: CorpusOf) -> None:
    """The best document is missed if the scan is wrong about it alone, far below the rest.

    Its vector is like the others: what is unlike them is scored in float32 in any case.
    """
    vectors = np.random.default_rng(0).normal(size=(3000, 13)).astype(np.float32)
    best = 1234
    vectors[best] = np.arange(13) / 7
    vectors[best, 0] = 2.25
    corpus = corpus_of(vectors)
    actual, expected = search(
        corpus, Rough(lambda x: torch.where(x == 2.25, -1000.0, 0.0)), sample=64
    )
    (missed,) = corpus.ids(np.array([best]))
    assert expected[0][0][0] == missed
    assert missed not in dict(actual.rankings[0])
    assert actual.rankings[0] == [pair for pair in exact_but(corpus, missed) if pair][:20]


@pytest.mark.parametrize("scan", [torch.bfloat16, torch.int8])
def test_a_long_vector_whose_products_cancel_is_found(
    corpus_of: CorpusOf, scan: torch.dtype
) -> None:
    """One best document of length 20,000: bfloat16 loses its score, and no sample shows it."""
    drawn = np.random.default_rng(0)
    vectors = drawn.normal(size=(20_000, 64)).astype(np.float32)
    scorer = dense_scorer(64, 0, 12)
    for query in range(12):
        one = scorer.select([query])
        weights = one(torch.eye(64))[0].numpy()
        square = weights @ weights
        across = drawn.normal(size=64)
        across -= (across @ weights) / square * weights
        documents = vectors.copy()
        best = 1.01 * (vectors @ weights).max() / square
        documents[777] = 2e4 * across / np.linalg.norm(across) + best * weights
        corpus = corpus_of(documents)
        actual = ErrorBoundedEngine(corpus, FirstPassOptions(dtype=scan)).search(one, k=10)
        (name,) = corpus.ids(np.array([777]))
        assert name in dict(actual.rankings[0])
        assert actual.rankings == exact(one, corpus, 10)
        assert actual.scan is not None
        assert not actual.scan.fell_back.any()


def test_a_few_long_vectors_leave_int_8_to_the_others(corpus_of: CorpusOf) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    vectors[::100] *= 2000
    corpus, scorer = corpus_of(vectors), dense_scorer(64, 2, 3)
    actual = ErrorBoundedEngine(corpus, FirstPassOptions(dtype=torch.int8)).search(scorer, k=10)
    assert actual.rankings == exact(scorer, corpus, 10)
    assert actual.scan is not None
    if can_quantise(torch.device("cpu")):
        assert set(actual.scan.dtypes) == {"int8"}


def exact_but(corpus: VectorCorpus, missed: str) -> Any:
    whole = exact(QNetScorer([Rough(torch.zeros_like)], 13), corpus, 21)[0]
    return [pair for pair in whole if pair[0] != missed]


def test_one_document_a_shard_and_many_queries_change_nothing(corpus_of: CorpusOf) -> None:
    corpus = corpus_of(700)
    scorer = dense_scorer(13, 2, 5)
    whole = ErrorBoundedEngine(corpus).search(scorer, k=30)

    class Single(VectorCorpus):
        def blocks(self) -> Any:
            return [(i, self._vectors[i : i + 1]) for i in range(self.n)]

    single = Single(corpus.vectors(np.arange(700)), corpus.ids(np.arange(700)))
    assert ErrorBoundedEngine(single).search(scorer, k=30).rankings == whole.rankings
    for query in range(5):
        alone = ErrorBoundedEngine(corpus).search(scorer.select([query]), k=30)
        assert alone.rankings == [whole.rankings[query]]
        assert alone.scan is not None
        assert whole.scan is not None
        assert alone.scan.rescored[0] == whole.scan.rescored[query]


def test_what_float32_cannot_rank_either_is_refused(corpus_of: CorpusOf) -> None:
    vectors = np.ones((50, 13), dtype=np.float32)
    vectors[7] = np.nan
    corpus = corpus_of(vectors)
    (name,) = corpus.ids(np.array([7]))
    with pytest.raises(ModelError, match=f"'{name}' for query number 1 .* is nan"):
        search(corpus, Rough(torch.zeros_like), k=3)
