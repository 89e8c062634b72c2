"""Search through the device path: the documents of float32 search on a CPU."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions
from hypencli.engine.certified.options import SurrogateOptions
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.device.streaming import DeviceCorpus, DeviceOptions
from hypencli.engine.exact import ExactEngine
from hypencli.engine.results import SearchResult
from hypencli.engine.scorers import InnerProductScorer, QNetScorer
from hypencli.errors import ModelError
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter

N, DIM, K = 3_000, 24, 50


def q_nets(count: int, device: torch.device, layers: int = 3) -> QNetScorer:
    drawn = torch.Generator().manual_seed(7)
    converter = RepeatedDenseBlockConverter([DIM] * (layers + 1) + [1])

    def tensors(shapes: list[tuple[int, int]]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(1, *s, generator=drawn) / s[0] ** 0.5 for s in shapes)

    nets = [
        QNetBatch(tensors(converter.weight_shapes), tensors(converter.bias_shapes), converter)
        for _ in range(count)
    ]
    return QNetScorer([net.to(device) for net in nets], DIM)


def corpus_of(n: int = N, copies: int = 1) -> VectorCorpus:
    """Random vectors, each so many times, under ids in another order than theirs."""
    vectors = np.random.default_rng(3).normal(size=(n, DIM)).astype(np.float16)
    ids = [f"doc{(i * 7919) % 100_003:06d}" for i in range(n * copies)]
    return VectorCorpus(np.repeat(vectors, copies, axis=0), ids)


def ids_of(result: SearchResult) -> list[list[str]]:
    return [[doc_id for doc_id, _ in ranking] for ranking in result.rankings]


def assert_same_documents(mine: SearchResult, cpu: SearchResult) -> None:
    """Equal ids in equal order, but for neighbours whose scores differ by rounding alone."""
    for own, other in zip(mine.rankings, cpu.rankings, strict=True):
        np.testing.assert_allclose([s for _, s in own], [s for _, s in other], atol=2e-5)
        scores = dict(other)
        for (one, score), (another, _) in zip(own, other, strict=True):
            assert one == another or abs(scores.get(one, score) - scores[another]) < 2e-5


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("engine", [ExactEngine, ErrorBoundedEngine])
def test_the_documents_are_those_of_float32_on_a_cpu(
    device: torch.device, engine: type, resident: bool
) -> None:
    """With q-nets in float32, and after a first pass of all q-nets together in bfloat16."""
    corpus = corpus_of()
    options = DeviceOptions(block_rows=700, rows=256, resident=resident)
    searched = engine(DeviceCorpus(corpus, device, options), device=device)
    cpu = ExactEngine(corpus).search(q_nets(5, torch.device("cpu")), k=K)
    scorer = q_nets(5, device)
    for _ in range(2):  # the second pass finds the vectors where the first left them
        result = searched.search(scorer, k=K)
        assert_same_documents(result, cpu)
        assert result.evaluations.tolist() == [N] * 5
    if engine is ErrorBoundedEngine:
        assert not result.scan.fell_back.any()
        assert result.scan.dtypes == ("bfloat16",) * 5
        assert result.scan.rescored.max() < N / 4


def test_surrogates_pass_over_vectors_on_the_device(device: torch.device) -> None:
    """Of q-nets without a hidden layer, which a surrogate fits well."""
    corpus = corpus_of(6_000)
    options = FirstPassOptions(dtype=None, surrogate=SurrogateOptions(fitted=256, held=256))
    on_device = DeviceCorpus(corpus, device, DeviceOptions(block_rows=700, rows=256))
    engine = ErrorBoundedEngine(on_device, options, device=device)
    result = engine.search(q_nets(3, device, layers=0), k=K)
    cpu = ExactEngine(corpus).search(q_nets(3, torch.device("cpu"), layers=0), k=K)
    assert_same_documents(result, cpu)
    assert not result.scan.fell_back.any()
    assert result.scan.rescored.max() < 3_000


def test_the_first_pass_joins_the_q_nets(device: torch.device) -> None:
    """The joined q-nets score as each alone, up to the roundings of bfloat16."""
    scorer = q_nets(3, device)
    vectors = torch.from_numpy(corpus_of(64).vectors(np.arange(64))).to(device)
    together = scorer.grouped(torch.bfloat16)
    assert together is not None
    alone = torch.cat([net.to(dtype=torch.bfloat16).score(vectors) for net in scorer._q_nets])
    assert together(vectors.bfloat16()).shape == (3, 64)
    torch.testing.assert_close(together(vectors.bfloat16()), alone, rtol=0.02, atol=0.02)
    assert QNetScorer([lambda items: items], DIM).grouped(torch.bfloat16) is None


def test_streaming_equals_resident_and_runs_are_repeatable(device: torch.device) -> None:
    scorer = q_nets(3, device)
    results = [
        ExactEngine(
            DeviceCorpus(corpus_of(), device, DeviceOptions(block_rows=700, resident=resident)),
            device=device,
        ).search(scorer, k=K)
        for resident in (False, True, False)
    ]
    assert results[0].rankings == results[1].rankings == results[2].rankings


@pytest.mark.parametrize("engine", [ExactEngine, ErrorBoundedEngine])
def test_ties_are_broken_by_document_id(device: torch.device, engine: type) -> None:
    corpus = corpus_of(100, copies=7)
    options = DeviceOptions(block_rows=128, rows=64)
    result = engine(DeviceCorpus(corpus, device, options), device=device).search(
        q_nets(2, device), k=10
    )
    for ranking in result.rankings:
        assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))
        assert [len({score for _, score in ranking[:7]}), len(ranking)] == [1, 10]
        places = {int(corpus.ids(np.arange(700)).index(doc_id)) // 7 for doc_id, _ in ranking[:7]}
        assert len(places) == 1
        second = next(i for i in range(100) if i not in places and ranking[7][0] in ids_at(i))
        assert [doc_id for doc_id, _ in ranking[7:]] == sorted(ids_at(second))[:3]


def ids_at(vector: int) -> list[str]:
    """The ids of the seven copies of a vector."""
    return [f"doc{(i * 7919) % 100_003:06d}" for i in range(7 * vector, 7 * vector + 7)]


def test_inner_products_too(device: torch.device) -> None:
    queries = torch.randn((40, DIM), generator=torch.Generator().manual_seed(1))
    corpus = corpus_of()
    cpu = ExactEngine(corpus).search(InnerProductScorer(queries), k=K)
    result = ExactEngine(
        DeviceCorpus(corpus, device, DeviceOptions(block_rows=999)), device=device
    ).search(InnerProductScorer(queries.to(device)), k=K)
    assert_same_documents(result, cpu)


class Limited(InnerProductScorer):
    """Has memory for so many documents at once."""

    limit = 300

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        if len(vectors) > self.limit:
            raise torch.OutOfMemoryError("no memory")
        return super().__call__(vectors)


def test_without_memory_fewer_documents_are_scored_at_once_and_it_is_said(
    device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    queries = torch.randn((2, DIM), generator=torch.Generator().manual_seed(1)).to(device)
    corpus = DeviceCorpus(corpus_of(), device, DeviceOptions(block_rows=2_000, rows=1_024))
    whole = ExactEngine(corpus, device=device).search(InnerProductScorer(queries), k=K)
    with caplog.at_level(logging.WARNING):
        result = ExactEngine(corpus, device=device).search(Limited(queries), k=K)
    assert ids_of(result) == ids_of(whole)
    assert caplog.messages == [
        f"{device} is out of memory: {rows} documents are scored at once from now on"
        for rows in (512, 256)
    ]


def test_without_memory_for_few_documents_there_is_an_error(device: torch.device) -> None:
    scorer = Limited(torch.ones((1, DIM), device=device))
    scorer.limit = 100
    corpus = DeviceCorpus(corpus_of(), device, DeviceOptions(rows=256))
    with pytest.raises(ModelError, match="has no memory to score 256 documents"):
        ExactEngine(corpus, device=device).search(scorer, k=K)


def test_a_score_that_is_not_finite_names_its_document(device: torch.device) -> None:
    vectors = np.ones((2_000, DIM), dtype=np.float32)
    vectors[1_234, 0] = np.inf
    corpus = DeviceCorpus(VectorCorpus(vectors), device, DeviceOptions(block_rows=512))
    with pytest.raises(ModelError, match="document '1234'"):
        ExactEngine(corpus, device=device).search(
            InnerProductScorer(torch.ones((1, DIM), device=device)), k=3
        )


def test_another_width_is_refused(device: torch.device) -> None:
    corpus = DeviceCorpus(VectorCorpus(np.ones((9, 5), dtype=np.float32)), device)
    with pytest.raises(ModelError, match="5 wide"):
        ExactEngine(corpus, device=device).search(InnerProductScorer(torch.ones((1, DIM))), k=3)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second CUDA device")
def test_the_second_gpu_gives_the_same_and_the_first_stays_empty() -> None:
    used = torch.cuda.memory_allocated(0)
    second = torch.device("cuda:1")
    result = ExactEngine(corpus_of(), device=second).search(q_nets(3, second), k=K)
    assert_same_documents(
        result, ExactEngine(corpus_of()).search(q_nets(3, torch.device("cpu")), k=K)
    )
    assert torch.cuda.memory_allocated(0) == used


@pytest.mark.parametrize(
    "where",
    [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)],
)
def test_compiled_q_nets_find_the_same(where: str) -> None:
    if where == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device, results = torch.device(where), []
    for compiled in (False, True):
        corpus = DeviceCorpus(corpus_of(), device, DeviceOptions(rows=1_024, compile=compiled))
        results.append(ErrorBoundedEngine(corpus, device=device).search(q_nets(3, device), k=K))
    assert results[0].rankings == results[1].rankings
