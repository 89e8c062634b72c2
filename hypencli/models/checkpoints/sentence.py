"""Plain sentence encoders: the pooling, normalisation and length that their folder declares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypencli.errors import ModelError
from hypencli.hub import download_optional_file
from hypencli.models.checkpoints.companions import is_inside
from hypencli.models.checkpoints.config import Pooling
from hypencli.models.checkpoints.native.tokenizer import native_tokenizer
from hypencli.models.checkpoints.tokenizer_bounds import refuse_unbounded, refusing_panics
from hypencli.models.checkpoints.untrusted import library_errors, refuse_foreign_files
from hypencli.models.checkpoints.weights import within_reach
from hypencli.paths import is_dir

_POOLING_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
}
_MODULES_FILE = "modules.json"
_LENGTH_FILE = "sentence_bert_config.json"
_TOKENIZER_FILES = ("tokenizer_file", "vocab_file", "merges_file")


@dataclass(frozen=True)
class SentenceEncoderFacts:
    """The facts that a sentence encoder declares beside its weights; None if undeclared.

    Attributes:
        pooling: The pooling of token states into one vector.
        normalize: Whether vectors are scaled to length 1.
        max_length: The length in tokens that it was trained for.
    """

    pooling: Pooling | None = None
    normalize: bool | None = None
    max_length: int | None = None


def sentence_encoder_facts(source: str) -> SentenceEncoderFacts:
    """Read the facts in ``modules.json`` and in the files that it names, if they exist.

    Raises:
        ModelError: A step is neither pooling ``cls`` or ``mean`` nor normalisation.
    """
    place = within_reach(source)
    modules = _read(place, _MODULES_FILE, kind=list)
    if modules is None:
        return SentenceEncoderFacts()
    if not all(
        isinstance(module, dict) and {"type", "path"} <= module.keys() for module in modules
    ):
        raise ModelError(f"{_MODULES_FILE} of {source!r} does not list steps with type and path.")
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if unknown:
        raise ModelError(
            f"The encoder at {source!r} has a step that cannot be reproduced: {', '.join(unknown)}."
        )
    folders = {kind: module["path"] for kind, module in zip(kinds, modules, strict=True)}
    return SentenceEncoderFacts(
        pooling=_pooling(place, folders["Pooling"]) if "Pooling" in folders else None,
        normalize="Normalize" in kinds,
        max_length=_declared_length(place),
    )


def load_tokenizer(source: str | Path, *, native: bool = False) -> Any:
    """Load the tokenizer of a checkpoint or encoder, with the length the encoder declares.

    Args:
        source: A folder, or a name on the hub.
        native: Whether to read a usual tokenizer without ``transformers``, for a quick start.

    Raises:
        ModelError: There is no tokenizer, it is damaged, or a number in it exceeds its bound.
    """
    if is_dir(source):
        said = _read(str(source), "tokenizer_config.json") or {}
        refuse_foreign_files(Path(source), said, _TOKENIZER_FILES)
    place = within_reach(str(source))
    own = None
    if native and is_dir(place):
        own = native_tokenizer(Path(place), lambda: _library_tokenizer(source, place))
    tokenizer: Any = _library_tokenizer(source, place) if own is None else own
    declared = _declared_length(place)
    if declared is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, declared)
    return tokenizer


def _library_tokenizer(source: str | Path, place: str) -> Any:
    from transformers import AutoTokenizer

    refuse_unbounded(_folder_of_tokenizer(place))
    try:
        with refusing_panics(f"The tokenizer at {str(source)!r} cannot be read"):
            return AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except ModelError:
        raise
    except library_errors() as error:
        raise ModelError(f"No tokenizer at {str(source)!r}: {error}") from error


def _folder_of_tokenizer(place: str) -> Path:
    """The folder with ``tokenizer.json``: a model's own, or its snapshot in the hub cache."""
    if Path(place).is_dir():
        return Path(place)
    path = download_optional_file(place, "tokenizer.json")
    return Path(place) if path is None else path.parent


def _declared_length(source: str) -> int | None:
    length = (_read(source, _LENGTH_FILE) or {}).get("max_seq_length")
    if length is None or (isinstance(length, int) and length > 0):
        return length
    raise ModelError(f"{_LENGTH_FILE} of {source!r} has max_seq_length = {length!r:.40}.")


def _pooling(source: str, folder: str) -> Pooling:
    if not isinstance(folder, str) or not is_inside(folder):
        raise ModelError(f"The encoder at {source!r} has a step in {folder!r:.200}, beside itself.")
    raw = _read(source, f"{folder}/config.json") or {}
    modes = [key for key, value in raw.items() if key.startswith("pooling_mode_") and value is True]
    mode = raw.get("pooling_mode")
    if isinstance(mode, str):
        modes.append(
            {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}.get(mode, mode)
        )
    if len(modes) != 1 or modes[0] not in _POOLING_FLAGS:
        raise ModelError(
            f"The encoder at {source!r} pools by {' and '.join(modes) or 'nothing named'}, which "
            "hype does not know.",
            hint="Known: cls and mean, one of them.",
        )
    return _POOLING_FLAGS[modes[0]]


def _read(source: str, file: str, *, kind: type = dict) -> Any:
    folder = Path(source)
    path: Path | None = folder / file if is_dir(folder) else download_optional_file(source, file)
    if path is None or not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise ModelError(f"{path} holds a {type(value).__name__}, expected a {kind.__name__}.")
    return value
