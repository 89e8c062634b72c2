"""Checkpoints of a run under way: whole or not there, the newest found again, the best kept.

The Trainer writes a folder ``checkpoint-STEP`` file by file. A folder counts only once a marker
with the sizes of its files lies in it; what a killed process left is deleted when the run goes on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor, nn
from transformers import TrainerState

from hypencli.errors import ModelError
from hypencli.models.checkpoints.untrusted import LIBRARY_ERRORS, reason

MARKER_FILE = "complete.json"
WEIGHTS_FILE = "model.safetensors"
STATE_FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_BEST = re.compile(r"best-(\d+)")


def mark_complete(folder: Path) -> None:
    """Flush the files of a checkpoint to disk and mark it as whole."""
    sizes = {}
    for path in sorted(folder.iterdir()):
        _flush(path)
        sizes[path.name] = path.stat().st_size
    partial = folder / f"{MARKER_FILE}.partial"
    partial.write_text(json.dumps(sizes), encoding="utf-8")
    _flush(partial)
    partial.rename(folder / MARKER_FILE)


def newest_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint; what is not whole is deleted."""
    newest = None
    for _, folder in sorted(_numbered(output_dir, _CHECKPOINT)):
        if _is_complete(folder):
            newest = folder
        else:
            shutil.rmtree(folder)
    return newest


def step_of(checkpoint: Path | str) -> int:
    """The optimiser step that a checkpoint was made after."""
    return int(str(checkpoint).rpartition("-")[2])


@contextmanager
def going_on_from(checkpoint: Path | str, *files: str) -> Iterator[None]:
    """Say it in our words where these files of a checkpoint are not what they should be.

    Raises:
        ModelError: They are not, or they name code, which is not run.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except LIBRARY_ERRORS as error:
        raise ModelError(
            f"The checkpoint {checkpoint} cannot be resumed ({', '.join(files)}): {reason(error)}",
            hint="Begin the training anew: `restart=True`",
        ) from error


def state_at_the_end(checkpoint: Path) -> TrainerState | None:
    """What the Trainer knew, if the checkpoint is that of the last step; else None.

    Without whole weights in one file (FSDP may keep them in pieces) it is None too.

    Raises:
        ModelError: It cannot be read.
    """
    with going_on_from(checkpoint, STATE_FILE):
        state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        ended = state.global_step >= state.max_steps and (checkpoint / WEIGHTS_FILE).is_file()
    return state if ended else None


def remove_older(output_dir: Path, *, keep: Path) -> None:
    """Delete every checkpoint but one."""
    for _, folder in list(_numbered(output_dir, _CHECKPOINT)):
        if folder != keep:
            shutil.rmtree(folder)


def save_best(step: nn.Module, output_dir: Path, *, number: int) -> None:
    """Keep the weights of this step as a candidate for the best."""
    folder = output_dir / f"best-{number}"
    partial = output_dir / f"best-{number}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_weights(step, partial)
    _flush(partial / WEIGHTS_FILE)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def load_best(step: nn.Module, output_dir: Path, *, number: int) -> None:
    """Put the weights of that step back."""
    load_weights(step, output_dir / f"best-{number}")


def remove_other_best(output_dir: Path, *, keep: int | None) -> None:
    """Delete the weights of steps that are not the best any more."""
    for number, folder in list(_numbered(output_dir, _BEST)):
        if number != keep:
            shutil.rmtree(folder)


def save_weights(step: nn.Module, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """All weights of a training step, what is shared once.

    Args:
        step: The training step.
        folder: Where they go.
        state: Its weights where they are not in it, but gathered from several processes.
    """
    if state is None:
        save_model(step, str(folder / WEIGHTS_FILE))
    else:
        once = {tensor.data_ptr(): name for name, tensor in sorted(state.items(), reverse=True)}
        save_file({k: state[k].contiguous() for k in once.values()}, folder / WEIGHTS_FILE)


def load_weights(step: nn.Module, folder: Path) -> None:
    """Load weights that :func:`save_weights` wrote; each one must be there.

    Raises:
        ModelError: They cannot be read, or are those of another model.
    """
    with going_on_from(folder, WEIGHTS_FILE):
        load_model(step, str(folder / WEIGHTS_FILE), strict=True)


def _is_complete(folder: Path) -> bool:
    try:
        sizes = dict(json.loads((folder / MARKER_FILE).read_text(encoding="utf-8")))
        present = {path.name: path.stat().st_size for path in folder.iterdir()}
    except (OSError, ValueError, TypeError):
        return False
    return sizes.items() <= present.items()


def _numbered(output_dir: Path, pattern: re.Pattern[str]) -> Iterator[tuple[int, Path]]:
    for path in output_dir.iterdir() if output_dir.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match is not None:
            yield int(match[1]), path


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
