"""Checks of untrusted checkpoints, made before a file can run code or take much memory.

Configurations are data, but some of their fields make the libraries load code: modules beside the
weights, kernels and packages. A text encoder needs none of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hypencli.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_ATTENTION = (
    *(None, "eager", "sdpa", "flex_attention"),
    *("flash_attention_2", "flash_attention_3", "flash_attention_4"),
)
"""Kinds of attention in the library; for any other kind, the library fetches code."""

_FOLLOWED = ("quantization_config", "kernel_config", "use_kernels", "base_model_name_or_path")
"""Fields that make the library load other packages, compiled code, or another model."""

_LARGEST: Mapping[str, int] = {
    **dict.fromkeys(("hidden_size", "dim", "d_model", "embedding_size"), 2**16),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "ffn_dim"), 2**20),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "num_layers", "encoder_layers"), 1_000),
    **dict.fromkeys(("num_attention_heads", "n_heads", "num_heads"), 2**12),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), 10**8),
    **dict.fromkeys(("type_vocab_size", "num_labels"), 2**16),
}
"""Largest values of fields, far above real encoders: layers are made before weights are read."""

_BYTES_A_PARAMETER = 0.5
_PARAMETERS_FOR_NOTHING = 2**28
"""Parameters allowed for weights of any size: 1 GiB in float32, above the usual encoders."""

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def library_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the libraries raise for damaged files: they share no class.

    They are imported when an exception has been raised, as in ``except library_errors()``.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    return (
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


def refuse_unsafe(config: PretrainedConfig, *, where: str) -> None:
    """Refuse a backbone configuration that would load code, or has an absurd size.

    Raises:
        ModelError: A field is refused; the error names it.
    """
    from transformers import PretrainedConfig

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
    """Return the error text of a library in one line, without its advice to trust code."""
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        return "its weights are damaged, or more than tensors: reading that could run code."
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def refuse_unless_filled(
    make: Callable[..., nn.Module], config: PretrainedConfig, folder: Path
) -> None:
    """Refuse a configuration whose model is far larger than the files of its weights.

    The model is made on the ``meta`` device, which takes no memory.

    Args:
        make: ``from_config`` of the model class.
        config: The configuration.
        folder: The folder of the weights.

    Raises:
        ModelError: The model is far larger than the files.
    """
    with torch.device("meta"):
        model = make(config, dtype=torch.float32, trust_remote_code=False)
    refuse_unless_weights_fill(model, config.model_type, folder)


def refuse_unless_weights_fill(model: nn.Module, kind: str, folder: Path) -> None:
    """Refuse a model, made on the ``meta`` device, that is far larger than its files.

    Args:
        model: The model.
        kind: Its kind, for the message.
        folder: The folder of the weights.

    Raises:
        ModelError: The model is far larger than the files.
    """
    parameters = sum(tensor.numel() for tensor in model.parameters())
    n_bytes = sum(path.stat().st_size for pattern in _WEIGHTS for path in folder.glob(pattern))
    if parameters > _PARAMETERS_FOR_NOTHING and parameters * _BYTES_A_PARAMETER > n_bytes:
        raise ModelError(
            f"The configuration ({kind}) asks for {parameters:,} parameters; the "
            f"weights in {folder} are {n_bytes:,} bytes."
        )


def parts_of(index: Mapping[str, Any], *, where: Path) -> list[str]:
    """Return the names of the files among which weights are divided, all in one folder.

    Args:
        index: The content of the file ``….index.json`` beside them.
        where: The path of that file.

    Raises:
        ModelError: The index names no file, or one that could be outside the folder.
    """
    listed = index.get("weight_map")
    if not isinstance(listed, Mapping) or not listed:
        raise ModelError(f"{where} has no weight_map: it does not say where which weights are.")
    for part in listed.values():
        _refuse_elsewhere(part, where=where)
    return sorted(set(listed.values()))


def refuse_foreign_files(folder: Path, read: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Refuse settings of a tokenizer that would make it read a file outside its folder.

    Many old tokenizers record a path. It does no harm if the folder has a file of that name, which
    is then read instead.

    Raises:
        ModelError: The folder has no file of that name.
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
