"""Status of the steps of a replication: done, missing inputs, and estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hypencli.errors import HypeError
from hypencli.ops.replicate.estimate import UNKNOWN, Estimate
from hypencli.ops.replicate.plan import plan_replication
from hypencli.ops.replicate.selection import LeftOut, TableSelection
from hypencli.ops.replicate.step import ReplicationContext, Step
from hypencli.recipe.replication import Replication
from hypestore import Store

State: TypeAlias = Literal["done", "to do", "missing", "waiting"]


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step of a replication.

    Attributes:
        step: One line of description.
        kind: Kind of the step.
        state: ``missing`` if a model or file is missing that no step makes; ``waiting`` if the step
            needs a missing one.
        note: The missing input, or the part that is done.
        estimate: Estimated costs of a step to do.
    """

    step: str
    kind: str
    state: State
    note: str | None
    estimate: Estimate


class _StatusReader:
    """Determines the status of steps in order."""

    def __init__(self, context: ReplicationContext) -> None:
        self._context = context
        self._blocked: set[Step] = set()

    def look(self, step: Step) -> StepStatus:
        """Determine the status of one step. The steps that it needs come first."""
        status = self._look(step)
        if status.state in ("missing", "waiting"):
            self._blocked.add(step)
        return status

    def _look(self, step: Step) -> StepStatus:
        context = self._context
        try:
            if all(context.is_done(needed) for needed in step.needs):
                existing = step.existing(context)
                if existing is not None:
                    context.artifacts[step] = existing
                    return _status(step, "done")
            step.require(context)
            blocked = next((one for one in step.needs if one in self._blocked), None)
            if blocked is not None:
                return _status(step, "waiting", f"needs: {blocked}")
            return _status(step, "to do", step.note(context), step.estimate(context))
        except HypeError as error:
            return _status(step, "missing", str(error))


def _status(
    step: Step, state: State, note: str | None = None, estimate: Estimate = UNKNOWN
) -> StepStatus:
    return StepStatus(str(step), step.kind, state, note, estimate)


@dataclass(frozen=True, slots=True)
class ReplicationStatus:
    """Status of all steps, and their total costs.

    Attributes:
        recipe: Name of the recipe.
        description: Description of the recipe.
        steps: Status of each step.
        seconds: Sum of the known time estimates in seconds.
        bytes: Sum of the known size estimates in bytes.
        unknown: Steps to do without a time estimate.
        unknown_disk: Steps to do without a size estimate.
        bases: Rates and assumptions of the estimates.
        left_out: Datasets that are not part of the table.
    """

    recipe: str
    description: str
    steps: tuple[StepStatus, ...]
    seconds: float
    bytes: int
    unknown: tuple[str, ...]
    unknown_disk: tuple[str, ...]
    bases: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def replication_status(
    store: Store, recipe: Replication, selection: TableSelection, *, device: str | None = None
) -> ReplicationStatus:
    """Determine the status of every step. Nothing is downloaded, made or written.

    Raises:
        UsageError: The selection has an unknown name.
        DeviceError: The device does not exist.
    """
    plan = plan_replication(recipe, selection, store_root=store.root)
    reader = _StatusReader(ReplicationContext(store, recipe, device))
    steps = tuple(reader.look(step) for step in plan.steps)
    to_do = [one for one in steps if one.state == "to do"]
    bases = [basis for one in to_do for basis in one.estimate.bases]
    return ReplicationStatus(
        recipe=recipe.name,
        description=recipe.description,
        steps=steps,
        seconds=sum(one.estimate.seconds or 0.0 for one in to_do),
        bytes=sum(one.estimate.bytes or 0 for one in to_do),
        unknown=tuple(one.step for one in to_do if one.estimate.seconds is None),
        unknown_disk=tuple(one.step for one in to_do if one.estimate.bytes is None),
        bases=tuple(dict.fromkeys(bases)),
        left_out=plan.left_out,
    )
