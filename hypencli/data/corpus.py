"""Corpora: documents streamed from ir_datasets, a file or a BEIR folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from hypencli.data.reading import beir_folder as folder
from hypencli.data.reading import irds
from hypencli.data.reading.lines import (
    FileSummary,
    first_line,
    read_lines,
    summarise_file,
)
from hypencli.data.reading.rows import (
    Fields,
    TextRow,
    has_header,
    read_rows,
)
from hypencli.data.reading.skipped_lines import (
    OnError,
    OnMalformed,
    SkippedLines,
    stop,
    stop_with_hint,
)
from hypencli.data.reading.source import (
    FileSource,
    FolderSource,
    IrdsSource,
    resolve,
)
from hypencli.data.reading.unique_ids import check_unique
from hypencli.errors import DataError, UsageError
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
    def id_prefix(self) -> str:
        """A short name for artifact ids."""

    @property
    def fingerprint(self) -> str:
        """Hash of the documents' source and of how they are read; a file is hashed once."""

    @property
    def count(self) -> int | None:
        """Number of documents: exact for files (with the pass that hashes them), else as stated."""

    @property
    def skipped(self) -> SkippedLines | None:
        """Lines that the last reading has passed over so far; None where none ever is."""

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
    on_error: OnError = "stop",
) -> Corpus:
    """Open a corpus; documents are read only when it is iterated.

    A document's text is its title, a space and its text, stripped, where it has a title.

    Args:
        source: An ir_datasets id, a JSONL or TSV file (``.gz`` too), or a BEIR folder.
        id_key: Field of the id; None takes the one of ``id``, ``_id``, ``doc_id`` that is there.
        text_key: Field of the text; None takes the one of ``text``, ``content``, ``contents``.
        title_key: Field of the title; None takes ``title`` where it is there, ``""`` takes none.
        on_error: ``skip`` passes over lines of a file that hold no document, and counts them. An
            id that comes twice ends the reading all the same: which document is meant is not known.

    Raises:
        DataError: There is no such dataset, or it has no documents.
        UsageError: Lines of an ir_datasets dataset are to be skipped, which has none.
    """
    fields = Fields(id_key, text_key, "title" if title_key is None else title_key)
    match resolve(source, what="corpus"):
        case IrdsSource() as found:
            if on_error == "skip":
                raise UsageError(
                    f"{found.id} is no file of lines, of which some could be skipped.",
                    hint="--on-error skip is for JSONL and TSV files, and BEIR folders.",
                )
            return IrdsCorpus(found, fields)
        case FolderSource() as found:
            return FolderCorpus(found, fields, on_error)
        case found:
            return FileCorpus(found, fields, on_error)


def _documents(rows: Iterable[TextRow], name: str) -> Iterator[Document]:
    empty = True
    for row in rows:
        empty = False
        yield Document(row.id, row.text)
    if empty:
        raise DataError(f"{name}: no documents.")


class FileCorpus:
    """A JSONL or TSV file, one document a line."""

    queries: str | None = None
    qrels: str | None = None

    def __init__(self, source: FileSource, fields: Fields, on_error: OnError = "stop") -> None:
        self.id = self.corpus_id = source.id
        self.id_prefix = source.id_prefix
        self.skipped = SkippedLines() if on_error == "skip" else None
        self._path = source.path
        self._fields = fields

    @cached_property
    def _summary(self) -> FileSummary:
        return summarise_file(self._path)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file's content and the reader's options."""
        inputs = {"sha256": self._summary.sha256, **self._fields.as_options()}
        if self.skipped is not None:
            inputs["on_error"] = "skip"
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def count(self) -> int | None:
        """Lines that hold a document; None where some may not, and it takes a reading to know."""
        if self.skipped is not None:
            return None
        first = first_line(self._path)
        header = first is not None and has_header(str(self._path), first, self._fields)
        return self._summary.rows - header

    def __iter__(self) -> Iterator[Document]:
        """The documents, in the file's order."""
        on_malformed: OnMalformed = stop_with_hint
        if self.skipped is not None:
            self.skipped = SkippedLines()
            on_malformed = self.skipped.note
        # Read again only to look for an id, without counting anew what is passed over.
        again = stop if self.skipped is None else SkippedLines().note
        rows = check_unique(
            self._rows(on_malformed), lambda: self._rows(again), name=str(self._path), unit="line"
        )
        return _documents(rows, str(self._path))

    def _rows(self, on_malformed: OnMalformed) -> Iterator[TextRow]:
        name = str(self._path)
        lines = read_lines(self._path, on_malformed)
        return read_rows(lines, name, self._fields, plain=False, on_malformed=on_malformed)


class FolderCorpus(FileCorpus):
    """``corpus.jsonl`` of a BEIR folder, with the queries and judgements beside it."""

    def __init__(self, source: FolderSource, fields: Fields, on_error: OnError = "stop") -> None:
        super().__init__(FileSource(folder.corpus_file(source.path)), fields, on_error)
        self.id = self.corpus_id = source.id
        self.id_prefix = source.id_prefix
        has_queries = folder.queries_file(source.path) is not None
        self.queries = str(source.path.resolve()) if has_queries else None
        qrels = folder.qrels_file(source.path)
        self.qrels = None if qrels is None else str(qrels.resolve())


class IrdsCorpus:
    """The documents of an ir_datasets dataset."""

    skipped: SkippedLines | None = None

    def __init__(self, source: IrdsSource, fields: Fields) -> None:
        self._dataset = irds.IrdsDataset(source.name)
        self._dataset.require("docs")
        irds.refuse_id_key(source.name, fields)
        self._fields = fields
        self.id = source.id
        self.id_prefix = self._dataset.corpus_name() or source.name
        self.corpus_id = f"irds:{self.id_prefix}"
        self.fingerprint = irds.fingerprint(self.id_prefix, self._fields)
        self.queries = source.id if self._dataset.has("queries") else None
        self.qrels = source.id if self._dataset.has("qrels") else None

    @cached_property
    def count(self) -> int | None:
        """Documents, as ir_datasets states."""
        return self._dataset.docs_count()

    def __iter__(self) -> Iterator[Document]:
        """The documents, in the dataset's order."""
        rows = check_unique(self._rows(), self._rows, name=self.id, unit="document")
        return _documents(rows, self.id)

    def _rows(self) -> Iterator[TextRow]:
        return self._dataset.documents(self._fields)
