"""Models of a store: look-up, registration of models from outside, and loading."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, UsageError
from hypencli.ops.drafts import discard_on_error
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, quiet_libraries
from hypestore import ArtifactNotFound, Draft, Manifest, Store, can_be_name

if TYPE_CHECKING:
    import torch

    from hypencli.models.dual import DualEncoder
    from hypestore import JsonValue

REGISTERING_SECONDS = 300.0
"""Seconds to wait for another process that registers the same model."""

_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


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
        ModelError: The folder or hub name holds no model that can be loaded.
    """
    if source.name is None:
        return _default_model(store, progress)
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
    return manifest


def comes_from_outside(name: str) -> bool:
    """Whether a name is a folder or the ``owner/name`` of a model on the hub."""
    return Path(name).expanduser().is_dir() or "/" in name


def registered_model(store: Store, source: ModelSource) -> Manifest | None:
    """Find the model that :func:`find_model` would return, without registering one."""
    name = str(source.name)
    try:
        return store.get(name, kind="model")
    except ArtifactNotFound:
        folder = Path(name).expanduser()
        place = str(folder.resolve()) if folder.is_dir() else name
        inputs = {"source": place, "backbone": source.backbone, "pooling": source.pooling}
        manifests = store.find("model", inputs)
    return manifests[-1] if manifests else None


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
    """Register a model from outside by reference: its place and the hash of its files.

    Raises:
        ModelError: The folder or hub name holds no model that can be loaded.
    """
    from hypencli.models.checkpoints.weights import locate

    name = str(source.name)
    folder = locate(name)
    where = name if not Path(name).expanduser().is_dir() else str(folder.resolve())
    with (
        _outside_draft(store, source, folder, {"source": where}) as draft,
        discard_on_error(draft),
    ):
        if draft.existing is not None:
            return draft.existing
        progress.message(f"reading the model {source.name}")
        dual, tokenizer = read_model(source, folder)
        return draft.commit(stats=model_facts(dual, tokenizer), provenance=provenance())


def copy_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Copy a model from outside into the store. The copy does not depend on its origin.

    Raises:
        ModelError: The folder or hub name holds no model that can be loaded.
    """
    from hypencli.models.checkpoints.weights import locate

    folder = locate(str(source.name))
    with _outside_draft(store, source, folder, {}) as draft, discard_on_error(draft):
        if draft.existing is not None:
            return draft.existing
        progress.message(f"reading the model {source.name}")
        dual, tokenizer = read_model(source, folder)
        dual.save_pretrained(draft.path, tokenizer=tokenizer)
        copy_companions(folder, draft.path)
        facts = model_facts(dual, tokenizer)
        return draft.commit(stats=facts, provenance={**provenance(), "source": str(source.name)})


def _outside_draft(
    store: Store, source: ModelSource, folder: Path, place: dict[str, JsonValue]
) -> Draft:
    named = Path(str(source.name)).expanduser()
    short = _short_name(folder if named.is_dir() else named)
    inputs = {
        **place,
        "files_sha256": files_fingerprint(folder),
        "backbone": source.backbone,
        "pooling": source.pooling,
        "trust_code": source.trust_code,
    }
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

    quiet_libraries()
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
    from hypencli.models.load import model_fingerprint, passage_fingerprint, tokenizer_fingerprint

    passages = f"{passage_fingerprint(dual)} {tokenizer_fingerprint(tokenizer)}"
    return {
        "architecture": type(dual).__name__,
        "passage_fingerprint": hashlib.sha256(passages.encode()).hexdigest(),
        "model_fingerprint": model_fingerprint(dual),
        "dim": dual.passage_encoder.width,
        "parameters": sum(tensor.numel() for tensor in dual.parameters()),
    }


def files_fingerprint(folder: Path) -> str:
    """SHA-256 over the configuration and weight files of a model folder."""
    digest = hashlib.sha256()
    weights = sorted(path for pattern in _WEIGHT_FILES for path in folder.glob(pattern))
    for path in [folder / "config.json", *weights]:
        digest.update(path.name.encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def model_folder(store: Store, manifest: Manifest) -> Path:
    """Locate the folder of a model, in the store or outside, and verify its files.

    Raises:
        ModelError: A registered model was deleted, or its files have changed.
        DamagedArtifact: A file of the store differs from its recorded hash.
    """
    folder = _located(store, manifest)
    if "source" in manifest.inputs:
        _refuse_changed(manifest, folder, files_fingerprint(folder))
    return folder


def _located(store: Store, manifest: Manifest) -> Path:
    if "source" not in manifest.inputs:
        return store.verified(manifest.id, "model")
    from hypencli.models.checkpoints.weights import locate

    return locate(str(manifest.inputs["source"]))


def _refuse_changed(manifest: Manifest, folder: Path, fingerprint: str) -> None:
    if fingerprint != manifest.inputs["files_sha256"]:
        raise ModelError(
            f"The files of model {manifest.id} in {folder} have changed since its registration: "
            "its vectors would not match.",
            hint="Register the new files as another model: "
            f"hype import model {manifest.inputs['source']}",
        )


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
    quiet_libraries()
    folder = _located(store, manifest)
    if "source" not in manifest.inputs:
        dual, tokenizer = read_model(ModelSource(trust_code=trust_code), folder)
    else:
        source = ModelSource(
            backbone=_text(manifest.inputs.get("backbone")),
            pooling=_text(manifest.inputs.get("pooling")),
            trust_code=trust_code,
        )
        # The files are hashed in a thread while the model is loaded.
        with ThreadPoolExecutor(max_workers=1) as other:
            fingerprint = other.submit(files_fingerprint, folder)
            try:
                dual, tokenizer = read_model(source, folder)
            finally:  # a changed file may fail to load: the error names the change
                _refuse_changed(manifest, folder, fingerprint.result())
    dual.to(device)  # type: ignore[arg-type]
    return LoadedModel(manifest, dual, tokenizer)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def display_name(manifest: Manifest) -> str:
    """The name of an artifact, else its id."""
    return manifest.name or manifest.id
