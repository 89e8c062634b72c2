"""Weight files: location, reading without running pickled code, and checks of every key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hypencli.errors import ModelError
from hypencli.hub import (
    HubError,
    cached_file,
    download_file,
    download_optional_file,
    hub_answers,
    require_hub,
)
from hypencli.models.checkpoints.companions import COMPANIONS, CONFIG_FILE
from hypencli.models.checkpoints.untrusted import library_errors, parts_of, reason
from hypencli.paths import is_dir

State: TypeAlias = dict[str, Tensor]

WEIGHT_FILE = "model.safetensors"
BIN_FILE = "pytorch_model.bin"
_WEIGHT_FILES = (
    WEIGHT_FILE,
    "model.safetensors.index.json",
    BIN_FILE,
    "pytorch_model.bin.index.json",
)

QUERY_BACKBONE = "query_encoder.transformer."
PASSAGE_BACKBONE = "passage_encoder.transformer."


def locate(source: str | Path) -> Path:
    """Return the folder of a checkpoint: ``source`` itself, or its snapshot in the hub cache.

    Downloads the configuration, one set of weight files and the small tokenizer files from the hub,
    all of one revision, so that the folder is complete.

    Raises:
        ModelError: No such folder exists, and no such hub repository can be reached.
    """
    folder = Path(source)
    if is_dir(folder):
        if not (folder / CONFIG_FILE).is_file():
            raise ModelError(f"{folder} has no {CONFIG_FILE}: it is not a checkpoint.")
        return folder
    name = str(source)
    path = Path(within_reach(name))
    if is_dir(path):
        return path
    try:
        folder = download_file(name, CONFIG_FILE).parent
        _fetch_weights(name, revision=folder.name)
    except HubError as error:
        raise _no_checkpoint(name, error) from error
    for file in COMPANIONS:
        download_optional_file(name, file, revision=folder.name)
    return folder


def within_reach(name: str) -> str:
    """Return the name of a model for a library, or its cached folder if the hub is offline.

    Raises:
        ModelError: No such folder exists, the hub does not answer, and the cache lacks the model.
    """
    if is_dir(name):
        return name
    try:
        cached = cached_file(name, CONFIG_FILE)
    except ValueError:
        return name  # not a hub name; the library reports that
    if cached is not None:
        return name if hub_answers() else str(cached.parent)
    try:
        require_hub("model", name)
    except HubError as error:
        raise _no_checkpoint(name, error) from error
    return name


def _no_checkpoint(name: str, error: HubError) -> ModelError:
    return ModelError(
        f"No checkpoint {name!r}: there is no such folder (looked in {Path.cwd()}), and "
        f"{error.message}.",
        hint=error.hint,
    )


def _fetch_weights(name: str, *, revision: str) -> None:
    for file in _WEIGHT_FILES:
        path = download_optional_file(name, file, revision=revision)
        if path is None:
            continue
        if file.endswith(".index.json"):
            for part in parts_of(_json(path), where=path):
                download_file(name, part, revision=revision)
        return


def read_config(folder: Path) -> dict[str, Any]:
    """Read the ``config.json`` of a checkpoint.

    Raises:
        ModelError: The file is not a JSON object.
    """
    return _json(folder / CONFIG_FILE)


def read_weights(folder: Path) -> State:
    """Read all tensors of a checkpoint to the CPU: from safetensors if possible, else ``.bin``.

    Raises:
        ModelError: A weight file is missing or damaged.
    """
    for file in _WEIGHT_FILES:
        path = folder / file
        if not path.is_file():
            continue
        if not file.endswith(".index.json"):
            return _read_file(path)
        state: State = {}
        for part in parts_of(_json(path), where=path):
            state |= _read_file(folder / part)
        return state
    raise ModelError(f"{folder} has no weights; looked for {', '.join(_WEIGHT_FILES)}.")


def refuse_odd_parts(folder: Path) -> None:
    """Refuse a folder of weights that makes the library read other folders or models.

    Raises:
        ModelError: An index names files outside the folder, or the folder holds an adapter.
    """
    for index in sorted(folder.glob("*.index.json")):
        parts_of(_json(index), where=index)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        raise ModelError(
            f"{adapter}: adapters of other models are not loaded.",
            hint="Merge it into its model where it was made, and use that.",
        )


def _read_file(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # weights_only allows tensors and plain containers; it refuses a pickle that names code.
        read = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelError(
            f"{path} is damaged, or holds more than tensors: reading that could run code.",
            hint="Convert it to safetensors where it was made.",
        ) from error
    except library_errors() as error:
        raise ModelError(f"{path} cannot be read as weights: {reason(error)}") from error
    return _tensors(read, path)


def _tensors(read: object, path: Path) -> State:
    """Return the content of a weight file if it is a mapping of names to tensors.

    Raises:
        ModelError: The content is something else.
    """
    if isinstance(read, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in read.items()
    ):
        return dict(read)
    raise ModelError(f"{path} does not hold tensors by their names: it is no weight file.")


def write_weights(folder: Path, state: Mapping[str, Tensor], *, shared: bool) -> None:
    """Write ``model.safetensors``; a shared backbone once, with names of the passage side.

    ``safetensors`` stores shared tensors in that layout, and published code reads it.
    """
    kept = {
        key: tensor.detach().contiguous()
        for key, tensor in state.items()
        if not (shared and key.startswith(QUERY_BACKBONE))
    }
    path = folder / WEIGHT_FILE
    path.touch()
    mode = path.stat().st_mode
    save_file(kept, path, metadata={"format": "pt"})
    # The library makes files that only their owner can read, but a store may be shared.
    path.chmod(mode)


def write_bin(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Write ``pytorch_model.bin``, the format of published checkpoints.

    A shared backbone has the names of both sides; its tensors are stored once.
    """
    torch.save({key: tensor.detach() for key, tensor in state.items()}, folder / BIN_FILE)


