from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.training.positives import PositiveRule
from hypencli.data.training.survey import NO_TYPE, RowStatistics, StatisticsOptions, row_statistics
from hypencli.records import Query, TrainingItem, TrainingRow

texts = st.sampled_from(["flour", "yeast and water", "a river", "stars"])
items = st.builds(
    TrainingItem,
    id=st.sampled_from("abcd"),
    content=texts,
    score=st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
    type=st.none() | st.sampled_from(["positive", "negative"]),
)
rows = st.builds(
    TrainingRow,
    query=st.builds(Query, query_id=st.sampled_from("12"), text=texts),
    items=st.lists(items, min_size=1, max_size=4).map(tuple),
)
rules = st.builds(PositiveRule, positives=st.sampled_from(["first", "type", "score_above"]))


def count(survey: RowStatistics, name: str) -> int:
    return survey.findings[name].count if name in survey.findings else 0


def by_hand(given_rows: list[TrainingRow], rule: PositiveRule, negatives: int) -> Counter[str]:
    """The findings, each counted on its own over all rows in memory."""
    actual: Counter[str] = Counter()
    text_of_query: dict[str, str] = {}
    text_of_passage: dict[str, str] = {}
    for i, row in enumerate(given_rows):
        relevant = [
            item
            for j, item in enumerate(row.items)
            if (rule.positives == "first" and j == 0)
            or (rule.positives == "type" and item.type == "positive")
            or (rule.positives == "score_above" and (item.score or 0) > 0)
        ]
        others = [item for item in row.items if not any(item is one for one in relevant)]
        scores = [item.score for item in row.items]
        actual["no_positive"] += not relevant
        actual["no_negative"] += not others
        actual["few_negatives"] += len(others) < negatives
        actual["no_score"] += scores.count(None)
        actual["first_not_positive"] += rule.positives == "first" and row.items[0].type not in (
            None,
            "positive",
        )
        actual["best_not_first"] += None not in scores and scores[0] != max(scores)
        actual["negative_like_positive"] += bool(
            {item.content for item in relevant} & {item.content for item in others}
        )
        twice = [Counter(item.id for item in row.items), Counter(i.content for i in row.items)]
        actual["passage_twice"] += any(n > 1 for counts in twice for n in counts.values())
        query = row.query
        same = [
            one
            for one in given_rows[:i]
            if one.query.text == query.text
            and [(j.content, j.score, j.type) for j in one.items]
            == [(j.content, j.score, j.type) for j in row.items]
        ]
        actual["row_twice"] += bool(same)
        actual["query_id_reused"] += (
            text_of_query.setdefault(query.query_id, query.text) != query.text
        )
        for item in row.items:
            before = text_of_passage.setdefault(item.id, item.content)
            actual["passage_id_reused"] += before != item.content
    return actual


# Items of one row may be equal, so that `is` must tell them apart: each is built anew.
@given(st.lists(rows, min_size=1, max_size=5), rules, st.integers(0, 3))
def test_what_is_found_is_what_a_count_by_hand_finds(
    given_rows: list[TrainingRow], rule: PositiveRule, negatives: int
) -> None:
    given_rows = [
        TrainingRow(
            row.query, tuple(TrainingItem(i.id, i.content, i.score, i.type) for i in row.items)
        )
        for row in given_rows
    ]
    survey = row_statistics(given_rows, StatisticsOptions(rule, negatives))
    expected = {name: n for name, n in by_hand(given_rows, rule, negatives).items() if n}
    assert {name: finding.count for name, finding in survey.findings.items()} == expected


@given(st.lists(rows, min_size=1, max_size=5))
def test_counts_and_lengths(given_rows: list[TrainingRow]) -> None:
    queries: list[str] = []
    passages: list[str] = []
    survey = row_statistics(
        given_rows, StatisticsOptions(), on_query=queries.append, on_passage=passages.append
    )
    every = [item for row in given_rows for item in row.items]
    assert (survey.rows, survey.items) == (len(given_rows), len(every))
    assert sorted(queries) == sorted({row.query.text for row in given_rows})
    assert sorted(passages) == sorted({item.content for item in every})
    assert (survey.queries, survey.passages) == (len(queries), len(passages))
    words = [len(text.split()) for text in passages]
    assert survey.passage_words.median == statistics.median_low(words)
    assert survey.items_per_row.maximum == max(len(row.items) for row in given_rows)
    assert survey.types == Counter(item.type or NO_TYPE for item in every)
    scores = survey.scores
    assert scores.missing == sum(item.score is None for item in every)
    assert (scores.spread is None) == all(item.score is None for item in every)
    parts = scores.rows_with_none, scores.rows_with_some, scores.rows_with_all
    assert sum(parts) == len(given_rows)
    assert parts[2] == sum(all(i.score is not None for i in row.items) for row in given_rows)


def row(query_id: str, *items: tuple[Any, ...]) -> TrainingRow:
    return TrainingRow(Query(query_id, f"query {query_id}"), tuple(TrainingItem(*i) for i in items))


def test_the_first_place_is_named() -> None:
    given_rows = [
        row("1", ("a", "flour", 2.0), ("b", "yeast", 1.0)),
        row("2", ("a", "flour", 1.0), ("c", "river", 3.0)),
        row("3", ("d", "flour", 1.0), ("c", "stars", 3.0)),
    ]
    actual = row_statistics(given_rows, StatisticsOptions(negatives=2)).findings
    assert actual["best_not_first"].first == "row 2, query '2'"
    assert actual["passage_id_reused"].first == "row 3, query '3', passage 'c'"
    assert actual["few_negatives"].count == 3


def test_a_first_item_of_another_type_is_named_where_the_first_counts() -> None:
    given_rows = [
        row("1", ("a", "flour", None, "positive"), ("b", "yeast", None, "negative")),
        row("2", ("a", "flour", None, "negative"), ("c", "river", None, "positive")),
        row("3", ("a", "flour"), ("c", "river")),
    ]
    first = row_statistics(given_rows, StatisticsOptions()).findings["first_not_positive"]
    assert (first.count, first.first) == (1, "row 2, query '2', type 'negative'")
    by_type = StatisticsOptions(rule=PositiveRule("type"))
    assert "first_not_positive" not in row_statistics(given_rows, by_type).findings


def test_scores_of_rows_that_are_left_out_are_not_missed() -> None:
    given_rows = [row("1", ("a", "flour"), ("b", "yeast")), row("2", ("c", "river"))]
    for skip, missing in ((False, 3), (True, 2)):
        options = StatisticsOptions(negatives=1, skip_few=skip)
        assert row_statistics(given_rows, options).findings["no_score"].count == missing


def test_rows_are_told_as_they_pass() -> None:
    passed: list[int] = []
    given_rows = [row(str(i), ("a", "flour")) for i in range(3)]
    row_statistics(given_rows, StatisticsOptions(), on_row=lambda: passed.append(1))
    assert len(passed) == 3


def test_no_rows_are_no_survey() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        row_statistics([], StatisticsOptions())
