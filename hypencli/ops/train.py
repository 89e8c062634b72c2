"""``hype train``: a recipe, data and a backbone become a model in the store, once."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, RecipeError, UsageError
from hypencli.ops.from_recipe import model_spec, training_config
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE, model_card, write_curves
from hypencli.ops.models import files_fingerprint, model_facts
from hypencli.progress import SILENT, Progress
from hypencli.recipe import Recipe, to_toml
from hypencli.runtime import provenance, quiet_libraries, resolve_device
from hypestore import ArtifactNotFound, Draft, JsonValue, Manifest, Store

if TYPE_CHECKING:
    import torch

    from hypencli.data.corpus import Corpus
    from hypencli.models.dual import HypencoderDualEncoder, TextDualEncoder
    from hypencli.training import TrainingConfig, TrainingOutcome

_WORK_FOLDER = "unfinished"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What ``hype train`` made, or found already made.

    Attributes:
        model_id: Id of the model in the store.
        name: What the user calls it.
        path: Its folder.
        recipe: Name of the recipe.
        existing: Whether it was there before; nothing was trained then.
        n_rows: Training rows.
        steps: Optimiser steps.
        seconds: Time of the training alone.
        preparation_seconds: Time of tokenising, and of encoding where the encoder is cached.
        final_loss: Mean loss at the end of the curve.
        parameters: Of the whole model.
        trainable_parameters: Of those, how many were trained.
    """

    model_id: str
    name: str | None
    path: Path
    recipe: str
    existing: bool
    n_rows: int
    steps: int
    seconds: float
    preparation_seconds: float
    final_loss: float
    parameters: int
    trainable_parameters: int


@dataclass(frozen=True, slots=True)
class _Backbone:
    """Where to start from.

    Attributes:
        source: Folder or hub name.
        label: What to call it: the hub name, the folder's name, or the id of a model of the store.
        fingerprint: SHA-256 of its weights, its tokenizer and what it declares.
        parents: The model of the store, if it is one.
    """

    source: str
    label: str
    fingerprint: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Data:
    train: Path
    fingerprint: str
    pool: Corpus | None


def train(
    store: Store,
    recipe: Recipe,
    *,
    name: str | None = None,
    device: str | None = None,
    progress: Progress = SILENT,
) -> TrainedModel:
    """Train a model by a recipe and put it in the store; the same inputs are trained once.

    Args:
        store: Where the model goes.
        recipe: What to train.
        name: What to call the model; unique in the store.
        device: In place of the recipe's.
        progress: Listens.

    Raises:
        RecipeError: The recipe leaves out its backbone or data.
        DataError: The data cannot be trained on.
        ModelError: The backbone or the converter cannot be used, or training went astray.
        StoreError: The model cannot be written, or the name is taken.
    """
    _refuse_untrusted(recipe)
    quiet_libraries()
    chosen = resolve_device(device or recipe.training.device)
    backbone = _backbone(store, recipe)
    data = _data(recipe)
    inputs = _inputs(recipe, backbone, data)
    with store.draft("model", recipe.name, inputs, parents=backbone.parents, name=name) as draft:
        if draft.existing is None:
            _train_into(draft, recipe, backbone, data, device=chosen, progress=progress)
            return _summary(store, draft, existing=False)
        return _summary(store, draft, existing=True)


def _refuse_untrusted(recipe: Recipe) -> None:
    converter = recipe.model.converter
    if converter is not None and ":" in converter.name and not recipe.model.trust_code:
        raise ModelError(
            f"The recipe names a converter of its own, {converter.name!r}; training runs its code.",
            hint="If you trust that code: --set model.trust_code=true",
        )


def _backbone(store: Store, recipe: Recipe) -> _Backbone:
    from hypencli.models.checkpoint import load_tokenizer, tokenizer_fingerprint
    from hypencli.models.sentence import sentence_encoder_facts
    from hypencli.models.weights import locate

    named = recipe.model.backbone
    if named is None:
        raise RecipeError(
            f"Recipe {recipe.name!r} names no backbone.",
            hint="--set model.backbone=FOLDER_OR_HUB_NAME",
        )
    source, label, parents = _place(store, named)
    digest = hashlib.sha256()
    for part in (
        files_fingerprint(locate(source)),
        tokenizer_fingerprint(load_tokenizer(source)),
        str(asdict(sentence_encoder_facts(source))),
    ):
        digest.update(part.encode())
    return _Backbone(source, label, digest.hexdigest(), parents)


