"""Options that several verbs share, and the values that they are parsed to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypencli.cli.output.formats import FORMATS, TERMINAL, check_format
from hypencli.errors import DataError, UsageError

if TYPE_CHECKING:
    from hypestore import Store

STORE_HELP = "The project store. Default: the nearest one in this folder or the folders above it."
_NUMBER = "[0-9]{1,9}"
"""A whole number that is no larger than anything here can be."""

_LEAST_TOKEN = 16
"""Characters of the shortest secret."""

JSON_HELP = "Print the result as JSON, for programs."


def _one_store(context: typer.Context, parameter: typer.CallbackParam, value: Path | None) -> Any:
    """The store named by ``--store``, which may stand before the verb or after it.

    Raises:
        UsageError: ``--store`` stands in both places with different values.
    """
    before: Path | None = context.find_root().params.get("store")
    if before is None:
        return value
    source = context.get_parameter_source(str(parameter.name))
    after = value if source is not None and source.name == "COMMANDLINE" else None
    if after not in (None, before):
        raise UsageError(f"--store names two stores: {before} and {after}.")
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
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token",
        envvar="HYPE_TOKEN",
        help="A file with the secret that every request to the server must carry.",
        show_default="no secret",
    ),
]
ReferenceArgument = Annotated[
    str, typer.Argument(help="Name, id, or the unique beginning of an id.", show_default=False)
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
KeepPathsOption = Annotated[
    bool,
    typer.Option(
        "--keep-paths",
        help="Keep absolute paths, which name users and folders, instead of their last parts.",
    ),
]
ExportedOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="The file to write.", show_default="NAME.FORMAT in this folder"
    ),
]
RowsOutputOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="The file to write: .jsonl, .jsonl.gz or .parquet.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one value of the recipe, such as training.steps=100. Repeat it for more.",
        show_default=False,
    ),
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
        help="Measures to show, separated by commas or blanks. The first one sorts the table.",
        show_default=False,
    ),
]
RunMeasuresOption = Annotated[
    str | None,
    typer.Option(
        "--measures",
        help="Measures to compute, by their ir_measures names, separated by commas or blanks.",
        show_default="nDCG@10 nDCG@5 P@10 P@5 R@10 RR R@1000 RR@10, on the passages of TREC "
        "Deep Learning and DL-HARD with rel=2",
    ),
]
RankingDepthOption = Annotated[
    int, typer.Option("--k", "-k", min=1, help="Documents to return for each query.")
]
RecallDepthOption = Annotated[
    int | None,
    typer.Option(
        "--k",
        min=1,
        help="Depth of the recall.",
        show_default="100, or another depth that the runs have",
    ),
]
MetricOption = Annotated[
    Literal["l2", "ip", "cos"],
    typer.Option(
        "--metric", help="What is near: l2 (Euclidean distance), ip (inner product), cos (cosine)."
    ),
]
CorpusOption = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        help="The corpus, where the model has encoded several.",
        show_default=False,
    ),
]
EmbeddingsOption = Annotated[
    str | None,
    typer.Option(
        "--embeddings",
        help="The embedding set, by name or id.",
        show_default="the only one that fits",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model of the store, a folder, or a name on the hub.",
        show_default="the store's default, else its newest model",
    ),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Name or folder of the backbone, for a checkpoint that does not describe it.",
        show_default=False,
    ),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        help="How tokens are pooled, for a plain encoder that does not record it: cls, mean, "
        "mean-unmasked.",
        show_default=False,
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust-code", help="Let the model run its own q-net converter code."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1 or mps.",
        show_default="the store's default, else auto: the fastest device",
    ),
]
IdKeyOption = Annotated[
    str | None,
    typer.Option(
        "--id-key", help="Key of the id in a JSONL file.", show_default="the first usual one"
    ),
]
TextKeyOption = Annotated[
    str | None,
    typer.Option(
        "--text-key", help="Key of the text in a JSONL file.", show_default="the first usual one"
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Name of the result in the store.", show_default=False),
]
BatchSizeOption = Annotated[
    str,
    typer.Option(
        "--batch-size", help="Texts, or pairs, in a batch. auto fills batches to a token budget."
    ),
]
StorageDtypeOption = Annotated[
    str, typer.Option("--storage-dtype", help="Type of the vectors on disk: float16 or float32.")
]
ShardRowsOption = Annotated[int, typer.Option("--shard-rows", min=1, help="Documents in a shard.")]
KeepTextOption = Annotated[
    bool, typer.Option(help="Keep the documents' text, so that results can show it.")
]
SampleOption = Annotated[
    int,
    typer.Option("--sample", min=2, help="How many queries to draw at random and to search."),
]
QueryLengthOption = Annotated[
    int,
    typer.Option("--query-max-length", min=2, help="Tokens of a query; longer ones are cut."),
]
SplitOption = Annotated[
    str, typer.Option("--split", help="The split to read, where the data has several.")
]


def open_store(path: Path | None) -> Store:
    """The store at ``path``, or the one around the current folder."""
    from hypestore import Store, find_store

    return Store.open(find_store(explicit=path))


def read_token(path: Path) -> str:
    """Read a secret from a file.

    Raises:
        DataError: The file is empty, short, or holds several lines.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        token = ""
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise DataError(
            f"{path} holds no secret: one line of at least {_LEAST_TOKEN} ASCII characters was "
            "expected.",
            hint="Write one: python -c 'import secrets; print(secrets.token_urlsafe())' > FILE",
        )
    return token


def store_around(path: Path | None) -> Path | None:
    """The folder of the store at ``path``, else of the one around the current folder, or None.

    Raises:
        StoreNotFound: ``path`` is set and holds no store.
    """
    from hypestore import StoreNotFound, find_store

    try:
        return find_store(explicit=path)
    except StoreNotFound:
        if path is not None:
            raise
        return None


def default_device(device: str | None, store: Store) -> str | None:
    """``device``, else the store's default, else None: the fastest device is then taken."""
    return device or store.defaults.get("device")


def parse_part(text: str | None) -> tuple[int, int] | None:
    """Parse ``i/N`` to ``(i, N)``, with i from 1 to N.

    Raises:
        UsageError: The text has another form.
    """
    if text is None:
        return None
    match = re.fullmatch(rf"({_NUMBER})/({_NUMBER})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"--shard {text:.80} is not of the form i/N.",
            hint="Expected i/N with 1 <= i <= N, such as --shard 2/8.",
        )
    return int(match[1]), int(match[2])


def parse_batch_size(text: str) -> int | None:
    """Parse a number of texts; None stands for ``auto``.

    Raises:
        UsageError: The text is neither ``auto`` nor a whole number of at most nine digits above 0.
    """
    if text == "auto":
        return None
    if re.fullmatch(_NUMBER, text) is None or int(text) < 1:
        raise UsageError(
            f"--batch-size {text:.80} is neither auto nor a whole number above 0.",
            hint="Such as --batch-size 32.",
        )
    return int(text)


def split_names(text: str | None) -> tuple[str, ...]:
    """Split names at commas and blanks; a comma inside parentheses belongs to the name."""
    if text is None:
        return ()
    return tuple(name for name in re.split(r"[,\s]+(?![^()]*\))", text.strip()) if name)
