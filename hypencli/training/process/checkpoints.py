"""Checkpoints of an unfinished run: complete or ignored, with the newest and the best kept.

The Trainer writes a folder ``checkpoint-STEP`` file by file. A folder counts only if it has a
marker with the sizes of its files. Incomplete folders of a killed process are deleted when the run
continues.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor, nn
from transformers import TrainerState

from hypencli.data.atomic import flush_file, flush_folder, flush_tree
from hypencli.errors import ModelError
from hypencli.models.checkpoints.untrusted import library_errors, reason

MARKER_FILE = "complete.json"
WEIGHTS_FILE = "model.safetensors"
STATE_FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_BEST = re.compile(r"best-(\d+)")


def mark_complete(folder: Path) -> None:
    """Flush the files of a checkpoint to disk and mark it as complete."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    flush_tree(folder)
    partial = folder / f"{MARKER_FILE}.partial"
    partial.write_text(json.dumps(sizes), encoding="utf-8")
    flush_file(partial)
    partial.rename(folder / MARKER_FILE)
    # Before an older checkpoint is deleted, this one must be on the disk, with its name.
    flush_folder(folder)
    flush_folder(folder.parent)


def newest_checkpoint(output_dir: Path) -> Path | None:
    """Return the newest complete checkpoint, or None; delete incomplete ones."""
    newest = None
    for _, folder in sorted(_numbered(output_dir, _CHECKPOINT)):
        if _is_complete(folder):
            newest = folder
        else:
            shutil.rmtree(folder)
    return newest


def step_of(checkpoint: Path | str) -> int:
    """Return the optimiser step after which a checkpoint was made."""
    return int(str(checkpoint).rpartition("-")[2])


@contextmanager
def going_on_from(checkpoint: Path | str, *files: str) -> Iterator[None]:
    """Replace the errors of reading these files of a checkpoint by one of this package.

    Raises:
        ModelError: A file is damaged, or names code, which is not run.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except library_errors() as error:
        raise ModelError(
            f"The checkpoint {checkpoint} cannot be resumed ({', '.join(files)}): {reason(error)}",
            hint="Begin the training anew: `restart=True`",
        ) from error


def state_at_the_end(checkpoint: Path) -> TrainerState | None:
    """Return the Trainer state of a checkpoint of the last step, else None.

    Without complete weights in one file (FSDP may divide them), it returns None too.

    Raises:
        ModelError: The state cannot be read.
    """
    with going_on_from(checkpoint, STATE_FILE):
        state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        ended = state.global_step >= state.max_steps and (checkpoint / WEIGHTS_FILE).is_file()
    return state if ended else None


def remove_older(output_dir: Path, *, keep: Path) -> None:
    """Delete every checkpoint except ``keep``."""
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
    flush_tree(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    flush_folder(output_dir)


def load_best(step: nn.Module, output_dir: Path, *, number: int) -> None:
    """Load the kept weights of step ``number``."""
    load_weights(step, output_dir / f"best-{number}")


def remove_other_best(output_dir: Path, *, keep: int | None) -> None:
    """Delete kept weights of all steps except ``keep``."""
    for number, folder in list(_numbered(output_dir, _BEST)):
        if number != keep:
            shutil.rmtree(folder)


def save_weights(step: nn.Module, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write all weights of a training step, shared ones once.

    Args:
        step: The training step.
        folder: The folder of the weights.
        state: Weights gathered from several processes; None means those of ``step``.
    """
    if state is None:
        save_model(step, str(folder / WEIGHTS_FILE))
    else:
        once = {tensor.data_ptr(): name for name, tensor in sorted(state.items(), reverse=True)}
        save_file({k: state[k].contiguous() for k in once.values()}, folder / WEIGHTS_FILE)


def load_weights(step: nn.Module, folder: Path) -> None:
    """Load weights that :func:`save_weights` wrote; none may be missing.

    Raises:
        ModelError: The weights cannot be read, or are those of another model.
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
