"""``hype replicate``: what is missing of a table is made, then set beside the paper's figures."""

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
    """How a table is made.

    Attributes:
        selection: Which part of it.
        keep_going: Go on after a step that fails, with all that does not need it.
        references: Also show what the paper says of models that the table does not have.
        device: Where to compute; None takes the best there is.
        trust_code: Whether models may import q-net converter code of their own.
    """

    selection: TableSelection = field(default_factory=TableSelection)
    keep_going: bool = False
    references: bool = False
    device: str | None = None
    trust_code: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that could not be done.

    Attributes:
        waiting: Steps that need it and were not tried.
        exit_code: That of the error.
    """

    step: str
    message: str
    hint: str | None
    exit_code: int
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replicated:
    """A table, and what was done for it.

    Attributes:
        steps: How many there are.
        made: How many were done by this call.
        existing: How many had been done before.
        failures: Those that could not be done.
        left_out: What could not be part of it.
        figures: The table.
        published: Where the paper's figures stand.
        tolerance: From which difference on a figure is marked.
        seconds: Time of this call.
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
    """Do what is missing of a table, step by step, and give it beside the paper's figures.

    Each step is kept in the store: the same call again does only what is missing, also after a
    kill, which costs at most the shard or the search that was under way.

    Raises:
        UsageError: The selection names what the table does not have.
        HypeError: A step failed, and ``keep_going`` is not set.
        StoreError: The same, in the store.
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
    """Refuse a plan whose queries are not there, before hours are spent on its documents."""
    for step in plan.steps:
        if isinstance(step, SearchStep):
            step.require(context)


class _StepRunner:
    """Runs steps, and knows which of them had been done before.

    Attributes:
        existing: Those that had been done.
    """

    def __init__(self, context: ReplicationContext) -> None:
        self._context = context
        self._before = {manifest.id for manifest in context.store.artifacts()}
        self.existing: set[Step] = set()

    def run(self, step: Step, progress: Progress) -> None:
        """Run one step, all that it needs being done; a verb does again nothing that is done.

        Raises:
            HypeError: It cannot be done.
            StoreError: The store refuses it.
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
    """Run the steps in their order; gives those that failed."""
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
                progress.message(f"{where} failed: what is done is kept, the same command goes on")
                raise
            progress.message(f"{where} failed: {error}")
            failed[step] = error
        else:
            if step in runner.existing and step.kind != "search":  # a search says so itself
                progress.message("  there already")
    return [_failure(step, error, waiting.get(step, [])) for step, error in failed.items()]


def _depends(step: Step, other: Step) -> bool:
    return any(needed == other or _depends(needed, other) for needed in step.needs)


def _failure(step: Step, error: HypeError | StoreError, waiting: list[str]) -> Failure:
    return Failure(str(step), error.message, error.hint, error.exit_code, tuple(waiting))


class _Numbered:
    """Progress of one step: its bars say which of how many it is."""

    def __init__(self, progress: Progress, where: str) -> None:
        self._progress, self._where = progress, where

    def task(
        self, description: str, *, total: int | None = None, unit: str = "items"
    ) -> AbstractContextManager[Task]:
        """A task of the step."""
        return self._progress.task(f"{self._where} {description}", total=total, unit=unit)

    def message(self, text: str) -> None:
        """A line of the step."""
        self._progress.message(f"  {text}")
