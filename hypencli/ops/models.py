"""Models of a store: look-up, registration of models from outside, and loading."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, UsageError
from hypencli.ops.drafts import discard_on_error
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE
from hypencli.ops.model_files import COMPANIONS_KEY, fingerprints, refuse_changed
from hypencli.paths import is_dir, user_path
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance
from hypestore import ArtifactNotFound, Draft, Manifest, Store, can_be_name

if TYPE_CHECKING:
    import torch

    from hypencli.models.dual import DualEncoder
    from hypestore import JsonValue

REGISTERING_SECONDS = 300.0
"""Seconds to wait for another process that registers the same model."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model, as a user names it.

    Attributes:
        name: A model of the store, a folder, or a name on the hub. None selects the store's
            default model.
        backbone: Name or folder of the backbone, for a checkpoint that does not record it.
        pooling: Pooling, for a plain encoder that does not record it.
        label: Name to register a model from outside under.
        trust_code: Allow a checkpoint to run q-net converter code of its own.
    """

    name: str | None = None
    backbone: str | None = None
    pooling: str | None = None
    label: str | None = None
    trust_code: bool = False


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the store in memory."""

    manifest: Manifest
    dual: DualEncoder
    tokenizer: Any


def find_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Find the model that ``source`` names. A model from outside is registered in the store.

    Raises:
        UsageError: ``source`` names no model and the store has none, or ``backbone`` or ``pooling``
            is set for a model of the store.
        ArtifactNotFound: The name is neither a model of the store, a folder, nor a hub name.
        ModelError: The folder or hub name holds no model that can be loaded, or a registered model
            lies in a folder whose files have changed.
    """
    if source.name is None:
        return _as_registered(_default_model(store, progress))
    try:
        manifest = store.get(source.name, kind="model")
    except ArtifactNotFound:
        if not comes_from_outside(source.name):
            raise
        return register_model(store, source, progress)
    if source.backbone is not None or source.pooling is not None:
        raise UsageError(
            f"The model {display_name(manifest)} of the store records its backbone and pooling.",
            hint="`backbone=` and `pooling=` are for models from outside: a folder or a hub name.",
        )
    return _as_registered(manifest)


def stored_model(store: Store, name: str | None) -> Manifest:
    """Find a model of the store by name or id; None selects the default, else the newest.

    Unlike :func:`find_model`, it registers nothing, and reads no file but manifests.

    Raises:
        ArtifactNotFound: The store has no such model. A folder or a name on the hub is none.
        UsageError: The store has no model.
    """
    return _default_model(store, SILENT) if name is None else store.get(name, kind="model")


def _as_registered(manifest: Manifest) -> Manifest:
    """Return a model after its files were compared, if it lies in a folder outside the store.

    A folder that is gone is no error here: what was made of the model may be all that is needed.
    """
    place = manifest.inputs.get("source")
    if isinstance(place, str) and (Path(place) / "config.json").is_file():
        refuse_changed(manifest, Path(place))
    return manifest


def comes_from_outside(name: str) -> bool:
    """Whether a name is a folder or the ``owner/name`` of a model on the hub."""
    return is_dir(user_path(name)) or "/" in name


def registered_model(store: Store, source: ModelSource) -> Manifest | None:
    """Find the model that :func:`find_model` would return, without registering one."""
    name = str(source.name)
    try:
        return store.get(name, kind="model")
    except ArtifactNotFound:
        folder = user_path(name)
        place = str(folder.resolve()) if is_dir(folder) else name
        inputs = {"source": place, "backbone": _backbone(source), "pooling": source.pooling}
        manifests = store.find("model", inputs)
    return manifests[-1] if manifests else None


def _backbone(source: ModelSource) -> str | None:
    """The backbone as it is recorded: the absolute path of a folder, or a name."""
    if source.backbone is None or not is_dir(user_path(source.backbone)):
        return source.backbone
    return str(user_path(source.backbone).resolve())


def _default_model(store: Store, progress: Progress) -> Manifest:
    """The default model of the store, else its newest model."""
    if "model" in store.defaults:
        return store.get(store.defaults["model"], kind="model")
    models = store.artifacts("model")
    if not models:
        raise UsageError(
            f"The store {store.root} has no model, and no model is named.",
            hint="Train one (hype train RECIPE), or add `model=jfkback/hypencoder.6_layer`",
        )
    newest = models[-1]
    if len(models) > 1:
        progress.message(f"model: {display_name(newest)} (the newest model of the store)")
    return newest


def register_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Register a model from outside by reference: its place and the hashes of its files.

    Raises:
        ModelError: The folder or hub name holds no model that can be loaded, or its files change
            while they are read.
    """
    from hypencli.models.checkpoints.weights import locate

    name = str(source.name)
    folder = locate(name)
    where = name if not is_dir(user_path(name)) else str(folder.resolve())
    inputs = _outside_inputs(source, folder, {"source": where})
    older = _registered_before(store, source, folder, inputs)
    if older is not None:
        return older
    with _outside_draft(store, source, folder, inputs) as draft, discard_on_error(draft):
        if draft.existing is not None:
            return draft.existing
        progress.message(f"reading the model {source.name}")
        dual, tokenizer = _read_unchanged(source, folder, inputs)
        return draft.commit(stats=model_facts(dual, tokenizer), provenance=provenance())


