"""The layout of a BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

A prepared dataset is such a folder too; its documents may be those of another dataset.
"""

from __future__ import annotations

from pathlib import Path

from hypencli.data.reading.dataset_record import read_record
from hypencli.errors import DataError

SPLIT = "test"
"""The split whose judgements are taken where a folder has several."""


def corpus_file(path: Path) -> Path:
    """The file of the documents.

    Raises:
        DataError: The folder has none.
    """
    file = _first(path, "corpus.jsonl", "corpus.jsonl.gz", "corpus.tsv", "corpus.tsv.gz")
    if file is not None:
        return file
    elsewhere = corpus_elsewhere(path)
    if elsewhere is None:
        raise _lacks(path, "corpus.jsonl")
    raise DataError(
        f"{path} holds no documents: its queries are asked of {elsewhere}.",
        hint=f"Name that: {elsewhere.removeprefix('irds:')}",
    )


def corpus_elsewhere(path: Path) -> str | None:
    """The corpus id of a prepared dataset whose documents are those of another dataset.

    Raises:
        DataError: The dataset's record cannot be read.
    """
    record = read_record(path)
    return None if record is None else record.corpus


def queries_file(path: Path) -> Path | None:
    """The file of the queries, if there is one."""
    return _first(path, "queries.jsonl", "queries.jsonl.gz", "queries.tsv", "queries.tsv.gz")


def require_queries_file(path: Path) -> Path:
    """The file of the queries.

    Raises:
        DataError: The folder has none.
    """
    file = queries_file(path)
    if file is None:
        raise _lacks(path, "queries.jsonl")
    return file


def qrels_file(path: Path) -> Path | None:
    """The judgements: ``qrels/test.tsv``, else the only file there, else ``qrels.txt``."""
    file = _first(path / "qrels", f"{SPLIT}.tsv", f"{SPLIT}.tsv.gz")
    if file is not None:
        return file
    splits = sorted((path / "qrels").glob("*.tsv"))
    if len(splits) == 1:
        return splits[0]
    return _first(path, "qrels.txt", "qrels.tsv", "qrels.json")


def require_qrels_file(path: Path) -> Path:
    """The file of the judgements.

    Raises:
        DataError: The folder has none, or several splits and none called ``test``.
    """
    file = qrels_file(path)
    if file is None:
        splits = sorted(str(split) for split in (path / "qrels").glob("*.tsv"))
        if splits:
            raise DataError(f"{path}: no qrels/{SPLIT}.tsv.", hint=f"Name one: {', '.join(splits)}")
        raise _lacks(path, f"qrels/{SPLIT}.tsv")
    return file


def _first(path: Path, *names: str) -> Path | None:
    return next((path / name for name in names if (path / name).is_file()), None)


def _lacks(path: Path, name: str) -> DataError:
    existing = ", ".join(sorted(one.name for one in path.iterdir())[:12]) or "nothing"
    return DataError(
        f"{path}: no {name} in this folder; it holds {existing}.",
        hint="A BEIR folder holds corpus.jsonl, queries.jsonl and qrels/test.tsv.",
    )