def mirror_shared(state: Mapping[str, Tensor]) -> State:
    """Return ``state`` with the tensors of a shared backbone under the names of both sides.

    Accepts four layouts: both sides (stored once or twice), passage only, query only.

    Raises:
        ModelError: The backbones of the two sides differ.
    """
    full = dict(state)
    for mine, other in ((QUERY_BACKBONE, PASSAGE_BACKBONE), (PASSAGE_BACKBONE, QUERY_BACKBONE)):
        for key, tensor in state.items():
            if not key.startswith(mine):
                continue
            twin = full.setdefault(other + key.removeprefix(mine), tensor)
            if not _same(twin, tensor):
                raise ModelError(
                    f"config.json says shared_encoder, but {key} differs from its twin, {other}*."
                )
    return full


def _same(one: Tensor, other: Tensor) -> bool:
    aliases = one.data_ptr() == other.data_ptr() and one.shape == other.shape
    return aliases or torch.equal(one, other)


def accounted_for(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    where: str,
    hint: str | None = None,
) -> State:
    """Return ``state`` if its keys and shapes are exactly those expected.

    Position buffers, which old versions of transformers stored, are removed.

    Args:
        state: The tensors of the file.
        expected: The state of the model.
        where: The file and the source of the model, for the error.
        hint: Advice for the error if they do not fit.

    Raises:
        ModelError: A key is missing or unexpected, or a shape differs; the error names each.
    """
    state = {key: tensor for key, tensor in state.items() if not key.endswith(".position_ids")}
    wanted = {key for key in expected if not key.endswith(".position_ids")}
    reshaped = [
        f"{key} {list(state[key].shape)} instead of {list(expected[key].shape)}"
        for key in sorted(wanted & state.keys())
        if state[key].shape != expected[key].shape
    ]
    problems = [
        *_listed("missing", sorted(wanted - state.keys())),
        *_listed("unexpected", sorted(state.keys() - wanted)),
        *_listed("of another shape", reshaped),
    ]
    if problems:
        raise ModelError(f"The weights of {where} do not fit: {'; '.join(problems)}.", hint=hint)
    return dict(state)


def refuse_non_finite(model: nn.Module, *, where: str) -> None:
    """Refuse a model with a weight that is not finite, which would spoil all scores.

    Raises:
        ModelError: A weight is NaN or infinite; the error names the tensor.
    """
    for name, weights in model.named_parameters():
        finite = torch.isfinite(weights)
        if not bool(finite.all()):
            raise ModelError(
                f"The weights of {where} hold NaN or infinity: {int((~finite).sum()):,} of "
                f"{weights.numel():,} values of {name}.",
                hint="Take an earlier checkpoint: this one has diverged, or was damaged.",
            )


def make_private(model: nn.Module) -> None:
    """Copy weights that a library maps from a file.

    A mapped weight changes when the file is overwritten, and a file that is cut short ends the
    process.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


def _listed(what: str, names: Iterable[str]) -> list[str]:
    listed = list(names)
    if not listed:
        return []
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return [f"{len(listed)} {what}: {', '.join(listed[:5])}{more}"]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object.")
    return content
