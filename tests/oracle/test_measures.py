"""Figures against trec_eval's own, against ten-line references, and against scipy."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.data.qrels import read_qrels
from hypencli.data.runs import read_run
from hypencli.errors import DataError
from hypencli.evaluation.measures import compare, evaluate, holm, parse_measures
from hypencli.records import Evaluation, Qrels, Ranking

TREC_NAMES = {
    "map": "AP",
    "Rprec": "Rprec",
    "bpref": "Bpref",
    "recip_rank": "RR",
    "infAP": "infAP",
    "ndcg": "nDCG",
    "num_ret": "NumRet",
    "num_rel_ret": "NumRet(rel=1)",  # the level is put in by with_level
    "set_P": "SetP",
    "set_recall": "SetR",
    **{f"P_{k}": f"P@{k}" for k in (5, 10, 20, 100, 1000)},
    **{f"recall_{k}": f"R@{k}" for k in (5, 10, 20, 100, 1000)},
    **{f"ndcg_cut_{k}": f"nDCG@{k}" for k in (5, 10, 20, 100, 1000)},
    **{f"map_cut_{k}": f"AP@{k}" for k in (10, 100, 1000)},
    **{f"success_{k}": f"Success@{k}" for k in (1, 5, 10)},
    **{f"iprec_at_recall_{r}": f"IPrec@{r}" for r in ("0.00", "0.50", "1.00")},
}


def published(path: Path, *, rel: int = 1) -> dict[str, dict[str, float]]:
    """Output of ``trec_eval -q -l REL``: query (or ``all``) -> measure -> value, to 4 places."""
    actual: dict[str, dict[str, float]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        name, query, value = line.split()
        if name in TREC_NAMES:
            actual[query][with_level(TREC_NAMES[name], rel)] = float(value)
    return actual


def with_level(name: str, rel: int) -> str:
    """The measure with documents relevant from a grade on; nDCG takes every grade as it is."""
    base, at, cutoff = name.replace("(rel=1)", "").partition("@")
    graded = base == "nDCG" or name == "NumRet"
    level = "" if graded else f"(rel={rel})"
    return str(parse_measures([f"{base}{level}{at}{cutoff}"])[0])


def as_trec_eval_ranks(results: dict[str, Ranking]) -> dict[str, Ranking]:
    """trec_eval's order: by score in single precision, ties by document id downwards."""
    import numpy as np

    return {
        query: sorted(ranking, key=lambda pair: (np.float32(pair[1]), pair[0]), reverse=True)
        for query, ranking in results.items()
    }


def check(actual: Evaluation, expected: dict[str, dict[str, float]]) -> None:
    assert actual.judged_queries == len(expected) - 1
    for query, values in expected.items():
        for name, value in values.items():
            ours = actual.aggregates[name] if query == "all" else actual.per_query[name][query]
            assert ours == pytest.approx(value, abs=5.01e-5), (query, name)


def names(expected: dict[str, dict[str, float]]) -> list[str]:
    assert len(expected["all"]) > 10
    return list(expected["all"])


@pytest.fixture
def trec_eval(evaluation_goldens: Path) -> Path:
    return evaluation_goldens / "trec_eval"


@pytest.fixture
def dl_hard(evaluation_goldens: Path) -> Path:
    return evaluation_goldens / "dlhard"


@pytest.mark.parametrize("qrels_name", ["qrels.test", "qrels.test.with-comments"])
def test_trec_evals_own_example(trec_eval: Path, qrels_name: str) -> None:
    expected = published(trec_eval / "out.test.aq")
    results = as_trec_eval_ranks(read_run(trec_eval / "results.test").results)
    qrels = read_qrels(trec_eval / qrels_name).qrels
    check(evaluate(results, qrels, parse_measures(names(expected))), expected)