def _place(store: Store, named: str) -> tuple[str, str, tuple[str, ...]]:
    """Source, label and parents of a backbone: a folder, a model of the store, or a hub name."""
    folder = Path(named).expanduser()
    if folder.is_dir():
        whole = folder.resolve()
        return str(folder), whole.parent.name if whole.name == "model" else whole.name, ()
    try:
        manifest = store.get(named, kind="model")
    except ArtifactNotFound:
        return named, named, ()
    from hypencli.ops.models import model_folder

    return str(model_folder(store, manifest)), manifest.id, (manifest.id,)


def _data(recipe: Recipe) -> _Data:
    from hypencli.data.corpus import open_corpus
    from hypencli.data.training import training_fingerprint

    if recipe.data.train is None:
        raise RecipeError(
            f"Recipe {recipe.name!r} names no training data.", hint="--set data.train=FILE.jsonl"
        )
    path = Path(recipe.data.train).expanduser()
    pool = recipe.data.random_negatives_from if recipe.data.random_negatives else None
    return _Data(path, training_fingerprint(path), None if pool is None else open_corpus(pool))


def _inputs(recipe: Recipe, backbone: _Backbone, data: _Data) -> dict[str, JsonValue]:
    """What the model's id is derived from: fingerprints, and short names for people."""
    inputs: dict[str, JsonValue] = {
        "architecture": recipe.model.architecture,
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "data": data.train.name,
        "data_fingerprint": data.fingerprint,
        "backbone": backbone.label,
        "backbone_fingerprint": backbone.fingerprint,
        "seed": recipe.training.seed,
    }
    if data.pool is not None:
        inputs["random_negatives"] = data.pool.corpus_id
        inputs["random_negatives_fingerprint"] = data.pool.fingerprint
    return inputs


def _train_into(
    draft: Draft,
    recipe: Recipe,
    backbone: _Backbone,
    data: _Data,
    *,
    device: torch.device,
    progress: Progress,
) -> None:
    from hypencli.data.training import read_training_rows
    from hypencli.models.checkpoint import build_dual_encoder, load_tokenizer
    from hypencli.training import train as run

    rows = read_training_rows(data.train)
    progress.message(f"{len(rows):,} training rows from {data.train.name}")
    tokenizer = load_tokenizer(backbone.source)
    config = training_config(recipe, device)
    _refuse_too_long(config, tokenizer)
    dual = build_dual_encoder(model_spec(recipe, backbone.source))
    work = draft.path / _WORK_FOLDER
    outcome = run(
        dual,
        tokenizer,
        rows,
        config,
        output_dir=work,
        pool=None if data.pool is None else [document.text for document in data.pool],
        progress=progress,
    )
    shutil.rmtree(work, ignore_errors=True)
    dual.to("cpu")  # type: ignore[arg-type]
    dual.save_pretrained(draft.path, tokenizer=tokenizer)
    stats = _stats(dual, tokenizer, recipe, outcome)
    write_curves(draft.path / CURVES_FILE, outcome.curves)
    (draft.path / RECIPE_FILE).write_text(to_toml(recipe), encoding="utf-8")
    card = model_card(recipe, backbone=backbone.label, data=data.train.name, stats=stats)
    (draft.path / CARD_FILE).write_text(card, encoding="utf-8")
    draft.commit(stats=stats, provenance=provenance(seed=recipe.training.seed, device=str(device)))


def _refuse_too_long(config: TrainingConfig, tokenizer: Any) -> None:
    longest = tokenizer.model_max_length
    lengths = {"query": config.query_max_length, "passage": config.passage_max_length}
    for side, length in lengths.items():
        if length > longest:
            raise UsageError(
                f"data.{side}_max_length = {length} is more than the encoder reads, {longest}.",
                hint=f"--set data.{side}_max_length={longest}",
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
        "seconds": outcome.seconds,
        "preparation_seconds": outcome.preparation_seconds,
        "final_loss": outcome.final_loss,
        "query_max_length": recipe.data.query_max_length,
        "passage_max_length": recipe.data.passage_max_length,
    }


def _summary(store: Store, draft: Draft, *, existing: bool) -> TrainedModel:
    manifest = draft.existing
    if manifest is None:
        raise ModelError(f"The model {draft.id} was not finished.")
    return trained_model(store, manifest, existing=existing)


def trained_model(store: Store, manifest: Manifest, *, existing: bool) -> TrainedModel:
    """What the manifest of a trained model says."""
    stats: dict[str, Any] = dict(manifest.stats)
    return TrainedModel(
        model_id=manifest.id,
        name=manifest.name,
        path=store.path(manifest),
        recipe=str(manifest.inputs["recipe"]),
        existing=existing,
        n_rows=stats["n_rows"],
        steps=stats["steps"],
        seconds=stats["seconds"],
        preparation_seconds=stats["preparation_seconds"],
        final_loss=stats["final_loss"],
        parameters=stats["parameters"],
        trainable_parameters=stats["trainable_parameters"],
    )
