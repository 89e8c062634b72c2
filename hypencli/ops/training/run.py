"""``hype train``: a recipe, data and a start become a model in the store, once.

A run that was stopped goes on from its newest checkpoint when the same command comes again. Several
processes of a launcher (``torchrun -m hypencli train ...``) train one model: the first of them, the
leader, alone writes to the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE, model_card, write_curves
from hypencli.ops.models import model_facts
from hypencli.ops.training.from_recipe import model_spec, training_config
from hypencli.ops.training.inputs import Inputs, find_inputs
from hypencli.progress import SILENT, Progress
from hypencli.recipe import Recipe, to_toml
from hypencli.runtime import provenance, quiet_libraries, resolve_device
from hypencli.signals import Terminated
from hypencli.tabular import NotebookRecord
from hypestore import PROGRESS_NAME, SCRATCH_NAME, Draft, JsonValue, Manifest, Store, require_space

if TYPE_CHECKING:
    from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
    from hypencli.training import TrainingConfig, TrainingOutcome


@dataclass(frozen=True, slots=True)
class TrainedModel(NotebookRecord):
    """What ``hype train`` made, found already made, or stopped at.

    Attributes:
        model_id: Id of the model in the store.
        name: What the user calls it.
        path: Its folder.
        recipe: Name of the recipe.
        existing: Whether it was there before; nothing was trained then.
        finished: Whether the model is there; else its time was up, and a checkpoint is there.
        n_rows: Training rows.
        steps: Optimiser steps, those before a resumption included.
        resumed_from: The step that this call went on from; 0 for a fresh start.
        best_step: The step whose weights the model has, where the best were sought.
        seconds: Time of the training alone.
        preparation_seconds: Time of tokenising, and of encoding where the encoder is cached.
        final_loss: Mean loss at the end of the curve.
        parameters: Of the whole model.
        trainable_parameters: Of those, how many were trained.
        name_not_given: A name that was asked for and that it does not have, made before.
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


def train(
    store: Store,
    recipe: Recipe,
    *,
    name: str | None = None,
    device: str | None = None,
    restart: bool = False,
    progress: Progress = SILENT,
) -> TrainedModel | None:
    """Train a model by a recipe and put it in the store; the same inputs are trained once.

    Args:
        store: Where the model goes.
        recipe: What to train.
        name: What to call the model; unique in the store.
        device: In place of the recipe's.
        restart: Begin anew where a run was stopped, instead of going on from its checkpoint.
        progress: Listens.

    Returns:
        What was made; None in every process but the leader.

    Raises:
        RecipeError: The recipe leaves out its backbone or data.
        DataError: The data cannot be trained on.
        ModelError: The backbone or the converter cannot be used, or training went astray.
        StoreError: The model cannot be written, or the name is taken.
        KeyboardInterrupt: A signal stopped it; a checkpoint is there.
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
            f"The recipe names a converter of its own, {converter.name!r}; training runs its code.",
            hint="If you trust that code, say so.",
            settings={"model.trust_code": "true"},
        )


@dataclass(frozen=True, slots=True)
class _Trained:
    dual: HypencoderDualEncoder | TextDualEncoder
    tokenizer: Any
    outcome: TrainingOutcome


def _lead(
    store: Store, draft: Draft, inputs: Inputs, config: TrainingConfig, progress: Progress
) -> TrainedModel:
    """The leader's part: train, then write the model."""
    trained = _train_in(draft.path, store, inputs, config, draft.progress, progress)
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
    """What every process does."""
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
    if is_leader():
        require_space(folder, _bytes_of_checkpoint(dual), what=f"Training {inputs.recipe.name}")
    where = RunContext(
        output_dir=folder / WORK_FOLDER,
        caches=store.cached,
        on_points=on_points,
        progress=progress,
    )
    outcome = run(dual, tokenizer, inputs.training_data(), config, where)
    return _Trained(outcome.dual, tokenizer, outcome)


def _bytes_of_checkpoint(dual: HypencoderDualEncoder | TextDualEncoder) -> int:
    """The least that a training writes: all weights, and two moments of those that are trained."""
    weights = sum(each.numel() * each.element_size() for each in dual.parameters())
    trained = sum(each.numel() for each in dual.parameters() if each.requires_grad)
    return weights + 2 * 4 * trained


def _write(draft: Draft, inputs: Inputs, trained: _Trained, *, device: str) -> None:
    """The model's files, its card and curves, and last its manifest."""
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
                f"data.{side}_max_length = {length} is more than the encoder reads, {longest}.",
                settings={f"data.{side}_max_length": longest},
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
        "n_rows": outcome.n_rows,
        "steps": outcome.steps,
        "best_step": outcome.best_step,
        "resumed_from": outcome.resumed_from,
        "seconds": outcome.seconds,
        "preparation_seconds": outcome.preparation_seconds,
        "final_loss": outcome.final_loss,
        "query_max_length": recipe.data.query_max_length,
        "passage_max_length": recipe.data.passage_max_length,
    }


def _stopped(draft: Draft, recipe: Recipe, trained: _Trained) -> TrainedModel:
    """What there is to say of a run whose time was up."""
    outcome, parameters = trained.outcome, list(trained.dual.parameters())
    return TrainedModel(
        model_id=draft.id,
        name=None,
        path=draft.path,
        recipe=recipe.name,
        existing=False,
        finished=False,
        n_rows=outcome.n_rows,
        steps=outcome.steps,
        resumed_from=outcome.resumed_from,
        best_step=outcome.best_step,
        seconds=outcome.seconds,
        preparation_seconds=outcome.preparation_seconds,
        final_loss=outcome.final_loss,
        parameters=sum(each.numel() for each in parameters),
        trainable_parameters=sum(each.numel() for each in parameters if each.requires_grad),
    )


def trained_model(store: Store, manifest: Manifest, *, existing: bool) -> TrainedModel:
    """What the manifest of a trained model says."""
    stats: dict[str, Any] = dict(manifest.stats)
    return TrainedModel(
        model_id=manifest.id,
        name=manifest.name,
        path=store.path(manifest),
        recipe=str(manifest.inputs["recipe"]),
        existing=existing,
        finished=True,
        n_rows=stats["n_rows"],
        steps=stats["steps"],
        resumed_from=stats.get("resumed_from", 0),
        best_step=stats.get("best_step"),
        seconds=stats["seconds"],
        preparation_seconds=stats["preparation_seconds"],
        final_loss=stats["final_loss"],
        parameters=stats["parameters"],
        trainable_parameters=stats["trainable_parameters"],
    )


WORK_FOLDER = SCRATCH_NAME
"""Checkpoints, which the store keeps until the model is there."""

_EVENTS_FOLDER = "runs"
"""Where the Trainer's TensorBoard writes below that, and where it is kept beside the model."""


def begin_work(draft: Draft, *, restart: bool, progress: Progress) -> None:
    """Points of an earlier try are told again by the run; checkpoints stay unless it is anew."""
    from hypencli.training.process.checkpoints import newest_checkpoint, step_of

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