def copy_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Copy a model from outside into the store. The copy does not depend on its origin.

    Raises:
        ModelError: The folder or hub name holds no model that can be loaded, or its files change
            while they are read.
    """
    from hypencli.models.checkpoints.weights import locate

    folder = locate(str(source.name))
    inputs = _outside_inputs(source, folder, {})
    older = _registered_before(store, source, folder, inputs)
    if older is not None:
        return older
    with _outside_draft(store, source, folder, inputs) as draft, discard_on_error(draft):
        if draft.existing is not None:
            return draft.existing
        progress.message(f"reading the model {source.name}")
        dual, tokenizer = _read_unchanged(source, folder, inputs)
        dual.save_pretrained(draft.path, tokenizer=tokenizer)
        copy_companions(folder, draft.path)
        facts = model_facts(dual, tokenizer)
        return draft.commit(stats=facts, provenance={**provenance(), "source": str(source.name)})


def _outside_inputs(
    source: ModelSource, folder: Path, place: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    return {
        **place,
        **fingerprints(folder, source.backbone),
        "backbone": _backbone(source),
        "pooling": source.pooling,
        "trust_code": source.trust_code,
    }


def _registered_before(
    store: Store, source: ModelSource, folder: Path, inputs: dict[str, JsonValue]
) -> Manifest | None:
    """Find this model as an earlier version registered it.

    Before 0.6 there was one fingerprint less; tokenizer and pooling are then compared by what is
    read from the folder now. Until 0.6 the backbone was recorded as it was typed.
    """
    typed = {**inputs, "backbone": source.backbone}
    older = store.find("model", typed) if typed != inputs else []
    for asked in (typed, inputs) if typed != inputs else (inputs,):
        known = {key: value for key, value in asked.items() if key != COMPANIONS_KEY}
        older += [one for one in store.find("model", known) if one.inputs.keys() == known.keys()]
    if not older:
        return None
    facts = model_facts(*read_model(source, folder))
    same = (one for one in reversed(older) if _has_facts(one, facts))
    return next(same, None)


def _has_facts(manifest: Manifest, facts: dict[str, JsonValue]) -> bool:
    compared = ("passage_fingerprint", "model_fingerprint")
    return all(manifest.stats.get(key) == facts[key] for key in compared)


def _read_unchanged(
    source: ModelSource, folder: Path, inputs: dict[str, JsonValue]
) -> tuple[DualEncoder, Any]:
    """Load a model, and refuse it if its files are not those of its inputs any more."""
    read = read_model(source, folder)
    now = fingerprints(folder, source.backbone)
    if any(inputs[key] != value for key, value in now.items()):
        raise ModelError(
            f"The files of the model {folder} changed while they were read.",
            hint="Run the same command again when nothing writes to them.",
        )
    return read


def _outside_draft(
    store: Store, source: ModelSource, folder: Path, inputs: dict[str, JsonValue]
) -> Draft:
    named = user_path(str(source.name))
    short = _short_name(folder if named.is_dir() else named)
    name = source.label or _free_name(store, short)
    return store.draft(
        "model", source.label or short, inputs, name=name, wait_seconds=REGISTERING_SECONDS
    )


def read_model(source: ModelSource, place: str | Path) -> tuple[DualEncoder, Any]:
    """Load a model into memory, on the CPU.

    Args:
        source: Backbone, pooling and trust of the model.
        place: Folder, or name on the hub.

    Returns:
        The model and its tokenizer.

    Raises:
        ModelError: There is no model, or it cannot be loaded.
    """
    from hypencli.models.checkpoints.config import checked_pooling
    from hypencli.models.load import load_dual_encoder

    pooling = source.pooling
    return load_dual_encoder(
        place,
        backbone=source.backbone,
        pooling=None if pooling is None else checked_pooling(pooling, where="`pooling=`"),
        trust_code=source.trust_code,
    )


def copy_companions(folder: Path, target: Path) -> None:
    """Copy the model card, recipe and training curves of a model, as far as they exist."""
    for name in (CARD_FILE, RECIPE_FILE, CURVES_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)


def _free_name(store: Store, name: str) -> str | None:
    """``name``, or None if it cannot be a name, or a model of the store has it."""
    taken = {manifest.name for manifest in store.artifacts("model")}
    return name if can_be_name(name) and name not in taken else None


def _short_name(path: Path) -> str:
    """A name for a model from outside: its folder, or the parent of a folder ``model``."""
    return path.parent.name if path.name in ("model", "checkpoint") else path.name


def model_facts(dual: DualEncoder, tokenizer: Any) -> dict[str, JsonValue]:
    """Compute the facts that the store records of every model.

    ``passage_fingerprint`` is a hash of the weights, pooling and tokenizer of the passage encoder.
    It identifies embedding sets.
    """
    from hypencli.models.load import (
        model_fingerprint,
        passage_fingerprint,
        tokenizer_fingerprint,
        vectors_fingerprint,
    )

    return {
        "architecture": type(dual).__name__,
        "passage_fingerprint": vectors_fingerprint(
            passage_fingerprint(dual), tokenizer_fingerprint(tokenizer)
        ),
        "model_fingerprint": model_fingerprint(dual),
        "dim": dual.passage_encoder.width,
        "parameters": sum(tensor.numel() for tensor in dual.parameters()),
    }


def model_folder(store: Store, manifest: Manifest) -> Path:
    """Locate the folder of a model, in the store or outside, and verify its files.

    Raises:
        ModelError: A registered model was deleted, or its files have changed.
        DamagedArtifact: A file of the store differs from its recorded hash.
    """
    folder = _located(store, manifest)
    if "source" in manifest.inputs:
        refuse_changed(manifest, folder)
    return folder


def _located(store: Store, manifest: Manifest) -> Path:
    if "source" not in manifest.inputs:
        return store.verified(manifest.id, "model")
    from hypencli.models.checkpoints.weights import locate

    return locate(str(manifest.inputs["source"]))


def load_model(
    store: Store, manifest: Manifest, *, device: torch.device, trust_code: bool = False
) -> LoadedModel:
    """Load a model of the store for inference.

    Args:
        store: The project store.
        manifest: The model.
        device: Device for the weights.
        trust_code: Allow the model to run q-net converter code of its own. The manifest is not
            consulted, because a store may come from somebody else.

    Raises:
        ModelError: A registered model was deleted, or its files have changed.
    """
    folder = _located(store, manifest)
    if "source" not in manifest.inputs:
        dual, tokenizer = read_model(ModelSource(trust_code=trust_code), folder)
    else:
        source = ModelSource(
            backbone=_text(manifest.inputs.get("backbone")),
            pooling=_text(manifest.inputs.get("pooling")),
            trust_code=trust_code,
        )
        try:
            dual, tokenizer = read_model(source, folder)
        finally:
            # After loading, so that what was read is what is hashed. A changed file may fail to
            # load: then the error names the change.
            refuse_changed(manifest, folder)
    dual.to(device)
    return LoadedModel(manifest, dual, tokenizer)


@contextmanager
def unchanged_weights(loaded: LoadedModel) -> Iterator[None]:
    """Verify, after work with a passage encoder, that its weights in memory are still the same.

    Raises:
        ModelError: They have changed, so that the vectors are not those of one model.
    """
    from hypencli.models.load import passage_fingerprint

    before = passage_fingerprint(loaded.dual)
    yield
    if passage_fingerprint(loaded.dual) != before:
        raise ModelError(
            f"The weights of model {display_name(loaded.manifest)} changed in memory during the "
            "work: its vectors are of several models.",
            hint="Remove the unfinished work (hype ls, hype rm ID), and run the command again.",
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def sets_of_encoder(store: Store, model: Manifest) -> list[Manifest]:
    """The embedding sets of a model's passage encoder, which a frozen encoder shares."""
    encoder = model.stats.get("passage_fingerprint")
    return [] if encoder is None else store.find("embeddings", {"passage_fingerprint": encoder})


def display_name(manifest: Manifest) -> str:
    """The name of an artifact, else its id."""
    return manifest.name or manifest.id
