"""Fingerprints of the files of a model: of its weights, and of all others that change a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hypencli.errors import ModelError
from hypencli.escaping import escape_shell
from hypencli.models.checkpoints.companions import companion_files, configurations_elsewhere
from hypestore import JsonValue, Manifest

WEIGHTS_KEY = "files_sha256"
COMPANIONS_KEY = "companions_sha256"
"""Names of the fingerprints among the inputs of a model; before 0.6 there was only the first."""

_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


def files_fingerprint(folder: Path) -> str:
    """SHA-256 over the configuration and weight files of a model folder."""
    weights = sorted(path for pattern in _WEIGHT_FILES for path in folder.glob(pattern))
    return _sha256_of((path.name, path) for path in [folder / "config.json", *weights])


def companions_fingerprint(folder: Path, backbone: str | None = None) -> str:
    """SHA-256 over the other files that change a vector.

    They are those of the tokenizer, those that name pooling, normalisation and length, and the
    configuration of a backbone that lies elsewhere.

    Args:
        folder: The folder of the model.
        backbone: Name or folder of the backbone, for a checkpoint that does not record it.

    Raises:
        ModelError: A file that names others is not JSON, or the backbone cannot be reached.
    """
    own = [(path.relative_to(folder).as_posix(), path) for path in companion_files(folder)]
    others = [("backbone", path) for path in configurations_elsewhere(folder, backbone)]
    return _sha256_of([*own, *others])


def fingerprints(folder: Path, backbone: str | None) -> dict[str, JsonValue]:
    """Return both fingerprints of a model folder, by their names among the inputs of a model."""
    return {
        WEIGHTS_KEY: files_fingerprint(folder),
        COMPANIONS_KEY: companions_fingerprint(folder, backbone),
    }


def refuse_changed(manifest: Manifest, folder: Path) -> None:
    """Refuse a model by reference whose files are not those that were registered.

    A fingerprint that an earlier version of this package did not record is not compared.

    Raises:
        ModelError: A file has changed.
    """
    inputs = manifest.inputs
    backbone = inputs.get("backbone")
    if files_fingerprint(folder) != inputs[WEIGHTS_KEY]:
        changed = "weights or config.json"
    elif COMPANIONS_KEY not in inputs or inputs[COMPANIONS_KEY] == companions_fingerprint(
        folder, None if backbone is None else str(backbone)
    ):
        return
    else:
        changed = "tokenizer, pooling or backbone configuration"
    raise ModelError(
        f"The files of model {manifest.id} in {folder} have changed since its registration "
        f"({changed}): its vectors would not match.",
        hint=f"Register the new files as another model: "
        f"hype import model {escape_shell(inputs['source'])}",
    )


def _sha256_of(named: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(name.encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
