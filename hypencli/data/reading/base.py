"""What every kind of data source answers: its names, its documents, queries and judgements."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, TypeAlias

from hypencli.data.reading.judgements import Judgement
from hypencli.data.reading.rows import Fields, TextRow
from hypencli.data.reading.skipped_lines import OnMalformed, stop
from hypencli.errors import DataError

Part: TypeAlias = Literal["documents", "queries", "qrels"]


class Source:
    """One data source: a file, a folder, a dataset of a library.

    A kind of source is a subclass in one module. It defines those of :meth:`documents`,
    :meth:`queries` and :meth:`qrels` that it has; the others raise a :class:`DataError`. The
    constructor takes the text behind the prefix and raises a :class:`DataError` where that names
    nothing.

    Attributes:
        prefix: The word before the colon: ``irds`` of ``irds:vaswani``.
        aliases: Other words that may stand there.
        unit: What a position counts, for messages: ``line`` or ``record``.
        skips_lines: Whether :meth:`documents` tells ``on_malformed`` of lines it cannot read.
    """

    prefix: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "record"
    skips_lines: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def recognise(cls, text: str) -> Source | None:
        """The source that a text without a prefix names; None where it names none of this kind."""
        return None

    @property
    def name(self) -> str:
        """The text behind the prefix."""
        return self._name

    @property
    def id(self) -> str:
        """Stands for the source in manifests: the prefix, a colon and the name."""
        return f"{self.prefix}:{self.name}"

    @property
    def id_prefix(self) -> str:
        """A short name that artifact ids begin with."""
        return self.name

    @property
    def corpus_id(self) -> str | None:
        """The id of the documents that the queries belong to; None where the source has no such."""
        return self.id

    @property
    def corpus_prefix(self) -> str:
        """A short name for the documents, which ids of embedding sets begin with."""
        return self.id_prefix

    @property
    def queries_source(self) -> str | None:
        """What names the queries of this source; None where it has none."""
        return self.id if self._defines("queries") else None

    @property
    def qrels_source(self) -> str | None:
        """What names the judgements of this source; None where it has none."""
        return self.id if self._defines("qrels") else None

    @property
    def qrels_id(self) -> str:
        """Stands for the judgements in manifests."""
        return self.id

    def place(self, part: Part) -> str:
        """Stands for a part in messages: a path, or the id."""
        return self.id

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part that this source does not have.

        Args:
            part: The part to be read.
            fields: The fields that are to be read of it.

        Raises:
            DataError: The source has no such part.
            UsageError: The fields cannot be chosen here.
        """
        if not self._defines(part):
            raise self._lacks(part)

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """The documents in their order; every call reads them anew.

        Args:
            fields: Which fields of a record are read, for records that have several.
            on_malformed: Told of a line that holds no document.

        Raises:
            DataError: There are none, or a record cannot be read.
        """
        raise self._lacks("documents")

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """The queries in their order.

        Raises:
            DataError: There are none, or a record cannot be read.
        """
        raise self._lacks("queries")

    def qrels(self) -> Iterator[Judgement]:
        """The judgements, one by one.

        Raises:
            DataError: There are none, or a record cannot be read.
        """
        raise self._lacks("qrels")

    def content(self, fields: Fields) -> Mapping[str, str]:
        """What stands for the documents' content in the fingerprint of a corpus.

        Without an override all documents are read once, and their ids and texts are hashed. A
        source that skips lines must override it: here the first malformed line is an error.
        """
        digest = hashlib.sha256()
        for row in self.documents(fields, stop):
            for part in (row.id.encode("utf-8"), row.text.encode("utf-8")):
                digest.update(len(part).to_bytes(8, "little"))
                digest.update(part)
        return {self.prefix: digest.hexdigest()}

    def count(self, fields: Fields) -> int | None:
        """Number of documents; None where only a reading would tell."""
        return None

    def _defines(self, part: Part) -> bool:
        return getattr(type(self), part) is not getattr(Source, part)

    def _lacks(self, part: Part) -> DataError:
        parts: tuple[Part, ...] = ("documents", "queries", "qrels")
        existing = ", ".join(one for one in parts if self._defines(one)) or "nothing"
        return DataError(f"{self.id} has no {part}; it has {existing}.")
