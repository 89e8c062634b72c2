"""Open a file of encoded items in the format of its ending."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from hypencli.data.exchange.array_file import ids_have_text, open_array, read_array
from hypencli.data.exchange.item import EncodedItems
from hypencli.data.exchange.item_stream import read_blocks
from hypencli.errors import UsageError

EncodedFormat: TypeAlias = Literal["docs", "npy"]
ENCODED_FORMATS: tuple[EncodedFormat, ...] = get_args(EncodedFormat)


def format_of(path: Path) -> EncodedFormat:
    """The format of a file by its ending.

    Raises:
        UsageError: The ending is neither ``.docs`` nor ``.npy``.
    """
    for candidate in ENCODED_FORMATS:
        if path.suffix == f".{candidate}":
            return candidate
    raise UsageError(
        f"The format cannot be told from {path}.",
        hint="Encoded items are .docs, as published, or .npy with a file of ids.",
    )


def open_encoded(path: Path, *, ids: Path | None = None) -> EncodedItems:
    """Open the encoded items of a file; they are read when iterated.

    Args:
        path: A published stream (``.docs``), or an array ``[n, d]`` (``.npy``).
        ids: File with the ids of the rows of an array, one a line, or the corpus with its texts.

    Raises:
        UsageError: The ending is unknown, ids for an array are missing, or a stream has ids.
        DataError: The array or the file of ids cannot be used.
    """
    if format_of(path) == "docs":
        if ids is not None:
            raise UsageError(f"{path} has its ids itself.", hint="`ids=` is for .npy files.")
        return EncodedItems(str(path), True, None, partial(read_blocks, path))
    if ids is None:
        raise UsageError(
            f"Which documents are the rows of {path}?",
            hint="Name their ids, one a line, or the corpus: `ids=FILE`",
        )
    n = len(open_array(path))
    return EncodedItems(str(path), ids_have_text(ids), n, partial(read_array, path, ids))
