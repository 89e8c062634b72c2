"""Which vectors of a corpus are unlike the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hypencli.engine.certified.outliers import TypicalVectors

NAN, INFINITE = float("nan"), float("inf")


def outliers(sample: np.ndarray, rows: np.ndarray) -> list[bool]:
    found = TypicalVectors.of(sample).outliers(torch.from_numpy(rows.astype(np.float32)))
    return found.tolist()


def unit(n: int, dim: int = 64) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_vectors_of_one_length_are_all_typical(dtype: type) -> None:
    rows = unit(5000).astype(dtype)
    assert not any(outliers(rows[:256], rows.astype(np.float32)))


def test_long_short_concentrated_and_not_finite_vectors_are_outliers() -> None:
    rows = unit(6)
    rows[0] *= 2
    rows[1] /= 2
    rows[2] = np.eye(64)[0]  # of the length of the others, in one value
    rows[3, 5] = NAN
    rows[4, 5] = INFINITE
    assert outliers(unit(256), rows) == [True, True, True, True, True, False]


def test_vectors_of_zeros_are_typical_where_the_sample_has_many() -> None:
    sample = unit(256)
    sample[::10] = 0
    assert outliers(sample, np.zeros((1, 64))) == [False]
    assert outliers(unit(256), np.zeros((1, 64))) == [True]


def test_an_outlier_in_the_sample_does_not_hide_the_others() -> None:
    sample = unit(256)
    sample[:5] *= 1000
    assert outliers(sample, sample) == [True] * 5 + [False] * 251


def test_a_sample_without_a_finite_vector_leaves_all_finite_ones_typical() -> None:
    sample = np.full((4, 2), NAN, dtype=np.float32)
    assert outliers(sample, np.array([[1, 1], [NAN, 0]])) == [False, True]
