"""Corpora and query sets of texts in memory: what the Python library takes beside files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from hypencli.data.queries import QuerySet, query_set
from hypencli.data.reading.rows import checked_id, checked_text, joined
from hypencli.data.reading.skipped_lines import SkippedLines
from hypencli.errors import DataError
from hypencli.records import Document, Query


class MemoryCorpus:
    """Documents in memory.

    Attributes:
        id: ``memory:`` and the beginning of the fingerprint: other texts are another corpus.
        corpus_id: The same text as ``id``.
        id_prefix: ``memory``.
        fingerprint: Hash of ids and texts.

    Args:
        texts: Document id -> text, or texts alone, which get the ids 1, 2, ….

    Raises:
        DataError: There is no text, or something is no Unicode text; names the document.
    """

    queries: str | None = None
    qrels: str | None = None
    skipped: SkippedLines | None = None
    id_prefix = "memory"

    def __init__(self, texts: Mapping[str, str] | Iterable[str]) -> None:
        self._documents = [Document(*pair) for pair in _pairs(texts, "document")]
        digest = hashlib.sha256()
        for document in self._documents:
            digest.update(json.dumps([document.doc_id, document.text]).encode())
        self.fingerprint = digest.hexdigest()
        self.id = self.corpus_id = f"memory:{self.fingerprint[:8]}"

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        """The documents, in their order."""
        return iter(self._documents)


def memory_queries(texts: Mapping[str, str] | Iterable[str]) -> QuerySet:
    """A query set of texts in memory, called ``memory``.

    Args:
        texts: Query id -> text, or texts alone, which get the ids 1, 2, ….

    Raises:
        DataError: There is no text, or something is no Unicode text; names the query.
    """
    return query_set("memory", [Query(*pair) for pair in _pairs(texts, "query")])


def _pairs(texts: Mapping[str, str] | Iterable[str], what: str) -> list[tuple[str, str]]:
    """Ids and texts, stripped as those of a file are."""
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
