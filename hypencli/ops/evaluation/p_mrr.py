"""p-MRR of a pair of runs (FollowIR), stored as an evaluation of the second run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sized
from dataclasses import dataclass

from hypencli.data.qrels import read_qrels
from hypencli.errors import UsageError
from hypencli.evaluation.p_mrr import P_MRR, changed_documents, p_mrr
from hypencli.ops.drafts import find_finished
from hypencli.ops.evaluation.run import identify_qrels
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import JsonValue, Manifest, Store


@dataclass(frozen=True, slots=True)
class EvaluatedPMrr:
    """p-MRR of two runs.

    Attributes:
        evaluation: Id of the evaluation. Its parents are the run with the changed instructions and
            the run with the original ones.
        original: Name or id of the run with the original instructions.
        changed: Name or id of the run with the changed instructions.
        qrels_original: Id of the judgements of the original instructions.
        qrels_changed: Id of the judgements of the changed instructions.
        p_mrr: Mean over queries, from -1 to 1. It is 0 if the instructions changed nothing.
        per_query: Query id -> value.
        changed_documents: Number of documents of these queries whose grade changed.
        missing_queries: Queries with changed grades that one of the runs lacks. They are left out.
        existing: Whether the store had the evaluation before this call.
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
    """Compute p-MRR of a pair of runs as FollowIR does, and store the values.

    Args:
        store: The project store.
        original: Run with the original instructions, by id, unique prefix, or name.
        changed: Run with the changed instructions. The evaluation is stored with this run.
        qrels_original: Judgements of the original instructions: an ir_datasets id or a file.
        qrels_changed: Judgements of the changed instructions.
        progress: Where to report.

    Raises:
        UsageError: Both runs are the same.
        DataError: Judgements cannot be read, have equal grades, or have no query in common.
    """
    before, after = store.run(original), store.run(changed)
    if before.manifest.id == after.manifest.id:
        raise UsageError(
            f"{original} and {changed} are the same run.",
            hint="hype eval --p-mrr OG_RUN CHANGED_RUN --qrels-og FILE --qrels-changed FILE",
        )
    old, new = read_qrels(qrels_original), read_qrels(qrels_changed)
    documents = changed_documents(old.qrels, new.qrels)
    fingerprint = _fingerprint(old.fingerprint, new.fingerprint)
    inputs = _inputs(before.manifest, after.manifest, (old.id, new.id), fingerprint)
    existing = find_finished(store, "evaluation", inputs)
    if existing is not None:
        return _outcome(store, existing, before.manifest, after.manifest, documents, existing=True)
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
    return _outcome(store, manifest, before.manifest, after.manifest, documents, existing=False)


def existing_p_mrr(
    store: Store, before: Manifest, after: Manifest, *, qrels_original: str, qrels_changed: str
) -> Manifest | None:
    """Find the evaluation that :func:`evaluate_p_mrr` would return; None if it is not stored.

    Nothing is downloaded: judgements of ir_datasets are compared by id only.

    Raises:
        DataError: Judgements cannot be read.
    """
    old_id, old = identify_qrels(qrels_original)
    new_id, new = identify_qrels(qrels_changed)
    fingerprint = None if old is None or new is None else _fingerprint(old, new)
    inputs = _inputs(before, after, (old_id, new_id), fingerprint)
    return find_finished(store, "evaluation", inputs, perhaps_unread="qrels_fingerprint")


def _fingerprint(old: str, new: str) -> str:
    return hashlib.sha256(f"{old} {new}".encode()).hexdigest()


def _inputs(
    before: Manifest, after: Manifest, qrels_ids: tuple[str, str], fingerprint: str | None
) -> dict[str, JsonValue]:
    return {
        "run": after.id,
        "original_run": before.id,
        "qrels": " -> ".join(qrels_ids),
        "qrels_fingerprint": fingerprint,
        "measures": [P_MRR],
    }


def _outcome(
    store: Store,
    evaluation: Manifest,
    before: Manifest,
    after: Manifest,
    documents: Mapping[str, Sized],
    *,
    existing: bool,
) -> EvaluatedPMrr:
    (p_mrr,) = store.aggregates(evaluation.id).values()
    rows = store.per_query(evaluation.id).to_pydict()
    per_query = dict(zip(rows["query_id"], rows["value"], strict=True))
    old, _, new = str(evaluation.inputs["qrels"]).partition(" -> ")
    missing = evaluation.stats.get("missing_queries")
    return EvaluatedPMrr(
        evaluation=evaluation.id,
        original=before.name or before.id,
        changed=after.name or after.id,
        qrels_original=old,
        qrels_changed=new,
        p_mrr=p_mrr,
        per_query=per_query,
        changed_documents=sum(len(documents[query]) for query in per_query if query in documents),
        missing_queries=[str(query) for query in missing] if isinstance(missing, list) else [],
        existing=existing,
    )
