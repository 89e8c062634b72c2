"""p-MRR: whether a ranking follows an instruction that excludes documents.

A query is searched twice, with its original instruction and with a narrower one. Documents that are
no longer relevant should fall. A document with rank ``a`` before and ``b`` after has the value
(Weller et al., FollowIR, 2024, section 4)::

    1 - a / b   if it fell     (0 to 1: followed)
    b / a - 1   if it rose     (-1 to 0: the opposite)

p-MRR is the mean over the documents of a query, and then over the queries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hypencli.errors import DataError
from hypencli.records import Evaluation, Qrels, Ranking, Results

P_MRR = "p-MRR"
"""Name of the measure in evaluations."""


def changed_documents(original: Qrels, changed: Qrels) -> dict[str, tuple[str, ...]]:
    """Query id -> documents whose grade the changed instruction changes, in the original order.

    A document without a changed judgement counts as not relevant after the change. Queries without
    such documents are left out.
    """
    differing = {
        query: tuple(doc for doc, grade in grades.items() if _grade(changed, query, doc) != grade)
        for query, grades in original.items()
    }
    return {query: documents for query, documents in differing.items() if documents}


def _grade(qrels: Qrels, query: str, doc_id: str) -> int:
    return qrels.get(query, {}).get(doc_id, 0)


def p_mrr(
    original: Results, changed: Results, documents: Mapping[str, Collection[str]]
) -> Evaluation:
    """Compare the ranks of documents in two runs of the same queries.

    A document that a run lacks gets the rank behind its last document. Documents are ranked by
    score, and equal scores by descending document id, as in the runs of the benchmark.

    Deviation: the published code keeps equal scores in the order of the file, so its figure depends
    on that order.

    Args:
        original: The run of the original instructions.
        changed: The run of the changed instructions.
        documents: Query id -> documents that count, from :func:`changed_documents`.

    Returns:
        The measure ``p-MRR``. ``judged_queries`` counts the queries with a value. Queries that a
        run lacks are in ``missing_queries`` and left out, as in the benchmark.

    Raises:
        DataError: No document changed its grade, or no query is in both runs.
    """
    if not documents:
        raise DataError(
            "The two sets of judgements agree on every document: nothing could have moved.",
            hint="--qrels-og takes those of the original instructions, --qrels-changed the others.",
        )
    missing = tuple(q for q in documents if not (original.get(q) and changed.get(q)))
    values = {
        query: _mean_change(original[query], changed[query], wanted)
        for query, wanted in documents.items()
        if query not in missing
    }
    if not values:
        raise DataError(
            f"None of the {len(documents)} queries with changed judgements is in both runs: the "
            f"judgements have ids such as {missing[0]!r}.",
            hint="Are these the judgements of these runs?",
        )
    unjudged = (set(original) | set(changed)) - set(documents)
    return Evaluation(
        aggregates={P_MRR: sum(values.values()) / len(values)},
        per_query={P_MRR: values},
        judged_queries=len(values),
        missing_queries=missing,
        unjudged_queries=tuple(sorted(unjudged)),
    )


def _mean_change(original: Ranking, changed: Ranking, documents: Collection[str]) -> float:
    before, after = _ranks(original), _ranks(changed)
    changes = [
        _change(before.get(doc, len(before) + 1), after.get(doc, len(after) + 1))
        for doc in documents
    ]
    return sum(changes) / len(changes)


def _ranks(ranking: Sequence[tuple[str, float]]) -> dict[str, int]:
    ordered = sorted(ranking, key=lambda pair: (pair[1], pair[0]), reverse=True)
    return {doc_id: rank for rank, (doc_id, _) in enumerate(ordered, start=1)}


def _change(before: int, after: int) -> float:
    return after / before - 1 if before >= after else 1 - before / after
