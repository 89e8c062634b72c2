"""Options that several verbs share, and what they turn into."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypencli.cli.output.formats import FORMATS, TERMINAL, check_format
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from hypestore import Store

STORE_HELP = "The project store; else the one around the current folder is found, as git does."
JSON_HELP = "Print the result as JSON, for programs."


def _one_store(context: typer.Context, parameter: typer.CallbackParam, value: Path | None) -> Any:
    """The store that stands before the verb or after it.

    Raises:
        UsageError: Both places name a store, and not the same.
    """
    before: Path | None = context.find_root().params.get("store")
    if before is None:
        return value
    source = context.get_parameter_source(str(parameter.name))
    after = value if source is not None and source.name == "COMMANDLINE" else None
    if after not in (None, before):
        raise UsageError(f"Two stores are named: --store {before} and --store {after}.")
    return before


def _json_anywhere(context: typer.Context, value: bool) -> bool:
    """Whether ``--json`` stands before the verb or after it."""
    return value or bool(context.find_root().params.get("json"))


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="HYPE_STORE",
        help=STORE_HELP,
        show_default=False,
        callback=_one_store,
    ),
]
ReferenceArgument = Annotated[
    str, typer.Argument(help="Name, id, or the unique beginning of an id.", show_default=False)
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the file if it is there.")
]
ExportedOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The file.", show_default="NAME.FORMAT here"),
]
JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP, callback=_json_anywhere)]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="|".join([TERMINAL, *FORMATS]),
        help="How to print tables; installed packages can offer more formats.",
        callback=check_format,
    ),
]
MeasuresOption = Annotated[
    str | None,
    typer.Option(
        "--measures",
        help="Measures to show, separated by commas or blanks; the first one sorts.",
        show_default=False,
    ),
]
CorpusOption = Annotated[
    str | None,
    typer.Option("--corpus", help="The corpus, where several are encoded.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model of the store, a folder, or a name on the hub; "
        "else the store's default, else its newest model.",
        show_default=False,
    ),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Name or folder of the backbone, for a checkpoint that does not describe its own.",
        show_default=False,
    ),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        help="cls, mean or mean-unmasked: for a plain encoder that does not record its pooling.",
        show_default=False,
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust-code", help="Let the model import q-net converter code of its own."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1, mps.",
        show_default="the store's default, else the best there is",
    ),
]
IdKeyOption = Annotated[
    str | None,
    typer.Option("--id-key", help="Key of the id in a JSONL file.", show_default="found"),
]
TextKeyOption = Annotated[
    str | None,
    typer.Option("--text-key", help="Key of the text in a JSONL file.", show_default="found"),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name for the result.", show_default=False)
]


def open_store(path: Path | None) -> Store:
    """The store at ``path``, or the one around the current folder."""
    from hypestore import Store, find_store

    return Store.open(find_store(explicit=path))


def store_around(path: Path | None) -> Path | None:
    """The folder of the store at ``path`` or around the current folder; None where none is."""
    from hypestore import StoreNotFound, find_store

    try:
        return find_store(explicit=path)
    except StoreNotFound:
        if path is not None:
            raise
        return None


def default_device(device: str | None, store: Store) -> str | None:
    """The device named, else the store's default, else None for the best there is."""
    return device or store.defaults.get("device")


def parse_part(text: str | None) -> tuple[int, int] | None:
    """``i/N`` as ``(i, N)``, with i from 1 to N.

    Raises:
        UsageError: It is not of that form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"--shard {text} is not a part of a plan.",
            hint="Expected i/N with 1 <= i <= N, such as --shard 2/8.",
        )
    return int(match[1]), int(match[2])


def parse_batch_size(text: str) -> int | None:
    """A number of texts, or None for ``auto``.

    Raises:
        UsageError: It is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size {text} is neither auto nor a number of texts above 0.")
    return int(text)


def split_names(text: str | None) -> tuple[str, ...]:
    """Comma- or blank-separated names; commas inside parentheses belong to the name."""
    if text is None:
        return ()
    return tuple(name for name in re.split(r"[,\s]+(?![^()]*\))", text.strip()) if name)
