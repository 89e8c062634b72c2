"""Fusion against ten lines of each method, and its edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.errors import UsageError
from hypencli.evaluation.fusion import FUSION_METHODS, Fusion, fuse
from hypencli.records import Ranking


def ten_lines(rankings: list[Ranking], how: Fusion) -> dict[str, float]:
    """Scores by the definitions, a document at a time."""
    scores = {}
    for doc in {doc for ranking in rankings for doc, _ in ranking}:
        total = 0.0
        for i, ranking in enumerate(rankings):
            collected = [(rank, s) for rank, (d, s) in enumerate(ranking, 1) if d == doc]
            for rank, s in collected:
                values = [s for _, s in ranking]
                low, high = min(values), max(values)
                scaled = 1.0 if low == high else (s - low) / (high - low)
                scaled = s if how.normalise == "none" else scaled
                weight = how.weights[i] if how.weights else 1 / len(rankings)
                total += {
                    "rrf": 1 / (how.rrf_k + rank),
                    "combsum": scaled,
                    "interpolate": weight * scaled,
                }[how.method]
        scores[doc] = total
    return scores


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    docs = draw(st.lists(st.sampled_from("abcdefgh"), max_size=6, unique=True))
    values = draw(st.lists(st.integers(-20, 20), min_size=len(docs), max_size=len(docs)))
    return list(zip(docs, (v / 4 for v in sorted(values, reverse=True)), strict=True))


@given(
    runs=st.lists(rankings(), min_size=2, max_size=4),
    method=st.sampled_from(FUSION_METHODS),
    normalise=st.sampled_from(["min-max", "none"]),
    weighted=st.booleans(),
    rrf_k=st.integers(0, 80),
)
def test_every_method_is_what_it_says(
    runs: list[Ranking], method: str, normalise: str, weighted: bool, rrf_k: int
) -> None:
    weights = None
    if weighted and method == "interpolate":
        weights = tuple(i / 4 for i in range(len(runs)))
    how = Fusion(method, rrf_k=rrf_k, weights=weights, normalise=normalise)  # type: ignore[arg-type]
    (actual,) = fuse([{"q": ranking} for ranking in runs], how).values()
    assert dict(actual) == pytest.approx(ten_lines(runs, how))
    assert actual == sorted(actual, key=lambda pair: (-pair[1], pair[0]))


def test_reciprocal_ranks_by_hand() -> None:
    runs = [{"q": [("a", 9.0), ("b", 8.0)]}, {"q": [("b", 0.9), ("c", 0.1)]}]
    fused = fuse(runs, Fusion())["q"]
    assert [doc for doc, _ in fused] == ["b", "a", "c"]
    assert dict(fused) == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "c": 1 / 62})


def test_ranks_are_the_runs_own_also_where_scores_tie() -> None:
    tied = {"q": [("b", 1.0), ("a", 1.0)]}
    assert [doc for doc, _ in fuse([tied, tied], Fusion())["q"]] == ["b", "a"]


def test_a_query_that_a_run_lacks_comes_from_the_others() -> None:
    runs = [{"q1": [("a", 1.0)], "q2": []}, {"q2": [("b", 1.0)]}, {"q3": [("c", 1.0)]}]
    fused = fuse(runs, Fusion("combsum"))
    assert fused == {"q1": [("a", 1.0)], "q2": [("b", 1.0)], "q3": [("c", 1.0)]}


def test_only_the_best_k_stay_ties_by_id() -> None:
    runs = [{"q": [("c", 1.0)]}, {"q": [("b", 1.0)]}, {"q": [("a", 1.0)]}]
    assert [doc for doc, _ in fuse(runs, Fusion(k=2))["q"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"method": "rrff"}, "no fusion method 'rrff'"),
        ({"normalise": "max"}, "no normalisation 'max'"),
        ({"k": 0}, "k must be"),
        ({"rrf_k": -1}, "rrf_k"),
        ({"k": 10**30}, "too large"),
        ({"rrf_k": 2**31}, "too large"),
        ({"weights": (1.0, 2.0)}, "rrf takes no weights"),
        ({"method": "interpolate", "weights": (1.0, -1.0)}, "0 or more"),
        ({"method": "interpolate", "weights": (1.0, float("nan"))}, "0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Fusion(**options)  # type: ignore[arg-type]


def test_every_run_has_a_weight() -> None:
    with pytest.raises(UsageError, match="3 weights for 2 runs"):
        fuse([{}, {}], Fusion("interpolate", weights=(1.0, 1.0, 1.0)))
