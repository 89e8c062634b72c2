"""Corpora and query sets of texts in memory, for the Python library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from hypencli.data.corpus import Corpus
from hypencli.data.queries import QuerySet, query_set
from hypencli.data.reading.base import Source
from hypencli.data.reading.rows import Fields, TextRow, checked_id, checked_text, joined
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError
from hypencli.records import Query


class MemorySource(Source):
    """Documents in memory. The id of the source is a hash of the texts in their order.

    Args:
        texts: Document id -> text, or texts alone, which get the ids 1, 2, ….

    Raises:
        DataError: There are no texts, or one is not Unicode text; the message names it.
    """

    prefix = "memory"

    def __init__(self, texts: Mapping[str, str] | Iterable[str]) -> None:
        self._rows = _pairs(texts, "document")
        digest = hashlib.sha256(json.dumps(self._rows).encode())
        super().__init__(digest.hexdigest()[:8])

    @property
    def id_prefix(self) -> str:
        """``memory``, with which the ids of embedding sets begin."""
        return self.prefix

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Yield the documents in order."""
        for number, (doc_id, text) in enumerate(self._rows, start=1):
            yield TextRow(number, doc_id, text)

    def count(self, fields: Fields) -> int:
        """Number of documents."""
        return len(self._rows)


def memory_corpus(texts: Mapping[str, str] | Iterable[str]) -> Corpus:
    """A corpus of texts in memory; see :class:`MemorySource`."""
    return Corpus(MemorySource(texts), Fields())


def memory_queries(texts: Mapping[str, str] | Iterable[str]) -> QuerySet:
    """A query set of texts in memory, with the id ``memory``.

    Args:
        texts: Query id -> text, or texts alone, which get the ids 1, 2, ….

    Raises:
        DataError: There are no texts, or one is not Unicode text; the message names it.
    """
    return query_set("memory", [Query(*pair) for pair in _pairs(texts, "query")])


def _pairs(texts: Mapping[str, str] | Iterable[str], what: str) -> list[tuple[str, str]]:
    """Ids and texts, stripped in the same way as those of a file."""
    if isinstance(texts, Mapping):
        named = list(texts.items())
    else:
        named = [(str(number), text) for number, text in enumerate(texts, start=1)]
    if not named:
        raise DataError(f"No {what} at all: an empty list or dictionary.")
    pairs = [
        (checked_id(name, f"{what} {name!r:.80}"), checked_text(text, f"{what} {name!r:.80}"))
        for name, text in named
    ]
    if len({name for name, _ in pairs}) < len(pairs):  # 1 and "1" are one id
        raise DataError(f"An id of a {what} comes twice, as a number and as a text.")
    return [(name, joined(None, text)) for name, text in pairs]
