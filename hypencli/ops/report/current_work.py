"""Work in progress for a page that is watched: who holds it, and the curves of trainings."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from hypencli.ops.phase import read_phase
from hypencli.ops.report.curves import LOSS, VALIDATION, curves_from
from hypencli.reporting.contents import ModelCurves
from hypestore import PROGRESS_NAME, Store, Unfinished, read_progress

WorkState: TypeAlias = tuple[tuple[str, bool, int, int], ...]
"""Id, whether it is held, and size and time of the progress, for each unfinished artifact."""


@dataclass(frozen=True, slots=True)
class CurrentWork:
    """An artifact that is being made, or whose making was interrupted.

    Attributes:
        kind: Kind of the artifact.
        id: Id of the artifact.
        label: Its name, or its id if it has no name.
        started: When the work began.
        holder: The process that works on it, in words; None if it was interrupted.
        progress: The present job, or the last step of a training; None if nothing is recorded.
    """

    kind: str
    id: str
    label: str
    started: datetime
    holder: str | None
    progress: str | None


def current_work(store: Store) -> tuple[CurrentWork, ...]:
    """List unfinished work: what is held by a process comes first, then the newest."""
    works = [
        CurrentWork(
            kind=work.kind,
            id=work.id,
            label=work.name or work.id,
            started=work.started,
            holder=(work.holder or "a process") if work.is_held else None,
            progress=_progress(work),
        )
        for work in store.unfinished()
    ]
    works.sort(key=lambda one: one.started, reverse=True)
    return tuple(sorted(works, key=lambda one: one.holder is None))


def _progress(work: Unfinished) -> str | None:
    """The last step of a training, or the job of other work."""
    points = read_progress(work.path) if work.kind == "model" else []
    if points:
        return f"step {points[-1][0]:,}"
    phase = read_phase(work.path)
    return None if phase is None else str(phase)


def current_curves(store: Store, *, points: int) -> tuple[ModelCurves, ...]:
    """Read the curves of loss and validation measures of unfinished trainings, newest first.

    Args:
        store: The project store.
        points: Maximum number of points of a curve, at least 4.
    """
    trainings = sorted(store.unfinished("model"), key=lambda one: one.started, reverse=True)
    return tuple(
        curves_from(
            work,
            [
                (name, step, value)
                for step, name, value in read_progress(work.path)
                if name == LOSS or name.startswith(VALIDATION)
            ],
            points,
        )
        for work in trainings
    )


def work_state(store: Store) -> WorkState:
    """Return what changes whenever work begins, advances or ends; it is cheap to ask again."""
    state = []
    for work in store.unfinished():
        size = changed = 0
        with contextlib.suppress(FileNotFoundError):  # no point yet, or just finished
            about = (work.path / PROGRESS_NAME).stat()
            size, changed = about.st_size, about.st_mtime_ns
        state.append((work.id, work.is_held, size, changed))
    return tuple(sorted(state))
