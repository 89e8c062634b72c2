"""Which files of a folder or a hub dataset belong to a split or a part, told by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from hypencli.errors import DataError

DATA_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
"""Files that hold training rows."""

UNNAMED = ("train", "validation")
"""Splits that a folder stands for as a whole where none of its files names a split."""

_WORDS = {
    "train": re.compile(r"train(ing)?(set|data)?"),
    "validation": re.compile(r"(valid(ation)?|val|dev(elopment)?)(set|data)?"),
    "test": re.compile(r"(test(ing)?|eval(uation)?)(set|data)?"),
}
_SHARD = re.compile(r"(?P<stem>.*)-(?P<part>\d{5,})-of-(?P<count>\d{5,})")


class SplitFiles(NamedTuple):
    """The files of a split.

    Attributes:
        names: Their names, relative and with ``/`` between parts, in name order.
        split: The split; None where no file names one, and all were taken.
    """

    names: tuple[str, ...]
    split: str | None


def is_data_file(name: str) -> bool:
    """Whether a file of that name holds training rows; nothing below a hidden folder does."""
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return name.endswith(DATA_ENDINGS) and not hidden


def select_files(names: Iterable[str], split: str, *, where: str) -> SplitFiles:
    """The files of a split among the data files of a folder or dataset.

    A file belongs to a split that its name has as a word (``train.jsonl``,
    ``train-00000-of-00002.parquet``, ``msmarco_train_0.jsonl``), else to the one that the folder
    it lies in has so. ``training``, ``dev``, ``val``, ``valid`` and ``eval`` are known too. Where
    no file names a split, all are taken as the one wanted.

    Args:
        names: Data files, relative, with ``/`` between parts.
        split: The split wanted.
        where: Stands for the folder or dataset in messages.

    Raises:
        DataError: There is no data file, or none of that split; or a part of several is missing;
            or the split is there in two formats.
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
    """The files of one part of a dataset of several tables, such as ``corpus`` and ``queries``.

    They are named after it (``queries.jsonl``, ``queries-00000-of-00002.parquet``), or lie in a
    folder that is (``qrels_og/test.jsonl``).

    Args:
        names: Data files, relative, with ``/`` between parts.
        part: The part wanted.
        where: Stands for the folder or dataset in messages.

    Returns:
        Their names in name order; none where there is no such part.

    Raises:
        DataError: A file of several is missing, or the part is there in two formats.
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
    """The split that a path names: in the file's name, else in the nearest folder's."""
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
    """A dataset that is there twice, as JSONL and as Parquet, would be trained on twice."""
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