def test_the_four_figures_everyone_quotes(trec_eval: Path) -> None:
    run = read_run(trec_eval / "results.test")
    qrels = read_qrels(trec_eval / "qrels.test").qrels
    evaluated = evaluate(run.results, qrels, parse_measures("AP, nDCG, P@10, RR"))
    shown = {name: f"{value:.4f}" for name, value in evaluated.aggregates.items()}
    assert shown == {"AP": "0.1785", "nDCG": "0.4021", "P@10": "0.3000", "RR": "0.4064"}


def test_a_run_with_junk_at_line_ends_is_refused_with_its_line(trec_eval: Path) -> None:
    with pytest.raises(DataError, match=r"results\.trunc, line 1: 9 columns, a TREC run has 6"):
        read_run(trec_eval / "results.trunc")


def test_a_missing_query_counts_zero_and_is_said(trec_eval: Path, tmp_path: Path) -> None:
    """``trec_eval -c`` on the run without its second query, the junk of its lines cut off."""
    cleaned = tmp_path / "results"
    lines = (trec_eval / "results.trunc").read_text(encoding="utf-8").splitlines()
    cleaned.write_text("\n".join("\t".join(line.split()[:6]) for line in lines), encoding="utf-8")
    results = as_trec_eval_ranks(read_run(cleaned).results)
    expected = published(trec_eval / "out.test.aqc")
    qrels = read_qrels(trec_eval / "qrels.test").qrels
    evaluated = evaluate(results, qrels, parse_measures(names(expected)))
    assert evaluated.judged_queries == 3
    assert evaluated.missing_queries == ("302",)
    for name, value in expected["all"].items():
        assert evaluated.aggregates[name] == pytest.approx(value, abs=5.01e-5), name


@pytest.mark.parametrize("run", ["bm25.run", "bm25+bert(zs).run"])
def test_dl_hard_runs(dl_hard: Path, run: str) -> None:
    expected = published(dl_hard / "passage" / f"{run}.eval", rel=2)
    read = read_run(dl_hard / "passage" / run)
    qrels = read_qrels(dl_hard / "dl_hard-passage.qrels").qrels
    measures = parse_measures(names(expected))
    check(evaluate(as_trec_eval_ranks(read.results), qrels, measures), expected)
    ours = evaluate(read.results, qrels, measures)
    for name, value in expected["all"].items():
        # The run's own order of equal scores differs from trec_eval's: seen, and small.
        assert ours.aggregates[name] == pytest.approx(value, abs=2e-3), name


documents = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)
grades = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-1, 3), min_size=1)


def reference_ndcg(ranked: list[str], judged: dict[str, int], k: int) -> float:
    def dcg(gains: list[int]) -> float:
        return sum(max(g, 0) / math.log2(i + 2) for i, g in enumerate(gains[:k]))

    best = dcg(sorted(judged.values(), reverse=True))
    return dcg([judged.get(doc, 0) for doc in ranked]) / best if best else 0.0


def reference_rr(ranked: list[str], judged: dict[str, int], k: int) -> float:
    hits = [i for i, doc in enumerate(ranked[:k], start=1) if judged.get(doc, 0) > 0]
    return 1 / hits[0] if hits else 0.0


@given(
    runs=st.lists(documents, min_size=3, max_size=3),
    judged=st.lists(grades, min_size=3, max_size=3),
    tie=st.booleans(),
)
def test_ndcg_and_rr_against_ten_lines(
    runs: list[list[str]], judged: list[dict[str, int]], tie: bool
) -> None:
    queries = ["q1", "q2", "q3"]
    results: dict[str, Ranking] = {
        query: [(doc, 0.0 if tie else float(-i)) for i, doc in enumerate(run)]
        for query, run in zip(queries, runs, strict=True)
    }
    qrels: Qrels = dict(zip(queries, judged, strict=True))
    evaluated = evaluate(results, qrels, parse_measures("nDCG@5, nDCG@10, RR, RR@3"))
    for query, run, grade in zip(queries, runs, judged, strict=True):
        assert evaluated.per_query["nDCG@5"][query] == pytest.approx(reference_ndcg(run, grade, 5))
        assert evaluated.per_query["nDCG@10"][query] == pytest.approx(
            reference_ndcg(run, grade, 10)
        )
        assert evaluated.per_query["RR"][query] == pytest.approx(reference_rr(run, grade, 99))
        assert evaluated.per_query["RR@3"][query] == pytest.approx(reference_rr(run, grade, 3))
    for name, values in evaluated.per_query.items():
        assert evaluated.aggregates[name] == pytest.approx(sum(values.values()) / 3)


