"""What a replication would do: which steps are done, and an estimate of the others."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.ops.replicate_choice import LeftOut, TableSelection
from hypencli.ops.replicate_plan import plan_replication
from hypencli.ops.replicate_surveyor import StatusReader, StepStatus
from hypencli.recipe.replication import Replication
from hypestore import Store


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
    reader = StatusReader(store, recipe, device)
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
