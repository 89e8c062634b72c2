"""Measures: names, which queries count, paired tests."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import pytest

from hypencli.errors import DataError, UsageError
from hypencli.evaluation import measures
from hypencli.evaluation.measures import (
    DEFAULT_MEASURES,
    TESTS,
    compare,
    evaluate,
    holm,
    parse_measures,
)
from hypencli.records import Evaluation


def values(*numbers: float, name: str = "RR", first: int = 0) -> Evaluation:
    """An evaluation of one measure, queries numbered."""
    per_query = {f"q{i}": number for i, number in enumerate(numbers, start=first)}
    return Evaluation({name: sum(numbers) / len(numbers)}, {name: per_query}, len(numbers))


def test_the_default_set_is_the_published_one() -> None:
    assert [str(measure) for measure in parse_measures()] == list(DEFAULT_MEASURES)


def test_names_may_share_a_string_repeat_and_have_parameters() -> None:
    parsed = parse_measures(["nDCG@10, RR", "P(rel=2, judged_only=True)@5,MRR", " AP "])
    assert [str(one) for one in parsed] == ["nDCG@10", "RR", "P(rel=2,judged_only=True)@5", "AP"]
    assert parse_measures("RR") == parse_measures(["RR"])


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_measures(["nDCG@10", "precision10", "P", "P@0", "nDCG(foo=1)@3", "P@1.5", "a b"])
    message = caught.value.message
    assert "'precision10': measure not found" in message
    assert "'P': a parameter is missing, unknown or of the wrong type; try P@10" in message
    assert "'P@0': cutoff must be between 1 and" in message
    assert "'nDCG(foo=1)@3': " in message
    assert "'P@1.5': " in message
    assert "'a b': " in message
    assert "nDCG@10" not in message
    assert "nDCG@10, RR" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["P@-1", "P(rel=0)@5", "P(rel=-1)@5", "R@99999999999"])
def test_numbers_that_would_crash_a_provider_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_measures([name])


@pytest.mark.parametrize("grade", [-1, -2, -3, -1_000_000])
@pytest.mark.parametrize("n", [1, 20])
def test_a_query_with_negative_grades_alone_does_not_crash(grade: int, n: int) -> None:
    """trec_eval's C code ended the process, so this runs in one of its own."""
    code = (
        "from hypencli.evaluation.measures import evaluate, parse_measures\n"
        f"qrels = {{'spam': {{f'd{{i}}': {grade} for i in range({n})}}, 'q': {{'d0': 1}}}}\n"
        f"run = {{query: [(f'd{{i}}', -i) for i in range({n})] for query in qrels}}\n"
        "names = ['Bpref', 'nDCG@10', 'nDCG', 'Rprec', 'AP', 'RR', 'P@5', 'Judged@1', 'SetF']\n"
        "values = evaluate(run, qrels, parse_measures(names)).per_query\n"
        "print([values[name]['spam'] for name in names])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]}\n"


def test_what_nothing_here_computes_is_refused_when_parsed() -> None:
    with pytest.raises(UsageError, match="RBP"):
        parse_measures(["RBP(p=0.8)"])


@pytest.mark.parametrize("names", [[], [""], " , "])
def test_no_measure_is_an_error(names: list[str] | str) -> None:
    with pytest.raises(UsageError, match="No measure"):
        parse_measures(names)


@pytest.mark.parametrize(
    "text", ["__import__('os').system('true')", "RR; 1", "lambda: RR", "(" * 90]
)
def test_a_name_is_never_run(text: str) -> None:
    with pytest.raises(UsageError):
        parse_measures([text])


def test_importing_measures_is_cheap() -> None:
    code = (
        "import sys, hypencli.evaluation.measures\n"
        "heavy = {'numpy', 'scipy', 'ir_measures', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_aggregates_are_over_all_judged_queries() -> None:
    qrels = {"a": {"d": 1}, "b": {"d": 1}, "c": {"d": 1}, "d": {"x": 0}, "empty": {}}
    results = {"a": [("d", 1.0)], "b": [], "d": [("x", 1.0)], "new": [("d", 1.0)]}
    evaluated = evaluate(results, qrels, parse_measures(["RR", "P@1"]))
    assert evaluated.aggregates == {"RR": 0.25, "P@1": 0.25}
    assert evaluated.per_query["RR"] == {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}
    assert evaluated.judged_queries == 4
    assert evaluated.missing_queries == ("b", "c")
    assert evaluated.unjudged_queries == ("new",)


def test_sums_stay_sums() -> None:
    qrels = {"a": {"d": 1}, "b": {"d": 1, "e": 1}}
    results = {"a": [("d", 1.0), ("x", 0.5)], "b": [("e", 1.0)]}
    evaluated = evaluate(results, qrels, parse_measures(["NumRet", "NumRelRet"]))
    assert evaluated.aggregates == {"NumRet": 3.0, "NumRet(rel=1)": 2.0}


def test_negative_grades_are_not_relevant() -> None:
    evaluated = evaluate(
        {"q": [("bad", 2.0), ("good", 1.0)]},
        {"q": {"bad": -1, "good": 2}},
        parse_measures(["RR", "P@2", "nDCG@2"]),
    )
    assert evaluated.aggregates["RR"] == evaluated.aggregates["P@2"] == 0.5
    assert evaluated.aggregates["nDCG@2"] == pytest.approx(0.6309, abs=1e-4)


def test_ids_may_hold_anything() -> None:
    odd = ["a b", "a\x00b", "a\x00c", "\t", "🦜", '"', ""]
    results = {one: [(doc, float(-i)) for i, doc in enumerate(odd)] for one in odd}
    qrels = {one: {doc: int(doc == odd[i]) for doc in odd} for i, one in enumerate(odd)}
    names = ["RR", "RR@10", "ERR@10", "Judged@3"]
    evaluated = evaluate(results, qrels, parse_measures(names))
    assert [evaluated.per_query["RR"][one] for one in odd] == pytest.approx(
        [1 / (i + 1) for i in range(len(odd))]
    )
    assert evaluated.per_query["RR@10"] == evaluated.per_query["RR"]
    assert evaluated.aggregates["Judged@3"] == 1.0


def test_scores_do_not_matter_ranks_do() -> None:
    qrels = {"q": {"b": 1}}
    for scores in ((2.0, 1.0), (1.0, 1.0), (1.0, 2.0)):
        ranking = [("a", scores[0]), ("b", scores[1])]
        evaluated = evaluate({"q": ranking}, qrels, parse_measures(DEFAULT_MEASURES))
        assert evaluated.aggregates["RR"] == evaluated.aggregates["RR@10"] == 0.5


def test_judgements_of_other_queries_are_an_error() -> None:
    with pytest.raises(DataError, match=r"None of the run's 1 queries is judged: .*'q1'.*'300'"):
        evaluate({"q1": [("d", 1.0)]}, {"300": {"d": 1}}, parse_measures(["RR"]))
    with pytest.raises(DataError, match="no judgements"):
        evaluate({"q1": [("d", 1.0)]}, {"q1": {}}, parse_measures(["RR"]))


def test_a_run_without_any_result_has_zeros() -> None:
    evaluated = evaluate({"q1": []}, {"q1": {"d": 1}, "q2": {"d": 1}}, parse_measures(["RR", "AP"]))
    assert evaluated.aggregates == {"RR": 0.0, "AP": 0.0}
    assert evaluated.missing_queries == ("q1", "q2")


def test_batches_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    qrels = {f"q{i}": {"d": 1} for i in range(9)}
    results = {f"q{i}": [(doc, 0.0) for doc in "abd"[i % 3 :]] for i in range(0, 9, 2)}
    whole = evaluate(results, qrels, parse_measures("RR, P@1, NumRet"))
    monkeypatch.setattr(measures, "_BATCH_QUERIES", 2)
    assert evaluate(results, qrels, parse_measures("RR, P@1, NumRet")) == whole


def test_a_document_ranked_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="ranked twice for query 'q'"):
        evaluate({"q": [("d", 2.0), ("d", 1.0)]}, {"q": {"d": 1}}, parse_measures(["RR"]))


def test_a_comparison_counts_wins_of_the_second_run() -> None:
    (test,) = compare(values(0.5, 0.2, 0.3, 1.0), values(0.7, 0.1, 0.3, 0.5), ["RR"])
    assert (test.wins, test.losses, test.ties, test.n_queries) == (1, 2, 1, 4)
    assert (test.mean_a, test.mean_b) == (pytest.approx(0.5), pytest.approx(0.4))
    assert test.difference == pytest.approx(-0.1)
    assert set(test.p_values) == set(test.corrected) == set(TESTS)


def test_rounding_is_not_a_difference() -> None:
    (test,) = compare(values(0.1 + 0.2, 0.5), values(0.3, 0.5), ["RR"])
    assert (test.wins, test.losses, test.ties) == (0, 0, 2)
    assert set(test.p_values.values()) == {1.0}


def test_a_run_against_itself_and_a_single_query_have_p_one() -> None:
    for a, b in [
        (values(0.1, 0.5, 1.0), values(0.1, 0.5, 1.0)),
        (values(0.1), values(0.9)),
        (values(0.0), values(0.0)),
    ]:
        (test,) = compare(a, b, ["RR"])
        assert dict(test.p_values) == dict(test.corrected) == dict.fromkeys(TESTS, 1.0)


def test_differences_all_alike_have_a_defined_p() -> None:
    (test,) = compare(values(*[0.5] * 60), values(*[0.6] * 60), ["RR"])
    assert test.p_values["t"] == 0.0
    assert 0 < test.p_values["wilcoxon"] < 1e-4
    assert test.p_values["randomisation"] == 1 / 10_001  # none as far, yet never 0


def test_only_common_queries_are_compared() -> None:
    (test,) = compare(values(1.0, 0.0, 0.5), values(0.0, 0.5, 1.0, first=1), ["RR"])
    assert test.n_queries == 2
    assert (test.mean_a, test.mean_b) == (0.25, 0.25)
    with pytest.raises(DataError, match="no judged query in common"):
        compare(values(1.0), values(1.0, first=5), ["RR"])


def test_a_measure_of_one_run_only_is_an_error() -> None:
    with pytest.raises(DataError, match="second run was not evaluated with RR") as caught:
        compare(values(1.0), values(1.0, name="AP"), ["RR"])
    assert caught.value.hint == "It was with: AP"


def test_comparisons_repeat_and_do_not_touch_each_other() -> None:
    a = Evaluation({}, {m: {str(i): (i * s) % 7 / 7 for i in range(50)} for m, s in _STEPS}, 50)
    b = Evaluation({}, {m: {str(i): (i * s) % 5 / 5 for i in range(50)} for m, s in _STEPS}, 50)
    both = compare(a, b, ["RR", "AP", "RR"], seed=3)
    assert [test.measure for test in both] == ["RR", "AP"]
    assert both == compare(a, b, parse_measures(["RR", "AP"]), seed=3)
    alone = compare(a, b, ["AP"], seed=3)
    assert alone[0].p_values == both[1].p_values
    other = compare(a, b, ["AP"], seed=4)
    assert other[0].p_values["randomisation"] != alone[0].p_values["randomisation"]


_STEPS = (("RR", 3), ("AP", 4))


def test_memory_of_the_randomisation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_BLOCK_VALUES", 2**16)
    a = values(*[i % 11 / 11 for i in range(4_000)])
    b = values(*[i % 13 / 13 for i in range(4_000)])
    compare(a, b, ["RR"], permutations=8)
    tracemalloc.start()
    compare(a, b, ["RR"], permutations=2_000)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 * 2**20


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04; the last is raised to .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@pytest.mark.parametrize(
    ("qrels", "binary"),
    [
        ("irds:msmarco-passage/trec-dl-2019/judged", "(rel=2)"),
        ("irds:msmarco-passage/trec-dl-hard/fold1", "(rel=2)"),
        ("irds:msmarco-passage-v2/trec-dl-2021", "(rel=2)"),
        ("irds:msmarco-passage/dev/small", ""),
        ("irds:msmarco-document/trec-dl-2019", ""),
        ("file:dl-hard-test/qrels.txt", "(rel=2)"),
        ("file:trec-dl-2019.qrels", ""),
    ],
)
def test_deep_learning_passages_count_from_grade_two_on(qrels: str, binary: str) -> None:
    names = [str(measure) for measure in parse_measures(measures.default_measures(qrels))]
    assert names == [
        name if name.startswith("nDCG") else f"{name.partition('@')[0]}{binary}{cutoff}"
        for name in DEFAULT_MEASURES
        for cutoff in [name[len(name.partition("@")[0]) :]]
    ]


def test_grades_beyond_those_of_gdeval_are_refused_for_its_measures(
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = {"q": [("a", 2.0), ("b", 1.0)]}
    for name in ("ERR@10", "nDCG(dcg='exp-log2')@10"):
        measures = parse_measures([name])
        assert evaluate(run, {"q": {"a": 4}}, measures).per_query[str(measures[0])]["q"] > 0
        with pytest.raises(DataError, match="grades up to 4, and the judgements have grade 5"):
            evaluate(run, {"q": {"a": 5}}, measures)
    assert capfd.readouterr().err == ""


def test_a_measure_that_judgements_do_not_define_is_named() -> None:
    run = {"q": [("a", 2.0), ("b", 1.0)]}
    everything = {"q": {"a": 1, "b": 1}}
    with pytest.raises(DataError, match=r"^Accuracy@2 cannot be computed for these judgements"):
        evaluate(run, everything, parse_measures(["nDCG@10", "Accuracy@2", "RR"]))


@pytest.mark.parametrize(
    "name",
    ["nDCG(gains={1:1e400})", "nDCG(gains={1:'x'})@3", "nDCG(gains={1:1.5})", "SetF(beta=1e400)"],
)
def test_parameters_that_are_no_finite_or_whole_numbers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must be a"):
        parse_measures([name])
