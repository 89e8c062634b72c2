"""Comparisons of two runs: which of their evaluations count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hypencli.errors import UsageError
from hypencli.evaluation.measures import DEFAULT_MEASURES
from hypencli.ops import content_names as names
from hypencli.ops import project
from hypencli.ops.evaluation.compare import compare
from hypencli.ops.evaluation.leaderboard import leaderboard
from hypencli.ops.evaluation.pool import compare_pools, pool
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate, existing_evaluation
from hypencli.ops.report.page import HtmlOptions, gather_report
from hypencli.ops.transfer.runs import import_run
from hypestore import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two runs of two queries, each evaluated with nDCG@10; ``qrels.txt`` lies beside the store."""
    store = Store.create(tmp_path / "store")
    (tmp_path / "qrels.txt").write_text("1 0 a 1\n2 0 b 1\n", encoding="utf-8")
    for name, first in {"good": "a", "bad": "x"}.items():
        path = tmp_path / f"{name}.run"
        path.write_text(f"1 Q0 {first} 1 2.0 x\n2 Q0 b 1 1.0 x\n", encoding="utf-8")
        import_run(store, path)
        measure(store, name, "nDCG@10")
    return store


def measure(store: Store, run: str, measure: str) -> None:
    qrels = str(store.root.parent / "qrels.txt")
    evaluate(store, run, EvaluateOptions(qrels=qrels, measures=(measure,)))


def test_a_later_evaluation_hides_no_measure(store: Store) -> None:
    """Each run counts with all its evaluations on the same judgements, not only the newest."""
    measure(store, "bad", "AP")
    compared = compare(store, "bad", "good")
    assert [test.measure for test in compared.tests] == ["nDCG@10"]
    measure(store, "good", "RR")
    measure(store, "good", "AP")
    compared = compare(store, "bad", "good")
    assert {test.measure: test.difference for test in compared.tests} == {"nDCG@10": 0.5, "AP": 0.5}


