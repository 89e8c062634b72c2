"""p-MRR of a pair of runs, kept as an evaluation of the second."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hypencli.data.qrels import Judgements, read_qrels
from hypencli.errors import UsageError
from hypencli.evaluation.p_mrr import (
    P_MRR,
    changed_documents,
    p_mrr,
)
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import (
    JsonValue,
    Manifest,
    Store,
)


@dataclass(frozen=True, slots=True)
class EvaluatedPMrr:
    """p-MRR of two runs.

    Attributes:
        evaluation: Its id; its parents are the run with the changed instructions and the other.
        p_mrr: Mean over queries, -1 to 1; 0 means that the instructions changed nothing.
        per_query: Query id -> value.
        changed_documents: Documents whose grade changed, of these queries.
        missing_queries: Queries with such documents that one of the runs lacks, left out.
    """

    evaluation: str
    original: str
    changed: str
    qrels_original: str
    qrels_changed: str
    p_mrr: float
    per_query: dict[str, float]
    changed_documents: int
    missing_queries: list[str]
    existing: bool


def evaluate_p_mrr(
    store: Store,
    original: str,
    changed: str,
    *,
    qrels_original: str,
    qrels_changed: str,
    progress: Progress = SILENT,
) -> EvaluatedPMrr:
    """Measure whether a run follows changed instructions, as FollowIR does, and keep the values.

    Args:
        store: The project store.
        original: The run with the original instructions.
        changed: The run with the changed ones, whose evaluation it becomes.
        qrels_original: Judgements of the original instructions: an ir_datasets id or a file.
        qrels_changed: Judgements of the changed ones.
        progress: Where to report.

    Raises:
        UsageError: Both runs are the same.
        DataError: Judgements cannot be read, agree on everything, or are of other queries.
    """
    before, after = store.run(original), store.run(changed)
    if before.manifest.id == after.manifest.id:
        raise UsageError(
            f"{original} and {changed} are the same run.",
            hint="hype eval --p-mrr OG_RUN CHANGED_RUN --qrels-og FILE --qrels-changed FILE",
        )
    old, new = read_qrels(qrels_original), read_qrels(qrels_changed)
    documents = changed_documents(old.qrels, new.qrels)
    inputs = _inputs(before.manifest, after.manifest, old, new)
    for earlier in store.evaluations(after.manifest.id):
        if earlier.inputs == inputs:
            return _outcome(store, earlier, before.manifest, after.manifest, existing=True)
    progress.message(f"comparing {before.manifest.id} with {after.manifest.id}")
    result = p_mrr(before.results(), after.results(), documents)
    values = result.per_query[P_MRR]
    manifest = store.write_evaluation(
        after.manifest.id,
        qrels_id=str(inputs["qrels"]),
        inputs=inputs,
        per_query=[(query, P_MRR, value) for query, value in values.items()],
        aggregates=result.aggregates,
        stats={
            "judged_queries": result.judged_queries,
            "missing_queries": list(result.missing_queries),
            "unjudged_queries": len(result.unjudged_queries),
            "changed_documents": sum(len(documents[query]) for query in values),
        },
        provenance=provenance(),
        others=(before.manifest.id,),
    )
    return _outcome(store, manifest, before.manifest, after.manifest, existing=False)


def _inputs(
    before: Manifest, after: Manifest, old: Judgements, new: Judgements
) -> dict[str, JsonValue]:
    fingerprints = f"{old.fingerprint} {new.fingerprint}"
    return {
        "run": after.id,
        "original_run": before.id,
        "qrels": f"{old.id} -> {new.id}",
        "qrels_fingerprint": hashlib.sha256(fingerprints.encode()).hexdigest(),
        "measures": [P_MRR],
    }


def _outcome(
    store: Store, evaluation: Manifest, before: Manifest, after: Manifest, *, existing: bool
) -> EvaluatedPMrr:
    (p_mrr,) = store.aggregates(evaluation.id).values()
    rows = store.per_query(evaluation.id).to_pydict()
    old, _, new = str(evaluation.inputs["qrels"]).partition(" -> ")
    missing = evaluation.stats["missing_queries"]
    return EvaluatedPMrr(
        evaluation=evaluation.id,
        original=before.name or before.id,
        changed=after.name or after.id,
        qrels_original=old,
        qrels_changed=new,
        p_mrr=p_mrr,
        per_query=dict(zip(rows["query_id"], rows["value"], strict=True)),
        changed_documents=evaluation.stat_int("changed_documents"),
        missing_queries=[str(query) for query in missing] if isinstance(missing, list) else [],
        existing=existing,
    )
