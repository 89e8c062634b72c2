"""Models out of the store, as folders that the hub and published code take, and into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypencli.errors import UsageError
from hypencli.ops.drafts import NameNotGiven, name_not_given
from hypencli.ops.model_card import (
    CARD_FILE,
    plain_card,
    published_section,
    without_published_section,
)
from hypencli.ops.models import (
    LoadedModel,
    ModelSource,
    copy_companions,
    copy_model,
    display_name,
    load_model,
    model_folder,
    register_model,
)
from hypencli.progress import SILENT, Progress
from hypestore import JsonValue, Manifest, Store, atomic_folder


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A folder that was written.

    Attributes:
        model: Id of the model.
        path: The folder.
        files: Its files.
        size_bytes: Of all of them.
        backbones: What ``config.json`` calls the backbone; published code loads it by that.
        local_backbones: Those of them that are folders of this machine, where published code would
            look in vain on another.
        obstacles: Why published code cannot use the model; none where it can.
        differences: What published code computes otherwise.
    """

    model: str
    path: Path
    files: tuple[str, ...]
    size_bytes: int
    backbones: tuple[str, ...]
    local_backbones: tuple[str, ...]
    obstacles: tuple[str, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A model that was taken in.

    Attributes:
        model: Its id in the store.
        name: What the store calls it.
        existing: Whether it was there before.
        copied: Whether its files lie in the store now, and not where it came from.
        architecture: What it is.
        parameters: How many it has.
        dim: Width of its vectors.
        name_not_given: A name that was asked for and that it does not have, made before.
    """

    model: str
    name: str | None
    existing: bool
    copied: bool
    architecture: str
    parameters: int
    dim: int
    name_not_given: NameNotGiven | None = None


def export_model(
    store: Store,
    model: str,
    output: Path,
    *,
    backbone_name: str | None = None,
    with_bin: bool = False,
    overwrite: bool = False,
    trust_code: bool = False,
) -> ExportedModel:
    """Write a model as a folder of its own: weights, configuration, tokenizer, card, recipe.

    Weights are float32, whatever a model from outside has them in.

    Args:
        store: The project store.
        model: Id, unique prefix, or name.
        output: The folder; made when it is complete.
        backbone_name: What published code loads the backbone by, in place of the recorded name.
        with_bin: Also write ``pytorch_model.bin``.
        overwrite: Replace a model that is in the folder.
        trust_code: Whether the model may name q-net converter code of its own.

    Raises:
        ArtifactNotFound: There is no such model.
        UsageError: The folder holds something already, or lies in the store.
        ModelError: The model cannot be loaded.
    """
    import torch

    from hypencli.models.published import backbone_names, name_backbone, published_use

    manifest = store.get(model, kind="model")
    source = model_folder(store, manifest)
    target = output.expanduser().absolute()
    _refuse_occupied(store, source, target, overwrite=overwrite)
    loaded = load_model(store, manifest, device=torch.device("cpu"), trust_code=trust_code)
    if backbone_name is not None:
        name_backbone(loaded.dual, backbone_name)
    names = backbone_names(loaded.dual.settings)
    trained_on = _trained_on(manifest) if backbone_name is None else None
    use = published_use(loaded.dual.settings)
    local = tuple(name for name in names if _is_local(name, trained_on))
    section = published_section(type(loaded.dual).__name__, use, local_backbones=local)
    with atomic_folder(target) as folder:
        _fill(folder, loaded, source, section, with_bin=with_bin)
    written = sorted(path for path in target.rglob("*") if path.is_file())
    return ExportedModel(
        model=manifest.id,
        path=target,
        files=tuple(path.relative_to(target).as_posix() for path in written),
        size_bytes=sum(path.stat().st_size for path in written),
        backbones=names,
        local_backbones=local,
        obstacles=use.obstacles,
        differences=use.differences,
    )


def _fill(folder: Path, loaded: LoadedModel, source: Path, section: str, *, with_bin: bool) -> None:
    """The files of a model, and those beside it for people; ``section`` ends the card."""
    from hypencli.models.checkpoints.weights import write_bin

    loaded.dual.save_pretrained(folder, tokenizer=loaded.tokenizer)
    if with_bin:
        write_bin(folder, loaded.dual.state_dict())
    copy_companions(source, folder)
    card = _card(folder / CARD_FILE, loaded.manifest) + section
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _trained_on(manifest: Manifest) -> JsonValue:
    """What a training called its backbone: by its name on the hub, or a folder by its last part."""
    return manifest.inputs.get("backbone") if "recipe" in manifest.inputs else None


def _is_local(name: str, trained_on: JsonValue) -> bool:
    """Whether a backbone's name is a folder: by its look, or as training called it otherwise."""
    from hypencli.models.published import is_hub_name

    return not is_hub_name(name) or trained_on not in (None, name)


def _refuse_occupied(store: Store, source: Path, target: Path, *, overwrite: bool) -> None:
    place, root = target.resolve(), store.root.resolve()
    if place.is_relative_to(root) or any(p.is_relative_to(place) for p in (root, source.resolve())):
        raise UsageError(
            f"{target} is where the store, or the model itself, has its files.",
            hint="Choose another --output.",
        )
    if target.is_file():
        raise UsageError(f"{target} is a file.", hint="Choose another --output.")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not overwrite:
        raise UsageError(
            f"{target} is not empty.", hint="Choose another --output, or add --overwrite"
        )
    if not (target / "config.json").is_file():
        raise UsageError(
            f"{target} holds something else than a model: it has no config.json.",
            hint="--overwrite replaces the whole folder, and takes only one that holds a model.",
        )


def _card(path: Path, manifest: Manifest) -> str:
    """The card that is there, without its word on published code, or a plain one."""
    if path.is_file():
        return without_published_section(path.read_text(encoding="utf-8"))
    source = manifest.inputs.get("source") or manifest.provenance.get("source") or "a store of hype"
    kind = str(manifest.stats["architecture"])
    return plain_card(display_name(manifest), kind=kind, source=str(source), stats=manifest.stats)


def import_model(
    store: Store, source: ModelSource, *, copy: bool = False, progress: Progress = SILENT
) -> ImportedModel:
    """Make a model from outside one of the store: by reference, or as a copy.

    Args:
        store: The project store.
        source: A folder, or a name on the hub, and how it is read; ``label`` is its name here.
        copy: Copy its weights into the store, so that the origin may change or go; by default its
            place and what its files hash to are recorded.
        progress: Listens.

    Raises:
        ModelError: There is no model, or it cannot be loaded.
        NameTaken: Another model has the name.
    """
    registered = {manifest.id for manifest in store.artifacts("model")}
    manifest = (copy_model if copy else register_model)(store, source, progress)
    stats = dict(manifest.stats)
    return ImportedModel(
        model=manifest.id,
        name=manifest.name,
        existing=manifest.id in registered,
        copied=copy,
        architecture=str(stats["architecture"]),
        parameters=int(str(stats["parameters"])),
        dim=int(str(stats["dim"])),
        name_not_given=name_not_given(store, manifest, source.label),
    )
