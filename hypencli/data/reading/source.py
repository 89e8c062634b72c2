"""The kinds of data sources, and the source that a DATASET argument names.

A kind is a subclass of :class:`Source` in a module of its own. Installed packages add kinds with
the entry point group ``hypencli.sources``; the name of the entry point is the prefix.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from hypencli.data.reading.base import Source
from hypencli.data.reading.beir_folder import FolderSource
from hypencli.data.reading.file import FileSource
from hypencli.data.reading.hard_tasks import prepare_hint
from hypencli.data.reading.irds import IrdsSource, dataset_ids
from hypencli.data.reading.judgements import Judgement
from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError
from hypencli.paths import is_dir, user_path
from hypencli.plugins import offered, offered_names

__all__ = [
    "SOURCES",
    "Fields",
    "FileSource",
    "FolderSource",
    "IrdsSource",
    "Judgement",
    "OnMalformed",
    "Source",
    "TextRow",
    "resolve",
]

SOURCES: tuple[type[Source], ...] = (FileSource, FolderSource, IrdsSource)
"""The shipped kinds, in the order in which they are tried."""

SOURCES_GROUP = "hypencli.sources"

ACCEPTED = (
    "an ir_datasets id (vaswani, msmarco-passage, beir/scifact), a JSONL, TSV or CSV file "
    "(.gz too), or a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv)"
)


def resolve(source: str | Path, *, what: str = "dataset") -> Source:
    """Find the source that a name denotes.

    Args:
        source: A path, an ir_datasets id, or one of them behind a prefix. A :class:`Path` object
            that exists is always a path.
        what: Purpose of the source (``corpus``, ``query set``, ``qrels``), for messages.

    Raises:
        DataError: The name denotes nothing, or both a path and an ir_datasets id.
    """
    text = str(source)
    prefix, colon, rest = text.partition(":")
    kinds = [kind for kind in SOURCES if colon and prefix in (kind.prefix, *kind.aliases)]
    if kinds:
        text = rest
    elif colon and (installed := _installed_kind(prefix)) is not None:
        return installed(rest)
    sources = [one for kind in kinds or SOURCES if (one := kind.recognise(text)) is not None]
    if not sources:
        raise _unknown(text, what)
    if len(sources) > 1 and isinstance(source, str):
        raise DataError(
            f"{text!r} is both an ir_datasets id and a path here.",
            hint=f"Say which: irds:{text}, or ./{text}",
        )
    return sources[0]


def _installed_kind(prefix: str) -> type[Source] | None:
    """Find the kind of source that an installed package offers under a prefix, or None."""
    kind = offered(SOURCES_GROUP, prefix)
    if kind is None:
        return None
    if not isinstance(kind, type) or not issubclass(kind, Source) or kind.prefix != prefix:
        raise DataError(
            f"The installed package that offers the source {prefix!r} is broken: its entry point "
            f"must name a subclass of Source with the prefix {prefix!r}.",
            hint="See docs/extending.md.",
        )
    return kind


def _unknown(text: str, what: str) -> DataError:
    near = difflib.get_close_matches(text, dataset_ids(), n=3, cutoff=0.6)
    folder = user_path(text).parent
    if is_dir(folder):
        names = {path.name: str(path) for path in folder.iterdir()}
        near += [names[name] for name in difflib.get_close_matches(Path(text).name, names, n=3)]
    offer = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    installed = [f"{name}:NAME" for name in sorted(offered_names(SOURCES_GROUP))]
    return DataError(
        f"No {what} {text!r}: there is no such path (looked in {folder.resolve()}), "
        "and ir_datasets has no such id.",
        hint=f"{prepare_hint(text)}{offer}Accepted: {', '.join([ACCEPTED, *installed])}.",
    )
