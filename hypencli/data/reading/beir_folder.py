"""The layout of a BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

A prepared dataset is such a folder too; its documents may be those of another dataset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from hypencli.data.reading.base import Part, Source
from hypencli.data.reading.dataset_record import read_record
from hypencli.data.reading.file import FileSource
from hypencli.data.reading.judgements import Judgement, collect_judgements, iterate_judgements
from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.data.reading.unique_ids import refuse_duplicates
from hypencli.errors import DataError
from hypencli.paths import is_dir, user_path

SPLIT = "test"
"""Preferred split for judgements, if a folder has several."""


@dataclass(frozen=True)
class FolderSource(Source):
    """A folder with the layout of BEIR.

    Attributes:
        path: The folder.
        judged: Ids of the queries to read. None selects those with judgements in the test split.
    """

    path: Path
    judged: frozenset[str] | None = None
    prefix: ClassVar[str] = "folder"
    aliases: ClassVar[tuple[str, ...]] = ("file",)
    unit: ClassVar[str] = "line"
    skips_lines: ClassVar[bool] = True

    @classmethod
    def recognise(cls, text: str) -> FolderSource | None:
        """Return the folder at a path; None if there is none."""
        path = user_path(text)
        return cls(path) if text and is_dir(path) else None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def corpus_id(self) -> str:
        """Id of its own documents, else of the corpus in its dataset record."""
        if _corpus_file(self.path) is not None:
            return self.id
        return corpus_elsewhere(self.path) or self.id

    @property
    def queries_source(self) -> str | None:
        """The folder, if it has queries."""
        return None if _queries_file(self.path) is None else str(self.path.resolve())

    @property
    def qrels_source(self) -> str | None:
        """The file of its judgements, if it has one."""
        qrels = qrels_file(self.path)
        return None if qrels is None else str(qrels.resolve())

    @property
    def qrels_id(self) -> str:
        """Id of the file of its judgements."""
        return FileSource(require_qrels_file(self.path)).id

    def place(self, part: Part) -> str:
        """Return the path of the part's file."""
        return str(_require_file(self.path, part))

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part without a file.

        Raises:
            DataError: The folder has no file for this part.
        """
        _require_file(self.path, part)

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Read the documents of ``corpus.jsonl``."""
        return self._corpus.documents(fields, on_malformed)

    def same_documents(
        self,
        fields: Fields,
        on_malformed: OnMalformed,
        content: Mapping[str, str],
        limit: int | None = None,
    ) -> Iterator[TextRow]:
        """Read the documents of ``corpus.jsonl``, and refuse other content."""
        return self._corpus.same_documents(fields, on_malformed, content, limit)

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """Read the queries of ``judged``, else those with judgements in the test split.

        Without ``judged`` and without judgements, all queries are read.
        """
        file = FileSource(require_queries_file(self.path))
        rows = list(refuse_duplicates(file.queries(fields), str(file.path), self.unit))
        qrels = qrels_file(self.path)
        if not rows or (self.judged is None and qrels is None):
            return iter(rows)
        judged: Collection[str] = self.judged or ()
        if self.judged is None and qrels is not None:
            judged = collect_judgements(iterate_judgements(qrels), str(qrels))
        rows = [row for row in rows if row.id in judged]
        if not rows:
            where = "the judgements named" if self.judged is not None else str(qrels)
            raise DataError(f"{self.path}: none of its queries is judged in {where}.")
        return iter(rows)

    def qrels(self) -> Iterator[Judgement]:
        """Read the judgements of the test split."""
        return iterate_judgements(require_qrels_file(self.path))

    def content(self, fields: Fields) -> Mapping[str, str]:
        """Return the hash of the file of documents."""
        return self._corpus.content(fields)

    def count(self, fields: Fields) -> int:
        """Count the documents in the file."""
        return self._corpus.count(fields)

    @cached_property
    def _corpus(self) -> FileSource:
        return FileSource(corpus_file(self.path))


def corpus_file(path: Path) -> Path:
    """Return the file of the documents.

    Raises:
        DataError: The folder has no such file.
    """
    file = _corpus_file(path)
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
    """Return the corpus id in the record of a dataset without documents of its own.

    Raises:
        DataError: The record cannot be read.
    """
    record = read_record(path)
    return None if record is None else record.corpus


def require_queries_file(path: Path) -> Path:
    """Return the file of the queries.

    Raises:
        DataError: The folder has no such file.
    """
    file = _queries_file(path)
    if file is None:
        raise _lacks(path, "queries.jsonl")
    return file


def qrels_file(path: Path) -> Path | None:
    """Find the judgements: ``qrels/test.tsv``, else the only file there, else ``qrels.txt``."""
    file = _first(path / "qrels", f"{SPLIT}.tsv", f"{SPLIT}.tsv.gz")
    if file is not None:
        return file
    splits = sorted((path / "qrels").glob("*.tsv"))
    if len(splits) == 1:
        return splits[0]
    return _first(path, "qrels.txt", "qrels.tsv", "qrels.json")


def require_qrels_file(path: Path) -> Path:
    """Return the file of the judgements.

    Raises:
        DataError: The folder has no judgements, or has several splits and none is named ``test``.
    """
    file = qrels_file(path)
    if file is None:
        splits = sorted(str(split) for split in (path / "qrels").glob("*.tsv"))
        if splits:
            raise DataError(f"{path}: no qrels/{SPLIT}.tsv.", hint=f"Name one: {', '.join(splits)}")
        raise _lacks(path, f"qrels/{SPLIT}.tsv")
    return file


def _require_file(path: Path, part: Part) -> Path:
    match part:
        case "documents":
            return corpus_file(path)
        case "queries":
            return require_queries_file(path)
        case "qrels":
            return require_qrels_file(path)


def _corpus_file(path: Path) -> Path | None:
    return _first(path, "corpus.jsonl", "corpus.jsonl.gz", "corpus.tsv", "corpus.tsv.gz")


def _queries_file(path: Path) -> Path | None:
    return _first(path, "queries.jsonl", "queries.jsonl.gz", "queries.tsv", "queries.tsv.gz")


def _first(path: Path, *names: str) -> Path | None:
    return next((path / name for name in names if (path / name).is_file()), None)


def _lacks(path: Path, name: str) -> DataError:
    existing = ", ".join(sorted(one.name for one in path.iterdir())[:12]) or "nothing"
    return DataError(
        f"{path}: no {name} in this folder; it holds {existing}.",
        hint="A BEIR folder holds corpus.jsonl, queries.jsonl and qrels/test.tsv.",
    )
