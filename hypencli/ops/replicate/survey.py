"""Looks at the steps of a replication: which are done, what is missing, what the others take."""

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
        state: ``missing`` where something is that no step makes, a model or a file; ``waiting``
            where the step needs such.
        note: What is missing, or how much of it is done.
        estimate: What a step to do takes.
    """

    step: str
    kind: str
    state: State
    note: str | None
    estimate: Estimate


class _StatusReader:
    """Looks at steps in their order, and remembers which are done and which cannot be done."""

    def __init__(self, context: ReplicationContext) -> None:
        self._context = context
        self._blocked: set[Step] = set()

    def look(self, step: Step) -> StepStatus:
        """The state of one step."""
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
    """All steps, and what those to do take together.

    Attributes:
        seconds: Sum of the estimates that there are.
        bytes: The same.
        unknown: Steps to do whose time there is no estimate of.
        unknown_disk: Steps to do whose size on disk there is none of.
        bases: What the estimates are made from, each once.
        left_out: What could not be part of it.
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
    """Look at every step, without doing one: nothing is downloaded, made or written.

    Raises:
        UsageError: The selection names what the table does not have.
        DeviceError: The device is not there.
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
