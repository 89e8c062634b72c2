"""Corpora: documents streamed from any kind of data source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import (
    OnError,
    OnMalformed,
    SkippedLines,
    stop,
    stop_with_hint,
)
from hypencli.data.reading.source import Source, resolve
from hypencli.data.reading.unique_ids import check_unique
from hypencli.errors import DataError, UsageError
from hypencli.records import Document


class Corpus:
    """Documents that can be read again and again, in the same order, one at a time.

    Iterating raises :class:`~hypencli.errors.DataError` at the first record that is not what it
    should be, at an id that comes twice, and when there is no document at all.

    Attributes:
        id: Stands for the dataset as named: ``irds:NAME``, ``file:NAME``, ``folder:NAME``.
        corpus_id: Stands for the documents: ``irds:msmarco-passage`` for every query set over them.
        id_prefix: A short name for artifact ids.
        queries: What :func:`~hypencli.data.queries.open_queries` takes; None without queries.
        qrels: What :func:`~hypencli.data.qrels.read_qrels` takes; None without judgements.
        skipped: Lines that the last reading has skipped so far; None where none ever is.
    """

    def __init__(self, source: Source, fields: Fields, on_error: OnError = "stop") -> None:
        self.id = source.id
        self.corpus_id = source.corpus_id or source.id
        self.id_prefix = source.corpus_prefix
        self.queries = source.queries_source
        self.qrels = source.qrels_source
        self.skipped = SkippedLines() if on_error == "skip" else None
        self._source = source
        self._fields = fields

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the documents' source and of how they are read; a file is hashed once."""
        inputs = {**self._source.content(self._fields), **self._fields.as_options()}
        if self.skipped is not None:
            inputs["on_error"] = "skip"
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def count(self) -> int | None:
        """Number of documents: exact for files, else as stated; None where a reading must tell."""
        return None if self.skipped is not None else self._source.count(self._fields)

    def __iter__(self) -> Iterator[Document]:
        """The documents, in their order."""
        on_malformed: OnMalformed = stop_with_hint if self._source.skips_lines else stop
        if self.skipped is not None:
            self.skipped = SkippedLines()
            on_malformed = self.skipped.note
        # The second reading only looks for an id: what it skips is not counted again.
        again = stop if self.skipped is None else SkippedLines().note
        return self._documents(
            check_unique(
                self._source.documents(self._fields, on_malformed),
                lambda: self._source.documents(self._fields, again),
                name=self._source.place("documents"),
                unit=self._source.unit,
            )
        )

    def _documents(self, rows: Iterator[TextRow]) -> Iterator[Document]:
        empty = True
        for row in rows:
            empty = False
            yield Document(row.id, row.text)
        if empty:
            raise DataError(f"{self._source.place('documents')}: no documents.")


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
        source: An ir_datasets id, a JSONL or TSV file (``.gz`` too), a BEIR folder, or what an
            installed kind of source reads.
        id_key: Field of the id; None takes the one of ``id``, ``_id``, ``doc_id`` that is there.
        text_key: Field of the text; None takes the one of ``text``, ``content``, ``contents``.
        title_key: Field of the title; None takes ``title`` where it is there, ``""`` takes none.
        on_error: ``skip`` skips lines of a file that hold no document, and counts them. An id that
            comes twice ends the reading all the same: which document is meant is not known.

    Raises:
        DataError: There is no such dataset, or it has no documents.
        UsageError: Lines are to be skipped of a source that is no file of lines.
    """
    fields = Fields(id_key, text_key, "title" if title_key is None else title_key)
    dataset = resolve(source, what="corpus")
    if on_error == "skip" and not dataset.skips_lines:
        raise UsageError(
            f"{dataset.id} is no file of lines, of which some could be skipped.",
            hint="Lines can be skipped in JSONL and TSV files, and in BEIR folders.",
        )
    dataset.require("documents", fields)
    return Corpus(dataset, fields, on_error)
