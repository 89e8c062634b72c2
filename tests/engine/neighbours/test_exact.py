"""Exact neighbours against a plain search, faiss, and every way of cutting the work."""

from __future__ import annotations

import io
from typing import Any

import faiss
import numpy as np
import pytest
import torch

from hypencli.engine.neighbours.exact import ExactNeighbours, estimated_seconds, nearest_of
from hypencli.engine.neighbours.similarity import METRICS, Metric, Similarity
from hypencli.errors import ModelError

CPU = torch.device("cpu")


def similarity(metric: Metric, block_rows: int = 64, **more: Any) -> Similarity:
    return Similarity(metric, CPU, block_rows=block_rows, **more)


def exact(corpus: Any, metric: Metric, *, k: int, block_rows: int = 64, **more: Any) -> np.ndarray:
    work = ExactNeighbours(corpus, similarity(metric, block_rows, **more), k=k)
    work.run()
    return np.concatenate([*work.neighbours(), np.empty((0, k), np.int32)])


def plain(vectors: np.ndarray, metric: Metric, *, k: int) -> np.ndarray:
    """Neighbours by ``torch.cdist`` or a product in float64, and ``topk``."""
    x = torch.from_numpy(vectors).double()
    if metric == "l2":
        near = -torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    elif metric == "cos":
        unit = torch.nn.functional.normalize(x)
        near = unit @ unit.t()
    else:
        near = x @ x.t()
    near.fill_diagonal_(-torch.inf)
    return torch.topk(near, k, dim=1).indices.numpy()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [64, 65, 500])
def test_equals_a_plain_search(in_memory: Any, vectors: Any, metric: Metric, n: int) -> None:
    inputs = vectors(n, 16)
    actual = exact(in_memory(inputs), metric, k=20)
    wanted = plain(inputs, metric, k=20)
    # Where two are as near as float32 can tell, their order may differ.
    assert (actual == wanted).mean() > 0.999
    assert all(set(a) == set(b) for a, b in zip(actual.tolist(), wanted.tolist(), strict=True))


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_equals_faiss(in_memory: Any, vectors: Any, metric: Metric) -> None:
    inputs = vectors(300, 32)
    index = faiss.IndexFlatL2(32) if metric == "l2" else faiss.IndexFlatIP(32)
    index.add(inputs)
    _, labels = index.search(inputs, 300)
    others = labels[labels != np.arange(300)[:, None]].reshape(300, 299)
    actual = exact(in_memory(inputs), metric, k=10)
    assert (actual == others[:, :10]).mean() > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_lower_ordinal(in_memory: Any, metric: Metric) -> None:
    """Few different vectors of whole numbers: products are exact on every machine."""
    kinds = np.random.default_rng(0).integers(-3, 4, (9, 4)).astype(np.float32) * 2
    if metric == "cos":
        kinds = np.sign(kinds)
        kinds[:, 0] = [1, 1, 1, -1, -1, -1, 1, -1, 1]
        kinds = kinds[(kinds != 0).sum(axis=1) == 4]  # of length 2, so that dividing is exact
    inputs = kinds[np.random.default_rng(1).integers(len(kinds), size=200)]
    x = inputs / 2 if metric == "cos" else inputs
    near = x @ x.T
    if metric == "l2":
        near = near - (x**2).sum(axis=1)[None, :] / 2 - (x**2).sum(axis=1)[:, None] / 2
    for row, actual in enumerate(exact(in_memory(inputs), metric, k=60).tolist()):
        others = [i for i in range(200) if i != row]
        assert actual == sorted(others, key=lambda i: (-near[row, i], i))[:60]


def test_a_vector_of_zeros_has_the_cosine_zero(in_memory: Any) -> None:
    inputs = np.array([[0, 0], [1, 0], [-1, 0.1], [0.5, 1], [0, 0]], dtype=np.float32)
    assert exact(in_memory(inputs), "cos", k=4).tolist() == [
        [1, 2, 3, 4],
        [3, 0, 4, 2],
        [0, 4, 3, 1],
        [1, 0, 4, 2],
        [0, 1, 2, 3],
    ]


