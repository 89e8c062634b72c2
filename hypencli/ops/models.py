"""Models and the store: finding one, registering one from outside, loading one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError, UsageError
from hypencli.ops.drafts import discard_on_error
from hypencli.ops.model_card import CARD_FILE, CURVES_FILE, RECIPE_FILE
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, quiet_libraries
from hypestore import ArtifactNotFound, Draft, Manifest, Store

if TYPE_CHECKING:
    import torch

    from hypencli.models.checkpoints.config import Pooling
    from hypencli.models.dual import DualEncoder
    from hypestore import JsonValue

REGISTERING_SECONDS = 300.0
"""How long another process is waited for that takes in the same model; it reads its weights."""

_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model as the user names it.

    Attributes:
        name: A model of the store, a folder, or a name on the hub; None takes the store's default.
        backbone: Name or folder of the backbone, for checkpoints that do not say all about it.
        pooling: Pooling of a plain encoder that does not record its own.
        label: Name under which a model from outside is registered.
        trust_code: Allow a checkpoint to name q-net converter code of its own.
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
    """The model that ``source`` names, registered in the store where it comes from outside.

    Raises:
        UsageError: No model is named and the store has no default.
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
            f"The model {display_name(manifest)} of the store says itself how it is built and "
            "pooled.",
            hint="--backbone and --pooling are for models from outside: a folder or a hub name.",
        )
    return manifest


def comes_from_outside(name: str) -> bool:
    """A folder, or the ``owner/name`` of a hub."""
    return Path(name).expanduser().is_dir() or "/" in name


def registered_model(store: Store, source: ModelSource) -> Manifest | None:
    """The model that :func:`find_model` would give, if the store has it; nothing is registered."""
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
    """The store's default model, else its newest."""
    if "model" in store.defaults:
        return store.get(store.defaults["model"], kind="model")
    models = store.artifacts("model")
    if not models:
        raise UsageError(
            f"The store {store.root} has no model yet, and none was named.",
            hint="Train one (hype train RECIPE) or name one: --model jfkback/hypencoder.6_layer",
        )
    newest = models[-1]
    if len(models) > 1:
        progress.message(f"model: {newest.name or newest.id} (the newest; --model takes another)")
    return newest


def register_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Record a model from outside by reference: where it lies and what its weights hash to.

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
        dual, tokenizer = _read_outside(source, folder, progress)
        return draft.commit(stats=model_facts(dual, tokenizer), provenance=provenance())


def copy_model(store: Store, source: ModelSource, progress: Progress = SILENT) -> Manifest:
    """Take a model from outside into the store, as an artifact that needs its origin no more.

    Raises:
        ModelError: The folder or hub name holds no model that can be loaded.
    """
    from hypencli.models.checkpoints.weights import locate

    folder = locate(str(source.name))
    with _outside_draft(store, source, folder, {}) as draft, discard_on_error(draft):
        if draft.existing is not None:
            return draft.existing
        dual, tokenizer = _read_outside(source, folder, progress)
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


def _read_outside(source: ModelSource, folder: Path, progress: Progress) -> tuple[DualEncoder, Any]:
    from hypencli.models.load import load_dual_encoder

    progress.message(f"reading the model {source.name}")
    quiet_libraries()
    return load_dual_encoder(
        folder,
        backbone=source.backbone,
        pooling=_pooling(source.pooling),
        trust_code=source.trust_code,
    )


def copy_companions(folder: Path, target: Path) -> None:
    """What lies beside a model's weights for people: card, recipe, curves, where they are."""
    for name in (CARD_FILE, RECIPE_FILE, CURVES_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)


def _free_name(store: Store, name: str) -> str | None:
    """``name`` unless a model has it already."""
    taken = {manifest.name for manifest in store.artifacts("model")}
    return None if name in taken else name


def _short_name(path: Path) -> str:
    """A name for a model from outside: its folder's, or the one above where that says nothing."""
    return path.parent.name if path.name in ("model", "checkpoint") else path.name


def model_facts(dual: DualEncoder, tokenizer: Any) -> dict[str, JsonValue]:
    """What the store keeps of every model.

    ``passage_fingerprint`` identifies what makes a passage's vector, weights, pooling and
    tokenizer: embedding sets are keyed by it.
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
    """Where the files of a model are: in the store, or where it was registered from.

    Either way, every file was compared with what it was when the model came into the store.

    Raises:
        ModelError: A registered model is gone, or its files have changed since.
        DamagedArtifact: A file in the store is not what was written.
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
            f"The files of model {manifest.id} in {folder} have changed since it was registered; "
            "vectors made with it would not match.",
            hint="Register what is there now as a model of its own: "
            f"--model {manifest.inputs['source']}",
        )


def load_model(
    store: Store, manifest: Manifest, *, device: torch.device, trust_code: bool = False
) -> LoadedModel:
    """Load a model of the store for inference.

    Args:
        store: The project store.
        manifest: The model.
        device: Where it is put.
        trust_code: Whether it may name q-net converter code of its own. What its manifest says of
            that does not count: a store may come from somebody else.

    Raises:
        ModelError: A registered model is gone, or its files have changed since.
    """
    quiet_libraries()
    folder = _located(store, manifest)
    if "source" not in manifest.inputs:
        dual, tokenizer = _read_model(folder, {}, trust_code=trust_code)
    else:
        # Reading the files twice, once to compare them, takes as long as the slower of the two.
        with ThreadPoolExecutor(max_workers=1) as other:
            fingerprint = other.submit(files_fingerprint, folder)
            try:
                dual, tokenizer = _read_model(folder, manifest.inputs, trust_code=trust_code)
            finally:  # what has changed may not load: that it has changed is the reason then
                _refuse_changed(manifest, folder, fingerprint.result())
    dual.to(device)  # type: ignore[arg-type]
    return LoadedModel(manifest, dual, tokenizer)


def _read_model(
    folder: Path, options: Mapping[str, JsonValue], *, trust_code: bool
) -> tuple[DualEncoder, Any]:
    from hypencli.models.load import load_dual_encoder

    return load_dual_encoder(
        folder,
        backbone=_text(options.get("backbone")),
        pooling=_pooling(_text(options.get("pooling"))),
        trust_code=trust_code,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _pooling(name: str | None) -> Pooling | None:
    from hypencli.models.checkpoints.config import checked_pooling

    return None if name is None else checked_pooling(name, where="--pooling")


def display_name(manifest: Manifest) -> str:
    """What to call an artifact in a sentence: its name, else its id."""
    return manifest.name or manifest.id
