"""Runs and judgements as those of ranx.

from hypencli.integrations.ranx import to_qrels, to_run

ranx.evaluate(to_qrels("qrels.txt"), to_run(project.results("trained")), "ndcg@10")
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ranx

from hypencli.api import Project, RunResults
from hypencli.data.qrels import read_qrels
from hypencli.ops.transfer.runs import Imported, import_run


def to_run(results: RunResults) -> ranx.Run:
    """Return a run of a store as a run of ranx."""
    run: dict[str, dict[str, float]] = {}
    columns = results.table.select(["query_id", "doc_id", "score"]).to_pydict()
    for query_id, doc_id, score in zip(*columns.values(), strict=True):
        run.setdefault(query_id, {})[doc_id] = score
    return ranx.Run(run, name=results.run)


def from_run(project: Project, run: ranx.Run, *, name: str | None = None) -> Imported:
    """Store a run of ranx in a project store, as ``hype import run`` stores its TREC file.

    Raises:
        DataError: The run has no results, or an id with white space.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.trec"
        run.save(str(path), kind="trec")
        return import_run(project.store, path, name=name or run.name or "ranx")


def to_qrels(source: str | Path) -> ranx.Qrels:
    """Return judgements, from all that ``hype eval --qrels`` reads, as those of ranx.

    ranx takes no grade below 0: such grades become 0, which counts as not relevant too.

    Raises:
        DataError: The judgements cannot be read.
    """
    judged = read_qrels(str(source)).qrels
    return ranx.Qrels(
        {query: {doc: max(0, grade) for doc, grade in own.items()} for query, own in judged.items()}
    )
