"""``hype train``: trains a model by a recipe and stores it.

An interrupted training resumes from its newest checkpoint when the command is repeated. Several
processes of a launcher (``torchrun -m hypencli train ...``) train one model. Only the leader, which
is the first process, writes to the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE, model_card, write_curves
from hypencli.ops.models import display_name, model_facts, sets_of_encoder
from hypencli.ops.phase import RecordedProgress
from hypencli.ops.training.from_recipe import model_spec, training_config
from hypencli.ops.training.inputs import Inputs, find_inputs
from hypencli.ops.training.known_outputs import known_outputs
from hypencli.progress import SILENT, Progress
from hypencli.recipe import Recipe, to_toml
from hypencli.runtime import provenance, quiet_libraries, resolve_device
from hypencli.signals import Terminated
from hypencli.tabular import NotebookRecord
from hypestore import PROGRESS_NAME, SCRATCH_NAME, Draft, JsonValue, Manifest, Store, require_space

if TYPE_CHECKING:
    from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
    from hypencli.training import TrainingConfig, TrainingOutcome


_COUNTS = (
    "n_rows",
    "steps",
    "best_step",
    "resumed_from",
    "seconds",
    "preparation_seconds",
    "final_loss",
)
"""Figures of a training that its outcome, its manifest and its result share."""


@dataclass(frozen=True, slots=True)
class TrainedModel(NotebookRecord):
    """Result of a training.

    Attributes:
        model_id: Id of the model in the store.
        name: Name of the model, if it has one.
        path: Folder of the model.
        recipe: Name of the recipe.
        existing: Whether the store had the model before this call.
        finished: Whether the training is finished. Otherwise the time limit was reached, and a
            checkpoint is kept.
        n_rows: Number of training rows.
        steps: Optimiser steps, including those before a resumption.
        resumed_from: Step of the checkpoint that this call resumed from; 0 for a new training.
        best_step: Step of the best weights, if validation selected them.
        seconds: Time of the training in seconds, without preparation.
        preparation_seconds: Time in seconds of tokenising, and of encoding for a cached encoder.
        final_loss: Mean loss at the end of the training.
        parameters: Number of parameters.
        trainable_parameters: Number of trained parameters.
        name_not_given: A requested name that an existing model did not get.
        embeddings: Names or ids of the embedding sets that its passage encoder made already.
    """

    model_id: str
    name: str | None
    path: Path
    recipe: str
    existing: bool
    finished: bool
    n_rows: int
    steps: int
    resumed_from: int
    best_step: int | None
    seconds: float
    preparation_seconds: float
    final_loss: float
    parameters: int
    trainable_parameters: int
    name_not_given: NameNotGiven | None = None
    embeddings: tuple[str, ...] = ()


def train(
    store: Store,
    recipe: Recipe,
    *,
    name: str | None = None,
    device: str | None = None,
    restart: bool = False,
    progress: Progress = SILENT,
) -> TrainedModel | None:
    """Train a model by a recipe and store it. A model with the same inputs is not trained again.

    Args:
        store: The project store.
        recipe: The recipe.
        name: Name of the model, unique in the store.
        device: Device that replaces the one of the recipe.
        restart: Delete the checkpoints of an interrupted training and start from step 0.
        progress: Where to report.

    Returns:
        The result; None in all processes but the leader.

    Raises:
        RecipeError: The recipe names no backbone or no training data.
        DataError: The training data cannot be used.
        ModelError: The backbone or the converter cannot be used, or the loss is not finite.
        StoreError: The model cannot be written, or another model has the name.
        KeyboardInterrupt: A signal stopped the training; a checkpoint is kept.
    """
    from hypencli.training.process.distributed import is_leader, join, local_device, told_by_leader

    _refuse_untrusted(recipe)
    quiet_libraries()
    local = local_device(resolve_device(device or recipe.training.device))
    join(local)
    inputs = find_inputs(store, recipe)
    config = training_config(recipe, local)
    if not is_leader():
        folder: str | None = told_by_leader(None)
        if folder is not None:
            _train_in(Path(folder), store, inputs, config, lambda points: None, SILENT)
        return None
    with store.draft(
        "model", recipe.name, inputs.identity(), parents=inputs.parents, name=name
    ) as draft:
        if draft.existing is not None:
            told_by_leader(None)
            outcome = trained_model(store, draft.existing, existing=True)
            unnamed = name_not_given(store, draft.existing, name)
            return replace(outcome, name_not_given=unnamed)
        begin_work(draft, restart=restart, progress=progress)
        told_by_leader(str(draft.path))
        with discard_if_not_started(draft):
            return _lead(store, draft, inputs, config, progress)


def _refuse_untrusted(recipe: Recipe) -> None:
    from hypencli.models.qnets.registry import installed_converter

    converter = recipe.model.converter
    if converter is None or ":" not in converter.name or recipe.model.trust_code:
        return
    if installed_converter(converter.name) is None:
        raise ModelError(
            f"The converter {converter.name!r} is not part of hype; training runs its code.",
            hint="If you trust that code, allow it: `model.trust_code=true`",
        )


@dataclass(frozen=True, slots=True)
class _Trained:
    dual: HypencoderDualEncoder | TextDualEncoder
    tokenizer: Any
    outcome: TrainingOutcome


def _lead(
    store: Store, draft: Draft, inputs: Inputs, config: TrainingConfig, progress: Progress
) -> TrainedModel:
    """Train and write the model, in the leader process."""
    recorded = RecordedProgress(progress, draft.path)
    trained = _train_in(draft.path, store, inputs, config, draft.progress, recorded)
    outcome = trained.outcome
    if outcome.interrupted:
        raise Terminated(outcome.signal)
    if not outcome.finished:
        return _stopped(draft, inputs.recipe, trained)
    _write(draft, inputs, trained, device=str(config.device))
    if draft.existing is None:
        raise ModelError(f"The model {draft.id} was not finished.")
    return trained_model(store, draft.existing, existing=False)


def _train_in(
    folder: Path,
    store: Store,
    inputs: Inputs,
    config: TrainingConfig,
    on_points: Callable[[Iterable[tuple[int, str, float]]], None],
    progress: Progress,
) -> _Trained:
    """Train in the folder of a draft, in every process."""
    from hypencli.models.load import build_dual_encoder, load_tokenizer
    from hypencli.training import RunContext
    from hypencli.training import train as run
    from hypencli.training.process.distributed import is_leader

    tokenizer = load_tokenizer(inputs.start.source)
    _refuse_too_long(config, tokenizer)
    head = inputs.hyper_head
    dual = build_dual_encoder(
        model_spec(inputs.recipe, inputs.start.source, None if head is None else head.source)
    )
    inputs.refuse_changed_models()
    if is_leader():
        require_space(folder, _bytes_of_checkpoint(dual), what=f"Training {inputs.recipe.name}")
    where = RunContext(
        output_dir=folder / WORK_FOLDER,
        caches=store.cached,
        known=partial(known_outputs, store, progress),
        on_points=on_points,
        progress=progress,
    )
    outcome = run(dual, tokenizer, inputs.training_data(), config, where)
    return _Trained(outcome.dual, tokenizer, outcome)


def _bytes_of_checkpoint(dual: HypencoderDualEncoder | TextDualEncoder) -> int:
    """Size of a checkpoint in bytes: all weights, and two moments of the trained ones."""
    weights = sum(each.numel() * each.element_size() for each in dual.parameters())
    trained = sum(each.numel() for each in dual.parameters() if each.requires_grad)
    return weights + 2 * 4 * trained


def _write(draft: Draft, inputs: Inputs, trained: _Trained, *, device: str) -> None:
    """Write weights, curves, recipe and card, and commit the model."""
    from hypencli.training.process.distributed import n_processes

    recipe, dual, outcome = inputs.recipe, trained.dual, trained.outcome
    dual.to("cpu")  # type: ignore[arg-type]
    dual.save_pretrained(draft.path, tokenizer=trained.tokenizer)
    stats = _stats(dual, trained.tokenizer, recipe, outcome)
    write_curves(draft.path / CURVES_FILE, outcome.curves)
    (draft.path / RECIPE_FILE).write_text(to_toml(recipe), encoding="utf-8")
    card = model_card(recipe, start=inputs.start.label, data=inputs.rows.name, stats=stats)
    (draft.path / CARD_FILE).write_text(card, encoding="utf-8")
    keep_events(draft.path)
    made_with = {
        **provenance(seed=recipe.training.seed, device=device),
        "processes": n_processes(),
        "recipe": recipe.model_dump(mode="json"),
    }
    draft.commit(stats=stats, provenance=made_with)


def _refuse_too_long(config: TrainingConfig, tokenizer: Any) -> None:
    longest = tokenizer.model_max_length
    lengths = {"query": config.query_max_length, "passage": config.passage_max_length}
    for side, length in lengths.items():
        if length > longest:
            raise UsageError(
                f"data.{side}_max_length = {length} exceeds the maximum of the encoder, {longest}.",
                hint=f"Cut the texts: `data.{side}_max_length={longest}`",
            )


def _stats(
    dual: HypencoderDualEncoder | TextDualEncoder,
    tokenizer: Any,
    recipe: Recipe,
    outcome: TrainingOutcome,
) -> dict[str, JsonValue]:
    return {
        **model_facts(dual, tokenizer),
        "trainable_parameters": sum(p.numel() for p in dual.parameters() if p.requires_grad),
        **_counts(outcome),
        "query_max_length": recipe.data.query_max_length,
        "passage_max_length": recipe.data.passage_max_length,
    }


def _counts(outcome: TrainingOutcome) -> dict[str, Any]:
    """Counts, times and final loss of a training, by their names in a manifest and a result."""
    return {name: getattr(outcome, name) for name in _COUNTS}


def _stopped(draft: Draft, recipe: Recipe, trained: _Trained) -> TrainedModel:
    """Result of a training that reached its time limit."""
    parameters = list(trained.dual.parameters())
    return TrainedModel(
        model_id=draft.id,
        name=None,
        path=draft.path,
        recipe=recipe.name,
        existing=False,
        finished=False,
        **_counts(trained.outcome),
        parameters=sum(each.numel() for each in parameters),
        trainable_parameters=sum(each.numel() for each in parameters if each.requires_grad),
    )


def trained_model(store: Store, manifest: Manifest, *, existing: bool) -> TrainedModel:
    """Read the result of a training from the manifest of the model."""
    stats: dict[str, Any] = {"resumed_from": 0, "best_step": None, **manifest.stats}
    return TrainedModel(
        model_id=manifest.id,
        name=manifest.name,
        path=store.path(manifest),
        recipe=str(manifest.inputs["recipe"]),
        existing=existing,
        finished=True,
        embeddings=tuple(map(display_name, sets_of_encoder(store, manifest))),
        **{name: stats[name] for name in (*_COUNTS, "parameters", "trainable_parameters")},
    )


WORK_FOLDER = SCRATCH_NAME
"""Folder of checkpoints in a draft. The store deletes it when the model is finished."""

_EVENTS_FOLDER = "runs"
"""Folder of TensorBoard events: in the folder of checkpoints, then in that of the model."""


def begin_work(draft: Draft, *, restart: bool, progress: Progress) -> None:
    """Delete the logged points, which a resumed run logs again; and checkpoints on a restart."""
    from hypencli.training.process.checkpoints import newest_checkpoint, step_of

    (draft.path / PROGRESS_NAME).unlink(missing_ok=True)
    if not restart:
        return
    checkpoint = newest_checkpoint(draft.path / WORK_FOLDER)
    shutil.rmtree(draft.path / WORK_FOLDER, ignore_errors=True)
    if checkpoint is not None:
        progress.message(f"restarting: the checkpoint of step {step_of(checkpoint):,} is deleted")


def discard_if_not_started(draft: Draft) -> AbstractContextManager[None]:
    """Delete the draft of a training that fails before its first point or checkpoint.

    Corrected settings or data have a different id, so this draft would never be reused.
    """

    def began() -> bool:
        points = draft.path / PROGRESS_NAME
        checkpoints = (draft.path / WORK_FOLDER).glob("checkpoint-*")
        return (points.is_file() and points.stat().st_size > 0) or any(checkpoints)

    return discard_on_error(draft, unless=began, errors=(Exception,))


def keep_events(folder: Path) -> None:
    """Keep the events of a tracker in the folder of the model."""
    events = folder / WORK_FOLDER / _EVENTS_FOLDER
    if events.is_dir():
        shutil.copytree(events, folder / _EVENTS_FOLDER, dirs_exist_ok=True)
