"""What a checkpoint of somebody else's may say, and what is refused before it costs anything.

Configurations are data, but the libraries that read them follow some of their fields to code: to
modules beside the weights, kernels and packages. None of that is needed for a text encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import PretrainedConfig

from hypencli.errors import ModelError

LIBRARY_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    ImportError,
    UnpicklingError,
    SafetensorError,
    StrictDataclassError,
)
"""What the libraries raise over files that are not what they should be: there is no one kind."""

_ATTENTION = (
    *(None, "eager", "sdpa", "flex_attention"),
    *("flash_attention_2", "flash_attention_3", "flash_attention_4"),
)
"""Kinds of attention that are part of the library; any other is code to be fetched."""

_FOLLOWED = ("quantization_config", "kernel_config", "use_kernels", "base_model_name_or_path")
"""Fields that lead the library to other packages, to compiled code, or to another model."""

_LARGEST: Mapping[str, int] = {
    **dict.fromkeys(("hidden_size", "dim", "d_model", "embedding_size"), 2**16),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "ffn_dim"), 2**20),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "num_layers", "encoder_layers"), 1_000),
    **dict.fromkeys(("num_attention_heads", "n_heads", "num_heads"), 2**12),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), 10**8),
    **dict.fromkeys(("type_vocab_size", "num_labels"), 2**16),
}
"""Far above the encoders there are; a module is made for every layer before a weight is read."""

_BYTES_A_PARAMETER = 0.5
_PARAMETERS_FOR_NOTHING = 2**28
"""What is made whatever the weights: 1 GiB, above the usual encoders."""

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def refuse_unsafe(config: PretrainedConfig, *, where: str) -> None:
    """Refuse a backbone's configuration that leads to code, or is of an absurd size.

    Raises:
        ModelError: It does; the field is named.
    """
    attention = getattr(config, "_attn_implementation", None)
    followed = {key: getattr(config, key, None) for key in _FOLLOWED}
    named = {key: value for key, value in followed.items() if value}
    if attention not in _ATTENTION:
        named["attn_implementation"] = attention
    if named:
        key, value = next(iter(named.items()))
        raise ModelError(
            f"The configuration of {where} has {key} = {value!r:.100}, which leads to code beyond "
            "this library; it is not loaded.",
            hint="If the field is not needed, remove it from config.json.",
        )
    for key, largest in _LARGEST.items():
        size = getattr(config, key, None)
        if isinstance(size, int) and not 0 <= size <= largest:
            raise ModelError(
                f"The configuration of {where} has {key} = {size:,}; at most {largest:,} is read."
            )
    for part in vars(config).values():
        if isinstance(part, PretrainedConfig):
            refuse_unsafe(part, where=where)


def reason(error: Exception) -> str:
    """What a library says of a file, in a line; but not how to run the code that is in it."""
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        return "its weights are damaged, or more than tensors: reading that could run code."
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def refuse_unless_filled(
    make: Callable[..., nn.Module], config: PretrainedConfig, folder: Path
) -> None:
    """Refuse a model that is far larger than the weights that are there for it.

    It is made on a device that takes no memory, and compared with the size of the files.

    Args:
        make: ``from_config`` of its class.
        config: Its configuration.
        folder: Where its weights lie.

    Raises:
        ModelError: It is.
    """
    with torch.device("meta"):
        model = make(config, dtype=torch.float32, trust_remote_code=False)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    n_bytes = sum(path.stat().st_size for pattern in _WEIGHTS for path in folder.glob(pattern))
    if parameters > _PARAMETERS_FOR_NOTHING and parameters * _BYTES_A_PARAMETER > n_bytes:
        raise ModelError(
            f"The configuration ({config.model_type}) asks for {parameters:,} parameters; the "
            f"weights in {folder} are {n_bytes:,} bytes."
        )


def parts_of(index: Mapping[str, Any], *, where: Path) -> list[str]:
    """The names of the files that weights are divided into, all in one folder.

    Args:
        index: What the file ``….index.json`` beside them holds.
        where: That file.

    Raises:
        ModelError: It names none, or one that could lie elsewhere.
    """
    listed = index.get("weight_map")
    if not isinstance(listed, Mapping) or not listed:
        raise ModelError(f"{where} has no weight_map: it does not say where which weights are.")
    for part in listed.values():
        _refuse_elsewhere(part, where=where)
    return sorted(set(listed.values()))


def refuse_foreign_files(folder: Path, read: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Refuse settings of a tokenizer that would have it read a file outside of its folder.

    A path is recorded by many that were saved long ago, and does no harm where a file of the same
    name is in the folder: that one is read.

    Raises:
        ModelError: There is none.
    """
    for key in keys:
        value = read.get(key)
        if isinstance(value, str) and not (folder / PurePosixPath(value).name).is_file():
            raise ModelError(
                f"The tokenizer in {folder} names the file {value!r:.200} as its {key}, which is "
                "not in that folder."
            )


def _refuse_elsewhere(part: object, *, where: Path) -> None:
    if not isinstance(part, str) or part in ("", ".", "..") or "/" in part or "\\" in part:
        raise ModelError(
            f"{where} names {part!r:.200}, which is no file beside it; nothing else is read."
        )
