"""Steps that evaluate runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hypencli.ops.evaluation.p_mrr import evaluate_p_mrr, existing_p_mrr
from hypencli.ops.evaluation.run import evaluate, existing_evaluation
from hypencli.ops.replicate.search_steps import SearchStep
from hypencli.ops.replicate.step import ReplicationContext, Step, StepKind
from hypencli.progress import Progress
from hypestore import Manifest


@dataclass(frozen=True, slots=True)
class EvaluateStep(Step):
    """Evaluates a run against judgements."""

    kind: ClassVar[StepKind] = "eval"

    search: SearchStep

    @property
    def needs(self) -> tuple[Step, ...]:
        """The search."""
        return (self.search,)

    def __str__(self) -> str:
        return f"eval {self.search.dataset} {self.search.way}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the evaluation of the run if it is stored."""
        run, options = context.manifest(self.search), self.search.judged_with(context)
        return existing_evaluation(context.store, run, options)

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Evaluate the run."""
        run, options = context.manifest(self.search).id, self.search.judged_with(context)
        done = evaluate(context.store, run, options, progress)
        return context.store.get(done.evaluation, "evaluation")


@dataclass(frozen=True, slots=True)
class PMrrStep(Step):
    """Computes p-MRR: the effect of changed instructions on the rankings of a dataset."""

    kind: ClassVar[StepKind] = "p-mrr"

    original: SearchStep
    changed: SearchStep

    @property
    def needs(self) -> tuple[Step, ...]:
        """Both searches."""
        return (self.original, self.changed)

    def __str__(self) -> str:
        return f"p-MRR {self.original.dataset} {self.original.way}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the evaluation of the pair if it is stored."""
        before, after = (context.manifest(one) for one in self.needs)
        return existing_p_mrr(context.store, before, after, **self._qrels(context))

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Compute p-MRR of the pair."""
        before, after = (context.manifest(one).id for one in self.needs)
        qrels = self._qrels(context)
        done = evaluate_p_mrr(context.store, before, after, **qrels, progress=progress)
        return context.store.get(done.evaluation, "evaluation")

    def _qrels(self, context: ReplicationContext) -> dict[str, str]:
        """Return the judgements of both searches; a dataset with changed instructions has both."""
        return {
            "qrels_original": str(self.original.judged_with(context).qrels),
            "qrels_changed": str(self.changed.judged_with(context).qrels),
        }
