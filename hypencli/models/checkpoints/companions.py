"""The small files of a model that change a vector, listed without a machine-learning library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hypencli.errors import ModelError
from hypencli.hub import HubError, cached_file, download_file
from hypencli.models.checkpoints.config import side_extras
from hypencli.models.checkpoints.known_backbones import KNOWN_BACKBONES

CONFIG_FILE = "config.json"
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
"""Small files beside the weights: those of tokenizers and of sentence encoders."""


def companion_files(folder: Path) -> list[Path]:
    """List the files beside the weights that change a vector: of tokenizer, pooling and length.

    Raises:
        ModelError: ``modules.json`` is not JSON.
    """
    path = folder / "modules.json"
    modules = _json(path) if path.is_file() else []
    steps = {
        str(module.get("path"))
        for module in (modules if isinstance(modules, list) else ())
        if isinstance(module, dict)
    }
    inside = {f"{step}/config.json" for step in steps if is_inside(step)}
    paths = (folder / name for name in sorted(inside | set(COMPANIONS)))
    return [path for path in paths if path.is_file()]


def configurations_elsewhere(folder: Path, named: str | None = None) -> list[Path]:
    """List the files outside a checkpoint from which the configurations of its backbones are read.

    Most checkpoints have none, because they hold the configuration.

    Args:
        folder: The folder of the checkpoint.
        named: A known name, a folder, or a hub name from the user.

    Raises:
        ModelError: The backbone that the user named cannot be reached.
    """
    if named is not None:
        return [] if named in KNOWN_BACKBONES else [_configuration_file(named)]
    raw = _json(folder / CONFIG_FILE)
    if not isinstance(raw, dict):
        raise ModelError(f"{folder / CONFIG_FILE} is not a JSON object.")
    found = []
    for side in ("query", "passage"):
        options = raw.get(f"{side}_encoder_kwargs")
        name = options.get("model_name_or_path") if isinstance(options, Mapping) else None
        if not isinstance(name, str) or not name or name in KNOWN_BACKBONES:
            continue
        if "backbone" in side_extras(raw, side):
            continue
        path = Path(name) / CONFIG_FILE if Path(name).is_dir() else _cached_configuration(name)
        if path is not None and path.is_file():
            found.append(path)
    return found


def _configuration_file(name: str) -> Path:
    try:
        path = Path(name) / CONFIG_FILE if Path(name).is_dir() else download_file(name, CONFIG_FILE)
    except HubError as error:
        raise ModelError(
            f"No backbone configuration at {name!r}: {error.message}.", hint=error.hint
        ) from error
    if not path.is_file():
        raise ModelError(f"No backbone configuration at {name!r}: there is no {path}.")
    return path


def _cached_configuration(name: str) -> Path | None:
    try:
        return cached_file(name, CONFIG_FILE)
    except ValueError:
        return None  # a path of another machine


def is_inside(name: str) -> bool:
    """Whether the name of a step's folder is one inside the folder of the model."""
    return name not in ("", ".", "..") and PurePosixPath(name).name == name


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
