"""The interface of data sources: names, documents, queries and judgements."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import ClassVar, Literal, TypeAlias

from hypencli.data.reading.judgements import Judgement
from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import OnMalformed, stop
from hypencli.errors import DataError


class ContentChanged(DataError):
    """The documents of a source are no longer those that were identified before."""


Part: TypeAlias = Literal["documents", "queries", "qrels"]


class RowsDigest:
    """A hash over rows in order: of id and text, each behind its length in bytes."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: TextRow) -> None:
        """Add a row."""
        for part in (row.id.encode("utf-8"), row.text.encode("utf-8")):
            self._digest.update(len(part).to_bytes(8, "little"))
            self._digest.update(part)

    def hexdigest(self) -> str:
        """The hash of the rows so far, in hexadecimal."""
        return self._digest.hexdigest()


class Source:
    """One data source: a file, a folder, or a dataset of a library.

    A kind of source is a subclass in one module. It overrides those of :meth:`documents`,
    :meth:`queries` and :meth:`qrels` that it has; the others raise a :class:`DataError`. The
    constructor takes the text behind the prefix, and raises a :class:`DataError` if that names
    nothing.

    Attributes:
        prefix: The word before the colon: ``irds`` of ``irds:vaswani``.
        aliases: Alternative prefixes.
        unit: Unit of a position in messages: ``line`` or ``record``.
        skips_lines: Whether :meth:`documents` passes malformed lines to ``on_malformed``.
    """

    prefix: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "record"
    skips_lines: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def recognise(cls, text: str) -> Source | None:
        """Return the source of this kind that a text without a prefix names, or None."""
        return None

    @property
    def name(self) -> str:
        """The text behind the prefix."""
        return self._name

    @property
    def id(self) -> str:
        """Id of the source in manifests: the prefix, a colon and the name."""
        return f"{self.prefix}:{self.name}"

    @property
    def id_prefix(self) -> str:
        """A short name, with which artifact ids begin."""
        return self.name

    @property
    def corpus_id(self) -> str | None:
        """Id of the documents that the queries belong to; None if it is unknown."""
        return self.id

    @property
    def corpus_prefix(self) -> str:
        """A short name of the documents, with which ids of embedding sets begin."""
        return self.id_prefix

    @property
    def queries_source(self) -> str | None:
        """The name under which this source opens as queries; None without queries."""
        return self.id if self._defines("queries") else None

    @property
    def qrels_source(self) -> str | None:
        """The name under which this source opens as judgements; None without judgements."""
        return self.id if self._defines("qrels") else None

    @property
    def qrels_id(self) -> str:
        """Id of the judgements in manifests."""
        return self.id

    def place(self, part: Part) -> str:
        """Return the name of a part in messages: a path, or the id."""
        return self.id

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part that this source does not have.

        Args:
            part: The part to be read.
            fields: The fields to read.

        Raises:
            DataError: The source lacks this part.
            UsageError: The source does not allow to choose these fields.
        """
        if not self._defines(part):
            raise self._lacks(part)

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Read the documents in order, from the start in each call.

        Args:
            fields: Which fields of a record to read, if it has several.
            on_malformed: Called with a line that holds no document.

        Raises:
            DataError: The source has no documents, or a record cannot be read.
        """
        raise self._lacks("documents")

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """Read the queries in order.

        Raises:
            DataError: The source has no queries, or a record cannot be read.
        """
        raise self._lacks("queries")

    def qrels(self) -> Iterator[Judgement]:
        """Read the judgements one by one.

        Raises:
            DataError: The source has no judgements, or a record cannot be read.
        """
        raise self._lacks("qrels")

    def content(self, fields: Fields) -> Mapping[str, str]:
        """Return values that identify the content of the documents, for their fingerprint.

        By default all documents are read once, and their ids and texts are hashed. A source that
        skips lines must override this, because the default fails at a malformed line.
        """
        digest = RowsDigest()
        for row in self.documents(fields, stop):
            digest.add(row)
        return {self.prefix: digest.hexdigest()}

    def same_documents(
        self,
        fields: Fields,
        on_malformed: OnMalformed,
        content: Mapping[str, str],
        limit: int | None = None,
    ) -> Iterator[TextRow]:
        """Read the documents as :meth:`documents` does, and refuse any other content.

        What is read is hashed as it is read. If the kind of source has its own :meth:`content`,
        that is asked for again at the end instead.

        Args:
            fields: Which fields of a record to read, if it has several.
            on_malformed: Called with a line that holds no document.
            content: What :meth:`content` gave before.
            limit: Yield only so many documents; the rest is compared all the same.

        Raises:
            DataError: A record cannot be read.
            ContentChanged: The content is another one. It is raised behind the last document.
        """
        rows = self.documents(fields, on_malformed)
        if type(self).content is not Source.content:
            yield from islice(rows, limit)
            now = dict(self.content(fields))
        else:
            digest = RowsDigest()
            for place, row in enumerate(rows):
                digest.add(row)
                if limit is None or place < limit:
                    yield row
            now = {self.prefix: digest.hexdigest()}
        if now != dict(content):
            raise self._changed()

    def _changed(self) -> ContentChanged:
        return ContentChanged(
            f"{self.place('documents')} was changed while it was read: its content is not the one "
            "that this command began with.",
            hint="Run the same command again; it reads what is there then.",
        )

    def count(self, fields: Fields) -> int | None:
        """Return the number of documents; None if it is unknown without reading all."""
        return None

    def _defines(self, part: Part) -> bool:
        return getattr(type(self), part) is not getattr(Source, part)

    def _lacks(self, part: Part) -> DataError:
        parts: tuple[Part, ...] = ("documents", "queries", "qrels")
        existing = ", ".join(one for one in parts if self._defines(one)) or "nothing"
        return DataError(f"{self.id} has no {part}; it has {existing}.")
