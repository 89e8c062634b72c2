"""Import and export of models, as folders for the hub and the published code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypencli.errors import UsageError
from hypencli.ops.drafts import NameNotGiven, name_not_given
from hypencli.ops.model_card import (
    CARD_FILE,
    RECIPE_FILE,
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
    sets_of_encoder,
)
from hypencli.paths import is_dir, is_file, user_path
from hypencli.private_paths import PathShortener, rewrite
from hypencli.progress import SILENT, Progress
from hypestore import JsonValue, Manifest, Store, atomic_folder


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model.

    Attributes:
        model: Id of the model.
        path: The folder.
        files: Files in the folder.
        size_bytes: Size of all files in bytes.
        backbones: Names of the backbone in ``config.json``. The published code loads them.
        local_backbones: Names that are folders of this machine. The published code cannot load them
            on another machine.
        obstacles: Reasons why the published code cannot use the model.
        differences: Results that the published code computes differently.
        shortened: Number of absolute paths that were shortened in the recipe and the card.
    """

    model: str
    path: Path
    files: tuple[str, ...]
    size_bytes: int
    backbones: tuple[str, ...]
    local_backbones: tuple[str, ...]
    obstacles: tuple[str, ...]
    differences: tuple[str, ...]
    shortened: int


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """An imported model.

    Attributes:
        model: Id of the model.
        name: Name of the model, if it has one.
        existing: Whether the store had the model before this call.
        copied: Whether the files were copied to the store.
        architecture: Name of the architecture.
        parameters: Number of parameters.
        dim: Width of the vectors.
        name_not_given: A requested name that an existing model did not get.
        embeddings: Names or ids of the embedding sets that its passage encoder made already.
    """

    model: str
    name: str | None
    existing: bool
    copied: bool
    architecture: str
    parameters: int
    dim: int
    name_not_given: NameNotGiven | None = None
    embeddings: tuple[str, ...] = ()


def export_model(
    store: Store,
    model: str,
    output: Path,
    *,
    backbone_name: str | None = None,
    with_bin: bool = False,
    overwrite: bool = False,
    trust_code: bool = False,
    keep_paths: bool = False,
) -> ExportedModel:
    """Write a model as a folder: weights in float32, configuration, tokenizer, card, recipe.

    Args:
        store: The project store.
        model: Id, unique prefix, or name.
        output: The folder. It appears when it is complete.
        backbone_name: Name of the backbone for the published code, instead of the recorded name.
        with_bin: Also write ``pytorch_model.bin``.
        overwrite: Replace an existing model in the folder.
        trust_code: Allow the model to run q-net converter code of its own.
        keep_paths: Keep absolute paths in the recipe and the card, which name users and folders.
            Otherwise each is shortened to its last part.

    Raises:
        ArtifactNotFound: There is no such model.
        UsageError: The folder is not empty, or lies in the store.
        ModelError: The model cannot be loaded.
    """
    import torch

    from hypencli.models.published import backbone_names, name_backbone, published_use

    manifest = store.get(model, kind="model")
    source = model_folder(store, manifest)
    target = user_path(output).absolute()
    _refuse_occupied(store, source, target, overwrite=overwrite)
    loaded = load_model(store, manifest, device=torch.device("cpu"), trust_code=trust_code)
    if backbone_name is not None:
        name_backbone(loaded.dual, backbone_name)
    names = backbone_names(loaded.dual.settings)
    trained_on = _trained_on(manifest) if backbone_name is None else None
    use = published_use(loaded.dual.settings)
    local = tuple(name for name in names if _is_local(name, trained_on))
    section = published_section(type(loaded.dual).__name__, use, local_backbones=local)
    shortener = PathShortener(keep=keep_paths)
    with atomic_folder(target) as folder:
        _fill(folder, loaded, source, section, shortener, with_bin=with_bin)
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
        shortened=len(shortener.shortened),
    )


def _fill(
    folder: Path,
    loaded: LoadedModel,
    source: Path,
    section: str,
    shortener: PathShortener,
    *,
    with_bin: bool,
) -> None:
    """Write the files of a model and its companions. ``section`` is the end of the card."""
    from hypencli.models.checkpoints.weights import write_bin

    loaded.dual.save_pretrained(folder, tokenizer=loaded.tokenizer)
    if with_bin:
        write_bin(folder, loaded.dual.state_dict())
    copy_companions(source, folder)
    card = _card(folder / CARD_FILE, loaded.manifest) + section
    (folder / CARD_FILE).write_text(shortener.text(card), encoding="utf-8")
    rewrite(folder / RECIPE_FILE, shortener.toml)


def _trained_on(manifest: Manifest) -> JsonValue:
    """The recorded backbone of a trained model: a hub name, or the last part of a folder."""
    return manifest.inputs.get("backbone") if "recipe" in manifest.inputs else None


def _is_local(name: str, trained_on: JsonValue) -> bool:
    """Whether a backbone is a folder: by its form, or because training recorded another name."""
    from hypencli.models.published import is_hub_name

    return not is_hub_name(name) or trained_on not in (None, name)


def _refuse_occupied(store: Store, source: Path, target: Path, *, overwrite: bool) -> None:
    place, root = target.resolve(), store.root.resolve()
    if place.is_relative_to(root) or any(p.is_relative_to(place) for p in (root, source.resolve())):
        raise UsageError(
            f"{target} contains files of the store or of the model, or lies in the store.",
            hint="Choose another `output=`",
        )
    if is_file(target):
        raise UsageError(f"{target} is a file.", hint="Choose another `output=`")
    if not is_dir(target) or not any(target.iterdir()):
        return
    if not overwrite:
        raise UsageError(
            f"{target} is not empty.", hint="Choose another `output=`, or add `overwrite=True`"
        )
    if not (target / "config.json").is_file():
        raise UsageError(
            f"{target} has other files than those of a model: there is no config.json.",
            hint="`overwrite=True` replaces a folder only if it has a model.",
        )


def _card(path: Path, manifest: Manifest) -> str:
    """The existing card without its section on published code, else a plain card."""
    if path.is_file():
        return without_published_section(path.read_text(encoding="utf-8"))
    source = manifest.inputs.get("source") or manifest.provenance.get("source") or "a store of hype"
    kind = str(manifest.stats["architecture"])
    return plain_card(display_name(manifest), kind=kind, source=str(source), stats=manifest.stats)


def import_model(
    store: Store, source: ModelSource, *, copy: bool = False, progress: Progress = SILENT
) -> ImportedModel:
    """Import a model from outside, by reference or as a copy.

    Args:
        store: The project store.
        source: A folder or a name on the hub. ``label`` becomes its name in the store.
        copy: Copy the weights into the store. Otherwise the place and the hash of the files are
            recorded, and the files must stay.
        progress: Where to report.

    Raises:
        ModelError: There is no model, or it cannot be loaded.
        NameTaken: Another model has the name.
    """
    registered = {manifest.id for manifest in store.artifacts("model")}
    manifest = (copy_model if copy else register_model)(store, source, progress)
    return ImportedModel(
        model=manifest.id,
        name=manifest.name,
        existing=manifest.id in registered,
        copied=copy,
        architecture=str(manifest.stats["architecture"]),
        parameters=manifest.stat_int("parameters"),
        dim=manifest.stat_int("dim"),
        name_not_given=name_not_given(store, manifest, source.label),
        embeddings=tuple(map(display_name, sets_of_encoder(store, manifest))),
    )
