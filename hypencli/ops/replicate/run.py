"""``hype replicate``: fills a table and compares it with the published figures."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from hypencli.errors import HypeError
from hypencli.ops.replicate.plan import Plan, plan_replication
from hypencli.ops.replicate.search_steps import SearchStep
from hypencli.ops.replicate.selection import LeftOut, TableSelection
from hypencli.ops.replicate.step import ReplicationContext, Step
from hypencli.ops.replicate.table import Figure, make_table, measured_cells
from hypencli.progress import SILENT, Progress, Task
from hypencli.recipe.replication import Replication
from hypestore import Manifest, Store, StoreError


@dataclass(frozen=True, slots=True)
class ReplicateOptions:
    """Options of a replication.

    Attributes:
        selection: Part of the table to fill.
        keep_going: After a failed step, continue with steps that do not need it.
        references: Also show published figures of models that the table does not have.
        device: Device of the computation. None selects the best one.
        trust_code: Allow models to run q-net converter code of their own.
    """

    selection: TableSelection = field(default_factory=TableSelection)
    keep_going: bool = False
    references: bool = False
    device: str | None = None
    trust_code: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed step.

    Attributes:
        step: Name of the step.
        message: Message of the error.
        hint: Hint of the error, if any.
        exit_code: Exit code of the error.
        waiting: Steps that need the failed one and were not run.
    """

    step: str
    message: str
    hint: str | None
    exit_code: int
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replicated:
    """Result of a replication.

    Attributes:
        recipe: Name of the recipe.
        description: Description of the recipe.
        steps: Number of steps.
        made: Number of steps done by this call.
        existing: Number of steps done before.
        failures: Failed steps.
        left_out: Datasets that are not part of the table.
        figures: The table.
        published: Source of the published figures.
        tolerance: Figures with a larger difference are marked.
        seconds: Time of this call in seconds.
    """

    recipe: str
    description: str
    steps: int
    made: int
    existing: int
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]
    figures: tuple[Figure, ...]
    published: str | None
    tolerance: float | None
    seconds: float


def replicate(
    store: Store,
    recipe: Replication,
    options: ReplicateOptions | None = None,
    progress: Progress = SILENT,
) -> Replicated:
    """Run the missing steps of a table, and compare its figures with the published ones.

    The store keeps the result of each step. A repeated call runs only the missing steps. A killed
    process loses at most one shard or one search.

    Args:
        store: The project store.
        recipe: The table.
        options: Part of the table, and how to run.
        progress: Where to report.

    Raises:
        UsageError: The selection has an unknown name.
        HypeError: A step failed, and ``keep_going`` is not set.
        StoreError: A step failed in the store, and ``keep_going`` is not set.
    """
    options = options or ReplicateOptions()
    started = time.perf_counter()
    plan = plan_replication(recipe, options.selection, store_root=store.root)
    context = ReplicationContext(store, recipe, options.device, trust_code=options.trust_code)
    if not options.keep_going:
        _require_queries(plan, context)
    runner = _StepRunner(context)
    failures = _run_all(plan, runner, options, progress)
    measured = measured_cells(context, plan)
    section = recipe.published
    return Replicated(
        recipe=recipe.name,
        description=recipe.description,
        steps=len(plan.steps),
        made=len(context.artifacts) - len(runner.existing),
        existing=len(runner.existing),
        failures=tuple(failures),
        left_out=plan.left_out,
        figures=make_table(plan, measured, references=options.references),
        published=None if section is None else section.source,
        tolerance=None if section is None else section.tolerance,
        seconds=time.perf_counter() - started,
    )


def _require_queries(plan: Plan, context: ReplicationContext) -> None:
    """Refuse a plan with missing queries, before hours of encoding."""
    for step in plan.steps:
        if isinstance(step, SearchStep):
            step.require(context)


class _StepRunner:
    """Runs steps, and records those that were done before.

    Attributes:
        existing: Steps that were done before.
    """

    def __init__(self, context: ReplicationContext) -> None:
        self._context = context
        self._before = {manifest.id for manifest in context.store.artifacts()}
        self.existing: set[Step] = set()

    def run(self, step: Step, progress: Progress) -> None:
        """Run one step. All steps that it needs must be done.

        Raises:
            HypeError: The step failed.
            StoreError: The step failed in the store.
        """
        existing = step.existing(self._context) if step.leaves_files else None
        artifact = existing or step.run(self._context, progress)
        self._context.artifacts[step] = artifact
        is_old = isinstance(artifact, Manifest) and artifact.id in self._before
        if is_old or existing is not None:
            self.existing.add(step)


def _run_all(
    plan: Plan, runner: _StepRunner, options: ReplicateOptions, progress: Progress
) -> list[Failure]:
    """Run the steps in order, and return the failures."""
    failed: dict[Step, HypeError | StoreError] = {}
    waiting: dict[Step, list[str]] = {}
    for number, step in enumerate(plan.steps, start=1):
        where = f"[{number}/{len(plan.steps)}]"
        cause = next((one for one in failed if _depends(step, one)), None)
        if cause is not None:
            waiting.setdefault(cause, []).append(str(step))
            continue
        progress.message(f"{where} {step}")
        try:
            runner.run(step, _Numbered(progress, where))
        except (HypeError, StoreError) as error:
            if not options.keep_going:
                progress.message(
                    f"{where} failed. Finished steps are kept; repeat the command to resume"
                )
                raise
            progress.message(f"{where} failed: {error}")
            failed[step] = error
        else:
            if step in runner.existing and step.kind != "search":  # a search has its own message
                progress.message("  exists")
    return [_failure(step, error, waiting.get(step, [])) for step, error in failed.items()]


def _depends(step: Step, other: Step) -> bool:
    return any(needed == other or _depends(needed, other) for needed in step.needs)


def _failure(step: Step, error: HypeError | StoreError, waiting: list[str]) -> Failure:
    return Failure(str(step), error.message, error.hint, error.exit_code, tuple(waiting))


class _Numbered:
    """Progress of one step. Its messages have the number of the step."""

    def __init__(self, progress: Progress, where: str) -> None:
        self._progress, self._where = progress, where

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """Start a task of the step."""
        return self._progress.task(f"{self._where} {description}", total=total, unit=unit)

    def message(self, text: str) -> None:
        """Report a line of the step."""
        self._progress.message(f"  {text}")
