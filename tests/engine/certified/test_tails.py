"""The chance of an error beyond all that a sample shows."""

from __future__ import annotations

import numpy as np
import pytest

from hypencli.engine.certified.tails import Tail, chances, largest_error, needed

DRAWS, M = 1500, 200


def uniform(drawn: np.random.Generator, size: object) -> np.ndarray:
    return drawn.uniform(-1, 1, size)


TAILS = {
    "normal": lambda drawn, size: drawn.normal(size=size),
    "exponential": lambda drawn, size: drawn.laplace(size=size),
    "bounded": uniform,
}


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_chance_holds_over_thousands_of_samples(name: str, factor: float) -> None:
    """Errors beyond a multiple of the largest one of a sample are not more frequent than said."""
    drawn = np.random.default_rng(0)
    others = np.sort(TAILS[name](drawn, 200_000))
    actual, said = [], []
    for errors in TAILS[name](drawn, (DRAWS, M)):
        tail = Tail(errors)
        threshold = tail.centre + factor * tail.largest
        actual.append(1 - np.searchsorted(others, threshold) / len(others))
        said.append(chances([tail], np.array([threshold]))[0])
    assert np.mean(actual) <= 1.2 * np.mean(said)  # the centre is that of the sample


def test_a_heavy_tail_shows_in_the_sample() -> None:
    """Of Student's t with 3 degrees of freedom: the chance is near the true one, and falls slowly.

    An exponential tail would give a fifteenth of it.
    """
    drawn = np.random.default_rng(0)
    others = np.sort(drawn.standard_t(3, 200_000))
    actual, said, far = [], [], []
    for errors in drawn.standard_t(3, (500, 512)):
        tail = Tail(errors)
        threshold = tail.centre + 2 * tail.largest
        actual.append(1 - np.searchsorted(others, threshold) / len(others))
        said.append(chances([tail], np.array([threshold]))[0])
        far.append(largest_error([tail], 1e-6) / errors.std())
    assert np.mean(actual) <= 2.5 * np.mean(said)
    assert np.median(far) > 20  # of normal errors, 7


def test_the_chance_falls_with_what_is_lacking() -> None:
    tail = Tail(np.random.default_rng(0).normal(size=100))
    lacking = np.linspace(-1, 20, 200)
    shares = chances([tail], lacking)
    assert (np.diff(shares) <= 0).all()
    assert shares[0] == 1
    assert 0 < shares[-1] < 1e-6


def test_the_worst_of_several_samples_counts() -> None:
    drawn = np.random.default_rng(0)
    narrow, wide = Tail(drawn.normal(size=100)), Tail(3 * drawn.normal(size=100))
    lacking = np.array([5.0, 9.0])
    assert (chances([narrow, wide], lacking) == chances([wide], lacking)).all()


@pytest.mark.parametrize("chance", [1e-2, 1e-6, 1e-12])
def test_the_largest_error_has_the_chance(chance: float) -> None:
    tail = Tail(np.random.default_rng(0).normal(size=500) - 3)
    error = largest_error([tail], chance)
    below, above = chances([tail], np.array([error - 1e-6, error + 1e-6]))
    assert above <= chance < below


def test_without_errors_nothing_is_known() -> None:
    tail = Tail(np.empty(0))
    assert chances([tail], np.array([-1.0, 1e300])).tolist() == [1, 1]


def test_equal_errors_leave_their_rounding() -> None:
    tail = Tail(np.full(50, 2.5), least=0.01)
    assert (tail.centre, tail.largest) == (2.5, 0.01)
    assert largest_error([tail], 1e-3) == pytest.approx(2.5, abs=0.05)


def test_documents_are_needed_until_few_of_the_others_may_be_missing() -> None:
    shares = np.array([0.9, 0.5, 0.06, 0.03, 0.01])
    assert [needed(shares, risk) for risk in (2, 0.6, 0.1, 0.02, 0.001)] == [0, 1, 2, 4, 5]
