"""Select the files of a split or a part by their names, in a folder or a hub dataset."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from hypencli.errors import DataError

DATA_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
"""Endings of files with training rows."""

UNNAMED = ("train", "validation")
"""Splits for which all files of a folder are used, if no file name contains a split."""

_WORDS = {
    "train": re.compile(r"train(ing)?(set|data)?"),
    "validation": re.compile(r"(valid(ation)?|val|dev(elopment)?)(set|data)?"),
    "test": re.compile(r"(test(ing)?|eval(uation)?)(set|data)?"),
}
_SHARD = re.compile(r"(?P<stem>.*)-(?P<part>\d{5,})-of-(?P<count>\d{5,})")


class SplitFiles(NamedTuple):
    """Files of a split.

    Attributes:
        names: Relative paths with ``/``, in name order.
        split: The split; None if no file name contains a split, and all files are used.
    """

    names: tuple[str, ...]
    split: str | None


def is_data_file(name: str) -> bool:
    """Return whether a path names a data file outside hidden folders."""
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return name.endswith(DATA_ENDINGS) and not hidden


def select_files(names: Iterable[str], split: str, *, where: str) -> SplitFiles:
    """Select the files of a split from the data files of a folder or dataset.

    A file belongs to the split whose name is a word of the file name (``train.jsonl``,
    ``train-00000-of-00002.parquet``, ``msmarco_train_0.jsonl``), else to the split in the name of
    the nearest folder. The words ``training``, ``dev``, ``val``, ``valid`` and ``eval`` are also
    recognised. If no path contains a split, all files are used for the requested one.

    Args:
        names: Data files as relative paths with ``/``.
        split: The requested split.
        where: Name of the folder or dataset for messages.

    Raises:
        DataError: There are no data files, or none of this split; a shard is missing; or the split
            exists in two formats.
    """
    all_names = sorted(names)
    if not all_names:
        raise DataError(
            f"{where}: no training files in it.", hint=f"Looked for *{', *'.join(DATA_ENDINGS)}."
        )
    of_split = {name: _split_of(name, split) for name in all_names}
    wanted = _canonical(split)
    splits = sorted({one for one in of_split.values() if one is not None})
    if wanted in splits:
        selected = [name for name in all_names if of_split[name] == wanted]
    elif not splits and wanted in UNNAMED:
        selected = all_names
    else:
        raise _no_split(split, splits, all_names, where)
    _refuse_two_formats(selected, where)
    _refuse_missing_parts(selected, where)
    return SplitFiles(tuple(selected), split if splits else None)


def select_part(names: Iterable[str], part: str, *, where: str) -> tuple[str, ...]:
    """Select the files of one part of a dataset with several tables.

    Parts are tables such as ``corpus`` and ``queries``. The files have the name of the part
    (``queries.jsonl``, ``queries-00000-of-00002.parquet``), or lie in a folder with this name
    (``qrels_og/test.jsonl``).

    Args:
        names: Data files as relative paths with ``/``.
        part: The requested part.
        where: Name of the folder or dataset for messages.

    Returns:
        Paths in name order; empty if there is no such part.

    Raises:
        DataError: A shard is missing, or the part exists in two formats.
    """
    files = sorted(name for name in names if _part_of(name) == part)
    _refuse_two_formats(files, where)
    _refuse_missing_parts(files, where)
    return tuple(files)


def _part_of(name: str) -> str:
    first = PurePosixPath(name).parts[0].split(".")[0]
    shard = _SHARD.fullmatch(first)
    return first if shard is None else shard["stem"]


def _no_split(
    split: str, named_splits: Sequence[str], names: Sequence[str], where: str
) -> DataError:
    splits = (
        f"its splits are {', '.join(named_splits)}" if named_splits else "its files name no split"
    )
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return DataError(f"{where}: no split {split!r}; {splits}.", hint=f"Its files: {shown}")


def _split_of(name: str, wanted: str) -> str | None:
    """Return the split in a path: that of the file name, else that of the nearest folder."""
    path = PurePosixPath(name)
    for part in (path.name.split(".")[0], *reversed(path.parts[:-1])):
        if re.search(rf"(?<![a-z0-9]){re.escape(wanted.lower())}(?![a-z0-9])", part.lower()):
            return _canonical(wanted)
        for word in re.split(r"[^a-z]+", part.lower()):
            named_split = _split_of_word(word)
            if named_split is not None:
                return named_split
    return None


def _canonical(split: str) -> str:
    return _split_of_word(split.lower()) or split


def _split_of_word(word: str) -> str | None:
    return next((split for split, words in _WORDS.items() if words.fullmatch(word)), None)


def _refuse_two_formats(names: Sequence[str], where: str) -> None:
    """Refuse a split that exists as JSONL and as Parquet, because rows would be read twice."""
    endings = {
        ending: name
        for name in names
        for ending in (*DATA_ENDINGS, ".arrow")
        if name.endswith(ending)
    }
    formats = {ending.removesuffix(".gz"): name for ending, name in endings.items()}
    if len(formats) > 1:
        raise DataError(
            f"{where}: the same split in several formats: {', '.join(sorted(formats.values()))}.",
            hint="Name one file, or a folder that holds the rows once.",
        )


def _refuse_missing_parts(names: Sequence[str], where: str) -> None:
    parts: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name in names:
        shard = _SHARD.fullmatch(name.split(".")[0])
        if shard is not None:
            parts[shard["stem"], int(shard["count"])].add(int(shard["part"]))
    for (stem, count), present in parts.items():
        missing = sorted(set(range(count)) - present)
        if missing:
            raise DataError(
                f"{where}: {len(missing)} of {count} parts of {stem!r} are missing, "
                f"the first of them {missing[0]:05d}.",
                hint="Copy or download the rest, so that nothing is left out unseen.",
            )
