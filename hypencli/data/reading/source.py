"""What a DATASET argument names: an ir_datasets id, a file, or a folder."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hypencli.data.reading.hard_tasks import prepare_hint
from hypencli.errors import DataError

IRDS_PREFIXES = ("irds:", "ir_datasets:")

ACCEPTED = (
    "an ir_datasets id (vaswani, msmarco-passage, beir/scifact), a JSONL or TSV file (.gz too), "
    "or a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv)"
)

# Files of many collections bear these names, so the folder is needed to tell them apart.
_COMMON_STEMS = {
    "collection", "corpus", "data", "dev", "docs", "documents", "passages", "qrels", "queries",
    "results", "run", "test", "topics", "train",
}  # fmt: skip

_DATA_SUFFIX = re.compile(
    r"\.(jsonl?|ndjson|tsv|txt|csv|qrels|run|trec|parquet|gz)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file on disk."""

    path: Path

    @property
    def id(self) -> str:
        """``file:NAME``, with the folder's name before names that every collection uses."""
        absolute = self.path.resolve()
        if absolute.name.split(".")[0].lower() in _COMMON_STEMS:
            return f"file:{absolute.parent.name}/{absolute.name}"
        return f"file:{absolute.name}"

    @property
    def id_prefix(self) -> str:
        """A short name for artifact ids: without endings, and without a name that says nothing."""
        stem = self.id.removeprefix("file:")
        while shorter := _DATA_SUFFIX.search(stem):
            stem = stem[: shorter.start()]
        folder, _, name = stem.rpartition("/")
        return folder if folder and name.lower() in _COMMON_STEMS else stem


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder on disk, laid out as BEIR does."""

    path: Path

    @property
    def id(self) -> str:
        """``folder:NAME``."""
        return f"folder:{self.path.resolve().name}"

    @property
    def id_prefix(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


@dataclass(frozen=True, slots=True)
class IrdsSource:
    """A dataset of ir_datasets, by its id without prefix."""

    name: str

    @property
    def id(self) -> str:
        """``irds:NAME``."""
        return f"irds:{self.name}"

    @property
    def id_prefix(self) -> str:
        """The id as it is."""
        return self.name


Source: TypeAlias = FileSource | FolderSource | IrdsSource


def resolve(source: str | Path, *, what: str = "dataset") -> Source:
    """What a name stands for; a path that exists is a path, everything else an ir_datasets id.

    Args:
        source: An ir_datasets id, with or without ``irds:``, or a path.
        what: What the name is for (``corpus``, ``query set``, ``qrels``), for messages.

    Raises:
        DataError: It is neither, or both.
    """
    from hypencli.data.reading.irds import is_registered

    text = str(source)
    for prefix in (*IRDS_PREFIXES, "file:", "folder:"):
        if text.startswith(prefix):
            text = text.removeprefix(prefix)
            if prefix in IRDS_PREFIXES:
                return IrdsSource(text) if is_registered(text) else _unknown(text, what)
    path = Path(text).expanduser()
    if text and path.exists():
        if isinstance(source, str) and _may_be_id(text) and is_registered(text):
            raise DataError(
                f"{text!r} is both an ir_datasets id and a path here.",
                hint=f"Say which: irds:{text}, or ./{text}",
            )
        return FolderSource(path) if path.is_dir() else FileSource(path)
    if _may_be_id(text) and is_registered(text):
        return IrdsSource(text)
    return _unknown(text, what)


def _may_be_id(text: str) -> bool:
    """Whether a name could be an ir_datasets id: saves importing ir_datasets for plain paths."""
    return bool(text) and text[0] not in "./~\\" and not _DATA_SUFFIX.search(text)


def _unknown(text: str, what: str) -> Source:
    from hypencli.data.reading.irds import dataset_ids

    near = difflib.get_close_matches(text, dataset_ids(), n=3, cutoff=0.6)
    folder = Path(text).expanduser().parent
    if folder.is_dir():
        names = {path.name: str(path) for path in folder.iterdir()}
        near += [names[name] for name in difflib.get_close_matches(Path(text).name, names, n=3)]
    offer = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    raise DataError(
        f"No {what} {text!r}: there is no such path (looked in {folder.resolve()}), "
        "and ir_datasets has no such id.",
        hint=f"{prepare_hint(text)}{offer}Accepted: {ACCEPTED}.",
    )
