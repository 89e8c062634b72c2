"""The folder of a training under way: what an earlier try left, what stays with the model."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from hypencli.ops.refused import discard_on_error
from hypencli.progress import Progress
from hypestore import PROGRESS_NAME, SCRATCH_NAME, Draft

WORK_FOLDER = SCRATCH_NAME
"""Checkpoints, which the store keeps until the model is there."""

_EVENTS_FOLDER = "runs"
"""Where the Trainer's TensorBoard writes below that, and where it is kept beside the model."""


def begin_work(draft: Draft, *, restart: bool, progress: Progress) -> None:
    """Points of an earlier try are told again by the run; checkpoints stay unless it is anew."""
    from hypencli.training.checkpoints import newest_checkpoint, step_of

    (draft.path / PROGRESS_NAME).unlink(missing_ok=True)
    if not restart:
        return
    checkpoint = newest_checkpoint(draft.path / WORK_FOLDER)
    shutil.rmtree(draft.path / WORK_FOLDER, ignore_errors=True)
    if checkpoint is not None:
        progress.message(
            f"beginning anew: the checkpoint of step {step_of(checkpoint):,} is deleted"
        )


def discard_if_not_started(draft: Draft) -> AbstractContextManager[None]:
    """What ends before its first point or checkpoint is put right by another command.

    Its settings or data change then, and with them the id: nobody would come back to this work.
    """

    def began() -> bool:
        points = draft.path / PROGRESS_NAME
        checkpoints = (draft.path / WORK_FOLDER).glob("checkpoint-*")
        return (points.is_file() and points.stat().st_size > 0) or any(checkpoints)

    return discard_on_error(draft, unless=began, errors=(Exception,))


def keep_events(folder: Path) -> None:
    """What a tracker wrote stays with the model."""
    events = folder / WORK_FOLDER / _EVENTS_FOLDER
    if events.is_dir():
        shutil.copytree(events, folder / _EVENTS_FOLDER, dirs_exist_ok=True)
