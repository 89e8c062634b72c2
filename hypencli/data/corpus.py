"""Corpora: documents read as a stream from any kind of data source."""

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
    """Documents that can be read several times, one at a time, always in the same order.

    Iterating raises :class:`~hypencli.errors.DataError` at a malformed record, at a duplicate id,
    and if there is no document.

    Attributes:
        id: Id of the dataset: ``irds:NAME``, ``file:NAME``, ``folder:NAME``.
        corpus_id: Id of the documents; query sets over the same documents share it, such as
            ``irds:msmarco-passage``.
        id_prefix: A short name, with which artifact ids begin.
        queries: Argument for :func:`~hypencli.data.queries.open_queries`; None without queries.
        qrels: Argument for :func:`~hypencli.data.qrels.read_qrels`; None without judgements.
        skipped: Lines that the last reading skipped; None if malformed lines are errors.
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
        """Hash of the content of the source and of the settings it is read with."""
        inputs = {**self._source.content(self._fields), **self._fields.as_options()}
        if self.skipped is not None:
            inputs["on_error"] = "skip"
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def count(self) -> int | None:
        """Number of documents, as far as it is known without reading all; else None."""
        return None if self.skipped is not None else self._source.count(self._fields)

    def __iter__(self) -> Iterator[Document]:
        """Read the documents in order."""
        on_malformed: OnMalformed = stop_with_hint if self._source.skips_lines else stop
        if self.skipped is not None:
            self.skipped = SkippedLines()
            on_malformed = self.skipped.note
        # The second reading only looks for an id, so its skipped lines are not counted.
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

    The text of a document with a title is the title, a space and the text, stripped.

    Args:
        source: An ir_datasets id, a JSONL or TSV file (``.gz`` too), a BEIR folder, or
            ``PREFIX:NAME`` of an installed kind of source.
        id_key: Field of the id; None takes the existing one of ``id``, ``_id``, ``doc_id``.
        text_key: Field of the text; None takes the existing one of ``text``, ``content``,
            ``contents``.
        title_key: Field of the title; None takes ``title`` if it exists, ``""`` takes no title.
        on_error: ``skip`` skips and counts lines of a file that hold no document. A duplicate id is
            an error in any case, because the intended document is unknown.

    Raises:
        DataError: The dataset does not exist, or has no documents.
        UsageError: ``on_error`` is ``skip`` and the source is not a file of lines.
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