def evaluation(values: list[float]) -> Evaluation:
    return Evaluation({}, {"m": {f"{i:04d}": value for i, value in enumerate(values)}}, len(values))


twelfths = st.integers(0, 12).map(lambda i: i / 12)


def pairs_of(fewest: int, most: int) -> st.SearchStrategy[list[tuple[float, float]]]:
    """Sizes between are left out: scipy tries every permutation of up to 13 tied differences."""
    return st.lists(st.tuples(twelfths, twelfths), min_size=fewest, max_size=most)


@settings(max_examples=30)
@given(pairs_of(2, 7) | pairs_of(20, 60))
def test_t_and_wilcoxon_are_scipys(pairs: list[tuple[float, float]]) -> None:
    import numpy as np
    from scipy import stats

    a, b = np.array(pairs).T
    (actual,) = compare(evaluation(list(a)), evaluation(list(b)), ["m"], permutations=10)
    differences = (b - a).round(12)
    if not differences.any():
        assert actual.p_values["t"] == actual.p_values["wilcoxon"] == 1.0
        return
    if np.ptp(differences) > 1e-11:
        assert actual.p_values["t"] == pytest.approx(stats.ttest_rel(b, a).pvalue, rel=1e-6)
    expected = stats.wilcoxon(differences[differences != 0]).pvalue
    assert actual.p_values["wilcoxon"] == pytest.approx(expected)


def all_sign_flips(differences: list[float]) -> Iterator[float]:
    for signs in itertools.product((-1, 1), repeat=len(differences)):
        yield abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))


@settings(max_examples=25)
@given(st.lists(st.tuples(twelfths, twelfths), min_size=2, max_size=9), st.integers(0, 5))
def test_randomisation_tends_to_the_exact_permutation_test(
    pairs: list[tuple[float, float]], seed: int
) -> None:
    n = 20_000
    a, b = [list(values) for values in zip(*pairs, strict=True)]
    (actual,) = compare(evaluation(a), evaluation(b), ["m"], seed=seed, permutations=n)
    differences = [y - x for x, y in pairs]
    flipped = list(all_sign_flips(differences))
    exact = sum(value >= abs(sum(differences)) - 1e-9 for value in flipped) / len(flipped)
    p = actual.p_values["randomisation"]
    assert p >= 1 / (n + 1)
    # Five standard deviations of a proportion of n draws.
    assert abs(p - exact) <= 5 * math.sqrt(exact * (1 - exact) / n) + 1.5 / n


def test_randomisation_is_scipys_on_a_larger_sample() -> None:
    import numpy as np
    from scipy import stats

    generator = np.random.Generator(np.random.PCG64(5))
    a = generator.random(200)
    b = a + generator.normal(0.02, 0.15, 200)
    (actual,) = compare(evaluation(list(a)), evaluation(list(b)), ["m"])
    expected = stats.permutation_test(
        (b - a,), np.mean, permutation_type="samples", n_resamples=9_999, rng=generator
    ).pvalue
    assert actual.p_values["randomisation"] == pytest.approx(expected, abs=0.02)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_against_its_definition(p_values: list[float]) -> None:
    """Adjusted p of one hypothesis: the most that any p up to its own is multiplied to."""
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for i, corrected in enumerate(holm(p_values)):
        upto = ranked[: ranked.index(i) + 1]
        steps = [(len(p_values) - step) * p_values[j] for step, j in enumerate(upto)]
        assert corrected == pytest.approx(min(1.0, max(steps)))
