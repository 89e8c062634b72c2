"""Corpora: documents streamed from ir_datasets, a file or a BEIR folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from hypencli.data import folder, irds
from hypencli.data.lines import Scan, first_line, read_lines, scan
from hypencli.data.rows import Fields, Row, has_header, read_rows
from hypencli.data.source import FileSource, FolderSource, IrdsSource, resolve
from hypencli.data.unique import check_unique
from hypencli.errors import DataError
from hypencli.records import Document


class Corpus(Protocol):
    """Documents that can be read again and again, in the same order, one at a time.

    Iterating raises :class:`~hypencli.errors.DataError` at the first record that is not what it
    should be, at an id that comes twice, and when there is no document at all.
    """

    @property
    def id(self) -> str:
        """Stands for the dataset as named: ``irds:NAME``, ``file:NAME``, ``folder:NAME``."""

    @property
    def corpus_id(self) -> str:
        """Stands for the documents: ``irds:msmarco-passage`` for every query set over them."""

    @property
    def slug(self) -> str:
        """A short name for artifact ids."""

    @property
    def fingerprint(self) -> str:
        """Hash of the documents' source and of how they are read; a file is hashed once."""

    @property
    def count(self) -> int | None:
        """Number of documents: exact for files (with the pass that hashes them), else as stated."""

    @property
    def queries(self) -> str | None:
        """What :func:`~hypencli.data.queries.open_queries` takes, if the dataset has queries."""

    @property
    def qrels(self) -> str | None:
        """What :func:`~hypencli.data.qrels.read_qrels` takes, if the dataset has judgements."""

    def __iter__(self) -> Iterator[Document]:
        """The documents, in their order."""


def open_corpus(
    source: str | Path,
    *,
    id_key: str | None = None,
    text_key: str | None = None,
    title_key: str | None = None,
) -> Corpus:
    """Open a corpus; documents are read only when it is iterated.

    A document's text is its title, a space and its text, stripped, where it has a title.

    Args:
        source: An ir_datasets id, a JSONL or TSV file (``.gz`` too), or a BEIR folder.
        id_key: Field of the id; None takes the one of ``id``, ``_id``, ``doc_id`` that is there.
        text_key: Field of the text; None takes the one of ``text``, ``content``, ``contents``.
        title_key: Field of the title; None takes ``title`` where it is there, ``""`` takes none.

    Raises:
        DataError: There is no such dataset, or it has no documents.
    """
    fields = Fields(id_key, text_key, "title" if title_key is None else title_key)
    match resolve(source, what="corpus"):
        case IrdsSource() as found:
            return IrdsCorpus(found, fields)
        case FolderSource() as found:
            return FolderCorpus(found, fields)
        case found:
            return FileCorpus(found, fields)


def _documents(rows: Callable[[], Iterator[Row]], name: str, unit: str) -> Iterator[Document]:
    empty = True
    for row in check_unique(rows(), rows, name=name, unit=unit):
        empty = False
        yield Document(row.id, row.text)
    if empty:
        raise DataError(f"{name}: no documents.")


class FileCorpus:
    """A JSONL or TSV file, one document a line."""

    queries: str | None = None
    qrels: str | None = None

    def __init__(self, source: FileSource, fields: Fields) -> None:
        self.id = self.corpus_id = source.id
        self.slug = source.slug
        self._path = source.path
        self._fields = fields

    @cached_property
    def _scan(self) -> Scan:
        return scan(self._path)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file's content and the reader's options."""
        inputs = {"sha256": self._scan.sha256, **self._fields.as_options()}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def count(self) -> int | None:
        """Lines that hold a document."""
        first = first_line(self._path)
        header = first is not None and has_header(str(self._path), first, self._fields)
        return self._scan.rows - header

    def __iter__(self) -> Iterator[Document]:
        """The documents, in the file's order."""
        return _documents(self._rows, str(self._path), "line")

    def _rows(self) -> Iterator[Row]:
        return read_rows(read_lines(self._path), str(self._path), self._fields, plain=False)


class FolderCorpus(FileCorpus):
    """``corpus.jsonl`` of a BEIR folder, with the queries and judgements beside it."""

    def __init__(self, source: FolderSource, fields: Fields) -> None:
        super().__init__(FileSource(folder.corpus_file(source.path)), fields)
        self.id = self.corpus_id = source.id
        self.slug = source.slug
        has_queries = folder.queries_file(source.path) is not None
        self.queries = str(source.path.resolve()) if has_queries else None
        qrels = folder.qrels_file(source.path)
        self.qrels = None if qrels is None else str(qrels.resolve())


class IrdsCorpus:
    """The documents of an ir_datasets dataset."""

    def __init__(self, source: IrdsSource, fields: Fields) -> None:
        self._dataset = irds.IrdsDataset(source.name)
        self._dataset.require("docs")
        irds.refuse_id_key(source.name, fields)
        self._fields = fields
        self.id = source.id
        self.slug = self._dataset.corpus_name() or source.name
        self.corpus_id = f"irds:{self.slug}"
        self.fingerprint = irds.fingerprint(self.slug, self._fields)
        self.queries = source.id if self._dataset.has("queries") else None
        self.qrels = source.id if self._dataset.has("qrels") else None

    @cached_property
    def count(self) -> int | None:
        """Documents, as ir_datasets states."""
        return self._dataset.docs_count()

    def __iter__(self) -> Iterator[Document]:
        """The documents, in the dataset's order."""
        return _documents(lambda: self._dataset.documents(self._fields), self.id, "document")