def test_runs_without_a_common_measure_are_refused(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        compare(store, "bad", "good", measures=("AP",))
    assert "nDCG@10" in str(caught.value.hint)


def judge(store: Store, lines: str) -> str:
    """Write other judgements to ``qrels.txt``, and return its path."""
    path = store.root.parent / "qrels.txt"
    path.write_text(lines, encoding="utf-8")
    return str(path)


FIRST = "1 0 a 1\n2 0 b 1\n"
CORRECTED = "1 0 x 1\n2 0 b 1\n"


def rows(store: Store) -> dict[str, dict[str, float]]:
    """Title of each leaderboard -> run -> nDCG@10."""
    return {
        board.title: {str(row["run"]): float(str(row["nDCG@10"])) for row in board.to_dicts()}
        for board in leaderboard(store, measures=("nDCG@10",))
    }


def test_corrected_judgements_of_one_name_stand_in_a_table_of_their_own(store: Store) -> None:
    judge(store, CORRECTED)
    measure(store, "good", "nDCG@10")
    boards = rows(store)
    first, corrected = (names.judgements_key(one) for one in store.evaluations(good(store)))
    title = f"unnamed corpus · file:{store.root.parent.name}/qrels.txt"
    assert boards == {
        f"{title}#{first[:8]}": {"good": 1.0, "bad": 0.5},
        f"{title}#{corrected[:8]}": {"good": 0.5},
    }
    assert list(project.show(store, "good").metrics.values()) == [  # type: ignore[union-attr]
        {"nDCG@10": 1.0},
        {"nDCG@10": 0.5},
    ]
    again = evaluate(store, "good", EvaluateOptions(qrels=judge(store, FIRST)))
    assert again.qrels == f"{title.split(' · ')[1]}#{first[:8]}"


def good(store: Store) -> str:
    return store.get("good", kind="run").id


def test_runs_are_compared_on_equal_judgements(store: Store) -> None:
    name = f"file:{store.root.parent.name}/qrels.txt"
    judge(store, CORRECTED)
    measure(store, "good", "nDCG@10")
    compared = compare(store, "bad", "good")
    assert [test.difference for test in compared.tests] == [0.5]
    first = compared.qrels
    measure(store, "bad", "nDCG@10")
    compared = compare(store, "bad", "good", qrels=name)
    assert [test.difference for test in compared.tests] == [-0.5]
    assert compared.qrels != first
    for chosen, difference in ((first, 0.5), (compared.qrels, -0.5)):
        again = compare(store, "bad", "good", qrels=chosen)
        assert (again.qrels, again.tests[0].difference) == (chosen, difference)
    with pytest.raises(UsageError, match="not both evaluated with the judgements other") as caught:
        compare(store, "bad", "good", qrels="other")
    assert first in str(caught.value.hint)


def test_a_repeated_evaluation_is_the_newest(store: Store) -> None:
    """Judgements that were changed and changed back count again."""
    judge(store, CORRECTED)
    for run in ("good", "bad"):
        measure(store, run, "nDCG@10")
    assert compare(store, "bad", "good").tests[0].difference == -0.5
    qrels = judge(store, FIRST)
    for run in ("good", "bad"):
        outcome = evaluate(store, run, EvaluateOptions(qrels=qrels, measures=("nDCG@10",)))
        assert outcome.existing
    assert compare(store, "bad", "good").tests[0].difference == 0.5
    assert store.doctor(checksums=True).findings == ()


def test_an_evaluation_that_is_the_newest_is_not_written_again(store: Store) -> None:
    before = store.evaluations("good")
    measure(store, "good", "nDCG@10")
    assert store.evaluations("good") == before


def test_one_set_of_judgements_under_two_names_is_one_table(store: Store) -> None:
    copy = store.root.parent / "copy.txt"
    copy.write_text(FIRST, encoding="utf-8")
    evaluate(store, "bad", EvaluateOptions(qrels=str(copy), measures=("AP",)))
    (board,) = leaderboard(store)
    assert board.title == "unnamed corpus · file:copy.txt"
    assert {str(row["run"]): row["AP"] for row in board.to_dicts()} == {"good": None, "bad": 0.5}
    for qrels in ("file:copy.txt", f"file:{store.root.parent.name}/qrels.txt"):
        assert compare(store, "bad", "good", qrels=qrels).tests[0].measure == "nDCG@10"


def test_recall_beyond_the_depth_of_a_run_is_no_default_measure(store: Store) -> None:
    qrels = str(store.root.parent / "qrels.txt")
    shallow = evaluate(store, "good", EvaluateOptions(qrels=qrels))
    assert [name for name in shallow.aggregates if name.startswith("R@")] == []
    path = store.root.parent / "deep.run"
    lines = [f"1 Q0 d{i} {i} {-i} x\n" for i in range(1, 101)]
    path.write_text("".join(lines), encoding="utf-8")
    import_run(store, path)
    deep = evaluate(store, "deep", EvaluateOptions(qrels=qrels))
    assert [name for name in deep.aggregates if name.startswith("R@")] == ["R@10"]
    asked = evaluate(store, "deep", EvaluateOptions(qrels=qrels, measures=("R@1000",)))
    assert list(asked.aggregates) == ["R@1000"]


def test_an_evaluation_of_an_earlier_version_is_found(store: Store) -> None:
    """Earlier versions measured R@1000 by default, also where a run has fewer results."""
    options = EvaluateOptions(qrels=str(store.root.parent / "qrels.txt"))
    every = evaluate(store, "good", replace(options, measures=DEFAULT_MEASURES))
    found = evaluate(store, "good", options)
    assert (found.evaluation, found.existing) == (every.evaluation, True)
    assert set(every.aggregates) - set(found.aggregates) == {"R@10", "R@1000"}
    run = store.get("good", kind="run")
    expected = existing_evaluation(store, run, options)
    assert expected is not None
    assert expected.id == every.evaluation


@pytest.fixture
def plain(store: Store) -> Store:
    """The store, and an evaluation of another program for each run, with what FORMAT.md demands."""
    for name, value in {"good": 1.0, "bad": 0.25}.items():
        store.write_evaluation(
            store.get(name).id,
            qrels_id="theirs",
            inputs={"measures": ["RR"]},
            per_query=[("1", "RR", value), ("2", "RR", value)],
            aggregates={"RR": value},
        )
    return store


def test_evaluations_without_optional_fields_are_compared(plain: Store) -> None:
    compared = compare(plain, "bad", "good")
    assert (compared.qrels, compared.n_queries) == ("theirs", 2)
    assert [(test.measure, test.difference) for test in compared.tests] == [("RR", 0.75)]
    assert compare_pools(plain, ("bad",), ("good",), measures=("RR",)).qrels == "theirs"
    pooled = pool(plain, ("good",), measures=("RR",))
    assert (pooled.n_queries, pooled.runs[0].n_queries) == (2, 2)
    assert {board.title for board in leaderboard(plain)} == {
        f"unnamed corpus · file:{plain.root.parent.name}/qrels.txt",
        "unnamed corpus · theirs",
    }


def test_a_page_compares_on_the_newest_judgements_of_two_runs(plain: Store) -> None:
    """Also if a leaderboard of other judgements, with other measures, comes first."""
    report = gather_report(plain, HtmlOptions(plain.root / "page.html", runs=("bad", "good")))
    assert report.leaderboards[0].measures == ("nDCG@10",)
    assert [test.measure for test in report.pairs[0].tests] == ["RR"]


def test_a_page_shows_evaluations_without_optional_fields(plain: Store) -> None:
    report = gather_report(plain, HtmlOptions(plain.root / "page.html", runs=("bad", "good")))
    (pair,) = report.pairs
    assert (pair.qrels, pair.tests[0].difference, pair.has_grades) == ("theirs", 0.75, False)
