"""Corpora: documents read as a stream from any kind of data source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import (
    OnError,
    OnMalformed,
    SkippedLines,
    stop,
    stop_with_hint,
)
from hypencli.data.reading.source import Source, resolve
from hypencli.data.reading.stdin import STDIN, read_stdin
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

    @property
    def fields(self) -> dict[str, str | None]:
        """The fields that are read, as ``id``, ``text`` and ``title``; None for the usual ones."""
        return self._fields.as_options()

    @property
    def has_lines(self) -> bool:
        """Whether the documents stand in a file of lines or records."""
        return self._source.skips_lines

    @cached_property
    def _content(self) -> Mapping[str, str]:
        return dict(self._source.content(self._fields))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content of the source and of the settings it is read with."""
        inputs = {**self._content, **self._fields.as_options()}
        if self.skipped is not None:
            inputs["on_error"] = "skip"
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @cached_property
    def count(self) -> int | None:
        """Number of documents, as far as it is known without reading all; else None."""
        return None if self.skipped is not None else self._source.count(self._fields)

    def __iter__(self) -> Iterator[Document]:
        """Read the documents in order."""
        return self._read(self._source.documents)

    def read(self, limit: int | None = None) -> Iterator[Document]:
        """Read the documents in order, and refuse any that :attr:`fingerprint` does not stand for.

        Args:
            limit: Yield only so many documents; the rest is compared all the same.

        Raises:
            ContentChanged: The documents were changed since the fingerprint was made. It is raised
                behind the last document.
            DataError: They are not as many as :attr:`count` says.
        """
        seen = 0
        for document in self._read(
            lambda fields, on_malformed: self._source.same_documents(
                fields, on_malformed, self._content, limit
            )
        ):
            seen += 1
            yield document
        if limit is None and self.count not in (None, seen):
            raise DataError(
                f"{self._source.place('documents')}: {seen:,} documents were read, and it says "
                f"that it has {self.count:,}.",
                hint=f"Run the same command again. If these {seen:,} are right: `limit={seen}`",
            )

    def _read(
        self, documents: Callable[[Fields, OnMalformed], Iterator[TextRow]]
    ) -> Iterator[Document]:
        on_malformed: OnMalformed = stop_with_hint if self._source.skips_lines else stop
        if self.skipped is not None:
            self.skipped = SkippedLines()
            on_malformed = self.skipped.note
        # The second reading only looks for an id, so its skipped lines are not counted.
        again = stop if self.skipped is None else SkippedLines().note
        return self._documents(
            check_unique(
                documents(self._fields, on_malformed),
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
    stdin: BinaryIO | None = None,
) -> Corpus:
    """Open a corpus; documents are read only when it is iterated.

    The text of a document with a title is the title, a space and the text, stripped.

    Args:
        source: An ir_datasets id, a JSONL, TSV or CSV file (``.gz`` too), a BEIR folder,
            ``PREFIX:NAME`` of an installed kind of source, or ``-`` for standard input.
        id_key: Field of the id; None takes the existing one of ``id``, ``_id``, ``doc_id``.
        text_key: Field of the text; None takes the existing one of ``text``, ``content``,
            ``contents``.
        title_key: Field of the title; None takes ``title`` if it exists, ``""`` takes no title.
        on_error: ``skip`` skips and counts lines of a file that hold no document. A duplicate id is
            an error in any case, because the intended document is unknown.
        stdin: The stream that ``-`` reads; None takes that of the process.

    Raises:
        DataError: The dataset does not exist, or has no documents.
        UsageError: ``on_error`` is ``skip`` and the source is not a file of lines.
    """
    fields = Fields(id_key, text_key, "title" if title_key is None else title_key)
    dataset = read_stdin(stdin) if source == STDIN else resolve(source, what="corpus")
    if on_error == "skip" and not dataset.skips_lines:
        raise UsageError(
            f"{dataset.id} is no file of lines, of which some could be skipped.",
            hint="Lines can be skipped in JSONL, TSV and CSV files, and in BEIR folders.",
        )
    dataset.require("documents", fields)
    return Corpus(dataset, fields, on_error)