@pytest.mark.parametrize("block_rows", [7, 64, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_and_threads_change_nothing(
    in_memory: Any, vectors: Any, block_rows: int, threads: int
) -> None:
    inputs = np.round(vectors(200, 8) * 8)  # whole numbers: the same sums in any order
    wanted = exact(in_memory(inputs), "l2", k=9, block_rows=200)
    own = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual = exact(in_memory(inputs), "l2", k=9, block_rows=block_rows)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(own)
    np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_fewer_documents_than_neighbours(in_memory: Any, vectors: Any, n: int) -> None:
    actual = exact(in_memory(vectors(n, 4)), "l2", k=4, block_rows=2)
    assert actual.shape == (n, 4)
    for row, ordinals in enumerate(actual.tolist()):
        others = set(range(n)) - {row}
        assert set(ordinals[: len(others)]) == others if n < 5 else len(set(ordinals)) == 4
        assert ordinals[len(others) :] == [-1] * (4 - len(others))


def test_float16_vectors_are_read_as_they_are(in_memory: Any, vectors: Any) -> None:
    half = vectors(150, 16).astype(np.float16)
    actual = exact(in_memory(half), "ip", k=12)
    np.testing.assert_array_equal(actual, exact(in_memory(half.astype(np.float32)), "ip", k=12))


def test_bfloat16_is_near(in_memory: Any, vectors: Any) -> None:
    inputs = vectors(300, 32)
    coarse = exact(in_memory(inputs), "l2", k=20, dtype=torch.bfloat16)
    wanted = plain(inputs, "l2", k=20)
    shared = [len(set(a) & set(b)) / 20 for a, b in zip(coarse, wanted, strict=True)]
    assert 0.8 < np.mean(shared) < 1


def test_a_vector_too_long_for_float32_is_named(in_memory: Any, vectors: Any) -> None:
    inputs = vectors(150, 4)
    inputs[130, 2] = 3e20
    with pytest.raises(ModelError, match="document 130 is too long"):
        exact(in_memory(inputs), "ip", k=3)


@pytest.mark.parametrize("stops", [[1], [3, 4, 9], list(range(1, 40))])
def test_stopped_and_gone_on_it_is_the_same(in_memory: Any, vectors: Any, stops: list[int]) -> None:
    corpus = in_memory(vectors(500, 8))
    wanted = exact(corpus, "l2", k=7)

    class Stop(Exception):
        pass

    saved = io.BytesIO()
    for stop in stops:
        work = ExactNeighbours(corpus, similarity("l2"), k=7)
        if saved.getvalue():
            saved.seek(0)
            assert work.load(saved)
        before, left = work.n_done, [stop]

        def pause(work: ExactNeighbours = work, left: list[int] = left) -> None:
            saved.seek(0)
            saved.truncate()
            work.save(saved)
            left[0] -= 1
            if left[0] <= 0:
                raise Stop

        try:
            work.run(on_pause=pause)
        except Stop:
            assert work.n_done > before or work.n_done == work.n_pairs
    saved.seek(0)
    work = ExactNeighbours(corpus, similarity("l2"), k=7)
    assert work.load(saved)
    done: list[int] = []
    work.run(on_done=done.append)
    assert work.n_done == work.n_pairs == 36
    assert sum(done) < 36
    np.testing.assert_array_equal(np.concatenate(list(work.neighbours())), wanted)


def test_what_does_not_fit_is_not_gone_on_from(in_memory: Any, vectors: Any) -> None:
    corpus = in_memory(vectors(200, 8))
    work = ExactNeighbours(corpus, similarity("l2"), k=7)
    work.run()
    whole = list(work.neighbours())
    saved = io.BytesIO()
    work.save(saved)
    content = saved.getvalue()
    torn = [content[:200], content[:-30], b"", b"nothing", content[:3000] + b"x" + content[3001:]]
    for damaged in torn:
        fresh = ExactNeighbours(corpus, similarity("l2"), k=7)
        assert not fresh.load(io.BytesIO(damaged))
        assert fresh.n_done == 0
        fresh.run()
        np.testing.assert_array_equal(*map(np.concatenate, (whole, list(fresh.neighbours()))))
    for other in (
        ExactNeighbours(corpus, similarity("l2"), k=8),
        ExactNeighbours(corpus, similarity("l2", 32), k=7),
        ExactNeighbours(in_memory(vectors(199, 8)), similarity("l2"), k=7),
    ):
        assert not other.load(io.BytesIO(content))


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_of_some_are_those_of_all(in_memory: Any, vectors: Any, metric: Metric) -> None:
    corpus = in_memory(vectors(300, 16))
    selected = np.array([0, 5, 63, 64, 130, 131, 132, 299, *range(200, 290)])
    actual = nearest_of(selected, corpus, similarity(metric), k=11)
    np.testing.assert_array_equal(actual, exact(corpus, metric, k=11)[selected])


def test_an_estimate_of_the_time(in_memory: Any, vectors: Any) -> None:
    few = estimated_seconds(in_memory(vectors(2000, 16)), Similarity("l2", CPU))
    many = estimated_seconds(in_memory(np.zeros((40_960, 16), np.float16)), Similarity("l2", CPU))
    assert 0 < few < many
